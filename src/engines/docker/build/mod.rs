//! Builds: by BuildKit where the engine has it, else by the classic builder.

mod buildkit;
mod carried;
mod check;
mod classic;
mod context;
mod grpc;
mod session;
mod share;
mod trouble;
mod vertices;
mod wire;

use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::image::{BuildSpec, ImageSummary, PushSpec};
use orchestrator::engine::progress::ProgressSink;

use crate::docker::engine::Docker;
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
    engine: &Docker,
    spec: &BuildSpec,
    progress: &ProgressSink,
) -> Result<ImageSummary, EngineError> {
    if !spec.unsupported.is_empty() {
        return Err(refuse(spec, &format!("the docker engine can't be told of `{}`", spec.unsupported.join("`, `"))));
    }
    if spec.check {
        return check::check(spec).map(|()| ImageSummary::default());
    }
    let (client, logins) = (&engine.client, &engine.logins);
    let failed = |fault: Fault| fault.at("build", image_name(spec));
    let version = client.api().await.map_err(failed)?.version;
    let kit = match engine.classic_builds || buildkit::is_for_classic(spec, version) {
        true => None,
        false => buildkit::connect(client).await.map_err(failed)?,
    };
    let id = match kit {
        Some(kit) => buildkit::build(engine, kit, spec, progress).await?,
        None => classic::build(client, logins, spec, progress).await?,
    };
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
