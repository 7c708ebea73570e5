//! Carries stages out: those that do not need each other side by side, each instruction in turn, the cache asked first.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::acquire::{self, AcquireOptions};
use crate::build::cache::{self, Key, Outcome};
use crate::build::dockerfile::decode;
use crate::build::dockerfile::instruction::{Act, Instruction, Stage};
use crate::build::error::{BuildError, Reason};
use crate::build::instruct;
use crate::build::metadata::{self, Settings};
use crate::build::request::Job;
use crate::build::scope::{DEFAULT_PATH, Scope};
use crate::build::stages::{self, Origin};
use crate::build::view::View;
use crate::image::config::ImageConfig;
use crate::image::digest::Digest;
use crate::image::layers;
use crate::image::store::Image;
use crate::progress::Report;

/// When an image of nothing but metadata was made: it has no step whose time could be told.
const START_OF_TIME: &str = "1970-01-01T00:00:00Z";

/// A stage so far.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub image: ImageConfig,
    pub scope: Scope,
    pub cmd_is_own: bool,
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
        self.board.lock()[self.stage] = Some(result);
        self.board.changed.notify_all();
    }
}

/// Builds the target; returns its image.
pub(super) fn execute(job: &Job<'_>) -> Result<ImageConfig, BuildError> {
    let stages = &job.dockerfile.stages;
    let wanted = job.request.target.as_deref();
    let target = stages::target(stages, wanted).map_err(|hint| {
        let name = wanted.unwrap_or_default().to_owned();
        BuildError::nowhere(Reason::NoStage { name, hint })
    })?;
    let target_name = stages[target].name.clone().unwrap_or_default();
    let global = Scope::global(&job.dockerfile, &job.request.args, &target_name)
        .map_err(|(line, message)| job.error(line, Reason::Syntax(message)))?;
    let bases = stages.iter().map(|stage| base_name(job, &global, stage)).collect::<Vec<_>>();
    // A stage that is not needed may have a FROM that means nothing.
    let names: Vec<String> = bases.iter().map(|base| base.as_ref().cloned().unwrap_or_default()).collect();
    let needed = stages::reachable(&job.dockerfile, &names, target);
    let mut needed_bases = Vec::new();
    for (at, base) in bases.into_iter().enumerate() {
        if needed.contains(&at) {
            needed_bases.push(base?);
        }
    }
    let total: usize =
        needed.iter().map(|at| 1 + stages[*at].instructions.iter().filter(|i| is_step(&i.act)).count()).sum();
    let board = Board {
        done: Mutex::new(vec![None; stages.len()]),
        changed: Condvar::new(),
        steps: AtomicU32::new(0),
        total: AtomicU32::new(u32::try_from(total).unwrap_or(u32::MAX)),
    };
    let run = |at: usize, base: &String| {
        // However the stage ends, nobody waits for it forever.
        let mut verdict = Announce { board: &board, stage: at, result: Err(()) };
        let result = Runner { job, board: &board, at, stage: &stages[at] }.run(&global, base);
        verdict.result = result.as_ref().map(State::clone).map_err(|_| ());
        result
    };
    let run = &run;
    let results = std::thread::scope(|threads| {
        let handles: Vec<_> =
            needed.iter().zip(&needed_bases).map(|(at, base)| threads.spawn(move || run(*at, base))).collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    finish(results)
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
}

impl Runner<'_> {
    fn run(&self, global: &Scope, base: &str) -> Result<State, BuildError> {
        let error = |reason| self.job.error(self.stage.span.line, reason);
        let number = self.begin(&self.stage.text);
        let mut state = self.base(global, base).map_err(error)?;
        self.end(number, false);
        // Triggers of the base run before everything else, and only once.
        for text in std::mem::take(&mut state.image.config.on_build) {
            let trigger = decode::trigger(&text).map_err(|syntax| error(Reason::Syntax(syntax.message)))?;
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
        let mut state = match stages::base(stages, self.at, name) {
            Origin::Scratch => {
                let mut image = ImageConfig::empty();
                image.config.env = vec![format!("PATH={DEFAULT_PATH}")];
                "/".clone_into(&mut image.config.working_dir);
                State { image, scope: global.clone(), cmd_is_own: false, created: START_OF_TIME.to_owned() }
            }
            Origin::Stage(stage) => State { cmd_is_own: false, ..self.board.wait(stage)? },
            Origin::Image(reference) => {
                let image = self.image(&reference, self.stage.platform.as_deref(), global)?;
                let created = image.created.clone().unwrap_or_else(|| START_OF_TIME.to_owned());
                State { image: image.config, scope: global.clone(), cmd_is_own: false, created }
            }
        };
        if !state.image.config.env.iter().any(|line| line.starts_with("PATH=")) {
            state.image.config.env.insert(0, format!("PATH={DEFAULT_PATH}"));
        }
        for line in &state.image.config.env {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            state.scope.set(name, value.to_owned());
        }
        Ok(state)
    }

    /// Gets an image of the store, or into it.
    pub fn image(&self, reference: &str, platform: Option<&str>, global: &Scope) -> Result<Image, Reason> {
        let platform = platform.map(|text| global.global_word(text)).transpose().map_err(Reason::Syntax)?;
        let options = AcquireOptions {
            platform: platform.filter(|text| !text.is_empty()),
            no_bootstrap: self.job.request.no_bootstrap,
            always_pull: self.job.request.pull,
        };
        acquire::acquire(self.job.rt, reference, &options, self.job.reporter)
            .map_err(|source| Reason::Base { reference: reference.to_owned(), source: Box::new(source) })
    }

    fn instruction(&self, state: &mut State, instruction: &Instruction) -> Result<(), BuildError> {
        let error = |reason| self.job.error(instruction.span.line, reason);
        let mut settings = Settings {
            config: &mut state.image.config,
            scope: &mut state.scope,
            cmd_is_own: &mut state.cmd_is_own,
            author: &mut state.image.author,
        };
        let line = metadata::apply(&mut settings, &instruction.act).map_err(|text| error(Reason::Syntax(text)))?;
        if let Some(line) = line {
            state.image.history.push(metadata::history(&state.created, line, true));
            return Ok(());
        }
        let number = self.begin(&instruction.text);
        let cached = match &instruction.act {
            Act::Run(run) => instruct::run(self, state, run, number),
            Act::Copy(copy) => instruct::transfer(self, state, copy, false),
            Act::Add(add) => instruct::transfer(self, state, add, true),
            Act::Workdir(path) => instruct::working_directory(self, state, path),
            _ => Ok(true),
        };
        self.end(number, cached.map_err(error)?);
        Ok(())
    }

    fn begin(&self, text: &str) -> u32 {
        let number = self.board.steps.fetch_add(1, Ordering::Relaxed) + 1;
        let total = self.board.total.load(Ordering::Relaxed).max(number);
        let stage = self.stage.name.clone().unwrap_or_else(|| format!("stage-{}", self.at));
        let text = if self.job.dockerfile.stages.len() > 1 { format!("[{stage}] {text}") } else { text.to_owned() };
        self.job.reporter.report(Report::Step { number, total, text });
        number
    }

    fn end(&self, number: u32, cached: bool) {
        self.job.reporter.report(Report::StepDone { number, cached });
    }

    /// Returns what a container of the stage so far would see.
    pub fn view(&self, layers: &[Digest]) -> View {
        View::new(layers::once(layers).iter().map(|layer| layers::directory(self.job.rt, layer)).collect())
    }

    /// Takes a step from the cache or makes it, and adds it to the stage; says whether it was cached.
    pub fn step(
        &self,
        state: &mut State,
        key: Key,
        line: String,
        make: &mut dyn FnMut() -> Result<Option<Digest>, Reason>,
    ) -> Result<bool, Reason> {
        let key = key.finish();
        let found = if self.job.request.no_cache { None } else { cache::find(self.job.rt, &key) };
        let cached = found.is_some();
        let outcome = match found {
            Some(outcome) => outcome,
            None => {
                let outcome = Outcome::new(make()?, instruct::now());
                cache::keep(self.job.rt, &key, &outcome)?;
                outcome
            }
        };
        // Steps of stages that ran side by side: the image is as young as its youngest step.
        state.created = state.created.clone().max(outcome.created);
        let created = state.created.clone();
        state.image.history.push(metadata::history(&created, line, outcome.layer.is_none()));
        state.image.rootfs.diff_ids.extend(outcome.layer);
        Ok(cached)
    }
}

/// Says whether a folder is there, links on the way followed.
pub(super) fn is_folder(view: &View, path: &Path) -> std::io::Result<bool> {
    let resolved = view.resolve(path)?;
    Ok(view.find(&resolved)?.is_some_and(|found| found.metadata.is_dir()))
}
