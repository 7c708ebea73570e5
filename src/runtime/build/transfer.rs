//! COPY and ADD: what the files are (their key) and where they go (the layer).

use std::path::{Path, PathBuf};

use patterns::{Ignore, clean};

use crate::build::archive;
use crate::build::cache::Key;
use crate::build::context::{Entry, Selected, Tree};
use crate::build::dockerfile::instruction::{Content, Transfer};
use crate::build::error::Reason;
use crate::build::execute::Runner;
use crate::build::fetch::{self, CheckedOut, Fetched};
use crate::build::hashes::Hashes;
use crate::build::owner::{self, Owner};
use crate::build::remote::Remote;
use crate::build::request::Secret;
use crate::build::scope::Scope;
use crate::build::style::{Ownership, Style};
use crate::build::view::View;
use crate::build::writer::{Sharing, Writer};
use crate::build::written::Written;

/// A COPY or ADD, variables expanded and sources found.
#[derive(Debug)]
pub(super) struct Planned {
    /// The instruction, variables expanded.
    pub transfer: Transfer,
    /// ADD: archives are unpacked.
    pub add: bool,
    /// Where sources are.
    pub tree: Tree,
    sources: Vec<Found>,
    exclude: Ignore,
    /// Absolute, links not resolved.
    pub destination: PathBuf,
    /// It was written as a folder.
    as_folder: bool,
}

#[derive(Debug)]
enum Found {
    /// Of the tree.
    Here {
        selected: Selected,
        /// `--parents`: the path that is kept below the destination.
        kept: PathBuf,
        /// All of it, once the key has been made.
        entries: Vec<Entry>,
    },
    /// Behind a URL.
    File(Fetched),
    /// Of a repository, which is gone with it.
    Repository(Tree, Vec<Entry>, #[expect(dead_code, reason = "it holds the files")] Box<CheckedOut>),
}

fn here(selected: Selected, kept: PathBuf) -> Found {
    Found::Here { selected, kept, entries: Vec::new() }
}

/// A source and all of it.
struct Walked<'a> {
    tree: &'a Tree,
    selected: &'a Selected,
    kept: &'a Path,
    entries: &'a [Entry],
}

/// The whole of a tree.
fn whole() -> Selected {
    Selected { name: PathBuf::new(), path: PathBuf::from("/") }
}

/// Expands an instruction's variables.
pub fn expand(transfer: &Transfer, scope: &Scope) -> Result<Transfer, String> {
    let all = |words: &[String]| words.iter().map(|word| scope.word(word)).collect::<Result<Vec<_>, _>>();
    let maybe = |word: &Option<String>| word.as_deref().map(|word| scope.word(word)).transpose();
    let content = |content: &Content| {
        let data = if content.expand { scope.body(&content.data)? } else { content.data.clone() };
        Ok::<_, String>(Content { data, ..content.clone() })
    };
    Ok(Transfer {
        sources: all(&transfer.sources)?,
        contents: transfer.contents.iter().map(content).collect::<Result<_, _>>()?,
        destination: scope.word(&transfer.destination)?,
        chown: maybe(&transfer.chown)?,
        chmod: maybe(&transfer.chmod)?,
        checksum: maybe(&transfer.checksum)?,
        exclude: all(&transfer.exclude)?,
        ..transfer.clone()
    })
}

/// Finds the sources and the destination of an expanded instruction; what a URL names is fetched.
pub(super) fn plan(
    runner: &Runner<'_>,
    transfer: Transfer,
    add: bool,
    tree: Tree,
    working_directory: &str,
) -> Result<Planned, Reason> {
    let written = &transfer.destination;
    let as_folder = written.ends_with('/') || written == "." || written.ends_with("/.") || written.is_empty();
    let destination = match written.starts_with('/') {
        true => clean(written),
        false => clean(&format!("/{working_directory}/{written}")),
    };
    let exclude = Ignore::from_patterns(&transfer.exclude).map_err(Reason::Syntax)?;
    let mut sources = Vec::new();
    for source in &transfer.sources {
        if add && let Some(remote) = Remote::parse(source).map_err(Reason::Syntax)? {
            sources.push(fetch_source(runner, remote, &transfer)?);
        } else if transfer.parents {
            let found = tree.select_parents(source)?;
            sources.extend(found.into_iter().map(|(selected, kept)| here(selected, kept)));
        } else {
            sources.extend(tree.select(source)?.into_iter().map(|selected| here(selected, PathBuf::new())));
        }
    }
    Ok(Planned { add, tree, sources, exclude, destination: PathBuf::from(destination), as_folder, transfer })
}

