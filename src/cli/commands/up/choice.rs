//! The flags that `up` and `create` share: what is built, pulled, made anew.

use std::collections::BTreeMap;

use clap::ValueEnum;
use orchestrator::operations::up::{BuildChoice, PullChoice, UpOptions, volumes_to_recreate};

use crate::app::{App, ask};
use crate::error::{CommandError, Kind, LoadedProject};
use crate::print::printer::Stream;

/// How containers are made.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Making {
    /// Build images before the containers start
    #[arg(long, conflicts_with = "no_build")]
    build: bool,

    /// Never build; a missing image is an error
    #[arg(long)]
    no_build: bool,

    /// When to pull images
    #[arg(long, value_enum, value_name = "WHEN")]
    pull: Option<When>,

    /// No progress of pulls
    #[arg(long)]
    pub(crate) quiet_pull: bool,

    /// No progress of builds
    #[arg(long)]
    quiet_build: bool,

    /// Make containers anew even if nothing has changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,

    /// Keep containers even if something has changed
    #[arg(long)]
    no_recreate: bool,

    /// Make what the services depend on anew too
    #[arg(long)]
    always_recreate_deps: bool,

    /// Remove containers of services that the file no longer has
    #[arg(long)]
    remove_orphans: bool,

    /// Run N replicas of a service, over what the file says
    #[arg(long, value_name = "SERVICE=N", value_parser = parse_scale)]
    scale: Vec<(String, u32)>,

    /// Make volumes that differ from the file anew without asking; what they hold is lost
    #[arg(short = 'y', long = "yes")]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// Whether it is there or not
    Always,
    /// When it is not there
    Missing,
    /// Never; a missing image is an error
    Never,
    /// Build it instead
    Build,
    /// As the service's `pull_policy` says
    Policy,
}

impl When {
    /// Returns what the operation is told.
    pub(crate) fn choice(self) -> PullChoice {
        match self {
            Self::Policy | Self::Build => PullChoice::Policy,
            Self::Always => PullChoice::Always,
            Self::Missing => PullChoice::Missing,
            Self::Never => PullChoice::Never,
        }
    }
}

/// Reads `SERVICE=N`.
pub(crate) fn parse_scale(text: &str) -> Result<(String, u32), String> {
    let (service, number) = text.split_once('=').ok_or("write SERVICE=N")?;
    let number = number.parse().map_err(|_| format!("`{number}` is not a number of replicas"))?;
    Ok((service.to_owned(), number))
}

impl Making {
    /// Returns the options of the operation.
    pub(crate) fn options(&self, app: &App) -> Result<UpOptions, CommandError> {
        let mut scale = BTreeMap::new();
        for (service, number) in &self.scale {
            if scale.insert(service.clone(), *number).is_some() {
                return Err(CommandError::new(Kind::Usage, format!("`--scale {service}` is given more than once")));
            }
        }
        let build_asked = self.build || self.pull == Some(When::Build);
        Ok(UpOptions {
            build: match (build_asked, self.no_build) {
                (true, _) => BuildChoice::Always,
                (false, true) => BuildChoice::Never,
                (false, false) => BuildChoice::IfMissing,
            },
            pull: self.pull.map_or(PullChoice::Policy, When::choice),
            quiet_pull: self.quiet_pull,
            quiet_build: self.quiet_build,
            force_recreate: self.force_recreate,
            no_recreate: self.no_recreate,
            always_recreate_deps: self.always_recreate_deps,
            recreate_volumes: self.yes,
            remove_orphans: self.remove_orphans || app.settings.remove_orphans,
            ignore_orphans: app.settings.ignore_orphans,
            no_bootstrap: app.settings.no_bootstrap,
            scale,
            ..UpOptions::default()
        })
    }

    /// Asks, where somebody can answer, whether volumes that differ from the file may lose what they hold.
    pub(crate) async fn ask_of_volumes(
        app: &App,
        loaded: &LoadedProject,
        options: &mut UpOptions,
    ) -> Result<(), CommandError> {
        if options.recreate_volumes || app.settings.dry_run || !ask::can_answer() {
            return Ok(());
        }
        let found = volumes_to_recreate(&app.engine()?, &loaded.project, options).await;
        let names = found.map_err(|error| CommandError::operation(error, Some(loaded)))?;
        if let [name] = names.as_slice() {
            let question = format!("Volume `{name}` differs from the file. Make it anew? Its data will be lost. [y/N]");
            options.recreate_volumes = ask::agrees(app, Stream::Err, &question);
        } else if !names.is_empty() {
            let names = names.join("`, `");
            let question =
                format!("Volumes `{names}` differ from the file. Make them anew? Their data will be lost. [y/N]");
            options.recreate_volumes = ask::agrees(app, Stream::Err, &question);
        }
        Ok(())
    }
}
