//! The file system as a Reader: ready-made for the program, the one place of this crate that touches a disk.

use std::path::{Path, PathBuf};

use crate::source::{ReadError, Reader};

/// The file system as a [`Reader`].
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSystem;

/// Compose files are small; whatever is larger was not meant.
const MAXIMUM_SIZE: u64 = 64 * 1024 * 1024;

impl Reader for FileSystem {
    fn read(&self, path: &Path) -> Result<String, ReadError> {
        let length = std::fs::metadata(path).map_err(ReadError::from)?.len();
        if length > MAXIMUM_SIZE {
            return Err(ReadError::TooLarge(length));
        }
        let bytes = std::fs::read(path).map_err(ReadError::from)?;
        String::from_utf8(bytes).map_err(|error| ReadError::NotUtf8(error.utf8_error().valid_up_to()))
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn fetch(&self, reference: &str) -> Result<PathBuf, ReadError> {
        Err(ReadError::Other(format!("`{reference}` is remote, and only local files are read here")))
    }
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::NotFound,
            std::io::ErrorKind::IsADirectory => Self::IsDirectory,
            std::io::ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Other(error.to_string()),
        }
    }
}
