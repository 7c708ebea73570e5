//! Netlink: messages out, acknowledgements in. Links, addresses and routes (rtnetlink) and nf_tables speak through it.
//!
//! The kernel works on a request inside `sendmsg`, so its answers lie in the socket when that returns: nothing waits.
#![expect(unsafe_code, reason = "rustix lacks setsockopt(SOL_NETLINK)")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::sys::aside;

/// `NLM_F_REQUEST`
const REQUEST: u16 = 0x1;
/// Asks for an acknowledgement.
const ACK: u16 = 0x4;
/// Put the object in the place of one that is there.
pub const REPLACE: u16 = 0x100;
/// Fail when the object exists.
pub const EXCLUSIVE: u16 = 0x200;
/// Make the object where it is missing.
pub const CREATE: u16 = 0x400;
/// Put a rule at the end of its chain.
pub const APPEND: u16 = 0x800;
/// Return all objects.
const DUMP: u16 = 0x300;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// The error carries attributes after the (capped) request.
const ACK_TLVS: u16 = 0x200;
const ERROR_TEXT: u16 = 1;
const NESTED: u16 = 0x8000;
const HEADER: usize = 16;

/// One message, attributes being added.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Begins a message with its family's fixed header.
    pub fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend([0; 4]);
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(header);
        let mut message = Self { bytes };
        message.pad();
        message
    }

    /// Adds an attribute.
    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(4 + value.len()).expect("attributes of ours are short");
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.pad();
        self
    }

    /// Adds a number in the machine's byte order (rtnetlink).
    pub fn put_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds a number in the network's byte order (nf_tables).
    pub fn put_be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Adds a string with its end mark.
    pub fn put_text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes)
    }

    /// Adds an attribute made of attributes (and of bytes, by [`Message::raw`]).
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NESTED).to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).expect("attributes of ours are short");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.pad();
        self
    }

    /// Adds bytes as they are: the fixed header inside a nested attribute.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self.pad();
        self
    }

    /// Returns what follows the message's own header.
    pub fn body(&self) -> &[u8] {
        &self.bytes[HEADER..]
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Returns the wire form with its length, number and flags filled in.
    fn finish(&self, number: u32, flags: u16) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let length = u32::try_from(bytes.len()).expect("messages of ours are short");
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        let flags = u16::from_ne_bytes([bytes[6], bytes[7]]) | flags;
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes[8..12].copy_from_slice(&number.to_ne_bytes());
        bytes
    }
}

/// A message of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Message type.
    pub kind: u16,
    /// Fixed header and attributes.
    pub payload: Vec<u8>,
}

/// Iterates over the attributes in `bytes`: type without flags, value. Stops at what is malformed.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The kernel's no, and to which of the messages.
#[derive(Debug, thiserror::Error)]
#[error("message {index}: {}", if text.is_empty() { source.to_string() } else { format!("{source} ({text})") })]
pub struct Refused {
    /// Place of the message in the batch.
    pub index: usize,
    /// What the kernel says about it; often nothing.
    pub text: String,
    /// The error number.
    #[source]
    pub source: io::Error,
}

impl Refused {
    /// Says whether this is that error number.
    pub fn is(&self, errno: rustix::io::Errno) -> bool {
        self.source.raw_os_error() == Some(errno.raw_os_error())
    }

    fn whole(source: io::Error) -> Self {
        Self { index: 0, text: String::new(), source }
    }
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        if refused.text.is_empty() {
            return refused.source;
        }
        io::Error::new(refused.source.kind(), refused.to_string())
    }
}

/// A netlink socket of the network namespace that the calling thread was in.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    number: u32,
}

impl Socket {
    /// Opens a socket for links, addresses, routes.
    pub fn route() -> io::Result<Self> {
        // NETLINK_ROUTE is protocol 0, which rustix writes as none.
        Self::open(None)
    }

    /// Opens a socket for nf_tables and conntrack.
    pub fn netfilter() -> io::Result<Self> {
        Self::open(Some(NETFILTER))
    }

