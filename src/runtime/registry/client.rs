//! Requests to one registry: TLS with the host's certificates, tokens where asked for, and every failure sorted by its cause.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, RANGE, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::image::reference::{DEFAULT_REGISTRY, Reference};
use crate::registry::auth::{self, Challenge, Login};
use crate::registry::error::PullError;

/// How registries are talked to; what the environment says is read by the caller.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Certificates to trust instead of the host's (`SSL_CERT_FILE`).
    pub ca_file: Option<PathBuf>,
    /// Docker's config.json with logins.
    pub docker_config: Option<PathBuf>,
}

/// Talks to one repository of one registry.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    /// `https://host`
    base: String,
    /// As the reference has it.
    pub registry: String,
    repository: String,
    login: Option<Login>,
    /// The `Authorization` that worked last.
    authorization: Mutex<Option<String>>,
}

/// Where distributions keep the host's certificates.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
const CONNECT: Duration = Duration::from_secs(10);
/// Between two pieces of an answer.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest manifest, config or token.
const DOCUMENT_LIMIT: usize = 32 << 20;

impl Client {
    /// Prepares requests for the repository of `reference`.
    pub fn new(reference: &Reference, settings: &Settings) -> Result<Self, PullError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(settings.ca_file.as_deref())?)
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .user_agent(concat!("motet/", env!("CARGO_PKG_VERSION")))
            // reqwest drops Authorization when a redirect leads to another host.
            .redirect(reqwest::redirect::Policy::custom(|attempt| {
                let downgrade = attempt.previous().last().is_some_and(|it| it.scheme() == "https")
                    && attempt.url().scheme() != "https";
                match attempt.previous().len() > 5 || downgrade {
                    true => attempt.stop(),
                    false => attempt.follow(),
                }
            }))
            .build()
            .map_err(|error| PullError::Client(error.to_string()))?;
        let registry = reference.registry.clone();
        let host = if registry == DEFAULT_REGISTRY { "registry-1.docker.io" } else { &registry };
        let scheme = if is_local(host) { "http" } else { "https" };
        let login = settings.docker_config.as_deref().and_then(|config| auth::login(config, &registry));
        let base = format!("{scheme}://{host}");
        let repository = reference.repository.clone();
        Ok(Self { http, base, registry, repository, login, authorization: Mutex::new(None) })
    }

    /// Gets a manifest by tag or digest, with its bytes as served.
    pub async fn manifest(&self, name: &str, accept: &str) -> Result<Vec<u8>, PullError> {
        self.document(&format!("manifests/{name}"), accept).await
    }

    /// Gets a small blob whole.
    pub async fn small_blob(&self, digest: &str) -> Result<Vec<u8>, PullError> {
        self.document(&format!("blobs/{digest}"), "*/*").await
    }

    /// Starts to get a blob from `offset` on.
    pub async fn blob(&self, digest: &str, offset: u64) -> Result<Response, PullError> {
        self.get(&format!("blobs/{digest}"), "*/*", offset).await
    }

    /// Sorts a failure in the middle of an answer.
    pub fn failed(&self, error: &reqwest::Error) -> PullError {
        PullError::of_request(&self.registry, error)
    }

    async fn document(&self, path: &str, accept: &str) -> Result<Vec<u8>, PullError> {
        let response = self.get(path, accept, 0).await?;
        self.body(response).await
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, PullError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > DOCUMENT_LIMIT {
                return Err(PullError::Document("a document is longer than 32 MiB"));
            }
        }
        Ok(bytes)
    }

    async fn get(&self, path: &str, accept: &str, offset: u64) -> Result<Response, PullError> {
        let url = format!("{}/v2/{}/{path}", self.base, self.repository);
        let mut asked = false;
        loop {
            let mut request = self.http.get(&url).header(ACCEPT, accept);
            let authorization = self.authorization.lock().expect("never held over a panic").clone();
            if let Some(value) = &authorization {
                request = request.header(AUTHORIZATION, value);
            }
            if offset > 0 {
                request = request.header(RANGE, format!("bytes={offset}-"));
            }
            let response = request.send().await.map_err(|error| self.failed(&error))?;
            // Once: a registry that asks again after a fresh token means no.
            if response.status() == StatusCode::UNAUTHORIZED && !asked {
                asked = true;
                let header = response.headers().get(WWW_AUTHENTICATE).and_then(|it| it.to_str().ok());
                if let Some(challenge) = header.and_then(auth::challenge) {
                    let value = self.answer(challenge).await?;
                    *self.authorization.lock().expect("never held over a panic") = Some(value);
                    continue;
                }
            }
            return self.sort(response, path);
        }
    }

    /// Answers a challenge with a value for `Authorization`.
    async fn answer(&self, challenge: Challenge) -> Result<String, PullError> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let denied = |status: StatusCode| PullError::Permission {
            registry: self.registry.clone(),
            repository: self.repository.clone(),
            status: status.as_u16(),
        };
        let (realm, service, scope) = match (challenge, &self.login) {
            (Challenge::Basic, None) => return Err(denied(StatusCode::UNAUTHORIZED)),
            (Challenge::Basic, Some(login)) => return Ok(basic(login)),
            (Challenge::Bearer { realm, service, scope }, _) => (realm, service, scope),
        };
        // A password never goes where the registry's own connection would not be.
        let secure = realm.starts_with("https://") || self.base.starts_with("http://");
        if !secure {
            return Err(PullError::Document("the registry asks for a token over a connection that is not encrypted"));
        }
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.repository));
        let mut url =
            reqwest::Url::parse(&realm).map_err(|_| PullError::Document("the registry's token address is none"))?;
        url.query_pairs_mut().extend_pairs(service.iter().map(|it| ("service", it))).append_pair("scope", &scope);
        let mut request = self.http.get(url);
        if let Some(login) = &self.login {
            request = request.header(AUTHORIZATION, basic(login));
        }
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        match response.status() {
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => return Err(denied(status)),
            status if !status.is_success() => return self.sort(response, "token").map(|_| String::new()),
            _ => {}
        }
        let token: Token = serde_json::from_slice(&self.body(response).await?)
            .map_err(|_| PullError::Document("the registry's token is damaged"))?;
        let token = token.token.or(token.access_token).ok_or(PullError::Document("the registry's token is missing"))?;
        Ok(format!("Bearer {token}"))
    }

    fn sort(&self, response: Response, path: &str) -> Result<Response, PullError> {
        let registry = self.registry.clone();
        match response.status() {
            status if status.is_success() => Ok(response),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(PullError::Permission { registry, repository: self.repository.clone(), status: status.as_u16() })
            }
            StatusCode::NOT_FOUND => {
                let name = path.rsplit('/').next().unwrap_or(path);
                Err(PullError::NotFound { registry, wanted: format!("{}:{name}", self.repository) })
            }
            StatusCode::TOO_MANY_REQUESTS => Err(PullError::RateLimit { registry }),
            status => Err(PullError::Status { registry, status: status.as_u16() }),
        }
    }
}

fn basic(login: &Login) -> String {
    format!("Basic {}", auth::to_base64(format!("{}:{}", login.username, login.password).as_bytes()))
}

/// As Docker has it: the loopback network needs no encryption.
fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.contains(']') { host } else { name });
    let name = name.trim_matches(['[', ']']);
    name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// Trusts what the host trusts, with the provider that is linked in.
fn tls(ca_file: Option<&Path>) -> Result<rustls::ClientConfig, PullError> {
    let found = || BUNDLES.iter().map(Path::new).find(|path| path.exists());
    let mut roots = rustls::RootCertStore::empty();
    if let Some(path) = ca_file.or_else(found) {
        let certificates = CertificateDer::pem_file_iter(path)
            .map_err(|error| PullError::Client(format!("cannot read `{}`: {error}", path.display())))?;
        roots.add_parsable_certificates(certificates.flatten());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| PullError::Client(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_network_is_local() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.8.8", "[::1]:5000", "[::1]"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1:5000", "registry-1.docker.io", "[fe80::1]:5000"] {
            assert!(!is_local(host), "{host}");
        }
    }
}
