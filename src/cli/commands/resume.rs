//! `resume`: after a reboot, starts again what restart policies say.

use crate::app::App;
use crate::error::{CommandError, Kind};

/// Start again what a reboot has ended, as restart policies say
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    if app.settings.dry_run {
        app.printer.note("containers that a reboot has ended would be started as their restart policies say");
        return Ok(());
    }
    let mut failed = 0_usize;
    for (name, error) in engine.resume_containers().await? {
        match error {
            None => app.printer.note(&format!(" Container {name}  Started")),
            Some(error) => {
                failed += 1;
                app.printer.warn(&format!("`{name}` is not started: {error}"));
            }
        }
    }
    match failed {
        0 => Ok(()),
        1 => Err(CommandError::new(Kind::Start, "one container could not be started again")),
        number => Err(CommandError::new(Kind::Start, format!("{number} containers could not be started again"))),
    }
}
