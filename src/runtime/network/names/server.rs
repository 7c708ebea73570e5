//! The name server that a container sees at 127.0.0.11.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use crate::Runtime;
use crate::network::files::NAME_SERVER;
use crate::network::lifecycle;
use crate::network::names::message::{self, Code, Malformed, Query};
use crate::network::names::redirect;
use crate::network::names::stream::{Asker, Stream};
use crate::network::names::upstream::Upstream;
use crate::network::names::zone::{Meaning, Zone};
use crate::network::ready::{Ready, TIMER};
use crate::state::container::{ContainerRecord, NetworkModeRecord};
use crate::state::record;
use crate::sys::netns;

/// Seconds: addresses of ours change with every new container.
const TTL: u32 = 5;
/// An upstream server's time for one question; three tries stay below the two seconds that people bear.
const PATIENCE: Duration = Duration::from_millis(600);
const TRIES: usize = 3;
/// For a name without a dot, which mostly is a mistake, as long as no server has shown that it answers at all.
const DOUBT: Duration = Duration::from_millis(200);
/// Questions to upstream servers at once, each a socket.
const MOST_PENDING: usize = 256;
const MOST_ASKERS: usize = 64;
/// How long an asker over TCP may be silent.
const IDLE: Duration = Duration::from_secs(10);
/// Questions answered before the keeper's other work gets its turn.
const BURST: usize = 256;

const UDP: u64 = 0;
const TCP: u64 = 1;
/// Tokens of questions are multiples of four, an asker's is one more, its relay's two more.
const FIRST: u64 = 4;

/// A question that waits for an upstream server.
#[derive(Debug)]
struct Pending {
    socket: UdpSocket,
    query: Query,
    bytes: Vec<u8>,
    /// Number of the question as it was sent on.
    id: u16,
    /// Who asked; `None` when the answer was given and only the server's health is of interest.
    asker: Option<SocketAddr>,
    server: usize,
    tries: usize,
    deadline: Instant,
}

/// Answers names of the container's networks, and forwards the rest. One descriptor to wait for, never blocks.
#[derive(Debug)]
pub struct NameServer {
    ready: Ready,
    zone: Zone,
    upstream: Upstream,
    udp: UdpSocket,
    tcp: TcpListener,
    pending: BTreeMap<u64, Pending>,
    askers: BTreeMap<u64, Asker>,
    next: u64,
}

impl NameServer {
    /// Opens the sockets inside `netns`, where `lo` must be up; forwards from the caller's own network namespace.
    pub fn open(rt: &Runtime, container_id: &str, netns: BorrowedFd<'_>, upstream: Vec<IpAddr>) -> io::Result<Self> {
        let (zone, upstream) = known(rt, container_id, upstream)?;
        Self::listen(zone, netns, upstream)
    }

    /// Answers from now on for the networks that the container is on now; questions under way go on.
    pub fn look_again(&mut self, rt: &Runtime, container_id: &str, upstream: Vec<IpAddr>) -> io::Result<()> {
        (self.zone, self.upstream) = known(rt, container_id, upstream)?;
        Ok(())
    }

