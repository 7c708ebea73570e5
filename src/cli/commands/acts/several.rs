//! One act on each of several names: what can be done is done, and every failure is told.

use orchestrator::engine::error::EngineError;
use orchestrator::event::Failure;
use orchestrator::operations::OperationError;
use serde_json::Value;

use crate::app::App;
use crate::commands::container::look::describe;
use crate::error::CommandError;
use crate::print::template::Format;

/// Removes each and prints its name; `remove` says whether it was there.
pub(crate) async fn remove_each(
    app: &App,
    names: &[String],
    remove: impl AsyncFn(&str) -> Result<bool, EngineError>,
) -> Result<(), CommandError> {
    let mut failures = Vec::new();
    for name in names {
        match remove(name).await {
            Ok(true) => app.printer.data(name),
            Ok(false) => {}
            Err(error) => failures.push(Failure::new(error, None)),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(OperationError::of(failures).into()) }
}

/// Prints all that is known of each; what is not there is the error of the command, once the others are printed.
pub(crate) async fn describe_each(
    app: &App,
    format: Option<&Format>,
    names: &[String],
    look: impl AsyncFn(&str) -> Result<Value, EngineError>,
) -> Result<(), CommandError> {
    let (mut found, mut failure) = (Vec::new(), None);
    for name in names {
        match look(name).await {
            Ok(described) => found.push(described),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    describe(app, format, &found)?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}
