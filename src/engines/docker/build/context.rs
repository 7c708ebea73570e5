//! What a build can see: the folder without what `.dockerignore` names, and the Dockerfile wherever it lies.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use orchestrator::engine::image::BuildSpec;
use patterns::{Ignore, Matched};

use crate::docker::fault::Fault;

/// The name that a Dockerfile from outside of the context has in it.
const FOREIGN: &str = ".motet.dockerfile";

/// A folder to build from.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) root: PathBuf,
    pub(crate) ignore: Ignore,
    /// Where the Dockerfile is in it.
    pub(crate) dockerfile: String,
    /// The Dockerfile's path for people.
    pub(crate) shown: String,
    /// The Dockerfile's text.
    pub(crate) text: String,
    /// Whether that is no file of the folder, so that it must be added.
    pub(crate) is_foreign: bool,
}

/// Says whether a context is fetched by the engine itself.
pub(crate) fn is_remote(context: &str) -> bool {
    context.contains("://") || context.starts_with("git@") || context.starts_with("github.com/")
}

impl Context {
    /// Reads the Dockerfile and the ignore file.
    pub(crate) fn of(spec: &BuildSpec) -> Result<Self, Fault> {
        let root = PathBuf::from(&spec.context);
        let broken = |path: &Path, error: io::Error| Fault::Broken { why: format!("`{}`: {error}", path.display()) };
        let metadata = fs::metadata(&root).map_err(|error| broken(&root, error))?;
        if !metadata.is_dir() {
            return Err(Fault::Broken { why: format!("the context `{}` is no folder", root.display()) });
        }
        let named = spec.dockerfile.clone().unwrap_or_else(|| PathBuf::from("Dockerfile"));
        let path = root.join(&named);
        let (text, inside) = match &spec.dockerfile_inline {
            Some(text) => (text.clone(), None),
            None => {
                let text = fs::read_to_string(&path).map_err(|error| broken(&path, error))?;
                (text, inside(&root, &path))
            }
        };
        let own_ignore = {
            let mut name = path.clone().into_os_string();
            name.push(".dockerignore");
            PathBuf::from(name)
        };
        let mut ignore = Ignore::default();
        for file in [own_ignore, root.join(".dockerignore")] {
            match fs::read_to_string(&file) {
                Ok(text) => {
                    ignore = Ignore::parse(&text)
                        .map_err(|why| Fault::Broken { why: format!("`{}`: {why}", file.display()) })?;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(broken(&file, error)),
            }
        }
        let shown = match spec.dockerfile_inline {
            Some(_) => "dockerfile_inline".to_owned(),
            None => path.display().to_string(),
        };
        let is_foreign = inside.is_none();
        Ok(Self { root, ignore, dockerfile: inside.unwrap_or_else(|| FOREIGN.to_owned()), shown, text, is_foreign })
    }

    /// Calls `each` with every file that the build can see, folders before what is in them, in the order of names.
    pub(crate) fn walk(&self, each: &mut Each<'_>) -> io::Result<()> {
        walk(&self.root, &self.ignore, &Keep::ForBuilder(self.dockerfile.clone()), each)
    }

    /// Writes it as a tar, everything the root's, as the docker command does.
    pub(crate) fn write(&self, target: &mut dyn Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(target);
        self.walk(&mut |relative, path, metadata| {
            let mut header = tar::Header::new_gnu();
            header.set_metadata_in_mode(metadata, tar::HeaderMode::Complete);
            header.set_uid(0);
            header.set_gid(0);
            if metadata.is_file() {
                let file = fs::File::open(path)?;
                // One that shrinks while it is read is filled up; what it grew by is left out.
                let length = metadata.size();
                header.set_size(length);
                archive.append_data(&mut header, relative, io::Read::take(file, length))
            } else if metadata.is_symlink() {
                header.set_size(0);
                archive.append_link(&mut header, relative, fs::read_link(path)?)
            } else {
                header.set_size(0);
                archive.append_data(&mut header, relative, io::empty())
            }
        })?;
        if self.is_foreign {
            let mut header = tar::Header::new_gnu();
            header.set_size(self.text.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, &self.dockerfile, self.text.as_bytes())?;
        }
        archive.finish()
    }
}

/// What is done with a file: its path in the folder, its path on the host, what it is.
pub(crate) type Each<'a> = dyn FnMut(&str, &Path, &Metadata) -> io::Result<()> + 'a;

/// What is never left out.
pub(crate) enum Keep {
    Nothing,
    /// The classic builder reads the Dockerfile and the ignore file out of what it is sent.
    ForBuilder(String),
}

impl Keep {
    fn keeps(&self, relative: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::ForBuilder(dockerfile) => relative == dockerfile || relative == ".dockerignore",
        }
    }

