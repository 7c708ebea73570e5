//! The process of one RUN: our own binary again with one thread (`__run`), which launches the sandbox and waits for it.
//!
//! It reads its order as one line of JSON from its standard input and goes on watching that: the builder keeps it open,
//! so its end means that the builder is gone, and the step with it. What the command writes goes to standard output, the verdict to standard error.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Signal, WaitIdOptions, WaitIdStatus};
use serde::{Deserialize, Serialize};

use crate::Runtime;
use crate::build::network::StepNetwork;
use crate::cgroup::devices::DevicePolicy;
use crate::cgroup::group::Group;
use crate::network::guest;
use crate::sandbox::capabilities;
use crate::sandbox::launch::{self, Born, Launched, Stdio};
use crate::sandbox::spec::{Masks, Namespace, Namespaces, Root, SandboxMount, SandboxSpec};
use crate::state::container::{LimitsRecord, ProcessRecord, SeccompRecord};
use crate::sys::mount::Attributes;

/// A RUN, ready to be launched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOrder {
    /// Layers, lowest first.
    pub lower: Vec<PathBuf>,
    /// Takes what the command writes.
    pub upper: PathBuf,
    /// Overlayfs's own.
    pub work: PathBuf,
    /// Empty; the root is put together here.
    pub mount_point: PathBuf,
    /// Program, environment, folder, user.
    pub process: ProcessRecord,
    /// What is mounted over the root.
    pub mounts: Vec<StepMount>,
    /// What it sees of the network.
    pub network: StepNetwork,
    /// Bytes of /dev/shm.
    pub shm_size: u64,
    /// What it takes its machine for.
    pub host_name: String,
    /// All capabilities, no filter, nothing masked.
    pub privileged: bool,
    /// The AppArmor profile that it runs under.
    pub apparmor: Option<String>,
    /// Soft and hard limits by name.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// Bytes of memory that it may use.
    pub memory: Option<u64>,
}

/// A mount of a RUN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum StepMount {
    Bind { source: PathBuf, target: String, read_only: bool },
    Tmpfs { target: String, size: Option<u64> },
}

/// How a RUN ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The command ended with this code; a signal counts 128 more.
    Exited(i32),
    /// It could not be launched.
    NotLaunched {
        /// 125, 126 or 127.
        code: i32,
        /// Why.
        message: String,
    },
}

/// The name that a RUN's host has: always the same, so that what it makes does not vary.
pub const HOST_NAME: &str = "buildkitsandbox";

/// The hidden verb `__run`. Must be called while the process has one thread.
pub fn run_step_main() -> i32 {
    // What a step makes must not depend on who started the build.
    rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    let verdict = perform().unwrap_or_else(|error| Verdict::NotLaunched { code: 125, message: error.to_string() });
    let text = serde_json::to_vec(&verdict).unwrap_or_default();
    match io::stderr().write_all(&text) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn perform() -> io::Result<Verdict> {
    let order: StepOrder = serde_json::from_slice(&read_line()?)?;
    let network = order.network.clone();
    let memory = order.memory;
    let mut spec = sandbox(order);
    let group = memory.map(group).transpose()?;
    spec.cgroup.clone_from(&group);
    let stdout = rustix::io::dup(rustix::stdio::stdout())?;
    let stderr = rustix::io::dup(rustix::stdio::stdout())?;
    let stdin: OwnedFd = std::fs::File::open("/dev/null")?.into();
    let stdio = Stdio { stdin, stdout, stderr, terminal: None, devpts: None };
    let prepare = &mut |born: &Born| {
        if let Some(group) = &group {
            group.add(born.pid)?;
        }
        plug(&network, born)
    };
    let verdict = match launch::launch(&spec, stdio, prepare) {
        Ok(launched) => wait(&launched).map(Verdict::Exited),
        Err(error) => Ok(Verdict::NotLaunched { code: error.exit_code(), message: error.to_string() }),
    };
    if let Some(group) = group {
        group.remove().map_err(io::Error::other)?;
    }
    verdict
}

/// Makes the group of a step whose memory is limited; swap counts too.
fn group(memory: u64) -> io::Result<Group> {
    let name = format!("motet/build-{}", std::process::id());
    let limits = LimitsRecord {
        memory: Some(memory),
        memory_swap: Some(i64::try_from(memory).unwrap_or(i64::MAX)),
        ..LimitsRecord::default()
    };
    let devices = DevicePolicy { all: true, ..DevicePolicy::default() };
    Group::create(&name, &limits, &devices).map_err(io::Error::other)
}

/// Gives the step's namespace its way out.
fn plug(network: &StepNetwork, born: &Born) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let StepNetwork::Guest(place) = network else { return Ok(()) };
    let rt = Runtime { layout: place.roots.clone().into(), registry: std::sync::Arc::default() };
    let netns = born.network_namespace()?;
    Ok(guest::plug(&rt, &place.network, place.number, netns.as_fd())?)
}

