//! Listens to one container, for an attached `up` and `logs -f`: every line once, in order, over any number of
//! restarts, and its end only after its last line.

use std::sync::Arc;
use std::time::SystemTime;

use orchestrator::engine::Engine;
use orchestrator::engine::container::{ContainerState, ContainerSummary};
use orchestrator::engine::error::EngineError;
use orchestrator::engine::hold::restart_of;
use orchestrator::engine::log::{LogLine, LogQuery};
use orchestrator::event::Attachment;
use orchestrator::identity;
use tokio::sync::mpsc::{Receiver, UnboundedSender};

/// What a container says.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It wrote a line.
    Line(LogLine),
    /// It is in another state now.
    State(ContainerState),
    /// It could not be listened to, and why.
    Deaf(String),
}

/// Where in the log we are: the time of the last line, and how many lines of exactly that time have been shown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cursor {
    /// What to ask for while no line has come.
    first: LogQuery,
    time: Option<SystemTime>,
    shown: usize,
    /// Lines of that time that the present query has sent again.
    again: usize,
}

impl Cursor {
    fn new(first: LogQuery) -> Self {
        Self { first, time: None, shown: 0, again: 0 }
    }

    fn query(&mut self, follow: bool) -> LogQuery {
        self.again = 0;
        match self.time {
            None => LogQuery { follow, ..self.first.clone() },
            Some(_) => LogQuery { follow, tail: None, since: self.time, until: self.first.until },
        }
    }

    /// Says whether a line of a query from here is new.
    fn is_new(&mut self, line: &LogLine) -> bool {
        if self.time == Some(line.time) {
            self.again += 1;
            if self.again <= self.shown {
                return false;
            }
            self.shown += 1;
        } else {
            (self.time, self.shown) = (Some(line.time), 1);
        }
        self.again = self.shown;
        true
    }
}

/// Sends what the container says until it is removed or nobody listens: its states, and the lines that `query` asks
/// for, if it does.
pub(crate) async fn listen(
    engine: Arc<dyn Engine>,
    attachment: Attachment,
    query: Option<LogQuery>,
    heard: UnboundedSender<(Attachment, Heard)>,
) {
    let say = |what| heard.send((attachment.clone(), what)).is_ok();
    let mut states = match engine.watch_container(&attachment.id).await {
        Ok(states) => states,
        Err(error) => {
            say(Heard::Deaf(error.message));
            return;
        }
    };
    let with_lines = query.is_some();
    let mut cursor = Cursor::new(query.unwrap_or_default());
    let mut lines = if with_lines { lines(&engine, &attachment, &mut cursor, true).await } else { None };
    // It runs by the last word of its state, and its lines may be asked for once more when they end: a stream that was
    // opened before a restart may end with it.
    let mut may_go_on = false;
    loop {
        tokio::select! {
            biased;
            line = next(&mut lines) => match line {
                Some(line) => {
                    if cursor.is_new(&line) && !say(Heard::Line(line)) {
                        return;
                    }
                }
                None if may_go_on => {
                    may_go_on = false;
                    lines = self::lines(&engine, &attachment, &mut cursor, true).await;
                }
                None => lines = None,
            },
            state = states.recv() => {
                let Some(state) = state else { return };
                let ended = matches!(state, ContainerState::Exited { .. } | ContainerState::Restarting { .. });
                if ended && with_lines {
                    // The rest of its lines is in the log by now: they come before the news of its end.
                    let mut rest = self::lines(&engine, &attachment, &mut cursor, false).await;
                    while let Some(line) = next_of(&mut rest).await {
                        if cursor.is_new(&line) && !say(Heard::Line(line)) {
                            return;
                        }
                    }
                    lines = self::lines(&engine, &attachment, &mut cursor, true).await;
                }
                may_go_on = with_lines && state.is_up();
                if may_go_on && lines.is_none() {
                    lines = self::lines(&engine, &attachment, &mut cursor, true).await;
                }
                if !say(Heard::State(state)) {
                    return;
                }
            }
        }
    }
}

/// Returns the containers of a project that run once no other command is about to start or to replace any: what has ended
/// may be on its way back.
pub(crate) async fn survivors(engine: &Arc<dyn Engine>, project: &str) -> Result<Vec<ContainerSummary>, EngineError> {
    for name in [project.to_owned(), restart_of(project)] {
        drop(engine.hold(&name, Box::new(|| {})).await?);
    }
    let mut containers = engine.list_containers(&identity::project_filter(project)).await?;
    containers.retain(|container| container.state.is_up());
    Ok(containers)
}

/// Returns the next container that is created or started; waits for ever where the engine can't tell.
pub(crate) async fn arrival(arrivals: &mut Option<Receiver<ContainerSummary>>) -> Option<ContainerSummary> {
    match arrivals {
        Some(arrivals) => arrivals.recv().await,
        None => std::future::pending().await,
    }
}

async fn lines(
    engine: &Arc<dyn Engine>,
    attachment: &Attachment,
    cursor: &mut Cursor,
    follow: bool,
) -> Option<Receiver<LogLine>> {
    engine.container_logs(&attachment.id, cursor.query(follow)).await.ok()
}

/// Returns the next line; waits for ever where there is no stream.
async fn next(lines: &mut Option<Receiver<LogLine>>) -> Option<LogLine> {
    match lines {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}

/// Returns the next line; `None` where there is no stream.
async fn next_of(lines: &mut Option<Receiver<LogLine>>) -> Option<LogLine> {
    match lines {
        Some(lines) => lines.recv().await,
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use orchestrator::engine::log::LogStream;

    use super::*;

    fn line(second: u64) -> LogLine {
        let time = UNIX_EPOCH + Duration::from_secs(second);
        LogLine { time, stream: LogStream::Stdout, bytes: Vec::new() }
    }

    #[test]
    fn a_second_query_from_the_same_moment_repeats_nothing() {
        let mut cursor = Cursor::new(LogQuery { tail: Some(5), ..LogQuery::default() });
        assert_eq!((cursor.query(true).since, cursor.query(false).tail), (None, Some(5)));
        let new: Vec<bool> = [1, 1, 2, 3, 3].map(|second| cursor.is_new(&line(second))).to_vec();
        assert_eq!(new, [true; 5]);
        assert_eq!((cursor.query(false).since, cursor.query(false).tail), (Some(line(3).time), None));
        let new: Vec<bool> = [3, 3, 3, 4].map(|second| cursor.is_new(&line(second))).to_vec();
        assert_eq!(new, [false, false, true, true]);
        let _ = cursor.query(true);
        assert!(!cursor.is_new(&line(4)));
        assert!(cursor.is_new(&line(4)));
    }
}
