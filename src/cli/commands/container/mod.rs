//! `container`: single containers, in the words that the docker command has for them. Called as `docker`, this
//! program takes these verbs at its top level too.

pub(crate) mod acts;
pub(crate) mod limits;
pub(crate) mod list;
pub(crate) mod look;
pub(crate) mod make;
pub(crate) mod run;
pub(crate) mod spec;
pub(crate) mod start;
pub(crate) mod update;

use clap::Subcommand;

use crate::app::App;
use crate::error::CommandError;

/// Containers by name, outside of any project.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create and start a container
    #[command(disable_help_flag = true)]
    Run(Box<run::Args>),
    /// Create a container without starting it
    #[command(disable_help_flag = true)]
    Create(Box<run::CreateArgs>),
    /// List containers
    #[command(visible_alias = "ps", alias = "list")]
    Ls(list::Args),
    /// Start containers that are there
    Start(start::Args),
    /// Stop containers
    Stop(acts::StopArgs),
    /// Stop and start containers
    Restart(acts::StopArgs),
    /// Send a signal to containers
    Kill(acts::KillArgs),
    /// Freeze containers
    Pause(acts::Names),
    /// Let frozen containers go on
    Unpause(acts::Names),
    /// Remove containers
    #[command(alias = "remove")]
    Rm(acts::RemoveArgs),
    /// Give a container another name
    Rename(acts::RenameArgs),
    /// Change limits and the restart policy of containers
    Update(Box<update::Args>),
    /// Return when containers have ended, and print their codes
    Wait(acts::Names),
    /// Remove every container that does not run
    Prune(acts::PruneArgs),
    /// Show what a container wrote
    Logs(look::LogsArgs),
    /// Run a program in a running container
    Exec(start::ExecArgs),
    /// Join the streams of a container's own program
    Attach(start::AttachArgs),
    /// Print all that is known of containers
    Inspect(look::InspectArgs),
    /// Show the processes of a container
    Top(look::TopArgs),
    /// Show what containers use
    Stats(look::StatsArgs),
    /// Show what a container changed against its image
    Diff(look::DiffArgs),
    /// Print where a container's ports are published
    Port(look::PortArgs),
    /// Copy files between the host and a container
    Cp(look::CopyArgs),
    /// Write a container's file system as a tar archive
    Export(look::ExportArgs),
    /// Make an image of a container
    Commit(look::CommitArgs),
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    match args.verb {
        Verb::Run(args) => run::run(*args, app).await,
        Verb::Create(args) => run::create(*args, app).await,
        Verb::Ls(args) => list::run(&args, app).await,
        Verb::Start(args) => start::start(args, app).await,
        Verb::Stop(args) => acts::stop(args, app).await,
        Verb::Restart(args) => acts::restart(args, app).await,
        Verb::Kill(args) => acts::kill(args, app).await,
        Verb::Pause(args) => acts::pause(args, app).await,
        Verb::Unpause(args) => acts::unpause(args, app).await,
        Verb::Rm(args) => acts::remove(args, app).await,
        Verb::Rename(args) => acts::rename(args, app).await,
        Verb::Update(args) => update::run(*args, app).await,
        Verb::Wait(args) => acts::wait(args, app).await,
        Verb::Prune(args) => acts::prune(args, app).await,
        Verb::Logs(args) => look::logs(args, app).await,
        Verb::Exec(args) => start::exec(args, app).await,
        Verb::Attach(args) => start::attach(args, app).await,
        Verb::Inspect(args) => look::inspect(args, app).await,
        Verb::Top(args) => look::top(args, app).await,
        Verb::Stats(args) => look::stats(args, app).await,
        Verb::Diff(args) => look::diff(args, app).await,
        Verb::Port(args) => look::port(args, app).await,
        Verb::Cp(args) => look::cp(args, app).await,
        Verb::Export(args) => look::export(args, app).await,
        Verb::Commit(args) => look::commit(args, app).await,
    }
}
