//! The flags of `up`, and its two ways: attached, and detached.

use std::collections::BTreeSet;
use std::time::Duration;

use orchestrator::operations::up::{UpOptions, UpReport, up};

use crate::app::{App, Warnings};
use crate::args::moment::parse_grace;
use crate::commands::up::attached::{self, Ending};
use crate::commands::up::choice::Making;
use crate::commands::{host_files, plan, services, watch};
use crate::error::{CommandError, Kind, LoadedProject};
use crate::print::logs::LogDress;

/// Create and start the services
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave the services running in the background
    #[arg(short, long)]
    detach: bool,

    /// Return when every service is running or healthy; implies -d
    #[arg(long)]
    wait: bool,

    /// Seconds that waiting may take
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,

    #[command(flatten)]
    making: Making,

    /// Without the services that these depend on
    #[arg(long)]
    no_deps: bool,

    /// Create without starting
    #[arg(long)]
    no_start: bool,

    /// New anonymous volumes instead of those of the containers before
    #[arg(short = 'V', long)]
    renew_anon_volumes: bool,

    /// Seconds before a container is killed
    #[arg(short, long, value_name = "SECONDS", value_parser = parse_grace, allow_negative_numbers = true)]
    timeout: Option<Duration>,

    /// Stop everything when one container ends
    #[arg(long, conflicts_with_all = ["detach", "wait"])]
    abort_on_container_exit: bool,

    /// Stop everything when one container fails
    #[arg(long, conflicts_with_all = ["detach", "wait", "abort_on_container_exit"])]
    abort_on_container_failure: bool,

    /// Exit with the code of this service; implies --abort-on-container-exit
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "wait"])]
    exit_code_from: Option<String>,

    /// Show only what these services write; may be given more than once
    #[arg(long, value_name = "SERVICE")]
    attach: Vec<String>,

    /// Don't show what these services write; may be given more than once
    #[arg(long, value_name = "SERVICE")]
    no_attach: Vec<String>,

    /// Show what the services write that these depend on
    #[arg(long)]
    attach_dependencies: bool,

    /// No colour
    #[arg(long)]
    no_color: bool,

    /// Only what the programs write
    #[arg(long)]
    no_log_prefix: bool,

    /// When each line was written
    #[arg(long)]
    timestamps: bool,

    /// Follow saved files as `watch` does
    #[arg(short, long, conflicts_with_all = ["detach", "wait", "no_start"])]
    watch: bool,

    /// Keys while attached: w follows saved files, d leaves the services running [default: on a terminal]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    menu: Option<bool>,

    /// Only these services and what they depend on
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let loaded = app.load(&args.services, Warnings::Shown)?;
    if loaded.project.services.is_empty() && !app.settings.all_resources {
        return Err(no_service(&loaded));
    }
    let named = args.attach.iter().chain(&args.no_attach).chain(&args.exit_code_from);
    services::check(&named.cloned().collect::<Vec<_>>(), &loaded.project)?;
    let mut options = UpOptions {
        services: args.services.clone(),
        no_deps: args.no_deps,
        no_start: args.no_start,
        renew_anon_volumes: args.renew_anon_volumes,
        timeout: args.timeout,
        wait: args.wait,
        wait_timeout: args.wait_timeout.map(Duration::from_secs),
        ..args.making.options(app)?
    };
    host_files::check(app, &loaded)?;
    let engine = app.engine()?;
    if app.settings.dry_run {
        return plan::show(app, &loaded, &options).await.map(drop);
    }
    Making::ask_of_volumes(app, &loaded, &mut options).await?;
    if args.detach || args.wait || args.no_start {
        let report = app.run(Some(&loaded), |events| up(engine, &loaded.project, &options, events)).await?;
        print_urls(app, &report);
        return Ok(());
    }
    if args.watch {
        watch::check_rules(&loaded, &args.services)?;
    }
    attached::run(app, engine, &loaded, &options, &attached_options(&args, &loaded, app)).await
}

fn attached_options(args: &Args, loaded: &LoadedProject, app: &App) -> attached::Options {
    let wants_dependencies = args.services.is_empty() || args.attach_dependencies;
    let shown = loaded.project.services.iter().filter(|(name, service)| {
        if !args.attach.is_empty() {
            return args.attach.contains(name);
        }
        let named = wants_dependencies || args.services.contains(name);
        named && !args.no_attach.contains(name) && service.attach != Some(false)
    });
    attached::Options {
        shown: shown.map(|(name, _)| name.clone()).collect(),
        dress: LogDress {
            no_prefix: args.no_log_prefix,
            timestamps: args.timestamps,
            no_colour: args.no_color,
            json: false,
        },
        ending: match &args.exit_code_from {
            Some(service) => Ending::CodeOf { service: service.clone(), at_failure: args.abort_on_container_failure },
            None if args.abort_on_container_exit => Ending::AtFirstExit,
            None if args.abort_on_container_failure => Ending::AtFirstFailure,
            None => Ending::WhenAllHaveEnded,
        },
        grace: args.timeout,
        stopped: args.services.clone(),
        watch: watch::options(app, &args.services, true),
        is_watching: args.watch,
        menu: args.menu.or(app.settings.menu).unwrap_or(!app.is_drop_in),
    }
}

/// Prints where the services can be reached.
pub(crate) fn print_urls(app: &App, report: &UpReport) {
    let width = report.urls.iter().map(|url| url.service.chars().count()).max().unwrap_or(0);
    for url in &report.urls {
        app.printer.note(&format!(" {:<width$}  {}", url.service, url.url));
    }
}

/// Says why there is nothing to bring up.
fn no_service(loaded: &LoadedProject) -> CommandError {
    let error = CommandError::new(Kind::Failed, "no service selected");
    let waiting = loaded.project.disabled_services.values().flat_map(|service| &service.profiles);
    let profiles: BTreeSet<&str> = waiting.map(String::as_str).collect();
    if profiles.is_empty() {
        return error.hint("the Compose file has no services");
    }
    let profiles: Vec<String> = profiles.iter().map(|profile| format!("`--profile {profile}`")).collect();
    error.hint(format!("each service waits for a profile: {}", profiles.join(", ")))
}
