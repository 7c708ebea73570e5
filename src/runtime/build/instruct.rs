//! The instructions that change files: RUN, COPY, ADD and WORKDIR, each with its key and its layer.

use std::collections::HashSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use patterns::Ignore;

use crate::build::cache::Key;
use crate::build::context::Tree;
use crate::build::dockerfile::instruction::{Command, Run, RunNetwork, RunSecurity, Transfer};
use crate::build::error::Reason;
use crate::build::execute::{Runner, State, Step, is_folder};
use crate::build::mounts;
use crate::build::network::StepNetwork;
use crate::build::reuse::{self, Reuse};
use crate::build::run::{self, RunStep};
use crate::build::stages::{self, Origin};
use crate::build::step::HOST_NAME;
use crate::build::view::View;
use crate::build::writer::{Sharing, Writer};
use crate::build::written::Written;
use crate::build::{epoch, metadata, owner, platforms, rehearse, same, transfer};
use crate::image::config::host_architecture;
use crate::image::digest::Digest;
use crate::image::staging;
use crate::progress::Report;
use crate::snapshot::diff;
use crate::state::calendar;
use crate::state::container::ProcessRecord;

const DEFAULT_SHM: u64 = 64 << 20;

/// Opens what `--from` names.
pub(super) fn tree(runner: &Runner<'_>, from: Option<&str>) -> Result<Tree, Reason> {
    let Some(name) = from else { return Ok(runner.job.context.clone()) };
    let job = runner.job;
    let layers: Vec<Digest> =
        match stages::from(&job.names(), &job.dockerfile.stages, runner.at, name).map_err(Reason::Syntax)? {
            Origin::Scratch => Vec::new(),
            Origin::Stage(stage) => runner.board.wait(stage)?.image.rootfs.diff_ids,
            Origin::Image(reference) => job.image(&reference, None)?.diff_ids,
            Origin::Context(name) => return Ok(job.contexts[&name].tree.clone()),
        };
    Ok(Tree { view: runner.view(&layers), ignore: Ignore::default(), keep_owners: true })
}

/// COPY and ADD.
pub(super) fn transfer(runner: &Runner<'_>, state: &mut State, written: &Transfer, add: bool) -> Result<bool, Reason> {
    let expanded = transfer::expand(written, &state.scope).map_err(Reason::Syntax)?;
    let line = metadata::transfer_line(if add { "ADD" } else { "COPY" }, &expanded);
    let tree = tree(runner, expanded.from.as_deref())?;
    let mut planned = transfer::plan(runner, expanded, add, tree, &state.image.config.working_dir)?;
    let layers = state.image.rootfs.diff_ids.clone();
    // A linked layer depends on nothing below it: it is written as if there were nothing.
    let linked = planned.transfer.link && planned.transfer.chmod.is_none();
    let begun = if linked { Key::new("copy --link") } else { Key::new("copy").with_layers(&layers) };
    let key = planned.key(begun, &runner.job.hashes)?;
    runner.step(state, Step { key, line, needs_reason: false }, &mut || {
        let below = if linked { View::default() } else { runner.view(&layers) };
        let sharing = sharing(runner, &planned, &below);
        layer(runner, &below, |top| planned.write(top, &below, sharing))
    })
}

/// Says what a copy may share: files of layers, and nothing whose times are yet to be set.
fn sharing(runner: &Runner<'_>, planned: &transfer::Planned, below: &View) -> Sharing {
    if runner.job.epoch.is_some() {
        return Sharing::Nothing;
    }
    let layers = &planned.tree.view.layers;
    match layers.as_slice() {
        [root] if !planned.tree.keep_owners => {
            let signature =
                reuse::signature(root, &format!("{:?} {}", planned.transfer, planned.destination.display()));
            Sharing::Earlier(Reuse::load(runner.job.rt, &signature, &below.layers))
        }
        _ if planned.tree.keep_owners => Sharing::Sources { layers: layers.clone(), taken: HashSet::new() },
        _ => Sharing::Nothing,
    }
}

