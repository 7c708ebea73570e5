//! Runs a hook of the file in a container that is there, and passes on what it writes.

use std::io::{BufRead as _, BufReader, PipeReader};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::engine::Engine;
use crate::engine::container::ContainerId;
use crate::engine::error::{EngineError, ErrorKind};
use crate::engine::exec::{ExecIo, ExecSpec};
use crate::event::Event;
use crate::execute::readiness::describe_exit;
use crate::plan::Moment;

/// Runs the hook `exec` in container `name`.
pub(crate) async fn run(
    engine: &Arc<dyn Engine>,
    id: &ContainerId,
    name: &str,
    moment: Moment,
    exec: &ExecSpec,
    events: &UnboundedSender<Event>,
) -> Result<(), EngineError> {
    let word = match moment {
        Moment::PostStart => "post_start",
        Moment::PreStop => "pre_stop",
    };
    let no_pipe = |error: std::io::Error| {
        EngineError::new(
            ErrorKind::Failed,
            format!("container `{name}`"),
            format!("no pipe for the {word} hook: {error}"),
        )
    };
    let (reader, writer) = std::io::pipe().map_err(no_pipe)?;
    let stderr = OwnedFd::from(writer.try_clone().map_err(no_pipe)?);
    let (source, events) = (format!("{name} ->"), events.clone());
    let output = tokio::task::spawn_blocking(move || pass_on(reader, &source, &events));
    let io = ExecIo { stdin: None, stdout: OwnedFd::from(writer), stderr, size: None };
    let ended = engine.exec(id, exec, io).await;
    let output = output.await.unwrap_or_default();
    if ended.as_ref().is_ok_and(|code| *code == 0) {
        return Ok(());
    }
    // It was ending when it was looked at: there is nothing left to be told of its stop.
    if moment == Moment::PreStop && !engine.inspect_container(&id.0).await?.state.is_up() {
        return Ok(());
    }
    let code = ended?;
    let command = exec.command.join(" ");
    let message =
        format!("the {word} hook `{command}` of container `{name}` ended with {}", describe_exit(code, false));
    let mut error = EngineError::new(ErrorKind::Failed, format!("container `{name}`"), message);
    error.output = output;
    Err(error)
}

/// Tells each line as it comes; returns all.
fn pass_on(reader: PipeReader, source: &str, events: &UnboundedSender<Event>) -> Vec<String> {
    let mut reader = BufReader::new(reader);
    let mut lines = Vec::new();
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        let _ = events.send(Event::HookOutput { source: source.to_owned(), line: line.clone() });
        lines.push(line);
        bytes.clear();
    }
    lines
}
