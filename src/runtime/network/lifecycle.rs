//! Networks: made, found, listed, removed.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Runtime;
use crate::network::addresses::{Taken, choose_subnets};
use crate::network::subnet::Subnet;
use crate::network::{bridge, firewall, leases, link, removal, trunk};
use crate::state::container::StatusRecord;
use crate::state::layout::Layout;
use crate::state::network::{EndpointRecord, NetworkRecord, VERSION};
use crate::state::occurrence::{self, Kind};
use crate::state::process::{ProcessId, boot_id};
use crate::state::record::{self, RecordError};
use crate::sys::netlink::Socket;
use crate::sys::netns;

/// A network to create.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the attributes of a network under their usual names")]
pub struct NetworkRequest {
    pub name: String,
    /// `bridge`, which empty is, too, `macvlan` or `ipvlan`; of these two see `trunk`.
    pub driver: String,
    /// Understood: `com.docker.network.driver.mtu`, `com.docker.network.bridge.name`, and below
    /// `com.docker.network.bridge.` also `enable_ip_masquerade`, `enable_icc`, `host_binding_ipv4`; see `bridge`.
    pub options: BTreeMap<String, String>,
    pub pools: Vec<Pool>,
    pub internal: bool,
    pub attachable: bool,
    pub ipv4: bool,
    pub ipv6: bool,
    pub labels: BTreeMap<String, String>,
    /// The process that it is for, and without which it is to be cleared away; `None`: it stays.
    pub owner: Option<ProcessId>,
    /// Its id, 64 hexadecimal digits that no other network has; `None`: a random one.
    pub id: Option<String>,
}

impl Default for NetworkRequest {
    fn default() -> Self {
        Self {
            name: String::new(),
            driver: String::new(),
            options: BTreeMap::new(),
            pools: Vec::new(),
            internal: false,
            attachable: false,
            ipv4: true,
            ipv6: false,
            labels: BTreeMap::new(),
            owner: None,
            id: None,
        }
    }
}

/// Addresses of a network, as a person wrote them (`10.5.0.0/16`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the attributes of an address pool under their usual names")]
pub struct Pool {
    pub subnet: Option<String>,
    pub range: Option<String>,
    pub gateway: Option<String>,
    /// Given only to who asks for one of them.
    pub reserved: Vec<String>,
}

