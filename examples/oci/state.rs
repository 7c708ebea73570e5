//! What is known of a container: a folder below the root with its record, its mount point and the socket at which its
//! program waits.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use runtime::state::calendar;
use runtime::state::process::ProcessId;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::failure::{Failure, cannot, failed};

/// A container on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) id: String,
    pub(crate) oci_version: String,
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: PathBuf,
    /// Its first process.
    pub(crate) init: Option<ProcessId>,
    /// Its program was let run.
    pub(crate) is_started: bool,
    #[serde(default)]
    pub(crate) is_paused: bool,
    /// RFC 3339.
    pub(crate) created: String,
    /// Name of its groups.
    pub(crate) group: String,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// As the specification names them, and `paused` as everybody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// Where a container's things lie.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
}

impl Place {
    pub(crate) fn of(root: &Path, id: &str) -> Result<Self, Failure> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_+-.".contains(letter);
        if id.is_empty() || id.len() > 1024 || !id.chars().all(is_plain) || id == "." || id == ".." {
            return Err(failed(format!("`{id}` is no container id: letters, digits, `_`, `+`, `-` and `.`")));
        }
        Ok(Self { folder: root.join(id) })
    }

    /// Makes the folder; one that is there belongs to a container of that id.
    pub(crate) fn make(&self, id: &str) -> Result<(), Failure> {
        if let Some(root) = self.folder.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(root)
                .map_err(cannot(format!("create `{}`", root.display())))?;
        }
        match fs::DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(failed(format!("container `{id}` already exists")));
            }
            other => other.map_err(cannot(format!("create `{}`", self.folder.display())))?,
        }
        fs::create_dir(self.mount_point()).map_err(cannot("create the mount point"))
    }

    pub(crate) fn mount_point(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Where the one who holds the container before its start listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("start.sock")
    }

    fn record(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    pub(crate) fn read(&self, id: &str) -> Result<State, Failure> {
        let text = match fs::read(self.record()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(failed(format!("container `{id}` does not exist")));
            }
            other => other.map_err(cannot(format!("read the state of `{id}`")))?,
        };
        serde_json::from_slice(&text).map_err(cannot(format!("read the state of `{id}`")))
    }

    /// Written aside and renamed, so that nobody reads half of it.
    pub(crate) fn write(&self, state: &State) -> Result<(), Failure> {
        let text = serde_json::to_vec(state).map_err(cannot("write the state"))?;
        let aside = self.folder.join("state.json.new");
        fs::write(&aside, text)
            .and_then(|()| fs::rename(&aside, self.record()))
            .map_err(cannot(format!("write `{}`", self.record().display())))
    }
}

impl State {
    pub(crate) fn new(id: &str, config: &Config, bundle: &Path, group: String) -> Self {
        let rootfs = bundle.join(config.root.as_ref().map_or("rootfs", |root| &root.path));
        Self {
            id: id.to_owned(),
            oci_version: "1.2.0".to_owned(),
            bundle: bundle.to_owned(),
            rootfs,
            init: None,
            is_started: false,
            is_paused: false,
            created: now(),
            group,
            annotations: config.annotations.clone(),
        }
    }

    pub(crate) fn status(&self) -> Status {
        match self.init {
            None => Status::Creating,
            Some(init) if !init.is_running() => Status::Stopped,
            Some(_) if !self.is_started => Status::Created,
            Some(_) if self.is_paused => Status::Paused,
            Some(_) => Status::Running,
        }
    }

    /// As the specification wants it, for people, hooks and programs.
    pub(crate) fn document(&self, status: Status) -> serde_json::Value {
        let pid = match status {
            Status::Stopped => 0,
            Status::Creating | Status::Created | Status::Running | Status::Paused => {
                self.init.map_or(0, |init| init.pid)
            }
        };
        serde_json::json!({
            "ociVersion": self.oci_version, "id": self.id, "pid": pid, "status": status.name(),
            "bundle": self.bundle, "rootfs": self.rootfs, "created": self.created, "owner": "",
            "annotations": self.annotations,
        })
    }
}

/// The time in UTC (RFC 3339).
fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (i64::try_from(since.as_secs() / 86_400).unwrap_or(0), since.as_secs() % 86_400);
    let (year, month, day) = calendar::date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", since.subsec_nanos())
}
