//! What another command has taken away while a plan was carried out: of an act that was to take it away it is the end that
//! was wished for, of any other it is the cause of a failure.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::container::{ContainerId, NetworkMode};
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::Failure;
use crate::execute::perform::{Product, Task};
use crate::plan::Step;

/// Judges a step that did not find what it needs.
pub(crate) async fn judge(engine: &Arc<dyn Engine>, task: &Task, error: EngineError) -> Result<Product, EngineError> {
    let name = task.step.subject().1;
    let is_gone = match &task.container {
        Some(id) => gone(engine, id).await,
        None => false,
    };
    let container = format!("container `{name}`");
    match &task.step {
        Step::StopContainer { .. } | Step::KillContainer { .. } | Step::RemoveContainer { .. } if is_gone => {
            Ok(Product::Nothing)
        }
        Step::StartContainer { .. } if is_gone => Err(taken(&format!("start {container}"), &container, "it")),
        _ if is_gone => Err(taken(&format!("go on with {container}"), &container, "it")),
        Step::CreateContainer(new) => {
            let NetworkMode::Networks(endpoints) = &new.spec.network else { return Err(error) };
            let networks = endpoints.iter().map(|endpoint| endpoint.network.clone()).collect();
            Err(network(engine, networks, &format!("create {container}")).await.unwrap_or(error))
        }
        Step::StartContainer { .. } => {
            let Some(id) = &task.container else { return Err(error) };
            let Ok(found) = engine.inspect_container(&id.0).await else { return Err(error) };
            let networks = found.networks.into_keys().collect();
            Err(network(engine, networks, &format!("start {container}")).await.unwrap_or(error))
        }
        _ => Err(error),
    }
}

async fn gone(engine: &Arc<dyn Engine>, id: &ContainerId) -> bool {
    engine.inspect_container(&id.0).await.is_err_and(|error| error.kind == ErrorKind::NotFound)
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
