//! One address of a registry: its scheme is found out, challenges are answered, and what may go better next time is tried again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::registry::auth::{self, Challenge};
use crate::registry::connection;
use crate::registry::credentials::{self, Credential};
use crate::registry::error::PullError;
use crate::registry::settings::{HostSettings, Settings, is_loopback};

/// Tries of one request.
pub(crate) const TRIES: u32 = 4;
/// Nobody waits longer than this for a registry that says when to come again.
const LONGEST_WAIT: u64 = 60;
/// Longest manifest, config or token.
const DOCUMENT_LIMIT: usize = 32 << 20;

/// One address.
#[derive(Debug)]
pub struct Endpoint {
    http: reqwest::Client,
    /// Host and port, and a path before `/v2/` where a mirror has one.
    address: String,
    scheme: OnceCell<&'static str>,
    insecure: bool,
    /// The registry, as references name it.
    registry: String,
    settings: Arc<Settings>,
    /// Whose login it is given.
    login: String,
    credential: OnceCell<Option<Credential>>,
    /// The `Authorization` that worked last.
    authorization: Mutex<Option<String>>,
}

/// A request that can be made again.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`
    pub method: Method,
    /// Behind `/v2/`, or a whole address that the registry has given.
    pub path: String,
    /// What is said besides.
    pub headers: HeaderMap,
    /// What is sent.
    pub body: Option<Vec<u8>>,
    /// What is asked for, for errors: `me/app:1`.
    pub wanted: String,
}

impl Request {
    /// Makes a request without body.
    pub fn new(method: Method, path: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: None, wanted: wanted.into() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: reqwest::header::HeaderName, value: &str) -> Self {
        if let Ok(value) = value.parse() {
            self.headers.insert(name, value);
        }
        self
    }
}

impl Endpoint {
    /// Prepares requests to the registry itself.
    pub fn origin(registry: &str, settings: &Arc<Settings>) -> Result<Self, PullError> {
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let configured = settings.host(registry)?;
        Self::new(registry, host.to_owned(), None, &configured, settings)
    }

    /// Prepares requests to a mirror of `registry`: `https://mirror.example:5000/path`, or without scheme.
    pub fn mirror(registry: &str, mirror: &str, settings: &Arc<Settings>) -> Result<Self, PullError> {
        let (scheme, rest) = match mirror.split_once("://") {
            Some(("http", rest)) => (Some("http"), rest),
            Some(("https", rest)) => (Some("https"), rest),
            Some(_) => return Err(PullError::Client(format!("`{mirror}` is no address of a mirror"))),
            None => (None, mirror),
        };
        let address = rest.trim_end_matches('/').to_owned();
        let host = address.split('/').next().unwrap_or_default();
        let configured = settings.host(host)?;
        Self::new(registry, address, scheme, &configured, settings)
    }

    fn new(
        registry: &str,
        address: String,
        scheme: Option<&'static str>,
        configured: &HostSettings,
        settings: &Arc<Settings>,
    ) -> Result<Self, PullError> {
        let host = address.split('/').next().unwrap_or_default().to_owned();
        // A private authority, or a client certificate, is of no use without TLS.
        let trusted = !configured.authorities.is_empty() || configured.identity.is_some();
        let scheme = scheme.or_else(|| (trusted || !configured.insecure).then_some("https"));
        Ok(Self {
            http: connection::open(&host, configured, settings)?,
            scheme: OnceCell::new_with(scheme),
            insecure: configured.insecure && !trusted,
            registry: registry.to_owned(),
            settings: Arc::clone(settings),
            login: if host == "registry-1.docker.io" { "docker.io".to_owned() } else { host },
            address,
            credential: OnceCell::new(),
            authorization: Mutex::new(None),
        })
    }

    /// Uses this login instead of the stored one.
    #[must_use]
    pub fn with_credential(mut self, credential: Credential) -> Self {
        self.credential = OnceCell::new_with(Some(Some(credential)));
        self
    }

