//! Creates a container: its record, name, volumes, leases and files. All of it, or nothing.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::Runtime;
use crate::container::label;
use crate::container::list::{self, FindError};
use crate::container::merge;
use crate::container::populate;
use crate::container::request::{
    ContainerRequest, FileContent, FileRequest, MountRequest, MountSourceRequest, NetworkModeRequest, VolumesFrom,
};
use crate::container::signal::{self, UnknownSignal};
use crate::container::{names, remove, repair};
use crate::image::store::{self, Image, StoreError};
use crate::network::{self, AttachError, NetworkError, bridge, files};
use crate::sandbox::capabilities::{self, UnknownCapability};
use crate::sandbox::relabel::{self, RelabelError};
use crate::sandbox::selinux::{self, SelinuxError};
use crate::snapshot::quota::{self, QuotaError};
use crate::state::container::{
    ContainerRecord, EndpointRequest, MountRecord, MountSourceRecord, NamespaceRecord, NamespacesRecord,
    NetworkModeRecord, PortRecord, StatusRecord, VERSION,
};
use crate::state::layout::Bundle;
use crate::state::occurrence;
use crate::state::record::{self, Lock, RecordError};
use crate::volume::{self, VolumeError, VolumeRequest};

/// Why a container could not be created.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum CreateError {
    #[error(
        "`{name}` is not a container name: letters, digits, `_`, `.` and `-`, at least two, beginning with a letter or digit"
    )]
    Name { name: String },
    #[error("the name `{name}` is taken by container {}", &id[..12.min(id.len())])]
    NameTaken { name: String, id: String },
    #[error("no image `{image}` in the store")]
    NoImage { image: String },
    #[error("image `{image}` names no program to run, and neither does the container")]
    NoProgram { image: String },
    #[error("`{target}` is not an absolute path in the container")]
    Target { target: String },
    #[error("`{target}` has two mounts")]
    TwoMounts { target: String },
    #[error("no file or folder `{path}` on the host to mount")]
    NoSource { path: PathBuf },
    #[error("{what} can't be done: {why}")]
    Unsupported { what: String, why: &'static str },
    #[error(transparent)]
    Signal(#[from] UnknownSignal),
    #[error(transparent)]
    Capability(#[from] UnknownCapability),
    #[error(transparent)]
    Selinux(#[from] SelinuxError),
    #[error(transparent)]
    Relabel(#[from] RelabelError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error(transparent)]
    Quota(#[from] QuotaError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("cannot {act} `{path}`")]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What has been made so far; undone, last first, unless it is finished.
struct Unfinished<'a> {
    rt: &'a Runtime,
    id: &'a str,
    name: &'a str,
    bundle: Bundle,
    anonymous: Vec<String>,
    is_leased: bool,
    is_finished: bool,
    /// Shows that somebody is at work on the unfinished bundle.
    _act: Lock,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        // The error that brought us here is the one to tell.
        if self.is_leased {
            let _ = network::release(self.rt, self.id);
        }
        let _ = remove::remove_bundle(&self.bundle);
        for name in &self.anonymous {
            let _ = volume::remove(self.rt, name);
        }
        if let Ok(lock) = names::lock(self.rt) {
            names::take_back(self.rt, self.name, self.id, &lock);
        }
    }
}

/// Creates a container without starting it; returns its id.
pub fn create(rt: &Runtime, request: &ContainerRequest) -> Result<String, CreateError> {
    // While it is held, no layer that we are about to count on is collected.
    let _lease = store::lease(rt)?;
    let image =
        store::find(rt, &request.image)?.ok_or_else(|| CreateError::NoImage { image: request.image.clone() })?;
    store::lower_directories(rt, &image.diff_ids)?;
    let id = new_id()?;
    let mut record = record(rt, request, &image, &id)?;
    let mut unfinished = begin(rt, &id, &request.name)?;
    label::choose(rt, &mut record, &unfinished.bundle)?;
    if let Some(bytes) = record.limits.storage {
        quota::limit(&[&unfinished.bundle.upper(), &unfinished.bundle.work()], &id, bytes)?;
    }
    let bundle = unfinished.bundle.clone();
    for (mount, index) in request.mounts.iter().zip(0..) {
        let made = make_mount(rt, &named(&mut unfinished, mount)?)?;
        record.mounts.insert(index, made);
    }
    for from in &request.volumes_from {
        inherit(rt, from, &mut record)?;
    }
    for path in image.config.config.volumes.iter().map(|path| merge::place(path)) {
        if path != "/" && !record.mounts.iter().any(|mount| mount.target == path) {
            let source = MountSourceRequest::Anonymous { name: None };
            let mount = MountRequest { source, target: path, read_only: false };
            let made = make_mount(rt, &named(&mut unfinished, &mount)?)?;
            record.mounts.push(made);
        }
    }
    for (index, file) in request.files.iter().enumerate() {
        record.mounts.push(make_file(&bundle, file, index)?);
    }
    check_targets(&record.mounts)?;
    populate::populate(rt, &record, &bundle.root())?;
    unfinished.is_leased = true;
    let endpoints = network::lease(rt, &record)?;
    write(&bundle.files().join("hosts"), files::hosts(&record, &endpoints).as_bytes())?;
    write(&bundle.files().join("hostname"), format!("{}\n", record.hostname).as_bytes())?;
    let resolv_conf = files::resolv_conf(&record, &files::host_resolv_conf());
    write(&bundle.files().join("resolv.conf"), resolv_conf.as_bytes())?;
    record::write(&bundle.record(), &record)?;
    record::write(&bundle.status(), &StatusRecord::created())?;
    let finished = rt.layout.bundle(&id).lib;
    std::fs::rename(&bundle.lib, &finished).map_err(|source| CreateError::Io {
        act: "create",
        path: finished,
        source,
    })?;
    unfinished.is_finished = true;
    occurrence::of_container(&rt.layout, &record, "create", &[]);
    Ok(id.clone())
}

/// Returns 64 random hex digits; never all of the first twelve decimal, as they may serve as a host name.
pub(super) fn new_id() -> Result<String, CreateError> {
    let error = |source| CreateError::Io { act: "read", path: "/dev/urandom".into(), source };
    let mut bytes = [0_u8; 32];
    loop {
        std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).map_err(error)?;
        let id = bytes.iter().fold(String::with_capacity(64), |mut id, byte| {
            use std::fmt::Write as _;
            let _ = write!(id, "{byte:02x}");
            id
        });
        if !id[..12].bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(id);
        }
    }
}

/// Takes the name and makes the bundle's folders.
fn begin<'a>(rt: &'a Runtime, id: &'a str, name: &'a str) -> Result<Unfinished<'a>, CreateError> {
    if !names::is_valid(name) {
        return Err(CreateError::Name { name: name.into() });
    }
    let bundle = rt.layout.unfinished(id);
    // One that is half made may have lost its maker just now: whose it is is known when nobody is at work on it.
    if let Some(other) = names::holder(rt, name).filter(|other| rt.layout.unfinished(other).lib.is_dir()) {
        drop(record::lock(&rt.layout.unfinished(&other).act_lock()));
        repair::sweep(rt, &other);
    }
    let lock = names::lock(rt)?;
    if let Some(id) = names::holder(rt, name) {
        return Err(CreateError::NameTaken { name: name.into(), id });
    }
    // Secrets lie in it, and what containers write: nobody else's business.
    make_folder(&bundle.lib, 0o700)?;
    let act = record::lock(&bundle.act_lock())?;
    names::give(rt, name, id, &lock)?;
    drop(lock);
    let (anonymous, is_leased, is_finished) = (Vec::new(), false, false);
    let unfinished = Unfinished { rt, id, name, bundle, anonymous, is_leased, is_finished, _act: act };
    let bundle = &unfinished.bundle;
    for folder in [bundle.upper(), bundle.work(), bundle.root(), bundle.files(), bundle.log()] {
        make_folder(&folder, 0o755)?;
    }
    Ok(unfinished)
}

