//! `login` and `logout`: a login is tried at the registry, then kept where Docker keeps it.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::image::reference::DEFAULT_REGISTRY;
use crate::registry::auth::to_base64;
use crate::registry::client;
use crate::registry::credentials::{self, Credential, HelperError};
use crate::registry::endpoint::{Endpoint, Request};
use crate::registry::error::PullError;
use crate::registry::settings::Settings;

/// Where a login is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Unencrypted, in this file.
    File(PathBuf),
    /// With `docker-credential-NAME`.
    Helper(String),
}

/// Why a login could not be kept or forgotten.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum LoginError {
    #[error("the registry `{registry}` does not take this login{}", told(.why))]
    Refused { registry: String, why: Option<String> },
    #[error("cannot try the login")]
    Try(#[source] PullError),
    #[error(transparent)]
    Helper(#[from] HelperError),
    #[error("there is no folder for logins: neither DOCKER_CONFIG nor HOME is set")]
    NoFolder,
    #[error("cannot {act} `{path}`")]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{path}` is damaged: {why}")]
    Damaged { path: PathBuf, why: String },
}

fn told(why: &Option<String>) -> String {
    why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
}

/// Returns the registry that people mean: `https://r.example/v2/` is `r.example`, and nothing is Docker Hub.
pub fn registry(text: &str) -> String {
    let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    match text.split('/').next().unwrap_or_default() {
        "" | "docker.io" | "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY.to_owned(),
        host => host.to_owned(),
    }
}

/// Tries a login at the registry; `None`: the one that is kept. Blocks.
pub fn check(settings: &Arc<Settings>, registry: &str, credential: Option<Credential>) -> Result<(), LoginError> {
    let endpoint = Endpoint::origin(registry, settings).map_err(LoginError::Try)?;
    let endpoint = match credential {
        Some(credential) => endpoint.with_credential(credential),
        None => endpoint,
    };
    let runtime = client::runtime().map_err(LoginError::Try)?;
    match runtime.block_on(endpoint.send(&Request::new(Method::GET, "", "the login"))) {
        Ok(_) => Ok(()),
        Err(PullError::Permission { why, .. }) => Err(LoginError::Refused { registry: registry.into(), why }),
        Err(error) => Err(LoginError::Try(error)),
    }
}

/// Keeps a login that was tried.
pub fn keep(settings: &Settings, registry: &str, username: &str, secret: &str) -> Result<Kept, LoginError> {
    let path = settings.docker_config.as_deref().ok_or(LoginError::NoFolder)?;
    let key = credentials::key(registry);
    let mut document = document(path)?;
    let helper = credentials::read(path).and_then(|config| config.helper(registry).map(str::to_owned));
    let (entry, kept) = match helper {
        Some(helper) => {
            credentials::store(&helper, key, username, secret)?;
            (json!({}), Kept::Helper(helper))
        }
        None => {
            let auth = to_base64(format!("{username}:{secret}").as_bytes());
            (json!({ "auth": auth }), Kept::File(path.into()))
        }
    };
    auths(&mut document).insert(key.to_owned(), entry);
    write(path, &document)?;
    Ok(kept)
}

/// Forgets a login; says whether there was one.
pub fn forget(settings: &Settings, registry: &str) -> Result<bool, LoginError> {
    let path = settings.docker_config.as_deref().ok_or(LoginError::NoFolder)?;
    let key = credentials::key(registry);
    let mut document = document(path)?;
    let entries = auths(&mut document);
    let there = entries.len();
    entries.retain(|name, _| name != key && !credentials::is_for(name, registry));
    let found = entries.len() < there;
    let helper = credentials::read(path).and_then(|config| config.helper(registry).map(str::to_owned));
    if let Some(helper) = helper {
        credentials::erase(&helper, key)?;
    }
    if found {
        write(path, &document)?;
    }
    Ok(found)
}

fn document(path: &Path) -> Result<Map<String, Value>, LoginError> {
    let damaged = |why: String| LoginError::Damaged { path: path.into(), why };
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Map::new()),
        Err(source) => Err(LoginError::Io { act: "read", path: path.into(), source }),
    }
}

fn auths(document: &mut Map<String, Value>) -> &mut Map<String, Value> {
    let entry = document.entry("auths").or_insert_with(|| json!({}));
    if !entry.is_object() {
        *entry = json!({});
    }
    entry.as_object_mut().expect("made one above")
}

/// Aside and renamed, readable by its owner alone.
fn write(path: &Path, document: &Map<String, Value>) -> Result<(), LoginError> {
    let error = |source| LoginError::Io { act: "write", path: path.into(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(error)?;
    }
    // The file may be a link into a folder of dot files: what it points to is written.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let aside = target.with_extension(format!("{}.new", std::process::id()));
    let mut text = serde_json::to_string_pretty(document).expect("a document of strings has a text");
    text.push('\n');
    File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&aside)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&aside, &target))
        .map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_kept_and_forgotten_beside_what_else_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/config.json");
        let settings = Settings { docker_config: Some(path.clone()), ..Settings::default() };
        assert_eq!(keep(&settings, "r.example:5000", "me", "secret").unwrap(), Kept::File(path.clone()));
        let mut document = document(&path).unwrap();
        document.insert("psFormat".into(), json!("x"));
        write(&path, &document).unwrap();
        keep(&settings, "docker.io", "you", "other").unwrap();
        let found = credentials::find(&settings, "r.example:5000").unwrap();
        assert_eq!(found, Credential::Login { username: "me".into(), password: "secret".into() });
        assert!(credentials::find(&settings, "docker.io").is_some());
        assert!(forget(&settings, "docker.io").unwrap() && !forget(&settings, "docker.io").unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("psFormat") && text.contains("r.example:5000") && !text.contains("index.docker.io"));
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, expected) in
            [("", "docker.io"), ("https://index.docker.io/v1/", "docker.io"), ("http://r:5000/v2/", "r:5000")]
        {
            assert_eq!(registry(text), expected);
        }
    }
}