/// Fetches what ADD names by a URL.
fn fetch_source(runner: &Runner<'_>, remote: Remote, transfer: &Transfer) -> Result<Found, Reason> {
    let rt = runner.job.rt;
    match remote {
        Remote::Http(url) => {
            let expected = transfer.checksum.as_deref().and_then(|text| text.parse().ok());
            let authorization = authorization(runner, &url);
            Ok(Found::File(fetch::http(rt, &url, authorization.as_deref(), expected.as_ref())?))
        }
        Remote::Git(git) => {
            let keep = transfer.keep_git_dir.or(git.keep_git_dir).unwrap_or(false);
            let out = fetch::git(rt, &git, keep, transfer.checksum.as_deref())?;
            let view = View::new(vec![out.root.clone()]);
            let tree = Tree { view, ignore: Ignore::default(), keep_owners: true };
            Ok(Found::Repository(tree, Vec::new(), Box::new(out)))
        }
    }
}

/// Returns what the secrets `HTTP_AUTH_HEADER_host` and `HTTP_AUTH_TOKEN_host` say.
fn authorization(runner: &Runner<'_>, url: &str) -> Option<String> {
    let host = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let secret = |id: String| {
        let content = match runner.job.request.secrets.get(&id)? {
            Secret::Value(content) => content.clone(),
            Secret::File(path) => std::fs::read(path).ok()?,
        };
        String::from_utf8(content).ok().map(|text| text.trim().to_owned())
    };
    let header = secret(format!("HTTP_AUTH_HEADER_{host}"));
    header.or_else(|| secret(format!("HTTP_AUTH_TOKEN_{host}")).map(|token| format!("Bearer {token}")))
}

impl Planned {
    /// Looks at all sources, and adds all that the result depends on to `key`.
    pub fn key(&mut self, key: Key, hashes: &Hashes) -> Result<Key, Reason> {
        let Transfer { chown, chmod, unpack, contents, .. } = &self.transfer;
        let mut key = key
            .with(self.destination.as_os_str().as_encoded_bytes())
            .with(format!("{} {} {chown:?} {chmod:?} {unpack:?}", self.add, self.as_folder))
            .with(self.sources.len().to_string());
        for source in &mut self.sources {
            key = match source {
                Found::Here { selected, kept, entries } => {
                    let key = key.with(kept.as_os_str().as_encoded_bytes());
                    *entries = self.tree.entries(selected, &self.exclude, hashes)?;
                    self.tree.key_of(key, selected, entries)?
                }
                Found::File(file) => key.with(&file.name).with(file.digest.hex()).with(file.modified.to_le_bytes()),
                Found::Repository(tree, entries, _) => {
                    *entries = tree.entries(&whole(), &self.exclude, hashes)?;
                    tree.key_of(key, &whole(), entries)?
                }
            };
        }
        Ok(contents.iter().fold(key, |key, content| key.with(&content.name).with(&content.data)))
    }

    /// Writes the files on top of `below`, into the empty folder `top`; the key was made before.
    pub(super) fn write(&self, top: &Path, below: &View, sharing: Sharing) -> Result<Option<Written>, Reason> {
        let style = self.style(below)?;
        let mut writer = Writer::new(top, below).sharing(sharing);
        let many = self.as_folder || self.sources.len() > 1;
        let io = |source| Reason::Io { act: format!("copy to `{}`", self.destination.display()), source };
        let destination = below.resolve(&self.destination).map_err(io)?;
        for source in &self.sources {
            match source {
                Found::Here { selected, kept, entries } => {
                    let source = Walked { tree: &self.tree, selected, kept, entries };
                    self.write_source(&mut writer, source, &destination, many, &style)?;
                }
                Found::Repository(tree, entries, _) => {
                    let style = Style { ownership: self.ownership(below, tree)?, ..style.clone() };
                    let source = Walked { tree, selected: &whole(), kept: Path::new(""), entries };
                    self.write_source(&mut writer, source, &destination, many, &style)?;
                }
                Found::File(file) => self.write_fetched(&mut writer, file, &destination, many, &style)?,
            }
        }
        for content in &self.transfer.contents {
            let target =
                self.file_target(&mut writer, &destination, Path::new(&content.name), many, &style).map_err(io)?;
            let mode = style.chmod.as_ref().map_or(0o644, |chmod| chmod.apply(0o644, false));
            let owner = style.parent_owner();
            writer.write(&target, &mut content.data.as_bytes(), mode, owner, 0).map_err(io)?;
        }
        writer.complete().map_err(io)
    }

    fn style(&self, below: &View) -> Result<Style, Reason> {
        let chmod = self.transfer.chmod.as_deref().map(owner::chmod).transpose().map_err(Reason::Syntax)?;
        Ok(Style { ownership: self.ownership(below, &self.tree)?, chmod })
    }

