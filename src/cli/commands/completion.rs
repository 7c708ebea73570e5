//! `completion`: what a shell needs to complete our command lines, names of services included.

use clap::{Arg, Command, CommandFactory as _, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Bash, CompleteEnv, EnvCompleter, Fish, Zsh};
use compose::{FileSystem, LoadRequest, Passes};

use crate::app::App;
use crate::args::Environment;
use crate::commands::Cli;
use crate::error::{CommandError, Kind};
use crate::print::printer::Stream;

/// The variable by which a shell's script asks us.
const ASKED: &str = "MOTET_COMPLETE";

/// Print the script that completes command lines in a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  motet completion bash > ~/.local/share/bash-completion/completions/motet
  motet completion zsh > \"${fpath[1]}/_motet\"
  motet completion fish > ~/.config/fish/completions/motet.fish")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn run(args: &Args, app: &App) -> Result<(), CommandError> {
    let mut script = Vec::new();
    let written = match args.shell {
        Shell::Bash => Bash.write_registration(ASKED, "motet", "motet", "motet", &mut script),
        Shell::Zsh => Zsh.write_registration(ASKED, "motet", "motet", "motet", &mut script),
        Shell::Fish => Fish.write_registration(ASKED, "motet", "motet", "motet", &mut script),
    };
    written.map_err(|error| CommandError::new(Kind::Failed, format!("cannot write the script: {error}")))?;
    app.printer.write(Stream::Out, &script);
    Ok(())
}

/// Answers a shell that asks how a line may go on, and ends; returns if none asks.
pub(crate) fn answer() {
    let whole = || {
        let mut command = Cli::command();
        command.build();
        with_services(command)
    };
    CompleteEnv::with_factory(whole).var(ASKED).complete();
}

/// Lets every argument that is a service know the services of the project here.
fn with_services(command: Command) -> Command {
    let complete = |arg: Arg| {
        let names = arg.get_value_names().unwrap_or_default();
        let is_service = names.iter().any(|name| name.as_str() == "SERVICE") && arg.get_action().takes_values();
        if is_service { arg.add(ArgValueCompleter::new(services)) } else { arg }
    };
    command.mut_args(complete).mut_subcommands(with_services)
}

fn services(current: &std::ffi::OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let environment = Environment::of_process();
    let Ok(folder) = std::env::current_dir() else { return Vec::new() };
    let words: Vec<String> = std::env::args().skip_while(|word| word != "--").collect();
    let given = |flags: [&str; 2]| -> Vec<String> {
        let pairs = words.windows(2).filter(|pair| flags.contains(&pair[0].as_str()));
        pairs.map(|pair| pair[1].clone()).collect()
    };
    let request = LoadRequest {
        files: given(["-f", "--file"]).iter().map(|file| folder.join(file)).collect(),
        working_directory: folder,
        environment: environment.0,
        profiles: vec!["*".to_owned()],
        passes: Passes { keep_unused: true, ..Passes::default() },
        ..LoadRequest::default()
    };
    let Some(project) = compose::load(&request, &FileSystem).project else { return Vec::new() };
    let names = project.services.keys().chain(project.disabled_services.keys());
    names.filter(|name| name.starts_with(current.as_ref())).map(CompletionCandidate::new).collect()
}
