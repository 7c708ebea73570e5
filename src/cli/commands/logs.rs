//! `logs`: what the containers wrote, merged into one stream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use orchestrator::engine::Engine;
use orchestrator::engine::container::{ContainerId, ContainerState, ContainerSummary};
use orchestrator::engine::log::LogQuery;
use orchestrator::event::Attachment;
use orchestrator::identity::{self, Identity};
use orchestrator::observed::ObservedContainer;
use orchestrator::operations::logs::stream;
use orchestrator::operations::ps::{Replica, list};
use orchestrator::operations::scope::Scope;
use regex::bytes::Regex;
use tokio::sync::mpsc::unbounded_channel;

use crate::app::{App, Interrupts};
use crate::args::lines::Lines;
use crate::commands::listen::{Heard, arrival, listen, survivors};
use crate::commands::services;
use crate::error::{CommandError, Kind};
use crate::print::log_filter::{Level, LogFilter};
use crate::print::logs::{LogDress, LogPrinter, short_name};

/// Show what the containers wrote
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    lines: Lines,

    /// Only lines that this regular expression matches
    #[arg(long, value_name = "PATTERN", value_parser = Regex::new)]
    grep: Option<Regex>,

    /// Only lines of this level or a more severe one, in text and in JSON
    #[arg(long, value_enum, value_name = "LEVEL", hide_possible_values = true)]
    level: Option<Level>,

    /// A JSON object a line: time, container, stream, line
    #[arg(long)]
    json: bool,

    /// No colour
    #[arg(long)]
    no_color: bool,

    /// Only what the programs wrote
    #[arg(long)]
    no_log_prefix: bool,

    /// Only the replica of this number
    #[arg(long, value_name = "N")]
    index: Option<u32>,

    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    if let Some(loaded) = &target.loaded {
        services::check(&args.services, &loaded.project)?;
    }
    let query = args.lines.query(SystemTime::now()).map_err(|why| CommandError::new(Kind::Usage, why))?;
    let engine = app.engine()?;
    let scope = Scope { services: args.services, index: args.index, one_offs: false };
    let containers = list(engine.clone(), &target.name, &scope).await?;
    let names: Vec<String> =
        containers.iter().map(|replica| short_name(&replica.container.name, &target.name).to_owned()).collect();
    let dress = LogDress {
        no_prefix: args.no_log_prefix,
        timestamps: args.lines.timestamps,
        no_colour: args.no_color,
        json: args.json,
    };
    let filter = LogFilter::new(args.grep.clone(), args.level);
    let mut logs = LogPrinter::new(&app.printer, dress, names.iter().map(String::as_str)).filtered(filter);

    if args.lines.follow {
        return follow(app, engine, &target.name, &scope, &containers, query, logs).await;
    }
    let mut entries = stream(engine, &target.name, &scope, query).await?;
    let mut interrupts = Interrupts::listen()?;
    loop {
        tokio::select! {
            entry = entries.recv() => match entry {
                Some(entry) => {
                    logs.add(short_name(&entry.container, &target.name), &entry.line);
                    // What is there already goes out in one piece.
                    while let Ok(entry) = entries.try_recv() {
                        logs.add(short_name(&entry.container, &target.name), &entry.line);
                    }
                    logs.flush();
                }
                None => return Ok(()),
            },
            () = interrupts.next() => return Err(CommandError::silent(Kind::Interrupted)),
        }
        if app.printer.is_closed() {
            return Ok(());
        }
    }
}

/// Shows lines until every container has ended; containers that are created meanwhile join in.
async fn follow(
    app: &App,
    engine: Arc<dyn Engine>,
    project: &str,
    scope: &Scope,
    containers: &[Replica],
    mut query: LogQuery,
    mut logs: LogPrinter<'_>,
) -> Result<(), CommandError> {
    if query.tail == Some(0) {
        (query.tail, query.since) = (None, Some(SystemTime::now()));
    }
    let (say, mut heard) = unbounded_channel();
    let mut running: BTreeMap<ContainerId, bool> = BTreeMap::new();
    let mut arrivals = engine.watch_containers(&identity::project_filter(project)).await.ok();
    let join = |replica: &Replica, query: LogQuery, running: &mut BTreeMap<ContainerId, bool>| {
        let container = &replica.container;
        if running.insert(container.id.clone(), true).is_none() {
            let attachment = Attachment {
                id: container.id.clone(),
                name: container.name.clone(),
                service: replica.service.clone(),
                number: replica.number,
                since: query.since,
                before: None,
            };
            tokio::spawn(listen(engine.clone(), attachment, Some(query), say.clone()));
        }
    };
    containers.iter().for_each(|replica| join(replica, query.clone(), &mut running));
    let mut interrupts = Interrupts::listen()?;
    while !app.printer.is_closed() {
        if !running.values().any(|runs| *runs) {
            let survivors = tokio::select! {
                survivors = survivors(&engine, project) => survivors?,
                () = interrupts.next() => return Err(CommandError::silent(Kind::Interrupted)),
            };
            for replica in survivors.into_iter().filter_map(|container| replica_of(container, scope)) {
                if let Some(runs) = running.get_mut(&replica.container.id) {
                    *runs = true;
                }
                join(&replica, LogQuery { tail: None, ..query.clone() }, &mut running);
            }
            if !running.values().any(|runs| *runs) {
                return Ok(());
            }
        }
        tokio::select! {
            Some((attachment, what)) = heard.recv() => match what {
                Heard::Line(line) => logs.line(short_name(&attachment.name, project), &line),
                Heard::State(state) => drop(running.insert(attachment.id, is_going_on(&state))),
                Heard::Deaf(why) => {
                    app.printer.warn(&why);
                    running.insert(attachment.id, false);
                }
            },
            Some(container) = arrival(&mut arrivals) => {
                let query = LogQuery { tail: None, ..query.clone() };
                if let Some(replica) = replica_of(container, scope) {
                    join(&replica, query, &mut running);
                }
            },
            () = interrupts.next() => return Err(CommandError::silent(Kind::Interrupted)),
        }
    }
    Ok(())
}

/// Returns a new container as a replica, if it is in scope.
fn replica_of(container: ContainerSummary, scope: &Scope) -> Option<Replica> {
    let observed = ObservedContainer { identity: Identity::of(&container)?, summary: container };
    let is_wanted = scope.contains(&observed);
    let ObservedContainer { identity, summary } = observed;
    let replica =
        Replica { service: identity.service, number: identity.number, one_off: identity.one_off, container: summary };
    is_wanted.then_some(replica)
}

/// Says whether more may come from a container in this state.
fn is_going_on(state: &ContainerState) -> bool {
    match state {
        ContainerState::Running { .. } | ContainerState::Paused { .. } | ContainerState::Restarting { .. } => true,
        ContainerState::Created
        | ContainerState::Exited { .. }
        | ContainerState::Dead { .. }
        | ContainerState::Removed => false,
    }
}