    /// Opens a socket that hears what happens to links, addresses, routes: bit N-1 of `groups` is `RTNLGRP_*` N.
    pub fn monitor(groups: u32) -> io::Result<Self> {
        let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self { fd, number: 0 })
    }

    /// Returns what has happened, one time's worth of it; never waits.
    pub fn hear(&self) -> io::Result<Vec<Reply>> {
        let mut buffer = vec![0; 32 * 1024];
        match rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((_, got)) => {
                let reply = |(kind, _, _, payload): (u16, u16, u32, &[u8])| Reply { kind, payload: payload.to_vec() };
                Ok(split(&buffer[..got]).map(reply).collect())
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Has another process send a request. Returns the end of a pipe that closes when the kernel has answered: then
    /// [`Socket::answer`] has it.
    pub fn request_aside(&mut self, message: &Message) -> io::Result<OwnedFd> {
        self.number = self.number.wrapping_add(1);
        aside::send(self.fd.as_fd(), &message.finish(self.number, ACK))
    }

    /// Closes a socket that has removed something of nf_tables: who closes it waits until that is taken apart.
    pub fn close_aside(self) {
        aside::close(self.fd);
    }

    /// Returns the answer to the last request that another process has sent; `None`: it has not been sent.
    pub fn answer(&mut self) -> Option<io::Result<()>> {
        let mut buffer = vec![0; 4096];
        let (_, got) = rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT).ok()?;
        let (_, _, _, payload) = split(&buffer[..got]).find(|(kind, ..)| *kind == NLMSG_ERROR)?;
        let code = payload.get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes);
        Some(if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) })
    }

    fn open(protocol: Option<rustix::net::Protocol>) -> io::Result<Self> {
        let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0))?;
        // Errors with a sentence, and without a copy of the request. An old kernel without them is fine too.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            let one: libc::c_int = 1;
            // SAFETY: the kernel reads four bytes from `one`, which lives past the call.
            unsafe {
                libc::setsockopt(fd.as_raw_fd(), libc::SOL_NETLINK, option, (&raw const one).cast(), 4);
            }
        }
        Ok(Self { fd, number: 0 })
    }

    /// Sends `messages` in one go and waits for the last one's acknowledgement. rtnetlink carries out each by
    /// itself; the first refusal is returned.
    pub fn request(&mut self, messages: &[Message]) -> Result<(), Refused> {
        let Some(last) = messages.len().checked_sub(1) else { return Ok(()) };
        self.exchange(messages, last)
    }

    /// Sends an nf_tables transaction: all of `messages` happen, or none.
    pub fn transaction(&mut self, messages: &[Message]) -> Result<(), Refused> {
        const BATCH_BEGIN: u16 = 0x10;
        const BATCH_END: u16 = 0x11;
        const NFTABLES: u16 = 10;
        let Some(last) = messages.len().checked_sub(1) else { return Ok(()) };
        let header = [0, 0, NFTABLES.to_be_bytes()[0], NFTABLES.to_be_bytes()[1]];
        let mut batch = vec![Message::new(BATCH_BEGIN, 0, &header)];
        batch.extend_from_slice(messages);
        batch.push(Message::new(BATCH_END, 0, &header));
        self.exchange(&batch, last + 1).map_err(|refused| Refused { index: refused.index.saturating_sub(1), ..refused })
    }

    /// Sends messages of which `acknowledged` asks for an answer, and reads answers up to that one.
    fn exchange(&mut self, messages: &[Message], acknowledged: usize) -> Result<(), Refused> {
        let first = self.number.wrapping_add(1);
        let mut bytes = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            self.number = self.number.wrapping_add(1);
            bytes.extend(message.finish(self.number, if index == acknowledged { ACK } else { 0 }));
        }
        rustix::net::send(&self.fd, &bytes, SendFlags::empty()).map_err(|errno| Refused::whole(errno.into()))?;
        let mut refused: Option<Refused> = None;
        let mut answered = false;
        let mut buffer = vec![0; 32 * 1024];
        loop {
            // A refused transaction may say no more than its errors: what is there now is all there is.
            let got = match rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, got)) => got,
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::AGAIN) if answered || refused.is_some() => break,
                Err(errno) => return Err(refused.unwrap_or_else(|| Refused::whole(errno.into()))),
            };
            for (kind, flags, number, payload) in split(&buffer[..got]) {
                if kind != NLMSG_ERROR {
                    continue;
                }
                let index = number.wrapping_sub(first) as usize;
                let code = payload.get(..4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes);
                if code == 0 {
                    answered |= index == acknowledged;
                } else if refused.is_none() {
                    // In a transaction only the first refusal is a cause, others may follow from it.
                    let text = if flags & ACK_TLVS != 0 { error_text(payload) } else { String::new() };
                    refused = Some(Refused { index, text, source: io::Error::from_raw_os_error(-code) });
                }
            }
            if answered {
                break;
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Returns all that the kernel answers to a request for many objects.
    pub fn dump(&mut self, message: &Message) -> io::Result<Vec<Reply>> {
        self.ask(message, DUMP)
    }

    /// Returns the kernel's answer to a request for one object.
    pub fn get(&mut self, message: &Message) -> io::Result<Option<Reply>> {
        Ok(self.ask(message, ACK)?.into_iter().next())
    }

    fn ask(&mut self, message: &Message, flags: u16) -> io::Result<Vec<Reply>> {
        self.number = self.number.wrapping_add(1);
        rustix::net::send(&self.fd, &message.finish(self.number, flags), SendFlags::empty())?;
        let mut replies = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let (_, got) =
                rustix::io::retry_on_intr(|| rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::empty()))?;
            for (kind, _, number, payload) in split(&buffer[..got]) {
                if number != self.number {
                    continue;
                }
                match kind {
                    NLMSG_DONE => return Ok(replies),
                    NLMSG_ERROR => {
                        let code = payload.get(..4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes);
                        return if code == 0 { Ok(replies) } else { Err(io::Error::from_raw_os_error(-code)) };
                    }
                    _ => replies.push(Reply { kind, payload: payload.to_vec() }),
                }
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Iterates over the messages in `bytes`: type, flags, number, payload.
fn split(mut bytes: &[u8]) -> impl Iterator<Item = (u16, u16, u32, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
        let flags = u16::from_ne_bytes(bytes.get(6..8)?.try_into().ok()?);
        let number = u32::from_ne_bytes(bytes.get(8..12)?.try_into().ok()?);
        let payload = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, flags, number, payload))
    })
}