/// WORKDIR: the folder is made where it is missing.
pub(super) fn working_directory(runner: &Runner<'_>, state: &mut State, written: &str) -> Result<bool, Reason> {
    let path = state.scope.word(written).map_err(Reason::Syntax)?;
    let path = rehearse::working_directory(&state.image.config.working_dir, &path);
    state.image.config.working_dir.clone_from(&path);
    let layers = state.image.rootfs.diff_ids.clone();
    let user = state.image.config.user.clone();
    let key = Key::new("workdir").with_layers(&layers).with(&path).with(&user);
    let line = format!("WORKDIR {path}");
    runner.step(state, Step { key, line, needs_reason: true }, &mut || {
        let below = runner.view(&layers);
        let io = |source| Reason::Io { act: format!("make `{path}`"), source };
        if path == "/" {
            return Ok(None);
        }
        // One that is there stays as it is: the layer is empty, as every WORKDIR has one.
        if is_folder(&below, Path::new(&path)).map_err(io)? {
            return layer(runner, &below, |_| Ok(None));
        }
        let owner = owner::running_as(&below, &user).map_err(Reason::Syntax)?;
        layer(runner, &below, |top| {
            let mut writer = Writer::new(top, &below);
            let resolved = below.resolve(Path::new(&path)).map_err(io)?;
            writer.make_folders(&resolved, owner).map_err(io)?;
            writer.complete().map_err(io)
        })
    })
}

/// Has a layer written into a folder of its own and keeps it.
fn layer(
    runner: &Runner<'_>,
    below: &View,
    write: impl FnOnce(&Path) -> Result<Option<Written>, Reason>,
) -> Result<Option<Digest>, Reason> {
    let rt = runner.job.rt;
    let io = |source| Reason::Io { act: "stage a layer".to_owned(), source };
    let staged = staging::create(rt).map_err(io)?;
    let top = staged.path.join("layer");
    std::fs::create_dir(&top).map_err(io)?;
    // The layer's own mode is that of the root, whatever our umask.
    std::fs::set_permissions(&top, Permissions::from_mode(0o755)).map_err(io)?;
    let written = write(&top)?;
    same::drop_unchanged(&top, below).map_err(io)?;
    if let Some(seconds) = runner.job.epoch {
        epoch::clamp(&top, seconds).map_err(io)?;
    }
    let made = match written {
        Some(written) => written.commit(rt, &top, &staged.path.join("archive")),
        None => diff::commit(rt, &top),
    };
    Ok(Some(made.map_err(Reason::Layer)?.diff_id))
}

/// RUN.
pub(super) fn run(runner: &Runner<'_>, state: &mut State, run: &Run, number: u32) -> Result<bool, Reason> {
    let job = runner.job;
    check_run(runner, run)?;
    let (wanted, host) = (&state.image.architecture, host_architecture());
    if let Some(why) = platforms::cannot_run(wanted, host) {
        let wanted = format!("{}/{wanted}", state.image.os);
        return Err(Reason::Foreign { wanted, host: format!("linux/{host}"), why });
    }
    let invocation = invocation(run, &state.image.config.shell);
    let layers = state.image.rootfs.diff_ids.clone();
    let view = runner.view(&layers);
    let working_dir = match state.image.config.working_dir.as_str() {
        "" => "/".to_owned(),
        path => path.to_owned(),
    };
    let mut environment = state.scope.run_environment();
    let mounted = mounts::plan(runner, state, &run.mounts, &working_dir)?;
    let no_network = run.network == RunNetwork::None || job.request.network.as_deref() == Some("none");
    let on_host = !no_network && (run.network == RunNetwork::Host || job.request.network.as_deref() == Some("host"));
    let privileged = job.request.privileged || run.security == RunSecurity::Insecure;
    let host_name = state.scope.given("BUILDKIT_SANDBOX_HOSTNAME").filter(|name| !name.is_empty());
    let host_name = host_name.unwrap_or(HOST_NAME).to_owned();
    let extra_hosts = job.request.extra_hosts.iter().map(|(name, address)| format!("{name}={address}"));
    let key = Key::new("run")
        .with_layers(&layers)
        .with_all(&invocation.args)
        .with_all(invocation.scripts.iter().flat_map(|(name, text)| [name, text]))
        .with_all(&environment)
        .with(&working_dir)
        .with(&state.image.config.user)
        .with_all(&mounted.key)
        .with(format!("{no_network} {on_host} {privileged} {host_name} {:?}", job.request.shm_size))
        .with(format!("{:?}", job.request.ulimits))
        .with_all(extra_hosts);
    // Of the same layers, another interpreter may make something else.
    let key = if wanted == host { key } else { key.with(wanted) };
    environment.extend(state.scope.proxies());
    environment.extend(mounted.environment());
    let line = format!("RUN {}{} # buildkit", state.scope.history_prefix(), invocation.line);
    let user = state.image.config.user.clone();
    let before = state.clone();
    runner.step(state, Step { key, line, needs_reason: false }, &mut || {
        let mut environment = environment.clone();
        let process = ProcessRecord {
            args: invocation.args.clone(),
            env: std::mem::take(&mut environment),
            cwd: working_dir.clone(),
            user: user.clone(),
            ..ProcessRecord::default()
        };
        let mounts = mounts::open(runner, &before, &mounted)?;
        let step = RunStep {
            view: &view,
            process,
            mounts: mounts.list.clone(),
            scripts: invocation.scripts.clone(),
            bundle: job.bundle.clone(),
            extra_hosts: &job.request.extra_hosts,
            network: if no_network {
                StepNetwork::None
            } else if on_host {
                StepNetwork::Host
            } else {
                job.network.join().map_err(Reason::Network)?
            },
            shm_size: job.request.shm_size.unwrap_or(DEFAULT_SHM),
            host_name: host_name.clone(),
            privileged,
            ulimits: job.request.ulimits.clone(),
            memory: job.request.memory,
            epoch: job.epoch,
        };
        let layer = run::run(job.rt, step, &mut |line| {
            job.reporter.report(Report::StepOutput { number, line: line.to_owned() });
        });
        layer.map(Some)
    })
}

