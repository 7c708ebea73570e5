//! The reader of the program: files of this machine, and with leave those of git repositories and registries, kept in
//! a cache.

use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use compose::{FileSystem, ReadError, Reader};
use runtime::build::remote::{Git, Remote as Named};
use runtime::image::digest::Digest;
use runtime::registry::settings::Settings;

use crate::app::{artifact, machine};

/// A file of more bytes than this becomes a tree that is worth room made for it.
const LARGE: usize = 64 << 10;
/// How many times the size of a file its tree has, with all that is made of it.
const TREE: usize = 64;

/// Reads files, and fetches remote ones where that is allowed.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    /// Repositories may be fetched.
    pub(crate) git: bool,
    /// What registries hold may be fetched.
    pub(crate) oci: bool,
    /// How registries are talked to.
    pub(crate) registries: Arc<Settings>,
    /// Folder that holds what was fetched; `None`: the environment names none.
    pub(crate) cache: Option<PathBuf>,
}

impl Reader for Remote {
    fn read(&self, path: &Path) -> Result<String, ReadError> {
        let text = FileSystem.read(path)?;
        if text.len() > LARGE {
            machine::expect_memory(text.len() * TREE);
        }
        Ok(text)
    }

    fn exists(&self, path: &Path) -> bool {
        FileSystem.exists(path)
    }

    fn follow(&self, path: &Path) -> PathBuf {
        FileSystem.follow(path)
    }

    fn fetch(&self, reference: &str) -> Result<PathBuf, ReadError> {
        let other = |reason: &str| Err(ReadError::Other(reason.to_owned()));
        let no_cache = || other("neither XDG_CACHE_HOME nor HOME says where to keep it");
        if let Some(address) = reference.strip_prefix("oci://") {
            if !self.oci {
                let help =
                    "allow it with --allow-remote or COMPOSE_EXPERIMENTAL_OCI_REMOTE=true, if you trust the registry";
                return Err(ReadError::Refused(help.to_owned()));
            }
            let Some(cache) = &self.cache else { return no_cache() };
            return artifact::fetch(address, cache, &self.registries);
        }
        let git = match parse(reference) {
            Ok(git) => git,
            Err(reason) => return Err(ReadError::Other(reason)),
        };
        if !self.git {
            let help =
                "allow it with --allow-remote or COMPOSE_EXPERIMENTAL_GIT_REMOTE=true, if you trust the repository";
            return Err(ReadError::Refused(help.to_owned()));
        }
        let Some(cache) = &self.cache else { return no_cache() };
        let repository = check_out(&cache.join("git"), &git).map_err(ReadError::Other)?;
        inside(&repository, git.folder.as_deref().unwrap_or("."))
    }
}

/// Reads `REPOSITORY#REFERENCE:PATH`; `file://` is a repository of this machine.
fn parse(reference: &str) -> Result<Git, String> {
    let (scheme, bare) = match reference.strip_prefix("file://") {
        Some(path) => ("file://", format!("ssh://{path}")),
        None => ("ssh://", reference.to_owned()),
    };
    let git = match Named::parse(&bare)? {
        Some(Named::Git(git)) => git,
        Some(Named::Http(_)) | None => {
            return Err("it is no git repository: the address of one ends in `.git`, and the file in it \
                        stands behind `#REFERENCE:`, as in `https://example.com/shop.git#main:compose.yaml`"
                .to_owned());
        }
    };
    let given = [git.repository.as_str(), git.reference.as_deref().unwrap_or("HEAD")];
    // What begins with a dash is a flag to git, wherever it stands.
    if given.iter().any(|text| text.starts_with('-')) {
        return Err("an address or reference cannot begin with `-`".to_owned());
    }
    let repository = git.repository.replacen("ssh://", scheme, 1);
    Ok(Git { repository, ..git })
}

/// Fetches the commit into its folder below `cache`, unless it is there, and returns that folder.
fn check_out(cache: &Path, git: &Git) -> Result<PathBuf, String> {
    let reference = git.reference.as_deref().unwrap_or("HEAD");
    let commit = commit(&git.repository, reference)?;
    if git.commit.as_ref().is_some_and(|expected| !commit.starts_with(expected)) {
        return Err(format!("`{reference}` is the commit {commit}, and another was expected"));
    }
    // The last part is the name of the repository: that is what a project without a name is called after.
    let name = git.repository.trim_end_matches('/').trim_end_matches(".git").rsplit(['/', ':']).next();
    let name = name.filter(|name| !matches!(*name, "" | "." | "..")).unwrap_or("repository");
    let holder = cache.join(Digest::of(git.repository.as_bytes()).hex()).join(&commit);
    let tree = holder.join(name);
    if tree.is_dir() {
        return Ok(tree);
    }
    let failed = |error: std::io::Error| format!("cannot keep it in `{}`: {error}", holder.display());
    std::fs::create_dir_all(&holder).map_err(failed)?;
    // Fetched aside and renamed: a tree that is there is whole.
    let aside = holder.join(format!(".{name}.{}", std::process::id()));
    let result = fill(&aside, git, &commit).and_then(|()| match std::fs::rename(&aside, &tree) {
        // Another run may have been faster.
        Err(_) if tree.is_dir() => Ok(()),
        renamed => renamed.map_err(failed),
    });
    if aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(failed)?;
    }
    result.map(|()| tree)
}

fn commit(repository: &str, reference: &str) -> Result<String, String> {
    if reference.len() == 40 && reference.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Ok(reference.to_ascii_lowercase());
    }
    let peeled = format!("{reference}^{{}}");
    let listed = run(Path::new("/"), &["ls-remote", repository, reference, &peeled])?;
    let lines: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once('\t')).collect();
    // A tag with a message is an object of its own; the line with `^{}` is the commit that it points to.
    let best = lines.iter().find(|(_, name)| name.ends_with("^{}")).or_else(|| lines.first());
    let (commit, _) = best.ok_or_else(|| format!("it has no branch and no tag `{reference}`"))?;
    Ok((*commit).to_owned())
}

