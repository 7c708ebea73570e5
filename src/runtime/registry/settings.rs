//! How registries are talked to: mirrors, plain http, certificates and proxies, from configuration files and what the caller has
//! read of the environment.
//!
//! A configuration file is JSON with the keys of Docker's `daemon.json`: `registry-mirrors` (of Docker Hub), `insecure-registries`
//! (hosts, or networks as `10.0.0.0/8`), and one of our own, `registries`: `{"HOST": {"mirrors": [..], "insecure": true, "ca": "FILE"}}`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::image::reference::DEFAULT_REGISTRY;
use crate::registry::error::PullError;

/// How registries are talked to; what the environment says is read by the caller.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Certificates to trust instead of the host's (`SSL_CERT_FILE`).
    pub ca_file: Option<PathBuf>,
    /// Docker's config.json with logins.
    pub docker_config: Option<PathBuf>,
    /// More files of that form, asked in turn where the first has no login (podman's `auth.json`).
    pub more_logins: Vec<PathBuf>,
    /// Configuration files; those that are not there say nothing.
    pub files: Vec<PathBuf>,
    /// Folders with one `HOST:PORT/` a registry that holds its `*.crt`, and `*.cert` with `*.key` to show to it.
    pub certificates: Vec<PathBuf>,
    /// The proxies.
    pub proxies: Proxies,
}

/// Where requests go through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For plain http (`HTTP_PROXY`).
    pub http: Option<String>,
    /// For https (`HTTPS_PROXY`).
    pub https: Option<String>,
    /// Hosts that are reached without (`NO_PROXY`).
    pub no_proxy: Option<String>,
}

/// What is configured for one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// Addresses to ask before it.
    pub mirrors: Vec<String>,
    /// Its certificate is not checked, and it may speak plain http.
    pub insecure: bool,
    /// Authorities that vouch for it besides the usual ones.
    pub authorities: Vec<PathBuf>,
    /// Certificate and key to show to it.
    pub identity: Option<(PathBuf, PathBuf)>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    registry_mirrors: Vec<String>,
    insecure_registries: Vec<String>,
    registries: BTreeMap<String, FileHost>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct FileHost {
    mirrors: Vec<String>,
    insecure: bool,
    ca: Option<PathBuf>,
}

impl Settings {
    /// Returns what is configured for a registry, as references name it.
    pub fn host(&self, registry: &str) -> Result<HostSettings, PullError> {
        let mut found = HostSettings { insecure: is_loopback(registry), ..HostSettings::default() };
        for path in &self.files {
            let Some(file) = read(path)? else { continue };
            if registry == DEFAULT_REGISTRY {
                found.mirrors.extend(file.registry_mirrors);
            }
            found.insecure |= file.insecure_registries.iter().any(|entry| covers(entry, registry));
            if let Some(host) = file.registries.get(registry) {
                found.mirrors.extend(host.mirrors.iter().cloned());
                found.insecure |= host.insecure;
                found.authorities.extend(host.ca.clone());
            }
        }
        for folder in &self.certificates {
            let Ok(entries) = std::fs::read_dir(folder.join(registry)) else { continue };
            let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            files.sort();
            let ends = |path: &Path, end: &str| path.extension().is_some_and(|it| it == end);
            found.authorities.extend(files.iter().filter(|path| ends(path, "crt")).cloned());
            let pair = |path: &PathBuf| {
                let key = path.with_extension("key");
                (ends(path, "cert") && files.contains(&key)).then(|| (path.clone(), key))
            };
            found.identity = found.identity.or_else(|| files.iter().find_map(pair));
        }
        Ok(found)
    }
}

fn read(path: &Path) -> Result<Option<File>, PullError> {
    let wrong = |why: String| PullError::Settings { path: path.into(), why };
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| wrong(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// As Docker has it: what is on this machine needs no encryption.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = without_port(host);
    name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn without_port(host: &str) -> &str {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.contains(']') { host } else { name });
    name.trim_matches(['[', ']'])
}

/// Says whether an entry of `insecure-registries` means this registry: the same text, or a network that its address is in.
fn covers(entry: &str, registry: &str) -> bool {
    if entry == registry {
        return true;
    }
    let Some((network, bits)) = entry.split_once('/') else { return false };
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    let same = |network: u128, address: u128, width: u32| {
        let shift = width.saturating_sub(bits);
        shift >= 128 || network >> shift == address >> shift
    };
    match (network, without_port(registry).parse::<IpAddr>()) {
        (IpAddr::V4(network), Ok(IpAddr::V4(address))) => same(network.to_bits().into(), address.to_bits().into(), 32),
        (IpAddr::V6(network), Ok(IpAddr::V6(address))) => same(network.to_bits(), address.to_bits(), 128),
        (IpAddr::V4(_) | IpAddr::V6(_), Ok(_) | Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_network_is_local() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.8.8", "[::1]:5000", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1:5000", "registry-1.docker.io", "[fe80::1]:5000"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn insecure_registries_are_names_and_networks() {
        assert!(covers("10.0.0.0/8", "10.1.2.3:5000") && covers("r.example:5000", "r.example:5000"));
        assert!(covers("::/0", "[fe80::1]:5000") && covers("0.0.0.0/0", "8.8.8.8"));
        assert!(!covers("10.0.0.0/8", "11.1.2.3") && !covers("r.example", "r.example:5000"));
        assert!(!covers("10.0.0.0/8", "ten.example") && !covers("::/0", "10.0.0.1"));
    }

    #[test]
    fn files_and_folders_add_up_and_a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.json"), r#"{"registry-mirrors":["http://m:1"],"log-level":"x"}"#).unwrap();
        let own = r#"{"insecure-registries":["r.example"],"registries":{"docker.io":{"mirrors":["https://n"]}}}"#;
        std::fs::write(path("b.json"), own).unwrap();
        std::fs::create_dir_all(path("certs/r.example")).unwrap();
        for name in ["ca.crt", "client.cert", "client.key", "other.cert"] {
            std::fs::write(path("certs/r.example").join(name), "").unwrap();
        }
        let files = vec![path("a.json"), path("none.json"), path("b.json")];
        let mut settings = Settings { files, certificates: vec![path("certs")], ..Settings::default() };
        assert_eq!(settings.host("docker.io").unwrap().mirrors, ["http://m:1", "https://n"]);
        let found = settings.host("r.example").unwrap();
        assert!(found.insecure && found.mirrors.is_empty());
        assert_eq!(found.authorities, [path("certs/r.example/ca.crt")]);
        let certs = path("certs/r.example");
        assert_eq!(found.identity, Some((certs.join("client.cert"), certs.join("client.key"))));
        std::fs::write(path("c.json"), "{").unwrap();
        settings.files.push(path("c.json"));
        let error = settings.host("docker.io").unwrap_err().to_string();
        assert!(error.contains("c.json"), "{error}");
    }
}
