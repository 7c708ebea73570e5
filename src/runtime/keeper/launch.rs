//! What a keeper does to bring its container's program to run, and to clear away what a run leaves behind.

use std::error::Error;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::Runtime;
use crate::cgroup::group::{Group, GroupError};
use crate::keeper::inbox::Inbox;
use crate::keeper::label;
use crate::keeper::log::LogWriter;
use crate::keeper::ready::{FailureKind, StartFailure, sentence};
use crate::keeper::spec::{self, SpecError};
use crate::keeper::stdio::{self, Streams};
use crate::network::names::server::NameServer;
use crate::network::ports::{self, PortConflict, Reserved};
use crate::network::proxy::Proxy;
use crate::network::{self, AttachError, files};
use crate::sandbox::again::Kept;
use crate::sandbox::join::Target;
use crate::sandbox::launch::{Born, LaunchError, Prepare, Step};
use crate::sandbox::{apparmor, capabilities, selinux};
use crate::state::container::{
    ContainerRecord, EndpointRequest, NetworkModeRecord, OpenPortRecord, PortRecord, StatusRecord,
};
use crate::state::process::ProcessId;
use crate::volume;

/// A program that runs, with all that serves it.
#[derive(Debug)]
pub struct Run {
    /// Process 1.
    pub init: ProcessId,
    /// Process 1.
    pub pidfd: OwnedFd,
    /// How its end is learnt.
    pub ending: Ending,
    /// What it writes.
    pub streams: Streams,
    /// What answers its questions for names; `None`: it shares another's network, or has none.
    pub names: Option<NameServer>,
    /// How a probe enters.
    pub target: Target,
    /// Kills for want of memory before this run.
    pub oom_kills: u64,
}

/// How the end of process 1 is learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is our child.
    Child,
    /// It is the guard's child, who tells it.
    Told,
    /// It is a stranger's child: the kernel tells, where it can.
    Seen,
}

/// Keeps a run that is about to begin where it outlives the keeper: its process 1, its streams, and the kills for want of
/// memory before it.
pub type Keeping<'a> = &'a dyn Fn(&Born, &Streams, u64) -> io::Result<()>;

/// What is held from the first run to the last.
#[derive(Debug, Default)]
pub struct Held {
    /// `None`: the host has no control groups, and no limit was asked for.
    pub group: Option<Group>,
    reserved: Option<Reserved>,
    /// Carries what the kernel can't forward, and holds the host's ports.
    pub proxy: Option<Proxy>,
    /// What is open on the host.
    pub ports: Vec<OpenPortRecord>,
    /// The root file system of the last run: see [`crate::sandbox::launch::Launched`].
    pub root: Option<OwnedFd>,
}

/// Where a run was, for the next one.
#[derive(Debug)]
pub struct Place {
    /// Its namespaces.
    pub namespaces: Kept,
    /// Still serves there.
    pub names: Option<NameServer>,
}

impl Place {
    /// Holds the place of a process that runs.
    pub fn of(pid: i32) -> io::Result<Self> {
        Ok(Self { namespaces: Kept::of(pid)?, names: None })
    }
}

type Failure = Box<dyn Error + Send + Sync>;

/// Takes the host's ports and makes the control groups.
pub fn hold(rt: &Runtime, record: &ContainerRecord) -> Result<Held, StartFailure> {
    let mut held = Held::default();
    if !record.ports.is_empty() && matches!(record.network, NetworkModeRecord::Networks(_)) {
        let reserved = ports::reserve(&record.ports).map_err(|conflict| taken(rt, record, &conflict))?;
        held.ports = reserved.open.clone();
        held.reserved = Some(reserved);
    }
    held.group = Some(hold_group(record)?);
    Ok(held)
}

fn hold_group(record: &ContainerRecord) -> Result<Group, StartFailure> {
    let name = spec::group_name(&record.id, record.limits.parent.as_deref());
    Group::create(&name, &record.limits, &spec::device_policy(record)).map_err(|error| {
        let mut failure = StartFailure::of(&cannot_start(record), &error);
        if matches!(error, GroupError::Unsupported { .. }) {
            failure.kind = FailureKind::Unsupported;
        }
        failure
    })
}

