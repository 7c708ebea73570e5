//! `watch`: a saved file is in its container, or the program restarted, or the image built anew, within milliseconds.
//!
//! `rules` says what each rule is about, `tree` what the files were, `gather` makes batches of what the kernel tells,
//! `feedback` finds a rule that feeds itself, `act` does it. Each rule has a queue of its own, so that the rebuild of
//! one service never delays the sync of another; one service's acts follow one another.

mod act;
mod feedback;
mod gather;
mod rules;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use compose::Project;
use compose::model::develop::WatchAction;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

pub use rules::action_name;

use crate::engine::Engine;
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::{Event, Failure};
use crate::operations::error::OperationError;
use crate::operations::watch::act::{Ground, act};
use crate::operations::watch::feedback::Feedback;
use crate::operations::watch::gather::{Gatherer, Told};
use crate::operations::watch::rules::{Rule, rules};
use crate::operations::watch::tree::{Change, Now};

/// A restart or a rebuild waits until saves rest for so long, and at most so long; a sync does not wait.
const REST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(100);

/// The flags of `watch`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatchOptions {
    /// Only these; empty: all that have rules.
    pub services: Vec<String>,
    /// Remove the images that a rebuild takes the place of.
    pub prune: bool,
    /// Never assemble an image from the host's packages.
    pub no_bootstrap: bool,
}

/// What happens while watching.
#[derive(Debug)]
pub enum WatchReport {
    /// Everything is watched from now on.
    Watching {
        /// Number of rules.
        rules: usize,
        /// Folders with a watch.
        folders: usize,
        /// Files and folders in them.
        entries: usize,
        /// How long it took to look at them.
        took: Duration,
    },
    /// A rule can't be watched, or something else that the person should know.
    Warning {
        /// `services.web.develop.watch[0]`
        path: Option<String>,
        /// The sentence.
        message: String,
    },
    /// An act begins that takes its time.
    Begun(Subject),
    /// Saved files have had their effect.
    Done {
        /// What it was about.
        subject: Subject,
        /// Containers that were reached.
        containers: usize,
        /// From the kernel's event to the effect.
        took: Duration,
    },
    /// They had none.
    Failed {
        /// What it was about.
        subject: Subject,
        /// Why.
        error: OperationError,
    },
    /// A rule is fed by what it does itself, and is watched no longer.
    Suspended {
        /// What it was about.
        subject: Subject,
        /// How often in a row.
        times: u32,
    },
    /// What building and recreating report.
    Event(Event),
}

/// What an act is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Service.
    pub service: String,
    /// What is done.
    pub action: WatchAction,
    /// The first changed file.
    pub file: PathBuf,
    /// Number of changed files.
    pub files: usize,
    /// So many changed at once that the disk was compared with what was known before.
    pub storm: bool,
    /// `services.web.develop.watch[0]`
    pub path: String,
}

/// A batch for one rule.
struct Batch {
    changes: Vec<Change>,
    at: Instant,
    storm: bool,
}

/// Watches until it is dropped; returns only when nothing can be watched.
pub async fn watch(
    engine: Arc<dyn Engine>,
    project: &Project,
    options: &WatchOptions,
    reports: UnboundedSender<WatchReport>,
) -> Result<(), OperationError> {
    let begin = Instant::now();
    let (rules, problems) = rules(project, &options.services);
    for problem in &problems {
        let _ =
            reports.send(WatchReport::Warning { path: Some(problem.path.clone()), message: problem.message.clone() });
    }
    if rules.is_empty() {
        return Err(nothing_to_watch(project, problems.first().map(|problem| problem.path.clone())).into());
    }
    let rules = Arc::new(rules);
    let (tell, mut told) = unbounded_channel();
    let for_gatherer = Arc::clone(&rules);
    let started = tokio::task::spawn_blocking(move || {
        Gatherer::start(for_gatherer, move |what| {
            let _ = tell.send(what);
        })
    });
    let gatherer = started
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(|error| EngineError::new(ErrorKind::Failed, "watch", format!("cannot watch files: {error}")))?;
    let (events, mut heard) = unbounded_channel();
    let ground = Ground {
        engine,
        project: Arc::new(project.clone()),
        no_bootstrap: options.no_bootstrap,
        prune: options.prune,
        events,
    };
    let mut actors = JoinSet::new();
    let queues = start_actors(&mut actors, &rules, &ground, &reports);
    let _ = reports.send(WatchReport::Watching {
        rules: rules.len(),
        folders: gatherer.folders,
        entries: gatherer.entries,
        took: begin.elapsed(),
    });
    loop {
        tokio::select! {
            what = told.recv() => match what {
                None => return Ok(()),
                Some(Told::Note(message)) => { let _ = reports.send(WatchReport::Warning { path: None, message }); }
                Some(Told::Changes { changes, at, storm }) => hand_out(&rules, &queues, &changes, at, storm),
            },
            Some(event) = heard.recv() => { let _ = reports.send(WatchReport::Event(event)); }
        }
    }
}

fn nothing_to_watch(project: &Project, path: Option<String>) -> Failure {
    let message = format!("no service of project `{}` has a `develop.watch` rule that can be watched", project.name);
    Failure::new(EngineError::new(ErrorKind::NotFound, "watch", message), path)
}

