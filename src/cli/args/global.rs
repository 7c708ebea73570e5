//! The flags that every command has; they may stand before or after the verb.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

/// Flags of every command.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Global options (before or after the command)")]
pub(crate) struct GlobalArgs {
    /// Compose file; may be given more than once, later ones override
    #[arg(short, long = "file", value_name = "FILE", action = ArgAction::Append)]
    pub(crate) file: Vec<String>,

    /// A file or folder of the project: where its Compose file is looked for
    #[arg(long, value_name = "PATH", hide = true)]
    pub(crate) at: Option<PathBuf>,

    /// Project name
    #[arg(short, long, value_name = "NAME")]
    pub(crate) project_name: Option<String>,

    /// Folder that relative paths start from [default: that of the first Compose file]
    #[arg(long, value_name = "PATH", alias = "workdir")]
    pub(crate) project_directory: Option<PathBuf>,

    /// Environment file instead of `.env`; may be given more than once
    #[arg(long, value_name = "FILE", action = ArgAction::Append)]
    pub(crate) env_file: Vec<String>,

    /// Profile to enable; may be given more than once, `*` is all
    #[arg(long, value_name = "NAME", action = ArgAction::Append)]
    pub(crate) profile: Vec<String>,

    /// How progress is shown
    #[arg(long, value_enum, value_name = "STYLE", hide_possible_values = false)]
    pub(crate) progress: Option<ProgressStyle>,

    /// When to use colour and cursor movement
    #[arg(long, value_enum, value_name = "WHEN", alias = "color")]
    pub(crate) ansi: Option<AnsiChoice>,

    /// Same as `--ansi never`
    #[arg(long, hide = true)]
    pub(crate) no_ansi: bool,

    /// Pulls and builds at the same time, -1 for no limit
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) parallel: Option<i64>,

    /// Print the plan and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Container names with `_` instead of `-`
    #[arg(long)]
    pub(crate) compatibility: bool,

    /// Keep networks, volumes, configs and secrets that no service uses
    #[arg(long)]
    pub(crate) all_resources: bool,

    /// Fetch Compose files that are named by git and `oci://` addresses
    #[arg(long)]
    pub(crate) allow_remote: bool,

    /// What runs the containers
    #[arg(long, value_enum, value_name = "ENGINE")]
    pub(crate) engine: Option<EngineChoice>,

    /// Never assemble a base image from the host's packages
    #[arg(long)]
    pub(crate) no_bootstrap: bool,

    /// Traces for developers, on stderr
    #[arg(long, hide = true)]
    pub(crate) verbose: bool,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressStyle {
    /// `tty` on a terminal, else `plain`
    Auto,
    /// One row a resource, redrawn in place
    Tty,
    /// One line an event
    Plain,
    /// One JSON object an event
    Json,
    /// Nothing
    Quiet,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnsiChoice {
    /// No escape sequences at all
    Never,
    /// Even on a pipe
    Always,
    /// On a terminal
    Auto,
}

/// What runs the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineChoice {
    /// The runtime inside this program where it can work, else a Docker Engine
    Auto,
    /// The runtime inside this program
    Embedded,
    /// The Docker Engine that `DOCKER_HOST` or the docker context names
    Docker,
}