fn cannot_start(record: &ContainerRecord) -> String {
    format!("cannot start container `{}`", record.name)
}

/// Says who has a port, which only the runtime's records know when it is a container.
fn taken(rt: &Runtime, record: &ContainerRecord, conflict: &PortConflict) -> StartFailure {
    // Reserving knows no records; checking again names the holder.
    let found = ports::check(rt, &record.ports).into_iter().next();
    let conflict = found.as_ref().unwrap_or(conflict);
    let message = format!("{}: {}", cannot_start(record), describe(conflict));
    StartFailure { kind: FailureKind::Conflict, message, exit_code: 125, hints: Vec::new() }
}

/// Describes why a port can't be had.
pub fn describe(conflict: &PortConflict) -> String {
    let port = match conflict.host_ip {
        Some(ip) if ip.is_ipv6() => format!("[{ip}]:{}", conflict.port),
        Some(ip) => format!("{ip}:{}", conflict.port),
        None => conflict.port.to_string(),
    };
    match (&conflict.problem, &conflict.holder) {
        (Some(problem), _) => format!("host port {port} can't be had: {problem}"),
        (None, Some(holder)) => match &holder.container {
            Some(container) => format!("host port {port} is taken by container `{container}`"),
            None => format!("host port {port} is taken by `{}` (process {})", holder.command, holder.pid),
        },
        (None, None) => format!("host port {port} is taken"),
    }
}

/// Launches the container's program in namespaces of its own.
///
/// `size` is that of a terminal, in rows and columns.
pub fn launch(
    rt: &Runtime,
    record: &ContainerRecord,
    held: &mut Held,
    size: Option<(u16, u16)>,
    keep: Keeping<'_>,
) -> Result<Run, StartFailure> {
    let group = held.group.clone();
    let mut names = None;
    // Two overlays must not write to the same folder.
    held.root = None;
    let mut prepare = |born: &Born| -> Result<(), Failure> {
        names = plug_in(rt, record, held, born)?;
        Ok(())
    };
    let launched = launch_in(rt, record, group, Where { kept: None, size, keep }, &mut prepare);
    match launched {
        Ok((run, root)) => {
            held.root = root;
            Ok(Run { names, ..run })
        }
        Err(failure) => {
            unplug(rt, record);
            Err(failure)
        }
    }
}

/// Launches it where the last run was: with its namespaces, mounts and addresses.
pub fn relaunch(
    rt: &Runtime,
    record: &ContainerRecord,
    held: &Held,
    place: Place,
    keep: Keeping<'_>,
) -> Result<Run, StartFailure> {
    let at = Where { kept: Some(&place.namespaces), size: None, keep };
    // The kept mounts are of the root that is held.
    let (run, _) = launch_in(rt, record, held.group.clone(), at, &mut |_| Ok(()))?;
    Ok(Run { names: place.names, ..run })
}

/// Where a program is to run, in a window of which size, and where what is held of it outlives us.
struct Where<'a> {
    kept: Option<&'a Kept>,
    size: Option<(u16, u16)>,
    keep: Keeping<'a>,
}

