//! The runtime's errors, as the engine tells them: a kind that can be branched on, one sentence, and how to mend it.

use std::error::Error;

use orchestrator::engine::error::{EngineError, ErrorKind, Place};
use orchestrator::identity;
use runtime::acquire::AcquireError;
use runtime::acquire::import::ImportError;
use runtime::acquire::load::LoadError;
use runtime::acquire::save::SaveError;
use runtime::build::BuildError;
use runtime::build::error::Reason;
use runtime::cgroup::group::GroupError;
use runtime::container::act::ActError;
use runtime::container::commit::CommitError;
use runtime::container::connect::ConnectError;
use runtime::container::create::CreateError;
use runtime::container::exec::ExecError;
use runtime::container::kill::KillError;
use runtime::container::list;
use runtime::container::list::FindError;
use runtime::container::remove::RemoveError;
use runtime::container::rename::RenameError;
use runtime::container::restart::RestartError;
use runtime::container::start::StartError;
use runtime::container::stop::StopError;
use runtime::container::update::UpdateError;
use runtime::image::reference::ReferenceError;
use runtime::image::store::StoreError;
use runtime::keeper::launch;
use runtime::keeper::ready::{FailureKind, is_denied, sentence};
use runtime::network::ports::PortConflict;
use runtime::network::{AttachError, NetworkError};
use runtime::registry::error::PullError;
use runtime::registry::push::PushError;
use runtime::snapshot::quota::QuotaError;
use runtime::state::record::RecordError;
use runtime::volume::VolumeError;
use runtime::{OpenError, Runtime};

