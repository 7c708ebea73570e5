//! The seam to whatever runs containers: every method one idempotent act, plain data in and out.

pub mod container;
pub mod error;
pub mod exec;
pub mod fake;
pub mod hold;
pub mod image;
pub mod log;
pub mod network;
pub mod progress;
pub mod volume;

use std::os::fd::OwnedFd;

use async_trait::async_trait;
use tokio::sync::mpsc;

use container::{ContainerId, ContainerSpec, ContainerState, ContainerSummary, StopOptions};
use error::{EngineError, ErrorKind};
use exec::{ExecIo, ExecSpec};
use hold::Hold;
use image::{BuildSpec, ImageSummary, PullSpec};
use log::{LogLine, LogQuery};
use network::{NetworkSpec, NetworkSummary};
use progress::ProgressSink;
use volume::{VolumeSpec, VolumeSummary};

/// Runs containers. Every method is one act; doing it twice is the same as once.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Name for people: `embedded`, `docker`.
    fn name(&self) -> &'static str;

    /// Keeps other commands that hold `name` out while the result lives; calls `waits` before it waits for one.
    ///
    /// An engine without such a thing lets everybody in.
    async fn hold(&self, name: &str, waits: Box<dyn FnOnce() + Send>) -> Result<Hold, EngineError> {
        let _ = (name, waits);
        Ok(Hold::default())
    }

    /// Says, before anything is created, why these host ports can't be published: one error a port that is
    /// taken, naming the holder.
    async fn check_ports(&self, specs: &[ContainerSpec]) -> Vec<EngineError>;

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

    /// Sends the present state at once, then each change, until the receiver is dropped or the container removed.
    async fn watch_container(&self, id: &ContainerId) -> Result<mpsc::Receiver<ContainerState>, EngineError>;

    /// Sends each container that has all of `labels` whenever it is created or started, until the receiver is
    /// dropped; those that are there already are not sent. An engine that can't is `Unsupported`.
    async fn watch_containers(&self, labels: &[String]) -> Result<mpsc::Receiver<ContainerSummary>, EngineError> {
        let _ = labels;
        Err(EngineError::new(
            ErrorKind::Unsupported,
            "new containers",
            format!("the {} engine can't report new containers", self.name()),
        ))
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

    /// Removes a network by name; absent is success.
    async fn remove_network(&self, name: &str) -> Result<(), EngineError>;

    /// Returns the volumes that have all of `labels`.
    async fn list_volumes(&self, labels: &[String]) -> Result<Vec<VolumeSummary>, EngineError>;

    /// Returns one volume by name.
    async fn inspect_volume(&self, name: &str) -> Result<Option<VolumeSummary>, EngineError>;

    /// Creates a volume; one of the same name is success.
    async fn create_volume(&self, spec: &VolumeSpec) -> Result<(), EngineError>;

    /// Removes a volume by name; absent is success.
    async fn remove_volume(&self, name: &str) -> Result<(), EngineError>;

    /// Returns an image of the local store.
    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageSummary>, EngineError>;

    /// Brings an image into the store: from the registry, or by whatever else the engine offers.
    async fn pull_image(&self, spec: &PullSpec, progress: &ProgressSink) -> Result<ImageSummary, EngineError>;

    /// Builds an image and tags it.
    async fn build_image(&self, spec: &BuildSpec, progress: &ProgressSink) -> Result<ImageSummary, EngineError>;

    /// Brings every image of an archive (a docker archive or an OCI layout) into the store.
    async fn load_images(&self, archive: OwnedFd, progress: &ProgressSink) -> Result<Vec<ImageSummary>, EngineError> {
        let _ = (archive, progress);
        let message = format!("the {} engine can't load archives", self.name());
        Err(EngineError::new(ErrorKind::Unsupported, "image archive", message))
    }

    /// Removes an image by reference; absent is success.
    async fn remove_image(&self, reference: &str) -> Result<(), EngineError>;
}