fn make_folder(path: &Path, mode: u32) -> Result<(), CreateError> {
    let error = |source| CreateError::Io { act: "create", path: path.into(), source };
    DirBuilder::new().mode(mode).create(path).map_err(error)?;
    // Whatever the caller's umask is: the upper folder's mode is that of the container's root.
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(error)
}

fn write(path: &Path, content: &[u8]) -> Result<(), CreateError> {
    let error = |source| CreateError::Io { act: "write", path: path.into(), source };
    std::fs::write(path, content).map_err(error)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o644)).map_err(error)
}

fn record(rt: &Runtime, request: &ContainerRequest, image: &Image, id: &str) -> Result<ContainerRecord, CreateError> {
    let config = &image.config.config;
    let namespaces = NamespacesRecord {
        pid: namespace(rt, request.pid.as_deref())?,
        ipc: namespace(rt, request.ipc.as_deref().filter(|ipc| *ipc != "none"))?,
        uts: namespace(rt, request.uts.as_deref())?,
        cgroup: namespace(rt, request.cgroup.as_deref())?,
    };
    let network = network(rt, &request.network)?;
    let ports = ports(rt, request, &network)?;
    // As with Docker: whoever is on another's network is called what that one is.
    let shared = match &network {
        NetworkModeRecord::Container(id) => Some(list::find(rt, id)?.record),
        NetworkModeRecord::None | NetworkModeRecord::Host | NetworkModeRecord::Networks(_) => None,
    };
    let is_hosts = namespaces.uts == NamespaceRecord::Host || network == NetworkModeRecord::Host;
    let hostname = match (shared.as_ref().map(|shared| &shared.hostname).or(request.hostname.as_ref()), is_hosts) {
        (Some(hostname), _) => hostname.clone(),
        (None, true) => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        (None, false) => id[..12].to_owned(),
    };
    let process = merge::process(config, request, &hostname);
    if process.args.is_empty() {
        return Err(CreateError::NoProgram { image: request.image.clone() });
    }
    // A mistake should not wait for the start.
    capabilities::resolve(&request.security.cap_add, &request.security.cap_drop, request.security.privileged)?;
    let stop_signal = request.stop_signal.as_ref().or(config.stop_signal.as_ref());
    let grace = request.stop_grace.map_or(10_000, |grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
    let created = crate::keeper::stdio::now();
    Ok(ContainerRecord {
        version: VERSION,
        id: id.into(),
        name: request.name.clone(),
        created_ms: u64::try_from(created.as_millis()).unwrap_or(u64::MAX),
        image_reference: request.image.clone(),
        image_id: image.id.to_string(),
        layers: image.diff_ids.iter().map(ToString::to_string).collect(),
        labels: merge::labels(config, request),
        annotations: request.annotations.clone(),
        process,
        hostname,
        domainname: request.domainname.clone(),
        init: request.init,
        stop_signal: stop_signal.map_or(Ok(15), |name| signal::parse(name))?,
        stop_grace_ms: grace,
        restart: request.restart,
        healthcheck: merge::healthcheck(config, request.healthcheck.as_ref()),
        mounts: Vec::new(),
        network,
        ports,
        exposed: config.exposed_ports.clone(),
        extra_hosts: request.extra_hosts.clone(),
        links: request.links.clone(),
        dns: request.dns.clone(),
        dns_options: request.dns_options.clone(),
        dns_search: request.dns_search.clone(),
        security: request.security.clone(),
        limits: request.limits.clone(),
        sysctls: request.sysctls.clone(),
        ulimits: request.ulimits.clone(),
        // An IPC namespace of its own, in which nothing is shared, needs no place for that.
        shm_size: if request.ipc.as_deref() == Some("none") { 0 } else { request.shm_size.unwrap_or(64 << 20) },
        oom_score_adj: request.oom_score_adj,
        namespaces,
        log: request.log.clone(),
        stdin_once: request.stdin_once,
        auto_remove: request.auto_remove,
    })
}

fn namespace(rt: &Runtime, text: Option<&str>) -> Result<NamespaceRecord, CreateError> {
    match text {
        None | Some("" | "private" | "shareable") => Ok(NamespaceRecord::Private),
        Some("host") => Ok(NamespaceRecord::Host),
        Some(text) => match text.strip_prefix("container:") {
            Some(name) => Ok(NamespaceRecord::Container(list::find(rt, name)?.record.id)),
            None => Err(CreateError::Unsupported {
                what: format!("namespace `{text}`"),
                why: "it is `host`, `private` or `container:NAME`",
            }),
        },
    }
}

/// Returns the ports; where one names no address of the host, that of the network that they lead into.
fn ports(
    rt: &Runtime,
    request: &ContainerRequest,
    network: &NetworkModeRecord,
) -> Result<Vec<PortRecord>, CreateError> {
    let mut ports = request.ports.clone();
    let NetworkModeRecord::Networks(endpoints) = network else { return Ok(ports) };
    let mut ordered: Vec<&EndpointRequest> = endpoints.iter().collect();
    ordered.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.gw_priority));
    for endpoint in ordered.into_iter().filter(|_| ports.iter().any(|port| port.host_ip.is_none())) {
        let Some(found) = network::find(rt, &endpoint.network)?.filter(|found| !found.internal) else { continue };
        if let Some(address) = bridge::host_address(&found) {
            ports.iter_mut().for_each(|port| port.host_ip = port.host_ip.or(Some(address)));
        }
        break;
    }
    Ok(ports)
}

