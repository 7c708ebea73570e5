//! Brings what a URL names onto this machine: files by HTTP, asked for again only when they changed, and commits by `git`.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reqwest::header::{AUTHORIZATION, CONTENT_DISPOSITION, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Runtime;
use crate::build::remote::{Git, Remote};
use crate::image::digest::Digest;
use crate::image::staging::{self, Staging};
use crate::registry::connection;
use crate::registry::settings::HostSettings;
use crate::state::{calendar, record};

/// Why it could not be had.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum FetchError {
    #[error("cannot fetch `{url}`: {reason}")]
    Http { url: String, reason: String },
    #[error("digest mismatch of `{url}`: it has {found}, expected {expected}")]
    Digest { url: String, found: Digest, expected: Digest },
    #[error("cannot fetch `{repository}`: {reason}")]
    Git { repository: String, reason: String },
    #[error("expected checksum to match {expected}, got {found}: `{repository}` has another commit there")]
    Commit { repository: String, expected: String, found: String },
    #[error("cannot keep what was fetched from `{from}`")]
    Io {
        from: String,
        #[source]
        source: io::Error,
    },
}

/// A file that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where it lies, in the build cache.
    pub path: PathBuf,
    /// The name that it has.
    pub name: String,
    /// Of its bytes.
    pub digest: Digest,
    /// `Last-Modified`, in seconds; 0 where the server does not say.
    pub modified: i64,
}

/// What is remembered of a fetched file.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    version: u32,
    etag: Option<String>,
    last_modified: Option<String>,
    digest: Digest,
    name: String,
    modified: i64,
}

const VERSION: u32 = 1;

/// Fetches a file; `authorization` goes to this host only.
pub fn http(
    rt: &Runtime,
    url: &str,
    authorization: Option<&str>,
    expected: Option<&Digest>,
) -> Result<Fetched, FetchError> {
    let io = |source| FetchError::Io { from: url.to_owned(), source };
    let folder = rt.layout.build_cache().join("http").join(Digest::of(url.as_bytes()).hex());
    std::fs::create_dir_all(&folder).map_err(io)?;
    let path = folder.join("content");
    let note = folder.join("record.json");
    let _alone = record::lock(&folder.join("lock")).map_err(|error| io(io::Error::other(error)))?;
    let known: Option<Remembered> =
        record::read(&note).ok().flatten().filter(|it: &Remembered| it.version == VERSION && path.is_file());
    let known = match known {
        // The very bytes are here: nobody need be asked.
        Some(known) if expected == Some(&known.digest) => known,
        known => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io)?;
            let fresh = runtime.block_on(get(rt, url, authorization, known.as_ref(), &path))?;
            match (fresh, known) {
                (Some(fresh), _) => {
                    record::write(&note, &fresh).map_err(|error| io(io::Error::other(error)))?;
                    fresh
                }
                (None, Some(known)) => known,
                (None, None) => {
                    return Err(FetchError::Http { url: url.to_owned(), reason: "the server sent nothing".to_owned() });
                }
            }
        }
    };
    if let Some(expected) = expected.filter(|expected| **expected != known.digest) {
        return Err(FetchError::Digest { url: url.to_owned(), found: known.digest, expected: *expected });
    }
    Ok(Fetched { path, name: known.name, digest: known.digest, modified: known.modified })
}

