//! The trait's methods, a call or a few each.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use async_trait::async_trait;
use bollard::query_parameters::{KillContainerOptionsBuilder, RenameContainerOptionsBuilder, TopOptionsBuilder};
use bytes::Bytes;
use hyper::Method;
use orchestrator::engine::Engine;
use orchestrator::engine::archive::{CopyIn, PathChange, PathStat};
use orchestrator::engine::attach::{AttachEnd, AttachIo};
use orchestrator::engine::container::{
    CommitSpec, ContainerId, ContainerSpec, ContainerState, ContainerSummary, Endpoint, StopOptions,
};
use orchestrator::engine::error::EngineError;
use orchestrator::engine::exec::{ExecIo, ExecSpec};
use orchestrator::engine::hold::Hold;
use orchestrator::engine::image::{BuildSpec, HistoryEntry, ImageSummary, PullSpec, PushSpec, RemovedImage};
use orchestrator::engine::log::{LogLine, LogQuery};
use orchestrator::engine::network::{NetworkSpec, NetworkSummary};
use orchestrator::engine::occurrence::{Occurrence, OccurrenceQuery};
use orchestrator::engine::progress::ProgressSink;
use orchestrator::engine::statistics::{ProcessTable, Statistics};
use orchestrator::engine::update::ContainerUpdate;
use orchestrator::engine::usage::{ContainerSize, DiskUsage};
use orchestrator::engine::volume::{VolumeSpec, VolumeSummary};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::docker::client::{Client, LOOK, escape, query, within};
use crate::docker::credentials::Logins;
use crate::docker::fault::Fault;
use crate::docker::hub::SharedHub;
use crate::docker::{
    acts, build, create, files, follow, host_config, images, logs, ports, resources, streams, summary, usage,
};

/// The engine over a Docker API.
#[derive(Debug)]
pub struct Docker {
    pub(crate) client: Client,
    pub(crate) hub: SharedHub,
    pub(crate) logins: Logins,
    pub(crate) locks: Option<PathBuf>,
    /// The socket of the ssh agent that builds are handed.
    pub(crate) ssh_agent: Option<PathBuf>,
    /// Never use BuildKit.
    pub(crate) classic_builds: bool,
}

/// What a container is called in messages.
pub(crate) fn container_name(id: &str) -> String {
    // Whole ids say nothing to a person, and no more than their first twelve digits do.
    match id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => format!("container `{}`", &id[..12]),
        false => format!("container `{id}`"),
    }
}

fn image_name(reference: &str) -> String {
    format!("image `{reference}`")
}

fn network_name(name: &str) -> String {
    format!("network `{name}`")
}

fn volume_name(name: &str) -> String {
    format!("volume `{name}`")
}

/// A thing that is gone is what was asked for.
fn or_gone(result: Result<(), Fault>) -> Result<(), Fault> {
    match result {
        Err(Fault::Refused { status: 404, .. }) => Ok(()),
        other => other,
    }
}

