//! `run`: one more container of a service, for one command.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::path::PathBuf;

use compose::Project;
use orchestrator::engine::container::{Mount, MountSource, PortBinding};
use orchestrator::operations::run::{RunOptions, make};
use orchestrator::operations::up::{BuildChoice, PullChoice, UpOptions};

use crate::app::foreground::{DETACH_KEYS, Ended, Foreground, stay};
use crate::app::streams::on_terminal;
use crate::app::{App, Warnings};
use crate::args::global::ProgressStyle;
use crate::args::mount::parse_volume;
use crate::args::publish::parse_publish;
use crate::args::variables::{labels, of_file, variables};
use crate::args::words::split_words;
use crate::commands::up::choice::When;
use crate::commands::{host_files, services};
use crate::error::{CommandError, Kind};

/// Run one command in a new container of a service
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  motet run --rm web pytest -q           run the tests in a container like that of `web`
  motet run --rm -it web sh              look around in one
  motet run --rm -P -e DEBUG=1 web       the service itself, with its ports, once")]
pub(crate) struct Args {
    /// Leave it running and print its name
    #[arg(short, long)]
    detach: bool,

    /// Set a variable; without a value, from the environment
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,

    /// Set the variables of a file
    #[arg(long, value_name = "FILE")]
    env_from_file: Vec<PathBuf>,

    /// Add a label
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<String>,

    /// Remove the container when it ends
    #[arg(long)]
    rm: bool,

    /// Name of the container
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// As this user
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,

    /// In this folder of the container
    #[arg(short, long, value_name = "PATH")]
    workdir: Option<String>,

    /// Run this program instead of the image's
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,

    /// Give it a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,

    /// Take a capability away
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,

    /// Without the services that this one depends on
    #[arg(long)]
    no_deps: bool,

    /// Mount something more: `./FOLDER:/PATH`, `VOLUME:/PATH:ro`
    #[arg(short, long, value_name = "VOLUME")]
    volume: Vec<String>,

    /// Publish a port: `8080:80`
    #[arg(short, long, value_name = "PORT", value_parser = parse_publish)]
    publish: Vec<Vec<PortBinding>>,

    /// Publish the service's own ports
    #[arg(short = 'P', long, conflicts_with = "publish")]
    service_ports: bool,

    /// Answer to the service's names on its networks
    #[arg(long)]
    use_aliases: bool,

    /// Build the image first
    #[arg(long)]
    build: bool,

    /// When to pull the image
    #[arg(long, value_enum, value_name = "WHEN")]
    pull: Option<When>,

    /// Say nothing but what the program says
    #[arg(short, long)]
    quiet: bool,

    /// No progress of builds
    #[arg(long)]
    quiet_build: bool,

    /// No progress of pulls
    #[arg(long)]
    quiet_pull: bool,

    /// Remove containers of services that the file no longer has
    #[arg(long)]
    remove_orphans: bool,

    /// No terminal for the program
    #[arg(short = 'T', long = "no-tty", alias = "no-TTY", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    no_tty: Option<bool>,

    /// Let it read what is typed or piped in; on unless `--interactive=false`
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    interactive: Option<bool>,

    // Docker Compose has this one, and it is what happens anyway.
    #[arg(short = 't', long = "tty", hide = true)]
    tty: bool,

    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,

