//! The host's certificate bundle for RUN: where traffic is re-signed by an authority that only the host knows.
//!
//! It is mounted at a path of ours and named in the variables that programs read. Mounted over the image's own bundle
//! it would break `update-ca-certificates`, which renames over that file.

use std::path::{Path, PathBuf};

use crate::build::request::HostCa;
use crate::registry::connection::BUNDLES;

/// Where RUN finds the bundle.
pub const TARGET: &str = "/run/motet/ca.crt";

const LOCAL: &str = "/usr/local/share/ca-certificates";
const SHIPPED: &str = "/usr/share/ca-certificates";

/// What pip, OpenSSL, requests, curl, Node, git, cargo and the AWS tools read.
const VARIABLES: [&str; 8] = [
    "PIP_CERT",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
];

/// Returns the bundle that RUN steps need, if they do; `given` is the one that the person names (`SSL_CERT_FILE`), which is not
/// there without a reason.
pub fn bundle(policy: HostCa, given: Option<&Path>) -> Option<PathBuf> {
    let usual = || BUNDLES.iter().map(Path::new).find(|path| path.exists());
    let bundle = given.filter(|path| path.exists()).or_else(usual)?;
    let needed = match policy {
        HostCa::Never => false,
        HostCa::Always => true,
        HostCa::Auto => {
            given == Some(bundle) || certificates(Path::new(LOCAL)) > 0 || holds_more(bundle, Path::new(SHIPPED))
        }
    };
    needed.then(|| bundle.to_owned())
}

/// Returns the variables that the step does not set itself, as `KEY=value`.
pub fn variables(environment: &[String]) -> Vec<String> {
    let set = |name: &str| environment.iter().any(|line| line.split('=').next() == Some(name));
    VARIABLES.iter().filter(|name| !set(name)).map(|name| format!("{name}={TARGET}")).collect()
}

/// Says whether the bundle has more certificates than the distribution ships.
fn holds_more(bundle: &Path, shipped: &Path) -> bool {
    let known = certificates(shipped);
    let text = std::fs::read_to_string(bundle).unwrap_or_default();
    known > 0 && text.matches("BEGIN CERTIFICATE").count() > known
}

/// Counts certificate files, in folders too.
fn certificates(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |path: PathBuf| match path.extension() {
        Some(extension) if extension == "crt" => 1,
        _ if path.is_dir() => certificates(&path),
        _ => 0,
    };
    entries.flatten().map(|entry| count(entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_the_image_sets_is_left_alone() {
        let lines = variables(&["PIP_CERT=/own".to_owned()]);
        assert!(!lines.iter().any(|line| line.starts_with("PIP_CERT=")));
        assert_eq!(lines.len(), VARIABLES.len() - 1);
    }

    #[test]
    fn a_bundle_with_more_than_what_is_shipped_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let shipped = folder.path().join("shipped/mozilla");
        std::fs::create_dir_all(&shipped).unwrap();
        std::fs::write(shipped.join("a.crt"), "").unwrap();
        let bundle = folder.path().join("bundle");
        std::fs::write(&bundle, "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert!(!holds_more(&bundle, &folder.path().join("shipped")));
        std::fs::write(&bundle, "-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n").unwrap();
        assert!(holds_more(&bundle, &folder.path().join("shipped")));
    }
}
