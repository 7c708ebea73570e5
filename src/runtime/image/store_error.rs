//! Why the store could not do what it was asked.

use std::io;
use std::path::PathBuf;

use crate::image::digest::Digest;
use crate::image::reference::ReferenceError;
use crate::state::record::RecordError;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum StoreError {
    #[error("cannot {act} `{path}`")]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error("`{path}` is damaged: its content has another digest")]
    Damaged { path: PathBuf },
    #[error("the config of the image is damaged")]
    Config(#[source] serde_json::Error),
    #[error("layer `{0}` is not in the store")]
    NoLayer(Digest),
    #[error("no image `{0}`")]
    NoImage(String),
    #[error("`{prefix}` names several images")]
    Ambiguous { prefix: String },
    #[error("image `{image}` is used by container `{container}`")]
    InUse { image: String, container: String },
    #[error("image `{image}` has several references: {references}")]
    ManyReferences { image: String, references: String },
}
