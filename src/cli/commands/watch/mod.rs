//! `watch`: brings the services up, then follows the files that their `develop.watch` rules name.

pub(crate) mod infer;
pub(crate) mod lines;

use std::path::Path;
use std::sync::Arc;

use orchestrator::engine::Engine;
use orchestrator::operations::up::{BuildChoice, UpOptions, up};
use orchestrator::operations::watch::{WatchOptions, WatchReport, watch};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Duration, MissedTickBehavior, interval};

use crate::app::{App, Interrupts, Warnings};
use crate::commands::services;
use crate::commands::watch::lines::WatchLines;
use crate::error::{CommandError, Kind, LoadedProject};

/// Follow saved files: copy them into the containers, restart or rebuild
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Don't build and start the services first
    #[arg(long)]
    no_up: bool,

    /// Remove the images that a rebuild takes the place of
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true",
        action = clap::ArgAction::Set)]
    prune: bool,

    /// Put rules into the Compose file, read from the Dockerfiles, for services that have none
    #[arg(long)]
    write: bool,

    /// Without what builds report
    #[arg(long)]
    quiet: bool,

    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let mut loaded = app.load(&args.services, Warnings::Shown)?;
    services::check(&args.services, &loaded.project)?;
    if args.write {
        write(app, &loaded, &args.services)?;
        loaded = app.load(&args.services, Warnings::Shown)?;
    }
    check_rules(&loaded, &args.services)?;
    let engine = app.engine()?;
    if !args.no_up {
        let options = UpOptions {
            services: args.services.clone(),
            build: BuildChoice::Always,
            no_bootstrap: app.settings.no_bootstrap,
            ..UpOptions::default()
        };
        app.run(Some(&loaded), |events| up(engine.clone(), &loaded.project, &options, events)).await?;
    }
    if app.settings.dry_run {
        return Ok(());
    }
    let options = options(app, &args.services, args.prune);
    let (sender, mut reports) = unbounded_channel();
    let mut lines = WatchLines::new(app, &loaded, args.quiet);
    let mut interrupts = Interrupts::listen()?;
    let mut watching = std::pin::pin!(watch(engine, &loaded.project, &options, sender));
    let mut frames = interval(Duration::from_millis(100));
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            () = interrupts.next() => return Err(CommandError::silent(Kind::Interrupted)),
            Some(report) = reports.recv() => lines.show(report),
            result = &mut watching => return result.map_err(|error| CommandError::operation(error, Some(&loaded))),
            _ = frames.tick(), if lines.draws() => lines.tick(),
        }
    }
}

/// Returns what to watch.
pub(crate) fn options(app: &App, services: &[String], prune: bool) -> WatchOptions {
    WatchOptions { services: services.to_vec(), prune, no_bootstrap: app.settings.no_bootstrap }
}

/// Refuses before anything is started when no service has a rule.
pub(crate) fn check_rules(loaded: &LoadedProject, services: &[String]) -> Result<(), CommandError> {
    let mut watched = loaded
        .project
        .services
        .values()
        .filter(|service| services.is_empty() || services.contains(&service.name))
        .flat_map(|service| &service.develop)
        .flat_map(|develop| &develop.watch);
    if watched.next().is_some() {
        return Ok(());
    }
    let message = "none of the selected services is configured for watch: no `develop.watch` in the Compose file";
    let error = CommandError::new(Kind::Config, message);
    let inferred = inferred(loaded, services);
    if inferred.is_empty() {
        let example = "    develop:\n      watch:\n        - { action: sync+restart, path: ., target: /app }";
        return Err(error.hint(format!("a service is watched by\n{example}")));
    }
    let error = inferred.iter().fold(error, |error, (service, rules)| {
        let section = infer::section(rules, 4);
        error.hint(format!("by its Dockerfile, `{service}` could have\n{}", section.trim_end()))
    });
    Err(error.hint("`motet watch --write` puts that into the Compose file"))
}

/// Reads from their Dockerfiles what the services that have no rule could watch.
fn inferred<'a>(loaded: &'a LoadedProject, services: &[String]) -> Vec<(&'a String, Vec<infer::Inferred>)> {
    let project = &loaded.project;
    let without = project.services.iter().filter(|(name, service)| {
        let has_rules = service.develop.as_ref().is_some_and(|develop| !develop.watch.is_empty());
        !has_rules && (services.is_empty() || services.contains(name))
    });
    without
        .map(|(name, service)| (name, infer::rules_of(service, &project.directory)))
        .filter(|(_, rules)| !rules.is_empty())
        .collect()
}

/// Puts what was inferred into the Compose file that a service's `build` is written in.
fn write(app: &App, loaded: &LoadedProject, services: &[String]) -> Result<(), CommandError> {
    for (service, rules) in inferred(loaded, services) {
        let by_hand = |why: String| {
            CommandError::new(Kind::Config, format!("cannot write the rules of `{service}`: {why}"))
                .hint(format!("put this into the service by hand\n{}", infer::section(&rules, 4).trim_end()))
        };
        let span = loaded.project.span(&format!("services.{service}.build"));
        let source = span.and_then(|span| loaded.sources.get(span.file));
        let Some(source) = source else { return Err(by_hand("its file is not known".to_owned())) };
        // Another service of the same file may just have been written.
        let text = std::fs::read_to_string(&source.path).map_err(|error| by_hand(error.to_string()))?;
        let Some(text) = infer::written(&text, service, &rules) else {
            return Err(by_hand("the service is not written in blocks".to_owned()));
        };
        replace(&source.path, &text).map_err(|error| by_hand(error.to_string()))?;
        app.printer.note(&format!("{}: `{service}` has rules of its own now", app.look().path(&source.path)));
    }
    Ok(())
}

/// Writes a file of the person's aside and renames it: a kill leaves the old one or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = std::fs::canonicalize(path)?;
    let aside = path.with_extension("motet-new");
    std::fs::write(&aside, text)?;
    std::fs::set_permissions(&aside, std::fs::metadata(&path)?.permissions())?;
    std::fs::rename(&aside, &path)
}

/// Starts watching beside something else; the reports come from the returned receiver.
pub(crate) fn start(
    engine: Arc<dyn Engine>,
    loaded: &LoadedProject,
    options: WatchOptions,
) -> (JoinHandle<()>, UnboundedReceiver<WatchReport>) {
    let (sender, reports) = unbounded_channel();
    let project = loaded.project.clone();
    let task = tokio::spawn(async move {
        if let Err(error) = watch(engine, &project, &options, sender.clone()).await {
            for failure in error.failures {
                let _ = sender.send(WatchReport::Warning { path: failure.path, message: failure.error.message });
            }
        }
    });
    (task, reports)
}
