//! RUN, the builder's half: what the command sees, its output line by line, and the layer that it leaves.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::Runtime;
use crate::build::error::{Reason, meaning};
use crate::build::network::{self, StepNetwork};
use crate::build::step::{StepMount, StepOrder, Verdict};
use crate::build::view::{View, is_opaque};
use crate::build::{epoch, host_ca, same};
use crate::image::digest::Digest;
use crate::image::staging::{self, Staging};
use crate::sandbox::apparmor;
use crate::snapshot::diff;
use crate::state::container::{AppArmorRecord, ProcessRecord};
use crate::sys::self_exe;

/// Lines of output that an error shows.
const LAST_LINES: usize = 40;

/// Where a sandbox mounts something of its own; what it has to make for that must not stay in the layer.
const OWN_TARGETS: [&str; 6] = ["/proc", "/sys", "/dev", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];

/// A RUN with everything known.
#[derive(Debug)]
pub struct RunStep<'a> {
    /// The layers below.
    pub view: &'a View,
    /// Program, environment, folder, user.
    pub process: ProcessRecord,
    /// `--mount`s.
    pub mounts: Vec<StepMount>,
    /// Name and text of scripts that the command is given below `/dev/pipes`.
    pub scripts: Vec<(String, String)>,
    /// The host's certificate bundle, if the step needs it.
    pub bundle: Option<PathBuf>,
    /// Name and address.
    pub extra_hosts: &'a [(String, String)],
    /// What it sees of the network.
    pub network: StepNetwork,
    /// Bytes of /dev/shm.
    pub shm_size: u64,
    /// What it takes its machine for.
    pub host_name: String,
    /// It has all privileges.
    pub privileged: bool,
    /// Soft and hard limits by name.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// Bytes of memory that it may use.
    pub memory: Option<u64>,
    /// Nothing that it leaves is younger, in seconds.
    pub epoch: Option<i64>,
}

/// Runs the command; returns its layer, which may be empty.
pub fn run(rt: &Runtime, step: RunStep<'_>, line: &mut dyn FnMut(&str)) -> Result<Digest, Reason> {
    let io = |source| Reason::Io { act: "prepare the step".to_owned(), source };
    let staged = staging::create(rt).map_err(io)?;
    let profile = apparmor::profile(&rt.layout, &AppArmorRecord::Default, step.privileged)
        .map_err(|error| io(io::Error::other(error)))?;
    let order = StepOrder { apparmor: profile, ..prepare(&staged, &step).map_err(io)? };
    let targets = targets(&order);
    let stubs = stubs(step.view, &targets).map_err(io)?;
    let upper = order.upper.clone();
    launch(&order, line)?;
    clean(&upper, step.view, &stubs).and_then(|()| same::drop_unchanged(&upper, step.view)).map_err(io)?;
    if let Some(seconds) = step.epoch {
        epoch::clamp(&upper, seconds).map_err(io)?;
    }
    Ok(diff::commit(rt, &upper).map_err(Reason::Layer)?.diff_id)
}

fn prepare(staged: &Staging, step: &RunStep<'_>) -> io::Result<StepOrder> {
    let folder = |name: &str| {
        let path = staged.path.join(name);
        std::fs::DirBuilder::new().mode(0o755).create(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok::<_, io::Error>(path)
    };
    let files = folder("files")?;
    let file = |name: &str, text: &[u8], mode: u32| {
        let path = files.join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
        Ok::<_, io::Error>(path)
    };
    let mut hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
    hosts.push_str(&format!("127.0.1.1\t{}\n", step.host_name));
    for (name, address) in step.extra_hosts {
        hosts.push_str(&format!("{address}\t{name}\n"));
    }
    let resolvers = network::resolvers().or_else(|| std::fs::read("/etc/resolv.conf").ok()).unwrap_or_default();
    let bind =
        |source: PathBuf, target: &str, read_only| StepMount::Bind { source, target: target.to_owned(), read_only };
    let mut mounts = vec![
        bind(file("resolv.conf", &resolvers, 0o644)?, "/etc/resolv.conf", false),
        bind(file("hosts", hosts.as_bytes(), 0o644)?, "/etc/hosts", false),
        bind(file("hostname", format!("{}\n", step.host_name).as_bytes(), 0o644)?, "/etc/hostname", false),
    ];
    let mut process = step.process.clone();
    if let Some(bundle) = &step.bundle {
        mounts.push(bind(bundle.clone(), host_ca::TARGET, true));
        process.env.extend(host_ca::variables(&process.env));
    }
    mounts.extend(step.mounts.iter().cloned());
    if !step.scripts.is_empty() {
        let scripts = folder("scripts")?;
        for (name, text) in &step.scripts {
            let path = scripts.join(name);
            std::fs::write(&path, text)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        }
        mounts.push(bind(scripts, "/dev/pipes", true));
    }
    Ok(StepOrder {
        // Overlayfs wants at least one lower directory.
        lower: if step.view.layers.is_empty() { vec![folder("empty")?] } else { step.view.layers.clone() },
        upper: folder("layer")?,
        work: folder("work")?,
        mount_point: folder("root")?,
        process,
        mounts,
        network: step.network.clone(),
        shm_size: step.shm_size,
        host_name: step.host_name.clone(),
        privileged: step.privileged,
        apparmor: None,
        ulimits: step.ulimits.clone(),
        memory: step.memory,
    })
}

/// Launches the step and hands on what it writes.
fn launch(order: &StepOrder, line: &mut dyn FnMut(&str)) -> Result<(), Reason> {
    let io = |source| Reason::Io { act: "run the step".to_owned(), source };
    let mut command = self_exe::command(&["__run"]);
    // Ctrl-C must not kill it before it has killed its sandbox: it sees us go.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(io)?;
    let last = converse(&mut child, order, line).map_err(io)?;
    let mut verdict = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_end(&mut verdict).map_err(io)?;
    }
    let status = child.wait().map_err(io)?;
    let verdict: Verdict = serde_json::from_slice(&verdict).map_err(|_| {
        let said = String::from_utf8_lossy(&verdict);
        io(io::Error::other(format!("the step's process ended without a verdict ({status}) {said}")))
    })?;
    match verdict {
        Verdict::Exited(0) => Ok(()),
        Verdict::Exited(code) => {
            let process = order.process.args.join(" ");
            Err(Reason::Run { process, code, meaning: meaning(code), output: last })
        }
        Verdict::NotLaunched { code, message } => {
            let process = order.process.args.join(" ");
            Err(Reason::Launch { process, code, message })
        }
    }
}

