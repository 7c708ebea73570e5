//! The servers that questions about foreign names go to, and whether they answer.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

const PORT: u16 = 53;

/// The servers, in order of preference.
#[derive(Debug)]
pub struct Upstream {
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    /// It left the last question unanswered.
    is_silent: bool,
    /// It has answered before.
    is_known: bool,
}

impl Upstream {
    /// Takes the servers' addresses.
    pub fn new(addresses: Vec<IpAddr>) -> Self {
        Self::at(addresses.into_iter().map(|address| SocketAddr::new(address, PORT)).collect())
    }

    pub(crate) fn at(addresses: Vec<SocketAddr>) -> Self {
        let server = |address| Server { address, is_silent: false, is_known: false };
        Self { servers: addresses.into_iter().map(server).collect() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Says whether none has answered lately.
    pub fn is_silent(&self) -> bool {
        self.servers.iter().all(|server| server.is_silent)
    }

    /// Says whether any has ever answered.
    pub fn is_known(&self) -> bool {
        self.servers.iter().any(|server| server.is_known)
    }

    /// Remembers whether a server answered.
    pub fn note(&mut self, server: usize, answered: bool) {
        if let Some(server) = self.servers.get_mut(server) {
            server.is_silent = !answered;
            server.is_known |= answered;
        }
    }

    /// Sends a question; the socket's random port and the question's random number guard the answer.
    pub fn send(&self, server: usize, question: &[u8]) -> io::Result<UdpSocket> {
        let address = self.servers.get(server).ok_or(Errno::NODEV)?.address;
        let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(address)?;
        socket.send(question)?;
        Ok(socket)
    }

    /// Begins to connect to a server.
    pub fn connect(&self, server: usize) -> io::Result<TcpStream> {
        let address = self.servers.get(server).ok_or(Errno::NODEV)?.address;
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
            Err(errno) => Err(errno.into()),
        }
    }
}
