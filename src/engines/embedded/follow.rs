//! What goes on by itself, as streams: states, new containers, log lines. Nothing is polled.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use orchestrator::engine::container::{ContainerState, ContainerSummary};
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::log::{LogLine, LogQuery, LogStream};
use runtime::Runtime;
use runtime::container::list::{self, Container};
use runtime::container::logs::{self, LogReader};
use runtime::container::watch;
use runtime::keeper::log::Stream;
use runtime::state::changes::Subscription;
use runtime::state::container::{Status, StatusRecord};
use runtime::state::occurrence::OccurrenceReader;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc};

use crate::embedded::{engine, errors, observe, stamp, summary};

/// States and containers that may wait for a slow reader.
const WAITING: usize = 16;
/// Lines that may wait for a slow reader.
const LINES: usize = 1024;

pub(crate) fn notifier() -> (Arc<Notify>, impl Fn() + Send + Sync + 'static) {
    let notify = Arc::new(Notify::new());
    let other = Arc::clone(&notify);
    (notify, move || other.notify_one())
}

/// Waits for the end of a container's keeper, which a killed one does not announce in any file.
async fn keeper_ends(status: &StatusRecord) {
    #[expect(deprecated, reason = "its successor is unsafe, for descriptors that are closed early: an OwnedFd is not")]
    let keeper = watch::keeper(status).map(|keeper| AsyncFd::with_interest(keeper, Interest::READABLE));
    match keeper {
        Some(Ok(keeper)) => {
            let _: Result<_, _> = AsyncFd::<OwnedFd>::readable(&keeper).await;
        }
        Some(Err(_)) | None => std::future::pending().await,
    }
}

/// Sends a container's state at once, then each change.
pub(crate) fn state(rt: &Runtime, id: String) -> Result<mpsc::Receiver<ContainerState>, EngineError> {
    let (notify, tell) = notifier();
    let subscription = watch::container(rt, &id, tell).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => errors::find(&id, &list::FindError::NotFound { name: id.clone() }),
        _ => errors::kernel(errors::container(&id), "watch", &error),
    })?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let rt = rt.clone();
    tokio::spawn(async move {
        let _subscription = subscription;
        let mut last = None;
        loop {
            let wanted = id.clone();
            // A record that can't be read is one that is being removed, or broken for good.
            let found = engine::blocking(&rt, move |rt| Ok(list::read(rt, &wanted))).await;
            let found = match found {
                Ok(Ok(found)) => found,
                Ok(Err(error)) => {
                    let reason = runtime::keeper::ready::sentence(&error);
                    let _ = sender.send(ContainerState::Dead { reason }).await;
                    return;
                }
                Err(_) => return,
            };
            let Some(container) = found else {
                // One that is removed by itself may be gone before anybody has seen that it ran, or how it ended.
                if !matches!(last, Some(ContainerState::Exited { .. }))
                    && let Some(end) = last_end(&rt, &id)
                {
                    let _ = sender.send(end).await;
                }
                let _ = sender.send(ContainerState::Removed).await;
                return;
            };
            let state = summary::state(&container.status);
            if last.as_ref() != Some(&state) {
                if sender.send(state.clone()).await.is_err() {
                    return;
                }
                last = Some(state);
            }
            tokio::select! {
                () = notify.notified() => {}
                () = keeper_ends(&container.status) => {}
                () = sender.closed() => return,
            }
        }
    });
    Ok(receiver)
}

/// How a container that is gone has ended, as it was told then.
fn last_end(rt: &Runtime, id: &str) -> Option<ContainerState> {
    let all = OccurrenceReader::open(&rt.layout, false).and_then(|mut reader| reader.read()).ok()?;
    let end = all.iter().rfind(|one| one.id == id && one.action == "die")?;
    let out_of_memory = all.iter().any(|one| one.id == id && one.action == "oom");
    let exit_code = end.attributes.get("exitCode")?.parse().ok()?;
    Some(ContainerState::Exited { exit_code, at: stamp::of_millis(end.time_ns / 1_000_000), out_of_memory })
}

/// When a container last began to run; `None`: it does not.
fn since(container: &Container) -> Option<u64> {
    match container.status.status {
        Status::Running { since_ms, .. } | Status::Paused { since_ms, .. } => Some(since_ms),
        Status::Created | Status::Restarting { .. } | Status::Exited { .. } | Status::Dead { .. } => None,
    }
}

/// A container that is known: when it last began to run, and what tells of its next start.
struct Known {
    since: Option<u64>,
    _subscription: Subscription,
}

