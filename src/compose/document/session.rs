//! What one load gathers on its way: the files read, and what is wrong with them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{FileId, ReadError, Reader, SourceMap, Span};

/// Says that a pass cannot go on; the reason is among the diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// One load under way.
pub struct Session<'a> {
    /// Gives files.
    pub reader: &'a dyn Reader,
    /// The files given so far.
    pub sources: SourceMap,
    /// What was found so far.
    pub diagnostics: Vec<Diagnostic>,
    /// Files that were included so far, each time counted.
    pub included: usize,
    /// Ports that ranges unfolded into so far.
    pub ports: usize,
    /// What a later value took the place of: where the later one stands, and where the earlier ones do.
    pub shadowed: BTreeMap<Span, Vec<Span>>,
    /// What configs and secrets of included projects have from variables that only those projects see, by section and
    /// name.
    pub contents: BTreeMap<(&'static str, String), String>,
    /// Where files of variables set them, in the order of reading.
    pub variable_places: BTreeMap<String, Vec<Span>>,
    /// Where the file of variables that was read last sets them.
    pub noted: Vec<(String, Span)>,
    /// Where values stand that services have from files, by the path of each.
    pub from_files: BTreeMap<String, Span>,
    seen: HashSet<Diagnostic>,
    errors: usize,
    read: HashMap<PathBuf, FileId>,
    fetched: HashMap<String, PathBuf>,
}

/// A file that is wrong throughout is known to be after this many mistakes.
pub const MAXIMUM_DIAGNOSTICS: usize = 1000;

impl<'a> Session<'a> {
    /// Starts a load.
    pub fn new(reader: &'a dyn Reader) -> Self {
        Self {
            reader,
            sources: SourceMap::default(),
            diagnostics: Vec::new(),
            included: 0,
            shadowed: BTreeMap::new(),
            ports: 0,
            contents: BTreeMap::new(),
            variable_places: BTreeMap::new(),
            noted: Vec::new(),
            from_files: BTreeMap::new(),
            seen: HashSet::new(),
            errors: 0,
            read: HashMap::new(),
            fetched: HashMap::new(),
        }
    }

    /// Notes that the value at `over` takes the place of the one at `base`.
    pub fn shadow(&mut self, over: Span, base: Span) {
        let places = self.shadowed.entry(over).or_default();
        if over != base && !places.contains(&base) {
            places.push(base);
        }
    }

    /// Notes a mistake or warning, once.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        if diagnostic.severity == Severity::Error {
            self.errors += 1;
        }
        // Where warnings alone have filled the list, the first error must still be in it.
        let first_error = diagnostic.severity == Severity::Error && self.errors == 1;
        if (self.seen.len() < MAXIMUM_DIAGNOSTICS || first_error) && self.seen.insert(diagnostic.clone()) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Notes a mistake that ends the pass.
    pub fn stop<T>(&mut self, diagnostic: Diagnostic) -> Result<T, Stop> {
        self.report(diagnostic);
        Err(Stop)
    }

    /// Says whether an error was noted.
    pub fn failed(&self) -> bool {
        self.errors() > 0
    }

    /// Returns how many errors were noted, those that were noted before included.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Says whether an error was noted inside of `span`.
    pub fn spoke_at(&self, span: Span) -> bool {
        self.diagnostics.iter().any(|diagnostic| {
            diagnostic.severity == Severity::Error
                && diagnostic
                    .span
                    .is_some_and(|at| at.file == span.file && at.start >= span.start && at.end <= span.end)
        })
    }

    /// Reads the file at `path` into the source map, once.
    pub fn read(&mut self, path: &Path) -> Result<FileId, ReadError> {
        if let Some(known) = self.read.get(path) {
            return Ok(*known);
        }
        let text = self.reader.read(path)?;
        let id = self.sources.add(PathBuf::from(path), text);
        self.read.insert(path.to_path_buf(), id);
        Ok(id)
    }

    /// Fetches what `reference` names, once, and returns the path of the file or folder; `from` is where it is named.
    pub fn fetch(&mut self, reference: &str, from: Option<Span>) -> Result<PathBuf, Stop> {
        if let Some(known) = self.fetched.get(reference) {
            return Ok(known.clone());
        }
        match self.reader.fetch(reference) {
            Ok(path) => {
                self.fetched.insert(reference.to_owned(), path.clone());
                Ok(path)
            }
            Err(error) => {
                let message = format!("cannot fetch `{reference}`: {}", read_failure(&error));
                let mut diagnostic = Diagnostic::error(9, message);
                if let Some(span) = from {
                    diagnostic = diagnostic.at(span).label("named here");
                }
                if let ReadError::Refused(help) = error {
                    diagnostic = diagnostic.help(help);
                }
                self.stop(diagnostic)
            }
        }
    }

    /// Returns the text that `span` covers.
    pub fn text(&self, span: Span) -> &str {
        self.sources.get(span.file).and_then(|s| s.text.get(span.start as usize..span.end as usize)).unwrap_or("")
    }

    /// Returns where `needle` stands inside `span`, or all of `span`.
    pub fn within(&self, span: Span, needle: &str) -> Span {
        match self.text(span).find(needle) {
            Some(offset) if !needle.is_empty() => {
                let start = span.start + u32::try_from(offset).unwrap_or(0);
                Span { file: span.file, start, end: start + u32::try_from(needle.len()).unwrap_or(0) }
            }
            _ => span,
        }
    }
}

/// Returns what went wrong with reading, as the end of a sentence.
pub fn read_failure(error: &ReadError) -> String {
    match error {
        ReadError::NotFound => "there is no such file".into(),
        ReadError::IsDirectory => "it is a directory".into(),
        ReadError::NotAFile(what) => format!("it is {what}"),
        ReadError::Denied => "permission denied".into(),
        ReadError::NotUtf8(offset) => format!("it is not UTF-8 text (byte {offset})"),
        ReadError::TooLarge(size) => format!("{size} bytes are more than is read"),
        ReadError::Refused(_) => "remote files are not fetched unless that is allowed".into(),
        ReadError::Other(text) => text.clone(),
    }
}
