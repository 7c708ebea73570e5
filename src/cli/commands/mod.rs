//! The verbs: a file each, its flags (the doc comments are the help) and its `run`.

pub(crate) mod acts;
pub(crate) mod alpha;
pub(crate) mod attach;
pub(crate) mod bake;
pub(crate) mod bridge;
pub(crate) mod build;
pub(crate) mod builder;
pub(crate) mod commit;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod container;
pub(crate) mod cp;
pub(crate) mod create;
pub(crate) mod down;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod generate;
pub(crate) mod host_files;
pub(crate) mod image;
pub(crate) mod images;
pub(crate) mod inspect;
pub(crate) mod kill;
pub(crate) mod listen;
pub(crate) mod load;
pub(crate) mod login;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod network;
pub(crate) mod one;
pub(crate) mod pause;
pub(crate) mod plan;
pub(crate) mod port;
pub(crate) mod ps;
pub(crate) mod publish;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod restart;
pub(crate) mod resume;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod scale;
pub(crate) mod services;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod stop;
pub(crate) mod system;
pub(crate) mod top;
pub(crate) mod up;
pub(crate) mod version;
pub(crate) mod viz;
pub(crate) mod volume;
pub(crate) mod volumes;
pub(crate) mod wait;
pub(crate) mod watch;

use clap::{ArgAction, Parser, Subcommand};

use crate::app::App;
use crate::args::GlobalArgs;
use crate::error::CommandError;

/// Brings up a folder of services from its Compose file
#[derive(Debug, Parser)]
#[command(
    name = "motet",
    bin_name = "motet",
    version,
    disable_version_flag = true,
    args_override_self = true,
    max_term_width = 100,
    arg_required_else_help = true,
    after_long_help = "\
Examples:
  motet up -d --wait             bring the services up and return when they are healthy
  motet logs -f web              follow what `web` writes
  motet exec web sh              open a shell in `web`
  motet down -v                  take everything down, volumes too

Exit codes:
  0 done   1 failed   2 wrong command line   3 wrong Compose file   4 this host lacks something
  5 a build failed   6 a pull failed   7 a service failed, did not start or get healthy
  8 a port or name is taken   9 `plan --exit-code` would change something   130 interrupted
  exec and up --exit-code-from give the program's own.
  Called as `docker-compose`, all of 1 to 8 are 1."
)]
pub(crate) struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,

    /// Print the version
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,

    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do. A line uses one verb: the flags of the others are never made.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    /// Create and start the services
    Up(Box<up::Args>),
    /// Show what `up` would do, and why
    Plan(Box<plan::Args>),
    /// Stop and remove the containers and networks
    Down(down::Args),
    /// List the containers
    Ps(ps::Args),
    /// Show what the containers wrote
    Logs(logs::Args),
    /// Run one command in a new container of a service
    Run(Box<run::Args>),
    /// Run a program in a running container
    Exec(exec::Args),
    /// Join the streams of a service's own program
    Attach(attach::Args),
    /// Build the images
    Build(build::Args),
    /// Pull the images
    Pull(pull::Args),
    /// Push the images
    Push(push::Args),
    /// Publish the project's files to a registry
    Publish(publish::Args),
    /// Load images from an archive
    Load(load::Args),
    /// Create the containers without starting them
    Create(create::Args),
    /// Start the containers that are there
    Start(start::Args),
    /// Stop the containers and keep them
    Stop(stop::Args),
    /// Stop and start the containers
    Restart(restart::Args),
    /// Start again what a reboot has ended, as restart policies say
    Resume(resume::Args),
    /// Send a signal to the containers
    Kill(kill::Args),
    /// Freeze the running containers
    Pause(pause::Args),
    /// Let frozen containers go on
    Unpause(pause::UnpauseArgs),
    /// Remove stopped containers
    Rm(rm::Args),
    /// Run N replicas of a service
    Scale(scale::Args),
    /// Return when the containers of services have ended, with their code
    Wait(wait::Args),
    /// Show the processes of the containers
    Top(top::Args),
    /// Show what the containers use
    Stats(stats::Args),
    /// Show what happens to the containers, as it happens
    Events(events::Args),
    /// Copy files between the host and a service
    Cp(cp::Args),
    /// Write a service's file system as a tar archive
    Export(export::Args),
    /// Make an image of a service's container
    Commit(commit::Args),
    /// Print the Compose file as it is understood
    #[command(alias = "convert")]
    Config(Box<config::Args>),
    /// List the images that the containers were made from
    Images(images::Args),
    /// List the volumes
    Volumes(volumes::Args),
    /// Manage images
    Image(image::Args),
    /// Look at the build cache and free its space
    Builder(builder::Args),
    /// Log in to a registry
    Login(login::Args),
    /// Forget the login of a registry
    Logout(login::LogoutArgs),
    /// Show and free disk space
    System(system::Args),
    /// Print where a port of a service is published
    Port(port::Args),
    /// List the projects
    Ls(ls::Args),
    /// Follow saved files: copy them into the containers, restart or rebuild
    Watch(watch::Args),
    /// Print the services and their dependencies as a graph
    Viz(viz::Args),
    /// Convert the project into another model, by images that do that
    Bridge(bridge::Args),
    /// Explain the code of a mistake, such as E0107
    Explain(explain::Args),
    /// Containers by name, outside of any project
    Container(container::Args),
    /// Networks by name, outside of any project
    Network(network::Args),
    /// Volumes by name, outside of any project
    Volume(volume::Args),
    /// Print all that is known of containers, images, volumes or networks
    Inspect(inspect::Args),
    /// Print the script that completes command lines in a shell
    Completion(completion::Args),
    /// Print the manual page, or write a page of every command into a folder
    Man(man::Args),
    /// Verbs that Docker Compose calls experimental
    #[command(hide = true)]
    Alpha(alpha::Args),
    /// Write a Compose file for containers that are there
    Generate(generate::Args),
    /// Print the version
    Version(version::Args),
}