    pub(crate) fn listen(zone: Zone, netns: BorrowedFd<'_>, upstream: Upstream) -> io::Result<Self> {
        let (udp, tcp) = netns::within(netns, sockets)??;
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        let ready = Ready::open()?;
        ready.add_readable(&udp, UDP)?;
        ready.add_readable(&tcp, TCP)?;
        let (pending, askers) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { ready, zone, upstream, udp, tcp, pending, askers, next: FIRST })
    }

    /// Returns what to wait for: one descriptor, whatever goes on behind it.
    pub fn poll_fds(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        vec![(self.ready.as_fd(), PollFlags::IN)]
    }

    /// Does all that can be done now. Called in the network namespace that questions are forwarded from.
    pub fn on_ready(&mut self) {
        for token in self.ready.take() {
            match token {
                UDP => self.take_questions(),
                TCP => self.accept(),
                TIMER => self.ready.clear_timer(),
                token if token % 4 == 0 => self.take_answer(token),
                token => self.serve(token - token % 4),
            }
        }
        self.expire();
    }

    fn take_questions(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..BURST {
            let Ok((length, asker)) = self.udp.recv_from(&mut buffer) else { break };
            if let Some(answer) = self.answer(&buffer[..length], Some(asker)) {
                // A full buffer loses an answer, as UDP may; the asker asks again.
                let _ = self.udp.send_to(&answer, asker);
            }
        }
    }

    /// Returns the answer if it is known at once; else the question is sent on, for `asker` if that is a UDP one.
    fn answer(&mut self, bytes: &[u8], asker: Option<SocketAddr>) -> Option<Vec<u8>> {
        let query = match message::parse(bytes) {
            Ok(query) => query,
            Err(Malformed::Ignore) => return None,
            Err(Malformed::Refuse(code)) => return Some(message::refusal(bytes, code)),
        };
        let limit = if asker.is_some() { query.limit } else { usize::from(u16::MAX) };
        match self.zone.look_up(&query.name, query.kind) {
            Meaning::Known(records) => Some(query.answer(Code::NoError, &records, TTL, limit)),
            Meaning::Down => Some(query.answer(Code::NameError, &[], TTL, limit)),
            Meaning::Foreign => {
                let asker = asker?;
                if self.upstream.is_empty() {
                    return Some(failure(&query));
                }
                // Nobody outside answers: a name without a dot is told at once, and the question goes on as a probe.
                let at_once = (query.is_single_label() && self.upstream.is_silent()).then(|| failure(&query));
                let is_probing = self.pending.values().any(|pending| pending.asker.is_none());
                if at_once.is_some() && is_probing {
                    return at_once;
                }
                let waiting = if at_once.is_some() { None } else { Some(asker) };
                self.forward(query, bytes.to_vec(), waiting).or(at_once)
            }
        }
    }

    /// Sends a question on; returns an answer when that can't be done.
    fn forward(&mut self, query: Query, bytes: Vec<u8>, asker: Option<SocketAddr>) -> Option<Vec<u8>> {
        if self.pending.len() >= MOST_PENDING {
            return asker.map(|_| query.answer(Code::ServerFailure, &[], TTL, message::UDP_LIMIT));
        }
        self.try_server(query, bytes, asker, 0)
    }

    fn try_server(
        &mut self,
        query: Query,
        bytes: Vec<u8>,
        asker: Option<SocketAddr>,
        first_try: usize,
    ) -> Option<Vec<u8>> {
        if self.upstream.is_empty() {
            // The last network with a way out has been left meanwhile.
            return asker.map(|_| failure(&query));
        }
        let is_doubtful = query.is_single_label() && !self.upstream.is_known();
        let (most, patience) = if is_doubtful { (0, DOUBT) } else { (TRIES, PATIENCE) };
        for tries in first_try..most.max(self.upstream.len()) {
            let server = tries % self.upstream.len();
            let id = random_id();
            let sent = self.upstream.send(server, &message::with_id(bytes.clone(), id)).and_then(|socket| {
                self.ready.add_readable(&socket, self.next)?;
                Ok(socket)
            });
            let Ok(socket) = sent else {
                self.upstream.note(server, false);
                continue;
            };
            let deadline = Instant::now() + patience;
            self.pending.insert(self.next, Pending { socket, query, bytes, id, asker, server, tries, deadline });
            self.next += 4;
            return None;
        }
        asker.map(|_| failure(&query))
    }

    fn take_answer(&mut self, token: u64) {
        let Some(pending) = self.pending.get(&token) else { return };
        let mut buffer = vec![0; usize::from(u16::MAX)];
        match pending.socket.recv(&mut buffer) {
            Ok(length) => {
                // Forged or late: keep waiting.
                if !message::answers(&buffer[..length], pending.id, &pending.query) {
                    return;
                }
                buffer.truncate(length);
                self.upstream.note(pending.server, true);
                if let Some(asker) = pending.asker {
                    let _ = self.udp.send_to(&message::with_id(buffer, pending.query.id), asker);
                }
                self.pending.remove(&token);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Nobody listens there: the next server, now.
            Err(_) => self.give_up(token),
        }
    }

    /// Asks the next server, or tells the asker that there is none.
    fn give_up(&mut self, token: u64) {
        let Some(Pending { query, bytes, asker, server, tries, .. }) = self.pending.remove(&token) else { return };
        self.upstream.note(server, false);
        if let Some(answer) = self.try_server(query, bytes, asker, tries + 1)
            && let Some(asker) = asker
        {
            let _ = self.udp.send_to(&answer, asker);
        }
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.tcp.accept() {
            if self.askers.len() >= MOST_ASKERS || socket.set_nonblocking(true).is_err() {
                continue;
            }
            let token = self.next;
            self.next += 4;
            if self.ready.add_edges(&socket, token + 1).is_ok() {
                let stream = Stream::new(socket);
                self.askers.insert(token, Asker { stream, relay: None, deadline: Instant::now() + IDLE });
                self.serve(token);
            }
        }
    }

    /// Goes on with an asker over TCP, one question after the other.
    fn serve(&mut self, token: u64) {
        let Some(mut asker) = self.askers.remove(&token) else { return };
        if self.converse(&mut asker, token).is_ok() && !is_done(&asker) {
            self.askers.insert(token, asker);
        }
    }

    fn converse(&mut self, asker: &mut Asker, token: u64) -> io::Result<()> {
        asker.stream.pump()?;
        loop {
            if let Some((relay, query)) = &mut asker.relay {
                let result = relay.pump();
                let Some(answer) = relay.pull() else {
                    if result.is_ok() && !relay.is_ended {
                        break;
                    }
                    asker.stream.push(&failure(query));
                    asker.relay = None;
                    continue;
                };
                asker.stream.push(&answer);
                asker.relay = None;
            }
            let Some(question) = asker.stream.pull() else { break };
            asker.deadline = Instant::now() + IDLE;
            if let Some(answer) = self.answer(&question, None) {
                asker.stream.push(&answer);
            } else if let Ok(query) = message::parse(&question) {
                let connected = (0..self.upstream.len()).find_map(|server| self.upstream.connect(server).ok());
                let Some(socket) = connected else {
                    asker.stream.push(&failure(&query));
                    continue;
                };
                self.ready.add_edges(&socket, token + 2)?;
                let mut relay = Stream::new(socket);
                relay.push(&question);
                asker.relay = Some((relay, query));
            }
        }
        asker.stream.pump()
    }

    /// Lets go of what has waited too long, and sets the timer for the next.
    fn expire(&mut self) {
        let now = Instant::now();
        let late: Vec<_> =
            self.pending.iter().filter(|(_, pending)| pending.deadline <= now).map(|(token, _)| *token).collect();
        for token in late {
            self.give_up(token);
        }
        self.askers.retain(|_, asker| asker.deadline > now);
        let pending = self.pending.values().map(|pending| pending.deadline);
        let next = pending.chain(self.askers.values().map(|asker| asker.deadline)).min();
        self.ready.set_timer(next.map(|next| next.saturating_duration_since(now)));
    }
}