fn launch_in(
    rt: &Runtime,
    record: &ContainerRecord,
    group: Option<Group>,
    place: Where<'_>,
    prepare: Prepare<'_>,
) -> Result<(Run, Option<OwnedFd>), StartFailure> {
    let failed = |error: &(dyn Error + 'static)| StartFailure::of(&cannot_start(record), error);
    let oom_kills = group.as_ref().map_or(0, Group::oom_kills);
    let sandbox = spec::sandbox(rt, record, group).map_err(|error| failed(&error))?;
    if place.kept.is_none() {
        label::files(rt, record).map_err(|error| failed(&error))?;
    }
    let (streams, stdio) =
        stdio::open(&record.process, sandbox.file_label.as_deref()).map_err(|error| failed(&error))?;
    if let Some((rows, columns)) = place.size {
        streams.set_size(rows, columns);
    }
    let mut prepare = |born: &Born| -> Result<(), Failure> {
        // First of all: a process that nobody can find must not come to run.
        (place.keep)(born, &streams, oom_kills)?;
        prepare(born)
    };
    let launched = crate::sandbox::launch::launch_in(&sandbox, stdio, place.kept, &mut prepare);
    let launched = launched.map_err(|error| launch_failure(record, &error))?;
    let init = ProcessId::of(launched.pid).unwrap_or(ProcessId { pid: launched.pid, start_time: 0 });
    let target = Target {
        init,
        capabilities: sandbox.capabilities,
        capability_sets: None,
        seccomp: sandbox.seccomp,
        apparmor: sandbox.apparmor,
        label: sandbox.label,
        no_new_privileges: sandbox.no_new_privileges,
        group: sandbox.cgroup,
        env: record.process.env.clone(),
        rlimits: record.ulimits.clone(),
    };
    let run = Run { init, pidfd: launched.pidfd, ending: Ending::Child, streams, names: None, target, oom_kills };
    Ok((run, launched.root))
}

/// An error of a launch whose preparation failed is best told by the preparation.
fn launch_failure(record: &ContainerRecord, error: &LaunchError) -> StartFailure {
    let exit_code = error.exit_code();
    let text = match &error.source {
        Some(source) => sentence(&**source),
        None => error.to_string(),
    };
    // Of what the policy forbids, no privilege is missing.
    let is_label = matches!(error.step, Step::Label | Step::InitLabel);
    let is_denied = exit_code == 125 && !is_label && matches!(error.errno, libc::EPERM | libc::EACCES);
    let kind = if is_denied { FailureKind::Denied } else { FailureKind::Failed };
    StartFailure { kind, message: format!("{}: {text}", cannot_start(record)), exit_code, hints: Vec::new() }
}

/// Gives a new network namespace its links, published ports and name server.
fn plug_in(
    rt: &Runtime,
    record: &ContainerRecord,
    held: &mut Held,
    born: &Born,
) -> Result<Option<NameServer>, Failure> {
    let is_networked = match &record.network {
        NetworkModeRecord::Host | NetworkModeRecord::Container(_) => return Ok(None),
        NetworkModeRecord::None => false,
        NetworkModeRecord::Networks(endpoints) => !endpoints.is_empty(),
    };
    let netns = born.network_namespace()?;
    let endpoints = network::attach(rt, record, netns.as_fd())?;
    if let Some(reserved) = held.reserved.take() {
        ports::publish(rt, &record.id, &reserved, &endpoints)?;
        held.proxy = Some(Proxy::open(reserved, &endpoints)?);
    }
    if !is_networked {
        return Ok(None);
    }
    let upstream = files::upstream(record, &files::host_resolv_conf());
    Ok(Some(NameServer::open(rt, &record.id, netns.as_fd(), upstream)?))
}

/// Clears away what a run has left on the host. Whatever fails is said in the keeper's log, and does not stop the rest.
pub fn unplug(rt: &Runtime, record: &ContainerRecord) {
    unplug_with(record, || network::detach(rt, &record.id));
}

/// Tells that the container is unplugged: the quick part of it, which comes before its end is told.
pub fn tell_unplugged(rt: &Runtime, record: &ContainerRecord) {
    unplug_with(record, || network::silence(rt, &record.id).map(drop));
}

fn unplug_with(record: &ContainerRecord, act: impl FnOnce() -> Result<(), AttachError>) {
    if matches!(record.network, NetworkModeRecord::Networks(_) | NetworkModeRecord::None)
        && let Err(error) = act()
    {
        tracing::warn!(error = &error as &dyn Error, "cannot detach");
    }
}

/// Clears away what was held for all runs.
pub fn let_go(rt: &Runtime, record: &ContainerRecord, held: &mut Held) {
    if held.proxy.take().is_some()
        && let Err(error) = ports::unpublish(rt, &record.id)
    {
        tracing::warn!(error = &error as &dyn Error, "cannot unpublish");
    }
    held.reserved = None;
    if let Err(error) = volume::release(rt, record) {
        tracing::warn!(error = &error as &dyn Error, "cannot release the volumes");
    }
}

/// Opens the container's log.
pub fn open_log(rt: &Runtime, record: &ContainerRecord) -> Result<LogWriter, StartFailure> {
    let bundle = rt.layout.bundle(&record.id);
    Inbox::open(&bundle.inbox())
        .and_then(|inbox| LogWriter::open(&bundle.log(), &record.log, inbox))
        .map_err(|error| StartFailure::of(&cannot_start(record), &error))
}

/// Returns a container's groups, which may be gone.
pub fn group_of(record: &ContainerRecord) -> Group {
    Group::open(&spec::group_name(&record.id, record.limits.parent.as_deref()))
}

/// Tells how to enter a container that runs.
pub fn target(rt: &Runtime, record: &ContainerRecord, init: ProcessId) -> Result<Target, SpecError> {
    let security = &record.security;
    Ok(Target {
        init,
        capabilities: capabilities::resolve(&security.cap_add, &security.cap_drop, security.privileged)?,
        capability_sets: None,
        seccomp: security.seccomp.clone(),
        apparmor: apparmor::profile(&rt.layout, &security.apparmor, security.privileged)?,
        label: selinux::labels(&security.selinux).map(|labels| labels.process.clone()),
        no_new_privileges: security.no_new_privileges,
        group: Some(group_of(record)),
        env: record.process.env.clone(),
        rlimits: record.ulimits.clone(),
    })
}

/// Takes again what a killed keeper held: the groups, the host's ports, and, for a program that runs, its name server.
pub fn take_over(
    rt: &Runtime,
    record: &ContainerRecord,
    init: Option<ProcessId>,
    status: &StatusRecord,
) -> Result<(Held, Option<NameServer>), StartFailure> {
    let mut held = Held::default();
    let group = group_of(record);
    held.group = Some(if group.hierarchies().is_empty() { hold_group(record)? } else { group });
    let NetworkModeRecord::Networks(requests) = &record.network else { return Ok((held, None)) };
    if let Err(error) = take_ports(rt, record, requests, &mut held, &status.ports) {
        // The rest works on without them.
        tracing::error!(error = &*error as &dyn Error, "cannot take the published ports again");
    }
    let Some(init) = init.filter(|_| !requests.is_empty()) else { return Ok((held, None)) };
    let upstream = files::upstream(record, &files::host_resolv_conf());
    let names = File::open(format!("/proc/{}/ns/net", init.pid))
        .and_then(|netns| NameServer::open(rt, &record.id, netns.as_fd(), upstream));
    match names {
        Ok(names) => Ok((held, Some(names))),
        Err(error) => {
            tracing::error!(%error, "cannot answer the container's questions for names again");
            Ok((held, None))
        }
    }
}

fn take_ports(
    rt: &Runtime,
    record: &ContainerRecord,
    requests: &[EndpointRequest],
    held: &mut Held,
    open: &[OpenPortRecord],
) -> Result<(), Failure> {
    if open.is_empty() {
        return Ok(());
    }
    let asked = |port: &OpenPortRecord| PortRecord {
        host_ip: Some(port.host_ip),
        host_ports: Some((port.host_port, port.host_port)),
        container_port: port.container_port,
        protocol: port.protocol,
    };
    let asked: Vec<PortRecord> = open.iter().map(asked).collect();
    let reserved = ports::reserve(&asked).map_err(|conflict| io::Error::other(describe(&conflict)))?;
    let mut endpoints = Vec::new();
    for request in requests {
        let all = network::endpoints(rt, &request.network)?;
        endpoints.extend(all.into_iter().filter(|endpoint| endpoint.container == record.id));
    }
    held.ports = reserved.open.clone();
    ports::publish(rt, &record.id, &reserved, &endpoints)?;
    held.proxy = Some(Proxy::open(reserved, &endpoints)?);
    Ok(())
}
