//! `build`: builds the images of services that have a `build` section.

use std::collections::BTreeMap;

use orchestrator::operations::build::{BuildOptions, build};

use crate::app::{App, Warnings};
use crate::args::Environment;
use crate::args::global::ProgressStyle;
use crate::args::mount::parse_bytes;
use crate::commands::bake::{self, Additions, Bake};
use crate::commands::builder::debug;
use crate::commands::{host_files, services};
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

    /// Only look for mistakes in the Dockerfiles
    #[arg(long)]
    check: bool,

    /// Print the builds as a bake file and do nothing
    #[arg(long)]
    print: bool,

    /// Send the images to their registries; those of services without `image` stay
    #[arg(long)]
    push: bool,

    /// When a step fails, open a shell in the state before it
    #[arg(long)]
    debug: bool,

    /// Memory that a step may use
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,

    /// An ssh agent for RUN: `default`, `ID=SOCKET`, or `ID=KEY[,KEY]` for private key files
    #[arg(long, value_name = "AGENT")]
    ssh: Vec<String>,

    /// Describe how the image was built: `false`, as the embedded builder attaches nothing
    #[arg(long, value_name = "PROVENANCE", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    provenance: Option<String>,

    /// List what is in the image: `false`, as the embedded builder attaches nothing
    #[arg(long, value_name = "SBOM", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sbom: Option<String>,

    /// Which builder: `default`, as there is one only
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,

    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,

    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let mut loaded = app.load(&[], Warnings::Shown)?;
    services::check_and_enable(&args.services, &mut loaded.project)?;
    check_builder(args.builder.as_deref())?;
    if args.print {
        let text = serde_json::to_string_pretty(&bake(&args, app, &loaded.project)).expect("strings have a text");
        app.printer.data(&text);
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
    let memory = args.memory.as_deref().map(|text| {
        parse_bytes(text).ok_or_else(|| CommandError::new(Kind::Usage, format!("`{text}` is no size: `512m`")))
    });
    let options = BuildOptions {
        check: args.check,
        push: args.push,
        memory: memory.transpose()?,
        ssh: args.ssh,
        provenance: args.provenance,
        sbom: args.sbom,
        keep_last_good: args.debug,
        services: args.services,
        no_cache: args.no_cache,
        pull: args.pull,
        args: build_arguments(&args.build_arg, &app.environment),
        no_bootstrap: app.settings.no_bootstrap,
        with_dependencies: args.with_dependencies,
    };
    let style = if args.quiet { ProgressStyle::Quiet } else { app.settings.progress };
    let built = app.run_in(style, Some(&loaded), |events| build(engine, &loaded.project, &options, events)).await;
    match built {
        Ok(_) if args.check => app.printer.data("Check complete, no warnings found."),
        Ok(_) => {}
        Err(error) if args.debug => return Err(debug::open(app, error).await),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// There is one builder, in this program; another one is a mistake.
pub(crate) fn check_builder(name: Option<&str>) -> Result<(), CommandError> {
    match name {
        None | Some("default" | "") => Ok(()),
        Some(name) => {
            let error = CommandError::new(Kind::Usage, format!("there is no builder `{name}`"));
            Err(error.hint("this program builds itself: leave out `--builder`, or name the builder `default`"))
        }
    }
}

fn bake(args: &Args, app: &App, project: &compose::Project) -> Bake {
    let names: Vec<String> = match args.services.is_empty() {
        true => project.services.values().filter(|it| it.build.is_some()).map(|it| it.name.clone()).collect(),
        false => args.services.clone(),
    };
    let additions = Additions {
        args: build_arguments(&args.build_arg, &app.environment),
        ssh: args.ssh.clone(),
        no_cache: args.no_cache,
        pull: args.pull,
        push: args.push,
        check: args.check,
    };
    bake::bake(project, &names, &additions)
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
