//! Logins: from Docker's config.json, its credential helpers, and files of the same form.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::registry::auth::{from_base64, to_base64};
use crate::registry::settings::Settings;

/// Who we are to a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A name and a password or access token.
    Login {
        /// The account.
        username: String,
        /// Its password or access token.
        password: String,
    },
    /// A token that buys tokens (`identitytoken`).
    Identity(String),
    /// A token that is shown as it is (`registrytoken`).
    Bearer(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Login { username, .. } => write!(f, "Login({username})"),
            Self::Identity(_) => f.write_str("Identity"),
            Self::Bearer(_) => f.write_str("Bearer"),
        }
    }
}

impl Credential {
    /// Returns the value of `Authorization` for the Basic scheme.
    pub(crate) fn basic(&self) -> Option<String> {
        match self {
            Self::Login { username, password } => {
                Some(format!("Basic {}", to_base64(format!("{username}:{password}").as_bytes())))
            }
            Self::Identity(_) | Self::Bearer(_) => None,
        }
    }
}

/// What is read of a config.json.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Config {
    auths: BTreeMap<String, Auth>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// Why a credential helper gave nothing.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum HelperError {
    #[error("cannot run `docker-credential-{helper}`")]
    Run {
        helper: String,
        #[source]
        source: std::io::Error,
    },
    #[error("`docker-credential-{helper} {act}` failed: {said}")]
    Failed { helper: String, act: &'static str, said: String },
}

/// Docker files its own registry under an address of long ago.
pub(crate) const DOCKER_KEY: &str = "https://index.docker.io/v1/";

/// Returns the key that a registry has in a config.json.
pub(crate) fn key(registry: &str) -> &str {
    if registry == "docker.io" { DOCKER_KEY } else { registry }
}

/// Finds who we are to a registry; a helper that fails is told in the trace, and we are nobody.
pub fn find(settings: &Settings, registry: &str) -> Option<Credential> {
    settings.docker_config.iter().chain(&settings.more_logins).find_map(|path| in_file(path, registry))
}

fn in_file(path: &Path, registry: &str) -> Option<Credential> {
    let config = read(path)?;
    let helped = config.helper(registry).and_then(|helper| match get(helper, key(registry)) {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "no login from the credential helper");
            None
        }
    });
    helped.or_else(|| config.plain(registry))
}

pub(crate) fn read(path: &Path) -> Option<Config> {
    match serde_json::from_slice(&std::fs::read(path).ok()?) {
        Ok(config) => Some(config),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the file with logins is damaged");
            None
        }
    }
}

impl Config {
    /// Returns the helper that keeps a registry's login: its own, or the one for all.
    pub(crate) fn helper(&self, registry: &str) -> Option<&str> {
        let own = self.cred_helpers.get(registry).or_else(|| self.cred_helpers.get(key(registry)));
        own.or(self.creds_store.as_ref()).map(String::as_str).filter(|name| !name.is_empty())
    }

    fn plain(&self, registry: &str) -> Option<Credential> {
        let auth = self.auths.iter().find(|(key, _)| is_for(key, registry))?.1;
        if !auth.identitytoken.is_empty() {
            return Some(Credential::Identity(auth.identitytoken.clone()));
        }
        if !auth.registrytoken.is_empty() {
            return Some(Credential::Bearer(auth.registrytoken.clone()));
        }
        if !auth.username.is_empty() {
            return Some(Credential::Login { username: auth.username.clone(), password: auth.password.clone() });
        }
        let text = String::from_utf8(from_base64(&auth.auth)?).ok()?;
        let (username, password) = text.split_once(':')?;
        Some(Credential::Login { username: username.into(), password: password.trim_end_matches('\0').into() })
    }
}

/// Keys are hosts, or addresses with a scheme and a path.
fn host(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    key.split('/').next().unwrap_or_default()
}

/// Says whether the login under `key` is for the registry.
pub(crate) fn is_for(key: &str, registry: &str) -> bool {
    match registry {
        "docker.io" => ["index.docker.io", "docker.io", "registry-1.docker.io"].contains(&host(key)),
        other => host(key) == other,
    }
}

fn get(helper: &str, key: &str) -> Result<Option<Credential>, HelperError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: String,
        secret: String,
    }
    let said = match run(helper, "get", key.as_bytes()) {
        // What every helper says of a registry that it does not know.
        Err(HelperError::Failed { said, .. }) if said.contains("credentials not found") => return Ok(None),
        other => other?,
    };
    let damaged = |error: serde_json::Error| HelperError::Failed {
        helper: helper.into(),
        act: "get",
        said: format!("its answer is damaged: {error}"),
    };
    let answer: Answer = serde_json::from_str(&said).map_err(damaged)?;
    Ok(Some(match &*answer.username {
        "<token>" => Credential::Identity(answer.secret),
        _ => Credential::Login { username: answer.username, password: answer.secret },
    }))
}

/// Hands a login to a helper.
pub(crate) fn store(helper: &str, key: &str, username: &str, secret: &str) -> Result<(), HelperError> {
    let text = serde_json::json!({"ServerURL": key, "Username": username, "Secret": secret}).to_string();
    run(helper, "store", text.as_bytes()).map(drop)
}

/// Has a helper forget a login.
pub(crate) fn erase(helper: &str, key: &str) -> Result<(), HelperError> {
    run(helper, "erase", key.as_bytes()).map(drop)
}

#[expect(clippy::disallowed_methods, reason = "credential helpers are programs of the host")]
fn run(helper: &str, act: &'static str, input: &[u8]) -> Result<String, HelperError> {
    let failed = |source| HelperError::Run { helper: helper.into(), source };
    let mut command = Command::new(format!("docker-credential-{helper}"));
    command.arg(act).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read says why in its output.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(failed)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => {
            let said = format!("{} {}", text(&output.stdout), text(&output.stderr)).trim().to_owned();
            Err(HelperError::Failed { helper: helper.into(), act, said })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(username: &str, password: &str) -> Credential {
        Credential::Login { username: username.into(), password: password.into() }
    }

    #[test]
    fn logins_are_found_by_host_and_never_printed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"bWU6c2VjcmV0"},"r.example:5000":{"username":"a","password":"b"},
            "t.example":{"auth":"bWU6c2VjcmV0","identitytoken":"t"},"http://b.example/v2/":{"registrytoken":"x"}}}"#;
        std::fs::write(file.path(), text).unwrap();
        let found = |registry: &str| in_file(file.path(), registry);
        assert_eq!(found("docker.io"), Some(login("me", "secret")));
        assert_eq!(format!("{:?}", found("docker.io").unwrap()), "Login(me)");
        assert_eq!(found("r.example:5000"), Some(login("a", "b")));
        assert_eq!(found("t.example"), Some(Credential::Identity("t".into())));
        assert_eq!(found("b.example"), Some(Credential::Bearer("x".into())));
        assert_eq!(found("example:5000"), None);
    }

    #[test]
    fn a_registrys_own_helper_comes_before_the_one_for_all() {
        let config: Config = serde_json::from_str(r#"{"credsStore":"all","credHelpers":{"a":"own"}}"#).unwrap();
        assert_eq!((config.helper("a"), config.helper("b")), (Some("own"), Some("all")));
    }
}
