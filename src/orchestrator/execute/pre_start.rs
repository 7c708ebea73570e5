//! Runs a `pre_start` hook: a container that is made, runs to its end and is removed.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::engine::Engine;
use crate::engine::container::{ContainerId, ContainerState};
use crate::engine::error::{EngineError, ErrorKind};
use crate::engine::log::{LogLine, LogQuery};
use crate::event::Event;
use crate::execute::readiness::describe_exit;
use crate::plan::PreStartRun;

/// Lines that are shown of a hook that failed.
const EVIDENCE: usize = 10;

/// Runs the hook.
pub(crate) async fn run(
    engine: &Arc<dyn Engine>,
    hook: &PreStartRun,
    events: &UnboundedSender<Event>,
) -> Result<(), EngineError> {
    let id = engine.create_container(&hook.spec).await?;
    let ran = run_to_end(engine, hook, &id, events).await;
    let removed = engine.remove_container(&id, true).await;
    ran?;
    removed
}

async fn run_to_end(
    engine: &Arc<dyn Engine>,
    hook: &PreStartRun,
    id: &ContainerId,
    events: &UnboundedSender<Event>,
) -> Result<(), EngineError> {
    let mut states = engine.watch_container(id).await?;
    engine.start_container(id).await?;
    let mut lines = engine.container_logs(id, LogQuery { follow: true, ..LogQuery::default() }).await?;
    let tell = |line: &LogLine| {
        let text = String::from_utf8_lossy(&line.bytes).trim_end().to_owned();
        let source = format!("{} pre_start[{}] ->", hook.service, hook.index);
        let _ = events.send(Event::HookOutput { source, line: text.clone() });
        text
    };
    let mut told = 0_usize;
    let mut tail = VecDeque::new();
    let note = |tail: &mut VecDeque<String>, line: &LogLine| {
        tail.push_back(tell(line));
        if tail.len() > EVIDENCE {
            tail.pop_front();
        }
    };
    let (code, out_of_memory) = loop {
        let state = tokio::select! {
            Some(line) = lines.recv() => {
                note(&mut tail, &line);
                told += 1;
                continue;
            }
            state = states.recv() => state,
        };
        match state {
            Some(ContainerState::Exited { exit_code, out_of_memory, .. }) => break (exit_code, out_of_memory),
            Some(ContainerState::Dead { reason }) => return Err(failed(hook, &reason)),
            Some(ContainerState::Removed) | None => return Err(failed(hook, "its container is gone")),
            Some(
                ContainerState::Created
                | ContainerState::Running { .. }
                | ContainerState::Paused { .. }
                | ContainerState::Restarting { .. },
            ) => {}
        }
    };
    // Whoever follows may be some lines behind the end: the rest is read once more, without those that were told.
    drop(lines);
    let mut rest = engine.container_logs(id, LogQuery::default()).await?;
    let mut seen = 0_usize;
    while let Some(line) = rest.recv().await {
        seen += 1;
        if seen > told {
            note(&mut tail, &line);
        }
    }
    if code == 0 {
        return Ok(());
    }
    let mut error = failed(hook, &format!("it ended with {}", describe_exit(code, out_of_memory)));
    error.output = tail.into();
    Err(error)
}

fn failed(hook: &PreStartRun, why: &str) -> EngineError {
    let message = format!("pre_start[{}] of service `{}` failed: {why}", hook.index, hook.service);
    EngineError::new(ErrorKind::Failed, format!("service `{}`", hook.service), message)
}
