//! `logs`: what the project's containers wrote, merged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::engine::container::{ContainerId, ContainerSummary};
use crate::engine::error::EngineError;
use crate::engine::log::{LogLine, LogQuery};
use crate::identity::{self, Identity};
use crate::observed::{ObservedContainer, observe_containers};
use crate::operations::error::OperationError;
use crate::operations::scope::Scope;

/// Lines that may wait for a slow reader.
const CAPACITY: usize = 1024;

/// A line and who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Name of the container.
    pub container: String,
    /// Service that it belongs to.
    pub service: String,
    /// Its number among the replicas.
    pub number: u32,
    /// The line.
    pub line: LogLine,
}

/// Streams the lines of the containers in `scope`. Without `follow` they come in the order of their times, and the
/// stream ends; with it, containers that are created later join in where the engine can report them.
pub async fn stream(
    engine: Arc<dyn Engine>,
    project_name: &str,
    scope: &Scope,
    query: LogQuery,
) -> Result<mpsc::Receiver<LogEntry>, OperationError> {
    // First the ear for new containers, then the list: what is created in between is heard twice, never missed.
    let labels = identity::project_filter(project_name);
    let arrivals = if query.follow { engine.watch_containers(&labels).await.ok() } else { None };
    let containers = observe_containers(&engine, project_name).await?;
    let containers: Vec<_> = containers.into_iter().filter(|container| scope.contains(container)).collect();
    let mut sources = Vec::new();
    for container in &containers {
        sources.push(open(&engine, container, query.clone()).await?);
    }
    let (sender, receiver) = mpsc::channel(CAPACITY);
    if query.follow {
        let heard = containers.iter().map(|container| container.summary.id.clone()).collect();
        tokio::spawn(follow(engine, sources, arrivals, heard, scope.clone(), query, sender));
    } else {
        tokio::spawn(merge(sources, sender));
    }
    Ok(receiver)
}

/// The lines of one container.
struct Source {
    container: String,
    service: String,
    number: u32,
    lines: mpsc::Receiver<LogLine>,
}

impl Source {
    async fn next(&mut self) -> Option<LogEntry> {
        let line = self.lines.recv().await?;
        Some(LogEntry { container: self.container.clone(), service: self.service.clone(), number: self.number, line })
    }
}

async fn open(engine: &Arc<dyn Engine>, container: &ObservedContainer, query: LogQuery) -> Result<Source, EngineError> {
    Ok(Source {
        container: container.summary.name.clone(),
        service: container.identity.service.clone(),
        number: container.identity.number,
        lines: engine.container_logs(&container.summary.id, query).await?,
    })
}

/// Merges streams that end, by time.
async fn merge(mut sources: Vec<Source>, sender: mpsc::Sender<LogEntry>) {
    let mut heads: BTreeMap<(SystemTime, usize), LogEntry> = BTreeMap::new();
    for (index, source) in sources.iter_mut().enumerate() {
        if let Some(entry) = source.next().await {
            heads.insert((entry.line.time, index), entry);
        }
    }
    while let Some(((_, index), entry)) = heads.pop_first() {
        if sender.send(entry).await.is_err() {
            return;
        }
        if let Some(entry) = sources[index].next().await {
            heads.insert((entry.line.time, index), entry);
        }
    }
}

/// Passes lines on as they come; a container that is created later joins in.
async fn follow(
    engine: Arc<dyn Engine>,
    sources: Vec<Source>,
    mut arrivals: Option<mpsc::Receiver<ContainerSummary>>,
    mut heard: BTreeSet<ContainerId>,
    scope: Scope,
    query: LogQuery,
    sender: mpsc::Sender<LogEntry>,
) {
    let mut streams = JoinSet::new();
    for source in sources {
        streams.spawn(pass_on(source, sender.clone()));
    }
    let all = LogQuery { follow: true, tail: None, since: query.since, until: query.until };
    loop {
        let arrival = async {
            match &mut arrivals {
                Some(arrivals) => arrivals.recv().await,
                None => None,
            }
        };
        tokio::select! {
            () = sender.closed() => return,
            arrived = arrival => match arrived {
                Some(summary) => {
                    let Some(identity) = Identity::of(&summary) else { continue };
                    let container = ObservedContainer { identity, summary };
                    if scope.contains(&container)
                        && heard.insert(container.summary.id.clone())
                        && let Ok(source) = open(&engine, &container, all.clone()).await
                    {
                        streams.spawn(pass_on(source, sender.clone()));
                    }
                }
                None => break,
            },
        }
    }
    // No more arrivals are reported: the stream ends with the last container.
    while streams.join_next().await.is_some() {}
}

async fn pass_on(mut source: Source, sender: mpsc::Sender<LogEntry>) {
    while let Some(entry) = source.next().await {
        if sender.send(entry).await.is_err() {
            return;
        }
    }
}