/// Why a network could not be made, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A network of this name exists.
    #[error("a network `{name}` exists already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There is none.
    #[error("no network `{name}`")]
    NotFound {
        /// Name or id.
        name: String,
    },
    /// Containers that run are on it, or, for one that is to go only when nobody has it, any containers.
    #[error("network `{name}` has active endpoints: it is in use by {}", containers.join(", "))]
    InUse {
        /// The network.
        name: String,
        /// Names of the containers.
        containers: Vec<String>,
    },
    /// What is asked for can't be had.
    #[error("network `{name}`: {problem}")]
    Unsupported {
        /// The network.
        name: String,
        /// What is wrong, and with what.
        problem: String,
    },
    /// The state on disk.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The kernel refused.
    #[error("cannot {act} `{what}`")]
    Kernel {
        /// What was attempted.
        act: &'static str,
        /// On what.
        what: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Returns the making of an error about `what`.
pub(crate) fn kernel(act: &'static str, what: &str) -> impl Fn(io::Error) -> NetworkError + use<> {
    let what = what.to_owned();
    move |source| NetworkError::Kernel { act, what: what.clone(), source }
}

/// Creates a network: its record, its link, its place in the firewall.
pub fn create(rt: &Runtime, request: &NetworkRequest) -> Result<NetworkRecord, NetworkError> {
    let unsupported = |problem: String| NetworkError::Unsupported { name: request.name.clone(), problem };
    let Asked { id, bridge, is_trunk } = check(request)?;
    let _networks = record::lock(&rt.layout.lock("networks"))?;
    let (others, left) = recorded(rt)?;
    clear_left(rt, &left);
    if others.iter().any(|other| other.name == request.name) {
        return Err(NetworkError::NameTaken { name: request.name.clone() });
    }
    let on_same = |other: &&NetworkRecord| trunk::is_one(other) && other.bridge == bridge;
    if let Some(other) = others.iter().find(on_same).filter(|_| is_trunk) {
        return Err(unsupported(format!("the link `{bridge}` is the parent of network `{}` already", other.name)));
    }
    // Other state roots choose subnets too: the lock of this host's network, until the link shows our choice.
    let host =
        netns::own().and_then(|file| file.lock().map(|()| file)).map_err(kernel("lock", "the host's network"))?;
    let mut socket = Socket::route().map_err(kernel("open", "rtnetlink"))?;
    let network = chosen(request, Asked { id, bridge, is_trunk }, &others, &mut socket)?;
    let made = make(rt, &mut socket, &network);
    drop(host);
    if let Ok(Some(chain)) = firewall::policy::dropping(true)
        && !network.internal
        && !is_trunk
    {
        tracing::warn!(
            "the host drops forwarded packets (`{chain}`): containers of `{}` reach nothing outside unless it lets \
             what comes from `{}` through",
            network.name,
            network.bridge
        );
    }
    if let Err(error) = made {
        // What is half there goes; the first error is the one that tells.
        let _ = remove_link(&mut socket, &network);
        let _ = std::fs::remove_dir_all(rt.layout.networks().join(Layout::unmade_network(&network.id)));
        return Err(error);
    }
    tell(rt, &network, "create");
    Ok(network)
}

/// Returns the network that [`create`] would make now, and makes nothing.
pub fn preview(rt: &Runtime, request: &NetworkRequest) -> Result<NetworkRecord, NetworkError> {
    let mut socket = Socket::route().map_err(kernel("open", "rtnetlink"))?;
    chosen(request, check(request)?, &list(rt)?, &mut socket)
}

/// What a request that can be fulfilled asks for.
struct Asked {
    id: String,
    /// Name of its link.
    bridge: String,
    is_trunk: bool,
}

fn check(request: &NetworkRequest) -> Result<Asked, NetworkError> {
    let unsupported = |problem: String| NetworkError::Unsupported { name: request.name.clone(), problem };
    let is_trunk = trunk::is_driver(&request.driver);
    if !is_trunk && !["", "bridge", "default"].contains(&request.driver.as_str()) {
        let problem = format!("there is no driver `{}`, only `bridge`, `macvlan` and `ipvlan`", request.driver);
        return Err(unsupported(problem));
    }
    if !request.ipv4 && !request.ipv6 {
        return Err(unsupported("it has neither IPv4 nor IPv6".into()));
    }
    let id = match &request.id {
        Some(id) => id.clone(),
        None => random_id().map_err(kernel("name", &request.name))?,
    };
    let bridge = match is_trunk {
        true => trunk::check(&request.driver, &request.options).and_then(|()| trunk::parent(&id, &request.options)),
        false => bridge::check(&request.options).and_then(|()| bridge::name(&id, &request.options)),
    }
    .map_err(unsupported)?;
    Ok(Asked { id, bridge, is_trunk })
}

/// Chooses addresses and all else that was left open.
fn chosen(
    request: &NetworkRequest,
    asked: Asked,
    others: &[NetworkRecord],
    socket: &mut Socket,
) -> Result<NetworkRecord, NetworkError> {
    let unsupported = |problem: String| NetworkError::Unsupported { name: request.name.clone(), problem };
    let Asked { id, bridge, is_trunk } = asked;
    let ours = others.iter().flat_map(|other| &other.subnets).map(Subnet::from).collect();
    let taken = Taken::read(socket, ours).map_err(kernel("read", "the host's routes"))?;
    let owns_link = link::find(socket, &bridge).map_err(kernel("find the link", &bridge))?.is_none();
    Ok(NetworkRecord {
        version: VERSION,
        subnets: choose_subnets(&id, &request.pools, (request.ipv4, request.ipv6), &taken).map_err(unsupported)?,
        mtu: bridge::mtu(socket, &request.options).map_err(kernel("read", "the host's default route"))?,
        id,
        name: request.name.clone(),
        created_ms: now_ms(),
        driver: if is_trunk { request.driver.clone() } else { "bridge".into() },
        bridge,
        owns_link,
        internal: request.internal || (is_trunk && trunk::is_closed(&request.options)),
        attachable: request.attachable,
        options: request.options.clone(),
        labels: request.labels.clone(),
        owner: request.owner,
    })
}

fn tell(rt: &Runtime, network: &NetworkRecord, action: &str) {
    let mut attributes = network.labels.clone();
    attributes.insert("name".into(), network.name.clone());
    attributes.insert("type".into(), network.driver.clone());
    occurrence::record(&rt.layout, Kind::Network, action, &network.id, attributes);
}

/// Tells that a container has been plugged in (`connect`) or unplugged (`disconnect`).
pub(crate) fn tell_of(rt: &Runtime, network: &NetworkRecord, container: &str, action: &str) {
    let attributes = BTreeMap::from([
        ("container".to_owned(), container.to_owned()),
        ("name".to_owned(), network.name.clone()),
        ("type".to_owned(), network.driver.clone()),
    ]);
    occurrence::record(&rt.layout, Kind::Network, action, &network.id, attributes);
}

fn make(rt: &Runtime, socket: &mut Socket, network: &NetworkRecord) -> Result<(), NetworkError> {
    // The record before the link, or a kill in between would leave a link that nobody knows. It is no network before
    // all of it is there: at its start a container looks for the link and the table, not whether they are complete.
    let unmade = Layout::unmade_network(&network.id);
    let endpoints = rt.layout.endpoints(&unmade);
    std::fs::create_dir_all(&endpoints).map_err(kernel("create", &endpoints.to_string_lossy()))?;
    record::write(&rt.layout.network(&unmade), network)?;
    match trunk::is_one(network) {
        true => drop(trunk::ensure(socket, network)?),
        false => drop(bridge::make(socket, network)?),
    }
    firewall::add_network(rt, network).map_err(kernel("set the firewall for", &network.name))?;
    let folder = rt.layout.networks().join(&network.id);
    let made = std::fs::rename(rt.layout.networks().join(unmade), &folder);
    made.map_err(kernel("create", &folder.to_string_lossy()))
}

/// Removes a network that no running container is on. One that is stopped can't be started any more.
pub fn remove(rt: &Runtime, id_or_name: &str) -> Result<(), NetworkError> {
    remove_unless(rt, id_or_name, |endpoint| is_active(rt, &endpoint.container))
}

/// Removes a network that no container is on, whether it runs or not.
pub fn remove_unused(rt: &Runtime, id_or_name: &str) -> Result<(), NetworkError> {
    // A lease whose container is gone holds nothing.
    remove_unless(rt, id_or_name, |endpoint| Ok(rt.layout.bundle(&endpoint.container).lib.exists()))
}

fn remove_unless(
    rt: &Runtime,
    id_or_name: &str,
    uses: impl Fn(&EndpointRecord) -> Result<bool, NetworkError>,
) -> Result<(), NetworkError> {
    let _networks = record::lock(&rt.layout.lock("networks"))?;
    let network = find(rt, id_or_name)?.ok_or_else(|| NetworkError::NotFound { name: id_or_name.into() })?;
    let mut users = Vec::new();
    for endpoint in endpoints(rt, &network.id)? {
        if uses(&endpoint)? {
            users.push(endpoint.container_name);
        }
    }
    if !users.is_empty() {
        return Err(NetworkError::InUse { name: network.name, containers: users });
    }
    // From here on it is no network any more; what a kill leaves of it, the next listing clears away.
    let folder = rt.layout.networks().join(&network.id);
    let leaving = rt.layout.leaving_network(&network.id);
    std::fs::rename(&folder, &leaving).map_err(kernel("remove", &folder.to_string_lossy()))?;
    tell(rt, &network, "destroy");
    clear(rt, &network, &leaving)
}

/// Says whether a container runs, or somebody is about to start or to remove it: whoever starts one holds its lock from
/// before the lease is renewed, which takes the lock that we hold, until the status tells that it runs.
fn is_active(rt: &Runtime, container: &str) -> Result<bool, NetworkError> {
    let bundle = rt.layout.bundle(container);
    if !bundle.lib.exists() {
        return Ok(false);
    }
    let act = match record::try_lock(&bundle.act_lock()) {
        Ok(act) => act,
        // Removed this very moment.
        Err(_) if !bundle.lib.exists() => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let status = record::read::<StatusRecord>(&bundle.status())?;
    let runs = status.is_some_and(|it| it.boot == boot_id() && it.status.is_up());
    Ok(act.is_none() || runs)
}

/// Takes away what a network that is none any more has in the kernel, and last what tells of it.
fn clear(rt: &Runtime, network: &NetworkRecord, leaving: &Path) -> Result<(), NetworkError> {
    if network.owns_link {
        removal::remove(&network.bridge).map_err(kernel("remove the link", &network.bridge))?;
    }
    firewall::remove_network(rt, network).map_err(kernel("clear the firewall of", &network.name))?;
    std::fs::remove_dir_all(leaving).map_err(kernel("remove", &leaving.to_string_lossy()))
}

/// Takes the network's link away, unless it is the host's own.
fn remove_link(socket: &mut Socket, network: &NetworkRecord) -> io::Result<()> {
    if network.owns_link { bridge::remove(socket, &network.bridge) } else { Ok(()) }
}

/// Says whether it was made for a process that is no more.
fn is_abandoned(network: &NetworkRecord) -> bool {
    network.owner.is_some_and(|owner| !owner.is_running())
}

/// Clears away what killed commands have left: networks half made or half removed. Whoever makes or removes one now
/// holds the lock: then it is for the next one to do.
fn mend(rt: &Runtime, folders: &[String]) {
    if let Ok(Some(_networks)) = record::try_lock(&rt.layout.lock("networks")) {
        clear_left(rt, folders);
    }
}

/// Clears away what killed commands have left in `folders`. The lock must be held.
fn clear_left(rt: &Runtime, folders: &[String]) {
    for folder in folders {
        let path = rt.layout.networks().join(folder);
        match record::read::<NetworkRecord>(&rt.layout.network(folder)) {
            Ok(Some(network)) if is_abandoned(&network) || *folder != network.id => {
                if let Err(error) = clear(rt, &network, &path) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot clear away a removed network");
                }
            }
            // It has got its record meanwhile.
            Ok(Some(_)) => {}
            // No record yet, so no link either.
            Ok(None) | Err(_) => drop(std::fs::remove_dir_all(&path)),
        }
    }
}

/// Returns every network, by name, and clears away what killed commands have left of others.
pub fn list(rt: &Runtime) -> Result<Vec<NetworkRecord>, NetworkError> {
    let (networks, left) = recorded(rt)?;
    if !left.is_empty() {
        mend(rt, &left);
    }
    Ok(networks)
}

/// Returns every network, by name, and the folders of what is none: half made, half removed, or abandoned. Changes
/// nothing, so that the firewall may ask under its lock, which the clearing of a network takes.
pub(crate) fn recorded(rt: &Runtime) -> Result<(Vec<NetworkRecord>, Vec<String>), NetworkError> {
    let mut networks = Vec::new();
    let mut left = Vec::new();
    for id in names_in(&rt.layout.networks())? {
        let is_network = id.bytes().all(|byte| byte.is_ascii_hexdigit());
        match record::read::<NetworkRecord>(&rt.layout.network(&id))? {
            Some(network) if is_network && !is_abandoned(&network) => networks.push(network),
            Some(_) | None => left.push(id),
        }
    }
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((networks, left))
}

/// Finds a network by its id, its name, or a beginning of its id that no other has.
pub fn find(rt: &Runtime, id_or_name: &str) -> Result<Option<NetworkRecord>, NetworkError> {
    if id_or_name.len() == 64 && id_or_name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(record::read(&rt.layout.network(id_or_name))?);
    }
    let mut networks = list(rt)?;
    if let Some(place) = networks.iter().position(|network| network.name == id_or_name) {
        return Ok(Some(networks.swap_remove(place)));
    }
    networks.retain(|network| !id_or_name.is_empty() && network.id.starts_with(id_or_name));
    Ok(if networks.len() == 1 { networks.pop() } else { None })
}

/// Returns the leases of a network, by container.
pub fn endpoints(rt: &Runtime, network: &str) -> Result<Vec<EndpointRecord>, NetworkError> {
    let folder = rt.layout.endpoints(network);
    let mut endpoints = Vec::new();
    for name in names_in(&folder)? {
        if name.ends_with(".json") {
            endpoints.extend(record::read::<EndpointRecord>(&folder.join(name))?);
        }
    }
    Ok(endpoints)
}

/// Returns the lease of a container on a network.
pub fn endpoint(rt: &Runtime, network: &str, container: &str) -> Result<Option<EndpointRecord>, NetworkError> {
    Ok(record::read(&leases::path(rt, network, container))?)
}

/// Returns how many containers have links on a network.
pub fn count_endpoints(rt: &Runtime, network: &str) -> Result<usize, NetworkError> {
    Ok(endpoints(rt, network)?.iter().filter(|endpoint| endpoint.up).count())
}

/// Returns the sorted names in a folder; none when it is not there.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>, NetworkError> {
    let error = kernel("read", &folder.to_string_lossy());
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(other) => return Err(error(other)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(&error)?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn random_id() -> io::Result<String> {
    let mut bytes = [0u8; 32];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
