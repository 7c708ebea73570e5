//! The struct that every command is given, and how it runs an operation.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use orchestrator::engine::Engine;
use orchestrator::event::Event;
use orchestrator::operations::OperationError;
use runtime::registry;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::app::choose;
use crate::app::dockerfiles;
use crate::app::dry_run::DryRun;
use crate::app::interrupts::Interrupts;
use crate::args::global::ProgressStyle;
use crate::args::{Environment, GlobalArgs, Settings};
use crate::error::{CommandError, Kind, LoadedProject};
use crate::print::diagnostic::Look;
use crate::print::drop_in::Names;
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
    /// Called in Docker Compose's place: its exit codes.
    pub(crate) is_drop_in: bool,
    /// Folder that the command was called in.
    pub(crate) folder: PathBuf,
    /// The engine, once it is open.
    pub(crate) opened: OnceLock<Arc<dyn Engine>>,
}

impl App {
    /// Opens the engine; a dry run gets one that touches nothing.
    pub(crate) fn engine(&self) -> Result<Arc<dyn Engine>, CommandError> {
        let engine = match self.opened.get() {
            Some(engine) => engine.clone(),
            None => {
                let chosen = choose::open(&self.settings, &self.environment)?;
                if let Some(why) = chosen.why {
                    self.printer.note(&why);
                }
                self.opened.get_or_init(|| chosen.engine).clone()
            }
        };
        Ok(if self.settings.dry_run { Arc::new(DryRun(engine)) } else { engine })
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

    /// Returns what shows events in this style: called as `docker-compose`, as Docker Compose does.
    pub(crate) fn reporter(&self, style: ProgressStyle, project: Option<&LoadedProject>) -> Reporter<'_> {
        let names = || project.map(|loaded| Names::of(&loaded.project)).unwrap_or_default();
        Reporter::new(&self.printer, &self.settings, style).named(self.is_drop_in.then(names))
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
        let mut reporter = self.reporter(style, project);
        let mut interrupts = Interrupts::listen()?;
        let operation = operation(sender);
        let interruptible = async {
            tokio::select! {
                result = operation => result.map_err(|mut error| {
                    if let Some(loaded) = project {
                        dockerfiles::explain(&mut error, &loaded.project);
                    }
                    CommandError::operation(error, project)
                }),
                () = interrupts.next() => Err(CommandError::silent(Kind::Interrupted)),
            }
        };
        reporter.follow(interruptible, events).await
    }
}

/// How registries are talked to: the environment, and where the files are that say more.
pub(crate) fn registries(environment: &Environment) -> registry::settings::Settings {
    let path = |name: &str| environment.get(name).map(PathBuf::from);
    let home = path("HOME");
    let below_home = |folder: &str| home.as_ref().map(|home| home.join(folder));
    let own = path("XDG_CONFIG_HOME").or_else(|| below_home(".config")).map(|folder| folder.join("motet"));
    let docker = path("DOCKER_CONFIG").or_else(|| below_home(".docker"));
    let podman = path("REGISTRY_AUTH_FILE")
        .or_else(|| path("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")));
    let either = |names: [&str; 4]| names.iter().find_map(|name| environment.get(name)).map(str::to_owned);
    let folders = ["/etc/docker", "/etc/motet"].map(PathBuf::from).into_iter();
    registry::settings::Settings {
        ca_file: path("SSL_CERT_FILE"),
        docker_config: docker.map(|folder| folder.join("config.json")),
        more_logins: podman.into_iter().collect(),
        files: [
            Some("/etc/docker/daemon.json".into()),
            Some("/etc/motet/config.json".into()),
            own.as_ref().map(|own| own.join("config.json")),
        ]
        .into_iter()
        .flatten()
        .collect(),
        certificates: folders.chain(own).map(|folder| folder.join("certs.d")).collect(),
        proxies: registry::settings::Proxies {
            http: either(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            https: either(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            no_proxy: either(["no_proxy", "NO_PROXY", "no_proxy", "NO_PROXY"]),
        },
    }
}
