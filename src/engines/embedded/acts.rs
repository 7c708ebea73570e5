//! Acts on containers that run, and what is told of them: freezing, restarting, processes, counters, occurrences.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use orchestrator::engine::container::{Endpoint, StopOptions};
use orchestrator::engine::error::EngineError;
use orchestrator::engine::occurrence::{Occurrence, OccurrenceQuery};
use orchestrator::engine::statistics::{ProcessTable, Statistics};
use runtime::Runtime;
use runtime::container::stop::StopRequest;
use runtime::container::{connect, list, pause, processes, restart, resume, signal, statistics};
use runtime::state::changes::{self, Kind};
use runtime::state::occurrence::{self as happened, OccurrenceReader};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::embedded::engine::{blocking, signal_number};
use crate::embedded::{errors, follow, predefined, request, summary};

/// Counters and occurrences that may wait for a slow reader.
const WAITING: usize = 64;
/// Between two readings of counters.
const SECOND: Duration = Duration::from_secs(1);

pub(crate) async fn pause(rt: &Runtime, id: String) -> Result<(), EngineError> {
    blocking(rt, move |rt| pause::pause(rt, &id).map_err(|error| errors::act(&id, &error))).await
}

pub(crate) async fn unpause(rt: &Runtime, id: String) -> Result<(), EngineError> {
    blocking(rt, move |rt| pause::unpause(rt, &id).map_err(|error| errors::act(&id, &error))).await
}

/// Puts a container on a network.
pub(crate) async fn connect(rt: &Runtime, id: String, endpoint: Endpoint) -> Result<(), EngineError> {
    let endpoint = request::place(&id, &endpoint)?;
    blocking(rt, move |rt| {
        match predefined::find(rt, &endpoint.network) {
            Some(predefined::BRIDGE) => predefined::ensure_bridge(rt)?,
            Some(name) => return Err(predefined::not_permitted(name)),
            None => {}
        }
        connect::connect(rt, &id, &endpoint)
            .map_err(|error| errors::connect(&id, &endpoint.network, "connect to", &error))
    })
    .await
}

/// Takes a container off a network.
pub(crate) async fn disconnect(rt: &Runtime, id: String, network: String) -> Result<(), EngineError> {
    blocking(rt, move |rt| {
        connect::disconnect(rt, &id, &network)
            .map_err(|error| errors::connect(&id, &network, "disconnect from", &error))
    })
    .await
}

/// How to stop, in the runtime's words.
pub(crate) fn stop_request(id: &str, options: &StopOptions) -> Result<StopRequest, EngineError> {
    let signal = options.signal.as_deref().map(|signal| signal_number(id, signal)).transpose()?;
    let grace_ms = options.grace.map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
    Ok(StopRequest { signal, grace_ms, for_removal: false })
}

pub(crate) async fn restart(rt: &Runtime, id: String, options: StopOptions) -> Result<(), EngineError> {
    let request = stop_request(&id, &options)?;
    blocking(rt, move |rt| restart::restart(rt, &id, request).map_err(|error| errors::restart(&id, &error))).await
}

/// Names the signal that the last stop found not to be caught.
pub(crate) async fn uncaught_stop_signal(rt: &Runtime, id: String) -> Option<String> {
    let look = move |rt: &Runtime| list::find(rt, &id).map_err(|error| errors::find(&id, &error));
    blocking(rt, look).await.ok()?.status.deaf_to.map(signal::name)
}

/// Starts again what a reboot has ended.
pub(crate) async fn resume(rt: &Runtime) -> Result<Vec<(String, Option<EngineError>)>, EngineError> {
    blocking(rt, |rt| {
        let resumed = resume::resume(rt).map_err(|error| errors::find("*", &error))?;
        let told = |one: resume::Resumed| {
            let error = one.result.err().map(|error| errors::start(&one.name, &error));
            (one.name, error)
        };
        Ok(resumed.into_iter().map(told).collect())
    })
    .await
}

