//! One file onto the tree.

use std::path::Path as FilePath;

use crate::assemble::model::Scope;
use crate::assemble::{extends, include, merge, unicity};
use crate::canonical::expand;
use crate::check::schema;
use crate::diagnostic::Diagnostic;
use crate::document::node::{Mapping, Node, Value};
use crate::document::parse::{self, Document};
use crate::document::path::{Path, Place, Segment};
use crate::document::session::{Session, Stop, read_failure};
use crate::interpolate::apply;
use crate::source::{FileId, Span};

/// A file that was read and parsed.
#[derive(Debug, Clone)]
pub struct ParsedFile {
    /// Its number.
    pub id: FileId,
    /// Absolute path, or `-`.
    pub path: std::path::PathBuf,
    /// Its documents, of which later ones lie over earlier ones.
    pub documents: Vec<Document>,
}

/// Reads and parses the file at `path`; `from` is where it is named.
pub fn read(session: &mut Session<'_>, path: &FilePath, from: Option<Span>) -> Result<ParsedFile, Stop> {
    let id = match session.read(path) {
        Ok(id) => id,
        Err(error) => {
            let message = format!("cannot read `{}`: {}", path.display(), read_failure(&error));
            let mut diagnostic = Diagnostic::error(6, message);
            if let Some(span) = from {
                diagnostic = diagnostic.at(span).label("named here");
            }
            return session.stop(diagnostic);
        }
    };
    parsed(session, id, path)
}

/// Parses a file that was read.
pub fn parsed(session: &mut Session<'_>, id: FileId, path: &FilePath) -> Result<ParsedFile, Stop> {
    let documents = parse::parse(session, id)?;
    Ok(ParsedFile { id, path: path.to_path_buf(), documents })
}

/// Lays every document of `file` over `base`.
pub fn lay(
    session: &mut Session<'_>,
    mut base: Node,
    file: ParsedFile,
    scope: &Scope<'_>,
    included: &mut Vec<std::path::PathBuf>,
) -> Result<Node, Stop> {
    for document in file.documents {
        let mut root = interpolated(session, document.root, scope)?;
        extends::apply(session, &mut root, &file.path, scope, &document.resets)?;
        clear(&mut base, &document.resets);
        include::apply(session, &mut root, &file.path, scope, included)?;
        base = merge::merge(session, base, root, &Place::ROOT)?;
        unicity::enforce(session, &mut base, &Place::ROOT);
        schema::check(session, &base);
        if let Some(version) = base.as_mapping_mut().and_then(|root| root.remove("version")) {
            obsolete(session, version.key_span);
        }
        expand::expand(session, &mut base, !scope.options.interpolate);
        // A range of ports may meet one that an override names.
        unicity::enforce(session, &mut base, &Place::ROOT);
    }
    Ok(base)
}

/// Returns the tree of a document with its references replaced.
pub fn interpolated(session: &mut Session<'_>, mut root: Node, scope: &Scope<'_>) -> Result<Node, Stop> {
    if root.as_mapping().is_none() {
        let found = if root.is_null() { "this one is empty".to_owned() } else { format!("this is {}", root.kind()) };
        return session.stop(
            Diagnostic::error(117, format!("a Compose file is a mapping with `services`, and {found}"))
                .at(root.span)
                .label("here"),
        );
    }
    if scope.options.interpolate {
        apply::apply(session, &mut root, scope.variables);
    }
    Ok(root)
}

fn obsolete(session: &mut Session<'_>, span: Span) {
    session.report(
        Diagnostic::warning(118, "`version` says nothing any more and is ignored")
            .at(span)
            .label("obsolete")
            .help("remove the line"),
    );
}

/// Takes out what `resets` name.
pub fn clear(root: &mut Node, resets: &[Path]) {
    for reset in resets {
        clear_one(root, reset.segments());
    }
}

fn clear_one(node: &mut Node, segments: &[Segment]) {
    let [Segment::Key(key), rest @ ..] = segments else { return };
    let Some(mapping) = node.as_mapping_mut() else { return };
    if rest.is_empty() {
        mapping.remove(key);
    } else if let Some(child) = mapping.get_mut(key) {
        clear_one(child, rest);
    }
}

/// Returns an empty tree for `file` to be laid over.
pub fn empty(file: FileId) -> Node {
    Node::new(Value::Mapping(Mapping::default()), Span { file, start: 0, end: 0 })
}