/// Sends the order and reads the output to its end; returns the last lines.
fn converse(child: &mut Child, order: &StepOrder, line: &mut dyn FnMut(&str)) -> io::Result<Vec<String>> {
    let mut last = VecDeque::new();
    let mut text = serde_json::to_vec(order)?;
    text.push(b'\n');
    if let Some(stdin) = child.stdin.as_mut() {
        stdin.write_all(&text)?;
    }
    if let Some(stdout) = child.stdout.take() {
        let mut output = BufReader::new(stdout);
        let mut bytes = Vec::new();
        while output.read_until(b'\n', &mut bytes)? > 0 {
            let text = String::from_utf8_lossy(&bytes);
            // Of a progress bar that is drawn over itself, the last state counts.
            let text = text.trim_end_matches(['\n', '\r']).rsplit('\r').next().unwrap_or_default().to_owned();
            line(&text);
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(text);
            bytes.clear();
        }
    }
    Ok(last.into())
}

fn targets(order: &StepOrder) -> Vec<PathBuf> {
    let mounted = order.mounts.iter().map(|mount| match mount {
        StepMount::Bind { target, .. } | StepMount::Tmpfs { target, .. } => target.as_str(),
    });
    OWN_TARGETS.iter().copied().chain(mounted).map(PathBuf::from).collect()
}

/// Finds what mounting at `targets` would have to make: every path that is not there, deepest last.
fn stubs(view: &View, targets: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    for target in targets {
        let mut at = PathBuf::from("/");
        for name in view.resolve(target)?.strip_prefix("/").unwrap_or(Path::new("")) {
            at.push(name);
            if view.find(&at)?.is_none() {
                missing.push(at.clone());
            }
        }
    }
    missing.sort();
    missing.dedup();
    Ok(missing)
}

/// Takes what only the mounts needed out of the layer, and folders that overlayfs copied up for nothing but that.
fn clean(upper: &Path, view: &View, stubs: &[PathBuf]) -> io::Result<()> {
    let inside = |path: &Path| upper.join(path.strip_prefix("/").unwrap_or(path));
    for stub in stubs.iter().rev() {
        let place = inside(stub);
        let Ok(metadata) = place.symlink_metadata() else { continue };
        if metadata.is_dir() {
            // One that the command has filled stays.
            let _ = std::fs::remove_dir(&place);
        } else if metadata.is_file() && metadata.size() == 0 {
            std::fs::remove_file(&place)?;
        }
        let mut folder = stub.as_path();
        while let Some(parent) = folder.parent().filter(|parent| *parent != Path::new("/")) {
            folder = parent;
            let place = inside(folder);
            let (Ok(ours), Some(below)) = (place.symlink_metadata(), view.find(folder)?) else { break };
            let below = below.metadata;
            let same = ours.is_dir()
                && below.is_dir()
                && (ours.mode(), ours.uid(), ours.gid()) == (below.mode(), below.uid(), below.gid());
            if !same || is_opaque(&place) || std::fs::remove_dir(&place).is_err() {
                break;
            }
        }
    }
    Ok(())
}
