//! COPY and ADD: what the files are (their key) and where they go (the layer).

use std::path::{Path, PathBuf};

use patterns::{Ignore, clean};

use crate::build::archive;
use crate::build::cache::Key;
use crate::build::context::{Selected, Tree};
use crate::build::dockerfile::instruction::{Content, Transfer};
use crate::build::error::Reason;
use crate::build::hashes::Hashes;
use crate::build::owner::{self, Owner};
use crate::build::scope::Scope;
use crate::build::view::View;
use crate::build::writer::{Ownership, Style, Writer};

/// A COPY or ADD, variables expanded and sources found.
#[derive(Debug)]
pub struct Planned {
    /// The instruction, variables expanded.
    pub transfer: Transfer,
    /// ADD: archives are unpacked.
    pub add: bool,
    /// Where sources are.
    pub tree: Tree,
    sources: Vec<Found>,
    exclude: Ignore,
    /// Absolute, links not resolved.
    destination: PathBuf,
    /// It was written as a folder.
    as_folder: bool,
}

#[derive(Debug)]
struct Found {
    selected: Selected,
    /// `--parents`: the folders that are kept below the destination.
    kept: PathBuf,
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

/// Finds the sources and the destination of an expanded instruction.
pub fn plan(transfer: Transfer, add: bool, tree: Tree, working_directory: &str) -> Result<Planned, Reason> {
    for source in &transfer.sources {
        let remote = ["http://", "https://", "git@", "git://", "ssh://"].iter().any(|start| source.starts_with(start));
        if add && remote {
            return Err(Reason::Unsupported(format!("ADD from a URL or repository (`{source}`)")));
        }
        if transfer.parents && source.contains("**") {
            return Err(Reason::Unsupported("`**` in COPY --parents".to_owned()));
        }
    }
    let written = &transfer.destination;
    let as_folder = written.ends_with('/') || written == "." || written.ends_with("/.") || written.is_empty();
    if transfer.sources.len() + transfer.contents.len() > 1 && !as_folder {
        let message = "with more than one source the destination must be a folder and end with a /";
        return Err(Reason::Syntax(message.to_owned()));
    }
    let destination = match written.starts_with('/') {
        true => clean(written),
        false => clean(&format!("/{working_directory}/{written}")),
    };
    let exclude = Ignore::from_patterns(&transfer.exclude).map_err(Reason::Syntax)?;
    let mut sources = Vec::new();
    for source in &transfer.sources {
        // `/./` is where the kept folders begin; without one all of them are kept.
        let pivot = source.find("/./").map_or(0, |at| source[..at].split('/').filter(|name| !name.is_empty()).count());
        for selected in tree.select(source)? {
            let kept = match transfer.parents {
                true => selected.path.strip_prefix("/").unwrap_or(&selected.path).iter().skip(pivot).collect(),
                false => PathBuf::new(),
            };
            sources.push(Found { selected, kept });
        }
    }
    Ok(Planned { add, tree, sources, exclude, destination: PathBuf::from(destination), as_folder, transfer })
}

impl Planned {
    /// Adds all that the result depends on to `key`.
    pub fn key(&self, key: Key, hashes: &Hashes) -> Result<Key, Reason> {
        let Transfer { chown, chmod, unpack, contents, .. } = &self.transfer;
        let mut key = key
            .with(self.destination.as_os_str().as_encoded_bytes())
            .with(format!("{} {} {chown:?} {chmod:?} {unpack:?}", self.add, self.as_folder))
            .with(self.sources.len().to_string());
        for source in &self.sources {
            key = key.with(source.kept.as_os_str().as_encoded_bytes());
            key = self.tree.key(key, &source.selected, &self.exclude, hashes)?;
        }
        Ok(contents.iter().fold(key, |key, content| key.with(&content.name).with(&content.data)))
    }

    /// Writes the files on top of `below`, into the empty folder `top`.
    pub fn write(&self, top: &Path, below: &View) -> Result<(), Reason> {
        let style = self.style(below)?;
        let mut writer = Writer::new(top, below);
        let many = self.as_folder || self.sources.len() > 1;
        let io = |source| Reason::Io { act: format!("copy to `{}`", self.destination.display()), source };
        let destination = below.resolve(&self.destination).map_err(io)?;
        for source in &self.sources {
            self.write_source(&mut writer, source, &destination, many, &style)?;
        }
        for content in &self.transfer.contents {
            let target =
                self.file_target(&mut writer, &destination, Path::new(&content.name), many, &style).map_err(io)?;
            let mode = style.chmod.as_ref().map_or(0o644, |chmod| chmod.apply(0o644, false));
            let owner = style.parent_owner();
            writer.write(&target, &mut content.data.as_bytes(), mode, owner, 0).map_err(io)?;
        }
        writer.finish().map_err(io)
    }

    fn style(&self, below: &View) -> Result<Style, Reason> {
        let chmod = self.transfer.chmod.as_deref().map(owner::chmod).transpose().map_err(Reason::Syntax)?;
        let ownership = match &self.transfer.chown {
            Some(text) => Ownership::Set(owner::owner(below, text).map_err(Reason::Syntax)?),
            // What comes from the context belongs to root, whoever owns it on the host.
            None if !self.tree.keep_owners => Ownership::Set(Owner::default()),
            None => Ownership::Kept,
        };
        Ok(Style { ownership, chmod })
    }

    fn write_source(
        &self,
        writer: &mut Writer,
        source: &Found,
        destination: &Path,
        many: bool,
        style: &Style,
    ) -> Result<(), Reason> {
        let io = |source| Reason::Io { act: format!("copy to `{}`", self.destination.display()), source };
        let entries = self.tree.walk(&source.selected, &self.exclude)?;
        let Some(first) = entries.first() else { return Ok(()) };
        let owner = style.parent_owner();
        if !first.found.metadata.is_dir() {
            let unpack = self.add && self.transfer.unpack != Some(false);
            if unpack && let Some(kind) = archive::kind(&first.found.real).map_err(io)? {
                writer.make_folders(destination, owner).map_err(io)?;
                let owner = self.transfer.chown.as_ref().map(|_| owner);
                return archive::unpack(&first.found.real, kind, destination, writer, owner);
            }
            let name = if self.transfer.parents { &source.kept } else { &source.selected.name };
            let target =
                self.file_target(writer, destination, name, many || self.transfer.parents, style).map_err(io)?;
            return writer.copy(first, &target, style, true).map_err(io);
        }
        let base = destination.join(&source.kept);
        let parent =
            if self.as_folder && source.kept.as_os_str().is_empty() { Some(base.as_path()) } else { base.parent() };
        if let Some(parent) = parent {
            writer.make_folders(parent, owner).map_err(io)?;
        }
        for entry in &entries {
            let root = entry.relative.as_os_str().is_empty();
            let target = if root { base.clone() } else { base.join(&entry.relative) };
            writer.copy(entry, &target, style, root).map_err(io)?;
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
