//! The trait's methods, an act of the runtime each. The runtime blocks, so its acts run on threads made for that.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use async_trait::async_trait;
use orchestrator::engine::Engine;
use orchestrator::engine::archive::{CopyIn, PathChange, PathStat};
use orchestrator::engine::attach::{AttachEnd, AttachIo};
use orchestrator::engine::container::{
    CommitSpec, ContainerId, ContainerSpec, ContainerState, ContainerSummary, Endpoint, NetworkMode, StopOptions,
};
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::exec::{ExecIo, ExecSpec};
use orchestrator::engine::hold::Hold;
use orchestrator::engine::image::{BuildSpec, HistoryEntry, ImageSummary, PullSpec, PushSpec, RemovedImage};
use orchestrator::engine::log::{LogLine, LogQuery};
use orchestrator::engine::network::{NetworkSpec, NetworkSummary};
use orchestrator::engine::occurrence::{Occurrence, OccurrenceQuery};
use orchestrator::engine::progress::ProgressSink;
use orchestrator::engine::statistics::{ProcessTable, Statistics};
use orchestrator::engine::update::ContainerUpdate;
use orchestrator::engine::usage::{CacheEntry, CachePrune, ContainerSize, DiskUsage};
use orchestrator::engine::volume::{VolumeSpec, VolumeSummary};
use runtime::Runtime;
use runtime::container::remove::{RemoveError, RemoveRequest};
use runtime::container::{create, kill, list, remove, rename, signal, start, stop};
use runtime::network::ports::{self, PortConflict};
use runtime::network::{self, NetworkError};
use runtime::state::record::{self, RecordError};
use runtime::volume::{self, VolumeRequest};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::embedded::summary::{self, Networks};
use crate::embedded::{
    EmbeddedOptions, acts, asked_network, attach, build, cache, describe, enter, errors, files, follow, images,
    observe, picture, predefined, request, security, surroundings, update, usage,
};

/// The engine over the embedded runtime.
#[derive(Debug)]
pub struct Embedded {
    pub(crate) rt: Runtime,
    pub(crate) options: EmbeddedOptions,
}

/// Runs what blocks on a thread made for that.
pub(crate) async fn blocking<T: Send + 'static>(
    rt: &Runtime,
    act: impl FnOnce(&Runtime) -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    let rt = rt.clone();
    match tokio::task::spawn_blocking(move || act(&rt)).await {
        Ok(result) => result,
        Err(error) => Err(errors::broken(&error.to_string())),
    }
}

/// Looks at small files, in memory as a rule, right here: a thread for it would cost more than the act.
pub(crate) async fn reading<T: Send>(
    rt: &Runtime,
    act: impl FnOnce(&Runtime) -> Result<T, EngineError> + Send,
) -> Result<T, EngineError> {
    act(rt)
}

pub(crate) fn signal_number(name: &str, text: &str) -> Result<i32, EngineError> {
    signal::parse(text)
        .map_err(|error| EngineError::new(ErrorKind::Unsupported, errors::container(name), error.to_string()))
}

