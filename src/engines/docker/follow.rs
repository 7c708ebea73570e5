//! What is followed: states, new containers, events, log lines, counters.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::Method;
use orchestrator::engine::container::{ContainerState, ContainerSummary};
use orchestrator::engine::error::EngineError;
use orchestrator::engine::occurrence::{Occurrence, OccurrenceQuery};
use orchestrator::engine::statistics::Statistics;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::docker::client::{Client, query};
use crate::docker::engine::container_name;
use crate::docker::fault::Fault;
use crate::docker::hub::SharedHub;
use crate::docker::lines::Documents;
use crate::docker::summary;

/// What may wait for a slow receiver.
const WAITING: usize = 64;

/// Looks at a container; `None`: it is not there.
pub(crate) async fn look(client: &Client, id: &str) -> Result<Option<Value>, Fault> {
    match client.get(&format!("/containers/{}/json", crate::docker::client::escape(id))).await {
        Ok(found) => Ok(Some(found)),
        Err(Fault::Refused { status: 404, .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Sends a container's state at once, then each change.
pub(crate) async fn state(
    client: &Client,
    hub: &SharedHub,
    id: String,
) -> Result<mpsc::Receiver<ContainerState>, EngineError> {
    let failed = |fault: Fault| fault.at("watch", container_name(&id));
    // Listening comes first: what happens between is not missed.
    let mut happenings = hub.listen(client).await.map_err(failed)?;
    let Some(found) = look(client, &id).await.map_err(failed)? else {
        let gone = Fault::Refused { status: 404, message: format!("no such container: {id}") };
        return Err(failed(gone));
    };
    let full_id = found["Id"].as_str().unwrap_or(&id).to_owned();
    let (sender, receiver) = mpsc::channel(WAITING);
    let (client, hub) = (client.clone(), hub.clone());
    tokio::spawn(async move {
        let mut last = summary::state(&found);
        if sender.send(last.clone()).await.is_err() {
            return;
        }
        loop {
            let happening = tokio::select! {
                happening = happenings.recv() => happening,
                () = sender.closed() => return,
            };
            // What is removed at its end is gone before it can be looked at.
            let (mut ended, mut is_end) = (None, true);
            match happening {
                Ok(happening) if happening.id != full_id => continue,
                Ok(happening) if happening.action == "destroy" => {
                    let _ = sender.send(ContainerState::Removed).await;
                    return;
                }
                Ok(happening) => {
                    is_end = happening.action == "die";
                    ended = happening.exit_code.filter(|_| is_end);
                }
                Err(RecvError::Lagged(_)) => {}
                // The engine went, or restarts: whoever is there again is listened to once more.
                Err(RecvError::Closed) => match hub.listen(&client).await {
                    Ok(again) => happenings = again,
                    Err(_) => return,
                },
            }
            let now = look(&client, &full_id).await.map(|found| found.as_ref().map(summary::state));
            let now = match (now, ended) {
                (Ok(None | Some(ContainerState::Dead { .. })), Some(exit_code)) => {
                    Ok(Some(ContainerState::Exited { exit_code, at: SystemTime::now(), out_of_memory: false }))
                }
                // It went on meanwhile: its end is still to be told.
                (Ok(None | Some(ContainerState::Dead { .. })), None) if !is_end => continue,
                (now, _) => now,
            };
            match now {
                Ok(Some(state)) => {
                    if state != last {
                        last = state.clone();
                        if sender.send(state).await.is_err() {
                            return;
                        }
                    }
                }
                Ok(None) => {
                    let _ = sender.send(ContainerState::Removed).await;
                    return;
                }
                Err(_) => return,
            }
        }
    });
    Ok(receiver)
}

/// Says whether a container has all of `labels`.
fn has_labels(found: &ContainerSummary, labels: &[String]) -> bool {
    labels.iter().all(|label| match label.split_once('=') {
        Some((key, value)) => found.labels.get(key).is_some_and(|found| found == value),
        None => found.labels.contains_key(label),
    })
}

/// Sends each container that has all of `labels` when it is created and when it is started.
pub(crate) async fn new_containers(
    client: &Client,
    hub: &SharedHub,
    labels: Vec<String>,
) -> Result<mpsc::Receiver<ContainerSummary>, EngineError> {
    let mut happenings = hub.listen(client).await.map_err(|fault| fault.at("watch for", "new containers"))?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let (client, hub) = (client.clone(), hub.clone());
    tokio::spawn(async move {
        loop {
            let happening = tokio::select! {
                happening = happenings.recv() => happening,
                () = sender.closed() => return,
            };
            match happening {
                Ok(happening) if matches!(happening.action.as_str(), "create" | "start") => {
                    // Gone again: then it is no news.
                    let Ok(Some(found)) = look(&client, &happening.id).await else { continue };
                    let found = summary::container(&found);
                    if has_labels(&found, &labels) && sender.send(found).await.is_err() {
                        return;
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => match hub.listen(&client).await {
                    Ok(again) => happenings = again,
                    Err(_) => return,
                },
            }
        }
    });
    Ok(receiver)
}

/// Writes a time as the API reads it: seconds and nanoseconds since 1970.
pub(crate) fn stamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}

/// Sends what happens.
pub(crate) async fn occurrences(
    client: &Client,
    asked: OccurrenceQuery,
) -> Result<mpsc::Receiver<Occurrence>, EngineError> {
    let filters = json!({"type": ["container", "network", "volume", "image"], "label": asked.labels});
    let mut pairs = vec![("filters", filters.to_string())];
    pairs.extend(asked.since.map(|since| ("since", stamp(since))));
    pairs.extend(asked.until.map(|until| ("until", stamp(until))));
    let path = format!("/events{}", query(&pairs));
    let answer = client
        .call(Method::GET, &path, None, bollard::body_full(Bytes::new()))
        .await
        .map_err(|fault| fault.at("read", "events"))?;
    let mut documents = Documents::of(answer.into_body());
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                document = documents.next() => {
                    let Ok(Some(document)) = document else { return };
                    if sender.send(occurrence(&document)).await.is_err() {
                        return;
                    }
                }
                () = sender.closed() => return,
            }
        }
    });
    Ok(receiver)
}

fn occurrence(document: &Value) -> Occurrence {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let attributes = document["Actor"]["Attributes"].as_object().into_iter().flatten();
    Occurrence {
        time: UNIX_EPOCH + Duration::from_nanos(document["timeNano"].as_u64().unwrap_or(0)),
        kind: text(&document["Type"]),
        action: text(&document["Action"]),
        id: text(&document["Actor"]["ID"]),
        attributes: attributes.map(|(key, value)| (key.clone(), text(value))).collect(),
    }
}

/// Sends counters about once a second.
pub(crate) async fn statistics(client: &Client, id: &str) -> Result<mpsc::Receiver<Statistics>, EngineError> {
    let failed = |fault: Fault| fault.at("count what is used by", container_name(id));
    let path = format!("/containers/{}/stats?stream=true", crate::docker::client::escape(id));
    let answer = client.call(Method::GET, &path, None, bollard::body_full(Bytes::new())).await.map_err(failed)?;
    let mut documents = Documents::of(answer.into_body());
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                document = documents.next() => {
                    let Ok(Some(document)) = document else { return };
                    // What ended is told of by zeros without a time.
                    let counted = counters(&document);
                    if counted.read == UNIX_EPOCH || sender.send(counted).await.is_err() {
                        return;
                    }
                }
                () = sender.closed() => return,
            }
        }
    });
    Ok(receiver)
}

