//! `up` that stays: shows what the containers write from their first line on, and stops what it started when the
//! person or a container says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use orchestrator::engine::Engine;
use orchestrator::engine::container::{ContainerId, ContainerState, ContainerSummary};
use orchestrator::engine::log::{LogLine, LogQuery, LogStream};
use orchestrator::event::{Act, Attachment, Event};
use orchestrator::execute::ended_badly;
use orchestrator::identity::{self, Identity};
use orchestrator::operations::OperationError;
use orchestrator::operations::stop::{StopOptions, kill, stop};
use orchestrator::operations::up::{UpOptions, up};
use orchestrator::operations::watch::WatchOptions;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval};

use crate::app::{App, Interrupts};
use crate::commands::listen::{Heard, arrival, listen, survivors};
use crate::commands::up::menu::{Menu, Wish};
use crate::commands::up::run::print_urls;
use crate::error::{CommandError, Kind, LoadedProject};
use crate::print::logs::{LogDress, LogPrinter, short_name};
use crate::print::report::Reporter;

/// When an attached `up` ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// When the last container has ended.
    WhenAllHaveEnded,
    /// When the first one ends, with its code.
    AtFirstExit,
    /// When the first one ends with a code that is not 0, with that code.
    AtFirstFailure,
    /// When the first one ends, with the code of a service.
    CodeOf {
        /// The service.
        service: String,
        /// Not before one fails.
        at_failure: bool,
    },
}

/// How to stay.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Services whose lines are shown.
    pub(crate) shown: BTreeSet<String>,
    /// How lines are dressed.
    pub(crate) dress: LogDress,
    /// When to end.
    pub(crate) ending: Ending,
    /// `-t`
    pub(crate) grace: Option<Duration>,
    /// Services to stop at the end; empty: all.
    pub(crate) stopped: Vec<String>,
    /// Which files are followed.
    pub(crate) watch: WatchOptions,
    /// Follow them from the start.
    pub(crate) is_watching: bool,
    /// Listen to keys.
    pub(crate) menu: bool,
}

/// Grace of a container that says nothing else.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Brings the project up and stays with it.
pub(crate) async fn run(
    app: &App,
    engine: Arc<dyn Engine>,
    loaded: &LoadedProject,
    up_options: &UpOptions,
    options: &Options,
) -> Result<(), CommandError> {
    let mut session = Session::new(app, engine.clone(), loaded, options)?;
    let (sender, events) = unbounded_channel();
    let bringing_up = up(engine, &loaded.project, up_options, sender);
    match session.drive(bringing_up, events, None).await {
        Driven::Done(Ok(report)) => {
            // Below the rows, not above them.
            session.reporter.finish();
            print_urls(app, &report);
            session.is_up = true;
        }
        Driven::Done(Err(error)) => {
            session.reporter.finish();
            return Err(CommandError::operation(error, Some(loaded)));
        }
        Driven::Interrupted => {
            session.stop(Reason::Person).await?;
            return Err(CommandError::silent(Kind::Interrupted));
        }
    }
    match session.stay().await {
        Stayed::AllEnded => session.verdict(None).await,
        Stayed::Left => {
            app.printer.note("Left; the services go on. `logs -f` shows what they write, `down` ends them.");
            Ok(())
        }
        Stayed::Interrupted => {
            session.stop(Reason::Person).await?;
            Err(CommandError::silent(Kind::Interrupted))
        }
        Stayed::Ended { code } => {
            session.stop(Reason::Container).await?;
            let code = match &options.ending {
                Ending::CodeOf { service, .. } => session.codes.get(service).copied().unwrap_or(code),
                Ending::WhenAllHaveEnded | Ending::AtFirstExit | Ending::AtFirstFailure => code,
            };
            session.verdict(Some(code)).await
        }
    }
}

enum Driven<T> {
    Done(Result<T, OperationError>),
    Interrupted,
}

