//! Is it ready? Waits for the engine's own reports of a container's state: nothing is polled.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::engine::Engine;
use crate::engine::container::{ContainerId, ContainerState, Health};
use crate::engine::error::{EngineError, ErrorKind};
use crate::engine::log::LogQuery;
use crate::event::Failure;
use crate::plan::{Wait, WaitStep};

/// A program without a health check counts as ready when it has lived so long: one that crashes at once does not.
const SETTLE: Duration = Duration::from_millis(150);
/// A container that was restarted so often won't become ready.
const MANY_RESTARTS: u32 = 5;
/// Lines of the container's log that are shown with a failure.
const EVIDENCE: u64 = 10;

/// What a state means to somebody who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is there.
    Ready,
    /// It is there if it stays so.
    Settling(SystemTime),
    /// Not yet.
    Pending,
    /// It will not come: why, as the end of a sentence about the container, and what the probe wrote.
    Failed(String, Vec<String>),
}

/// Judges a state. Pure.
pub fn verdict(state: &ContainerState, wait: Wait) -> Verdict {
    let failed = |text: String| Verdict::Failed(text, Vec::new());
    match (state, wait) {
        (ContainerState::Created | ContainerState::Paused { .. }, _) => Verdict::Pending,
        (ContainerState::Running { .. }, Wait::Completed) => Verdict::Pending,
        (ContainerState::Running { health: None, .. }, Wait::Healthy) => {
            failed("has no health check, so it can't become healthy".to_owned())
        }
        (ContainerState::Running { health: None, since }, Wait::Ready) => Verdict::Settling(*since),
        (ContainerState::Running { health: Some(health), .. }, Wait::Healthy | Wait::Ready) => match health {
            Health::Healthy => Verdict::Ready,
            Health::Starting => Verdict::Pending,
            Health::Unhealthy { failures, exit_code, output } => {
                let last = exit_code.map_or("the last one ran into its timeout".to_owned(), |code| {
                    format!("the last one ended with {}", describe_exit(code, false))
                });
                let text = format!("is unhealthy: {failures} probes failed in a row, {last}");
                Verdict::Failed(text, output.lines().map(str::to_owned).collect())
            }
        },
        (ContainerState::Exited { exit_code: 0, .. }, Wait::Completed | Wait::Ready) => Verdict::Ready,
        (ContainerState::Exited { exit_code, out_of_memory, .. }, _) => {
            failed(format!("ended with {}", describe_exit(*exit_code, *out_of_memory)))
        }
        (ContainerState::Restarting { exit_code, attempts, .. }, _) if *attempts >= MANY_RESTARTS => failed(format!(
            "keeps crashing: {attempts} restarts, the last run ended with {}",
            describe_exit(*exit_code, false)
        )),
        (ContainerState::Restarting { .. }, _) => Verdict::Pending,
        (ContainerState::Dead { reason }, _) => failed(format!("could not run: {reason}")),
        (ContainerState::Removed, _) => failed("was removed meanwhile".to_owned()),
    }
}

/// Returns `exit code 137 (killed)`: a code and what it means.
pub fn describe_exit(code: i32, out_of_memory: bool) -> String {
    let meaning = match code {
        _ if out_of_memory => "killed: out of memory",
        125 => "the container could not be set up",
        126 => "the program is not executable",
        127 => "no such program",
        129 => "SIGHUP",
        130 => "interrupted: SIGINT",
        131 => "SIGQUIT",
        132 => "illegal instruction",
        134 => "aborted",
        135 => "bus error",
        136 => "arithmetic error",
        137 => "killed: SIGKILL",
        139 => "segmentation fault",
        141 => "broken pipe",
        143 => "terminated: SIGTERM",
        _ => return format!("exit code {code}"),
    };
    format!("exit code {code} ({meaning})")
}

/// Waits until container `name` is what `wait` asks for.
pub(crate) async fn wait(
    engine: &Arc<dyn Engine>,
    id: &ContainerId,
    name: &str,
    wait: &WaitStep,
    needed_by: &[String],
    deadline: Option<Instant>,
) -> Result<(), EngineError> {
    let mut states = engine.watch_container(id).await?;
    let begun = Instant::now();
    let (reason, probe) = match watch(&mut states, wait.wait, deadline).await {
        Ok(()) => return Ok(()),
        Err(found) => found,
    };
    drop(states);
    let mut message = match wait.wait {
        Wait::Healthy => format!("dependency `{}` failed to start: container `{name}` {reason}", wait.service),
        Wait::Completed => format!("service `{}` did not complete: container `{name}` {reason}", wait.service),
        Wait::Ready => format!("service `{}` is not ready: container `{name}` {reason}", wait.service),
    };
    if !needed_by.is_empty() {
        let names = needed_by.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let verb = if needed_by.len() == 1 { "waits" } else { "wait" };
        message.push_str(&format!("; {names} {verb} for it"));
    }
    let mut error = EngineError::new(ErrorKind::Failed, format!("container `{name}`"), message);
    if !probe.is_empty() {
        error.output.push(format!("last probe of {name}, after {:.1} s:", begun.elapsed().as_secs_f64()));
        error.output.extend(probe.into_iter().map(|line| format!("  {line}")));
    }
    let log = last_lines(engine, id).await;
    if !log.is_empty() {
        error.output.push(format!("last lines of {name}:"));
        error.output.extend(log.into_iter().map(|line| format!("  {line}")));
    }
    Err(error)
}