    /// Makes a request; any success is returned, everything else sorted into errors.
    pub async fn send(&self, request: &Request) -> Result<Response, PullError> {
        let mut tries = 1;
        loop {
            let (error, wait) = match self.once(request).await {
                Ok(response) if response.status() == StatusCode::TOO_MANY_REQUESTS => {
                    let seconds = retry_after(&response);
                    (self.refusal(response, request).await, seconds.filter(|it| *it <= LONGEST_WAIT))
                }
                Ok(response) if response.status().is_server_error() => {
                    let seconds = retry_after(&response).filter(|it| *it <= LONGEST_WAIT);
                    (self.refusal(response, request).await, Some(seconds.unwrap_or(0)))
                }
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => return Err(self.refusal(response, request).await),
                Err(error) if error.is_transient() => (error, Some(0)),
                Err(error) => return Err(error),
            };
            match wait {
                Some(seconds) if tries < TRIES => {
                    tracing::debug!(%error, seconds, "asking again");
                    let pause = Duration::from_millis(100 << tries).max(Duration::from_secs(seconds));
                    pause_for(pause).await;
                    tries += 1;
                }
                Some(_) | None => return Err(error),
            }
        }
    }

    /// Makes a request once, with an answer to the registry's challenge.
    async fn once(&self, request: &Request) -> Result<Response, PullError> {
        let url = self.url(&request.path).await?;
        let mut asked = false;
        loop {
            let mut sent = self.http.request(request.method.clone(), url.clone()).headers(request.headers.clone());
            let authorization = self.authorization.lock().expect("never held over a panic").clone();
            // Uploads may go elsewhere: what opens the registry is not shown there.
            if let Some(value) = authorization.as_ref().filter(|_| self.is_own(&url)) {
                sent = sent.header(AUTHORIZATION, value);
            }
            if let Some(body) = &request.body {
                sent = sent.body(body.clone());
            }
            let response = sent.send().await.map_err(|error| self.failed(&error))?;
            // Once: a registry that asks again after a fresh token means no.
            if response.status() == StatusCode::UNAUTHORIZED && !asked && self.is_own(&url) {
                asked = true;
                let headers = response.headers().get_all(WWW_AUTHENTICATE).iter();
                let challenge = headers.filter_map(|it| it.to_str().ok()).find_map(auth::challenge);
                if let Some(challenge) = challenge {
                    let value = self.answer(challenge, request).await?;
                    *self.authorization.lock().expect("never held over a panic") = Some(value);
                    continue;
                }
            }
            return Ok(response);
        }
    }

    fn is_own(&self, url: &reqwest::Url) -> bool {
        let host = self.address.split('/').next().unwrap_or_default();
        let own = self.scheme.get().and_then(|scheme| reqwest::Url::parse(&format!("{scheme}://{host}")).ok());
        own.is_some_and(|own| own.origin() == url.origin())
    }

    async fn url(&self, path: &str) -> Result<reqwest::Url, PullError> {
        let scheme = self.scheme.get_or_try_init(|| self.find_scheme()).await?;
        let whole = match path {
            // A registry behind a proxy that ends its TLS may not know that it is reached by https.
            whole if whole.starts_with(&format!("http://{}/", self.address)) => {
                format!("{scheme}{}", &whole["http".len()..])
            }
            whole if whole.starts_with("http://") || whole.starts_with("https://") => whole.to_owned(),
            below if below.starts_with('/') => {
                let host = self.address.split('/').next().unwrap_or_default();
                format!("{scheme}://{host}{below}")
            }
            below => format!("{scheme}://{}/v2/{below}", self.address),
        };
        reqwest::Url::parse(&whole).map_err(|_| PullError::Document("the registry gave an address that is none"))
    }

