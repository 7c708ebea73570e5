//! Loads the project that a command is about.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compose::source::is_remote;
use compose::{Code, Diagnostic, LoadRequest, Passes, Severity, SourceMap};

use crate::app::App;
use crate::app::given::registries;
use crate::app::remote::Remote;
use crate::error::{CommandError, Kind, LoadedProject, Source};
use crate::print::printer::Stream;
use crate::print::{diagnostic, record};

/// A name on the command line that is no service.
const NO_SUCH_SERVICE: Code = Code(551);

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
        let loaded = compose::load(&self.request(services, passes)?, &self.reader());
        let (errors, others): (Vec<Diagnostic>, Vec<Diagnostic>) =
            loaded.diagnostics.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
        if warnings == Warnings::Shown {
            for warning in &others {
                self.warn(warning, &loaded.sources);
            }
        }
        match loaded.project {
            Some(mut project) if errors.is_empty() => {
                let all = project.services.values_mut().chain(project.disabled_services.values_mut());
                all.for_each(|service| service.joined_by_underscore = self.settings.compatibility);
                Ok(LoadedProject { project, sources: loaded.sources })
            }
            // A service that is not there is no mistake of the file.
            _ if errors.iter().all(|error| error.code == NO_SUCH_SERVICE) => {
                let said: Vec<String> = errors.into_iter().map(|error| error.message).collect();
                Err(CommandError::new(Kind::Failed, said.join("\n")))
            }
            _ => Err(CommandError {
                kind: Kind::Config,
                source: Source::Diagnostics(errors, Box::new(loaded.sources)),
                hints: Vec::new(),
            }),
        }
    }

    /// Shows a warning, in the form that errors have too.
    pub(crate) fn warn(&self, warning: &Diagnostic, sources: &SourceMap) {
        let text = if self.settings.json_errors {
            record::of_diagnostic(warning, sources, &self.look()) + "\n"
        } else {
            diagnostic::render(warning, sources, &self.look())
        };
        self.printer.write(Stream::Err, text.as_bytes());
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
        let mut files: Vec<PathBuf> = self.args.file.iter().map(|file| self.file(file)).collect();
        let mut working_directory = self.folder.clone();
        match self.args.at.as_deref().map(|place| self.absolute(place)) {
            Some(place) if place.is_dir() => working_directory = place,
            // A Compose file is meant itself; of any other file the project that it is in.
            Some(place) if is_yaml(&place) => files.insert(0, place),
            Some(place) => working_directory = place.parent().unwrap_or(&self.folder).to_owned(),
            None => {}
        }
        Ok(LoadRequest {
            files,
            stdin,
            working_directory,
            project_directory: self.args.project_directory.as_deref().map(|path| self.absolute(path)),
            project_name: self.args.project_name.clone(),
            env_files: self.args.env_file.iter().map(|file| self.absolute(Path::new(file))).collect(),
            profiles: self.args.profile.clone(),
            environment: self.environment.0.clone(),
            services: services.to_vec(),
            passes,
        })
    }

    /// Returns what reads the project's files.
    fn reader(&self) -> Remote {
        let allowed = |variable| self.args.allow_remote || self.environment.is_on(variable);
        let cache = match (self.environment.get("XDG_CACHE_HOME"), self.environment.get("HOME")) {
            (Some(cache), _) => Some(Path::new(cache).join("motet")),
            (None, Some(home)) => Some(Path::new(home).join(".cache/motet")),
            (None, None) => None,
        };
        Remote {
            git: allowed("COMPOSE_EXPERIMENTAL_GIT_REMOTE"),
            oci: allowed("COMPOSE_EXPERIMENTAL_OCI_REMOTE"),
            registries: Arc::new(registries(&self.environment)),
            cache,
        }
    }

    fn file(&self, file: &str) -> PathBuf {
        if file == "-" || is_remote(file) { PathBuf::from(file) } else { self.absolute(Path::new(file)) }
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

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

#[cfg(test)]
mod tests {
    use crate::args::global::AnsiChoice;
    use crate::args::{Environment, GlobalArgs, Settings};
    use crate::print::printer::Printer;

    use super::*;

    fn app(file: &str) -> App {
        let args = GlobalArgs { file: vec![file.to_owned()], ..GlobalArgs::default() };
        App {
            is_drop_in: false,
            settings: Settings::new(&args, &Environment::default()).unwrap(),
            args,
            environment: Environment::default(),
            printer: Printer::of_process(AnsiChoice::Never),
            folder: "/home/me/shop".into(),
            opened: std::sync::OnceLock::new(),
        }
    }

    #[test]
    fn paths_are_made_absolute_and_remote_files_are_not() {
        let file = |text: &str| app(text).request(&[], Passes::default()).unwrap().files[0].display().to_string();
        assert_eq!(file("compose.yaml"), "/home/me/shop/compose.yaml");
        assert_eq!(file("../base/./compose.yaml"), "/home/me/base/compose.yaml");
        assert_eq!(file("/etc/compose.yaml"), "/etc/compose.yaml");
        assert_eq!(file("oci://registry/app:1"), "oci://registry/app:1");
    }
}