/// Returns the failure of a container of `service` that ended with a code other than 0, with the last it wrote.
pub async fn ended_badly(
    engine: &Arc<dyn Engine>,
    id: &ContainerId,
    (service, name): (&str, &str),
    exit_code: i32,
    out_of_memory: bool,
) -> Failure {
    let code = describe_exit(exit_code, out_of_memory);
    let message = format!("service `{service}` failed: container `{name}` ended with {code}");
    let mut error = EngineError::new(ErrorKind::Failed, format!("container `{name}`"), message);
    let log = last_lines(engine, id).await;
    if !log.is_empty() {
        error.output.push(format!("last lines of {name}:"));
        error.output.extend(log.into_iter().map(|line| format!("  {line}")));
    }
    Failure::new(error, Some(format!("services.{service}")))
}

async fn watch(
    states: &mut mpsc::Receiver<ContainerState>,
    wait: Wait,
    deadline: Option<Instant>,
) -> Result<(), (String, Vec<String>)> {
    let mut last = None;
    let mut settles: Option<Instant> = None;
    loop {
        let until = match (settles, deadline) {
            (Some(settles), Some(deadline)) => Some(settles.min(deadline)),
            (settles, deadline) => settles.or(deadline),
        };
        let next = match until {
            Some(until) => timeout_at(until, states.recv()).await,
            None => Ok(states.recv().await),
        };
        let state = match next {
            Ok(Some(state)) => state,
            Ok(None) => return Err(("is no longer reported by the engine".to_owned(), Vec::new())),
            Err(_) if settles.is_some_and(|settles| Instant::now() >= settles) => return Ok(()),
            Err(_) => {
                let state = last.as_ref().map_or("is not reported yet", still);
                return Err((format!("{state}, and the time to wait is over"), Vec::new()));
            }
        };
        settles = None;
        match verdict(&state, wait) {
            Verdict::Ready => return Ok(()),
            Verdict::Pending => {}
            Verdict::Settling(since) => {
                let lived = SystemTime::now().duration_since(since).unwrap_or_default();
                if lived >= SETTLE {
                    return Ok(());
                }
                settles = Some(Instant::now() + (SETTLE - lived));
            }
            Verdict::Failed(reason, probe) => return Err((reason, probe)),
        }
        last = Some(state);
    }
}

fn still(state: &ContainerState) -> &'static str {
    match state {
        ContainerState::Created => "is not started yet",
        ContainerState::Running { health: Some(Health::Starting), .. } => "has no verdict of its health check yet",
        ContainerState::Running { .. } => "still runs",
        ContainerState::Paused { .. } => "is paused",
        ContainerState::Restarting { .. } => "restarts again and again",
        ContainerState::Exited { .. } | ContainerState::Dead { .. } | ContainerState::Removed => "does not run",
    }
}

async fn last_lines(engine: &Arc<dyn Engine>, id: &ContainerId) -> Vec<String> {
    let query = LogQuery { follow: false, tail: Some(EVIDENCE), since: None, until: None };
    // The evidence is a help, not the point: a log that can't be read must not hide the failure.
    let Ok(mut lines) = engine.container_logs(id, query).await else { return Vec::new() };
    let mut log = Vec::new();
    while let Some(line) = lines.recv().await {
        log.push(String::from_utf8_lossy(&line.bytes).into_owned());
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(exit_code: i32, out_of_memory: bool) -> ContainerState {
        ContainerState::Exited { exit_code, at: SystemTime::UNIX_EPOCH, out_of_memory }
    }

    #[test]
    fn exit_codes_are_explained() {
        assert_eq!(describe_exit(127, false), "exit code 127 (no such program)");
        assert_eq!(describe_exit(137, true), "exit code 137 (killed: out of memory)");
        assert_eq!(describe_exit(3, false), "exit code 3");
    }

    #[test]
    fn a_one_shot_is_complete_only_with_code_zero() {
        assert_eq!(verdict(&exited(0, false), Wait::Completed), Verdict::Ready);
        assert_eq!(
            verdict(&exited(1, false), Wait::Completed),
            Verdict::Failed("ended with exit code 1".to_owned(), Vec::new())
        );
        assert!(matches!(verdict(&exited(0, false), Wait::Healthy), Verdict::Failed(..)));
    }

    #[test]
    fn a_container_without_a_health_check_never_becomes_healthy() {
        let running = ContainerState::Running { since: SystemTime::UNIX_EPOCH, health: None };
        assert!(matches!(verdict(&running, Wait::Healthy), Verdict::Failed(..)));
        assert_eq!(verdict(&running, Wait::Ready), Verdict::Settling(SystemTime::UNIX_EPOCH));
    }

    #[test]
    fn a_few_restarts_are_waited_for_and_many_are_not() {
        let restarting = |attempts| ContainerState::Restarting { exit_code: 3, attempts, at: SystemTime::UNIX_EPOCH };
        assert_eq!(verdict(&restarting(1), Wait::Healthy), Verdict::Pending);
        assert!(matches!(verdict(&restarting(5), Wait::Healthy), Verdict::Failed(..)));
    }
}
