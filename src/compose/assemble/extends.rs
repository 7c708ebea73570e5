//! `extends`: a service laid over another, of this file or of another one.

use std::collections::HashMap;
use std::path::{Path as FilePath, PathBuf};

use crate::assemble::file;
use crate::assemble::merge;
use crate::assemble::model::Scope;
use crate::assemble::unicity;
use crate::canonical::{expand, paths};
use crate::diagnostic::Diagnostic;
use crate::document::node::{Entry, Mapping, Node, Value};
use crate::document::path::{Path, Place, Segment};
use crate::document::session::{Session, Stop};
use crate::environment::discovery;
use crate::source::Span;

/// How many services may extend one another in a row.
pub const MAXIMUM_CHAIN: usize = 100;

/// A file's services, and the places that its resets clear.
struct Services {
    path: PathBuf,
    directory: PathBuf,
    services: Mapping,
    resets: Vec<Path>,
}

/// Extends every service of `root`, which is the file at `path`.
pub fn apply(
    session: &mut Session<'_>,
    root: &mut Node,
    path: &FilePath,
    scope: &Scope<'_>,
    resets: &[Path],
) -> Result<(), Stop> {
    let Some(section) = root.as_mapping_mut().and_then(|root| root.get_mut("services")) else { return Ok(()) };
    let span = section.span;
    let Some(services) = section.as_mapping_mut() else {
        let message = format!("`services` is a mapping of names to services, and this is {}", section.kind());
        return session.stop(Diagnostic::error(303, message).at(span).label("not a mapping"));
    };
    let is_extending = |entry: &Entry| entry.value.get("extends").is_some();
    if !services.iter().any(is_extending) {
        return Ok(());
    }
    // A service may extend one that stands behind it: all stay as they were written until the last is extended.
    let file = Services {
        path: path.to_path_buf(),
        directory: scope.directory.to_path_buf(),
        services: std::mem::take(services),
        resets: resets.to_vec(),
    };
    let mut walk = Walk { scope, files: HashMap::new(), trail: Vec::new() };
    let mut extended = Vec::new();
    for entry in file.services.iter().filter(|entry| is_extending(entry)) {
        extended.push(walk.extended(session, &file, &entry.key)?);
    }
    let mut extended = extended.into_iter();
    *services = file.services;
    for entry in services.iter_mut().filter(|entry| is_extending(entry)) {
        entry.value = extended.next().expect("there is one for each");
    }
    Ok(())
}

struct Walk<'a> {
    scope: &'a Scope<'a>,
    files: HashMap<PathBuf, std::rc::Rc<Services>>,
    trail: Vec<(PathBuf, String, Span)>,
}

