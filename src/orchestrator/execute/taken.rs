//! What another command has taken away while a plan was carried out: of an act that was to take it away it is the end that
//! was wished for, of any other it is the cause of a failure.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::container::NetworkMode;
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::Failure;
use crate::execute::perform::{Product, Task};
use crate::plan::Step;

/// Judges a step that did not find what it needs.
pub(crate) async fn judge(engine: &Arc<dyn Engine>, task: &Task, error: EngineError) -> Result<Product, EngineError> {
    let container = format!("container `{}`", task.step.subject().1);
    let found = match &task.container {
        Some(id) => Some(engine.inspect_container(&id.0).await),
        None => None,
    };
    if matches!(&found, Some(Err(missing)) if missing.kind == ErrorKind::NotFound) {
        return match &task.step {
            Step::StopContainer { .. } | Step::KillContainer { .. } | Step::RemoveContainer { .. } => {
                Ok(Product::Nothing)
            }
            Step::StartContainer { .. } => Err(taken(&format!("start {container}"), &container, "it")),
            _ => Err(taken(&format!("go on with {container}"), &container, "it")),
        };
    }
    let (act, networks): (&str, Vec<String>) = match (&task.step, found) {
        (Step::CreateContainer(new), _) => match &new.spec.network {
            NetworkMode::Networks(endpoints) => ("create", endpoints.iter().map(|one| one.network.clone()).collect()),
            NetworkMode::None | NetworkMode::Host | NetworkMode::Container(_) => return Err(error),
        },
        (Step::StartContainer { .. }, Some(Ok(found))) => ("start", found.networks.into_keys().collect()),
        _ => return Err(error),
    };
    Err(network(engine, networks, &format!("{act} {container}")).await.unwrap_or(error))
}

/// Returns the error for the first of these networks that is gone.
async fn network(engine: &Arc<dyn Engine>, names: Vec<String>, act: &str) -> Option<EngineError> {
    for name in names {
        if let Ok(None) = engine.inspect_network(&name).await {
            let network = format!("network `{name}`");
            return Some(taken(act, &network, &network));
        }
    }
    None
}

fn taken(act: &str, resource: &str, what: &str) -> EngineError {
    let message = format!("cannot {act}: {what} was removed by another command meanwhile");
    EngineError::new(ErrorKind::Gone, resource, message)
}

/// Makes one failure of all that another command has caused: the first, which names the containers of the others.
pub(crate) fn fold(failures: Vec<(Failure, String)>) -> Vec<Failure> {
    let mut folded: Vec<Failure> = Vec::new();
    let mut first = None;
    for (failure, container) in failures {
        match first {
            Some(first) if failure.error.kind == ErrorKind::Gone => {
                let kept: &mut Failure = &mut folded[first];
                for name in std::iter::once(container).chain(failure.blocked) {
                    if !kept.blocked.contains(&name) {
                        kept.blocked.push(name);
                    }
                }
            }
            _ => {
                if failure.error.kind == ErrorKind::Gone {
                    first = Some(folded.len());
                }
                folded.push(failure);
            }
        }
    }
    folded
}
