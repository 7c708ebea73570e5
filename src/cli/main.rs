//! The motet binary: hidden re-executions first, then the command line.

mod app;
mod args;
mod commands;
mod error;
mod print;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::app::{App, machine};
use crate::args::env_file::with_env_files;
use crate::args::global::AnsiChoice;
use crate::args::{Environment, Settings, docker, hoist, typo};
use crate::commands::{Cli, completion};
use crate::error::{CommandError, Kind};
use crate::print::printer::{Printer, Stream};
use crate::print::{card, record};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // Keepers and programs in containers are this binary again. They clone, so no thread may exist before this.
    if let Some(code) = machine::hidden(arguments.get(1..).unwrap_or_default()) {
        return ExitCode::from(u8::try_from(code).unwrap_or(125));
    }
    completion::answer();
    let (arguments, called_as) = called(arguments);
    if called_as == CalledAs::PluginMetadata {
        return print_plugin_metadata();
    }
    let command = Cli::command();
    let arguments = hoist::place_first(&command, arguments, |path| path.exists());
    let arguments = hoist::hoist(&command, arguments);
    let cli = match command.try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            match typo::explain(&error) {
                Some(text) => Printer::of_process(AnsiChoice::Never).write(Stream::Err, text.as_bytes()),
                // A closed pipe is nothing to report.
                None => drop(error.print()),
            }
            let kind = if error.use_stderr() { Kind::Usage } else { return ExitCode::SUCCESS };
            return ExitCode::from(usage_code(called_as, kind, error.kind()));
        }
    };
    let environment = Environment::of_process();
    let folder = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let said = with_env_files(&environment, &cli.global, &folder);
    let (settings, wrong) = match Settings::new(&cli.global, &said) {
        Ok(settings) => (settings, None),
        Err(why) => {
            let plain = Settings::new(&cli.global, &Environment::default());
            (plain.expect("only a variable can be wrong"), Some(CommandError::new(Kind::Usage, why)))
        }
    };
    let settings = Settings { json_errors: settings.json_errors || cli.verb.prints_json(), ..settings };
    let printer = Printer::of_process(settings.ansi);
    start_traces(&settings);
    let is_drop_in = called_as == CalledAs::DockerCompose;
    let app = App { args: cli.global, settings, environment, printer, is_drop_in, folder, opened: OnceLock::new() };
    let result = match wrong {
        Some(error) => Err(error),
        None => run(&app, cli.verb),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&app, &error);
            ExitCode::from(error.kind.exit_code(called_as != CalledAs::Motet))
        }
    }
}

/// The code of a command line that is not understood: docker has 1 for a verb that is not there or lacks its arguments,
/// and 125 for flags.
fn usage_code(called_as: CalledAs, kind: Kind, why: clap::error::ErrorKind) -> u8 {
    match why {
        _ if called_as != CalledAs::Docker => kind.exit_code(called_as != CalledAs::Motet),
        clap::error::ErrorKind::InvalidSubcommand | clap::error::ErrorKind::MissingRequiredArgument => 1,
        _ => 125,
    }
}

fn run(app: &App, verb: commands::Verb) -> Result<(), CommandError> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    if verb.waits() {
        builder.enable_all();
    }
    let runtime = builder
        .build()
        .map_err(|error| CommandError::new(Kind::Environment, format!("cannot wait for events: {error}")))?;
    let result = runtime.block_on(verb.run(app));
    // Threads that still wait for a container must not keep a finished command.
    runtime.shutdown_background();
    result
}

fn print_error(app: &App, error: &CommandError) {
    if app.settings.json_errors {
        record::of_error(error, &app.look()).iter().for_each(|line| app.printer.note(line));
        return;
    }
    app.printer.write(Stream::Err, card::render(error, &app.look()).as_bytes());
}

fn start_traces(settings: &Settings) {
    let Some(filter) = &settings.traces else { return };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_ansi(settings.ansi == AnsiChoice::Always)
        .with_writer(std::io::stderr)
        .init();
}

/// By which name the program was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CalledAs {
    Motet,
    /// In Docker Compose's place: its exit codes.
    DockerCompose,
    /// In the docker command's place: its verbs and exit codes.
    Docker,
    /// By the docker command, which asks what this plug-in is.
    PluginMetadata,
}

/// Returns the arguments without what a docker plug-in is given in front, and the name.
fn called(mut arguments: Vec<OsString>) -> (Vec<OsString>, CalledAs) {
    let name = arguments.first().map(|first| Path::new(first).file_stem().unwrap_or_default().to_owned());
    match name.as_ref().and_then(|name| name.to_str()) {
        Some("docker-compose") => {}
        Some("docker") => return (docker::translate(arguments), CalledAs::Docker),
        Some(_) | None => return (arguments, CalledAs::Motet),
    }
    match arguments.get(1).and_then(|first| first.to_str()) {
        Some("docker-cli-plugin-metadata") => return (arguments, CalledAs::PluginMetadata),
        // As a plug-in of `docker` the name of the plug-in comes first.
        Some("compose") => drop(arguments.remove(1)),
        Some(_) | None => {}
    }
    (arguments, CalledAs::DockerCompose)
}

fn print_plugin_metadata() -> ExitCode {
    let metadata = serde_json::json!({
        "SchemaVersion": "0.1.0",
        "Vendor": "motet",
        "Version": env!("CARGO_PKG_VERSION"),
        "ShortDescription": "Brings up a folder of services from its Compose file",
    });
    Printer::of_process(AnsiChoice::Never).data(&metadata.to_string());
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str, name: CalledAs) {
        let (arguments, called_as) = called(line.split(' ').map(OsString::from).collect());
        let arguments: Vec<String> = arguments.into_iter().map(|part| part.into_string().unwrap()).collect();
        assert_eq!((arguments.join(" ").as_str(), called_as), (expected, name));
    }

    #[test]
    fn in_docker_composes_place_it_answers_as_a_plug_in_too() {
        check("/usr/bin/motet up", "/usr/bin/motet up", CalledAs::Motet);
        check("/usr/local/bin/docker-compose up", "/usr/local/bin/docker-compose up", CalledAs::DockerCompose);
        check("docker-compose compose up", "docker-compose up", CalledAs::DockerCompose);
        check("/bin/docker ps -a", "/bin/docker container ls -a", CalledAs::Docker);
        let metadata = "docker-compose docker-cli-plugin-metadata";
        check(metadata, metadata, CalledAs::PluginMetadata);
    }

    #[test]
    fn the_grammar_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
