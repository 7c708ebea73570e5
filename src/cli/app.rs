//! What a command is given: the settings, the printer, a loader for the project, the engine.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compose::{Diagnostic, FileSystem, LoadRequest, Passes, Severity};
use orchestrator::engine::Engine;
use orchestrator::event::Event;
use orchestrator::operations::OperationError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::args::global::ProgressStyle;
use crate::args::{Environment, GlobalArgs, Settings};
use crate::error::{CommandError, Kind, LoadedProject, Source};
use crate::print::diagnostic::{self, Look};
use crate::print::printer::{Printer, Stream};
use crate::print::report::Reporter;

/// All that a command needs of the world.
pub(crate) struct App {
    /// Flags before or after the verb.
    pub(crate) args: GlobalArgs,
    /// Flags and environment together.
    pub(crate) settings: Settings,
    /// The process environment.
    pub(crate) environment: Environment,
    /// The one writer.
    pub(crate) printer: Printer,
    /// Folder that the command was called in.
    pub(crate) folder: PathBuf,
}

/// What a command acts on: a project by its file, or only by its name.
pub(crate) struct Target {
    /// The project's name.
    pub(crate) name: String,
    /// The project, where its file can be read.
    pub(crate) loaded: Option<LoadedProject>,
}

/// What is said of warnings in the Compose file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Warnings {
    /// All of them.
    Shown,
    /// None: the command only looks.
    Hidden,
}

impl App {
    /// Loads the project, narrowed to `services` where some are named.
    pub(crate) fn load(&self, services: &[String], warnings: Warnings) -> Result<LoadedProject, CommandError> {
        let passes = Passes { keep_unused: self.settings.all_resources, ..Passes::default() };
        self.load_with(services, passes, warnings)
    }

    /// Loads the project with only some of the passes.
    pub(crate) fn load_with(
        &self,
        services: &[String],
        passes: Passes,
        warnings: Warnings,
    ) -> Result<LoadedProject, CommandError> {
        let loaded = compose::load(&self.request(services, passes)?, &FileSystem);
        let (errors, others): (Vec<Diagnostic>, Vec<Diagnostic>) =
            loaded.diagnostics.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
        if warnings == Warnings::Shown {
            for warning in &others {
                let text = diagnostic::render(warning, &loaded.sources, &self.look());
                self.printer.write(Stream::Err, text.as_bytes());
            }
        }
        match loaded.project {
            Some(project) if errors.is_empty() => Ok(LoadedProject { project, sources: loaded.sources }),
            _ => Err(CommandError {
                kind: Kind::Config,
                source: Source::Diagnostics(errors, Box::new(loaded.sources)),
                hints: Vec::new(),
            }),
        }
    }

    /// Returns the project to act on; where no file can be read a name is enough, since labels tell the rest.
    pub(crate) fn target(&self) -> Result<Target, CommandError> {
        let passes = Passes { keep_unused: true, ..Passes::default() };
        match self.load_with(&[], passes, Warnings::Hidden) {
            Ok(loaded) => Ok(Target { name: loaded.project.name.clone(), loaded: Some(loaded) }),
            Err(error) => {
                let name = self.args.project_name.as_deref().or_else(|| self.environment.get("COMPOSE_PROJECT_NAME"));
                match name {
                    Some(name) => Ok(Target { name: name.to_lowercase(), loaded: None }),
                    None => Err(error),
                }
            }
        }
    }

    /// Opens the engine.
    pub(crate) fn engine(&self) -> Result<Arc<dyn Engine>, CommandError> {
        Err(CommandError::new(Kind::Environment, "this build has no engine"))
    }

    /// Returns how to draw errors.
    pub(crate) fn look(&self) -> Look {
        Look {
            colour: self.printer.colour(Stream::Err),
            width: self.printer.width(Stream::Err),
            folder: self.folder.clone(),
        }
    }

    /// Runs an operation, shows its events, and ends it when the person says so.
    pub(crate) async fn run<T, F>(
        &self,
        project: Option<&LoadedProject>,
        operation: impl FnOnce(UnboundedSender<Event>) -> F,
    ) -> Result<T, CommandError>
    where
        F: Future<Output = Result<T, OperationError>>,
    {
        self.run_in(self.settings.progress, project, operation).await
    }

    /// As [`App::run`], with progress in this style.
    pub(crate) async fn run_in<T, F>(
        &self,
        style: ProgressStyle,
        project: Option<&LoadedProject>,
        operation: impl FnOnce(UnboundedSender<Event>) -> F,
    ) -> Result<T, CommandError>
    where
        F: Future<Output = Result<T, OperationError>>,
    {
        let (sender, events) = unbounded_channel();
        let mut reporter = Reporter::new(&self.printer, &self.settings, style);
        let mut interrupts = Interrupts::listen()?;
        let operation = operation(sender);
        let interruptible = async {
            tokio::select! {
                result = operation => result.map_err(|error| CommandError::operation(error, project)),
                () = interrupts.next() => Err(CommandError::silent(Kind::Interrupted)),
            }
        };
        reporter.follow(interruptible, events).await
    }

    fn request(&self, services: &[String], passes: Passes) -> Result<LoadRequest, CommandError> {
        let stdin = if self.args.file.iter().any(|file| file == "-") {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| CommandError::new(Kind::Config, format!("cannot read the standard input: {error}")))?;
            Some(text)
        } else {
            None
        };
        Ok(LoadRequest {
            files: self.args.file.iter().map(|file| self.file(file)).collect(),
            stdin,
            working_directory: self.folder.clone(),
            project_directory: self.args.project_directory.as_deref().map(|path| self.absolute(path)),
            project_name: self.args.project_name.clone(),
            env_files: self.args.env_file.iter().map(|file| self.absolute(Path::new(file))).collect(),
            profiles: self.args.profile.clone(),
            environment: self.environment.0.clone(),
            services: services.to_vec(),
            passes,
        })
    }

    fn file(&self, file: &str) -> PathBuf {
        let is_remote = file.contains("://") || file.starts_with("git@");
        if file == "-" || is_remote { PathBuf::from(file) } else { self.absolute(Path::new(file)) }
    }

    /// Returns `path` made absolute, `.` and `..` resolved as text.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        let mut absolute = PathBuf::new();
        for part in self.folder.join(path).components() {
            match part {
                std::path::Component::CurDir => {}
                std::path::Component::ParentDir => {
                    absolute.pop();
                }
                part => absolute.push(part),
            }
        }
        absolute
    }
}

/// The person says stop: Ctrl-C, or a polite signal.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Takes these signals from now on.
    pub(crate) fn listen() -> Result<Self, CommandError> {
        let listen = |kind| {
            signal(kind).map_err(|error| CommandError::new(Kind::Environment, format!("cannot take signals: {error}")))
        };
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Returns at the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
