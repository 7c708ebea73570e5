//! The file system as a Reader: ready-made for the program, the one place of this crate that touches a disk.

use std::fs::FileType;
use std::io::Read as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crate::source::{ReadError, Reader};

/// The file system as a [`Reader`].
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSystem;

/// Files larger than this, in bytes, are refused: Compose files are small, and whatever is larger was not meant.
pub const MAXIMUM_SIZE: u64 = 64 * 1024 * 1024;

impl Reader for FileSystem {
    fn read(&self, path: &Path) -> Result<String, ReadError> {
        let metadata = std::fs::metadata(path).map_err(ReadError::from)?;
        if metadata.is_dir() {
            return Err(ReadError::IsDirectory);
        }
        // A pipe without a writer and a device without an end would be waited for in vain. A descriptor that the
        // caller opened, as in `-f <(...)`, has its other end.
        if !metadata.is_file() && !is_descriptor(path) {
            return Err(ReadError::NotAFile(kind(metadata.file_type())));
        }
        if metadata.len() > MAXIMUM_SIZE {
            return Err(ReadError::TooLarge(metadata.len()));
        }
        let file = std::fs::File::open(path).map_err(ReadError::from)?;
        let mut bytes = Vec::new();
        file.take(MAXIMUM_SIZE + 1).read_to_end(&mut bytes).map_err(ReadError::from)?;
        if bytes.len() as u64 > MAXIMUM_SIZE {
            return Err(ReadError::TooLarge(bytes.len() as u64));
        }
        decode(bytes)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn follow(&self, path: &Path) -> PathBuf {
        let mut prefixes: Vec<&Path> = path.ancestors().collect();
        prefixes.reverse();
        let is_link = |prefix: &&&Path| prefix.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        let Some(link) = prefixes.iter().find(is_link) else { return path.to_path_buf() };
        match (link.canonicalize(), path.strip_prefix(link)) {
            (Ok(target), Ok(rest)) if rest.as_os_str().is_empty() => target,
            (Ok(target), Ok(rest)) => target.join(rest),
            // A link that leads nowhere stays: what uses the path will say so.
            (Err(_), _) | (_, Err(_)) => path.to_path_buf(),
        }
    }

    fn fetch(&self, reference: &str) -> Result<PathBuf, ReadError> {
        Err(ReadError::Refused(format!("copy what `{reference}` names to this machine, and name the copy")))
    }
}

/// ELOOP of Linux; std has no stable name for it.
const LINK_LOOP: i32 = 40;

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::NotFound,
            std::io::ErrorKind::IsADirectory => Self::IsDirectory,
            std::io::ErrorKind::PermissionDenied => Self::Denied,
            _ if error.raw_os_error() == Some(LINK_LOOP) => {
                Self::Other("too many links lead to each other (symbolic link loop)".into())
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

fn is_descriptor(path: &Path) -> bool {
    ["/dev/fd", "/dev/stdin", "/proc/self/fd"].iter().any(|place| path.starts_with(place))
}

fn kind(file: FileType) -> &'static str {
    if file.is_fifo() {
        "a named pipe"
    } else if file.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// UTF-8, or UTF-16 where its byte order mark says so, as the YAML specification has it (section 5.2).
fn decode(bytes: Vec<u8>) -> Result<String, ReadError> {
    let wide = |pair: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|two| pair([two[0], two[1]])).collect();
        String::from_utf16(&units).map_err(|_| ReadError::NotUtf8(0))
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => String::from_utf8(bytes).map_err(|error| ReadError::NotUtf8(error.utf8_error().valid_up_to())),
    }
}
