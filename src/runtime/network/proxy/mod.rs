//! Published ports where the kernel can't forward: `::1`, IPv6 to an IPv4 container, hosts without nf_tables.
//!
//! The sockets are those that keep the ports anyway; what the firewall forwards never reaches them.

pub mod datagrams;
pub mod tunnel;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::SocketFlags;

use crate::network::ports::Reserved;
use crate::network::proxy::datagrams::Flows;
use crate::network::proxy::tunnel::{Progress, Tunnel};
use crate::network::ready::{Ready, TIMER};
use crate::state::container::Protocol;
use crate::state::network::EndpointRecord;

/// Connections accepted before the keeper's other work gets its turn.
const BURST: usize = 64;
/// Tokens below are listeners, by their place; a tunnel has an even one and the next, a flow an even one.
const FIRST: u64 = 1 << 32;
/// How often idle datagram flows are looked for.
const SWEEP: Duration = Duration::from_secs(30);

/// A socket of the host and where it leads.
#[derive(Debug)]
enum Listener {
    Stream {
        socket: OwnedFd,
        lead: Lead,
    },
    Datagram {
        socket: UdpSocket,
        lead: Lead,
    },
    /// Nothing comes by it: it keeps a port that the kernel alone forwards.
    Held {
        _socket: OwnedFd,
    },
}

/// Where a socket of the host leads.
#[derive(Debug, Clone, Copy)]
struct Lead {
    /// Family of the socket's own address.
    is_ipv4: bool,
    container_port: u16,
    /// `None`: the container is on no network that ports lead into.
    target: Option<SocketAddr>,
}

impl Lead {
    /// The same family if the container has it, else the other one: that is what we are here for.
    fn to(self, targets: &[IpAddr]) -> Self {
        let same = targets.iter().find(|target| target.is_ipv4() == self.is_ipv4);
        let target = same.or(targets.first()).map(|target| SocketAddr::new(*target, self.container_port));
        Self { target, ..self }
    }
}

/// Carries connections from reserved sockets to a container. One descriptor to wait for, never blocks.
#[derive(Debug)]
pub struct Proxy {
    ready: Ready,
    listeners: Vec<Listener>,
    tunnels: BTreeMap<u64, Tunnel>,
    flows: Flows,
    next: u64,
    /// A connection waits that we had no descriptor for.
    is_starved: bool,
}

impl Proxy {
    /// Takes the sockets over; must be kept as long as the container lives, since they hold its ports.
    ///
    /// What has no target (all of the container's networks are internal) is closed.
    pub fn open(reserved: Reserved, endpoints: &[EndpointRecord]) -> io::Result<Self> {
        let targets: Vec<IpAddr> = match reserved.targets.get() {
            Some(targets) => targets.clone(),
            None => endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().copied()).collect(),
        };
        let ready = Ready::open()?;
        let mut listeners = Vec::new();
        for socket in reserved.sockets {
            if targets.is_empty() {
                continue;
            }
            let (is_ipv4, container_port) = (socket.port.host_ip.is_ipv4(), socket.port.container_port);
            let lead = Lead { is_ipv4, container_port, target: None }.to(&targets);
            let token = listeners.len() as u64;
            listeners.push(match socket.port.protocol {
                Protocol::Udp => {
                    let socket = UdpSocket::from(socket.fd);
                    ready.add_readable(&socket, token)?;
                    Listener::Datagram { socket, lead }
                }
                Protocol::Sctp => Listener::Held { _socket: socket.fd },
                Protocol::Tcp => {
                    ready.add_edges(&socket.fd, token)?;
                    Listener::Stream { socket: socket.fd, lead }
                }
            });
        }
        let flows = Flows::default();
        Ok(Self { ready, listeners, tunnels: BTreeMap::new(), flows, next: FIRST, is_starved: false })
    }

    /// Leads what comes from now on to these addresses of the container; what is under way over TCP goes on.
    pub fn lead_to(&mut self, targets: &[IpAddr]) {
        for listener in &mut self.listeners {
            match listener {
                Listener::Stream { lead, .. } | Listener::Datagram { lead, .. } => *lead = lead.to(targets),
                Listener::Held { .. } => {}
            }
        }
        // Each flow has a socket that is joined to the old address.
        self.flows = Flows::default();
    }

    /// Returns what to wait for: one descriptor, whatever goes on behind it.
    pub fn poll_fds(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        vec![(self.ready.as_fd(), PollFlags::IN)]
    }

    /// Does all that can be done now. Called in the host's network namespace, with SIGPIPE ignored.
    pub fn on_ready(&mut self) {
        for token in self.ready.take() {
            match token {
                TIMER => self.sweep(),
                token if token < FIRST => self.listen(token),
                token if self.tunnels.contains_key(&(token & !1)) => self.pump(token & !1),
                token => self.answer(token),
            }
        }
        if self.is_starved {
            self.is_starved = false;
            (0..self.listeners.len() as u64).for_each(|token| self.accept(token));
        }
    }

    fn listen(&mut self, token: u64) {
        match self.listeners.get(usize::try_from(token).unwrap_or(usize::MAX)) {
            Some(Listener::Stream { .. }) => self.accept(token),
            Some(Listener::Datagram { socket, lead }) => {
                let was_empty = self.flows.is_empty();
                self.flows.take(token, socket, lead.target, &self.ready, &mut self.next);
                if was_empty && !self.flows.is_empty() {
                    self.ready.set_timer(Some(SWEEP));
                }
            }
            Some(Listener::Held { .. }) | None => {}
        }
    }

    fn accept(&mut self, token: u64) {
        let place = usize::try_from(token).unwrap_or(usize::MAX);
        let Some(Listener::Stream { socket, lead }) = self.listeners.get(place) else { return };
        let mut opened = Vec::new();
        for count in 0.. {
            if count == BURST {
                let _ = self.ready.again(socket, token);
                break;
            }
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let client = match rustix::net::accept_with(socket, flags) {
                Ok(client) => client,
                // The asker is gone again: the next one.
                Err(Errno::CONNABORTED | Errno::INTR) => continue,
                Err(Errno::MFILE | Errno::NFILE) => {
                    // Tried again when a tunnel has closed.
                    self.is_starved = !self.tunnels.is_empty();
                    break;
                }
                Err(_) => break,
            };
            // Without a container that answers the asker sees its connection end.
            let Some(Ok(tunnel)) = lead.target.map(|target| Tunnel::open(client, target)) else { continue };
            if self.ready.add_edges(&tunnel.client, self.next).is_ok()
                && self.ready.add_edges(&tunnel.server, self.next + 1).is_ok()
            {
                self.tunnels.insert(self.next, tunnel);
                opened.push(self.next);
            }
            self.next += 2;
        }
        self.is_starved &= opened.is_empty();
        opened.into_iter().for_each(|token| self.pump(token));
    }

    fn pump(&mut self, token: u64) {
        let Some(tunnel) = self.tunnels.get_mut(&token) else { return };
        match tunnel.pump() {
            Progress::Waits => {}
            Progress::HasMore => {
                let _ = self.ready.again(&tunnel.client, token);
            }
            Progress::Ended => {
                self.tunnels.remove(&token);
            }
        }
    }

    fn answer(&mut self, token: u64) {
        let Some(place) = self.flows.listener_of(token) else { return };
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        if let Some(Listener::Datagram { socket, .. }) = self.listeners.get(place) {
            self.flows.answer(token, socket);
        }
    }

    fn sweep(&mut self) {
        self.ready.clear_timer();
        self.flows.expire(Instant::now());
        if !self.flows.is_empty() {
            self.ready.set_timer(Some(SWEEP));
        }
    }
}