fn network(rt: &Runtime, mode: &NetworkModeRequest) -> Result<NetworkModeRecord, CreateError> {
    Ok(match mode {
        NetworkModeRequest::None => NetworkModeRecord::None,
        NetworkModeRequest::Host => NetworkModeRecord::Host,
        NetworkModeRequest::Container(name) => NetworkModeRecord::Container(list::find(rt, name)?.record.id),
        NetworkModeRequest::Networks(endpoints) => {
            let id = |endpoint: &EndpointRequest| {
                let name = &endpoint.network;
                let found = network::find(rt, name)?.ok_or_else(|| NetworkError::NotFound { name: name.clone() })?;
                Ok(EndpointRequest { network: found.id, ..endpoint.clone() })
            };
            NetworkModeRecord::Networks(endpoints.iter().map(id).collect::<Result<_, NetworkError>>()?)
        }
    })
}

/// Takes over what another container has mounted of the host and of volumes, but where this one has a mount of its own.
fn inherit(rt: &Runtime, from: &VolumesFrom, record: &mut ContainerRecord) -> Result<(), CreateError> {
    for mount in list::find(rt, &from.container)?.record.mounts {
        let is_shared = matches!(mount.source, MountSourceRecord::Bind { .. } | MountSourceRecord::Volume { .. });
        if is_shared && !record.mounts.iter().any(|own| own.target == mount.target) {
            record.mounts.push(MountRecord { read_only: mount.read_only || from.read_only, ..mount });
        }
    }
    Ok(())
}