fn counters(document: &Value) -> Statistics {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let (cpu, memory) = (&document["cpu_stats"], &document["memory_stats"]);
    // What can be dropped is `inactive_file`, in the first hierarchy `total_inactive_file`.
    let cache = [&memory["stats"]["total_inactive_file"], &memory["stats"]["inactive_file"]];
    let cache = cache.iter().find_map(|value| value.as_u64()).unwrap_or(0);
    let networks = document["networks"].as_object().into_iter().flatten();
    let network = networks.fold((0, 0), |(received, sent), (_, counted)| {
        (received + number(&counted["rx_bytes"]), sent + number(&counted["tx_bytes"]))
    });
    let mut block = (0, 0);
    for entry in document["blkio_stats"]["io_service_bytes_recursive"].as_array().into_iter().flatten() {
        match entry["op"].as_str().unwrap_or_default().to_ascii_lowercase().as_str() {
            "read" => block.0 += number(&entry["value"]),
            "write" => block.1 += number(&entry["value"]),
            _ => {}
        }
    }
    let per_processor = cpu["cpu_usage"]["percpu_usage"].as_array().map_or(0, Vec::len);
    let processors = match number(&cpu["online_cpus"]) {
        0 => u32::try_from(per_processor).unwrap_or(0),
        online => u32::try_from(online).unwrap_or(0),
    };
    Statistics {
        read: summary::time(&document["read"]),
        cpu_nanos: number(&cpu["cpu_usage"]["total_usage"]),
        system_nanos: number(&cpu["system_cpu_usage"]),
        processors,
        memory: number(&memory["usage"]).saturating_sub(cache),
        memory_limit: number(&memory["limit"]),
        network,
        block,
        processes: number(&document["pids_stats"]["current"]),
    }
}
