//! A program run in a running container.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use tokio::sync::watch;

use crate::engine::Engine;
use crate::engine::container::ContainerId;
use crate::engine::error::{EngineError, ErrorKind};

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the flags of `exec`, named as in Docker Compose")]
pub struct ExecSpec {
    pub command: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub user: Option<String>,
    pub working_dir: Option<String>,
    pub privileged: bool,
    pub tty: bool,
    /// Return at once and let it run.
    pub detach: bool,
}

/// What its standard streams are. With a terminal, `stdout` is what its output is written to and `stdin` what is
/// read from, and `size` follows the person's window.
#[derive(Debug)]
pub struct ExecIo {
    /// `None`: empty input.
    pub stdin: Option<OwnedFd>,
    /// Where its output goes.
    pub stdout: OwnedFd,
    /// Where its errors go.
    pub stderr: OwnedFd,
    /// Rows and columns of the person's terminal.
    pub size: Option<watch::Receiver<(u16, u16)>>,
}

/// Removes paths with the container's own `rm`, as its root.
pub(super) async fn remove<E: Engine + ?Sized>(
    engine: &E,
    id: &ContainerId,
    paths: &[String],
) -> Result<(), EngineError> {
    let failed = |why: String| {
        EngineError::new(ErrorKind::Failed, id.0.clone(), format!("cannot remove files in the container: {why}"))
    };
    let open = || std::fs::File::options().write(true).open("/dev/null").map_err(|error| failed(error.to_string()));
    let mut command = ["rm", "-rf", "--"].map(str::to_owned).to_vec();
    command.extend(paths.iter().cloned());
    let spec = ExecSpec { command, user: Some("0".to_owned()), ..ExecSpec::default() };
    let streams = ExecIo { stdin: None, stdout: open()?.into(), stderr: open()?.into(), size: None };
    match engine.exec(id, &spec, streams).await? {
        0 => Ok(()),
        code => Err(failed(format!("`rm` ended with code {code}"))),
    }
}