/// Volumes that were made for this container alone go with it when it can't be made.
/// Returns the mount with a name for a new anonymous volume, which goes with the bundle should that never be finished.
fn named(unfinished: &mut Unfinished<'_>, mount: &MountRequest) -> Result<MountRequest, CreateError> {
    let MountSourceRequest::Anonymous { name: None } = mount.source else { return Ok(mount.clone()) };
    let name = new_id()?;
    unfinished.anonymous.push(name.clone());
    record::write(&unfinished.bundle.doomed(), &unfinished.anonymous)?;
    Ok(MountRequest { source: MountSourceRequest::Anonymous { name: Some(name) }, ..mount.clone() })
}

fn make_mount(rt: &Runtime, mount: &MountRequest) -> Result<MountRecord, CreateError> {
    if !mount.target.starts_with('/') {
        return Err(CreateError::Target { target: mount.target.clone() });
    }
    let volume = |name: &str, anonymous| {
        volume::create(rt, &VolumeRequest { name: name.into(), anonymous, ..VolumeRequest::default() })
    };
    let source = match &mount.source {
        MountSourceRequest::Bind { path, create, propagation, recursive, relabel } => {
            make_source(path, *create)?;
            if relabel.is_some() && selinux::is_available() {
                relabel::check(path, &rt.layout)?;
            }
            let (propagation, recursive) = (propagation.clone(), *recursive);
            MountSourceRecord::Bind { path: path.clone(), propagation, recursive, relabel: *relabel }
        }
        MountSourceRequest::Volume { name, nocopy, subpath } => {
            volume(name, false)?;
            MountSourceRecord::Volume {
                name: name.clone(),
                anonymous: false,
                nocopy: *nocopy,
                subpath: subpath.clone(),
            }
        }
        MountSourceRequest::Anonymous { name } => {
            let name = name.clone().map_or_else(new_id, Ok)?;
            volume(&name, true)?;
            MountSourceRecord::Volume { name, anonymous: true, nocopy: false, subpath: None }
        }
        MountSourceRequest::Tmpfs { size, mode, options } => {
            MountSourceRecord::Tmpfs { size: *size, mode: *mode, options: options.clone() }
        }
        MountSourceRequest::Image { reference, subpath } => {
            let image = store::find(rt, reference)?;
            let image = image.ok_or_else(|| CreateError::NoImage { image: reference.clone() })?;
            store::lower_directories(rt, &image.diff_ids)?;
            let layers = image.diff_ids.iter().map(ToString::to_string).collect();
            MountSourceRecord::Image { layers, subpath: subpath.clone() }
        }
    };
    Ok(MountRecord { source, target: merge::place(&mount.target), read_only: mount.read_only })
}