/// Finds the sentence in an error: it follows the error number and the header of the request.
fn error_text(payload: &[u8]) -> String {
    let bytes = payload.get(4 + HEADER..).unwrap_or_default();
    let text = attributes(bytes).find(|(kind, _)| *kind == ERROR_TEXT).map_or(&[][..], |(_, value)| value);
    String::from_utf8_lossy(text).trim_end_matches('\0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_as_they_were_put() {
        let mut message = Message::new(16, 0, &[0; 16]);
        message.put_text(3, "eth0").nest(18, |m| {
            m.put_u32(1, 7).put(2, &[1, 2, 3]);
        });
        let bytes = message.finish(9, ACK);
        let (kind, flags, number, payload) = split(&bytes).next().unwrap();
        assert_eq!((kind, flags, number), (16, REQUEST | ACK, 9));
        let outer: Vec<_> = attributes(&payload[16..]).collect();
        assert_eq!(outer[0], (3, &b"eth0\0"[..]));
        assert_eq!(outer[1].0, 18);
        let inner: Vec<_> = attributes(outer[1].1).collect();
        assert_eq!(inner, vec![(1, &7u32.to_ne_bytes()[..]), (2, &[1, 2, 3][..])]);
    }

    #[test]
    fn broken_bytes_end_the_walk() {
        assert_eq!(attributes(&[1, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[200, 0, 1, 0, 9]).count(), 0);
        assert_eq!(split(&[255; 7]).count(), 0);
        assert_eq!(split(&[0; 16]).count(), 0);
    }

    #[test]
    fn the_kernel_lists_the_loopback_link() {
        const GETLINK: u16 = 18;
        let mut socket = Socket::route().unwrap();
        let links = socket.dump(&Message::new(GETLINK, 0, &[0; 16])).unwrap();
        assert!(
            links.iter().any(|link| attributes(&link.payload[16..]).any(|(kind, value)| kind == 3 && value == b"lo\0"))
        );
    }

    #[test]
    fn a_refusal_names_its_message_and_errno() {
        const GETLINK: u16 = 18;
        let mut missing = Message::new(GETLINK, 0, &[0; 16]);
        missing.put_text(3, "no-such-link");
        let error = Socket::route().unwrap().request(&[missing]).unwrap_err();
        assert_eq!(error.index, 0);
        assert!(error.is(rustix::io::Errno::NODEV));
    }
}