#[async_trait]
impl Engine for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn hold(&self, name: &str, waits: Box<dyn FnOnce() + Send>) -> Result<Hold, EngineError> {
        acts::hold(self, name, waits).await
    }

    async fn check_ports(&self, specs: &[ContainerSpec]) -> Vec<EngineError> {
        ports::check(&self.client, specs).await
    }

    async fn check_container(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let failed = |fault: Fault| fault.at("create", container_name(&spec.name));
        let version = self.client.api().await.map_err(failed)?.version;
        create::creation(spec, version).map(|_| ()).map_err(failed)
    }

    async fn list_containers(&self, labels: &[String]) -> Result<Vec<ContainerSummary>, EngineError> {
        acts::list(&self.client, labels).await.map_err(|fault| fault.at("list", "containers"))
    }

    async fn inspect_container(&self, id: &str) -> Result<ContainerSummary, EngineError> {
        self.describe_container(id).await.map(|found| summary::container(&found))
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
        acts::create(&self.client, spec).await.map_err(|fault| fault.at("create", container_name(&spec.name)))
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        acts::start(&self.client, id).await
    }

    async fn stop_container(&self, id: &ContainerId, options: StopOptions) -> Result<(), EngineError> {
        acts::stop(&self.client, &id.0, options).await.map_err(|fault| fault.at("stop", container_name(&id.0)))
    }

    async fn kill_container(&self, id: &ContainerId, signal: &str) -> Result<(), EngineError> {
        let failed = |fault: Fault| fault.at("send a signal to", container_name(&id.0));
        let api = self.client.api().await.map_err(failed)?;
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        api.docker.kill_container(&id.0, Some(options)).await.map_err(|error| failed(error.into()))
    }

    async fn remove_container(&self, id: &ContainerId, anonymous_volumes: bool) -> Result<(), EngineError> {
        let removed = acts::remove(&self.client, &self.hub, &id.0, anonymous_volumes).await;
        removed.map_err(|fault| fault.at("remove", container_name(&id.0)))
    }

    async fn rename_container(&self, id: &ContainerId, name: &str) -> Result<(), EngineError> {
        let failed = |fault: Fault| fault.at("rename", container_name(&id.0));
        let api = self.client.api().await.map_err(failed)?;
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        match api.docker.rename_container(&id.0, options).await.map_err(Fault::from) {
            // The engine calls its own name a conflict.
            Err(Fault::Refused { message, .. }) if message.contains("as its current name") => Ok(()),
            other => other.map_err(failed),
        }
    }

    async fn update_container(&self, id: &ContainerId, update: &ContainerUpdate) -> Result<(), EngineError> {
        let failed = |fault: Fault| fault.at("update", container_name(&id.0));
        let change = host_config::update(update).map_err(failed)?;
        self.client.post(&format!("/containers/{}/update", escape(&id.0)), &change).await.map(drop).map_err(failed)
    }

    async fn pause_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        let failed = |fault: Fault| fault.at("pause", container_name(&id.0));
        let api = self.client.api().await.map_err(failed)?;
        match api.docker.pause_container(&id.0).await.map_err(Fault::from) {
            Err(Fault::Refused { message, .. }) if message.contains("already paused") => Ok(()),
            other => other.map_err(failed),
        }
    }

    async fn unpause_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        let failed = |fault: Fault| fault.at("unpause", container_name(&id.0));
        let api = self.client.api().await.map_err(failed)?;
        match api.docker.unpause_container(&id.0).await.map_err(Fault::from) {
            Err(Fault::Refused { message, .. }) if message.contains("not paused") => Ok(()),
            other => other.map_err(failed),
        }
    }

    async fn restart_container(&self, id: &ContainerId, options: StopOptions) -> Result<(), EngineError> {
        if options.signal.is_some() {
            self.stop_container(id, options).await?;
            return self.start_container(id).await;
        }
        let pairs: Vec<_> = options.grace.map(|grace| ("t", grace.as_secs().to_string())).into_iter().collect();
        let path = format!("/containers/{}/restart{}", escape(&id.0), query(&pairs));
        let restarted = self.client.post(&path, &Value::Null).await;
        restarted.map(|_| ()).map_err(|fault| fault.at("restart", container_name(&id.0)))
    }

    async fn attach_container(&self, id: &ContainerId, io: AttachIo) -> Result<AttachEnd, EngineError> {
        streams::attach(&self.client, &id.0, io).await
    }

    async fn container_statistics(&self, id: &ContainerId) -> Result<mpsc::Receiver<Statistics>, EngineError> {
        follow::statistics(&self.client, &id.0).await
    }

    async fn container_processes(&self, id: &ContainerId, arguments: &[String]) -> Result<ProcessTable, EngineError> {
        let failed = |fault: Fault| fault.at("list the processes of", container_name(&id.0));
        let api = self.client.api().await.map_err(failed)?;
        let arguments = if arguments.is_empty() { "-ef".to_owned() } else { arguments.join(" ") };
        let options = TopOptionsBuilder::new().ps_args(&arguments).build();
        let found = within(LOOK, async { Ok(api.docker.top_processes(&id.0, Some(options)).await?) }).await;
        let found = found.map_err(failed)?;
        Ok(ProcessTable { titles: found.titles.unwrap_or_default(), rows: found.processes.unwrap_or_default() })
    }

    async fn stat_path(&self, id: &ContainerId, path: &str) -> Result<PathStat, EngineError> {
        let found = files::stat(&self.client, &id.0, path).await;
        found.map_err(|fault| fault.at(&format!("look at `{path}` in"), container_name(&id.0)))
    }

    async fn copy_out(&self, id: &ContainerId, path: &str, archive: OwnedFd) -> Result<(), EngineError> {
        let copied = files::copy_out(&self.client, &id.0, path, archive).await;
        copied.map_err(|fault| fault.at(&format!("copy `{path}` out of"), container_name(&id.0)))
    }

    async fn copy_in(
        &self,
        id: &ContainerId,
        path: &str,
        archive: OwnedFd,
        options: CopyIn,
    ) -> Result<(), EngineError> {
        let copied = files::copy_in(&self.client, &id.0, path, archive, options).await;
        copied.map_err(|fault| fault.at(&format!("copy to `{path}` in"), container_name(&id.0)))
    }

    async fn container_changes(&self, id: &ContainerId) -> Result<Vec<PathChange>, EngineError> {
        let found = files::changes(&self.client, &id.0).await;
        found.map_err(|fault| fault.at("tell what was changed by", container_name(&id.0)))
    }

    async fn export_container(&self, id: &ContainerId, archive: OwnedFd) -> Result<(), EngineError> {
        let failed = |fault: Fault| fault.at("export", container_name(&id.0));
        let path = format!("/containers/{}/export", escape(&id.0));
        let answer = self.client.call(Method::GET, &path, None, bollard::body_full(Bytes::new())).await;
        let body = answer.map_err(failed)?.into_body();
        crate::docker::lines::write_all(body, archive).await.map_err(failed)
    }

    async fn commit_container(&self, id: &ContainerId, spec: &CommitSpec) -> Result<String, EngineError> {
        acts::commit(&self.client, &id.0, spec)
            .await
            .map_err(|fault| fault.at("make an image of", container_name(&id.0)))
    }

    async fn describe_container(&self, id: &str) -> Result<Value, EngineError> {
        let failed = |fault: Fault| fault.at("look at", container_name(id));
        self.client.get(&format!("/containers/{}/json", escape(id))).await.map_err(failed)
    }

    async fn measure_container(&self, id: &str) -> Result<ContainerSize, EngineError> {
        usage::container(&self.client, id).await.map_err(|fault| fault.at("look at", container_name(id)))
    }

    async fn occurrences(&self, query: OccurrenceQuery) -> Result<mpsc::Receiver<Occurrence>, EngineError> {
        follow::occurrences(&self.client, query).await
    }

    async fn watch_container(&self, id: &ContainerId) -> Result<mpsc::Receiver<ContainerState>, EngineError> {
        follow::state(&self.client, &self.hub, id.0.clone()).await
    }

    async fn watch_containers(&self, labels: &[String]) -> Result<mpsc::Receiver<ContainerSummary>, EngineError> {
        follow::new_containers(&self.client, &self.hub, labels.to_vec()).await
    }

    async fn container_logs(&self, id: &ContainerId, query: LogQuery) -> Result<mpsc::Receiver<LogLine>, EngineError> {
        logs::logs(&self.client, &self.hub, id.0.clone(), query).await
    }

    async fn exec(&self, id: &ContainerId, spec: &ExecSpec, io: ExecIo) -> Result<i32, EngineError> {
        streams::exec(&self.client, &id.0, spec, io).await
    }

    async fn list_networks(&self, labels: &[String]) -> Result<Vec<NetworkSummary>, EngineError> {
        resources::list_networks(&self.client, labels).await.map_err(|fault| fault.at("list", "networks"))
    }

    async fn inspect_network(&self, name: &str) -> Result<Option<NetworkSummary>, EngineError> {
        let found = resources::find_network(&self.client, name).await;
        found.map_err(|fault| fault.at("look at", network_name(name)))
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError> {
        let created = resources::create_network(&self.client, spec).await;
        created.map_err(|fault| fault.at("create", network_name(&spec.name)))
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let removed = resources::remove_network(&self.client, name).await;
        removed.map_err(|fault| fault.at("remove", network_name(name)))
    }

    async fn connect_network(&self, id: &ContainerId, endpoint: &Endpoint) -> Result<(), EngineError> {
        let failed =
            |fault: Fault| fault.at(&format!("connect {} to", container_name(&id.0)), network_name(&endpoint.network));
        let connected = match acts::connect(&self.client, &id.0, endpoint).await {
            Err(fault) if resources::is_ambiguous(&fault) => {
                resources::keep_one(&self.client, &endpoint.network).await.map_err(failed)?;
                acts::connect(&self.client, &id.0, endpoint).await
            }
            other => other,
        };
        match connected {
            Err(Fault::Refused { message, .. }) if message.contains("already exists in network") => Ok(()),
            other => other.map_err(failed),
        }
    }

    async fn disconnect_network(&self, id: &ContainerId, network: &str) -> Result<(), EngineError> {
        let path = format!("/networks/{}/disconnect", escape(network));
        match self.client.post(&path, &json!({"Container": id.0, "Force": true})).await {
            Err(Fault::Refused { message, .. }) if message.contains("is not connected to") => Ok(()),
            other => or_gone(other.map(|_| ()))
                .map_err(|fault| fault.at(&format!("take {} off", container_name(&id.0)), network_name(network))),
        }
    }

    async fn describe_network(&self, name: &str) -> Result<Value, EngineError> {
        let found = self.client.get(&format!("/networks/{}", escape(name))).await;
        found.map_err(|fault| fault.at("look at", network_name(name)))
    }

    async fn list_volumes(&self, labels: &[String]) -> Result<Vec<VolumeSummary>, EngineError> {
        let filters = json!({"label": labels});
        let path = format!("/volumes{}", query(&[("filters", filters.to_string())]));
        let found = self.client.get(&path).await.map_err(|fault| fault.at("list", "volumes"))?;
        Ok(found["Volumes"].as_array().into_iter().flatten().map(summary::volume).collect())
    }

    async fn inspect_volume(&self, name: &str) -> Result<Option<VolumeSummary>, EngineError> {
        match self.client.get(&format!("/volumes/{}", escape(name))).await {
            Ok(found) => Ok(Some(summary::volume(&found))),
            Err(Fault::Refused { status: 404, .. }) => Ok(None),
            Err(fault) => Err(fault.at("look at", volume_name(name))),
        }
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<(), EngineError> {
        let asked = json!({"Name": spec.name, "Driver": spec.driver.as_deref().unwrap_or("local"),
            "DriverOpts": spec.driver_opts, "Labels": spec.labels});
        let created = self.client.post("/volumes/create", &asked).await;
        created.map(|_| ()).map_err(|fault| fault.at("create", volume_name(&spec.name)))
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let path = format!("/volumes/{}", escape(name));
        let removed = self.client.call(Method::DELETE, &path, None, bollard::body_full(Bytes::new())).await;
        or_gone(removed.map(|_| ())).map_err(|fault| fault.at("remove", volume_name(name)))
    }

    async fn describe_volume(&self, name: &str) -> Result<Value, EngineError> {
        let found = self.client.get(&format!("/volumes/{}", escape(name))).await;
        found.map_err(|fault| fault.at("look at", volume_name(name)))
    }

    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageSummary>, EngineError> {
        let found = images::find(&self.client, reference).await;
        found
            .map(|found| found.as_ref().map(summary::image))
            .map_err(|fault| fault.at("look at", image_name(reference)))
    }

    async fn pull_image(&self, spec: &PullSpec, progress: &ProgressSink) -> Result<ImageSummary, EngineError> {
        let pulled = images::pull(&self.client, &self.logins, spec, progress).await;
        pulled.map_err(|fault| fault.at("pull", image_name(&spec.reference)))
    }

    async fn build_image(&self, spec: &BuildSpec, progress: &ProgressSink) -> Result<ImageSummary, EngineError> {
        build::build(self, spec, progress).await
    }

    async fn load_images(&self, archive: OwnedFd, progress: &ProgressSink) -> Result<Vec<ImageSummary>, EngineError> {
        images::load(&self.client, archive, progress).await.map_err(|fault| fault.at("load", "image archive"))
    }

    async fn disk_usage(&self) -> Result<DiskUsage, EngineError> {
        usage::disk_usage(&self.client).await.map_err(|fault| fault.at("look at", "the disk"))
    }

    async fn list_images(&self) -> Result<Vec<ImageSummary>, EngineError> {
        let found = self.client.get("/images/json").await.map_err(|fault| fault.at("list", "images"))?;
        Ok(found.as_array().into_iter().flatten().map(summary::listed_image).collect())
    }

    async fn describe_image(&self, reference: &str) -> Result<Value, EngineError> {
        let failed = |fault: Fault| fault.at("look at", image_name(reference));
        let gone = || failed(Fault::Refused { status: 404, message: format!("no such image: {reference}") });
        images::find(&self.client, reference).await.map_err(failed)?.ok_or_else(gone)
    }

    async fn image_history(&self, reference: &str) -> Result<Vec<HistoryEntry>, EngineError> {
        let found = images::history(&self.client, reference).await;
        found.map_err(|fault| fault.at("tell the history of", image_name(reference)))
    }

    async fn tag_image(&self, reference: &str, new: &str) -> Result<(), EngineError> {
        let tagged = images::tag(&self.client, reference, new).await;
        tagged.map_err(|fault| fault.at(&format!("give the name `{new}` to"), image_name(reference)))
    }

    async fn push_image(&self, spec: &PushSpec, progress: &ProgressSink) -> Result<String, EngineError> {
        let pushed = images::push(&self.client, &self.logins, spec, progress).await;
        pushed.map_err(|fault| fault.at("push", image_name(&spec.reference)))
    }

    async fn resolve_digest(&self, reference: &str) -> Result<String, EngineError> {
        let found = images::resolve(&self.client, &self.logins, reference).await;
        found.map_err(|fault| fault.at("ask the registry for", image_name(reference)))
    }

    async fn save_images(&self, references: &[String], archive: OwnedFd) -> Result<(), EngineError> {
        let saved = images::save(&self.client, references, archive).await;
        saved.map_err(|fault| fault.at("save", image_name(&references.join(" "))))
    }

    async fn import_image(
        &self,
        archive: OwnedFd,
        reference: Option<&str>,
        changes: &[String],
    ) -> Result<String, EngineError> {
        let imported = images::import(&self.client, archive, reference, changes).await;
        imported.map_err(|fault| fault.at("import", reference.map_or_else(|| "image".to_owned(), image_name)))
    }

    async fn untag_image(&self, reference: &str, force: bool) -> Result<Vec<RemovedImage>, EngineError> {
        let removed = images::untag(&self.client, reference, force).await;
        removed.map_err(|fault| fault.at("remove", image_name(reference)))
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        let removed = images::untag(&self.client, reference, false).await.map(|_| ());
        or_gone(removed).map_err(|fault| fault.at("remove", image_name(reference)))
    }
}