fn make_source(path: &Path, create: bool) -> Result<(), CreateError> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
            std::fs::create_dir_all(path).map_err(|source| CreateError::Io { act: "create", path: path.into(), source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(CreateError::NoSource { path: path.into() }),
        Err(source) => Err(CreateError::Io { act: "open", path: path.into(), source }),
    }
}

/// A host file that is to be as it is there stays one with it; all else is a copy in the bundle.
fn make_file(bundle: &Bundle, file: &FileRequest, index: usize) -> Result<MountRecord, CreateError> {
    if !file.target.starts_with('/') {
        return Err(CreateError::Target { target: file.target.clone() });
    }
    let target = merge::place(&file.target);
    let as_it_is = file.uid.is_none() && file.gid.is_none() && file.mode.is_none();
    let copy;
    let content = match &file.content {
        FileContent::Path(path) => {
            make_source(path, false)?;
            if as_it_is {
                let (path, propagation) = (path.clone(), None);
                let source = MountSourceRecord::Bind { path, propagation, recursive: true, relabel: None };
                return Ok(MountRecord { source, target, read_only: true });
            }
            copy = std::fs::read(path).map_err(|source| CreateError::Io { act: "read", path: path.clone(), source })?;
            &copy
        }
        FileContent::Inline(content) => content,
    };
    let name = format!("file-{index}");
    let path = bundle.files().join(&name);
    write(&path, content)?;
    let error = |source| CreateError::Io { act: "write", path: path.clone(), source };
    std::os::unix::fs::chown(&path, file.uid.or(Some(0)), file.gid.or(Some(0))).map_err(error)?;
    std::fs::set_permissions(&path, Permissions::from_mode(file.mode.unwrap_or(0o444) & 0o7777)).map_err(error)?;
    Ok(MountRecord { source: MountSourceRecord::File { name }, target, read_only: true })
}

fn check_targets(mounts: &[MountRecord]) -> Result<(), CreateError> {
    let mut seen = BTreeSet::new();
    match mounts.iter().find(|mount| !seen.insert(&mount.target)) {
        Some(mount) => Err(CreateError::TwoMounts { target: mount.target.clone() }),
        None => Ok(()),
    }
}