    fn leads(&self, folder: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::ForBuilder(dockerfile) => dockerfile.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
        }
    }
}

/// Calls `each` with every file that is not ignored, folders before what is in them, in the order of names.
pub(crate) fn walk(root: &Path, ignore: &Ignore, keep: &Keep, each: &mut Each<'_>) -> io::Result<()> {
    Walk { root, ignore, keep }.enter("", &Matched::default(), each)
}

struct Walk<'a> {
    root: &'a Path,
    ignore: &'a Ignore,
    keep: &'a Keep,
}

impl Walk<'_> {
    fn enter(&self, folder: &str, matched: &Matched, each: &mut Each<'_>) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(folder))? {
            match entry?.file_name().into_string() {
                Ok(name) => names.push(name),
                Err(name) => tracing::warn!("`{}` is no UTF-8 and stays out of the build", name.display()),
            }
        }
        names.sort();
        for name in names {
            let relative = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let path = self.root.join(&relative);
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                // Gone since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let (is_ignored, inner) = self.ignore.step(&relative, matched);
            let is_ignored = is_ignored && !self.keep.keeps(&relative);
            if metadata.is_dir() {
                if !is_ignored {
                    each(&relative, &path, &metadata)?;
                }
                if !is_ignored || self.keep.leads(&relative) || self.ignore.has_exceptions() {
                    self.enter(&relative, &inner, each)?;
                }
            } else if !is_ignored && !metadata.file_type().is_socket() {
                each(&relative, &path, &metadata)?;
            }
        }
        Ok(())
    }
}

/// Returns a path relative to a folder that it lies in, links resolved.
fn inside(root: &Path, path: &Path) -> Option<String> {
    let (root, whole) = (fs::canonicalize(root).ok()?, fs::canonicalize(path).ok()?);
    whole.strip_prefix(&root).ok()?.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tar_has_what_is_not_ignored_and_the_dockerfile() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (path, text) in [
            ("Dockerfile", "FROM scratch"),
            ("a/keep", "1"),
            ("a/drop.log", "2"),
            ("b/x", "3"),
            ("b/y", "4"),
            (".dockerignore", "*.md\n**/*.log\nb\n!b/y\nDockerfile\n"),
            ("read.md", ""),
        ] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        std::os::unix::fs::symlink("a/keep", root.join("link")).unwrap();
        let names = |spec: &BuildSpec| {
            let mut archive = Vec::new();
            Context::of(spec).unwrap().write(&mut archive).unwrap();
            let mut read = tar::Archive::new(archive.as_slice());
            let names = read
                .entries()
                .unwrap()
                .map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().trim_end_matches('/').to_owned());
            names.collect::<Vec<_>>()
        };
        let spec = BuildSpec { context: root.to_str().unwrap().to_owned(), ..BuildSpec::default() };
        assert_eq!(names(&spec), [".dockerignore", "Dockerfile", "a", "a/keep", "b/y", "link"]);
        let spec = BuildSpec { dockerfile_inline: Some("FROM scratch".into()), ..spec };
        assert!(names(&spec).contains(&FOREIGN.to_owned()));
    }
}
