//! Files between the host and a container, as `cp` means them: what exists decides whether a name is a new name or a
//! folder to put things into.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orchestrator::engine::Engine;
use orchestrator::engine::archive::{CopyIn, PathStat};
use orchestrator::engine::container::ContainerId;
use orchestrator::engine::error::{EngineError, ErrorKind};

use crate::commands::acts::archive::{Packing, pack};
use crate::commands::acts::extract::{Unpacking, unpack};

/// The flags of `cp`.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct CopyFlags {
    /// Keep the owners of the files
    #[arg(short, long)]
    pub(crate) archive: bool,

    /// Take what a link points to, if the source is one
    #[arg(short = 'L', long)]
    pub(crate) follow_link: bool,
}

/// Copies a file or folder of the host (`-`: a tar archive from the standard input) into a container.
pub(crate) async fn copy_in(
    engine: &Arc<dyn Engine>,
    id: &ContainerId,
    (source, path): (&str, &str),
    host: &Path,
    flags: CopyFlags,
) -> Result<(), EngineError> {
    let options = CopyIn { keep_owners: flags.archive, replace_types: false };
    let there = resolved(engine, id, path).await?;
    if source == "-" {
        return match there {
            Some((path, stat)) if stat.is_folder() => {
                let stdin = io::stdin().as_fd().try_clone_to_owned();
                engine.copy_in(id, &path, stdin.map_err(|error| failed("read the archive", &error))?, options).await
            }
            Some(_) | None => Err(wrong(path, "an archive needs a folder that is there")),
        };
    }
    let metadata = if flags.follow_link { host.metadata() } else { host.symlink_metadata() };
    let is_folder = metadata.map_err(|error| failed(&format!("read `{source}`"), &error))?.is_dir();
    let (folder, name) = match there {
        Some((path, stat)) if stat.is_folder() => (path, last_part(source, host)),
        Some(_) if is_folder => return Err(wrong(path, "it is a file, and a folder can't take its place")),
        Some((path, _)) => parent_and_name(&path),
        None if !is_folder && path.ends_with('/') => return Err(wrong(path, "there is no such folder")),
        None => {
            let (folder, name) = parent_and_name(path);
            match resolved(engine, id, &folder).await? {
                Some((folder, stat)) if stat.is_folder() => (folder, name),
                Some(_) | None => return Err(wrong(path, &format!("there is no folder `{folder}`"))),
            }
        }
    };
    let (reader, writer) = pipe()?;
    let (host, into_itself) = (host.to_owned(), wants_content(source) && is_folder && name.is_none());
    let packing = tokio::task::spawn_blocking(move || {
        let name = if into_itself { None } else { name.as_deref().or(Some(".")) };
        pack(&Packing { source: &host, name, follow_link: flags.follow_link }, File::from(writer))
    });
    let copied = engine.copy_in(id, &folder, reader, options).await;
    let packed = joined(packing.await);
    copied?;
    packed.map_err(|error| failed(&format!("read `{source}`"), &error))
}

/// Copies a file or folder of a container to the host (`-`: as a tar archive to the standard output). Returns what
/// was left out.
pub(crate) async fn copy_out(
    engine: &Arc<dyn Engine>,
    id: &ContainerId,
    (path, target): (&str, &str),
    host: &Path,
    flags: CopyFlags,
) -> Result<Vec<String>, EngineError> {
    let mut source = trimmed(path).to_owned();
    let mut stat = engine.stat_path(id, &source).await?;
    if flags.follow_link
        && stat.is_link()
        && let Some((real, target)) = resolved(engine, id, &source).await?
    {
        (source, stat) = (real, target);
    }
    if target == "-" {
        let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(|error| failed("write", &error))?;
        engine.copy_out(id, &source, stdout).await?;
        return Ok(Vec::new());
    }
    let unpacking = Unpacking { target: place(path, &stat, target, host)?, keep_owners: flags.archive, strip: true };
    let (reader, writer) = pipe()?;
    let unpacking = tokio::task::spawn_blocking(move || {
        unpack(&unpacking, io::BufReader::with_capacity(1 << 17, File::from(reader)))
    });
    let copied = engine.copy_out(id, &source, writer).await;
    let unpacked = joined(unpacking.await);
    copied?;
    unpacked.map_err(|error| failed(&format!("write `{target}`"), &error))
}

