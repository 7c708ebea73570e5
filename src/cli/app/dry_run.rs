//! An engine that looks and does not touch: what `--dry-run` gives to operations, so that the very code that acts
//! tells what it would do.

use std::sync::Arc;

use async_trait::async_trait;
use orchestrator::engine::Engine;
use orchestrator::engine::container::{ContainerId, ContainerSpec, ContainerState, ContainerSummary, StopOptions};
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::exec::{ExecIo, ExecSpec};
use orchestrator::engine::image::{BuildSpec, ImageSummary, PullSpec};
use orchestrator::engine::log::{LogLine, LogQuery};
use orchestrator::engine::network::{NetworkSpec, NetworkSummary};
use orchestrator::engine::volume::{VolumeSpec, VolumeSummary};
use orchestrator::event::ProgressSink;
use tokio::sync::mpsc::Receiver;

/// Hands questions on to a real engine and does nothing for everything else.
pub(crate) struct DryRun(pub(crate) Arc<dyn Engine>);

/// The error of an act whose result can't be made up.
fn not_done(what: &str) -> EngineError {
    EngineError::new(ErrorKind::Unsupported, what, format!("{what} is not done in a dry run"))
}

#[async_trait]
impl Engine for DryRun {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    async fn check_ports(&self, specs: &[ContainerSpec]) -> Vec<EngineError> {
        self.0.check_ports(specs).await
    }

    async fn list_containers(&self, labels: &[String]) -> Result<Vec<ContainerSummary>, EngineError> {
        self.0.list_containers(labels).await
    }

    async fn inspect_container(&self, id: &str) -> Result<ContainerSummary, EngineError> {
        self.0.inspect_container(id).await
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
        Ok(ContainerId(spec.name.clone()))
    }

    async fn start_container(&self, _: &ContainerId) -> Result<(), EngineError> {
        Ok(())
    }

    async fn stop_container(&self, _: &ContainerId, _: StopOptions) -> Result<(), EngineError> {
        Ok(())
    }

    async fn kill_container(&self, _: &ContainerId, _: &str) -> Result<(), EngineError> {
        Ok(())
    }

    async fn remove_container(&self, _: &ContainerId, _: bool) -> Result<(), EngineError> {
        Ok(())
    }

    async fn rename_container(&self, _: &ContainerId, _: &str) -> Result<(), EngineError> {
        Ok(())
    }

    async fn watch_container(&self, id: &ContainerId) -> Result<Receiver<ContainerState>, EngineError> {
        self.0.watch_container(id).await
    }

    async fn container_logs(&self, id: &ContainerId, query: LogQuery) -> Result<Receiver<LogLine>, EngineError> {
        self.0.container_logs(id, query).await
    }

    async fn exec(&self, _: &ContainerId, _: &ExecSpec, _: ExecIo) -> Result<i32, EngineError> {
        Ok(0)
    }

    async fn list_networks(&self, labels: &[String]) -> Result<Vec<NetworkSummary>, EngineError> {
        self.0.list_networks(labels).await
    }

    async fn inspect_network(&self, name: &str) -> Result<Option<NetworkSummary>, EngineError> {
        self.0.inspect_network(name).await
    }

    async fn create_network(&self, _: &NetworkSpec) -> Result<(), EngineError> {
        Ok(())
    }

    async fn remove_network(&self, _: &str) -> Result<(), EngineError> {
        Ok(())
    }

    async fn list_volumes(&self, labels: &[String]) -> Result<Vec<VolumeSummary>, EngineError> {
        self.0.list_volumes(labels).await
    }

    async fn inspect_volume(&self, name: &str) -> Result<Option<VolumeSummary>, EngineError> {
        self.0.inspect_volume(name).await
    }

    async fn create_volume(&self, _: &VolumeSpec) -> Result<(), EngineError> {
        Ok(())
    }

    async fn remove_volume(&self, _: &str) -> Result<(), EngineError> {
        Ok(())
    }

    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageSummary>, EngineError> {
        self.0.inspect_image(reference).await
    }

    async fn pull_image(&self, _: &PullSpec, _: &ProgressSink) -> Result<ImageSummary, EngineError> {
        Err(not_done("a pull"))
    }

    async fn build_image(&self, _: &BuildSpec, _: &ProgressSink) -> Result<ImageSummary, EngineError> {
        Err(not_done("a build"))
    }

    async fn remove_image(&self, _: &str) -> Result<(), EngineError> {
        Ok(())
    }
}
