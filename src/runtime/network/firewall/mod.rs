//! Our one nf_tables table: what containers may reach, who reaches them, published ports.
//!
//! The rules never change; networks and ports are elements of sets. Nobody else's table is touched: where the host's
//! own policy for forwarded packets is to drop them (ufw, an `iptables -P FORWARD DROP` of another container engine),
//! published ports go through the proxy, and for what containers send out the host has to let our links (`mt-*`)
//! through. A host without nf_tables has neither isolation nor masquerading, and its published ports go through the
//! proxy, too.

pub mod policy;
pub mod rules;
pub mod table;

use std::collections::BTreeSet;
use std::io;

use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::Runtime;
use crate::network::firewall::rules::Forward;
use crate::network::firewall::table::Element;
use crate::network::lifecycle;
use crate::network::ports::publications;
use crate::state::layout::Layout;
use crate::state::network::NetworkRecord;
use crate::state::record;
use crate::sys::netlink::{Message, Refused, Socket};

/// Returns the table's name: each state root has its own.
pub fn table_name(layout: &Layout) -> String {
    if *layout == Layout::system() {
        return "motet".into();
    }
    let hash = Sha256::digest(layout.lib.as_os_str().as_encoded_bytes());
    let hex: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("motet-{hex}")
}

/// Opens the firewall; `None` where the kernel has no nf_tables.
fn open() -> io::Result<Option<Socket>> {
    match Socket::netfilter() {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if error.raw_os_error() == Some(Errno::PROTONOSUPPORT.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says whether the kernel has nf_tables: it then forwards published ports itself.
pub fn is_there() -> bool {
    let Ok(Some(mut socket)) = open() else { return false };
    match socket.get(&table::get_table("motet")) {
        Ok(_) => true,
        Err(error) => error.raw_os_error() == Some(Errno::NOENT.raw_os_error()),
    }
}

fn without_nf_tables(result: Result<(), Refused>) -> io::Result<()> {
    match result {
        Err(refused) if refused.is(Errno::OPNOTSUPP) || refused.is(Errno::PROTONOSUPPORT) => {
            tracing::warn!("the kernel has no nf_tables: networks are not isolated, packets leave unmasqueraded");
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Makes the table where somebody has removed it.
pub fn ensure(rt: &Runtime) -> io::Result<()> {
    let Some(mut socket) = open()? else { return Ok(()) };
    if has_table(&mut socket, &table_name(&rt.layout)) {
        return Ok(());
    }
    let _ports = lock(rt)?;
    rebuild(rt, &mut socket)
}

fn has_table(socket: &mut Socket, name: &str) -> bool {
    socket.get(&table::get_table(name)).is_ok_and(|reply| reply.is_some())
}

/// Serialises changes, so that a rebuild loses no change that happens meanwhile. What is changed is on disk before.
fn lock(rt: &Runtime) -> io::Result<record::Lock> {
    record::lock(&rt.layout.lock("ports")).map_err(io::Error::other)
}

/// Lets a network in. Its record is on disk already.
pub fn add_network(rt: &Runtime, network: &NetworkRecord) -> io::Result<()> {
    change(rt, &[], &rules::network(network))
}

/// Forgets a network, and with the last one the table. Its record is gone already.
pub fn remove_network(rt: &Runtime, network: &NetworkRecord) -> io::Result<()> {
    let mut others = networks(rt)?;
    // One that was never finished is still there.
    others.retain(|other| other.id != network.id);
    if others.is_empty() {
        return remove_table(rt);
    }
    // One that was killed half removed may have lost its subnet to another.
    let kept: Vec<Element> = others.iter().flat_map(rules::network).collect();
    let gone: Vec<Element> = rules::network(network).into_iter().filter(|element| !kept.contains(element)).collect();
    change(rt, &gone, &[])
}

/// Returns every network that has, or is just about to get, a place in the table.
fn networks(rt: &Runtime) -> io::Result<Vec<NetworkRecord>> {
    let (mut networks, left) = lifecycle::recorded(rt).map_err(io::Error::other)?;
    for folder in left {
        let network: Option<NetworkRecord> = record::read(&rt.layout.network(&folder)).map_err(io::Error::other)?;
        networks.extend(network.filter(|network| folder == Layout::unmade_network(&network.id)));
    }
    Ok(networks)
}

/// Removes the table, if it is there.
fn remove_table(rt: &Runtime) -> io::Result<()> {
    let Some(mut socket) = open()? else { return Ok(()) };
    let ports = lock(rt)?;
    let removed = match socket.transaction(&[table::remove_table(&table_name(&rt.layout))]) {
        Err(refused) if refused.is(Errno::NOENT) => Ok(()),
        other => without_nf_tables(other),
    };
    drop(ports);
    socket.close_aside();
    removed
}

/// Closes and opens ports in one transaction. The publications on disk are changed already.
pub fn change_ports(rt: &Runtime, remove: &[Forward], add: &[Forward]) -> io::Result<()> {
    let elements = |forwards: &[Forward]| forwards.iter().map(rules::port).collect::<Vec<_>>();
    change(rt, &elements(remove), &elements(add))
}

fn change(rt: &Runtime, remove: &[Element], add: &[Element]) -> io::Result<()> {
    if remove.is_empty() && add.is_empty() {
        return Ok(());
    }
    let Some(mut socket) = open()? else { return Ok(()) };
    let name = table_name(&rt.layout);
    let ports = lock(rt)?;
    let removals = remove.iter().map(|element| table::remove_element(&name, element));
    let messages: Vec<Message> = removals.chain(add.iter().map(|element| table::add_element(&name, element))).collect();
    // A transaction that fails waits for the kernel's readers: ask first.
    let is_changed = has_table(&mut socket, &name) && socket.transaction(&messages).is_ok();
    // Else the table is not there, or not what the disk says (somebody flushed it, or was killed half way).
    let changed = if is_changed { Ok(()) } else { rebuild(rt, &mut socket) };
    drop(ports);
    if !remove.is_empty() {
        socket.close_aside();
    }
    changed
}

/// Makes the whole table again from what is on disk, in one transaction: no packet sees less than one of the two.
fn rebuild(rt: &Runtime, socket: &mut Socket) -> io::Result<()> {
    let name = table_name(&rt.layout);
    // Whoever removes a table waits, at the latest when it closes its socket, until the kernel has taken it apart.
    let removal = has_table(socket, &name).then(|| table::remove_table(&name));
    let mut messages = vec![table::add_table(&name)];
    messages.extend(rules::all(&name));
    let mut elements: Vec<Element> = networks(rt)?.iter().flat_map(rules::network).collect();
    for publication in publications::all(rt).map_err(io::Error::other)? {
        elements.extend(publication.forwards().iter().map(rules::port));
    }
    // A range's end follows its start: the kernel takes the start of a second range before it for an overlap.
    let mut seen = BTreeSet::new();
    elements.retain(|element| seen.insert((element.set, element.key.clone(), element.is_end)));
    messages.extend(elements.iter().map(|element| table::add_element(&name, element)));
    match socket.transaction(&removal.into_iter().chain(messages.iter().cloned()).collect::<Vec<_>>()) {
        // Something of an old table was in the way after all: it goes first, then.
        Err(refused) if refused.is(Errno::EXIST) => {
            tracing::warn!(error = &refused as &dyn std::error::Error, "the firewall's table is made from nothing");
            let _ = socket.transaction(&[table::remove_table(&name)]);
            without_nf_tables(socket.transaction(&messages))
        }
        result => without_nf_tables(result),
    }
}
