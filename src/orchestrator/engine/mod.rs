//! The seam to whatever runs containers: every method one idempotent act, plain data in and out.

pub mod archive;
pub mod attach;
pub mod container;
pub mod error;
pub mod exec;
pub mod fake;
pub mod hold;
pub mod image;
pub mod log;
pub mod network;
pub mod occurrence;
pub mod progress;
pub mod statistics;
pub mod update;
pub mod usage;
pub mod volume;

use std::os::fd::OwnedFd;

use async_trait::async_trait;
use tokio::sync::mpsc;

use archive::{CopyIn, PathChange, PathStat};
use attach::{AttachEnd, AttachIo};
use container::{CommitSpec, ContainerId, ContainerSpec, ContainerState, ContainerSummary, Endpoint, StopOptions};
use error::{EngineError, ErrorKind};
use exec::{ExecIo, ExecSpec};
use hold::Hold;
use image::{BuildSpec, HistoryEntry, ImageSummary, PullSpec, PushSpec, RemovedImage};
use log::{LogLine, LogQuery};
use network::{NetworkSpec, NetworkSummary};
use occurrence::{Occurrence, OccurrenceQuery};
use progress::ProgressSink;
use serde_json::Value;
use statistics::{ProcessTable, Statistics};
use update::ContainerUpdate;
use usage::{CacheEntry, CachePrune, ContainerSize, DiskUsage};
use volume::{VolumeSpec, VolumeSummary};

/// What an engine says of an act that it has not.
fn lacks<T>(engine: &(impl Engine + ?Sized), resource: &str, act: &str) -> Result<T, EngineError> {
    let message = format!("the {} engine can't {act}", engine.name());
    Err(EngineError::new(ErrorKind::Unsupported, resource, message))
}