    fn ownership(&self, below: &View, tree: &Tree) -> Result<Ownership, Reason> {
        Ok(match &self.transfer.chown {
            Some(text) => Ownership::Set(owner::owner(below, text).map_err(Reason::Syntax)?),
            // What comes from the context belongs to root, whoever owns it on the host.
            None if !tree.keep_owners => Ownership::Set(Owner::default()),
            None => Ownership::Kept,
        })
    }

    /// Writes what a URL named: a file for root alone, or the archive's content where that is asked for.
    fn write_fetched(
        &self,
        writer: &mut Writer,
        file: &Fetched,
        destination: &Path,
        many: bool,
        style: &Style,
    ) -> Result<(), Reason> {
        let io = |source| Reason::Io { act: format!("copy to `{}`", self.destination.display()), source };
        let owner = style.parent_owner();
        if self.transfer.unpack == Some(true)
            && let Some(kind) = archive::kind(&file.path).map_err(io)?
        {
            writer.make_folders(destination, owner).map_err(io)?;
            let owner = self.transfer.chown.as_ref().map(|_| owner);
            return archive::unpack(&file.path, kind, destination, writer, owner);
        }
        let target = self.file_target(writer, destination, Path::new(&file.name), many, style).map_err(io)?;
        let mode = style.chmod.as_ref().map_or(0o600, |chmod| chmod.apply(0o600, false));
        let mut content = std::fs::File::open(&file.path).map_err(io)?;
        writer.write(&target, &mut content, mode, owner, file.modified).map_err(io)
    }

    fn write_source(
        &self,
        writer: &mut Writer,
        Walked { tree, selected, kept, entries }: Walked<'_>,
        destination: &Path,
        many: bool,
        style: &Style,
    ) -> Result<(), Reason> {
        let io = |source| Reason::Io { act: format!("copy to `{}`", self.destination.display()), source };
        let Some(first) = entries.first() else { return Ok(()) };
        let owner = style.parent_owner();
        if !first.found.metadata.is_dir() {
            let unpack = self.add && self.transfer.unpack != Some(false);
            if unpack && let Some(kind) = archive::kind(&first.found.real).map_err(io)? {
                writer.make_folders(destination, owner).map_err(io)?;
                let owner = self.transfer.chown.as_ref().map(|_| owner);
                return archive::unpack(&first.found.real, kind, destination, writer, owner);
            }
            let name = if self.transfer.parents { kept } else { selected.name.as_path() };
            self.write_kept(writer, tree, selected, kept, destination, style).map_err(io)?;
            let target =
                self.file_target(writer, destination, name, many || self.transfer.parents, style).map_err(io)?;
            return writer.copy(first, &target, style, true).map_err(io);
        }
        self.write_kept(writer, tree, selected, kept, destination, style).map_err(io)?;
        let base = destination.join(kept);
        let parent = if self.as_folder && kept.as_os_str().is_empty() { Some(base.as_path()) } else { base.parent() };
        if let Some(parent) = parent {
            writer.make_folders(parent, owner).map_err(io)?;
        }
        writer.copy_all(entries, &base, style).map_err(io)
    }

    /// Makes the folders that are kept above a source as they are there.
    fn write_kept(
        &self,
        writer: &mut Writer,
        tree: &Tree,
        selected: &Selected,
        kept: &Path,
        destination: &Path,
        style: &Style,
    ) -> std::io::Result<()> {
        let depth = kept.components().count();
        if depth < 2 {
            return Ok(());
        }
        writer.make_folders(destination, style.parent_owner())?;
        let above: Vec<&Path> = selected.path.ancestors().skip(1).take(depth - 1).collect();
        let targets: Vec<&Path> = kept.ancestors().skip(1).take(depth - 1).collect();
        for (path, target) in above.into_iter().zip(targets).rev() {
            let target = destination.join(target);
            let Some(found) = tree.view.find(path)?.filter(|found| found.metadata.is_dir()) else { continue };
            if writer.view().find(&target)?.is_none() {
                writer.copy(&Entry { relative: target.clone(), found, digest: None }, &target, style, true)?;
            }
        }
        Ok(())
    }

    /// Finds where a file goes, and makes the folders that lead there.
    fn file_target(
        &self,
        writer: &mut Writer,
        destination: &Path,
        name: &Path,
        as_folder: bool,
        style: &Style,
    ) -> std::io::Result<PathBuf> {
        let there = writer.view().find(destination)?;
        let into = as_folder || there.is_some_and(|there| there.metadata.is_dir());
        let target = if into { destination.join(name) } else { destination.to_owned() };
        if let Some(parent) = target.parent() {
            writer.make_folders(parent, style.parent_owner())?;
        }
        Ok(target)
    }
}