/// Returns where on the host the source comes to be.
fn place(path: &str, stat: &PathStat, target: &str, host: &Path) -> Result<PathBuf, EngineError> {
    let name = if stat.name.is_empty() || stat.name == "/" { None } else { Some(stat.name.as_str()) };
    match host.metadata() {
        Ok(metadata) if metadata.is_dir() => match name {
            Some(name) if !wants_content(path) => Ok(host.join(name)),
            Some(_) | None => Ok(host.to_owned()),
        },
        Ok(_) if stat.is_folder() => Err(wrong(target, "it is a file, and a folder can't take its place")),
        Ok(_) => Ok(host.to_owned()),
        Err(_) if !stat.is_folder() && target.ends_with('/') => Err(wrong(target, "there is no such folder")),
        Err(_) if host.parent().is_some_and(Path::is_dir) => Ok(host.to_owned()),
        Err(_) => Err(wrong(target, "the folder that it would be in is not there")),
    }
}

/// Looks at a path in a container, and at what it points to if it is a link; `None`: nothing is there.
async fn resolved(
    engine: &Arc<dyn Engine>,
    id: &ContainerId,
    path: &str,
) -> Result<Option<(String, PathStat)>, EngineError> {
    let mut path = trimmed(path).to_owned();
    // As many links in a row as the kernel follows.
    for _ in 0..40 {
        let stat = match engine.stat_path(id, &path).await {
            Ok(stat) => stat,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match &stat.link_target {
            Some(target) if stat.is_link() => {
                let parent = Path::new(&path).parent().unwrap_or(Path::new("/"));
                path = compose::environment::discovery::join(parent, target).display().to_string();
            }
            Some(_) | None => return Ok(Some((path, stat))),
        }
    }
    Err(wrong(&path, "too many links"))
}

/// Without what only says that a folder is meant.
fn trimmed(path: &str) -> &str {
    let path = path.strip_suffix("/.").unwrap_or(path).trim_end_matches('/');
    if path.is_empty() { "/" } else { path }
}

/// `FOLDER/.`: what is in it, without itself.
fn wants_content(path: &str) -> bool {
    path == "." || path.ends_with("/.")
}

/// The name that a source keeps in a folder; `None`: only its content goes there.
fn last_part(source: &str, host: &Path) -> Option<String> {
    if wants_content(source) {
        return None;
    }
    host.file_name().map(|name| name.to_string_lossy().into_owned())
}

fn parent_and_name(path: &str) -> (String, Option<String>) {
    let path = trimmed(path);
    match path.rsplit_once('/') {
        Some(("", name)) => ("/".to_owned(), Some(name.to_owned())),
        Some((parent, name)) => (parent.to_owned(), Some(name.to_owned())),
        None => ("/".to_owned(), Some(path.to_owned())),
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), EngineError> {
    let (reader, writer) = io::pipe().map_err(|error| failed("make a pipe", &error))?;
    Ok((reader.into(), writer.into()))
}

fn joined<T>(result: Result<T, tokio::task::JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn wrong(path: &str, why: &str) -> EngineError {
    EngineError::new(ErrorKind::Failed, format!("`{path}`"), format!("cannot copy to `{path}`: {why}"))
}

fn failed(what: &str, error: &io::Error) -> EngineError {
    EngineError::new(ErrorKind::Failed, what, format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn stat(name: &str, mode: u32) -> PathStat {
        PathStat { name: name.into(), size: 0, mode, modified: UNIX_EPOCH, link_target: None }
    }

    #[test]
    fn what_exists_decides_whether_a_name_is_new_or_a_folder_to_put_into() {
        let scratch = tempfile::tempdir().unwrap();
        let here = |name: &str| scratch.path().join(name);
        std::fs::write(here("file"), "").unwrap();
        let (file, folder) = (stat("a", 0o100_644), stat("d", 0o040_755));
        let place = |path: &str, stat: &PathStat, target: &str| place(path, stat, target, &here(target));
        assert_eq!(place("/a", &file, "").unwrap(), here("a"));
        assert_eq!(place("/a", &file, "new").unwrap(), here("new"));
        assert_eq!(place("/a", &file, "file").unwrap(), here("file"));
        assert_eq!(place("/d/.", &folder, "").unwrap(), here(""));
        assert!(place("/d", &folder, "file").unwrap_err().message.contains("it is a file"));
        assert!(place("/a", &file, "new/").unwrap_err().message.contains("no such folder"));
        assert!(place("/a", &file, "no/new").unwrap_err().message.contains("is not there"));
    }

    #[test]
    fn a_trailing_dot_means_the_content() {
        assert_eq!((trimmed("/a/."), trimmed("/"), trimmed("/a//")), ("/a", "/", "/a"));
        assert_eq!(last_part("dir/.", Path::new("/x/dir")), None);
        assert_eq!(parent_and_name("/a/b/"), ("/a".to_owned(), Some("b".to_owned())));
        assert_eq!(parent_and_name("/b"), ("/".to_owned(), Some("b".to_owned())));
    }
}