impl Walk<'_> {
    fn extended(&mut self, session: &mut Session<'_>, file: &Services, name: &str) -> Result<Node, Stop> {
        let Some(node) = file.services.get(name) else { return Err(Stop) };
        let Some(extends) = node.get("extends") else { return Ok(node.clone()) };
        if let Some(start) = self.trail.iter().position(|(path, at, _)| *path == file.path && at == name) {
            return self.cycle(session, start, extends.span);
        }
        if self.trail.len() >= MAXIMUM_CHAIN {
            let message = format!("services extend each other in a chain of more than {MAXIMUM_CHAIN}");
            return session.stop(Diagnostic::error(312, message).at(extends.span).label("too far by here"));
        }
        self.trail.push((file.path.clone(), name.to_owned(), extends.span));
        let (other, target) = match (extends.as_str(), extends.get("service")) {
            (Some(target), _) => (None, target.to_owned()),
            (None, Some(service)) if service.as_str().is_some() => (extends.get("file"), service.plain()),
            _ => {
                return session.stop(
                    Diagnostic::error(304, format!("`extends` of `{name}` does not say which service"))
                        .at(extends.span)
                        .label("no `service`")
                        .help("write `extends: {service: NAME}`"),
                );
            }
        };
        let base = match other {
            Some(other) if !other.is_null() => {
                let other = self.other(session, file, other)?;
                self.known(session, &other, &target, extends)?;
                self.extended(session, &other, &target)?
            }
            _ => {
                self.known(session, file, &target, extends)?;
                self.extended(session, file, &target)?
            }
        };
        self.trail.pop();
        if base.is_null() {
            return Ok(node.clone());
        }
        let own = node.as_mapping().into_iter().flat_map(Mapping::iter).filter(|entry| entry.key != "extends");
        let service = Node { value: Value::Mapping(own.cloned().collect()), ..Node::new(Value::Null, node.span) };
        let base = self.cleared(base, file, name);
        merge::merge(session, base, service, &Place::ROOT.key("services").key(name))
    }

    /// Takes out of a base what the extending file resets in its service.
    fn cleared(&self, mut base: Node, file: &Services, name: &str) -> Node {
        for reset in &file.resets {
            if let [Segment::Key(section), Segment::Key(service), rest @ ..] = reset.segments()
                && section == "services"
                && service == name
                && !rest.is_empty()
            {
                let keys: Vec<&str> = rest
                    .iter()
                    .filter_map(|segment| match segment {
                        Segment::Key(key) => Some(key.as_str()),
                        Segment::Index(_) => None,
                    })
                    .collect();
                if keys.len() == rest.len() {
                    file::clear(&mut base, &[Path::of(&keys)]);
                }
            }
        }
        base
    }

    fn known(&self, session: &mut Session<'_>, file: &Services, target: &str, at: &Node) -> Result<(), Stop> {
        if file.services.contains(target) {
            return Ok(());
        }
        let mut diagnostic =
            Diagnostic::error(305, format!("there is no service `{target}` in `{}`", file.path.display()))
                .at(at.get("service").unwrap_or(at).span)
                .label("extends it here");
        if let Some(near) = crate::diagnostic::similar::closest(target, file.services.iter().map(|e| e.key.as_str())) {
            diagnostic = diagnostic.help(format!("a service with a similar name exists: `{near}`"));
        }
        session.stop(diagnostic)
    }

    fn cycle<T>(&self, session: &mut Session<'_>, start: usize, span: Span) -> Result<T, Stop> {
        let mut names: Vec<&str> = self.trail[start..].iter().map(|(_, name, _)| name.as_str()).collect();
        names.push(names[0]);
        let mut diagnostic = Diagnostic::error(306, format!("services extend in a circle: {}", names.join(" -> ")))
            .at(span)
            .label("comes back here");
        for (_, name, span) in self.trail.iter().skip(start + 1) {
            diagnostic = diagnostic.related(*span, format!("`{name}` goes on"));
        }
        session.stop(diagnostic)
    }

    /// Reads the services of another file, with their paths made absolute.
    fn other(
        &mut self,
        session: &mut Session<'_>,
        file: &Services,
        node: &Node,
    ) -> Result<std::rc::Rc<Services>, Stop> {
        let written = node.plain();
        let home = paths::Base { directory: &file.directory, home: self.scope.base().home };
        let local = |text: &str| PathBuf::from(paths::absolute(home, text));
        let path = discovery::locate(session, &written, Some(node.span), local)?;
        if let Some(known) = self.files.get(&path) {
            return Ok(known.clone());
        }
        let parsed = file::read(session, &path, Some(node.span))?;
        let directory = path.parent().map(FilePath::to_path_buf).unwrap_or_default();
        let mut root = file::empty(parsed.id);
        let mut resets = Vec::new();
        for document in parsed.documents {
            let next = file::interpolated(session, document.root, self.scope)?;
            file::clear(&mut root, &document.resets);
            root = merge::merge(session, root, next, &Place::ROOT)?;
            resets = document.resets;
        }
        unicity::enforce(session, &mut root, &Place::ROOT);
        expand::expand(session, &mut root, !self.scope.options.interpolate);
        paths::resolve(&mut root, paths::Base { directory: &directory, home: home.home });
        let Some(services) = root.get("services").and_then(Node::as_mapping) else {
            let message = format!("`{}` has no services to extend", path.display());
            return session.stop(Diagnostic::error(307, message).at(node.span).label("extends it here"));
        };
        let other = std::rc::Rc::new(Services {
            directory: discovery::clean(&directory),
            path: path.clone(),
            services: services.clone(),
            resets,
        });
        self.files.insert(path, other.clone());
        Ok(other)
    }
}
