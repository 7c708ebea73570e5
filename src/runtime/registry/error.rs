//! Why an image can't be pulled, told apart by what a person could do about it.

use std::path::PathBuf;

use crate::image::digest::Digest;
use crate::image::manifest::ManifestError;
use crate::image::store_error::StoreError;

/// Why an image can't be pulled.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum PullError {
    #[error("the registry's name `{registry}` is not known here")]
    Name { registry: String },
    #[error("cannot reach the registry `{registry}`: {why}")]
    Network { registry: String, why: String },
    #[error("the registry `{registry}` took too long")]
    Timeout { registry: String },
    #[error("the certificate of `{registry}` is not trusted: {why}")]
    Tls { registry: String, why: String },
    #[error("the registry `{registry}` does not let you have `{wanted}`, or it does not exist ({status}{})", told(.why))]
    Permission {
        registry: String,
        wanted: String,
        status: u16,
        why: Option<String>,
        /// A login was shown.
        login: bool,
    },
    #[error("the registry `{registry}` has no `{wanted}`")]
    NotFound { registry: String, wanted: String },
    #[error("the registry `{registry}` allows no more requests for now (429{}){}", told(.why), after(.retry_after))]
    RateLimit {
        registry: String,
        /// Seconds.
        retry_after: Option<u64>,
        why: Option<String>,
    },
    #[error("the registry `{registry}` answered {status} for `{wanted}`{}", told(.why))]
    Status { registry: String, wanted: String, status: u16, why: Option<String> },
    #[error("the settings in `{path}` are wrong: {why}")]
    Settings { path: PathBuf, why: String },
    #[error("the registry served `{found}` for `{expected}`")]
    Digest { expected: Digest, found: Digest },
    #[error("the registry served more or less than the {expected} bytes of `{digest}`")]
    Size { digest: Digest, expected: u64 },
    #[error("cannot keep what is downloaded in `{path}`")]
    Keep {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the image cannot be used: {0}")]
    Document(&'static str),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("cannot unpack layer `{digest}`")]
    Unpack {
        digest: Digest,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot start the network client: {0}")]
    Client(String),
}

impl PullError {
    /// Returns what a person could do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Name { .. } => Some("check the name, this machine's DNS, or load the image from a file".into()),
            Self::Network { .. } | Self::Timeout { .. } => {
                Some("check this machine's network and proxy settings (HTTPS_PROXY, NO_PROXY)".into())
            }
            Self::Tls { registry, .. } => Some(format!(
                "put its authority into /etc/motet/certs.d/{registry}/ca.crt (or Docker's certs.d), or name `{registry}` in \
                 `insecure-registries` of /etc/motet/config.json"
            )),
            Self::Permission { registry, login: false, .. } => {
                Some(format!("check the name; a private image needs `motet login {registry}`"))
            }
            Self::Permission { registry, login: true, .. } => {
                Some(format!("check the name, and that your login for `{registry}` may do this"))
            }
            Self::NotFound { .. } => Some("check the name and the tag".into()),
            Self::RateLimit { registry, .. } => Some(format!(
                "`motet login {registry}` for a higher limit, wait, or name a mirror in `registry-mirrors` of /etc/motet/config.json"
            )),
            Self::Keep { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("free some space: `motet system prune` removes what nothing uses".into())
            }
            Self::Status { .. }
            | Self::Settings { .. }
            | Self::Keep { .. }
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::Document(_)
            | Self::Manifest(_)
            | Self::Unpack { .. }
            | Self::Store(_)
            | Self::Client(_) => None,
        }
    }

    /// Says whether another try may do better.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Network { .. } | Self::Timeout { .. } => true,
            Self::Status { status, .. } => *status >= 500,
            Self::Name { .. }
            | Self::Tls { .. }
            | Self::Permission { .. }
            | Self::NotFound { .. }
            | Self::RateLimit { .. }
            | Self::Settings { .. }
            | Self::Keep { .. }
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::Document(_)
            | Self::Manifest(_)
            | Self::Unpack { .. }
            | Self::Store(_)
            | Self::Client(_) => false,
        }
    }

    /// Sorts a failed request.
    pub(crate) fn of_request(registry: &str, error: &reqwest::Error, insecure: bool) -> Self {
        let registry = registry.to_owned();
        let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
        let texts: Vec<String> = chain.map(ToString::to_string).collect();
        let says = |words: &[&str]| texts.iter().any(|text| words.iter().any(|word| text.contains(word)));
        // The innermost cause says most: `connection refused`.
        let why = texts.last().cloned().unwrap_or_default();
        if error.is_timeout() {
            Self::Timeout { registry }
        } else if error.is_dns() || says(&["dns error", "failed to lookup"]) {
            Self::Name { registry }
        } else if !insecure && says(&["certificate", "tls handshake", "TLS", "HandshakeFailure", "corrupt message"]) {
            Self::Tls { registry, why }
        } else {
            Self::Network { registry, why }
        }
    }
}

fn told(why: &Option<String>) -> String {
    why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
}

fn after(seconds: &Option<u64>) -> String {
    seconds.map(|seconds| format!("; it says to come again in {seconds} s")).unwrap_or_default()
}
