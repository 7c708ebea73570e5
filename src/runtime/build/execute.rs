//! Carries stages out: those that do not need each other side by side, each instruction in turn, the cache asked first.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::build::cache::{self, Key, Outcome};
use crate::build::carried::Done;
use crate::build::dockerfile::instruction::{Act, Instruction, Stage, Transfer};
use crate::build::error::{BuildError, Reason};
use crate::build::instruct;
use crate::build::job::Job;
use crate::build::metadata::{self, Applied, Settings};
use crate::build::rehearse::{self, rehearse};
use crate::build::scope::{DEFAULT_PATH, Scope};
use crate::build::stages::{self, Origin};
use crate::build::view::View;
use crate::image::config::ImageConfig;
use crate::image::digest::Digest;
use crate::image::layers;
use crate::image::manifest::Platform;
use crate::image::store::{self, Image};
use crate::progress::Report;

/// When an image of nothing but metadata was made: it has no step whose time could be told.
const START_OF_TIME: &str = "1970-01-01T00:00:00Z";

/// A stage so far.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub image: ImageConfig,
    pub scope: Scope,
    pub cmd_is_own: bool,
    /// A step of it ran again because nothing was to come from the cache.
    pub is_anew: bool,
    /// When the last step ran.
    pub created: String,
}

/// Stages that run, and what became of them.
pub(super) struct Board {
    done: Mutex<Vec<Option<Result<State, ()>>>>,
    changed: Condvar,
    steps: AtomicU32,
    total: AtomicU32,
}

impl Board {
    /// Makes a board on which nothing is done yet.
    pub fn new(stages: usize, steps: usize) -> Self {
        Self {
            done: Mutex::new(vec![None; stages]),
            changed: Condvar::new(),
            steps: AtomicU32::new(0),
            total: AtomicU32::new(u32::try_from(steps).unwrap_or(u32::MAX)),
        }
    }

