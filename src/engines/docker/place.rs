//! Where the engine is: what `DOCKER_HOST`, contexts and the TLS variables say, read as the docker command reads them.

use std::path::{Path, PathBuf};

use orchestrator::engine::error::{EngineError, ErrorKind};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What the caller has read of the environment.
#[derive(Debug, Clone, Default)]
pub struct DockerSettings {
    /// `DOCKER_HOST`
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`
    pub context: Option<String>,
    /// `DOCKER_CONFIG`, else `~/.docker`; `None`: there is no home.
    pub config: Option<PathBuf>,
    /// `DOCKER_CERT_PATH`
    pub cert_path: Option<PathBuf>,
    /// `DOCKER_TLS_VERIFY` is set: TLS, and the engine's certificate is checked.
    pub tls_verify: bool,
    /// `DOCKER_TLS` is set: TLS without that check.
    pub tls: bool,
    /// `DOCKER_API_VERSION`: never speak a later one.
    pub api_version: Option<String>,
    /// Folder for the locks by which commands of this user keep out of each other's way; `None`: no locks.
    pub locks: Option<PathBuf>,
    /// `SSH_AUTH_SOCK`
    pub ssh_agent: Option<PathBuf>,
    /// `DOCKER_BUILDKIT=0`: builds go through the classic builder.
    pub classic_builds: bool,
}

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A socket of this machine.
    Unix(PathBuf),
    /// A host and port, in the clear or with TLS.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// `None`: in the clear.
        tls: Option<TlsFiles>,
    },
    /// The docker command on another machine, over ssh.
    Ssh {
        /// What `ssh` is told: `user@host`.
        target: String,
        /// Port; `None`: as ssh is configured.
        port: Option<u16>,
        /// Socket there; `None`: its default.
        socket: Option<String>,
    },
}

/// Certificates of a connection with TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFiles {
    /// Authorities to trust; `None`: the host's.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Take whatever certificate the engine shows.
    pub unverified: bool,
}

/// The socket of an engine that is installed in the usual way.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
            Self::Ssh { target, port: None, .. } => write!(f, "ssh://{target}"),
            Self::Ssh { target, port: Some(port), .. } => write!(f, "ssh://{target}:{port}"),
        }
    }
}

fn invalid(what: &str, why: impl std::fmt::Display) -> EngineError {
    EngineError::new(ErrorKind::Failed, "docker engine", format!("cannot find the Docker Engine: {what}: {why}"))
}

impl DockerSettings {
    /// Returns where the engine is: `DOCKER_HOST`, else the named context, else the current one, else the default.
    pub fn place(&self) -> Result<Place, EngineError> {
        if let Some(host) = &self.host {
            return parse(host, self.tls_files()).map_err(|why| invalid(&format!("`DOCKER_HOST={host}`"), why));
        }
        let (name, origin) = match &self.context {
            Some(name) => (name.clone(), "DOCKER_CONTEXT"),
            None => match self.current_context()? {
                Some(name) => (name, "currentContext"),
                None => return Ok(Place::Unix(DEFAULT_SOCKET.into())),
            },
        };
        if name == "default" {
            return Ok(Place::Unix(DEFAULT_SOCKET.into()));
        }
        self.of_context(&name).map_err(|error| error.hint(format!("the context was chosen by `{origin}`")))
    }

    /// Returns the certificates that the environment asks for.
    fn tls_files(&self) -> Option<TlsFiles> {
        if !self.tls_verify && !self.tls {
            return None;
        }
        let folder = self.cert_path.clone().or_else(|| self.config.clone()).unwrap_or_default();
        let mut files = TlsFiles::of_folder(&folder);
        files.unverified = !self.tls_verify;
        Some(files)
    }

    fn current_context(&self) -> Result<Option<String>, EngineError> {
        let Some(folder) = &self.config else { return Ok(None) };
        let path = folder.join("config.json");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(invalid(&format!("`{}`", path.display()), error)),
        };
        let config: Value =
            serde_json::from_str(&text).map_err(|error| invalid(&format!("`{}`", path.display()), error))?;
        let name = config.get("currentContext").and_then(Value::as_str).filter(|name| !name.is_empty());
        Ok(name.map(str::to_owned))
    }

    /// Reads a context as `docker context create` stores it: under the SHA-256 of its name.
    fn of_context(&self, name: &str) -> Result<Place, EngineError> {
        let what = format!("the context `{name}`");
        let Some(folder) = &self.config else { return Err(invalid(&what, "there is no folder with contexts")) };
        let digest: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = folder.join("contexts/meta").join(&digest).join("meta.json");
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                invalid(&what, "there is no such context").hint("`docker context ls` lists those that there are")
            }
            _ => invalid(&what, format_args!("cannot read `{}`: {error}", path.display())),
        })?;
        let meta: Value = serde_json::from_str(&text)
            .map_err(|error| invalid(&what, format_args!("`{}`: {error}", path.display())))?;
        let endpoint = &meta["Endpoints"]["docker"];
        let host = endpoint["Host"].as_str().filter(|host| !host.is_empty());
        let Some(host) = host else { return Ok(Place::Unix(DEFAULT_SOCKET.into())) };
        let certificates = folder.join("contexts/tls").join(&digest).join("docker");
        let skips = endpoint["SkipTLSVerify"].as_bool().unwrap_or(false);
        let tls = (certificates.is_dir() || skips)
            .then(|| TlsFiles { unverified: skips, ..TlsFiles::of_folder(&certificates) });
        parse(host, tls).map_err(|why| invalid(&what, why))
    }
}

impl TlsFiles {
    fn of_folder(folder: &Path) -> Self {
        let there = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        Self { ca: there("ca.pem"), client: there("cert.pem").zip(there("key.pem")), unverified: false }
    }
}

/// Reads an address: `unix:///path`, `tcp://host:2375`, `ssh://user@host:22/path`.
fn parse(text: &str, tls: Option<TlsFiles>) -> Result<Place, String> {
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme such as `unix://`, `tcp://` or `ssh://`")?;
    match scheme {
        "unix" if rest.is_empty() => Ok(Place::Unix(DEFAULT_SOCKET.into())),
        "unix" => Ok(Place::Unix(rest.into())),
        "tcp" | "http" | "https" => {
            let tls = tls.or_else(|| (scheme == "https").then(TlsFiles::default));
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            if !path.is_empty() {
                return Err(format!("a path (`/{path}`) behind the port can't be used"));
            }
            let (host, port) = host_and_port(authority)?;
            let port = port.unwrap_or(if tls.is_some() { 2376 } else { 2375 });
            let host = if host.is_empty() { "127.0.0.1" } else { host };
            Ok(Place::Tcp { host: host.to_owned(), port, tls })
        }
        "ssh" => {
            let (authority, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
            let (user, address) = match authority.rsplit_once('@') {
                Some((user, _)) if user.contains(':') => return Err("a password can't be part of it".to_owned()),
                Some((user, address)) => (Some(user), address),
                None => (None, authority),
            };
            let (host, port) = host_and_port(address)?;
            // What begins with a dash would be an option to ssh.
            if host.is_empty() || host.starts_with('-') || user.is_some_and(|user| user.starts_with('-')) {
                return Err("it names no host".to_owned());
            }
            let target = user.map_or_else(|| host.to_owned(), |user| format!("{user}@{host}"));
            let socket = path.filter(|path| !path.is_empty()).map(|path| format!("/{path}"));
            Ok(Place::Ssh { target, port, socket })
        }
        "npipe" => Err("named pipes are there on Windows only".to_owned()),
        other => Err(format!("the scheme `{other}` is unknown")),
    }
}

fn host_and_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a `]` is missing")?;
            (host, rest.strip_prefix(':'))
        }
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map(|port| port.parse::<u16>().map_err(|_| format!("`{port}` is no port"))).transpose()?;
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let place = parse(text, None).map(|place| format!("{place}"));
        assert_eq!(place.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn addresses_are_read_as_the_docker_command_reads_them() {
        check("unix:///run/x.sock", Ok("unix:///run/x.sock"));
        check("unix://", Ok("unix:///var/run/docker.sock"));
        check("tcp://10.0.0.1", Ok("tcp://10.0.0.1:2375"));
        check("tcp://[::1]:99", Ok("tcp://[::1]:99"));
        check("tcp://:99", Ok("tcp://127.0.0.1:99"));
        check("https://box", Ok("tcp://box:2376"));
        check("ssh://me@box:22/run/docker.sock", Ok("ssh://me@box:22"));
        check("ssh://-oProxyCommand=x", Err("it names no host"));
        check("ssh://me:secret@box", Err("a password can't be part of it"));
        check("10.0.0.1:2375", Err("it has no scheme such as `unix://`, `tcp://` or `ssh://`"));
        check("tcp://box:port", Err("`port` is no port"));
    }

    #[test]
    fn the_host_wins_over_contexts_and_a_context_brings_its_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let digest: String = Sha256::digest(b"far").iter().map(|byte| format!("{byte:02x}")).collect();
        let meta = folder.path().join("contexts/meta").join(&digest);
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(
            meta.join("meta.json"),
            r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":false}}}"#,
        )
        .unwrap();
        let tls = folder.path().join("contexts/tls").join(&digest).join("docker");
        std::fs::create_dir_all(&tls).unwrap();
        std::fs::write(tls.join("ca.pem"), "").unwrap();
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"far"}"#).unwrap();
        let mut settings = DockerSettings { config: Some(folder.path().to_owned()), ..DockerSettings::default() };
        let far = Place::Tcp {
            host: "far".into(),
            port: 2376,
            tls: Some(TlsFiles { ca: Some(tls.join("ca.pem")), client: None, unverified: false }),
        };
        assert_eq!(settings.place().unwrap(), far);
        settings.context = Some("default".into());
        assert_eq!(settings.place().unwrap(), Place::Unix(DEFAULT_SOCKET.into()));
        settings.context = Some("gone".into());
        assert!(settings.place().unwrap_err().message.contains("the context `gone`: there is no such context"));
        settings.host = Some("unix:///x".into());
        assert_eq!(settings.place().unwrap(), Place::Unix("/x".into()));
    }
}
