//! Datagrams carried to a container: each asker has a socket of its own towards it, so that answers find back.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::network::ready::Ready;

/// How long a flow lives without a datagram; conntrack's time for one that has seen answers is 120 s.
const IDLE: Duration = Duration::from_secs(90);
/// More flows than this end the oldest.
const MOST: usize = 512;
const BURST: usize = 128;
const LONGEST: usize = 65535;

#[derive(Debug)]
struct Flow {
    listener: u64,
    asker: SocketAddr,
    socket: UdpSocket,
    used: Instant,
}

/// Askers that have sent something lately.
#[derive(Debug, Default)]
pub struct Flows {
    by_token: BTreeMap<u64, Flow>,
    by_asker: BTreeMap<(u64, SocketAddr), u64>,
}

impl Flows {
    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_token.is_empty()
    }

    /// Returns the listener that a flow belongs to.
    pub fn listener_of(&self, token: u64) -> Option<u64> {
        self.by_token.get(&token).map(|flow| flow.listener)
    }

    /// Takes what has come in at a listener and sends it on.
    pub fn take(
        &mut self,
        listener: u64,
        socket: &UdpSocket,
        target: Option<SocketAddr>,
        ready: &Ready,
        next: &mut u64,
    ) {
        let mut buffer = vec![0; LONGEST];
        for _ in 0..BURST {
            let Ok((length, asker)) = socket.recv_from(&mut buffer) else { break };
            let Some(target) = target else { continue };
            let token = match self.by_asker.get(&(listener, asker)) {
                Some(token) => *token,
                None => {
                    let Ok(token) = self.open(listener, asker, target, ready, next) else { continue };
                    token
                }
            };
            if let Some(flow) = self.by_token.get_mut(&token) {
                flow.used = Instant::now();
                // A container that does not listen yet loses datagrams, as on any network.
                let _ = flow.socket.send(&buffer[..length]);
            }
        }
    }

    fn open(
        &mut self,
        listener: u64,
        asker: SocketAddr,
        target: SocketAddr,
        ready: &Ready,
        next: &mut u64,
    ) -> io::Result<u64> {
        if self.by_token.len() >= MOST {
            let oldest = self.by_token.iter().min_by_key(|(_, flow)| flow.used).map(|(token, _)| *token);
            oldest.into_iter().for_each(|token| self.close(token));
        }
        let any: IpAddr = if target.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(target)?;
        let token = *next;
        ready.add_readable(&socket, token)?;
        *next += 2;
        self.by_token.insert(token, Flow { listener, asker, socket, used: Instant::now() });
        self.by_asker.insert((listener, asker), token);
        Ok(token)
    }

    /// Takes what the container has answered and sends it back from the listener.
    pub fn answer(&mut self, token: u64, listener: &UdpSocket) {
        let Some(flow) = self.by_token.get_mut(&token) else { return };
        let mut buffer = vec![0; LONGEST];
        for _ in 0..BURST {
            match flow.socket.recv(&mut buffer) {
                Ok(length) => {
                    flow.used = Instant::now();
                    let _ = listener.send_to(&buffer[..length], flow.asker);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Nobody listens in the container: that was the report of one datagram, others may follow.
                Err(_) => {}
            }
        }
    }

    /// Ends the flows that nothing has used lately.
    pub fn expire(&mut self, now: Instant) {
        let idle = |flow: &Flow| now.saturating_duration_since(flow.used) > IDLE;
        let tokens: Vec<_> = self.by_token.iter().filter(|(_, flow)| idle(flow)).map(|(token, _)| *token).collect();
        tokens.into_iter().for_each(|token| self.close(token));
    }

    fn close(&mut self, token: u64) {
        if let Some(flow) = self.by_token.remove(&token) {
            self.by_asker.remove(&(flow.listener, flow.asker));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_end_when_idle_and_the_oldest_first() {
        let ready = Ready::open().unwrap();
        let target = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut flows = Flows::default();
        let mut next = 2;
        for port in 1..=u16::try_from(MOST + 5).unwrap() {
            let asker = SocketAddr::from(([127, 0, 0, 1], port));
            flows.open(0, asker, target.local_addr().unwrap(), &ready, &mut next).unwrap();
        }
        assert_eq!(flows.by_token.len(), MOST);
        assert!(flows.listener_of(2).is_none() && flows.by_asker.len() == MOST);
        flows.expire(Instant::now());
        assert_eq!(flows.by_token.len(), MOST);
        flows.expire(Instant::now() + IDLE + Duration::from_secs(1));
        assert!(flows.is_empty() && flows.by_asker.is_empty());
    }
}
