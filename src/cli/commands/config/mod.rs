//! `config`: the Compose file as it is understood, or a part of it.

pub(crate) mod digests;
mod lists;
mod origins;
mod variables;

use std::path::PathBuf;

use clap::ValueEnum;
use compose::model::encode::{to_json, to_yaml};
use compose::{Passes, Project};

use crate::app::{App, Warnings};
use crate::commands::host_files;
use crate::error::{CommandError, Kind};
use crate::print::printer::Stream;

/// Print the Compose file as it is understood
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How to print it: `yaml` unless said; `--variables` has a table too
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Only say what is wrong
    #[arg(short, long)]
    quiet: bool,

    /// Print to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Only the names of the services, each behind those it depends on
    #[arg(long)]
    services: bool,

    /// Only the names of the images
    #[arg(long)]
    images: bool,

    /// Only the names of the volumes
    #[arg(long)]
    volumes: bool,

    /// Only the names of the networks
    #[arg(long)]
    networks: bool,

    /// Only the names of the models
    #[arg(long)]
    models: bool,

    /// Only the profiles
    #[arg(long)]
    profiles: bool,

    /// Only the config hashes of these services, separated by commas, or of all: `*`
    #[arg(long, value_name = "SERVICES")]
    hash: Option<String>,

    /// Only the variables that the file refers to, and what stands in their place
    #[arg(long)]
    variables: bool,

    /// Only the environment that the file is interpolated with
    #[arg(long)]
    environment: bool,

    /// Say of each value which file, line and variable it comes from, and what it took the place of
    #[arg(long, conflicts_with = "no_interpolate")]
    origins: bool,

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

    /// Pin each image to the digest that its registry has now
    #[arg(long)]
    resolve_image_digests: bool,

    /// Print an override file that pins each image to its digest
    #[arg(long)]
    lock_image_digests: bool,

    /// Only these services and what they depend on
    #[arg(value_name = "SERVICE")]
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Yaml,
    Json,
    Table,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    if let Some(lines) = lists::wanted(&args) {
        let text = lists::print(&args, app, lines)?;
        app.printer.write(Stream::Out, text.as_bytes());
        return Ok(());
    }
    if args.variables {
        let text = variables::print(&args, app)?;
        app.printer.write(Stream::Out, text.as_bytes());
        return Ok(());
    }
    if args.origins {
        let text = origins::print(&args, app)?;
        return if args.quiet { Ok(()) } else { args.put(app, text) };
    }
    let mut project = args.load(app, &args.names, !args.no_env_resolution)?;
    if args.environment {
        for (name, value) in project.environment.iter().filter(|_| !args.quiet) {
            app.printer.data(&format!("{name}={value}"));
        }
        return Ok(());
    }
    if args.asks_registries() {
        digests::resolve(app, &mut project).await?;
    }
    if args.lock_image_digests {
        digests::keep_images(&mut project);
    }
    let text = match args.format {
        // Whether the file is right is known by now.
        None | Some(Format::Yaml | Format::Json) if args.quiet => {
            // The process ends here: to free every value one by one would take longer than to find it right.
            std::mem::forget(project);
            return Ok(());
        }
        None | Some(Format::Yaml) => to_yaml(&project),
        Some(Format::Json) => to_json(&project),
        Some(Format::Table) => {
            let error = CommandError::new(Kind::Usage, "a whole project is no table");
            return Err(error.hint("write `--format yaml` or `--format json`"));
        }
    };
    args.put(app, text)
}

impl Args {
    pub(crate) fn prints_json(&self) -> bool {
        self.format == Some(Format::Json)
    }

    /// Prints `text` where the flags say.
    fn put(&self, app: &App, text: String) -> Result<(), CommandError> {
        match &self.output {
            None => app.printer.write(Stream::Out, text.as_bytes()),
            Some(path) => std::fs::write(app.absolute(path), text).map_err(|error| {
                CommandError::new(Kind::Failed, format!("cannot write `{}`: {error}", path.display()))
            })?,
        }
        Ok(())
    }

    /// Says whether registries are asked for digests.
    pub(crate) fn asks_registries(&self) -> bool {
        self.resolve_image_digests || self.lock_image_digests
    }

    /// Loads the project with the passes that the flags leave.
    fn load(&self, app: &App, names: &[String], resolve_env: bool) -> Result<Project, CommandError> {
        let is_list = lists::wanted(self).is_some();
        // A container name that is taken keeps nothing from being listed: so it is in Docker Compose.
        let container_names = !is_list && !self.environment;
        let passes = Passes { resolve_env, decode: is_list, container_names, ..self.passes(app) };
        let loaded = app.load_with(names, passes, Warnings::Shown)?;
        host_files::warn_of_builds(app, &loaded);
        Ok(loaded.project)
    }

    fn passes(&self, app: &App) -> Passes {
        Passes {
            interpolate: !self.no_interpolate,
            normalize: !self.no_normalize && !app.settings.compatibility,
            resolve_paths: !self.no_path_resolution,
            consistency: !self.no_consistency,
            resolve_env: !self.no_env_resolution,
            keep_unused: app.settings.all_resources,
            container_names: true,
            decode: false,
        }
    }
}
