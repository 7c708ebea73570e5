//! Where text comes from: files by number, spans in them, and the reader that the caller gives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A file's number in the [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileId(pub u32);

/// A range of bytes in one file: `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// The file that the bytes are in.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A file that was read: its path as the user would write it, and its text.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path as shown to the user.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

/// Every file read for one project, so that a [`Span`] can be shown.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    sources: Vec<Source>,
}

/// A place for people: line and column, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl SourceMap {
    /// Adds a file and returns its number.
    pub fn add(&mut self, path: PathBuf, text: String) -> FileId {
        let id = FileId(u32::try_from(self.sources.len()).unwrap_or(u32::MAX));
        self.sources.push(Source { path, text });
        id
    }

    /// Returns the file with this number, if it was added here.
    pub fn get(&self, file: FileId) -> Option<&Source> {
        self.sources.get(file.0 as usize)
    }

    /// Returns the line and column where `span` starts.
    pub fn position(&self, span: Span) -> Option<Position> {
        let source = self.get(span.file)?;
        let start = (span.start as usize).min(source.text.len());
        let before = source.text.get(..start)?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Some(Position { line: u32::try_from(line).ok()?, column: u32::try_from(column).ok()? })
    }

    /// Returns every file in the order in which they were read.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }
}

/// Why the reader could not give a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// There is no such file.
    NotFound,
    /// It is a folder.
    IsDirectory,
    /// It is something else that has no text of its own: a pipe, a device, a socket.
    NotAFile(&'static str),
    /// The caller may not read it.
    Denied,
    /// The text is not UTF-8; the byte offset of the first wrong byte.
    NotUtf8(usize),
    /// Larger than the caller allows, in bytes.
    TooLarge(u64),
    /// It is remote, and the caller fetches nothing unless told to; how to tell it, as a sentence.
    Refused(String),
    /// Anything else, in the operating system's words.
    Other(String),
}

/// Says whether `text` names a file of another machine, or of a repository, that a [`Reader`] must fetch first.
pub fn is_remote(text: &str) -> bool {
    const PREFIXES: [&str; 8] = ["oci://", "git@", "git://", "https://", "http://", "ssh://", "file://", "github.com/"];
    PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

/// Reads files for `load`: the file system for the program, a map for tests and editors.
pub trait Reader {
    /// Returns the text of the file at `path` (absolute).
    fn read(&self, path: &Path) -> Result<String, ReadError>;

    /// Says whether something exists at `path` (absolute).
    fn exists(&self, path: &Path) -> bool;

    /// Returns where `path` (absolute) leads once its first symbolic link is followed; itself where there is none.
    fn follow(&self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }

    /// Fetches what [`is_remote`] (`git` or `oci://`) and returns the local path of the Compose file, or of its folder.
    ///
    /// Fetching runs programs and asks servers that the Compose file chose: a reader that was not told to do so
    /// answers [`ReadError::Refused`].
    fn fetch(&self, reference: &str) -> Result<PathBuf, ReadError>;
}

/// Files in memory, by absolute path: for editors, for tests, and wherever there is no disk.
impl Reader for BTreeMap<PathBuf, String> {
    fn read(&self, path: &Path) -> Result<String, ReadError> {
        self.get(path).cloned().ok_or(ReadError::NotFound)
    }

    fn exists(&self, path: &Path) -> bool {
        self.contains_key(path)
    }

    fn fetch(&self, reference: &str) -> Result<PathBuf, ReadError> {
        Err(ReadError::Refused(format!("only files in memory are read here; `{reference}` must be among them")))
    }
}