/// Reads up to the first line feed, byte by byte: what follows is not ours to take.
fn read_line() -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut input = io::stdin().lock();
    let mut byte = [0];
    while input.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    Ok(line)
}

fn sandbox(order: StepOrder) -> SandboxSpec {
    let mount = |mount| match mount {
        StepMount::Bind { source, target, read_only } => {
            let attributes = Attributes::empty();
            SandboxMount::Bind { source, target, read_only, attributes, propagation: None, recursive: true }
        }
        StepMount::Tmpfs { target, size } => {
            let options = ["exec", "dev"].map(str::to_owned).to_vec();
            SandboxMount::Tmpfs { target, size, mode: Some(0o1777), options, read_only: false }
        }
    };
    let network = match order.network {
        StepNetwork::Host => Namespace::Host,
        StepNetwork::None | StepNetwork::Guest(_) => Namespace::New,
    };
    SandboxSpec {
        root: Root::Overlay { lower: order.lower, upper: order.upper, work: order.work },
        mount_point: order.mount_point,
        read_only_root: false,
        process: order.process,
        hostname: order.host_name,
        domainname: None,
        mounts: order.mounts.into_iter().map(mount).collect(),
        namespaces: Namespaces { network, ..Namespaces::default() },
        privileged: order.privileged,
        capabilities: capabilities::resolve(&[], &[], order.privileged).expect("nothing is asked for by name"),
        seccomp: if order.privileged { SeccompRecord::Unconfined } else { SeccompRecord::Default },
        apparmor: order.apparmor,
        label: None,
        file_label: None,
        no_new_privileges: false,
        capability_sets: None,
        masks: if order.privileged { Masks::None } else { Masks::Usual },
        devices: Vec::new(),
        rlimits: order.ulimits,
        sysctls: BTreeMap::new(),
        oom_score_adj: None,
        init: false,
        outlives_parent: false,
        shm_size: order.shm_size,
        shared_memory_of: None,
        cgroup: None,
    }
}

/// Waits for the command, and kills it when the builder goes away.
fn wait(launched: &Launched) -> io::Result<i32> {
    let stdin = rustix::stdio::stdin();
    let mut fds = [PollFd::new(&launched.pidfd, PollFlags::IN), PollFd::from_borrowed_fd(stdin, PollFlags::IN)];
    while fds[0].revents().is_empty() {
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !fds[1].revents().is_empty() {
            rustix::process::pidfd_send_signal(&launched.pidfd, Signal::KILL)?;
            break;
        }
    }
    let target = rustix::process::WaitId::PidFd(launched.pidfd.as_fd());
    let status: Option<WaitIdStatus> = rustix::process::waitid(target, WaitIdOptions::EXITED)?;
    let status = status.ok_or_else(|| io::Error::other("the command ended without a status"))?;
    Ok(status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(125))
}