fn fill(tree: &Path, git: &Git, commit: &str) -> Result<(), String> {
    std::fs::create_dir_all(tree).map_err(|error| format!("cannot write `{}`: {error}", tree.display()))?;
    run(tree, &["init", "--quiet"])?;
    run(tree, &["fetch", "--quiet", "--no-tags", "--depth=1", &git.repository, commit])?;
    run(tree, &["checkout", "--quiet", "--force", "FETCH_HEAD"])?;
    Ok(())
}

/// Returns `path` of the repository; a link in it must not lead out of it.
fn inside(repository: &Path, path: &str) -> Result<PathBuf, ReadError> {
    let path = path.trim_start_matches('/');
    let leaves = Path::new(path).components().any(|part| matches!(part, Component::ParentDir));
    let root = repository.canonicalize().map_err(ReadError::from)?;
    let file = repository.join(path);
    let real = file.canonicalize().map_err(ReadError::from)?;
    if leaves || !real.starts_with(&root) {
        return Err(ReadError::Other(format!("`{path}` leads out of the repository")));
    }
    Ok(real)
}

#[expect(clippy::disallowed_methods, reason = "the protocols of git are git's")]
fn run(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("git");
    // What is fetched decides about nothing here: no hooks, no prompts, no program for a transport.
    command.args(["-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", "-c", "safe.directory=*"]);
    command.args(["-c", "protocol.ext.allow=never", "-c", "init.defaultBranch=main"]);
    command.args(arguments).current_dir(folder).env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null());
    let output = command.output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no `git` on this machine, which is needed for it".to_owned(),
        _ => error.to_string(),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("git failed without a word");
    Err(format!("git says: {}", last.trim_start_matches("fatal: ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(cache: &Path, git: bool) -> Remote {
        Remote { git, oci: false, registries: Arc::default(), cache: Some(cache.to_path_buf()) }
    }

    /// A bare repository with a Compose file in `app`, and its address.
    fn repository(scratch: &Path) -> String {
        let work = scratch.join("work");
        std::fs::create_dir_all(work.join("app")).unwrap();
        std::fs::write(work.join("app/compose.yaml"), "services: {web: {image: nginx}}\n").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", work.join("away.yaml")).unwrap();
        run(&work, &["init", "--quiet"]).unwrap();
        run(&work, &["add", "."]).unwrap();
        let author = ["-c", "user.name=a", "-c", "user.email=a@b.c"];
        run(&work, &[&author[..], &["commit", "--quiet", "-m", "one"]].concat()).unwrap();
        run(&work, &[&author[..], &["tag", "-a", "v1", "-m", "first"]].concat()).unwrap();
        run(scratch, &["clone", "--quiet", "--bare", "work", "shop.git"]).unwrap();
        format!("file://{}", scratch.join("shop.git").display())
    }

    #[test]
    fn a_file_of_a_repository_is_fetched_once_by_branch_tag_and_commit() {
        let scratch = tempfile::tempdir().unwrap();
        let address = repository(scratch.path());
        let reader = reader(&scratch.path().join("cache"), true);
        let path = reader.fetch(&format!("{address}#main:app/compose.yaml")).unwrap();
        assert!(path.ends_with("shop/app/compose.yaml"), "{}", path.display());
        assert!(reader.read(&path).unwrap().contains("nginx"));
        assert_eq!(reader.fetch(&format!("{address}#v1:app")).unwrap(), path.parent().unwrap());
        let head = run(&scratch.path().join("work"), &["rev-parse", "HEAD"]).unwrap();
        // With the commit known and fetched nobody is asked: the repository may be gone.
        std::fs::remove_dir_all(scratch.path().join("shop.git")).unwrap();
        assert_eq!(reader.fetch(&format!("{address}#{}:app/compose.yaml", head.trim())).unwrap(), path);
    }

    #[test]
    fn nothing_is_fetched_without_leave_and_nothing_out_of_the_repository() {
        let scratch = tempfile::tempdir().unwrap();
        let address = repository(scratch.path());
        let cache = scratch.path().join("cache");
        let refused = reader(&cache, false).fetch(&format!("{address}#main:app/compose.yaml"));
        assert!(matches!(refused, Err(ReadError::Refused(help)) if help.contains("--allow-remote")));
        assert!(!cache.exists());
        for path in ["../work/app/compose.yaml", "away.yaml", "none.yaml"] {
            assert!(reader(&cache, true).fetch(&format!("{address}#main:{path}")).is_err(), "{path}");
        }
        let refused = reader(&cache, true).fetch("oci://registry.example/shop:1");
        assert!(matches!(refused, Err(ReadError::Refused(help)) if help.contains("COMPOSE_EXPERIMENTAL_OCI_REMOTE")));
        let missing = reader(&cache, true).fetch(&format!("{address}#other")).unwrap_err();
        assert_eq!(missing, ReadError::Other("it has no branch and no tag `other`".into()));
    }

    #[test]
    fn what_is_no_repository_and_what_is_a_flag_is_said() {
        let reader = reader(Path::new("/none"), true);
        for (reference, part) in [
            ("https://example.com/compose.yaml", "ends in `.git`"),
            ("https://example.com/shop.git#--upload-pack=x", "begin with `-`"),
        ] {
            let ReadError::Other(reason) = reader.fetch(reference).unwrap_err() else { panic!("{reference}") };
            assert!(reason.contains(part), "{reason}");
        }
    }
}
