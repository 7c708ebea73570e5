//! A change of a container that is there.

use orchestrator::engine::error::EngineError;
use orchestrator::engine::update::ContainerUpdate;
use runtime::Runtime;
use runtime::container::update::{self, UpdateRequest};

use crate::embedded::engine::blocking;
use crate::embedded::{errors, request};

pub(crate) async fn update(rt: &Runtime, id: String, update: &ContainerUpdate) -> Result<(), EngineError> {
    let request =
        UpdateRequest { limits: request::limits(&update.limits), restart: update.restart.map(request::restart) };
    blocking(rt, move |rt| update::update(rt, &id, &request).map_err(|error| errors::update(&id, &error))).await
}