/// Returns what a container's server knows itself, and where it asks for the rest.
fn known(rt: &Runtime, container_id: &str, upstream: Vec<IpAddr>) -> io::Result<(Zone, Upstream)> {
    let record: Option<ContainerRecord> =
        record::read(&rt.layout.bundle(container_id).record()).map_err(io::Error::other)?;
    let links = record.as_ref().map(|record| record.links.clone()).unwrap_or_default();
    let requests = match record.map(|record| record.network) {
        Some(NetworkModeRecord::Networks(requests)) => requests,
        Some(NetworkModeRecord::None | NetworkModeRecord::Host | NetworkModeRecord::Container(_)) | None => Vec::new(),
    };
    let mut networks = Vec::new();
    for request in requests {
        networks.extend(lifecycle::find(rt, &request.network).map_err(io::Error::other)?);
    }
    // Who can't get out must not be able to tell the outside anything in a question (CVE-2024-29018).
    let has_way_out = networks.iter().any(|network| !network.internal);
    Ok((Zone::open(rt, networks).linking(&links), Upstream::new(if has_way_out { upstream } else { Vec::new() })))
}

/// Opens the sockets in the thread's network namespace: at a port of the kernel's choice, to which questions are led,
/// and where the kernel can't do that, at the port that is asked.
fn sockets() -> io::Result<(UdpSocket, TcpListener)> {
    let bind = |port| {
        let udp = UdpSocket::bind((NAME_SERVER, port))?;
        TcpListener::bind((NAME_SERVER, port)).map(|tcp| (udp, tcp))
    };
    let (udp, tcp) = bind(0)?;
    match redirect::redirect(udp.local_addr()?.port(), tcp.local_addr()?.port()) {
        Ok(()) => Ok((udp, tcp)),
        Err(error) => {
            tracing::debug!(%error, "cannot lead questions to another port");
            bind(redirect::PORT)
        }
    }
}

/// A name without a dot that nobody knows does not exist; of others we can't tell.
fn failure(query: &Query) -> Vec<u8> {
    let code = if query.is_single_label() { Code::NameError } else { Code::ServerFailure };
    query.answer(code, &[], TTL, message::UDP_LIMIT)
}

fn is_done(asker: &Asker) -> bool {
    asker.stream.is_ended && asker.relay.is_none() && asker.stream.is_flushed()
}

fn random_id() -> u16 {
    let mut bytes = [0u8; 2];
    // Never short for so few bytes; an old kernel at boot might refuse, and the port is random as well.
    let _ = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    u16::from_ne_bytes(bytes)
}