    /// What may speak plain http is asked which it does. Nothing secret is said while that is open.
    async fn find_scheme(&self) -> Result<&'static str, PullError> {
        // On this machine plain http is the rule, and a server without TLS may wait long for the end of a TLS greeting.
        let order = if is_loopback(&self.address) { ["http", "https"] } else { ["https", "http"] };
        let mut last = None;
        for scheme in order {
            match self.http.get(format!("{scheme}://{}/v2/", self.address)).send().await {
                // How servers that want TLS answer plain http.
                Ok(response) if scheme == "http" && response.status() == StatusCode::BAD_REQUEST => {}
                Ok(_) => return Ok(scheme),
                Err(error) => {
                    let error = self.failed(&error);
                    tracing::debug!(%error, scheme, "another scheme may do better");
                    // Of the first, unless the second says more than that nobody is there.
                    last = last.or(Some(error));
                }
            }
        }
        last.map_or(Ok("https"), Err)
    }

    async fn credential(&self) -> Option<&Credential> {
        let look = async || {
            let (settings, login) = (Arc::clone(&self.settings), self.login.clone());
            // A helper is a program, which may take its time.
            let found = tokio::task::spawn_blocking(move || credentials::find(&settings, &login));
            found.await.unwrap_or_default()
        };
        self.credential.get_or_init(look).await.as_ref()
    }

    /// Answers a challenge with a value for `Authorization`.
    async fn answer(&self, challenge: Challenge, request: &Request) -> Result<String, PullError> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let credential = self.credential().await;
        let denied = |status: StatusCode, why: Option<String>| PullError::Permission {
            registry: self.registry.clone(),
            wanted: request.wanted.clone(),
            status: status.as_u16(),
            why,
            login: credential.is_some(),
        };
        let (realm, service, scope) = match (challenge, credential) {
            (Challenge::Basic, credential) => {
                let value = credential.and_then(Credential::basic);
                return value.ok_or_else(|| denied(StatusCode::UNAUTHORIZED, None));
            }
            (Challenge::Bearer { .. }, Some(Credential::Bearer(token))) => return Ok(format!("Bearer {token}")),
            (Challenge::Bearer { realm, service, scope }, _) => (realm, service, scope),
        };
        // A password never goes where the registry's own connection would not be.
        if !realm.starts_with("https://") && self.scheme.get() != Some(&"http") {
            return Err(PullError::Document("the registry asks for a token over a connection that is not encrypted"));
        }
        let none = |_| PullError::Document("the registry's token address is none");
        let mut url = reqwest::Url::parse(&realm).map_err(none)?;
        let scopes: Vec<&str> = scope.iter().flat_map(|scope| scope.split(' ')).collect();
        let sent = if let Some(Credential::Identity(token)) = credential {
            let mut form = reqwest::Url::parse("form:").map_err(none)?;
            form.query_pairs_mut()
                .append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", token)
                .append_pair("client_id", "motet")
                .append_pair("scope", &scopes.join(" "))
                .extend_pairs(service.iter().map(|it| ("service", it)));
            let body = form.query().unwrap_or_default().to_owned();
            self.http.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
        } else {
            url.query_pairs_mut().extend_pairs(service.iter().map(|it| ("service", it)));
            url.query_pairs_mut().extend_pairs(scopes.iter().map(|it| ("scope", it)));
            let request = self.http.get(url);
            match credential.and_then(Credential::basic) {
                Some(value) => request.header(AUTHORIZATION, value),
                None => request,
            }
        };
        let response = sent.send().await.map_err(|error| self.failed(&error))?;
        match response.status() {
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(denied(status, said(&self.body(response).await.unwrap_or_default())));
            }
            status if !status.is_success() => return Err(self.refusal(response, request).await),
            _ => {}
        }
        let token: Token = serde_json::from_slice(&self.body(response).await?)
            .map_err(|_| PullError::Document("the registry's token is damaged"))?;
        let token = token.token.or(token.access_token).ok_or(PullError::Document("the registry's token is missing"))?;
        Ok(format!("Bearer {token}"))
    }

    /// Reads a document whole.
    pub async fn body(&self, mut response: Response) -> Result<Vec<u8>, PullError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > DOCUMENT_LIMIT {
                return Err(PullError::Document("a document is longer than 32 MiB"));
            }
        }
        Ok(bytes)
    }

    /// Sorts a failure on the way.
    pub fn failed(&self, error: &reqwest::Error) -> PullError {
        PullError::of_request(&self.login, error, self.insecure)
    }

    /// Sorts an answer that is no success.
    async fn refusal(&self, response: Response, request: &Request) -> PullError {
        let (registry, wanted) = (self.registry.clone(), request.wanted.clone());
        let (status, retry_after) = (response.status(), retry_after(&response));
        let why = said(&self.body(response).await.unwrap_or_default());
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let login = self.credential.get().is_some_and(Option::is_some);
                PullError::Permission { registry, wanted, status: status.as_u16(), why, login }
            }
            StatusCode::NOT_FOUND => PullError::NotFound { registry, wanted },
            StatusCode::TOO_MANY_REQUESTS => PullError::RateLimit { registry, retry_after, why },
            status => PullError::Status { registry, wanted, status: status.as_u16(), why },
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "back-off before a registry is asked again; there is no event to wait for"
)]
pub(crate) async fn pause_for(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Seconds; a date is taken for long.
fn retry_after(response: &Response) -> Option<u64> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    Some(value.trim().parse().unwrap_or(LONGEST_WAIT + 1))
}

/// The first sentence of the distribution API's error document.
fn said(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        message: String,
    }
    let errors: Errors = serde_json::from_slice(body).ok()?;
    let message = errors.errors.into_iter().next()?.message;
    // It is printed: one line, and no control characters.
    let clean: String = message.chars().filter(|c| !c.is_control()).take(300).collect();
    (!clean.is_empty()).then_some(clean)
}
