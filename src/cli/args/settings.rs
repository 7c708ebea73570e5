//! Flags and environment become settings: a flag wins over its variable. What a `.env` file may say as well
//! (`COMPOSE_FILE`, `COMPOSE_PROFILES`, ..) is left to the loader, which reads that file.

use std::path::PathBuf;

use crate::args::environment::Environment;
use crate::args::global::{AnsiChoice, EngineChoice, GlobalArgs, ProgressStyle};

/// What holds for this run, whoever said it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// How progress is shown.
    pub(crate) progress: ProgressStyle,
    /// Errors and warnings are JSON, one object a line.
    pub(crate) json_errors: bool,
    /// Progress goes to stdout.
    pub(crate) progress_on_stdout: bool,
    /// When to use colour.
    pub(crate) ansi: AnsiChoice,
    /// Pulls and builds at the same time; `None`: no limit.
    pub(crate) parallel: Option<usize>,
    /// Print the plan only.
    pub(crate) dry_run: bool,
    /// `_` in container names.
    pub(crate) compatibility: bool,
    /// Keep unused resources in the model.
    pub(crate) all_resources: bool,
    /// What runs the containers.
    pub(crate) engine: EngineChoice,
    /// Never assemble base images from packages.
    pub(crate) no_bootstrap: bool,
    /// Remove orphans without being asked on the command line.
    pub(crate) remove_orphans: bool,
    /// Don't warn of orphans.
    pub(crate) ignore_orphans: bool,
    /// Whether an attached `up` listens to keys; `None`: nothing is said.
    pub(crate) menu: Option<bool>,
    /// Folder that holds all state instead of the system's.
    pub(crate) root: Option<PathBuf>,
    /// Filter of the traces for developers.
    pub(crate) traces: Option<String>,
}

impl Settings {
    /// Combines the flags with the environment; the error is the sentence that says which variable is wrong.
    pub(crate) fn new(args: &GlobalArgs, environment: &Environment) -> Result<Self, String> {
        let progress = match args.progress {
            Some(style) => style,
            None => choice(environment, "COMPOSE_PROGRESS")?.unwrap_or(ProgressStyle::Auto),
        };
        Ok(Self {
            progress,
            json_errors: progress == ProgressStyle::Json,
            progress_on_stdout: environment.is_on("COMPOSE_STATUS_STDOUT"),
            ansi: ansi(args, environment)?,
            parallel: parallel(args, environment)?,
            dry_run: args.dry_run,
            compatibility: args.compatibility || environment.is_on("COMPOSE_COMPATIBILITY"),
            all_resources: args.all_resources,
            engine: match args.engine {
                Some(engine) => engine,
                None => choice(environment, "MOTET_ENGINE")?.unwrap_or(EngineChoice::Auto),
            },
            no_bootstrap: args.no_bootstrap || environment.is_on("MOTET_NO_BOOTSTRAP"),
            remove_orphans: environment.is_on("COMPOSE_REMOVE_ORPHANS"),
            ignore_orphans: environment.is_on("COMPOSE_IGNORE_ORPHANS"),
            menu: environment.get("COMPOSE_MENU").map(|_| environment.is_on("COMPOSE_MENU")),
            root: root(environment)?,
            traces: environment
                .get("MOTET_LOG")
                .map(str::to_owned)
                .or_else(|| args.verbose.then(|| "debug".to_owned())),
        })
    }
}

fn choice<T: clap::ValueEnum>(environment: &Environment, name: &str) -> Result<Option<T>, String> {
    let Some(value) = environment.get(name) else { return Ok(None) };
    T::from_str(value, true).map(Some).map_err(|_| {
        let known = T::value_variants().iter().filter_map(T::to_possible_value);
        let known: Vec<String> = known.map(|value| format!("`{}`", value.get_name())).collect();
        format!("{name} is `{value}`, but must be one of {}", known.join(", "))
    })
}