/// Asks the server; `None`: it is still what is known.
async fn get(
    rt: &Runtime,
    url: &str,
    authorization: Option<&str>,
    known: Option<&Remembered>,
    path: &Path,
) -> Result<Option<Remembered>, FetchError> {
    let failed = |reason: String| FetchError::Http { url: url.to_owned(), reason };
    let chain = |error: reqwest::Error| {
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        failed(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    };
    let address = reqwest::Url::parse(url).map_err(|error| failed(error.to_string()))?;
    let host = address.host_str().unwrap_or_default().to_owned();
    let http = connection::open(&host, &HostSettings::default(), &rt.registry);
    let http = http.map_err(|error| failed(error.to_string()))?;
    let mut request = http.get(url);
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    if let Some(etag) = known.and_then(|it| it.etag.as_ref()) {
        request = request.header(IF_NONE_MATCH, etag);
    } else if let Some(time) = known.and_then(|it| it.last_modified.as_ref()) {
        request = request.header(IF_MODIFIED_SINCE, time);
    }
    let mut response = request.send().await.map_err(chain)?;
    if known.is_some() && response.status() == reqwest::StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    if !response.status().is_success() {
        return Err(failed(format!("the server answered {}", response.status())));
    }
    let header = |name: reqwest::header::HeaderName| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    let (etag, last_modified) = (header(ETAG), header(LAST_MODIFIED));
    let named = header(CONTENT_DISPOSITION).and_then(|text| disposition(&text));
    let aside = path.with_extension("new");
    let io = |source| FetchError::Io { from: url.to_owned(), source };
    let mut file = File::create(&aside).map_err(io)?;
    let mut hasher = Sha256::new();
    while let Some(chunk) = response.chunk().await.map_err(chain)? {
        hasher.update(&chunk);
        file.write_all(&chunk).map_err(io)?;
    }
    std::fs::rename(&aside, path).map_err(io)?;
    let modified = last_modified.as_deref().and_then(http_time).unwrap_or(0);
    let name = named.unwrap_or_else(|| Remote::file_name(url));
    Ok(Some(Remembered { version: VERSION, etag, last_modified, digest: Digest::finish(hasher), name, modified }))
}

/// Reads `attachment; filename="a.txt"`; a name with a folder in it is none.
fn disposition(text: &str) -> Option<String> {
    let name = text.split(';').find_map(|part| part.trim().strip_prefix("filename="))?.trim_matches('"').to_owned();
    (!name.is_empty() && !name.contains('/') && name != "." && name != "..").then_some(name)
}

/// Reads `Wed, 21 Oct 2015 07:28:00 GMT` (RFC 9110, IMF-fixdate) to seconds.
fn http_time(text: &str) -> Option<i64> {
    let fields: Vec<&str> = text.split([' ', ':']).collect();
    let [_, day, month, year, hour, minute, second, "GMT"] = fields.as_slice() else { return None };
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = i64::try_from(months.iter().position(|name| name == month)?).ok()? + 1;
    let number = |text: &str| text.parse::<i64>().ok();
    let days = calendar::days(number(year)?, month, number(day)?);
    Some(days * 86_400 + number(hour)? * 3600 + number(minute)? * 60 + number(second)?)
}

/// A tree of a repository, checked out.
#[derive(Debug)]
pub struct CheckedOut {
    /// Gone with this.
    staged: Staging,
    /// The folder that was asked for.
    pub root: PathBuf,
}

impl CheckedOut {
    /// Returns what holds the files.
    pub fn into_staging(self) -> Staging {
        self.staged
    }
}

/// Fetches a commit and checks it out. The repository stays in the build cache, so the next commit is a small download.
pub fn git(rt: &Runtime, what: &Git, keep_git_dir: bool, expected: Option<&str>) -> Result<CheckedOut, FetchError> {
    let io = |source| FetchError::Io { from: what.repository.clone(), source };
    let bare = rt.layout.build_cache().join("git").join(Digest::of(what.repository.as_bytes()).hex());
    std::fs::create_dir_all(&bare).map_err(io)?;
    let _alone = record::lock(&bare.with_extension("lock")).map_err(|error| io(io::Error::other(error)))?;
    let run = |args: &[&str]| {
        run(&bare, args).map_err(|reason| FetchError::Git { repository: what.repository.clone(), reason })
    };
    if !bare.join("HEAD").exists() {
        run(&["init", "--quiet", "--bare"])?;
    }
    let reference = what.reference.as_deref().unwrap_or("HEAD");
    let exact = reference.len() == 40 && reference.bytes().all(|c| c.is_ascii_hexdigit());
    let there = exact && run(&["cat-file", "-e", &format!("{reference}^{{commit}}")]).is_ok();
    if !there {
        let spec = format!("+{reference}:refs/motet/wanted");
        let shallow = run(&["fetch", "--quiet", "--no-tags", "--depth=1", &what.repository, &spec]);
        if let Err(error) = shallow {
            // A server need not hand out a commit that no name points to: then all that it has.
            if exact {
                run(&["fetch", "--quiet", "--tags", &what.repository, "+refs/heads/*:refs/motet/heads/*"])?;
                run(&["update-ref", "refs/motet/wanted", reference])?;
            } else if run(&["fetch", "--quiet", "--no-tags", &what.repository, &spec]).is_err() {
                // Nor need it serve a part of the history; but this told why it does not serve any.
                return Err(error);
            }
        }
    } else {
        run(&["update-ref", "refs/motet/wanted", reference])?;
    }
    let commit = run(&["rev-parse", "refs/motet/wanted^{commit}"])?.trim().to_owned();
    // A tag with a message is an object of its own, and may be what is expected.
    let tag = run(&["rev-parse", "refs/motet/wanted"])?.trim().to_owned();
    for expected in expected.into_iter().chain(what.commit.as_deref()) {
        if !commit.starts_with(expected) && !tag.starts_with(expected) {
            let (expected, found) = (expected.to_owned(), commit);
            return Err(FetchError::Commit { repository: what.repository.clone(), expected, found });
        }
    }
    let staged = staging::create(rt).map_err(io)?;
    let tree = staged.path.join("tree");
    std::fs::create_dir(&tree).map_err(io)?;
    check_out(&bare, &tree, what, keep_git_dir)
        .map_err(|reason| FetchError::Git { repository: what.repository.clone(), reason })?;
    let seconds: i64 = run(&["log", "-1", "--format=%ct", &commit])?.trim().parse().unwrap_or(0);
    settle(&tree, seconds).map_err(io)?;
    let root = match &what.folder {
        None => tree,
        Some(folder) => {
            let inside = crate::build::view::View::new(vec![tree.clone()]).resolve(Path::new(folder)).map_err(io)?;
            tree.join(inside.strip_prefix("/").unwrap_or(&inside))
        }
    };
    if !root.is_dir() {
        let reason = format!("there is no folder `{}` in it", what.folder.as_deref().unwrap_or("/"));
        return Err(FetchError::Git { repository: what.repository.clone(), reason });
    }
    Ok(CheckedOut { staged, root })
}

fn check_out(bare: &Path, tree: &Path, what: &Git, keep_git_dir: bool) -> Result<(), String> {
    let local = bare.to_string_lossy();
    run(tree, &["init", "--quiet"])?;
    run(tree, &["fetch", "--quiet", "--depth=1", &local, "refs/motet/wanted"])?;
    run(tree, &["remote", "add", "origin", &what.repository])?;
    run(tree, &["checkout", "--quiet", "--force", "FETCH_HEAD"])?;
    if what.submodules && tree.join(".gitmodules").exists() {
        run(tree, &["submodule", "update", "--quiet", "--init", "--recursive", "--depth=1"])?;
    }
    if !keep_git_dir {
        std::fs::remove_dir_all(tree.join(".git")).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Gives every file the time of the commit and a mode that no umask decides, so that the same commit is the same tree.
fn settle(path: &Path, seconds: i64) -> io::Result<()> {
    let metadata = path.symlink_metadata()?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            settle(&entry?.path(), seconds)?;
        }
    }
    if !metadata.is_symlink() {
        let executable = metadata.is_dir() || metadata.permissions().mode() & 0o100 != 0;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    }
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[expect(clippy::disallowed_methods, reason = "the protocols of git are git's")]
fn run(folder: &Path, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new("git");
    // What is fetched decides about nothing here: no hooks, no prompts, no file that a repository points to.
    command.args(["-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", "-c", "safe.directory=*"]);
    command.args(["-c", "protocol.ext.allow=never", "-c", "init.defaultBranch=main"]);
    command.args(args).current_dir(folder).env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no `git` on this machine, which is needed for it".to_owned(),
        _ => error.to_string(),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("git failed without a word");
    Err(std::ffi::OsStr::from_bytes(last.as_bytes()).to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_http_are_read() {
        assert_eq!(http_time("Wed, 21 Oct 2015 07:28:00 GMT"), Some(1_445_412_480));
        assert_eq!(http_time("yesterday"), None);
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_none() {
        assert_eq!(disposition("attachment; filename=\"a.txt\""), Some("a.txt".to_owned()));
        assert_eq!(disposition("attachment; filename=\"../a\""), None);
    }
}
