//! Logins for registries, as the docker command keeps them: in its config.json, or with a helper program.

use std::path::PathBuf;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::docker::fault::Fault;

/// The name under which the login of Docker's own registry is kept.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Returns the registry that a reference names.
pub(crate) fn registry(reference: &str) -> String {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" | "index.docker.io" => DOCKER_HUB.to_owned(),
            host => host.to_owned(),
        },
        Some(_) | None => DOCKER_HUB.to_owned(),
    }
}

/// Where logins are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logins {
    /// Folder with `config.json`.
    pub(crate) config: Option<PathBuf>,
}

impl Logins {
    fn read(&self) -> Result<Value, Fault> {
        let Some(folder) = &self.config else { return Ok(Value::Null) };
        let path = folder.join("config.json");
        let broken = |why: String| Fault::Broken { why: format!("`{}` can't be read: {why}", path.display()) };
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| broken(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
            Err(error) => Err(broken(error.to_string())),
        }
    }

    /// Returns the login for a registry as the API takes it; `None`: there is none.
    async fn login(&self, config: &Value, registry: &str) -> Result<Option<Value>, Fault> {
        let helper = config["credHelpers"][registry].as_str().or_else(|| config["credsStore"].as_str());
        if let Some(helper) = helper.filter(|helper| !helper.is_empty())
            && let Some(found) = ask(helper, registry).await?
        {
            return Ok(Some(found));
        }
        let auths = config["auths"].as_object();
        let kept = auths.into_iter().flatten().find(|(key, _)| {
            // Older ones wrote addresses: `https://host/v1/`.
            let bare = |text: &str| {
                let text = text.trim_start_matches("https://").trim_start_matches("http://");
                text.split('/').next().unwrap_or(text).to_owned()
            };
            key.as_str() == registry || (registry != DOCKER_HUB && bare(key) == registry)
        });
        let Some((_, kept)) = kept else { return Ok(None) };
        let text = |key: &str| kept[key].as_str().filter(|text| !text.is_empty());
        let decoded = text("auth").and_then(|auth| String::from_utf8(STANDARD.decode(auth).ok()?).ok());
        let pair = decoded.as_deref().and_then(|pair| pair.split_once(':'));
        let (user, password) = pair.unwrap_or((text("username").unwrap_or(""), text("password").unwrap_or("")));
        let token = text("identitytoken").unwrap_or("");
        if user.is_empty() && token.is_empty() {
            return Ok(None);
        }
        let password = password.trim_end_matches('\0');
        Ok(Some(json!({"username": user, "password": password, "identitytoken": token, "serveraddress": registry})))
    }

    /// Returns the login for an image's registry, an empty document where there is none.
    pub(crate) async fn of(&self, reference: &str) -> Result<Value, Fault> {
        let registry = registry(reference);
        let config = self.read()?;
        Ok(self.login(&config, &registry).await?.unwrap_or_else(|| json!({})))
    }

    /// Returns the header for a call about an image; without a login an empty one, which the engine wants to see.
    pub(crate) async fn header(&self, reference: &str) -> Result<String, Fault> {
        let login = self.of(reference).await?;
        Ok(URL_SAFE.encode(login.to_string()))
    }

    /// Returns the header for a build, which may pull from any registry: every login that is kept.
    pub(crate) async fn all(&self) -> Result<String, Fault> {
        let config = self.read()?;
        let mut logins = Map::new();
        let of = |key: &str| config[key].as_object().into_iter().flatten().map(|(name, _)| name.clone());
        for registry in of("auths").chain(of("credHelpers")).collect::<Vec<_>>() {
            if let Some(login) = self.login(&config, &registry).await? {
                logins.insert(registry, login);
            }
        }
        Ok(URL_SAFE.encode(Value::Object(logins).to_string()))
    }
}

/// Asks a helper: its input is the registry, its output a document (docker-credential-helpers' protocol).
async fn ask(helper: &str, registry: &str) -> Result<Option<Value>, Fault> {
    let program = format!("docker-credential-{helper}");
    let broken =
        |why: String| Fault::Broken { why: format!("the login for `{registry}` can't be had: `{program}`: {why}") };
    // A name with a slash would be another program.
    if helper.contains('/') {
        return Err(broken("it is no name".to_owned()));
    }
    let mut command = Command::new(&program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| broken(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read says why in its output.
        let _ = stdin.write_all(registry.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(|error| broken(error.to_string()))?;
    if !output.status.success() {
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(broken(said.trim().to_owned()));
    }
    let found: Value = serde_json::from_slice(&output.stdout).map_err(|error| broken(error.to_string()))?;
    let (user, secret) = (found["Username"].as_str().unwrap_or_default(), found["Secret"].as_str().unwrap_or_default());
    // The protocol's word for a secret that is a token.
    let (user, password, token) = if user == "<token>" { ("", "", secret) } else { (user, secret, "") };
    Ok(Some(json!({"username": user, "password": password, "identitytoken": token, "serveraddress": registry})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_its_registry() {
        let hub = DOCKER_HUB.to_owned();
        assert_eq!(registry("busybox"), hub);
        assert_eq!(registry("library/busybox:1"), hub);
        assert_eq!(registry("docker.io/library/busybox"), hub);
        assert_eq!(registry("localhost/x"), "localhost");
        assert_eq!(registry("localhost:5000/x:1"), "localhost:5000");
        assert_eq!(registry("ghcr.io/a/b"), "ghcr.io");
    }

    #[tokio::test]
    async fn logins_are_read_as_the_docker_command_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let auth = STANDARD.encode("me:se:cret");
        let config = json!({"auths": {"localhost:5000": {"auth": auth}, "https://old.example/v1/": {"identitytoken": "t"},
            "empty.example": {}}});
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let logins = Logins { config: Some(folder.path().to_owned()) };
        for (image, key, expected) in [
            ("localhost:5000/x", "password", json!("se:cret")),
            ("localhost:5000/x", "username", json!("me")),
            ("old.example/x", "identitytoken", json!("t")),
            ("empty.example/x", "username", Value::Null),
        ] {
            let header = URL_SAFE.decode(logins.header(image).await.unwrap()).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()[key], expected, "{image} {key}");
        }
        let all = URL_SAFE.decode(logins.all().await.unwrap()).unwrap();
        let all: Value = serde_json::from_slice(&all).unwrap();
        assert_eq!(all.as_object().unwrap().len(), 2, "{all}");
    }
}
