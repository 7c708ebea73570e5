//! Stops a container and runs it again in the same place: its namespaces, mounts and addresses stay.

use crate::Runtime;
use crate::container::act::{self, ActError};
use crate::container::list;
use crate::container::start::{self, StartError};
use crate::container::stop::StopRequest;
use crate::keeper::control::Request;
use crate::state::occurrence;

/// Why a container could not be restarted.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the variants only pass on")]
pub enum RestartError {
    #[error(transparent)]
    Act(#[from] ActError),
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Restarts a container and returns once its program runs anew; one that does not run is started.
pub fn restart(rt: &Runtime, name: &str, request: StopRequest) -> Result<(), RestartError> {
    let message = Request::Restart { signal: request.signal, grace_ms: request.grace_ms };
    match act::ask(rt, name, "restart", &message)? {
        Some(()) => Ok(()),
        None => {
            start::start(rt, name)?;
            let container = list::find(rt, name).map_err(StartError::from)?;
            occurrence::of_container(&rt.layout, &container.record, "restart", &[]);
            Ok(())
        }
    }
}