enum Stayed {
    AllEnded,
    Interrupted,
    /// The person has left.
    Left,
    Ended {
        code: i32,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    Person,
    Container,
}

struct Session<'a> {
    app: &'a App,
    engine: Arc<dyn Engine>,
    loaded: &'a LoadedProject,
    options: &'a Options,
    reporter: Reporter<'a>,
    logs: LogPrinter<'a>,
    interrupts: Interrupts,
    say: UnboundedSender<(Attachment, Heard)>,
    heard: UnboundedReceiver<(Attachment, Heard)>,
    /// Containers that are listened to, and whether they have ended.
    ended: BTreeMap<ContainerId, bool>,
    /// Their services.
    services: BTreeSet<String>,
    /// First exit code of each service.
    codes: BTreeMap<String, i32>,
    /// All has been started: from now on a container's failure is no longer told by the operation.
    is_up: bool,
    /// Code of the container whose end ends all.
    last_word: Option<i32>,
    /// Containers that ended by themselves with another code than 0: the code, and whether memory ran out.
    failed: BTreeMap<ContainerId, (Attachment, i32, bool)>,
    /// We stop them now: their codes are no failures.
    is_stopping: bool,
}

impl<'a> Session<'a> {
    fn new(
        app: &'a App,
        engine: Arc<dyn Engine>,
        loaded: &'a LoadedProject,
        options: &'a Options,
    ) -> Result<Self, CommandError> {
        let (say, heard) = unbounded_channel();
        // Names of the first replicas, so that the first lines line up with the later ones.
        let names = loaded.project.services.iter().filter(|(name, _)| options.shown.contains(*name));
        let names: Vec<String> = names
            .map(|(name, service)| service.container_name.clone().unwrap_or_else(|| format!("{name}-1")))
            .collect();
        Ok(Self {
            app,
            engine,
            loaded,
            options,
            reporter: app.reporter(app.settings.progress, Some(loaded)),
            logs: LogPrinter::new(&app.printer, options.dress, names.iter().map(String::as_str)),
            interrupts: Interrupts::listen()?,
            say,
            heard,
            ended: BTreeMap::new(),
            services: BTreeSet::new(),
            codes: BTreeMap::new(),
            is_up: false,
            last_word: None,
            failed: BTreeMap::new(),
            is_stopping: false,
        })
    }

    /// Runs an operation while lines are shown. `countdown`: say how much of this grace is left.
    async fn drive<T>(
        &mut self,
        operation: impl Future<Output = Result<T, OperationError>>,
        mut events: UnboundedReceiver<Event>,
        countdown: Option<Duration>,
    ) -> Driven<T> {
        let mut operation = std::pin::pin!(operation);
        let mut frames = interval(Duration::from_millis(100));
        frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let begin = Instant::now();
        let result = loop {
            tokio::select! {
                biased;
                () = self.interrupts.next() => break None,
                Some(event) = events.recv() => self.event(&event),
                Some((attachment, heard)) = self.heard.recv() => self.hear(&attachment, heard),
                result = &mut operation => break Some(result),
                _ = frames.tick(), if self.reporter.draws() => {
                    if let Some(grace) = countdown {
                        let left = grace.saturating_sub(begin.elapsed()).as_secs();
                        self.reporter.foot(format!("{left} s left, then by force"));
                    }
                    self.reporter.tick();
                }
            }
            if self.app.printer.is_closed() {
                break None;
            }
        };
        // What has just started is listened to, even if it is stopped at once.
        while let Ok(event) = events.try_recv() {
            self.event(&event);
        }
        result.map_or(Driven::Interrupted, Driven::Done)
    }