    /// The program with its arguments, instead of the service's
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let loaded = app.load(std::slice::from_ref(&args.service), Warnings::Shown)?;
    services::check(std::slice::from_ref(&args.service), &loaded.project)?;
    host_files::check(app, &loaded)?;
    let tty = on_terminal() && !args.no_tty.unwrap_or(false) && !args.detach;
    let stdin = args.interactive.unwrap_or(true) && !args.detach;
    let options = options(&args, app, &loaded.project, tty, stdin)?;
    let style = if args.quiet { ProgressStyle::Quiet } else { app.settings.progress };
    let engine = app.engine()?;
    let making = |events| make(engine.clone(), &loaded.project, &options, events);
    let made = app.run_in(style, Some(&loaded), making).await?;
    if app.settings.dry_run {
        return Ok(());
    }
    if args.detach {
        engine.start_container(&made.id).await?;
        app.printer.data(&made.name);
        return Ok(());
    }
    let detach_keys = DETACH_KEYS.to_vec();
    let how = Foreground { tty, stdin, start: true, forward_signals: true, detach_keys, ..Foreground::default() };
    let ended = stay(&engine, &made.id, &how).await;
    if args.rm && !matches!(ended, Ok(Ended::Detached)) {
        // The engine does it too, where it can: then there is nothing left to remove.
        let _ = engine.remove_container(&made.id, true).await;
    }
    ended?.into_result()
}

fn options(args: &Args, app: &App, project: &Project, tty: bool, stdin: bool) -> Result<RunOptions, CommandError> {
    let usage = |why: String| CommandError::new(Kind::Usage, why);
    let mut given = Vec::new();
    for file in &args.env_from_file {
        given.extend(of_file(&app.absolute(file)).map_err(usage)?);
    }
    given.extend(args.env.iter().cloned());
    let mut mounts = Vec::new();
    for text in &args.volume {
        let mut mount = parse_volume(text, &app.folder).map_err(usage)?;
        name_volume(&mut mount, project);
        mounts.push(mount);
    }
    let entrypoint = args.entrypoint.as_deref().map(split_words).transpose().map_err(usage)?;
    Ok(RunOptions {
        service: args.service.clone(),
        command: args.command.clone(),
        entrypoint,
        environment: variables(&given, &app.environment).into_iter().map(|(key, value)| (key, Some(value))).collect(),
        labels: labels(&args.label),
        name: args.name.clone(),
        slug: slug(),
        user: args.user.clone(),
        working_dir: args.workdir.clone(),
        cap_add: args.cap_add.clone(),
        cap_drop: args.cap_drop.clone(),
        mounts,
        publish: args.publish.concat(),
        service_ports: args.service_ports,
        use_aliases: args.use_aliases,
        tty,
        stdin_open: stdin,
        auto_remove: args.rm,
        up: UpOptions {
            no_deps: args.no_deps,
            build: if args.build { BuildChoice::Always } else { BuildChoice::IfMissing },
            pull: args.pull.map_or(PullChoice::Policy, When::choice),
            quiet_pull: args.quiet_pull || args.quiet,
            quiet_build: args.quiet_build || args.quiet,
            remove_orphans: args.remove_orphans || app.settings.remove_orphans,
            ignore_orphans: app.settings.ignore_orphans,
            no_bootstrap: app.settings.no_bootstrap,
            ..UpOptions::default()
        },
    })
}

/// A volume that the file declares is meant by its key.
fn name_volume(mount: &mut Mount, project: &Project) {
    if let MountSource::Volume { name, .. } = &mut mount.source
        && let Some(volume) = project.volumes.get(name)
    {
        name.clone_from(&volume.name);
    }
}

/// Returns twelve random hexadecimal digits.
pub(crate) fn slug() -> String {
    // Its keys are the system's randomness.
    let random = RandomState::new().hash_one(0);
    format!("{:012x}", random >> 16)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_follows_the_service_belongs_to_the_program() {
        let args = Line::parse_from(["run", "--rm", "-T", "-e", "A=b", "-p", "8080:80", "web", "sh", "-c", "x", "-p"]);
        assert_eq!((args.args.service.as_str(), args.args.rm, args.args.no_tty), ("web", true, Some(true)));
        assert_eq!(args.args.command, ["sh", "-c", "x", "-p"]);
    }

    #[test]
    fn a_slug_is_new_each_time() {
        assert_eq!(slug().len(), 12);
        assert_ne!(slug(), slug());
    }
}
