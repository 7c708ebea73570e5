//! Takes links away without waiting for all that the kernel does about it.
//!
//! A link is gone from every list at once, but the call that removes it returns only when nobody in the kernel can hold it
//! any more: two grace periods for a bridge (`br_multicast_dev_del` and `netdev_run_todo`), 10 to 80 ms. So another process
//! makes the call, and we return when the kernel tells that the link is gone. Whatever is killed meanwhile, the removal has
//! begun by then, and nothing can stop it.

use std::io;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::netdevice::name_to_index;

use crate::network::bridge;
use crate::network::link;
use crate::sys::netlink::{Reply, Socket, attributes};

/// `RTNLGRP_LINK` and `RTNLGRP_IPV4_NETCONF` of linux/rtnetlink.h.
const GROUPS: u32 = 1 | 1 << (24 - 1);
const RTM_DELLINK: u16 = 17;
const RTM_DELNETCONF: u16 = 81;
/// `NETCONFA_IFINDEX` of linux/netconf.h.
const NETCONFA_IFINDEX: u16 = 1;

/// Removes a link and returns once nobody can find it; that there is none is fine.
pub fn remove(name: &str) -> io::Result<()> {
    let mut socket = Socket::route()?;
    let heard = Socket::monitor(GROUPS)?;
    let index = match name_to_index(&socket, name) {
        Ok(index) => index,
        Err(Errno::NODEV) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let Ok(done) = socket.request_aside(&link::remove_index(index)) else { return bridge::remove(&mut socket, name) };
    loop {
        let mut fds = [PollFd::new(&heard, PollFlags::IN), PollFd::new(&done, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut fds, None))?;
        if !fds[1].revents().is_empty() {
            return match socket.answer() {
                Some(Err(error)) if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => Ok(()),
                Some(answer) => answer,
                // It was killed before it could ask.
                None => bridge::remove(&mut socket, name),
            };
        }
        // More may happen on the host than the socket holds; the other process tells the end, too.
        if heard.hear().unwrap_or_default().iter().any(|reply| tells_removal(reply, index)) {
            return Ok(());
        }
    }
}

/// Says whether that tells that the link is in no list any more: its settings go right after it is taken from them, its
/// own message comes a grace period later.
fn tells_removal(reply: &Reply, index: u32) -> bool {
    let number = |bytes: Option<&[u8]>| bytes.and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes);
    match reply.kind {
        // Of another family than none it tells that a bridge has lost a port.
        RTM_DELLINK => reply.payload.first() == Some(&0) && number(reply.payload.get(4..8)) == Some(index),
        RTM_DELNETCONF => attributes(reply.payload.get(4..).unwrap_or_default())
            .any(|(kind, value)| kind == NETCONFA_IFINDEX && number(Some(value)) == Some(index)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(kind: u16, payload: &[u8]) -> Reply {
        Reply { kind, payload: payload.to_vec() }
    }

    #[test]
    fn a_link_is_gone_when_its_settings_or_itself_are_told_to_be() {
        let mut link = [0; 16];
        link[4..8].copy_from_slice(&7u32.to_ne_bytes());
        assert!(tells_removal(&reply(RTM_DELLINK, &link), 7));
        assert!(!tells_removal(&reply(RTM_DELLINK, &link), 8));
        // AF_BRIDGE: a bridge has lost the port.
        link[0] = 7;
        assert!(!tells_removal(&reply(RTM_DELLINK, &link), 7));
        // struct netconfmsg, then NETCONFA_IFINDEX.
        let mut settings = vec![2, 0, 0, 0, 8, 0, 1, 0];
        settings.extend(7u32.to_ne_bytes());
        assert!(tells_removal(&reply(RTM_DELNETCONF, &settings), 7));
        assert!(!tells_removal(&reply(RTM_DELNETCONF, &settings), 8));
        assert!(!tells_removal(&reply(16, &link), 7));
        assert!(!tells_removal(&reply(RTM_DELNETCONF, &[2]), 7));
    }
}
