//! Builds by the engine's classic builder, which every engine of this API has.

mod classic;
mod context;
mod trouble;

use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::image::{BuildSpec, ImageSummary, PushSpec};
use orchestrator::engine::progress::ProgressSink;

use crate::docker::client::Client;
use crate::docker::credentials::Logins;
use crate::docker::fault::Fault;
use crate::docker::{images, summary};

/// What an image is called in messages.
fn image_name(spec: &BuildSpec) -> String {
    format!("image `{}`", spec.tags.first().map_or("image", String::as_str))
}

fn refuse(spec: &BuildSpec, why: &str) -> EngineError {
    let message = format!("cannot build {}: {why}", image_name(spec));
    EngineError::new(ErrorKind::Unsupported, image_name(spec), message)
}

/// Builds an image, tags it, and sends it to its registry where so asked.
pub(crate) async fn build(
    client: &Client,
    logins: &Logins,
    spec: &BuildSpec,
    progress: &ProgressSink,
) -> Result<ImageSummary, EngineError> {
    if !spec.unsupported.is_empty() {
        return Err(refuse(spec, &format!("the docker engine can't be told of `{}`", spec.unsupported.join("`, `"))));
    }
    let failed = |fault: Fault| fault.at("build", image_name(spec));
    let id = classic::build(client, logins, spec, progress).await?;
    if spec.push {
        for tag in &spec.tags {
            let push = PushSpec { reference: tag.clone(), platform: None };
            images::push(client, logins, &push, progress)
                .await
                .map_err(|fault| fault.at("push", format!("image `{tag}`")))?;
        }
    }
    let reference = spec.tags.first().cloned().unwrap_or(id);
    match images::find(client, &reference).await.map_err(failed)? {
        Some(found) => Ok(summary::image(&found)),
        None => Err(failed(Fault::Refused { status: 404, message: "it was built and is gone again".to_owned() })),
    }
}