/// Gives each rule what it is about.
fn hand_out(rules: &[Rule], queues: &[UnboundedSender<Batch>], changes: &[Change], at: Instant, storm: bool) {
    for (rule, queue) in rules.iter().zip(queues) {
        let changes: Vec<Change> = changes
            .iter()
            .filter(|change| rule.sees(&change.path))
            // A folder alone is nothing to build or restart for.
            .filter(|change| change.now != Now::Folder || rule.syncs())
            .cloned()
            .collect();
        if !changes.is_empty() {
            // Its actor may have been suspended.
            let _ = queue.send(Batch { changes, at, storm });
        }
    }
}

fn start_actors(
    actors: &mut JoinSet<()>,
    rules: &Arc<Vec<Rule>>,
    ground: &Ground,
    reports: &UnboundedSender<WatchReport>,
) -> Vec<UnboundedSender<Batch>> {
    let mut turns: BTreeMap<&str, Arc<Mutex<()>>> = BTreeMap::new();
    let mut queues = Vec::new();
    for rule in rules.iter() {
        let (queue, batches) = unbounded_channel();
        let turn = Arc::clone(turns.entry(&rule.service).or_default());
        let actor = Actor { rule: rule.clone(), ground: ground.clone(), reports: reports.clone(), turn };
        actors.spawn(actor.run(batches));
        queues.push(queue);
    }
    queues
}

/// Does what one rule says, batch after batch.
struct Actor {
    rule: Rule,
    ground: Ground,
    reports: UnboundedSender<WatchReport>,
    /// One service's acts follow one another.
    turn: Arc<Mutex<()>>,
}

impl Actor {
    async fn run(self, mut batches: UnboundedReceiver<Batch>) {
        if self.rule.initial_sync {
            self.initial_sync().await;
        }
        let mut feedback = Feedback::of(self.rule.action);
        while let Some(mut batch) = batches.recv().await {
            if self.rule.action != WatchAction::Sync && self.rule.action != WatchAction::SyncExec {
                rest(&mut batch, &mut batches).await;
            }
            let turn = self.turn.lock().await;
            // What came in while another act of the service had its turn goes along.
            while let Ok(more) = batches.try_recv() {
                join(&mut batch, more);
            }
            let subject = self.subject(&batch);
            self.act(&subject, &batch).await;
            drop(turn);
            if let Some(times) = feedback.after(&batch.changes, batch.at, Instant::now()) {
                let _ = self.reports.send(WatchReport::Suspended { subject, times });
                return;
            }
        }
    }

    async fn act(&self, subject: &Subject, batch: &Batch) {
        if matches!(self.rule.action, WatchAction::Rebuild) {
            let _ = self.reports.send(WatchReport::Begun(subject.clone()));
        }
        let report = match act(&self.ground, &self.rule, &batch.changes).await {
            Ok(containers) => WatchReport::Done { subject: subject.clone(), containers, took: batch.at.elapsed() },
            Err(error) => WatchReport::Failed { subject: subject.clone(), error },
        };
        let _ = self.reports.send(report);
    }

    fn subject(&self, batch: &Batch) -> Subject {
        Subject {
            service: self.rule.service.clone(),
            action: self.rule.action,
            file: batch.changes.first().map(|change| change.path.clone()).unwrap_or_default(),
            files: batch.changes.len(),
            storm: batch.storm,
            path: format!("services.{}.develop.watch[{}]", self.rule.service, self.rule.index),
        }
    }

    /// Copies what is newer than the service's image.
    async fn initial_sync(&self) {
        let image = self
            .ground
            .project
            .services
            .get(&self.rule.service)
            .map(|service| crate::identity::image_reference(&self.ground.project.name, service));
        let built = match image {
            Some(image) => {
                self.ground.engine.inspect_image(&image).await.ok().flatten().and_then(|image| image.created)
            }
            None => None,
        };
        let rule = self.rule.clone();
        let found = tokio::task::spawn_blocking(move || newer(&rule, built)).await;
        let Ok(changes) = found else { return };
        if changes.is_empty() {
            return;
        }
        let turn = self.turn.lock().await;
        let batch = Batch { changes, at: Instant::now(), storm: false };
        self.act(&self.subject(&batch), &batch).await;
        drop(turn);
    }
}

/// Waits until saves rest.
async fn rest(batch: &mut Batch, batches: &mut UnboundedReceiver<Batch>) {
    let end = tokio::time::Instant::now() + LONGEST;
    loop {
        let until = end.min(tokio::time::Instant::now() + REST);
        match tokio::time::timeout_at(until, batches.recv()).await {
            Ok(Some(more)) => join(batch, more),
            Ok(None) | Err(_) => return,
        }
    }
}

/// Adds later changes; of a path that changed twice the last state counts.
fn join(batch: &mut Batch, more: Batch) {
    let again: BTreeSet<&PathBuf> = more.changes.iter().map(|change| &change.path).collect();
    batch.changes.retain(|change| !again.contains(&change.path));
    batch.changes.extend(more.changes);
    batch.storm |= more.storm;
}

/// Finds the files of a rule that are newer than `built`.
fn newer(rule: &Rule, built: Option<SystemTime>) -> Vec<Change> {
    let is_newer = |metadata: &std::fs::Metadata| match (metadata.modified(), built) {
        (Ok(modified), Some(built)) => modified > built,
        (Ok(_) | Err(_), _) => true,
    };
    let mut found = Vec::new();
    let mut stack = vec![rule.path.clone()];
    while let Some(path) = stack.pop() {
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            if !rule.prunes(&path) {
                let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
                stack.extend(entries.map(|entry| entry.path()));
            }
        } else if rule.sees(&path) && is_newer(&metadata) {
            found.push(Change { path, now: Now::File });
        }
    }
    found.sort();
    found
}
