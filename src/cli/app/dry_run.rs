//! An engine that looks and does not touch: what `--dry-run` gives to operations, so that the very code that acts
//! tells what it would do.

use std::sync::Arc;

use async_trait::async_trait;
use orchestrator::engine::Engine;
use orchestrator::engine::archive::{PathChange, PathStat};
use orchestrator::engine::container::{
    CommitSpec, ContainerId, ContainerSpec, ContainerState, ContainerSummary, Endpoint, StopOptions,
};
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::exec::{ExecIo, ExecSpec};
use orchestrator::engine::image::{BuildSpec, HistoryEntry, ImageSummary, PullSpec, RemovedImage};
use orchestrator::engine::log::{LogLine, LogQuery};
use orchestrator::engine::network::{NetworkSpec, NetworkSummary};
use orchestrator::engine::occurrence::{Occurrence, OccurrenceQuery};
use orchestrator::engine::statistics::{ProcessTable, Statistics};
use orchestrator::engine::update::ContainerUpdate;
use orchestrator::engine::usage::ContainerSize;
use orchestrator::engine::volume::{VolumeSpec, VolumeSummary};
use orchestrator::event::ProgressSink;
use serde_json::Value;
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

    async fn check_container(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        self.0.check_container(spec).await
    }

    fn is_dry(&self) -> bool {
        true
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

    async fn update_container(&self, _: &ContainerId, _: &ContainerUpdate) -> Result<(), EngineError> {
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

    async fn pause_container(&self, _: &ContainerId) -> Result<(), EngineError> {
        Ok(())
    }

    async fn unpause_container(&self, _: &ContainerId) -> Result<(), EngineError> {
        Ok(())
    }

    async fn container_statistics(&self, id: &ContainerId) -> Result<Receiver<Statistics>, EngineError> {
        self.0.container_statistics(id).await
    }

    async fn container_processes(&self, id: &ContainerId, arguments: &[String]) -> Result<ProcessTable, EngineError> {
        self.0.container_processes(id, arguments).await
    }

    async fn stat_path(&self, id: &ContainerId, path: &str) -> Result<PathStat, EngineError> {
        self.0.stat_path(id, path).await
    }

    async fn container_changes(&self, id: &ContainerId) -> Result<Vec<PathChange>, EngineError> {
        self.0.container_changes(id).await
    }

    async fn describe_container(&self, id: &str) -> Result<Value, EngineError> {
        self.0.describe_container(id).await
    }

    async fn measure_container(&self, id: &str) -> Result<ContainerSize, EngineError> {
        self.0.measure_container(id).await
    }

    async fn describe_network(&self, name: &str) -> Result<Value, EngineError> {
        self.0.describe_network(name).await
    }

    async fn describe_volume(&self, name: &str) -> Result<Value, EngineError> {
        self.0.describe_volume(name).await
    }

    async fn describe_image(&self, reference: &str) -> Result<Value, EngineError> {
        self.0.describe_image(reference).await
    }

    async fn commit_container(&self, _: &ContainerId, _: &CommitSpec) -> Result<String, EngineError> {
        Err(not_done("a commit"))
    }

    async fn occurrences(&self, query: OccurrenceQuery) -> Result<Receiver<Occurrence>, EngineError> {
        self.0.occurrences(query).await
    }

    async fn watch_containers(&self, labels: &[String]) -> Result<Receiver<ContainerSummary>, EngineError> {
        self.0.watch_containers(labels).await
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

    async fn let_go_of_networks(&self) -> Result<(), EngineError> {
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

    async fn list_images(&self) -> Result<Vec<ImageSummary>, EngineError> {
        self.0.list_images().await
    }

    async fn image_history(&self, reference: &str) -> Result<Vec<HistoryEntry>, EngineError> {
        self.0.image_history(reference).await
    }

    async fn connect_network(&self, _: &ContainerId, _: &Endpoint) -> Result<(), EngineError> {
        Ok(())
    }

    async fn disconnect_network(&self, _: &ContainerId, _: &str) -> Result<(), EngineError> {
        Ok(())
    }

    async fn tag_image(&self, _: &str, _: &str) -> Result<(), EngineError> {
        Ok(())
    }

    async fn resolve_digest(&self, reference: &str) -> Result<String, EngineError> {
        self.0.resolve_digest(reference).await
    }

    async fn untag_image(&self, _: &str, _: bool) -> Result<Vec<RemovedImage>, EngineError> {
        Ok(Vec::new())
    }

    async fn remove_image(&self, _: &str) -> Result<(), EngineError> {
        Ok(())
    }
}
