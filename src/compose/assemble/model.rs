//! A set of files to one tree: the project's own, and each that `include` names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::assemble::file::{self, ParsedFile};
use crate::canonical::{defaults, paths};
use crate::check::values;
use crate::document::node::Node;
use crate::document::session::{Session, Stop};
use crate::request::Passes;
use crate::source::FileId;

/// What files are read in the light of.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Folder that relative paths start from.
    pub directory: &'a Path,
    /// What references see.
    pub variables: &'a BTreeMap<String, String>,
    /// Passes that may be left out.
    pub options: Passes,
}

impl<'a> Scope<'a> {
    /// Returns where paths start from.
    pub fn base(&self) -> paths::Base<'a> {
        paths::Base { directory: self.directory, home: self.variables.get("HOME").map(String::as_str) }
    }
}

/// Lays `files` over each other, and fills in and resolves what the tree says.
pub fn load(
    session: &mut Session<'_>,
    files: Vec<ParsedFile>,
    scope: &Scope<'_>,
    included: &[PathBuf],
) -> Result<Node, Stop> {
    let mut root = file::empty(files.first().map_or(FileId(0), |file| file.id));
    for file in files {
        let mut chain = included.to_vec();
        root = file::lay(session, root, file, scope, &mut chain)?;
    }
    defaults::fill(&mut root);
    values::check(session, &root);
    if scope.options.resolve_paths {
        paths::resolve(&mut root, scope.base());
        paths::follow(&mut root, session.reader);
    }
    Ok(root)
}