#[async_trait]
impl Engine for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    async fn hold(&self, name: &str, waits: Box<dyn FnOnce() + Send>) -> Result<Hold, EngineError> {
        let (path, name) = (self.rt.layout.hold(name), name.to_owned());
        blocking(&self.rt, move |_| {
            let failed = |error: RecordError| errors::hold(&name, &error);
            let lock = match record::try_lock(&path).map_err(failed)? {
                Some(lock) => lock,
                None => {
                    waits();
                    record::lock(&path).map_err(failed)?
                }
            };
            Ok(Hold::of(lock))
        })
        .await
    }

    async fn check_ports(&self, specs: &[ContainerSpec]) -> Vec<EngineError> {
        let wanted: Vec<_> = specs.iter().flat_map(request::ports).collect();
        if wanted.is_empty() {
            return Vec::new();
        }
        let names: BTreeSet<String> = specs.iter().map(|spec| spec.name.clone()).collect();
        let checked = blocking(&self.rt, move |rt| {
            let conflicts = ports::check(rt, &wanted);
            // A container that a killed command was starting may have its ports by now.
            let is_others = |conflict: &&PortConflict| !conflict.container().is_some_and(|name| names.contains(name));
            Ok(conflicts.iter().filter(is_others).map(|conflict| errors::port(rt, conflict)).collect())
        });
        checked.await.unwrap_or_else(|error| vec![error])
    }

    async fn list_containers(&self, labels: &[String]) -> Result<Vec<ContainerSummary>, EngineError> {
        let labels = labels.to_vec();
        reading(&self.rt, move |rt| {
            let (containers, networks) = observe::containers(rt, &labels)?;
            Ok(containers.iter().map(|container| summary::container(container, &networks)).collect())
        })
        .await
    }

    async fn inspect_container(&self, id: &str) -> Result<ContainerSummary, EngineError> {
        let id = id.to_owned();
        reading(&self.rt, move |rt| {
            let container = list::find(rt, &id).map_err(|error| errors::find(&id, &error))?;
            Ok(summary::container(&container, &Networks::around(rt, &container.record)?))
        })
        .await
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
        let (mut request, platform) = (request::request(spec)?, spec.platform.clone());
        let options = self.options.clone();
        let endpoints = match &spec.network {
            NetworkMode::Networks(endpoints) => endpoints.clone(),
            NetworkMode::None | NetworkMode::Host | NetworkMode::Container(_) => Vec::new(),
        };
        blocking(&self.rt, move |rt| {
            if endpoints.iter().any(|endpoint| endpoint.network == predefined::BRIDGE) {
                predefined::ensure_bridge(rt)?;
                predefined::must_have_links(rt, &request.name, &endpoints)?;
            }
            images::must_be_for(rt, &request.image, platform.as_deref())?;
            surroundings::of_container(rt, &options, &mut request);
            security::usual_label(&options, &mut request.security);
            let created = create::create(rt, &request);
            created.map(ContainerId).map_err(|error| errors::create(&request.name, &error))
        })
        .await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        let id = id.0.clone();
        blocking(&self.rt, move |rt| start::start(rt, &id).map_err(|error| errors::start(&id, &error))).await
    }

    async fn stop_container(&self, id: &ContainerId, options: StopOptions) -> Result<(), EngineError> {
        let id = id.0.clone();
        let request = acts::stop_request(&id, &options)?;
        blocking(&self.rt, move |rt| stop::stop(rt, &id, request).map_err(|error| errors::stop(&id, &error))).await
    }

    async fn kill_container(&self, id: &ContainerId, signal: &str) -> Result<(), EngineError> {
        let id = id.0.clone();
        let signal = signal_number(&id, signal)?;
        blocking(&self.rt, move |rt| kill::kill(rt, &id, signal).map_err(|error| errors::kill(&id, &error))).await
    }

    async fn remove_container(&self, id: &ContainerId, anonymous_volumes: bool) -> Result<(), EngineError> {
        let id = id.0.clone();
        blocking(&self.rt, move |rt| {
            let request = RemoveRequest { force: true, volumes: anonymous_volumes };
            match remove::remove(rt, &id, request) {
                // Gone is what was asked for.
                Ok(()) | Err(RemoveError::Find(list::FindError::NotFound { .. })) => Ok(()),
                Err(error) => Err(errors::remove(&id, &error)),
            }
        })
        .await
    }

    async fn rename_container(&self, id: &ContainerId, name: &str) -> Result<(), EngineError> {
        let (id, name) = (id.0.clone(), name.to_owned());
        blocking(&self.rt, move |rt| rename::rename(rt, &id, &name).map_err(|error| errors::rename(&id, &error))).await
    }

    async fn pause_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        acts::pause(&self.rt, id.0.clone()).await
    }

    async fn unpause_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        acts::unpause(&self.rt, id.0.clone()).await
    }

    async fn update_container(&self, id: &ContainerId, update: &ContainerUpdate) -> Result<(), EngineError> {
        update::update(&self.rt, id.0.clone(), update).await
    }

    async fn restart_container(&self, id: &ContainerId, options: StopOptions) -> Result<(), EngineError> {
        acts::restart(&self.rt, id.0.clone(), options).await
    }

    async fn uncaught_stop_signal(&self, id: &ContainerId) -> Option<String> {
        acts::uncaught_stop_signal(&self.rt, id.0.clone()).await
    }

    async fn resume_containers(&self) -> Result<Vec<(String, Option<EngineError>)>, EngineError> {
        acts::resume(&self.rt).await
    }

    async fn attach_container(&self, id: &ContainerId, io: AttachIo) -> Result<AttachEnd, EngineError> {
        attach::attach(&self.rt, id.0.clone(), io).await
    }

    async fn container_statistics(&self, id: &ContainerId) -> Result<mpsc::Receiver<Statistics>, EngineError> {
        acts::statistics(&self.rt, id.0.clone()).await
    }

    async fn container_processes(&self, id: &ContainerId, arguments: &[String]) -> Result<ProcessTable, EngineError> {
        acts::processes(&self.rt, id.0.clone(), arguments.to_vec()).await
    }

    async fn stat_path(&self, id: &ContainerId, path: &str) -> Result<PathStat, EngineError> {
        files::stat(&self.rt, id.0.clone(), path.to_owned()).await
    }

    async fn copy_out(&self, id: &ContainerId, path: &str, archive: OwnedFd) -> Result<(), EngineError> {
        files::copy_out(&self.rt, id.0.clone(), path.to_owned(), archive).await
    }

    async fn copy_in(
        &self,
        id: &ContainerId,
        path: &str,
        archive: OwnedFd,
        options: CopyIn,
    ) -> Result<(), EngineError> {
        files::copy_in(&self.rt, id.0.clone(), path.to_owned(), archive, options).await
    }

    async fn remove_paths(&self, id: &ContainerId, paths: &[String]) -> Result<(), EngineError> {
        files::remove(&self.rt, id.0.clone(), paths.to_vec()).await
    }

    async fn container_changes(&self, id: &ContainerId) -> Result<Vec<PathChange>, EngineError> {
        files::changes(&self.rt, id.0.clone()).await
    }

    async fn export_container(&self, id: &ContainerId, archive: OwnedFd) -> Result<(), EngineError> {
        files::export(&self.rt, id.0.clone(), archive).await
    }

    async fn commit_container(&self, id: &ContainerId, spec: &CommitSpec) -> Result<String, EngineError> {
        files::commit(&self.rt, id.0.clone(), spec).await
    }

    async fn describe_container(&self, id: &str) -> Result<Value, EngineError> {
        let id = id.to_owned();
        blocking(&self.rt, move |rt| describe::container(rt, &id, &observe::networks(rt, &[])?)).await
    }

    async fn measure_container(&self, id: &str) -> Result<ContainerSize, EngineError> {
        let id = id.to_owned();
        blocking(&self.rt, move |rt| usage::container(rt, &id)).await
    }

    async fn describe_network(&self, name: &str) -> Result<Value, EngineError> {
        let name = name.to_owned();
        blocking(&self.rt, move |rt| describe::network(rt, &name)).await
    }

    async fn describe_volume(&self, name: &str) -> Result<Value, EngineError> {
        let name = name.to_owned();
        blocking(&self.rt, move |rt| describe::volume(rt, &name)).await
    }

    async fn occurrences(&self, query: OccurrenceQuery) -> Result<mpsc::Receiver<Occurrence>, EngineError> {
        acts::occurrences(&self.rt, query).await
    }

    async fn watch_container(&self, id: &ContainerId) -> Result<mpsc::Receiver<ContainerState>, EngineError> {
        follow::state(&self.rt, id.0.clone())
    }

    async fn watch_containers(&self, labels: &[String]) -> Result<mpsc::Receiver<ContainerSummary>, EngineError> {
        follow::new_containers(&self.rt, labels.to_vec()).await
    }

    async fn container_logs(&self, id: &ContainerId, query: LogQuery) -> Result<mpsc::Receiver<LogLine>, EngineError> {
        follow::logs(&self.rt, id.0.clone(), query).await
    }

    async fn exec(&self, id: &ContainerId, spec: &ExecSpec, io: ExecIo) -> Result<i32, EngineError> {
        enter::exec(&self.rt, id.0.clone(), spec, io).await
    }

    async fn list_networks(&self, labels: &[String]) -> Result<Vec<NetworkSummary>, EngineError> {
        reading(&self.rt, |rt| summary::networks(rt, labels)).await
    }

    async fn inspect_network(&self, name: &str) -> Result<Option<NetworkSummary>, EngineError> {
        reading(&self.rt, |rt| summary::network_of(rt, name)).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError> {
        asked_network::check_addresses(spec)?;
        if let Some(name) = predefined::find(&self.rt, &spec.name) {
            return Err(predefined::not_permitted(name));
        }
        let request = asked_network::network_request(spec);
        blocking(&self.rt, move |rt| {
            let failed = |error: NetworkError| errors::network(&request.name, "create", &error);
            match network::create(rt, &request) {
                Ok(_) => Ok(()),
                Err(error @ NetworkError::NameTaken { .. }) => {
                    match network::find(rt, &request.name).map_err(failed)? {
                        Some(found) if asked_network::is_same(&found, &request) => Ok(()),
                        Some(_) | None => Err(failed(error)),
                    }
                }
                Err(error) => Err(failed(error)),
            }
        })
        .await
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        if let Some(name) = predefined::find(&self.rt, name) {
            return Err(predefined::never_removed(name));
        }
        let name = name.to_owned();
        blocking(&self.rt, move |rt| match network::remove(rt, &name) {
            Ok(()) | Err(NetworkError::NotFound { .. }) => Ok(()),
            Err(error) => Err(errors::network(&name, "remove", &error)),
        })
        .await
    }

    async fn let_go_of_networks(&self) -> Result<(), EngineError> {
        blocking(&self.rt, predefined::let_go).await
    }

    async fn connect_network(&self, id: &ContainerId, endpoint: &Endpoint) -> Result<(), EngineError> {
        acts::connect(&self.rt, id.0.clone(), endpoint.clone()).await
    }

    async fn disconnect_network(&self, id: &ContainerId, network: &str) -> Result<(), EngineError> {
        acts::disconnect(&self.rt, id.0.clone(), network.to_owned()).await
    }

    async fn list_volumes(&self, labels: &[String]) -> Result<Vec<VolumeSummary>, EngineError> {
        let labels = labels.to_vec();
        reading(&self.rt, move |rt| {
            let volumes = volume::list(rt).map_err(|error| errors::volume("*", "list", &error))?;
            let wanted = volumes.iter().filter(|volume| summary::has_labels(&volume.labels, &labels));
            Ok(wanted.map(summary::volume).collect())
        })
        .await
    }

    async fn inspect_volume(&self, name: &str) -> Result<Option<VolumeSummary>, EngineError> {
        let name = name.to_owned();
        reading(&self.rt, move |rt| {
            let found = volume::find(rt, &name).map_err(|error| errors::volume(&name, "look at", &error))?;
            Ok(found.as_ref().map(summary::volume))
        })
        .await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<(), EngineError> {
        let request = VolumeRequest {
            name: spec.name.clone(),
            driver: spec.driver.clone(),
            options: spec.driver_opts.clone(),
            labels: spec.labels.clone(),
            anonymous: false,
        };
        blocking(&self.rt, move |rt| {
            volume::create(rt, &request).map(|_| ()).map_err(|error| errors::volume(&request.name, "create", &error))
        })
        .await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let name = name.to_owned();
        blocking(&self.rt, move |rt| {
            volume::remove(rt, &name).map(|_| ()).map_err(|error| errors::volume(&name, "remove", &error))
        })
        .await
    }

    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageSummary>, EngineError> {
        let reference = reference.to_owned();
        reading(&self.rt, move |rt| images::inspect(rt, &reference)).await
    }

    async fn pull_image(&self, spec: &PullSpec, progress: &ProgressSink) -> Result<ImageSummary, EngineError> {
        let (options, spec, progress) = (self.options.clone(), spec.clone(), progress.clone());
        blocking(&self.rt, move |rt| images::pull(rt, &options, &spec, progress)).await
    }

    async fn build_image(&self, spec: &BuildSpec, progress: &ProgressSink) -> Result<ImageSummary, EngineError> {
        let (options, spec, progress) = (self.options.clone(), spec.clone(), progress.clone());
        blocking(&self.rt, move |rt| build::build(rt, &options, &spec, progress)).await
    }

    async fn list_build_cache(&self) -> Result<Vec<CacheEntry>, EngineError> {
        blocking(&self.rt, cache::list).await
    }

    async fn prune_build_cache(&self, prune: &CachePrune) -> Result<(Vec<CacheEntry>, u64), EngineError> {
        let prune = prune.clone();
        blocking(&self.rt, move |rt| cache::prune(rt, &prune)).await
    }

    async fn load_images(&self, archive: OwnedFd, progress: &ProgressSink) -> Result<Vec<ImageSummary>, EngineError> {
        let progress = progress.clone();
        blocking(&self.rt, move |rt| images::load(rt, archive, progress)).await
    }

    async fn list_images(&self) -> Result<Vec<ImageSummary>, EngineError> {
        blocking(&self.rt, images::list).await
    }

    async fn describe_image(&self, reference: &str) -> Result<Value, EngineError> {
        let reference = reference.to_owned();
        blocking(&self.rt, move |rt| picture::describe(rt, &reference)).await
    }

    async fn image_history(&self, reference: &str) -> Result<Vec<HistoryEntry>, EngineError> {
        let reference = reference.to_owned();
        blocking(&self.rt, move |rt| picture::history(rt, &reference)).await
    }

    async fn tag_image(&self, reference: &str, new: &str) -> Result<(), EngineError> {
        let (reference, new) = (reference.to_owned(), new.to_owned());
        blocking(&self.rt, move |rt| images::tag(rt, &reference, &new)).await
    }

    async fn push_image(&self, spec: &PushSpec, progress: &ProgressSink) -> Result<String, EngineError> {
        let (spec, progress) = (spec.clone(), progress.clone());
        blocking(&self.rt, move |rt| images::push(rt, &spec, progress)).await
    }

    async fn resolve_digest(&self, reference: &str) -> Result<String, EngineError> {
        let reference = reference.to_owned();
        blocking(&self.rt, move |rt| images::digest(rt, &reference)).await
    }

    async fn save_images(&self, references: &[String], archive: OwnedFd) -> Result<(), EngineError> {
        let references = references.to_vec();
        blocking(&self.rt, move |rt| images::save(rt, &references, archive)).await
    }

    async fn export_image(&self, reference: &str, archive: OwnedFd) -> Result<(), EngineError> {
        let reference = reference.to_owned();
        blocking(&self.rt, move |rt| images::export(rt, &reference, archive)).await
    }

    async fn import_image(
        &self,
        archive: OwnedFd,
        reference: Option<&str>,
        changes: &[String],
    ) -> Result<String, EngineError> {
        let (reference, changes) = (reference.map(str::to_owned), changes.to_vec());
        blocking(&self.rt, move |rt| images::import(rt, archive, reference.as_deref(), &changes)).await
    }

    async fn untag_image(&self, reference: &str, force: bool) -> Result<Vec<RemovedImage>, EngineError> {
        let reference = reference.to_owned();
        blocking(&self.rt, move |rt| images::untag(rt, &reference, force)).await
    }

    async fn disk_usage(&self) -> Result<DiskUsage, EngineError> {
        blocking(&self.rt, usage::disk_usage).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        let reference = reference.to_owned();
        blocking(&self.rt, move |rt| images::remove(rt, &reference)).await
    }
}
