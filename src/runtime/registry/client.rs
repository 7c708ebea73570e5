//! One repository of one registry: its mirrors are asked first, then the registry itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, RANGE};
use reqwest::{Method, Response};

use crate::image::digest::Digest;
use crate::image::manifest::ACCEPT as ACCEPTED;
use crate::image::reference::Reference;
use crate::registry::endpoint::{Endpoint, Request, TRIES, pause_for};
use crate::registry::error::PullError;

pub use crate::registry::settings::{Proxies, Settings};

/// Talks to one repository of one registry.
#[derive(Debug)]
pub struct Client {
    /// As the reference has it.
    pub registry: String,
    /// `library/redis`
    pub repository: String,
    /// Mirrors, then the registry itself: at least one.
    endpoints: Vec<Endpoint>,
    /// The one that answered last: asked first.
    good: AtomicUsize,
}

impl Client {
    /// Prepares requests for the repository of `reference`; mirrors may answer.
    pub fn new(reference: &Reference, settings: &Arc<Settings>) -> Result<Self, PullError> {
        let registry = &reference.registry;
        let mirrors = settings.host(registry)?.mirrors;
        let mirrors = mirrors.iter().map(|mirror| Endpoint::mirror(registry, mirror, settings));
        let mut endpoints = mirrors.collect::<Result<Vec<_>, _>>()?;
        endpoints.push(Endpoint::origin(registry, settings)?);
        Ok(Self::of(reference, endpoints))
    }

    /// Prepares requests that only the registry itself may answer: pushes.
    pub fn origin(reference: &Reference, settings: &Arc<Settings>) -> Result<Self, PullError> {
        Ok(Self::of(reference, vec![Endpoint::origin(&reference.registry, settings)?]))
    }

    fn of(reference: &Reference, endpoints: Vec<Endpoint>) -> Self {
        let (registry, repository) = (reference.registry.clone(), reference.repository.clone());
        Self { registry, repository, endpoints, good: AtomicUsize::new(0) }
    }

    /// Gets a manifest by tag or digest, with its bytes as served.
    pub async fn manifest(&self, name: &str, accept: &str) -> Result<Vec<u8>, PullError> {
        self.document(&format!("manifests/{name}"), accept).await
    }

    /// Returns the digest of a manifest without fetching it, where the registry tells.
    pub async fn digest(&self, name: &str) -> Result<Digest, PullError> {
        let request = self.request(Method::HEAD, &format!("manifests/{name}")).header(ACCEPT, ACCEPTED);
        let response = self.read(&request).await?;
        let told = response.headers().get("docker-content-digest").and_then(|it| it.to_str().ok()?.parse().ok());
        match told {
            Some(digest) => Ok(digest),
            None => Ok(Digest::of(&self.manifest(name, ACCEPTED).await?)),
        }
    }

    /// Gets a small blob whole.
    pub async fn small_blob(&self, digest: &str) -> Result<Vec<u8>, PullError> {
        self.document(&format!("blobs/{digest}"), "*/*").await
    }

    /// Starts to get a blob from `offset` on; `elsewhere` are addresses that it is to be had from too.
    pub async fn blob(&self, digest: &str, offset: u64, elsewhere: &[String]) -> Result<Response, PullError> {
        let mut request = self.request(Method::GET, &format!("blobs/{digest}")).header(ACCEPT, "*/*");
        if offset > 0 {
            request = request.header(RANGE, &format!("bytes={offset}-"));
        }
        match self.read(&request).await {
            Err(error @ PullError::NotFound { .. }) => {
                for address in elsewhere {
                    let elsewhere = Request { path: address.clone(), ..request.clone() };
                    if let Ok(found) = self.read(&elsewhere).await {
                        return Ok(found);
                    }
                }
                Err(error)
            }
            other => other,
        }
    }

    /// Makes a request for something below the repository.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let name = path.rsplit('/').next().unwrap_or(path);
        let separator = if name.starts_with("sha256:") { '@' } else { ':' };
        Request::new(method, format!("{}/{path}", self.repository), format!("{}{separator}{name}", self.repository))
    }

    /// Makes a request to the registry itself.
    pub async fn send(&self, request: &Request) -> Result<Response, PullError> {
        self.last().send(request).await
    }

    /// Sorts a failure in the middle of an answer.
    pub fn failed(&self, error: &reqwest::Error) -> PullError {
        self.last().failed(error)
    }

    fn last(&self) -> &Endpoint {
        self.endpoints.last().expect("there is one at least")
    }

    async fn document(&self, path: &str, accept: &str) -> Result<Vec<u8>, PullError> {
        let request = self.request(Method::GET, path).header(ACCEPT, accept);
        let mut tries = 1;
        loop {
            let response = self.read(&request).await?;
            match self.last().body(response).await {
                // Short as it is, it may be cut off on its way.
                Err(error) if error.is_transient() && tries < TRIES => {
                    pause_for(Duration::from_millis(100 << tries)).await;
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    /// Asks whoever answered last, then those behind it: the registry's own error is the one that is told.
    async fn read(&self, request: &Request) -> Result<Response, PullError> {
        let first = self.good.load(Ordering::Relaxed);
        let mut at = first;
        loop {
            match self.endpoints[at].send(request).await {
                Ok(response) => {
                    self.good.store(at, Ordering::Relaxed);
                    return Ok(response);
                }
                Err(error) if at + 1 < self.endpoints.len() => {
                    tracing::debug!(%error, "the next address may do better");
                    at += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What drives the requests of one act.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, PullError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| PullError::Client(error.to_string()))
}
