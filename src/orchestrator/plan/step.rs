//! All that can be done to an engine, and why.

use crate::desired::{DesiredModel, DesiredProvider};
use crate::engine::container::{ContainerId, ContainerSpec, StopOptions};
use crate::engine::exec::ExecSpec;
use crate::engine::image::{BuildSpec, PullSpec};
use crate::engine::network::NetworkSpec;
use crate::engine::volume::VolumeSpec;
use crate::event::{Act, ResourceKind};
use crate::plan::change::Change;
use crate::plan::plan::StepId;

/// One act.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Brings an image into the store.
    PullImage(PullSpec),
    /// Builds an image.
    BuildImage(Box<BuildSpec>),
    /// Removes an image by reference.
    RemoveImage(String),
    /// Creates a network.
    CreateNetwork(NetworkSpec),
    /// Removes a network by name.
    RemoveNetwork(String),
    /// Creates a volume.
    CreateVolume(VolumeSpec),
    /// Removes a volume by name.
    RemoveVolume(String),
    /// Creates a container.
    CreateContainer(Box<NewContainer>),
    /// Starts a container.
    StartContainer {
        /// Which.
        container: ContainerRef,
        /// Service that it belongs to.
        service: String,
        /// Its number among the replicas.
        number: u32,
    },
    /// Stops a container.
    StopContainer {
        /// Which.
        container: ContainerRef,
        /// How.
        options: StopOptions,
    },
    /// Sends a signal.
    KillContainer {
        /// To which.
        container: ContainerRef,
        /// `SIGHUP`
        signal: String,
    },
    /// Removes a container.
    RemoveContainer {
        /// Which.
        container: ContainerRef,
        /// Its anonymous volumes too.
        anonymous_volumes: bool,
    },
    /// Gives a container its own name, once the one that bore it is gone.
    RenameContainer {
        /// Which.
        container: ContainerRef,
        /// The name.
        name: String,
    },
    /// Runs a program of the file in a container.
    RunHook {
        /// In which.
        container: ContainerRef,
        /// When.
        moment: Moment,
        /// The program.
        exec: ExecSpec,
    },
    /// Waits until a service's containers are ready.
    Wait(WaitStep),
    /// Makes a container, lets it run to its end and removes it: before the first container of its service starts.
    RunPreStart(Box<PreStartRun>),
    /// Has a program provide a service, or take it away.
    CallProvider {
        /// The service.
        provider: Box<DesiredProvider>,
        /// What it does.
        call: ProviderCall,
    },
    /// Has the model runner make a model ready.
    PrepareModel(Box<DesiredModel>),
}

/// What a provider is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderCall {
    /// To provide its service.
    Up,
    /// To halt it, if the program can.
    Stop,
    /// To take it away.
    Down,
}

/// A hook that runs in a container of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct PreStartRun {
    /// The container.
    pub spec: ContainerSpec,
    /// Service that it belongs to.
    pub service: String,
    /// Its place in the list.
    pub index: usize,
    /// Step that brings its image; `None`: the image is there.
    pub image: Option<StepId>,
}

/// A container to create.
#[derive(Debug, Clone, PartialEq)]
pub struct NewContainer {
    /// The container; its name may be a temporary one.
    pub spec: ContainerSpec,
    /// The name that it bears in the end.
    pub final_name: String,
    /// Service that it belongs to.
    pub service: String,
    /// Its number among the replicas.
    pub number: u32,
    /// Step that brings its image; `None`: the image is there.
    pub image: Option<StepId>,
}

/// A container, and how to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRef {
    /// Name for people.
    pub name: String,
    /// Where its id is from.
    pub source: ContainerSource,
}

/// Where a container's id is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerSource {
    /// It was observed.
    Known(ContainerId),
    /// This step creates it.
    Created(StepId),
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After its container has started.
    PostStart,
    /// Before its container is stopped.
    PreStop,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// The health check passes.
    Healthy,
    /// The program has ended with code 0.
    Completed,
    /// Healthy where there is a health check, else running, or ended with code 0.
    Ready,
}

/// A wait for a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitStep {
    /// Service that is waited for.
    pub service: String,
    /// What for.
    pub wait: Wait,
    /// Its containers.
    pub containers: Vec<ContainerRef>,
    /// `false`: going on without it is only a warning.
    pub required: bool,
}