impl Verb {
    /// Says whether what it prints is for a program, which wants errors in the same form.
    pub(crate) fn prints_json(&self) -> bool {
        if let Self::Config(args) = self { args.prints_json() } else { false }
    }

    /// Says whether it may wait for something; what only reads files needs nothing that wakes it.
    pub(crate) fn waits(&self) -> bool {
        if let Self::Config(args) = self {
            return args.asks_registries();
        }
        !matches!(self, Self::Version(_) | Self::Explain(_) | Self::Man(_) | Self::Completion(_))
    }

    /// Does it.
    pub(crate) async fn run(self, app: &App) -> Result<(), CommandError> {
        match self {
            Self::Plan(args) => plan::run(*args, app).await,
            Self::Up(args) => up::run(*args, app).await,
            Self::Down(args) => down::run(args, app).await,
            Self::Ps(args) => ps::run(args, app).await,
            Self::Logs(args) => logs::run(args, app).await,
            Self::Container(args) => container::run(args, app).await,
            Self::Network(args) => network::run(args, app).await,
            Self::Volume(args) => volume::run(args, app).await,
            Self::Inspect(args) => inspect::run(args, app).await,
            Self::System(args) => system::run(args, app).await,
            Self::Completion(args) => completion::run(&args, app),
            Self::Man(args) => man::run(&args, app),
            Self::Alpha(args) => alpha::run(args, app).await,
            Self::Generate(args) => generate::run(args, app).await,
            Self::Run(args) => run::run(*args, app).await,
            Self::Attach(args) => attach::run(args, app).await,
            Self::Pause(args) => pause::run(args, app).await,
            Self::Unpause(args) => pause::run_unpause(args, app).await,
            Self::Scale(args) => scale::run(args, app).await,
            Self::Wait(args) => wait::run(args, app).await,
            Self::Top(args) => top::run(args, app).await,
            Self::Stats(args) => stats::run(args, app).await,
            Self::Events(args) => events::run(args, app).await,
            Self::Cp(args) => cp::run(args, app).await,
            Self::Export(args) => export::run(args, app).await,
            Self::Commit(args) => commit::run(args, app).await,
            Self::Volumes(args) => volumes::run(args, app).await,
            Self::Viz(args) => viz::run(&args, app),
            Self::Exec(args) => exec::run(args, app).await,
            Self::Build(args) => build::run(args, app).await,
            Self::Pull(args) => pull::run(args, app).await,
            Self::Push(args) => push::run(args, app).await,
            Self::Publish(args) => publish::run(args, app).await,
            Self::Bridge(args) => bridge::run(args, app).await,
            Self::Load(args) => load::run(args, app).await,
            Self::Create(args) => create::run(args, app).await,
            Self::Start(args) => start::run(args, app).await,
            Self::Stop(args) => stop::run(args, app).await,
            Self::Restart(args) => restart::run(args, app).await,
            Self::Resume(args) => resume::run(args, app).await,
            Self::Kill(args) => kill::run(args, app).await,
            Self::Rm(args) => rm::run(args, app).await,
            Self::Config(args) => config::run(*args, app).await,
            Self::Images(args) => images::run(args, app).await,
            Self::Image(args) => image::run(args, app).await,
            Self::Builder(args) => builder::run(args, app).await,
            Self::Login(args) => login::run(args, app).await,
            Self::Logout(args) => login::logout(args, app).await,
            Self::Port(args) => port::run(args, app).await,
            Self::Ls(args) => ls::run(args, app).await,
            Self::Watch(args) => watch::run(args, app).await,
            Self::Explain(args) => explain::run(&args, app),
            Self::Version(args) => version::run(&args, app),
        }
    }
}

#[cfg(test)]
mod tests;