/// Sends each container that has all of `labels` when it is created and when it is started.
pub(crate) async fn new_containers(
    rt: &Runtime,
    labels: Vec<String>,
) -> Result<mpsc::Receiver<ContainerSummary>, EngineError> {
    let (notify, tell) = notifier();
    let subscription =
        watch::containers(rt, tell).map_err(|error| errors::kernel("new containers".into(), "watch for", &error))?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let mut known = HashMap::new();
    // Those that are there already are no news; after subscribing, so that none falls between.
    look(rt, &labels, &notify, &mut known).await?;
    let rt = rt.clone();
    tokio::spawn(async move {
        let _subscription = subscription;
        loop {
            tokio::select! {
                () = notify.notified() => {}
                () = sender.closed() => return,
            }
            let Ok(news) = look(&rt, &labels, &notify, &mut known).await else { return };
            for container in news {
                if sender.send(container).await.is_err() {
                    return;
                }
            }
        }
    });
    Ok(receiver)
}

/// Returns what is new since the last look.
async fn look(
    rt: &Runtime,
    labels: &[String],
    notify: &Arc<Notify>,
    known: &mut HashMap<String, Known>,
) -> Result<Vec<ContainerSummary>, EngineError> {
    let asked = labels.to_vec();
    let (mut containers, mut networks) = engine::blocking(rt, move |rt| observe::containers(rt, &asked)).await?;
    let mut news = Vec::new();
    let mut is_watched_anew = false;
    for container in &containers {
        let id = &container.record.id;
        let since = since(container);
        match known.get_mut(id) {
            Some(known) => {
                let is_started = since.is_some() && since != known.since;
                known.since = since;
                if is_started {
                    news.push(summary::container(container, &networks));
                }
            }
            None => {
                let other = Arc::clone(notify);
                // Removed meanwhile: then it is no news either.
                if let Ok(subscription) = watch::container(rt, id, move || other.notify_one()) {
                    known.insert(id.clone(), Known { since, _subscription: subscription });
                    news.push(summary::container(container, &networks));
                    is_watched_anew = true;
                }
            }
        }
    }
    known.retain(|id, _| containers.iter().any(|container| &container.record.id == id));
    containers.clear();
    networks.0.clear();
    if is_watched_anew {
        // It may have been started between the look and the subscription.
        notify.notify_one();
    }
    Ok(news)
}

/// Sends log lines in order.
pub(crate) async fn logs(rt: &Runtime, id: String, query: LogQuery) -> Result<mpsc::Receiver<LogLine>, EngineError> {
    let wanted = id.clone();
    engine::blocking(rt, move |rt| match list::find(rt, &wanted) {
        Ok(container) if container.record.log.disabled => {
            let why = "its logging driver is `none`: nothing that it writes is kept to be read".to_owned();
            Err(EngineError::new(ErrorKind::Unsupported, errors::container(&container.record.name), why))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(errors::find(&wanted, &error)),
    })
    .await?;
    let (notify, tell) = notifier();
    let failed = |error: &std::io::Error| errors::kernel(errors::container(&id), "read the log of", error);
    let subscription = match query.follow {
        true => Some(watch::log(rt, &id, tell).map_err(|error| failed(&error))?),
        false => None,
    };
    let folder = rt.layout.bundle(&id).log();
    let span = logs::LogQuery { tail: query.tail, since: query.since, until: query.until };
    let mut reader = LogReader::open(&folder, &span).map_err(|error| failed(&error))?;
    let (sender, receiver) = mpsc::channel(LINES);
    tokio::spawn(async move {
        let _subscription = subscription;
        loop {
            let lines = sender.clone();
            let reading = tokio::task::spawn_blocking(move || {
                let result = reader.read(&mut |line| {
                    let line = LogLine {
                        time: line.time,
                        stream: match line.stream {
                            Stream::Stdout => LogStream::Stdout,
                            Stream::Stderr => LogStream::Stderr,
                        },
                        bytes: line.bytes.to_vec(),
                    };
                    lines.blocking_send(line).is_ok()
                });
                (reader, result)
            });
            match reading.await {
                Ok((read, Ok(true))) if query.follow && folder.is_dir() => reader = read,
                Ok((_, Err(error))) => {
                    tracing::warn!(%error, "cannot read the log of a container any further");
                    return;
                }
                Ok(_) | Err(_) => return,
            }
            tokio::select! {
                () = notify.notified() => {}
                () = sender.closed() => return,
            }
        }
    });
    Ok(receiver)
}