pub(crate) async fn processes(rt: &Runtime, id: String, arguments: Vec<String>) -> Result<ProcessTable, EngineError> {
    blocking(rt, move |rt| {
        let table = processes::list(rt, &id, &arguments).map_err(|error| errors::act(&id, &error))?;
        Ok(ProcessTable { titles: table.titles, rows: table.rows })
    })
    .await
}

/// Reads counters at once and then each second; a container that has ended ends the stream.
pub(crate) async fn statistics(rt: &Runtime, id: String) -> Result<mpsc::Receiver<Statistics>, EngineError> {
    let wanted = id.clone();
    let read = move |rt: &Runtime| statistics::read(rt, &wanted).map_err(|error| errors::act(&wanted, &error));
    let first = blocking(rt, read.clone()).await?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let rt = rt.clone();
    tokio::spawn(async move {
        let mut counters = first;
        let mut beat = tokio::time::interval(SECOND);
        beat.tick().await;
        loop {
            if sender.send(of_runtime(counters)).await.is_err() {
                return;
            }
            tokio::select! {
                _ = beat.tick() => {}
                () = sender.closed() => return,
            }
            match blocking(&rt, read.clone()).await {
                Ok(next) => counters = next,
                Err(_) => return,
            }
        }
    });
    Ok(receiver)
}

fn of_runtime(counters: statistics::Statistics) -> Statistics {
    Statistics {
        read: counters.read,
        cpu_nanos: counters.cpu_nanos,
        system_nanos: counters.system_nanos,
        processors: counters.processors,
        memory: counters.memory,
        memory_limit: counters.memory_limit,
        network: counters.network,
        block: counters.block,
        processes: counters.tasks,
    }
}

/// Sends what happens. Nothing is polled: the folder of occurrences is watched.
pub(crate) async fn occurrences(
    rt: &Runtime,
    query: OccurrenceQuery,
) -> Result<mpsc::Receiver<Occurrence>, EngineError> {
    let failed = |error: &std::io::Error| errors::kernel("events".into(), "read", error);
    let from_now = query.since.is_none();
    let (mut reader, notify, subscription) = blocking(rt, move |rt| {
        // Opened first: that makes the folder, and what is written from then on is read or told.
        let reader = OccurrenceReader::open(&rt.layout, from_now).map_err(|error| failed(&error))?;
        let (notify, tell) = follow::notifier();
        let subscription =
            changes::subscribe(&rt.layout.occurrences(), Kind::Content, tell).map_err(|error| failed(&error))?;
        Ok((reader, notify, subscription))
    })
    .await?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let rt = rt.clone();
    tokio::spawn(async move {
        let _subscription = subscription;
        loop {
            let reading = blocking(&rt, move |_| {
                let found = reader.read().map_err(|error| failed(&error))?;
                Ok((reader, found))
            });
            let Ok((read, found)) = reading.await else { return };
            reader = read;
            for one in found.into_iter().map(occurrence) {
                if query.until.is_some_and(|until| one.time > until) {
                    return;
                }
                let is_wanted = query.since.is_none_or(|since| one.time >= since)
                    && summary::has_labels(&labels(&one), &query.labels);
                if is_wanted && sender.send(one).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = notify.notified() => {}
                () = passed(query.until) => return,
                () = sender.closed() => return,
            }
        }
    });
    Ok(receiver)
}

/// The labels of a thing are among the attributes of what happens to it.
fn labels(one: &Occurrence) -> BTreeMap<String, String> {
    one.attributes.clone()
}

/// Waits for a moment; for none, for ever.
async fn passed(until: Option<SystemTime>) {
    match until {
        Some(until) => {
            tokio::time::sleep_until(Instant::now() + until.duration_since(SystemTime::now()).unwrap_or_default()).await
        }
        None => std::future::pending().await,
    }
}

fn occurrence(one: happened::Occurrence) -> Occurrence {
    Occurrence {
        time: UNIX_EPOCH + Duration::from_nanos(one.time_ns),
        kind: one.kind.name().to_owned(),
        action: one.action,
        id: one.id,
        attributes: one.attributes,
    }
}
