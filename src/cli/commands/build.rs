//! `build`: builds the images of services that have a `build` section.

use std::collections::BTreeMap;

use orchestrator::operations::build::{BuildOptions, build};

use crate::app::{App, Warnings};
use crate::args::Environment;
use crate::args::global::ProgressStyle;
use crate::commands::{bake, host_files, services};
use crate::error::{CommandError, Kind};

/// Build the images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Set a build argument, over that of the file; without a value, from the environment
    #[arg(long, value_name = "KEY[=VALUE]")]
    build_arg: Vec<String>,

    /// Do every step again
    #[arg(long)]
    no_cache: bool,

    /// Pull base images even if they are there
    #[arg(long)]
    pull: bool,

    /// Build what the services depend on too
    #[arg(long)]
    with_dependencies: bool,

    /// Send each image to its registry once it is built
    #[arg(long)]
    push: bool,

    /// Only look for mistakes in the Dockerfiles
    #[arg(long)]
    check: bool,

    /// Print what would be built, in the form of a bake file
    #[arg(long)]
    print: bool,

    /// An ssh agent or key for RUN: `default`, or `ID=PATH`
    #[arg(long, value_name = "AGENT")]
    ssh: Vec<String>,

    /// Attest how the image was built: `true`, `false`, `mode=max`
    #[arg(long, value_name = "FORM")]
    provenance: Option<String>,

    /// Attest what is in the image
    #[arg(long, value_name = "FORM")]
    sbom: Option<String>,

    // A builder of buildx; only the one that is always there means the same here.
    #[arg(long, value_name = "NAME", hide = true)]
    builder: Option<String>,

    // Docker's old builder had this limit; BuildKit has none either.
    #[arg(short, long, value_name = "BYTES", hide = true)]
    memory: Option<String>,

    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,

    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let loaded = app.load(&[], Warnings::Shown)?;
    services::check(&args.services, &loaded.project)?;
    if let Some(builder) = args.builder.as_deref().filter(|builder| !matches!(*builder, "" | "default")) {
        let message = format!("no builder `{builder}` found: images are built by motet itself, or by the engine");
        return Err(CommandError::new(Kind::Failed, message).hint("leave out `--builder`"));
    }
    if args.memory.is_some() {
        app.printer.warn("`--memory` is left out: builds have no limit of memory");
    }
    if args.print {
        app.printer.data(&bake::file(&loaded.project, &args.services, args.push));
        return Ok(());
    }
    if app.settings.dry_run {
        let built =
            loaded.project.services.keys().filter(|name| args.services.is_empty() || args.services.contains(name));
        host_files::check_builds(&loaded, built.map(String::as_str))?;
        for (name, service) in &loaded.project.services {
            if service.build.is_some() && (args.services.is_empty() || args.services.contains(name)) {
                app.printer.data(&format!("build image for `{name}`"));
            }
        }
        return Ok(());
    }
    if loaded.project.services.values().all(|service| service.build.is_none()) {
        app.printer.note("No services to build");
        return Ok(());
    }
    let engine = app.engine()?;
    let options = BuildOptions {
        services: args.services,
        no_cache: args.no_cache,
        pull: args.pull,
        args: build_arguments(&args.build_arg, &app.environment),
        no_bootstrap: app.settings.no_bootstrap,
        with_dependencies: args.with_dependencies,
        push: args.push,
        check: args.check,
        ssh: args.ssh,
        provenance: args.provenance,
        sbom: args.sbom,
    };
    let style = if args.quiet { ProgressStyle::Quiet } else { app.settings.progress };
    app.run_in(style, Some(&loaded), |events| build(engine, &loaded.project, &options, events)).await?;
    if options.check {
        app.printer.data("Check complete, no warnings found.");
    }
    Ok(())
}

/// Reads `KEY=VALUE` and `KEY`; a `KEY` that the environment lacks is dropped.
pub(crate) fn build_arguments(given: &[String], environment: &Environment) -> BTreeMap<String, Option<String>> {
    let value = |text: &String| match text.split_once('=') {
        Some((key, value)) => Some((key.to_owned(), Some(value.to_owned()))),
        None => environment.0.get(text).map(|value| (text.clone(), Some(value.clone()))),
    };
    given.iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_without_value_comes_from_the_environment() {
        let environment = Environment::from([("B", "from outside")]);
        let given = ["A=1=2", "B", "C"].map(str::to_owned);
        let arguments = build_arguments(&given, &environment);
        assert_eq!(arguments["A"].as_deref(), Some("1=2"));
        assert_eq!(arguments["B"].as_deref(), Some("from outside"));
        assert!(!arguments.contains_key("C"));
    }
}