/// Makes an error; one of a missing privilege says so, and what to do.
fn error(kind: ErrorKind, resource: String, act: &str, source: &(dyn Error + 'static)) -> EngineError {
    let text = sentence(source);
    let message = if act.is_empty() { text } else { format!("cannot {act} {resource}: {text}") };
    if is_denied(source) && kind == ErrorKind::Failed {
        return denied(EngineError::new(ErrorKind::Denied, resource, message));
    }
    EngineError::new(kind, resource, message)
}

fn denied(error: EngineError) -> EngineError {
    if rustix::process::geteuid().is_root() {
        error.hint("the process is root, but lacks a capability or a device that containers need: is it in a container itself?")
    } else {
        error.hint("the embedded runtime needs root: run it with `sudo`")
    }
}

pub(crate) fn container(name: &str) -> String {
    format!("container `{name}`")
}

pub(crate) fn open(source: &OpenError) -> EngineError {
    error(ErrorKind::Failed, "the embedded runtime".into(), "open", source)
}

fn find_kind(source: &FindError) -> ErrorKind {
    match source {
        FindError::NotFound { .. } => ErrorKind::NotFound,
        FindError::Ambiguous { .. } => ErrorKind::Conflict,
        FindError::Record(_) | FindError::Repair(_) | FindError::Io { .. } => ErrorKind::Failed,
    }
}

pub(crate) fn find(name: &str, source: &FindError) -> EngineError {
    let act = if find_kind(source) == ErrorKind::Failed { "look at" } else { "" };
    error(find_kind(source), container(name), act, source)
}

fn network_kind(source: &NetworkError) -> ErrorKind {
    match source {
        NetworkError::NameTaken { .. } | NetworkError::InUse { .. } => ErrorKind::Conflict,
        NetworkError::NotFound { .. } => ErrorKind::NotFound,
        NetworkError::Unsupported { .. } => ErrorKind::Unsupported,
        NetworkError::Record(_) | NetworkError::Kernel { .. } => ErrorKind::Failed,
    }
}

fn volume_kind(source: &VolumeError) -> ErrorKind {
    match source {
        VolumeError::NotFound { .. } => ErrorKind::NotFound,
        VolumeError::InUse { .. } => ErrorKind::Conflict,
        VolumeError::Unsupported { .. } => ErrorKind::Unsupported,
        VolumeError::Name { .. } | VolumeError::Record(_) | VolumeError::Io { .. } => ErrorKind::Failed,
    }
}

fn store_kind(source: &StoreError) -> ErrorKind {
    match source {
        StoreError::NoImage(_) | StoreError::NoLayer(_) => ErrorKind::NotFound,
        StoreError::Ambiguous { .. } | StoreError::InUse { .. } | StoreError::ManyReferences { .. } => {
            ErrorKind::Conflict
        }
        StoreError::Io { .. }
        | StoreError::Record(_)
        | StoreError::Reference(_)
        | StoreError::Damaged { .. }
        | StoreError::Config(_) => ErrorKind::Failed,
    }
}

pub(crate) fn create(name: &str, source: &CreateError) -> EngineError {
    let kind = match source {
        CreateError::NameTaken { .. } | CreateError::Attach(AttachError::Address { .. }) => ErrorKind::Conflict,
        CreateError::NoImage { .. } | CreateError::NoSource { .. } => ErrorKind::NotFound,
        CreateError::Unsupported { .. } | CreateError::Quota(QuotaError::Unsupported { .. }) => ErrorKind::Unsupported,
        CreateError::Store(source) => store_kind(source),
        CreateError::Find(source) => find_kind(source),
        CreateError::Volume(source) => volume_kind(source),
        CreateError::Attach(AttachError::Removed { .. }) => ErrorKind::NotFound,
        CreateError::Network(source) | CreateError::Attach(AttachError::Network(source)) => network_kind(source),
        CreateError::Name { .. }
        | CreateError::NoProgram { .. }
        | CreateError::Target { .. }
        | CreateError::TwoMounts { .. }
        | CreateError::Signal(_)
        | CreateError::Capability(_)
        | CreateError::Selinux(_)
        | CreateError::Relabel(_)
        | CreateError::Attach(AttachError::Record(_) | AttachError::Kernel { .. })
        | CreateError::Record(_)
        | CreateError::Quota(QuotaError::Io { .. })
        | CreateError::Io { .. } => ErrorKind::Failed,
    };
    error(kind, container(name), "create", source)
}

pub(crate) fn start(name: &str, source: &StartError) -> EngineError {
    match source {
        StartError::Find(source) => find(name, source),
        StartError::Failed(failure) => {
            let kind = match failure.kind {
                FailureKind::Conflict => ErrorKind::Conflict,
                FailureKind::Unsupported => ErrorKind::Unsupported,
                FailureKind::Denied => ErrorKind::Denied,
                FailureKind::Failed if failure.exit_code == 127 => ErrorKind::NotFound,
                // The program itself may not be run: no privilege of ours would help.
                FailureKind::Failed if failure.exit_code == 126 => ErrorKind::Denied,
                FailureKind::Failed => ErrorKind::Failed,
            };
            let mut error = EngineError::new(kind, container(name), failure.message.clone());
            error.hints = failure.hints.clone();
            if failure.kind == FailureKind::Denied { denied(error) } else { error }
        }
        StartError::Paused { name } => {
            let hint = format!("`unpause {name}` lets it go on");
            EngineError::new(ErrorKind::Conflict, container(name), source.to_string()).hint(hint)
        }
        StartError::Record(_) | StartError::Keeper { .. } | StartError::Died { .. } => {
            error(ErrorKind::Failed, container(name), "start", source)
        }
    }
}

pub(crate) fn stop(name: &str, source: &StopError) -> EngineError {
    match source {
        StopError::Find(source) => find(name, source),
        StopError::Ask { .. } | StopError::Failed { .. } => error(ErrorKind::Failed, container(name), "", source),
    }
}

pub(crate) fn kill(name: &str, source: &KillError) -> EngineError {
    match source {
        KillError::Find(source) => find(name, source),
        KillError::NotRunning { .. } => error(ErrorKind::Conflict, container(name), "", source),
        KillError::Ask { .. } | KillError::Failed { .. } => error(ErrorKind::Failed, container(name), "", source),
    }
}

pub(crate) fn remove(name: &str, source: &RemoveError) -> EngineError {
    let kind = match source {
        RemoveError::Find(source) => find_kind(source),
        RemoveError::Running { .. } => ErrorKind::Conflict,
        RemoveError::Stop(_)
        | RemoveError::Record(_)
        | RemoveError::Release(_)
        | RemoveError::Volume(_)
        | RemoveError::Io { .. } => ErrorKind::Failed,
    };
    error(kind, container(name), "remove", source)
}

pub(crate) fn rename(name: &str, source: &RenameError) -> EngineError {
    let kind = match source {
        RenameError::Find(source) => find_kind(source),
        RenameError::Taken { .. } => ErrorKind::Conflict,
        RenameError::Name { .. } | RenameError::Record(_) => ErrorKind::Failed,
    };
    error(kind, container(name), "rename", source)
}

pub(crate) fn exec(name: &str, source: &ExecError) -> EngineError {
    match source {
        ExecError::Find(source) => find(name, source),
        ExecError::NotRunning { .. } | ExecError::Paused { .. } => {
            error(ErrorKind::Conflict, container(name), "", source)
        }
        ExecError::Capability(_) | ExecError::AppArmor(_) | ExecError::Program { .. } | ExecError::Io { .. } => {
            error(ErrorKind::Failed, container(name), "run a program in", source)
        }
    }
}

pub(crate) fn act(name: &str, source: &ActError) -> EngineError {
    let kind = match source {
        ActError::Find(source) => return find(name, source),
        ActError::NotRunning { .. } => ErrorKind::Conflict,
        ActError::Unsupported { .. } | ActError::Group { source: GroupError::Unsupported { .. }, .. } => {
            ErrorKind::Unsupported
        }
        ActError::Failed { .. } | ActError::Group { .. } | ActError::Io { .. } => ErrorKind::Failed,
    };
    error(kind, container(name), "", source)
}

pub(crate) fn update(name: &str, source: &UpdateError) -> EngineError {
    let kind = match source {
        UpdateError::Find(source) => return find(name, source),
        UpdateError::Act(source) => return act(name, source),
        UpdateError::Conflict { .. } => ErrorKind::Conflict,
        UpdateError::Group { source: GroupError::Unsupported { .. }, .. } => ErrorKind::Unsupported,
        UpdateError::Group { .. } | UpdateError::Record(_) => ErrorKind::Failed,
    };
    error(kind, container(name), "", source)
}

/// A path in a container that is not there is a thing of its own that was not found.
pub(crate) fn path(name: &str, path: &str, source: &ActError) -> EngineError {
    match source {
        ActError::Io { source: cause, .. } if cause.kind() == std::io::ErrorKind::NotFound => {
            let message = format!("there is no `{path}` in container `{name}`");
            EngineError::new(ErrorKind::NotFound, container(name), message)
        }
        ActError::Io { source: cause, .. } if cause.kind() == std::io::ErrorKind::NotADirectory => {
            let message = format!("`{path}` in container `{name}` is no folder");
            EngineError::new(ErrorKind::Failed, container(name), message)
        }
        ActError::Find(_)
        | ActError::NotRunning { .. }
        | ActError::Unsupported { .. }
        | ActError::Failed { .. }
        | ActError::Group { .. }
        | ActError::Io { .. } => act(name, source),
    }
}

pub(crate) fn commit(name: &str, source: &CommitError) -> EngineError {
    let kind = match source {
        CommitError::Find(source) => return find(name, source),
        CommitError::Act(source) => return act(name, source),
        CommitError::Store(source) => store_kind(source),
        CommitError::NoImage { .. } => ErrorKind::NotFound,
        CommitError::Reference(_)
        | CommitError::Change { .. }
        | CommitError::Read(_)
        | CommitError::Keep(_)
        | CommitError::Io(_) => ErrorKind::Failed,
    };
    error(kind, container(name), "make an image of", source)
}

pub(crate) fn restart(name: &str, source: &RestartError) -> EngineError {
    match source {
        RestartError::Act(source) => act(name, source),
        RestartError::Start(source) => start(name, source),
    }
}

pub(crate) fn network(name: &str, act: &str, source: &NetworkError) -> EngineError {
    error(network_kind(source), format!("network `{name}`"), act, source)
}

pub(crate) fn connect(name: &str, network: &str, act: &str, source: &ConnectError) -> EngineError {
    let kind = match source {
        ConnectError::Find(source) => return find(name, source),
        ConnectError::Act(source) => return self::act(name, source),
        ConnectError::Mode { .. } | ConnectError::Attach(AttachError::Address { .. }) => ErrorKind::Conflict,
        ConnectError::Attach(AttachError::Removed { .. }) => ErrorKind::NotFound,
        ConnectError::Network(source) | ConnectError::Attach(AttachError::Network(source)) => network_kind(source),
        ConnectError::Attach(AttachError::Record(_) | AttachError::Kernel { .. }) | ConnectError::Record(_) => {
            ErrorKind::Failed
        }
    };
    error(kind, format!("network `{network}`"), act, source)
}

pub(crate) fn hold(name: &str, source: &RecordError) -> EngineError {
    error(ErrorKind::Failed, format!("the lock of `{name}`"), "take", source)
}

pub(crate) fn volume(name: &str, act: &str, source: &VolumeError) -> EngineError {
    error(volume_kind(source), format!("volume `{name}`"), act, source)
}

pub(crate) fn store(name: &str, act: &str, source: &StoreError) -> EngineError {
    error(store_kind(source), format!("image `{name}`"), act, source)
}

fn pull_kind(source: &PullError) -> ErrorKind {
    match source {
        PullError::Name { .. }
        | PullError::Network { .. }
        | PullError::Timeout { .. }
        | PullError::Tls { .. }
        | PullError::RateLimit { .. }
        | PullError::Status { .. } => ErrorKind::Unavailable,
        PullError::Permission { .. } => ErrorKind::Denied,
        PullError::NotFound { .. } => ErrorKind::NotFound,
        PullError::Manifest(_) | PullError::Document(_) => ErrorKind::Unsupported,
        PullError::Store(source) => store_kind(source),
        PullError::Settings { .. } | PullError::Keep { .. } => ErrorKind::Failed,
        PullError::Digest { .. } | PullError::Size { .. } | PullError::Unpack { .. } | PullError::Client(_) => {
            ErrorKind::Failed
        }
    }
}

fn acquire_kind(source: &AcquireError) -> ErrorKind {
    match source {
        AcquireError::Reference(_) => ErrorKind::Failed,
        AcquireError::Platform(_) => ErrorKind::Unsupported,
        AcquireError::Store(source) => store_kind(source),
        AcquireError::Pull { source, .. } => pull_kind(source),
    }
}

pub(crate) fn acquire(name: &str, source: &AcquireError) -> EngineError {
    // The error of a pull names the image itself.
    let act = if matches!(source, AcquireError::Pull { .. }) { "" } else { "get" };
    let mut told = error(acquire_kind(source), format!("image `{name}`"), act, source);
    told.hints.extend(source.hints());
    told
}

pub(crate) fn archive(source: &LoadError) -> EngineError {
    let kind = match source {
        LoadError::Store(source) => store_kind(source),
        LoadError::Manifest(_) => ErrorKind::Unsupported,
        LoadError::Open { .. }
        | LoadError::Stage(_)
        | LoadError::Extract(_)
        | LoadError::NoImage
        | LoadError::Member { .. }
        | LoadError::Json { .. }
        | LoadError::Digest { .. }
        | LoadError::Layers
        | LoadError::Unpack { .. } => ErrorKind::Failed,
    };
    error(kind, "the image archive".to_owned(), "load", source)
}

pub(crate) fn reference(text: &str, source: &ReferenceError) -> EngineError {
    error(ErrorKind::Failed, format!("image `{text}`"), "", source)
}

pub(crate) fn push(name: &str, source: &PushError) -> EngineError {
    let kind = match source {
        PushError::NoImage(_) => ErrorKind::NotFound,
        PushError::Store(source) => store_kind(source),
        PushError::Registry(source) => pull_kind(source),
        PushError::Digest(_) | PushError::Pack(_) | PushError::Changed { .. } => ErrorKind::Failed,
    };
    let mut told = error(kind, format!("image `{name}`"), "push", source);
    told.hints.extend(source.hint());
    told
}

pub(crate) fn digest(name: &str, source: &PullError) -> EngineError {
    let mut told = error(pull_kind(source), format!("image `{name}`"), "ask the registry for", source);
    told.hints.extend(source.hint());
    told
}

pub(crate) fn save(names: &[String], source: &SaveError) -> EngineError {
    let kind = match source {
        SaveError::Store(source) => store_kind(source),
        SaveError::Pack { .. } | SaveError::Write(_) | SaveError::Files(_) => ErrorKind::Failed,
    };
    error(kind, format!("image `{}`", names.join("`, `")), "save", source)
}

pub(crate) fn change(why: &str) -> EngineError {
    EngineError::new(ErrorKind::Failed, "the image", format!("cannot change the image as {why}"))
}

pub(crate) fn import(source: &ImportError) -> EngineError {
    error(ErrorKind::Failed, "the archive".to_owned(), "import", source)
}

/// A host port that somebody has: who that is, and where it is another project of ours, what frees the port.
pub(crate) fn port(rt: &Runtime, conflict: &PortConflict) -> EngineError {
    let resource = format!("host port {}", conflict.port);
    let told = EngineError::new(ErrorKind::Conflict, resource, launch::describe(conflict));
    let record = conflict.container().and_then(|name| list::find(rt, name).ok()).map(|container| container.record);
    match record.as_ref().and_then(|record| record.labels.get(identity::PROJECT)) {
        Some(project) => {
            told.hint(format!("that is of project `{project}`: `-p {project} stop` frees the port; or publish another"))
        }
        None => told.hint("stop what holds it, or publish another port"),
    }
}

pub(crate) fn build(name: &str, source: &BuildError) -> EngineError {
    let place = source.place.as_ref().map(|place| Place {
        file: place.dockerfile.clone(),
        line: place.line,
        text: place.text.clone(),
    });
    // The place is told beside the message.
    let mut told = error(ErrorKind::Failed, format!("image `{name}`"), "build", &source.reason);
    if let Reason::Base { source, .. } = &source.reason {
        told.kind = acquire_kind(source);
        told.hints.extend(source.hints());
    }
    told.hints.extend(source.hint().map(str::to_owned));
    told.place = place;
    told.output = source.output().to_vec();
    told.last_good = source.last_good.as_ref().map(ToString::to_string);
    told
}

/// An error and its causes as one text.
pub(crate) fn text(source: &(dyn Error + 'static)) -> String {
    sentence(source)
}

/// An error of ours, not of what was asked for: a thread that panicked.
pub(crate) fn broken(text: &str) -> EngineError {
    EngineError::new(ErrorKind::Failed, "the embedded runtime", format!("the embedded runtime failed: {text}"))
}

/// The kernel refused something that hardly ever fails.
pub(crate) fn kernel(resource: String, act: &str, source: &std::io::Error) -> EngineError {
    error(ErrorKind::Failed, resource, act, source)
}
