//! The one container that a command means, and what is said while something is done to it.

use orchestrator::engine::container::ContainerSummary;
use orchestrator::engine::error::EngineError;
use orchestrator::event::{Act, Event, ResourceKind};
use orchestrator::operations::OperationError;
use orchestrator::operations::ps::{Replica, list};
use orchestrator::operations::scope::Scope;
use tokio::sync::mpsc::UnboundedSender;

use crate::app::App;
use crate::app::project::Target;
use crate::commands::services;
use crate::error::{CommandError, Kind};

/// Returns the container of replica `index` of a service, running or not; without an index the first one that runs,
/// else the first one.
pub(crate) async fn of_service(
    app: &App,
    target: &Target,
    service: &str,
    index: Option<u32>,
) -> Result<ContainerSummary, CommandError> {
    services::check_target(&[service.to_owned()], target)?;
    let scope = Scope { services: vec![service.to_owned()], index, one_offs: false };
    let mut replicas = list(app.engine()?, &target.name, &scope).await?;
    replicas.sort_by_key(|replica| (!replica.container.state.is_up(), replica.number));
    match replicas.into_iter().next() {
        Some(Replica { container, .. }) => Ok(container),
        None => {
            let which = index.map_or(String::new(), |index| format!(" #{index}"));
            Err(CommandError::new(Kind::Failed, format!("service `{service}` has no container{which}"))
                .hint(format!("`up {service}` creates it")))
        }
    }
}

/// Does something to a container, and says that it begins, ends or fails.
pub(crate) async fn told<T>(
    act: Act,
    name: &str,
    events: &UnboundedSender<Event>,
    doing: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, OperationError> {
    let (kind, name) = (ResourceKind::Container, name.to_owned());
    let _ = events.send(Event::Started { kind, name: name.clone(), act });
    match doing.await {
        Ok(value) => {
            let _ = events.send(Event::Done { kind, name, act });
            Ok(value)
        }
        Err(error) => {
            let _ = events.send(Event::Failed { kind, name, act, error: error.clone() });
            Err(error.into())
        }
    }
}
