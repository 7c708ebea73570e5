//! The engine's API: the version agreed on, bollard over our connections, and the calls that bollard can't make.

use std::sync::Arc;
use std::time::Duration;

use bollard::{BollardRequest, ClientVersion, Docker};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::docker::fault::{Fault, Version};
use crate::docker::place::DockerSettings;
use crate::docker::transport::{Body, Transport};

/// The oldest API that is spoken.
const OLDEST: Version = Version(1, 41);
/// How long a call may take that only looks.
pub(crate) const LOOK: Duration = Duration::from_secs(60);
/// How long the first word of an engine may take.
const HELLO: Duration = Duration::from_secs(15);
/// Longer than any act: bollard wants a limit.
const FOR_EVER: u64 = 10 * 365 * 24 * 3600;

/// A stream that a call was turned into.
pub(crate) type Taken = TokioIo<hyper::upgrade::Upgraded>;

/// What was agreed on with the engine.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) docker: Docker,
    pub(crate) version: Version,
}

/// Speaks with one engine.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) transport: Arc<Transport>,
    cap: Option<Version>,
    api: Arc<OnceCell<Api>>,
}

/// Escapes what stands in a path or query.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

/// Writes a query: `?a=1&b=2`.
pub(crate) fn query(pairs: &[(&str, String)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

impl Client {
    /// Makes a client; nothing is connected yet.
    pub(crate) fn new(settings: &DockerSettings, transport: Transport) -> Self {
        let cap = settings.api_version.as_deref().and_then(Version::parse);
        Self { transport: Arc::new(transport), cap, api: Arc::new(OnceCell::new()) }
    }

    /// Returns what was agreed on, asking the engine the first time.
    pub(crate) async fn api(&self) -> Result<&Api, Fault> {
        self.api.get_or_try_init(|| self.agree()).await
    }

    async fn agree(&self) -> Result<Api, Fault> {
        let answer = within(HELLO, self.raw(Method::GET, "/_ping", None, bollard::body_full(Bytes::new()))).await?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let theirs = header("Api-Version").and_then(Version::parse).ok_or_else(|| Fault::Broken {
            why: format!("what answers at `{}` is no Docker Engine: it tells no API version", self.transport.place),
        })?;
        let _ = answer.into_body().collect().await;
        if theirs < OLDEST {
            return Err(Fault::TooOld { attribute: "motet".to_owned(), needs: OLDEST, has: theirs });
        }
        let ours = bollard::API_DEFAULT_VERSION;
        let ours = Version(ours.major_version, ours.minor_version);
        let version = theirs.min(ours).min(self.cap.unwrap_or(ours)).max(OLDEST);
        let transport = Arc::clone(&self.transport);
        let send = move |request: BollardRequest| {
            let transport = Arc::clone(&transport);
            async move { transport.send(request).await.map_err(bollard::errors::Error::from) }
        };
        let spoken = ClientVersion { major_version: version.0, minor_version: version.1 };
        let docker = Docker::connect_with_custom_transport(send, Some("http://docker"), FOR_EVER, &spoken)?;
        Ok(Api { docker, version })
    }

    /// Says that `attribute` can't be had when the engine is older than `needs`.
    pub(crate) async fn require(&self, attribute: &str, needs: Version) -> Result<(), Fault> {
        let has = self.api().await?.version;
        if has < needs { Err(Fault::TooOld { attribute: attribute.to_owned(), needs, has }) } else { Ok(()) }
    }

    /// Sends a request whose path is as it is, without a version; the engine's refusal is a fault.
    async fn raw(
        &self,
        method: Method,
        path: &str,
        content: Option<&str>,
        body: Body,
    ) -> Result<Response<Incoming>, Fault> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(content) = content {
            request = request.header(CONTENT_TYPE, content);
        }
        let request = request.body(body).map_err(|error| Fault::Broken { why: error.to_string() })?;
        refusal(self.transport.send(request).await?).await
    }

    /// Sends a request and returns the answer, whose body is still to be read.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        content: Option<&str>,
        body: Body,
    ) -> Result<Response<Incoming>, Fault> {
        let path = format!("/v{}{path}", self.api().await?.version);
        self.raw(method, &path, content, body).await
    }

    /// As [`Client::call`] with more headers.
    pub(crate) async fn call_with(
        &self,
        mut request: hyper::http::request::Builder,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Response<Incoming>, Fault> {
        request = request.method(method).uri(format!("/v{}{path}", self.api().await?.version));
        let request = request.body(body).map_err(|error| Fault::Broken { why: error.to_string() })?;
        refusal(self.transport.send(request).await?).await
    }

    /// Asks for a document.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Fault> {
        let asked = async {
            let answer = self.call(Method::GET, path, None, bollard::body_full(Bytes::new())).await?;
            document(answer).await
        };
        within(LOOK, asked).await
    }

    /// Sends a document and returns the answer's.
    pub(crate) async fn post(&self, path: &str, document_sent: &Value) -> Result<Value, Fault> {
        let body = bollard::body_full(Bytes::from(document_sent.to_string()));
        let answer = self.call(Method::POST, path, Some("application/json"), body).await?;
        document(answer).await
    }

    /// Makes a call that becomes a stream both ways.
    pub(crate) async fn take(&self, path: &str, headers: &[(&str, String)], body: Body) -> Result<Taken, Fault> {
        let version = self.api().await?.version;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("/v{version}{path}"))
            .header(CONNECTION, "Upgrade")
            .header(CONTENT_TYPE, "application/json");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade")) {
            request = request.header(UPGRADE, "tcp");
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(body).map_err(|error| Fault::Broken { why: error.to_string() })?;
        let answer = refusal(self.transport.send(request).await?).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Fault::Broken {
                why: format!("the Docker Engine made no stream of `{path}`, it answered {}", answer.status()),
            });
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(|error| Fault::of_hyper(&error))?;
        Ok(TokioIo::new(upgraded))
    }
}

/// Waits for what should be quick.
pub(crate) async fn within<T>(limit: Duration, asked: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(Fault::Silent { after: limit }),
    }
}

/// Makes a fault of an answer that is a refusal.
async fn refusal(answer: Response<Incoming>) -> Result<Response<Incoming>, Fault> {
    let status = answer.status();
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS || status == StatusCode::NOT_MODIFIED {
        return Ok(answer);
    }
    let body = answer.into_body().collect().await.map_err(|error| Fault::of_hyper(&error))?.to_bytes();
    let message = match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(fields)) => fields.get("message").and_then(Value::as_str).map(str::to_owned),
        Ok(_) | Err(_) => None,
    };
    let message = message.unwrap_or_else(|| String::from_utf8_lossy(&body).trim().to_owned());
    let message = if message.is_empty() { format!("the Docker Engine answered {status}") } else { message };
    Err(Fault::Refused { status: status.as_u16(), message })
}

/// Reads a whole answer; an empty one is `null`.
async fn document(answer: Response<Incoming>) -> Result<Value, Fault> {
    let body = answer.into_body().collect().await.map_err(|error| Fault::of_hyper(&error))?.to_bytes();
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body)
        .map_err(|error| Fault::Broken { why: format!("the Docker Engine's answer can't be read: {error}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        assert_eq!(query(&[("a", "x y".into()), ("b", "{\"k\":1}".into())]), "?a=x%20y&b=%7B%22k%22%3A1%7D");
        assert_eq!(query(&[]), "");
    }
}
