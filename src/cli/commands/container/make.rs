//! The flags of `container run` and `container create`: what the container is like.

use std::path::PathBuf;
use std::time::Duration;

use orchestrator::engine::container::PortBinding;

use crate::args::moment::parse_length;
use crate::args::publish::parse_publish;
use crate::commands::container::limits::LimitArgs;
use crate::commands::up::choice::When;

/// What a new container is like.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct MakeArgs {
    /// Its name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Set a variable; without a value, from the environment
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub(crate) env: Vec<String>,

    /// Set the variables of a file
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,

    /// Publish a port: `8080:80`
    #[arg(short, long, value_name = "PORT", value_parser = parse_publish)]
    pub(crate) publish: Vec<Vec<PortBinding>>,

    /// Publish every port that the image exposes
    #[arg(short = 'P', long)]
    pub(crate) publish_all: bool,

    /// Ports that other containers may use
    #[arg(long, value_name = "PORT")]
    pub(crate) expose: Vec<String>,

    /// Mount `./FOLDER:/PATH` or `VOLUME:/PATH[:ro]`
    #[arg(short, long, value_name = "VOLUME")]
    pub(crate) volume: Vec<String>,

    /// Mount, in the long form: `type=bind,source=/FROM,target=/TO,readonly`
    #[arg(long, value_name = "MOUNT")]
    pub(crate) mount: Vec<String>,

    /// Mount memory: `/PATH[:size=64m]`
    #[arg(long, value_name = "PATH")]
    pub(crate) tmpfs: Vec<String>,

    /// Mount what another container mounts
    #[arg(long, value_name = "CONTAINER")]
    pub(crate) volumes_from: Vec<String>,

    /// Keep its standard input open
    #[arg(short, long)]
    pub(crate) interactive: bool,

    /// Give it a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,

    /// As this user
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// More groups of the user
    #[arg(long, value_name = "GROUP")]
    pub(crate) group_add: Vec<String>,

    /// In this folder of the container
    #[arg(short, long, value_name = "PATH")]
    pub(crate) workdir: Option<String>,

    /// Run this program instead of the image's
    #[arg(long, value_name = "COMMAND")]
    pub(crate) entrypoint: Option<String>,

    /// A small first process that reaps and passes signals on
    #[arg(long)]
    pub(crate) init: bool,

    /// Remove it when it ends
    #[arg(long)]
    pub(crate) rm: bool,

    /// When it is started again: `no`, `always`, `unless-stopped`, `on-failure[:N]`
    #[arg(long, value_name = "POLICY", default_value = "no", hide_default_value = true)]
    pub(crate) restart: String,

    /// Add a label
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,

    /// Add the labels of a file
    #[arg(long, value_name = "FILE")]
    pub(crate) label_file: Vec<PathBuf>,

    /// Add an annotation
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) annotation: Vec<String>,

    /// When to pull the image
    #[arg(long, value_enum, value_name = "WHEN", default_value = "missing", hide_default_value = true)]
    pub(crate) pull: Option<When>,

    /// No progress of the pull
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// `OS/ARCHITECTURE` of the image
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,

    /// Write the container's id into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) cidfile: Option<PathBuf>,

    /// Signal that stops it
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) stop_signal: Option<String>,

    /// Seconds before it is killed
    #[arg(long, value_name = "SECONDS")]
    pub(crate) stop_timeout: Option<u64>,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    #[command(flatten)]
    pub(crate) health: HealthArgs,

    #[command(flatten)]
    pub(crate) rights: RightArgs,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Where it is on the network.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// Network to join; `none`, `host`, `container:NAME`
    #[arg(long, value_name = "NETWORK", alias = "net")]
    pub(crate) network: Vec<String>,

    /// One more name on the network
    #[arg(long, value_name = "NAME", alias = "net-alias")]
    pub(crate) network_alias: Vec<String>,

    /// A fixed address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Option<String>,

    /// A fixed IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip6: Option<String>,

    /// A fixed hardware address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) mac_address: Option<String>,

    /// What it calls itself
    #[arg(short = 'h', long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,

    /// Its domain
    #[arg(long, value_name = "NAME")]
    pub(crate) domainname: Option<String>,

    /// A line of `/etc/hosts`: `NAME:ADDRESS`
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub(crate) add_host: Vec<String>,

    /// A name server
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns: Vec<String>,

    /// An option of the resolver
    #[arg(long, value_name = "OPTION", alias = "dns-opt")]
    pub(crate) dns_option: Vec<String>,

    /// A domain to search
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) dns_search: Vec<String>,

    /// Reach another container by a name of its own: `NAME[:ALIAS]`
    #[arg(long, value_name = "CONTAINER")]
    pub(crate) link: Vec<String>,
}