/// Runs containers. Every method is one act; doing it twice is the same as once.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Name for people: `embedded`, `docker`.
    fn name(&self) -> &'static str;

    /// Whether acts are only told of: then nothing outside of the engine is to be done either.
    fn is_dry(&self) -> bool {
        false
    }

    /// Keeps other commands that hold `name` out while the result lives; calls `waits` before it waits for one.
    ///
    /// An engine without such a thing lets everybody in.
    async fn hold(&self, name: &str, waits: Box<dyn FnOnce() + Send>) -> Result<Hold, EngineError> {
        let _ = (name, waits);
        Ok(Hold::default())
    }

    /// Says, before anything is created, why these host ports can't be published: one error a port that is
    /// taken, naming the holder. What such a container holds already, found by its name, is no reason.
    async fn check_ports(&self, specs: &[ContainerSpec]) -> Vec<EngineError>;

    /// Says, before anything is created, whether the engine can make such a container at all.
    async fn check_container(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let _ = spec;
        Ok(())
    }

    /// Returns every container that has all of `labels` (`key=value`, or `key`), running or not.
    async fn list_containers(&self, labels: &[String]) -> Result<Vec<ContainerSummary>, EngineError>;

    /// Returns one container by id or name.
    async fn inspect_container(&self, id: &str) -> Result<ContainerSummary, EngineError>;

    /// Creates a container without starting it.
    async fn create_container(&self, spec: &ContainerSpec) -> Result<ContainerId, EngineError>;

    /// Starts it; returns once its program has been exec'd. Already running: nothing.
    async fn start_container(&self, id: &ContainerId) -> Result<(), EngineError>;

    /// Stops it with its stop signal, then by force after the grace period; returns once it is gone.
    async fn stop_container(&self, id: &ContainerId, options: StopOptions) -> Result<(), EngineError>;

    /// Sends a signal.
    async fn kill_container(&self, id: &ContainerId, signal: &str) -> Result<(), EngineError>;

    /// Removes it, by force when running, and its anonymous volumes when asked.
    async fn remove_container(&self, id: &ContainerId, anonymous_volumes: bool) -> Result<(), EngineError>;

    /// Gives it another name.
    async fn rename_container(&self, id: &ContainerId, name: &str) -> Result<(), EngineError>;

    /// Freezes every process of it; already frozen: nothing.
    async fn pause_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        lacks(self, &id.0, "pause containers")
    }

    /// Lets a frozen one go on; not frozen: nothing.
    async fn unpause_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        lacks(self, &id.0, "unpause containers")
    }

    /// Gives it other limits, at once where it runs, and another restart policy.
    async fn update_container(&self, id: &ContainerId, update: &ContainerUpdate) -> Result<(), EngineError> {
        let _ = update;
        lacks(self, &id.0, "change containers that are there")
    }

    /// Stops and starts it, keeping its namespaces, mounts and addresses where the engine can; stopped: starts it.
    async fn restart_container(&self, id: &ContainerId, options: StopOptions) -> Result<(), EngineError> {
        self.stop_container(id, options).await?;
        self.start_container(id).await
    }

    /// Names the stop signal that its program does not catch, so that its last stop was not waited for; `None` where there
    /// was a wait.
    async fn uncaught_stop_signal(&self, id: &ContainerId) -> Option<String> {
        let _ = id;
        None
    }

    /// Starts again what a reboot of the machine has ended, as restart policies say; tells each by name, with why not.
    async fn resume_containers(&self) -> Result<Vec<(String, Option<EngineError>)>, EngineError> {
        lacks(self, "containers", "resume containers after a reboot")
    }

    /// Joins streams to those of its program until they end or the detach keys are typed. Works before the start.
    async fn attach_container(&self, id: &ContainerId, io: AttachIo) -> Result<AttachEnd, EngineError> {
        let _ = io;
        lacks(self, &id.0, "attach to containers")
    }

    /// Sends counters at once, then about once a second until the receiver is dropped or the container ends.
    async fn container_statistics(&self, id: &ContainerId) -> Result<mpsc::Receiver<Statistics>, EngineError> {
        lacks(self, &id.0, "count what containers use")
    }

    /// Lists its processes, with the columns that `ps` has for `arguments` (`-ef` when empty).
    async fn container_processes(&self, id: &ContainerId, arguments: &[String]) -> Result<ProcessTable, EngineError> {
        let _ = arguments;
        lacks(self, &id.0, "list processes")
    }

    /// Looks at a path in a container, running or not; the last link is not followed.
    async fn stat_path(&self, id: &ContainerId, path: &str) -> Result<PathStat, EngineError> {
        let _ = path;
        lacks(self, &id.0, "look into containers")
    }

    /// Writes what is at `path` as a tar whose entries begin with its last part.
    async fn copy_out(&self, id: &ContainerId, path: &str, archive: OwnedFd) -> Result<(), EngineError> {
        let _ = (path, archive);
        lacks(self, &id.0, "copy out of containers")
    }

    /// Unpacks a tar into the folder `path`, in a container that runs or not.
    async fn copy_in(
        &self,
        id: &ContainerId,
        path: &str,
        archive: OwnedFd,
        options: CopyIn,
    ) -> Result<(), EngineError> {
        let _ = (path, archive, options);
        lacks(self, &id.0, "copy into containers")
    }

    /// Removes these absolute paths, folders with all in them; what is not there is no error.
    async fn remove_paths(&self, id: &ContainerId, paths: &[String]) -> Result<(), EngineError> {
        exec::remove(self, id, paths).await
    }

    /// Lists what it changed against its image.
    async fn container_changes(&self, id: &ContainerId) -> Result<Vec<PathChange>, EngineError> {
        lacks(self, &id.0, "tell what a container changed")
    }

    /// Writes its whole file system as a tar, without what is mounted.
    async fn export_container(&self, id: &ContainerId, archive: OwnedFd) -> Result<(), EngineError> {
        let _ = archive;
        lacks(self, &id.0, "export containers")
    }

    /// Makes an image of it and returns the image's id.
    async fn commit_container(&self, id: &ContainerId, spec: &CommitSpec) -> Result<String, EngineError> {
        let _ = spec;
        lacks(self, &id.0, "make images of containers")
    }

    /// Returns all that the engine knows of it, in the Docker API's words (`GET /containers/ID/json`).
    async fn describe_container(&self, id: &str) -> Result<Value, EngineError> {
        lacks(self, id, "describe containers")
    }

    /// Counts what its files take.
    async fn measure_container(&self, id: &str) -> Result<ContainerSize, EngineError> {
        lacks(self, id, "measure containers")
    }

    /// Sends what happens to containers, networks, volumes and images until `until` or the receiver is dropped.
    async fn occurrences(&self, query: OccurrenceQuery) -> Result<mpsc::Receiver<Occurrence>, EngineError> {
        let _ = query;
        lacks(self, "events", "report events")
    }

    /// Sends the present state at once, then each change, until the receiver is dropped or the container removed.
    async fn watch_container(&self, id: &ContainerId) -> Result<mpsc::Receiver<ContainerState>, EngineError>;

    /// Sends each container that has all of `labels` whenever it is created or started, until the receiver is
    /// dropped; those that are there already are not sent. An engine that can't is `Unsupported`.
    async fn watch_containers(&self, labels: &[String]) -> Result<mpsc::Receiver<ContainerSummary>, EngineError> {
        let _ = labels;
        lacks(self, "new containers", "report new containers")
    }

    /// Sends log lines in order; with `follow` until the container is removed or the receiver dropped.
    async fn container_logs(&self, id: &ContainerId, query: LogQuery) -> Result<mpsc::Receiver<LogLine>, EngineError>;

    /// Runs a program in a running container and returns its exit code.
    async fn exec(&self, id: &ContainerId, spec: &ExecSpec, io: ExecIo) -> Result<i32, EngineError>;

    /// Returns the networks that have all of `labels`.
    async fn list_networks(&self, labels: &[String]) -> Result<Vec<NetworkSummary>, EngineError>;

    /// Returns one network by name.
    async fn inspect_network(&self, name: &str) -> Result<Option<NetworkSummary>, EngineError>;

    /// Creates a network; one of the same name and labels is success.
    async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError>;

    /// Removes a network by name; absent is success. Containers that run hold it, predefined ones stay.
    async fn remove_network(&self, name: &str) -> Result<(), EngineError>;

    /// Takes away what the machine has for predefined networks that no container is on. They stay networks.
    async fn let_go_of_networks(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// Puts a container on a network; already there: nothing.
    async fn connect_network(&self, id: &ContainerId, endpoint: &Endpoint) -> Result<(), EngineError> {
        let _ = endpoint;
        lacks(self, &id.0, "connect containers that are there")
    }

    /// Takes a container off a network; not there: nothing.
    async fn disconnect_network(&self, id: &ContainerId, network: &str) -> Result<(), EngineError> {
        let _ = network;
        lacks(self, &id.0, "disconnect containers that are there")
    }

    /// Returns all that the engine knows of a network, in the Docker API's words.
    async fn describe_network(&self, name: &str) -> Result<Value, EngineError> {
        lacks(self, name, "describe networks")
    }

    /// Returns the volumes that have all of `labels`.
    async fn list_volumes(&self, labels: &[String]) -> Result<Vec<VolumeSummary>, EngineError>;

    /// Returns one volume by name.
    async fn inspect_volume(&self, name: &str) -> Result<Option<VolumeSummary>, EngineError>;

    /// Creates a volume; one of the same name is success.
    async fn create_volume(&self, spec: &VolumeSpec) -> Result<(), EngineError>;

    /// Removes a volume by name; absent is success.
    async fn remove_volume(&self, name: &str) -> Result<(), EngineError>;

    /// Returns all that the engine knows of a volume, in the Docker API's words.
    async fn describe_volume(&self, name: &str) -> Result<Value, EngineError> {
        lacks(self, name, "describe volumes")
    }

    /// Returns an image of the local store.
    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageSummary>, EngineError>;

    /// Brings an image into the store: from the registry, or by whatever else the engine offers.
    async fn pull_image(&self, spec: &PullSpec, progress: &ProgressSink) -> Result<ImageSummary, EngineError>;

    /// Builds an image and tags it.
    async fn build_image(&self, spec: &BuildSpec, progress: &ProgressSink) -> Result<ImageSummary, EngineError>;

    /// Lists the build cache, the longest unused first.
    async fn list_build_cache(&self) -> Result<Vec<CacheEntry>, EngineError> {
        lacks(self, "build cache", "list the build cache")
    }

    /// Removes entries of the build cache; returns them, and the bytes that are free now.
    async fn prune_build_cache(&self, prune: &CachePrune) -> Result<(Vec<CacheEntry>, u64), EngineError> {
        let _ = prune;
        lacks(self, "build cache", "prune the build cache")
    }

    /// Brings every image of an archive (a docker archive or an OCI layout) into the store.
    async fn load_images(&self, archive: OwnedFd, progress: &ProgressSink) -> Result<Vec<ImageSummary>, EngineError> {
        let _ = (archive, progress);
        lacks(self, "image archive", "load archives")
    }

    /// Returns every image of the local store.
    async fn list_images(&self) -> Result<Vec<ImageSummary>, EngineError> {
        lacks(self, "images", "list images")
    }

    /// Returns all that the engine knows of an image, in the Docker API's words.
    async fn describe_image(&self, reference: &str) -> Result<Value, EngineError> {
        lacks(self, reference, "describe images")
    }

    /// Returns what an image was made by, the newest first.
    async fn image_history(&self, reference: &str) -> Result<Vec<HistoryEntry>, EngineError> {
        lacks(self, reference, "tell an image's history")
    }

    /// Gives an image one more reference.
    async fn tag_image(&self, reference: &str, new: &str) -> Result<(), EngineError> {
        let _ = new;
        lacks(self, reference, "tag images")
    }

    /// Sends an image to its registry and returns its digest there.
    async fn push_image(&self, spec: &PushSpec, progress: &ProgressSink) -> Result<String, EngineError> {
        let _ = progress;
        lacks(self, &spec.reference, "push images")
    }

    /// Returns the digest that the registry has now for a reference, without fetching the image.
    async fn resolve_digest(&self, reference: &str) -> Result<String, EngineError> {
        lacks(self, reference, "ask a registry")
    }

    /// Writes images as one docker archive that is an OCI layout too.
    async fn save_images(&self, references: &[String], archive: OwnedFd) -> Result<(), EngineError> {
        let _ = archive;
        lacks(self, &references.join(" "), "save images")
    }

    /// Writes all files of an image, without its layers, as a tar archive.
    async fn export_image(&self, reference: &str, archive: OwnedFd) -> Result<(), EngineError> {
        let _ = archive;
        lacks(self, reference, "write out an image's files")
    }

    /// Makes an image of one layer from a tar of a whole file system; `changes` are Dockerfile instructions.
    async fn import_image(
        &self,
        archive: OwnedFd,
        reference: Option<&str>,
        changes: &[String],
    ) -> Result<String, EngineError> {
        let _ = (archive, changes);
        lacks(self, reference.unwrap_or("image"), "import archives")
    }

    /// Takes a reference away, and the image with its last one; tells what went. Refuses one that a container uses,
    /// unless by force.
    async fn untag_image(&self, reference: &str, force: bool) -> Result<Vec<RemovedImage>, EngineError> {
        let _ = force;
        lacks(self, reference, "remove images")
    }

    /// Tells what takes how much of the disk.
    async fn disk_usage(&self) -> Result<DiskUsage, EngineError> {
        lacks(self, "the disk", "tell what takes space")
    }

    /// Removes an image by reference; absent is success.
    async fn remove_image(&self, reference: &str) -> Result<(), EngineError>;
}
