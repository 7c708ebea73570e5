//! A host, containers and a world, each a network namespace.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::Duration;

use crate::Runtime;
use crate::network::link::{self, Pair};
use crate::network::{NetworkRequest, attach, bridge, create};
use crate::state::container::{
    ContainerRecord, EndpointRequest, LimitsRecord, LogRecord, NamespacesRecord, NetworkModeRecord, ProcessRecord,
    RestartRecord, SecurityRecord,
};
use crate::state::layout::Layout;
use crate::state::network::{EndpointRecord, NetworkRecord};
use crate::state::record;
use crate::sys::netlink::Socket;
use crate::sys::netns;

/// How long the test waits for a connection that must not come.
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(5);

/// The scratch host: the test's own thread is in it.
pub struct Host {
    pub rt: Runtime,
    pub world: File,
    _root: tempfile::TempDir,
}

/// The host's address towards the world.
pub const HOST: &str = "203.0.113.1";
pub const WORLD: &str = "203.0.113.2";

/// Runs `test` on a thread in a network namespace of its own that plays the host, joined to another, the world.
pub fn on_a_host(test: impl FnOnce(&Host) + Send + 'static) {
    let run = move || {
        netns::unshare().unwrap();
        let root = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
        let rt = Runtime::open(Layout::under(root.path())).unwrap();
        let world = new_netns();
        join_world(&world);
        test(&Host { rt, world, _root: root });
    };
    std::thread::spawn(run).join().unwrap();
}

pub fn new_netns() -> File {
    std::thread::spawn(|| {
        netns::unshare().unwrap();
        netns::own().unwrap()
    })
    .join()
    .unwrap()
}

fn join_world(world: &File) {
    let mut host = Socket::route().unwrap();
    let subnet = "203.0.113.0/24".parse().unwrap();
    let (host_ip, world_ip) = (HOST.parse().unwrap(), WORLD.parse().unwrap());
    let pair =
        Pair { host: "wan0", bridge: 0, inside: "lan0", mac: [2, 0, 0, 0, 0, 1], mtu: 1400, netns: world.as_fd() };
    host.request(&[link::add_pair(&pair), link::up_by_name("lo"), link::up_by_name("wan0")]).unwrap();
    let index = link::find(&mut host, "wan0").unwrap().unwrap().index;
    host.request(&[link::add_address(index, host_ip, subnet), link::add_default_route(index, world_ip)]).unwrap();
    netns::within(world.as_fd(), || {
        let mut inside = Socket::route().unwrap();
        let index = link::find(&mut inside, "lan0").unwrap().unwrap().index;
        let address = link::add_address(index, world_ip, subnet);
        // So that the world can try to reach containers directly.
        let route = link::add_default_route(index, host_ip);
        inside.request(&[link::up_by_name("lo"), link::up(index), address, route]).unwrap();
        bridge::sysctl("ipv6/conf/lan0/accept_dad", "0").unwrap();
    })
    .unwrap();
}

/// A container: a namespace, and a record.
pub struct Container {
    pub record: ContainerRecord,
    pub netns: File,
    pub endpoints: Vec<EndpointRecord>,
}

impl Host {
    pub fn network(&self, name: &str) -> NetworkRecord {
        create(&self.rt, &NetworkRequest { name: name.into(), ..NetworkRequest::default() }).unwrap()
    }

    /// Makes the record of a container on `networks`.
    pub fn record(&self, name: &str, networks: &[&NetworkRecord]) -> ContainerRecord {
        let request = |network: &&NetworkRecord| EndpointRequest {
            network: network.id.clone(),
            aliases: vec![name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned()],
            ..EndpointRequest::default()
        };
        let record = container_record(name, networks.iter().map(request).collect());
        self.keep(&record);
        record
    }

    pub fn keep(&self, container: &ContainerRecord) {
        let bundle = self.rt.layout.bundle(&container.id);
        std::fs::create_dir_all(&bundle.lib).unwrap();
        record::write(&bundle.record(), container).unwrap();
    }

    pub fn start(&self, record: ContainerRecord) -> Container {
        let netns = new_netns();
        let endpoints = attach(&self.rt, &record, netns.as_fd()).unwrap();
        Container { record, netns, endpoints }
    }

    pub fn container(&self, name: &str, networks: &[&NetworkRecord]) -> Container {
        self.start(self.record(name, networks))
    }

    /// Says whether a link of this name is there.
    pub fn has_link(&self, name: &str) -> bool {
        link::find(&mut Socket::route().unwrap(), name).unwrap().is_some()
    }
}

impl Container {
    pub fn address(&self) -> IpAddr {
        self.endpoints[0].addresses[0]
    }
}

/// Answers one connection after the other with who asked.
pub fn serve(netns: &File, port: u16) {
    let listener = netns::within(netns.as_fd(), || TcpListener::bind(("0.0.0.0", port)).unwrap()).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let peer = stream.peer_addr().unwrap().ip().to_string();
            let _ = stream.write_all(peer.as_bytes());
        }
    });
}

/// Connects from a namespace (`None`: the host's) and returns whom the server saw.
pub fn ask(from: Option<&File>, address: impl Into<IpAddr>, port: u16) -> Option<String> {
    connect(from, SocketAddr::new(address.into(), port), LONG)
}

/// As [`ask`], for what must not get through.
pub fn is_barred(from: Option<&File>, address: impl Into<IpAddr>, port: u16) -> bool {
    connect(from, SocketAddr::new(address.into(), port), SHORT).is_none()
}

fn connect(from: Option<&File>, address: SocketAddr, patience: Duration) -> Option<String> {
    let connect = || TcpStream::connect_timeout(&address, patience);
    let stream = match from {
        Some(netns) => netns::within(netns.as_fd(), connect).unwrap(),
        None => connect(),
    };
    let mut stream = stream.ok()?;
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    (!text.is_empty()).then_some(text)
}

/// Returns an ordinary container's record; its id is made of its name.
pub fn container_record(name: &str, networks: Vec<EndpointRequest>) -> ContainerRecord {
    let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    ContainerRecord {
        version: 1,
        id: format!("{hex:0<64}"),
        name: name.into(),
        created_ms: 0,
        image_reference: String::new(),
        image_id: String::new(),
        layers: Vec::new(),
        labels: Default::default(),
        annotations: Default::default(),
        process: ProcessRecord::default(),
        hostname: name.into(),
        domainname: None,
        init: false,
        stop_signal: 15,
        stop_grace_ms: 10_000,
        restart: RestartRecord::No,
        healthcheck: None,
        mounts: Vec::new(),
        network: NetworkModeRecord::Networks(networks),
        ports: Vec::new(),
        exposed: Vec::new(),
        extra_hosts: Vec::new(),
        links: Vec::new(),
        dns: Vec::new(),
        dns_options: Vec::new(),
        dns_search: Vec::new(),
        security: SecurityRecord::default(),
        limits: LimitsRecord::default(),
        sysctls: Default::default(),
        ulimits: Default::default(),
        shm_size: 0,
        oom_score_adj: None,
        namespaces: NamespacesRecord::default(),
        log: LogRecord::default(),
        stdin_once: false,
        auto_remove: false,
    }
}