/// How its health is told.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Health")]
pub(crate) struct HealthArgs {
    /// Shell line that succeeds while it is healthy
    #[arg(long, value_name = "LINE")]
    pub(crate) health_cmd: Option<String>,

    /// Time between two checks
    #[arg(long, value_name = "TIME", value_parser = parse_length)]
    pub(crate) health_interval: Option<Duration>,

    /// Longest time of one check
    #[arg(long, value_name = "TIME", value_parser = parse_length)]
    pub(crate) health_timeout: Option<Duration>,

    /// Failures in a row that make it unhealthy
    #[arg(long, value_name = "N")]
    pub(crate) health_retries: Option<u64>,

    /// Time in which failures do not count
    #[arg(long, value_name = "TIME", value_parser = parse_length)]
    pub(crate) health_start_period: Option<Duration>,

    /// Time between two checks in that time
    #[arg(long, value_name = "TIME", value_parser = parse_length)]
    pub(crate) health_start_interval: Option<Duration>,

    /// No check, not the image's either
    #[arg(long)]
    pub(crate) no_healthcheck: bool,
}

/// What it may do.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Rights")]
pub(crate) struct RightArgs {
    /// Every right
    #[arg(long)]
    pub(crate) privileged: bool,

    /// Give it a capability
    #[arg(long, value_name = "CAPABILITY")]
    pub(crate) cap_add: Vec<String>,

    /// Take a capability away
    #[arg(long, value_name = "CAPABILITY")]
    pub(crate) cap_drop: Vec<String>,

    /// `no-new-privileges`, `seccomp=FILE`, ..
    #[arg(long, value_name = "OPTION")]
    pub(crate) security_opt: Vec<String>,

    /// Give it a device of the host: `/dev/x[:/dev/y[:rwm]]`
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Vec<String>,

    /// A rule of the device cgroup
    #[arg(long, value_name = "RULE")]
    pub(crate) device_cgroup_rule: Vec<String>,

    /// Graphics processors: `all`, a number, `device=ID`
    #[arg(long, value_name = "WHICH")]
    pub(crate) gpus: Option<String>,

    /// Nothing of the image can be changed
    #[arg(long)]
    pub(crate) read_only: bool,

    /// A kernel setting of its own
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) sysctl: Vec<String>,

    /// `host` or `container:NAME`
    #[arg(long, value_name = "MODE")]
    pub(crate) pid: Option<String>,

    /// `private`, `shareable`, `host`, `container:NAME`
    #[arg(long, value_name = "MODE")]
    pub(crate) ipc: Option<String>,

    /// `host`
    #[arg(long, value_name = "MODE")]
    pub(crate) uts: Option<String>,

    /// `host`
    #[arg(long, value_name = "MODE")]
    pub(crate) userns: Option<String>,

    /// `host` or `private`
    #[arg(long, value_name = "MODE")]
    pub(crate) cgroupns: Option<String>,

    /// Group above its own
    #[arg(long, value_name = "GROUP")]
    pub(crate) cgroup_parent: Option<String>,

    /// What runs it
    #[arg(long, value_name = "RUNTIME")]
    pub(crate) runtime: Option<String>,

    /// An option of its storage
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) storage_opt: Vec<String>,

    /// Where its log goes
    #[arg(long, value_name = "DRIVER")]
    pub(crate) log_driver: Option<String>,

    /// An option of the log driver
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) log_opt: Vec<String>,
}