    /// Tells how a stage ended.
    pub fn announce(&self, stage: usize, result: Result<State, ()>) {
        self.lock()[stage] = Some(result);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Result<State, ()>>>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a stage.
    pub fn wait(&self, stage: usize) -> Result<State, Reason> {
        let mut done = self.lock();
        loop {
            match &done[stage] {
                Some(Ok(state)) => return Ok(state.clone()),
                Some(Err(())) => return Err(Reason::Dependency),
                None => done = self.changed.wait(done).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Tells those who wait for a stage how it ended, a panic included.
struct Announce<'a> {
    board: &'a Board,
    stage: usize,
    result: Result<State, ()>,
}

impl Drop for Announce<'_> {
    fn drop(&mut self) {
        let result = std::mem::replace(&mut self.result, Err(()));
        self.board.announce(self.stage, result);
    }
}

/// What a build made.
pub(super) struct Built {
    pub config: ImageConfig,
    /// The target and the stages below it, by position.
    pub chain: Vec<usize>,
}

/// Builds the target; returns its image.
pub(super) fn execute(job: &Job<'_>) -> Result<Built, BuildError> {
    let stages = &job.dockerfile.stages;
    let wanted = job.request.target.as_deref();
    let target = stages::target(stages, wanted).map_err(|hint| {
        let name = wanted.unwrap_or_default().to_owned();
        BuildError::nowhere(Reason::NoStage { name, hint })
    })?;
    let global = Scope::global(&job.dockerfile, &job.request.args, wanted.unwrap_or("default"), &job.platform)
        .map_err(|(line, message)| job.error(line, Reason::Syntax(message)))?;
    let bases = stages.iter().map(|stage| base_name(job, &global, stage)).collect::<Result<Vec<_>, _>>()?;
    let needed = stages::reachable(&job.names(), &job.dockerfile, &bases, target);
    rehearse(job, &global, &needed, &bases)?;
    let total: usize =
        needed.iter().map(|at| 1 + stages[*at].instructions.iter().filter(|i| is_step(&i.act)).count()).sum();
    let board = Board::new(stages.len(), total);
    let run = |at: usize, base: &String| {
        // However the stage ends, nobody waits for it forever.
        let mut verdict = Announce { board: &board, stage: at, result: Err(()) };
        let result = Runner { job, board: &board, at, stage: &stages[at], rehearsal: false }.run(&global, base);
        verdict.result = result.as_ref().map(State::clone).map_err(|_| ());
        result
    };
    let run = &run;
    let results = std::thread::scope(|threads| {
        let handles: Vec<_> =
            needed.iter().map(|at| (at, &bases[*at])).map(|(at, base)| threads.spawn(move || run(*at, base))).collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    let below = |at: &usize| match stages::base(&job.names(), stages, *at, &bases[*at]) {
        Origin::Stage(stage) => Some(stage),
        Origin::Scratch | Origin::Image(_) | Origin::Context(_) => None,
    };
    let chain = std::iter::successors(Some(target), below).collect();
    Ok(Built { config: finish(results)?, chain })
}

/// The target is the last one; of several failures the first that has a cause of its own is told.
fn finish(results: Vec<Result<State, BuildError>>) -> Result<ImageConfig, BuildError> {
    let mut last = None;
    let mut failed: Option<BuildError> = None;
    for result in results {
        match result {
            Ok(state) => last = Some(state),
            Err(error) if failed.as_ref().is_none_or(|known| matches!(known.reason, Reason::Dependency)) => {
                failed = Some(error);
            }
            Err(_) => {}
        }
    }
    match (failed, last) {
        (Some(error), _) => Err(error),
        (None, Some(state)) => Ok(ImageConfig { created: Some(state.created), ..state.image }),
        (None, None) => Err(BuildError::nowhere(Reason::Dependency)),
    }
}

fn base_name(job: &Job<'_>, global: &Scope, stage: &Stage) -> Result<String, BuildError> {
    let error = |message| job.error(stage.span.line, Reason::Syntax(message));
    let name = global.global_word(&stage.base).map_err(error)?;
    if name.is_empty() {
        return Err(error(format!("base name ({}) should not be blank", stage.base)));
    }
    if let Some(written) = &stage.platform
        && global.global_word(written).map_err(error)?.is_empty()
    {
        let hint = global.hint(written);
        return Err(error(format!("empty platform value from expression {written}{hint}")));
    }
    Ok(name)
}

fn is_step(act: &Act) -> bool {
    matches!(act, Act::Add(_) | Act::Copy(_) | Act::Run(_) | Act::Workdir(_))
}

/// One stage being carried out.
pub(super) struct Runner<'a> {
    pub job: &'a Job<'a>,
    pub board: &'a Board,
    pub at: usize,
    pub stage: &'a Stage,
    /// Nothing is made: it is only looked for mistakes.
    pub rehearsal: bool,
}

impl Runner<'_> {
    /// Goes through the stage.
    pub fn run(&self, global: &Scope, base: &str) -> Result<State, BuildError> {
        let error = |reason| self.job.error(self.stage.span.line, reason);
        let number = self.begin(&self.stage.text);
        let mut state = self.base(global, base).map_err(error)?;
        self.end(number, false);
        // Triggers of the base run before everything else, and only once.
        for text in std::mem::take(&mut state.image.config.on_build) {
            let trigger = rehearse::trigger(&text).map_err(error)?;
            let fired = Instruction { span: self.stage.span, ..trigger };
            self.board.total.fetch_add(u32::from(is_step(&fired.act)), Ordering::Relaxed);
            self.instruction(&mut state, &fired)?;
        }
        for instruction in &self.stage.instructions {
            self.instruction(&mut state, instruction)?;
        }
        Ok(state)
    }

    fn base(&self, global: &Scope, name: &str) -> Result<State, Reason> {
        let stages = &self.job.dockerfile.stages;
        let mut state = match stages::base(&self.job.names(), stages, self.at, name) {
            Origin::Scratch => {
                let mut image = self.nothing(global)?;
                image.config.env = vec![format!("PATH={DEFAULT_PATH}")];
                "/".clone_into(&mut image.config.working_dir);
                State {
                    image,
                    scope: global.clone(),
                    cmd_is_own: false,
                    is_anew: false,
                    created: START_OF_TIME.to_owned(),
                }
            }
            Origin::Stage(stage) => State { cmd_is_own: false, ..self.board.wait(stage)? },
            Origin::Image(reference) => {
                let platform = self.stage.platform.as_deref().map(|text| global.global_word(text)).transpose();
                let platform = platform.map_err(Reason::Syntax)?;
                of_image(self.job.image(&reference, platform.as_deref())?, global)
            }
            Origin::Context(name) => match self.job.contexts.get(&name).and_then(|context| context.image.clone()) {
                Some(image) => of_image(image, global),
                None => self.of_folder(&name, global)?,
            },
        };
        if let Some(epoch) = self.job.epoch {
            state.created = instruct::time(epoch);
        }
        if !state.image.config.env.iter().any(|line| line.starts_with("PATH=")) {
            state.image.config.env.insert(0, format!("PATH={DEFAULT_PATH}"));
        }
        for line in &state.image.config.env {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            state.scope.set(name, value.to_owned());
        }
        Ok(state)
    }

    /// An empty image for the platform that is wanted.
    fn nothing(&self, global: &Scope) -> Result<ImageConfig, Reason> {
        let said = self.stage.platform.as_deref().map(|text| global.global_word(text)).transpose();
        let said = said.map_err(Reason::Syntax)?.filter(|text| !text.is_empty());
        let said = said.map(|text| Platform::parse(&text)).transpose();
        let said = said.map_err(|error| Reason::Syntax(error.to_string()))?;
        let Platform { os, architecture, variant } = said.map_or_else(|| self.job.platform.clone(), |it| it.normal());
        Ok(ImageConfig { os, architecture, variant, ..ImageConfig::empty() })
    }

    /// Makes a folder that was given the root of the stage.
    fn of_folder(&self, name: &str, global: &Scope) -> Result<State, Reason> {
        let created = START_OF_TIME.to_owned();
        let mut state =
            State { image: self.nothing(global)?, scope: global.clone(), cmd_is_own: false, is_anew: false, created };
        "/".clone_into(&mut state.image.config.working_dir);
        if !self.rehearsal {
            let all = Transfer {
                sources: vec![".".to_owned()],
                destination: "/".to_owned(),
                from: Some(name.to_owned()),
                ..Transfer::default()
            };
            instruct::transfer(self, &mut state, &all, false)?;
        }
        Ok(state)
    }

    fn instruction(&self, state: &mut State, instruction: &Instruction) -> Result<(), BuildError> {
        let error = |reason| self.job.error(instruction.span.line, reason);
        let mut settings = Settings {
            config: &mut state.image.config,
            scope: &mut state.scope,
            cmd_is_own: &mut state.cmd_is_own,
            author: &mut state.image.author,
        };
        match metadata::apply(&mut settings, &instruction.act).map_err(|text| error(Reason::Syntax(text)))? {
            Applied::Line(line) => {
                state.image.history.push(metadata::history(&state.created, line, true));
                return Ok(());
            }
            Applied::Untold => return Ok(()),
            Applied::Layer => {}
        }
        if self.rehearsal {
            return rehearse::layer(self, state, &instruction.act).map_err(error);
        }
        let number = self.begin(&instruction.text);
        let before = self.job.request.keep_last_good.then(|| state.clone());
        let cached = match &instruction.act {
            Act::Run(run) => instruct::run(self, state, run, number),
            Act::Copy(copy) => instruct::transfer(self, state, copy, false),
            Act::Add(add) => instruct::transfer(self, state, add, true),
            Act::Workdir(path) => instruct::working_directory(self, state, path),
            _ => Ok(true),
        };
        let cached = cached.map_err(|reason| {
            let last_good = before.and_then(|state| self.keep(&state));
            BuildError { last_good, ..error(reason) }
        })?;
        self.end(number, cached);
        Ok(())
    }

    /// Puts what there is of the stage into the store: what runs in it sees what the next RUN would see, build arguments too.
    fn keep(&self, state: &State) -> Option<Digest> {
        let mut image = state.image.clone();
        image.config.env = state.scope.run_environment();
        image.created = Some(state.created.clone());
        store::put(self.job.rt, &image.to_json(), &[]).ok().map(|image| image.id)
    }

    fn begin(&self, text: &str) -> u32 {
        if self.rehearsal {
            return 0;
        }
        let number = self.board.steps.fetch_add(1, Ordering::Relaxed) + 1;
        let total = self.board.total.load(Ordering::Relaxed).max(number);
        let stage = self.stage.name.clone().unwrap_or_else(|| format!("stage-{}", self.at));
        let text = if self.job.dockerfile.stages.len() > 1 { format!("[{stage}] {text}") } else { text.to_owned() };
        self.job.reporter.report(Report::Step { number, total, text });
        number
    }

    fn end(&self, number: u32, cached: bool) {
        if !self.rehearsal {
            self.job.reporter.report(Report::StepDone { number, cached });
        }
    }

    /// Returns what a container of the stage so far would see.
    pub fn view(&self, layers: &[Digest]) -> View {
        View::new(layers::once(layers).iter().map(|layer| layers::directory(self.job.rt, layer)).collect())
    }

    /// Takes a step from the cache or makes it, and adds it to the stage; says whether it was cached.
    pub fn step(
        &self,
        state: &mut State,
        step: Step,
        make: &mut dyn FnMut() -> Result<Option<Digest>, Reason>,
    ) -> Result<bool, Reason> {
        let key = match self.job.epoch {
            Some(epoch) => step.key.with(format!("epoch {epoch}")).finish(),
            None => step.key.finish(),
        };
        let request = self.job.request;
        let filtered = self.stage.name.as_ref().is_some_and(|name| request.no_cache_filter.contains(name));
        let fresh = (request.no_cache || filtered) && (!step.needs_reason || state.is_anew);
        state.is_anew |= fresh;
        let find = || if fresh { None } else { cache::find(self.job.rt, &key) };
        let mut found = find();
        let mut turn = None;
        if found.is_none() {
            // The same step may be running elsewhere, in another stage, build or process: then its result is ours too.
            turn = Some(cache::turn(self.job.rt, &key)?);
            found = find();
        }
        if found.is_none()
            && !fresh
            && let Some(outcome) = self.job.imports.find(self.job, &key)
        {
            cache::keep(self.job.rt, &key, &outcome)?;
            found = Some(outcome);
        }
        let cached = found.is_some();
        let outcome = match found {
            Some(outcome) => outcome,
            None => {
                let outcome = Outcome::new(make()?, instruct::now());
                cache::keep(self.job.rt, &key, &outcome)?;
                outcome
            }
        };
        drop(turn);
        self.job.note(Done { stage: self.at, key, outcome: outcome.clone() });
        // Steps of stages that ran side by side: the image is as young as its youngest step.
        if self.job.epoch.is_none() {
            state.created = state.created.clone().max(outcome.created);
        }
        let created = state.created.clone();
        state.image.history.push(metadata::history(&created, step.line, outcome.layer.is_none()));
        state.image.rootfs.diff_ids.extend(outcome.layer);
        Ok(cached)
    }
}

/// A step that makes a layer.
pub(super) struct Step {
    /// All that it depends on.
    pub key: Key,
    /// Its line of the history.
    pub line: String,
    /// It could not come out otherwise: as with BuildKit `--no-cache` is about it only where a step below it ran again.
    pub needs_reason: bool,
}

fn of_image(image: Image, global: &Scope) -> State {
    let created = image.created.clone().unwrap_or_else(|| START_OF_TIME.to_owned());
    State { image: image.config, scope: global.clone(), cmd_is_own: false, is_anew: false, created }
}

/// Says whether a folder is there, links on the way followed.
pub(super) fn is_folder(view: &View, path: &Path) -> std::io::Result<bool> {
    let resolved = view.resolve(path)?;
    Ok(view.find(&resolved)?.is_some_and(|found| found.metadata.is_dir()))
}
