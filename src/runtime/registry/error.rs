//! Why an image can't be pulled, told apart by what a person could do about it.

use crate::image::digest::Digest;
use crate::image::manifest::ManifestError;
use crate::image::store::StoreError;
use crate::snapshot::unpack::UnpackError;

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
    #[error("the registry `{registry}` does not let you have `{repository}`, or it does not exist ({status})")]
    Permission { registry: String, repository: String, status: u16 },
    #[error("the registry `{registry}` has no `{wanted}`")]
    NotFound { registry: String, wanted: String },
    #[error("the registry `{registry}` allows no more pulls for now")]
    RateLimit { registry: String },
    #[error("the registry `{registry}` answered {status}")]
    Status { registry: String, status: u16 },
    #[error("the registry served `{found}` for `{expected}`")]
    Digest { expected: Digest, found: Digest },
    #[error("the registry served more or less than the {expected} bytes of `{digest}`")]
    Size { digest: Digest, expected: u64 },
    #[error("the image cannot be used: {0}")]
    Document(&'static str),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("cannot unpack layer `{digest}`")]
    Unpack {
        digest: Digest,
        #[source]
        source: UnpackError,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot start the network client: {0}")]
    Client(String),
}

impl PullError {
    /// Returns what a person could do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Name { .. } => Some("check the name, this machine's DNS, or load the image from a file"),
            Self::Network { .. } | Self::Timeout { .. } => Some("check this machine's network and proxy settings"),
            Self::Tls { .. } => Some("name the file of the certificate authority in SSL_CERT_FILE"),
            Self::Permission { .. } => Some("check the name; a private image needs a login in ~/.docker/config.json"),
            Self::NotFound { .. } => Some("check the name and the tag"),
            Self::RateLimit { .. } => Some("wait, or log in"),
            Self::Status { .. }
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
    pub(crate) fn of_request(registry: &str, error: &reqwest::Error) -> Self {
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
        } else if says(&["certificate", "tls handshake", "TLS"]) {
            Self::Tls { registry, why }
        } else {
            Self::Network { registry, why }
        }
    }
}