/// Why a step is in the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It is not there.
    Missing,
    /// More replicas are wanted.
    ScaledUp,
    /// Fewer replicas are wanted.
    ScaledDown,
    /// It was asked for.
    Requested,
    /// The file asks for something else than it was made from.
    ConfigChanged,
    /// The file asks for a service other than the one that it was made from; what differs, if that is known.
    ServiceChanged(Vec<Change>),
    /// The content of a config or secret is another one now.
    FilesChanged,
    /// Its image is another one now.
    ImageChanged,
    /// Its image is pulled or built, and may be another one then.
    ImageMayChange,
    /// A network that it is on has changed.
    NetworkChanged(String),
    /// A volume that it uses is made anew.
    VolumeChanged(String),
    /// It is not on a network that it should be on.
    NotOnNetwork(String),
    /// It does not have a volume that it should have.
    WithoutVolume(String),
    /// It shares the namespaces of a service whose container is replaced.
    SharesWith(String),
    /// It can't be started any more.
    Broken,
    /// `--force-recreate`, or what implies it.
    Forced,
    /// It is there and does not run.
    NotRunning,
    /// It was created in this plan.
    Created,
    /// Another one takes its place.
    Replaced,
    /// Something that it depends on is replaced or restarted.
    DependencyRestarts(String),
    /// The file has no such service any more.
    Orphan,
    /// An interrupted run left it.
    Interrupted,
    /// A service waits for it.
    NeededBy(Vec<String>),
    /// `pull_policy` or `--pull` says so.
    PullPolicy,
    /// The project is taken down.
    Down,
    /// The run that made it has failed.
    Undo,
    /// A hook of the file.
    Hook,
}

impl Step {
    /// Returns what the step is about and what it does: as progress shows it.
    pub fn subject(&self) -> (ResourceKind, String, Act) {
        match self {
            Self::PullImage(spec) => (ResourceKind::Image, spec.reference.clone(), Act::Pull),
            Self::BuildImage(spec) => (ResourceKind::Image, first_tag(spec), Act::Build),
            Self::RemoveImage(reference) => (ResourceKind::Image, reference.clone(), Act::Remove),
            Self::CreateNetwork(spec) => (ResourceKind::Network, spec.name.clone(), Act::Create),
            Self::RemoveNetwork(name) => (ResourceKind::Network, name.clone(), Act::Remove),
            Self::CreateVolume(spec) => (ResourceKind::Volume, spec.name.clone(), Act::Create),
            Self::RemoveVolume(name) => (ResourceKind::Volume, name.clone(), Act::Remove),
            Self::CreateContainer(new) => (ResourceKind::Container, new.final_name.clone(), Act::Create),
            Self::StartContainer { container, .. } => (ResourceKind::Container, container.name.clone(), Act::Start),
            Self::StopContainer { container, .. } => (ResourceKind::Container, container.name.clone(), Act::Stop),
            Self::KillContainer { container, .. } => (ResourceKind::Container, container.name.clone(), Act::Kill),
            Self::RemoveContainer { container, .. } => (ResourceKind::Container, container.name.clone(), Act::Remove),
            Self::RenameContainer { name, .. } => (ResourceKind::Container, name.clone(), Act::Recreate),
            Self::RunHook { container, moment, .. } => {
                let act = match moment {
                    Moment::PostStart => Act::Start,
                    Moment::PreStop => Act::Stop,
                };
                (ResourceKind::Container, container.name.clone(), act)
            }
            Self::Wait(wait) => {
                let names: Vec<_> = wait.containers.iter().map(|container| container.name.as_str()).collect();
                (ResourceKind::Container, names.join(", "), Act::Wait)
            }
            Self::RunPreStart(run) => (ResourceKind::Container, run.spec.name.clone(), Act::Start),
            Self::CallProvider { provider, call } => {
                let act = match call {
                    ProviderCall::Up => Act::Create,
                    ProviderCall::Stop => Act::Stop,
                    ProviderCall::Down => Act::Remove,
                };
                (ResourceKind::Provider, provider.service.clone(), act)
            }
            Self::PrepareModel(model) => (ResourceKind::Model, model.name.clone(), Act::Configure),
        }
    }
}

