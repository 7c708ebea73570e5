//! `config`: the Compose file as it is understood.

use std::path::PathBuf;

use clap::ValueEnum;
use compose::model::encode::{service_hash, to_json, to_yaml};
use compose::{Passes, Project};
use orchestrator::identity::image_reference;

use crate::app::{App, Warnings};
use crate::commands::services;
use crate::error::{CommandError, Kind};

/// Print the Compose file as it is understood
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How to print it
    #[arg(long, value_enum, default_value = "yaml")]
    format: Format,

    /// Only say what is wrong
    #[arg(short, long)]
    quiet: bool,

    /// Print to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Only the names of the services
    #[arg(long, group = "part")]
    services: bool,

    /// Only the names of the images
    #[arg(long, group = "part")]
    images: bool,

    /// Only the names of the volumes
    #[arg(long, group = "part")]
    volumes: bool,

    /// Only the names of the networks
    #[arg(long, group = "part")]
    networks: bool,

    /// Only the profiles
    #[arg(long, group = "part")]
    profiles: bool,

    /// Only the variables that the file is interpolated with
    #[arg(long, group = "part")]
    environment: bool,

    /// Only the config hashes of these services, separated by commas, or of all: `*`
    #[arg(long, group = "part", value_name = "SERVICES")]
    hash: Option<String>,

    /// Leave `${VAR}` as it is
    #[arg(long)]
    no_interpolate: bool,

    /// Leave out what is only implied
    #[arg(long)]
    no_normalize: bool,

    /// Leave relative paths as they are
    #[arg(long)]
    no_path_resolution: bool,

    /// Don't check that what is referred to is there
    #[arg(long)]
    no_consistency: bool,

    /// Leave `env_file` as it is
    #[arg(long)]
    no_env_resolution: bool,

    /// Only these services and what they depend on
    #[arg(value_name = "SERVICE")]
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Yaml,
    Json,
}

pub(crate) fn run(args: &Args, app: &App) -> Result<(), CommandError> {
    let passes = Passes {
        interpolate: !args.no_interpolate,
        normalize: !args.no_normalize && !app.settings.compatibility,
        resolve_paths: !args.no_path_resolution,
        consistency: !args.no_consistency,
        resolve_env: !args.no_env_resolution,
        keep_unused: app.settings.all_resources,
    };
    let project = app.load_with(&args.names, passes, Warnings::Shown)?.project;
    if args.quiet {
        return Ok(());
    }
    let text = match part(args, &project)? {
        Some(lines) => lines.into_iter().map(|line| line + "\n").collect(),
        None => match args.format {
            Format::Yaml => to_yaml(&project),
            Format::Json => to_json(&project) + "\n",
        },
    };
    match &args.output {
        None => app.printer.write(crate::print::printer::Stream::Out, text.as_bytes()),
        Some(path) => std::fs::write(app.absolute(path), text)
            .map_err(|error| CommandError::new(Kind::Failed, format!("cannot write `{}`: {error}", path.display())))?,
    }
    Ok(())
}

/// Returns the lines of the part that was asked for.
fn part(args: &Args, project: &Project) -> Result<Option<Vec<String>>, CommandError> {
    Ok(Some(if args.services {
        project.services.keys().cloned().collect()
    } else if args.images {
        project.services.values().map(|service| image_reference(&project.name, service)).collect()
    } else if args.volumes {
        project.volumes.keys().cloned().collect()
    } else if args.networks {
        project.networks.keys().cloned().collect()
    } else if args.profiles {
        profiles(project)
    } else if args.environment {
        project.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()
    } else if let Some(wanted) = &args.hash {
        hashes(wanted, project)?
    } else {
        return Ok(None);
    }))
}

fn profiles(project: &Project) -> Vec<String> {
    let services = project.services.values().chain(project.disabled_services.values());
    let mut profiles: Vec<String> = services.flat_map(|service| service.profiles.iter().cloned()).collect();
    profiles.sort_unstable();
    profiles.dedup();
    profiles
}

fn hashes(wanted: &str, project: &Project) -> Result<Vec<String>, CommandError> {
    let names: Vec<String> = if wanted == "*" {
        project.services.keys().cloned().collect()
    } else {
        wanted.split(',').map(|name| name.trim().to_owned()).collect()
    };
    services::check(&names, project)?;
    Ok(names.iter().map(|name| format!("{name} {}", service_hash(project, name))).collect())
}