/// What a Dockerfile may not take by itself is the caller's to give.
pub(super) fn check_run(runner: &Runner<'_>, run: &Run) -> Result<(), Reason> {
    let request = runner.job.request;
    let given = |name: &str| request.entitlements.iter().any(|it| it == name);
    if run.security == RunSecurity::Insecure && !request.privileged && !given("security.insecure") {
        return Err(Reason::NotAllowed("security.insecure"));
    }
    if run.network == RunNetwork::Host && request.network.as_deref() != Some("host") && !given("network.host") {
        return Err(Reason::NotAllowed("network.host"));
    }
    match run.devices.first() {
        Some(device) => Err(Reason::Unsupported(format!("RUN --device={device}"))),
        None => Ok(()),
    }
}

/// What RUN starts.
struct Invocation {
    args: Vec<String>,
    /// Files below `/dev/pipes`.
    scripts: Vec<(String, String)>,
    /// What the history says.
    line: String,
}

/// A heredoc that stands alone is the script itself; one after a command is the shell's to read.
fn invocation(run: &Run, shell: &[String]) -> Invocation {
    let plain = |command: &Command| {
        let args = metadata::words(command, shell);
        Invocation { line: args.join(" "), args, scripts: Vec::new() }
    };
    let (Command::Shell(text), [first, ..]) = (&run.command, run.files.as_slice()) else { return plain(&run.command) };
    if run.files.len() == 1 && !text.contains(char::is_whitespace) {
        let data: String = match first.chomp {
            true => first.data.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect(),
            false => first.data.clone(),
        };
        if data.starts_with("#!") {
            let path = format!("/dev/pipes/{}", first.name);
            let line = format!("<<{} {data}", first.name);
            return Invocation { args: vec![path], scripts: vec![(first.name.clone(), data)], line };
        }
        return plain(&Command::Shell(data));
    }
    let mut whole = text.clone();
    for file in &run.files {
        whole.push('\n');
        whole.push_str(&file.data);
        whole.push_str(&file.name);
    }
    plain(&Command::Shell(whole))
}

/// Returns the time in the form of image documents, to the second.
pub fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    time(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// Returns a time of seconds since 1970 in that form.
pub(super) fn time(seconds: i64) -> String {
    let (days, rest) = (seconds.max(0) / 86_400, seconds.max(0) % 86_400);
    let (year, month, day) = calendar::date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}