    /// Shows lines until the end, those of containers too that take the place of others meanwhile.
    async fn stay(&mut self) -> Stayed {
        let filter = identity::project_filter(&self.loaded.project.name);
        let mut arrivals = self.engine.watch_containers(&filter).await.ok();
        let mut menu = Menu::open(self.app, self.engine.clone(), self.loaded, self.options);
        let mut frames = interval(Duration::from_millis(100));
        frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            if let Some(code) = self.last_word {
                return Stayed::Ended { code };
            }
            // While files are followed, the next save may start them again.
            if !menu.is_watching() && self.ended.values().all(|ended| *ended) {
                let survivors = tokio::select! {
                    () = self.interrupts.next() => return Stayed::Interrupted,
                    // What can't be asked any more has ended.
                    survivors = survivors(&self.engine, &self.loaded.project.name) => survivors.unwrap_or_default(),
                };
                if !self.goes_on(survivors) {
                    return Stayed::AllEnded;
                }
            }
            tokio::select! {
                biased;
                () = self.interrupts.next() => return Stayed::Interrupted,
                // Before what is heard: a container is created before the one that it replaces ends.
                Some(container) = arrival(&mut arrivals) => self.arrive(container),
                Some((attachment, heard)) = self.heard.recv() => self.hear(&attachment, heard),
                happened = menu.next() => if menu.act(happened) == Wish::Leave {
                    return Stayed::Left;
                },
                _ = frames.tick(), if menu.draws() => menu.tick(),
            }
            if self.app.printer.is_closed() {
                return Stayed::Interrupted;
            }
        }
    }

    /// Says whether another command has started or replaced what has ended here: it is among those that run.
    fn goes_on(&mut self, survivors: Vec<ContainerSummary>) -> bool {
        let mut goes_on = false;
        for container in survivors {
            if let Some(ended) = self.ended.get_mut(&container.id) {
                *ended = false;
                self.failed.remove(&container.id);
            }
            let id = container.id.clone();
            self.arrive(container);
            goes_on |= self.ended.contains_key(&id);
        }
        goes_on
    }

    /// Says what the end of the containers means: a card for each that failed, and `code`, if that is asked for.
    async fn verdict(&mut self, code: Option<i32>) -> Result<(), CommandError> {
        let kind = match code {
            Some(0) => return Ok(()),
            Some(code) => Kind::Program(u8::try_from(code).unwrap_or(255)),
            // Docker Compose says 0 here, and scripts that call it rely on that.
            None if self.app.is_drop_in || self.failed.is_empty() => return Ok(()),
            None => Kind::Start,
        };
        let mut failures = Vec::new();
        for (id, (attachment, code, out_of_memory)) in &self.failed {
            let name = (attachment.service.as_str(), attachment.name.as_str());
            failures.push(ended_badly(&self.engine, id, name, *code, *out_of_memory).await);
        }
        if failures.is_empty() || self.app.is_drop_in {
            return Err(CommandError::silent(kind));
        }
        let error = CommandError::operation(OperationError::of(failures), Some(self.loaded));
        Err(CommandError { kind, ..error })
    }

    /// Stops what was started; a second Ctrl-C kills it.
    async fn stop(&mut self, reason: Reason) -> Result<(), CommandError> {
        self.is_stopping = true;
        self.reporter.finish();
        self.reporter = self.app.reporter(self.app.settings.progress, Some(self.loaded));
        if reason == Reason::Person {
            // On a line of its own: the terminal has just echoed `^C`.
            self.app.printer.note("\nGracefully Stopping... press Ctrl+C again to force");
        }
        let services = self.options.stopped.clone();
        let stop_options = StopOptions { services: services.clone(), timeout: self.options.grace };
        let (name, project) = (self.loaded.project.name.clone(), &self.loaded.project);
        let (sender, events) = unbounded_channel();
        let stopping = stop(self.engine.clone(), &name, Some(project), &stop_options, sender);
        let driven = self.drive(stopping, events, Some(self.grace())).await;
        let result = match driven {
            Driven::Done(result) => result,
            Driven::Interrupted => {
                let (sender, events) = unbounded_channel();
                let killing = kill(self.engine.clone(), &name, &services, "SIGKILL", sender);
                match self.drive(killing, events, None).await {
                    Driven::Done(result) => result,
                    Driven::Interrupted => Ok(()),
                }
            }
        };
        // What they said last is still on its way.
        while !self.ended.values().all(|ended| *ended) && result.is_ok() {
            let patience = tokio::time::timeout(Duration::from_secs(1), self.heard.recv());
            let Ok(Some((attachment, heard))) = patience.await else { break };
            self.hear(&attachment, heard);
        }
        self.reporter.finish();
        result.map_err(|error| CommandError::operation(error, Some(self.loaded)))
    }

    /// The longest grace of the services that are stopped.
    fn grace(&self) -> Duration {
        let own =
            self.loaded.project.services.values().map(|service| {
                service.stop_grace_period.map_or(DEFAULT_GRACE, compose::model::duration::Duration::to_std)
            });
        self.options.grace.or_else(|| own.max()).unwrap_or(DEFAULT_GRACE)
    }

    /// Listens to a new container of a service that is listened to.
    fn arrive(&mut self, container: ContainerSummary) {
        let Some(identity) = Identity::of(&container) else { return };
        if identity.one_off || !self.services.contains(&identity.service) {
            return;
        }
        self.attach(&Attachment {
            id: container.id,
            name: container.name,
            service: identity.service,
            number: identity.number,
            since: None,
            before: None,
        });
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Attach(attachment) => self.attach(attachment),
            Event::HookOutput { source, line } => {
                let name = short_name(source, &self.loaded.project.name);
                let line =
                    LogLine { time: SystemTime::now(), stream: LogStream::Stdout, bytes: line.clone().into_bytes() };
                self.logs.line(name, &line);
            }
            // Docker Compose does not tell of it where the lines show it.
            Event::Started { act: Act::Start, .. } | Event::Done { act: Act::Start, .. } if self.app.is_drop_in => {}
            other => self.reporter.event(other),
        }
    }

    fn attach(&mut self, attachment: &Attachment) {
        if self.ended.insert(attachment.id.clone(), false).is_some() {
            return;
        }
        self.services.insert(attachment.service.clone());
        let query = LogQuery { follow: true, since: attachment.since, ..LogQuery::default() };
        let query = self.options.shown.contains(&attachment.service).then_some(query);
        // Owned by the channel: it ends when nobody receives any more.
        tokio::spawn(listen(self.engine.clone(), attachment.clone(), query, self.say.clone()));
    }

    fn hear(&mut self, attachment: &Attachment, heard: Heard) {
        let name = short_name(&attachment.name, &self.loaded.project.name).to_owned();
        match heard {
            Heard::Line(line) => self.logs.line(&name, &line),
            Heard::Deaf(why) => {
                self.app.printer.warn(&format!("cannot listen to `{name}`: {why}"));
                self.ended.insert(attachment.id.clone(), true);
            }
            Heard::State(state) => self.state(attachment, &name, &state),
        }
    }

    fn state(&mut self, attachment: &Attachment, name: &str, state: &ContainerState) {
        let shown = self.options.shown.contains(&attachment.service);
        match state {
            ContainerState::Created => {}
            ContainerState::Running { .. } | ContainerState::Paused { .. } => {
                self.ended.insert(attachment.id.clone(), false);
                self.failed.remove(&attachment.id);
            }
            ContainerState::Restarting { exit_code, .. } => {
                if shown {
                    self.app.printer.note(&format!("{name} exited with code {exit_code} (restarting)"));
                }
            }
            // How an earlier run has ended.
            ContainerState::Exited { at, .. } if attachment.before == Some(*at) => {}
            ContainerState::Exited { exit_code, out_of_memory, .. } => {
                if self.ended.insert(attachment.id.clone(), true) == Some(true) {
                    return;
                }
                let memory = if *out_of_memory { " (out of memory)" } else { "" };
                if shown {
                    self.app.printer.note(&format!("{name} exited with code {exit_code}{memory}"));
                }
                self.codes.entry(attachment.service.clone()).or_insert(*exit_code);
                if *exit_code != 0 && !self.is_stopping {
                    self.failed.insert(attachment.id.clone(), (attachment.clone(), *exit_code, *out_of_memory));
                }
                let is_last_word = match &self.options.ending {
                    Ending::WhenAllHaveEnded => false,
                    Ending::AtFirstExit | Ending::CodeOf { at_failure: false, .. } => true,
                    Ending::AtFirstFailure | Ending::CodeOf { at_failure: true, .. } => *exit_code != 0,
                };
                if is_last_word && self.last_word.is_none() {
                    self.last_word = Some(*exit_code);
                }
            }
            ContainerState::Dead { reason } => {
                if self.is_up {
                    self.app.printer.warn(&format!("`{name}` is dead: {reason}"));
                }
                self.ended.insert(attachment.id.clone(), true);
            }
            ContainerState::Removed => {
                self.ended.insert(attachment.id.clone(), true);
            }
        }
    }
}