fn first_tag(spec: &BuildSpec) -> String {
    spec.tags.first().cloned().unwrap_or_else(|| spec.context.clone())
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PullImage(spec) => write!(f, "pull image {}", spec.reference),
            Self::BuildImage(spec) => write!(f, "build image {}", first_tag(spec)),
            Self::RemoveImage(reference) => write!(f, "remove image {reference}"),
            Self::CreateNetwork(spec) => write!(f, "create network {}", spec.name),
            Self::RemoveNetwork(name) => write!(f, "remove network {name}"),
            Self::CreateVolume(spec) => write!(f, "create volume {}", spec.name),
            Self::RemoveVolume(name) => write!(f, "remove volume {name}"),
            Self::CreateContainer(new) if new.spec.name == new.final_name => {
                write!(f, "create container {}", new.final_name)
            }
            Self::CreateContainer(new) => write!(f, "create container {} as {}", new.final_name, new.spec.name),
            Self::StartContainer { container, .. } => write!(f, "start container {}", container.name),
            Self::StopContainer { container, .. } => write!(f, "stop container {}", container.name),
            Self::KillContainer { container, signal } => write!(f, "send {signal} to container {}", container.name),
            Self::RemoveContainer { container, anonymous_volumes: false } => {
                write!(f, "remove container {}", container.name)
            }
            Self::RemoveContainer { container, anonymous_volumes: true } => {
                write!(f, "remove container {} and its anonymous volumes", container.name)
            }
            Self::RenameContainer { container, name } if container.name == *name => {
                write!(f, "rename container {name}")
            }
            Self::RenameContainer { container, name } => write!(f, "rename container {} to {name}", container.name),
            Self::RunHook { container, moment: Moment::PostStart, .. } => {
                write!(f, "run post_start in {}", container.name)
            }
            Self::RunHook { container, moment: Moment::PreStop, .. } => write!(f, "run pre_stop in {}", container.name),
            Self::Wait(wait) => {
                let goal = match wait.wait {
                    Wait::Healthy => "healthy",
                    Wait::Completed => "completed",
                    Wait::Ready => "ready",
                };
                write!(f, "wait until {} is {goal}", wait.service)
            }
            Self::RunPreStart(run) => write!(f, "run pre_start[{}] of {}", run.index, run.service),
            Self::CallProvider { provider, call } => {
                let word = match call {
                    ProviderCall::Up => "up",
                    ProviderCall::Stop => "stop",
                    ProviderCall::Down => "down",
                };
                write!(f, "have {} {word} {}", provider.kind, provider.service)
            }
            Self::PrepareModel(model) => write!(f, "make model {} ready", model.model),
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::ScaledUp => f.write_str("scaled up"),
            Self::ScaledDown => f.write_str("scaled down"),
            Self::Requested => f.write_str("requested"),
            Self::ConfigChanged => f.write_str("configuration changed"),
            Self::ServiceChanged(changes) if changes.is_empty() => f.write_str("configuration changed"),
            Self::ServiceChanged(changes) => {
                let list: Vec<String> = changes.iter().map(Change::to_string).collect();
                f.write_str(&list.join(", "))
            }
            Self::FilesChanged => f.write_str("a config or secret changed"),
            Self::ImageChanged => f.write_str("image changed"),
            Self::ImageMayChange => f.write_str("image may change"),
            Self::NetworkChanged(network) => write!(f, "network {network} changed"),
            Self::VolumeChanged(volume) => write!(f, "volume {volume} changed"),
            Self::NotOnNetwork(network) => write!(f, "not on network {network}"),
            Self::WithoutVolume(volume) => write!(f, "without volume {volume}"),
            Self::SharesWith(service) => write!(f, "shares namespaces with {service}"),
            Self::Broken => f.write_str("broken"),
            Self::Forced => f.write_str("forced"),
            Self::NotRunning => f.write_str("not running"),
            Self::Created => f.write_str("created"),
            Self::Replaced => f.write_str("replaced"),
            Self::DependencyRestarts(service) => write!(f, "{service} restarts"),
            Self::Orphan => f.write_str("orphan"),
            Self::Interrupted => f.write_str("left by an interrupted run"),
            Self::NeededBy(services) => write!(f, "needed by {}", services.join(", ")),
            Self::PullPolicy => f.write_str("pull policy"),
            Self::Down => f.write_str("down"),
            Self::Undo => f.write_str("undo"),
            Self::Hook => f.write_str("hook"),
        }
    }
}