/// The order is the one that most tools agree on: flag, own variable, `NO_COLOR`, force, dumb terminal.
fn ansi(args: &GlobalArgs, environment: &Environment) -> Result<AnsiChoice, String> {
    if args.no_ansi {
        return Ok(AnsiChoice::Never);
    }
    if let Some(choice) = args.ansi {
        return Ok(choice);
    }
    if let Some(choice) = choice(environment, "COMPOSE_ANSI")? {
        return Ok(choice);
    }
    let forced = |name| environment.get(name).is_some_and(|value| value != "0");
    Ok(if environment.get("NO_COLOR").is_some() {
        AnsiChoice::Never
    } else if forced("FORCE_COLOR") || forced("CLICOLOR_FORCE") {
        AnsiChoice::Always
    } else if environment.get("CLICOLOR") == Some("0") || environment.get("TERM") == Some("dumb") {
        AnsiChoice::Never
    } else {
        AnsiChoice::Auto
    })
}

fn parallel(args: &GlobalArgs, environment: &Environment) -> Result<Option<usize>, String> {
    let wanted = match (args.parallel, environment.get("COMPOSE_PARALLEL_LIMIT")) {
        (Some(limit), _) => limit,
        (None, None) => -1,
        (None, Some(text)) => {
            text.parse().map_err(|_| format!("COMPOSE_PARALLEL_LIMIT is `{text}`, but must be a whole number"))?
        }
    };
    Ok(usize::try_from(wanted).ok().filter(|limit| *limit > 0))
}

fn root(environment: &Environment) -> Result<Option<PathBuf>, String> {
    let Some(text) = environment.get("MOTET_ROOT") else { return Ok(None) };
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(Some(path))
    } else {
        Err(format!("MOTET_ROOT is `{text}`, but must be an absolute path"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: GlobalArgs, environment: Environment) -> Settings {
        Settings::new(&args, &environment).unwrap()
    }

    #[test]
    fn a_flag_wins_over_its_variable() {
        let environment = Environment::from([("COMPOSE_PROGRESS", "json"), ("COMPOSE_PARALLEL_LIMIT", "2")]);
        let from_environment = settings(GlobalArgs::default(), environment.clone());
        assert_eq!((from_environment.progress, from_environment.parallel), (ProgressStyle::Json, Some(2)));
        let args = GlobalArgs { progress: Some(ProgressStyle::Quiet), parallel: Some(3), ..GlobalArgs::default() };
        let from_flags = settings(args, environment);
        assert_eq!((from_flags.progress, from_flags.parallel), (ProgressStyle::Quiet, Some(3)));
    }

    #[test]
    fn colour_follows_the_usual_order() {
        let ansi = |pairs: &[(&str, &str)]| {
            let map = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            settings(GlobalArgs::default(), Environment(map)).ansi
        };
        assert_eq!(ansi(&[]), AnsiChoice::Auto);
        assert_eq!(ansi(&[("NO_COLOR", "1"), ("FORCE_COLOR", "1")]), AnsiChoice::Never);
        assert_eq!(ansi(&[("NO_COLOR", ""), ("FORCE_COLOR", "1")]), AnsiChoice::Always);
        assert_eq!(ansi(&[("COMPOSE_ANSI", "always"), ("NO_COLOR", "1")]), AnsiChoice::Always);
        assert_eq!(ansi(&[("TERM", "dumb")]), AnsiChoice::Never);
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let error =
            |name, value| Settings::new(&GlobalArgs::default(), &Environment::from([(name, value)])).unwrap_err();
        assert_eq!(
            error("COMPOSE_PROGRESS", "loud"),
            "COMPOSE_PROGRESS is `loud`, but must be one of `auto`, `tty`, `plain`, `json`, `quiet`"
        );
        assert_eq!(error("MOTET_ROOT", "x"), "MOTET_ROOT is `x`, but must be an absolute path");
        assert_eq!(error("COMPOSE_PARALLEL_LIMIT", "x"), "COMPOSE_PARALLEL_LIMIT is `x`, but must be a whole number");
    }

    #[test]
    fn no_limit_is_written_in_several_ways() {
        let parallel =
            |limit| settings(GlobalArgs { parallel: limit, ..GlobalArgs::default() }, Environment::default());
        assert_eq!(parallel(None).parallel, None);
        assert_eq!(parallel(Some(-1)).parallel, None);
        assert_eq!(parallel(Some(4)).parallel, Some(4));
    }
}
