//! Networks of the drivers `macvlan` and `ipvlan`: the links of containers hang on a link of the host and speak to what is
//! beyond it. There is no bridge, no firewall of ours and no published port.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::network::lifecycle::{NetworkError, kernel};
use crate::network::link::{self, Child, Pair};
use crate::state::network::NetworkRecord;
use crate::sys::netlink::Socket;
use crate::sys::netns;

const PARENT_OPTION: &str = "parent";
const MACVLAN_MODE_OPTION: &str = "macvlan_mode";
const IPVLAN_MODE_OPTION: &str = "ipvlan_mode";
const IPVLAN_FLAG_OPTION: &str = "ipvlan_flag";

/// Says whether a driver is one of those.
pub fn is_driver(driver: &str) -> bool {
    matches!(driver, "macvlan" | "ipvlan")
}

/// Says whether a network is one of those.
pub fn is_one(network: &NetworkRecord) -> bool {
    is_driver(&network.driver)
}

/// Says whether its containers share the hardware address of the host's link.
pub fn shares_address(network: &NetworkRecord) -> bool {
    network.driver == "ipvlan"
}

/// Says whether packets leave without asking anybody for the gateway's hardware address (ipvlan's `l3` and `l3s`).
pub fn is_routed(network: &NetworkRecord) -> bool {
    network.driver == "ipvlan"
        && network.options.get(IPVLAN_MODE_OPTION).is_some_and(|mode| matches!(mode.as_str(), "l3" | "l3s"))
}

/// Checks what a network's options ask for; the error says what is wrong.
pub fn check(driver: &str, options: &BTreeMap<String, String>) -> Result<(), String> {
    for (key, value) in options {
        match (driver, key.as_str()) {
            (_, PARENT_OPTION) => {}
            ("macvlan", MACVLAN_MODE_OPTION) => drop(macvlan_mode(value)?),
            ("ipvlan", IPVLAN_MODE_OPTION) => drop(ipvlan_mode(value)?),
            ("ipvlan", IPVLAN_FLAG_OPTION) => drop(ipvlan_flag(value)?),
            (_, "com.docker.network.driver.mtu" | "com.docker.network.container_iface_prefix") => {}
            _ => tracing::warn!("the network option `{key}` has no effect with the driver `{driver}`"),
        }
    }
    Ok(())
}

fn macvlan_mode(text: &str) -> Result<u32, String> {
    match text {
        "private" => Ok(1),
        "vepa" => Ok(2),
        "" | "bridge" => Ok(4),
        "passthru" => Ok(8),
        _ => Err(format!("`macvlan_mode: {text}` is none of `bridge`, `private`, `vepa`, `passthru`")),
    }
}

fn ipvlan_mode(text: &str) -> Result<u16, String> {
    match text {
        "" | "l2" => Ok(0),
        "l3" => Ok(1),
        "l3s" => Ok(2),
        _ => Err(format!("`ipvlan_mode: {text}` is none of `l2`, `l3`, `l3s`")),
    }
}

fn ipvlan_flag(text: &str) -> Result<u16, String> {
    match text {
        "" | "bridge" => Ok(0),
        "private" => Ok(1),
        "vepa" => Ok(2),
        _ => Err(format!("`ipvlan_flag: {text}` is none of `bridge`, `private`, `vepa`")),
    }
}

/// Returns the name of the host's link; without one asked for, one of our own that leads nowhere.
pub fn parent(id: &str, options: &BTreeMap<String, String>) -> Result<String, String> {
    match options.get(PARENT_OPTION).map(String::as_str) {
        None | Some("") => Ok(format!("dm-{}", &id[..12])),
        Some(name) if crate::network::bridge::is_link_name(name) => Ok(name.to_owned()),
        Some(name) => Err(format!("`parent: {name}` can't be the name of a link")),
    }
}

/// Says whether the network leads nowhere, since no link of the host is asked for.
pub fn is_closed(options: &BTreeMap<String, String>) -> bool {
    options.get(PARENT_OPTION).is_none_or(String::is_empty)
}

/// Returns the number of the host's link. One of our own is made where it is missing: `dm-..`, and `eth0.10` for the
/// VLAN 10 on `eth0`.
pub fn ensure(socket: &mut Socket, network: &NetworkRecord) -> Result<u32, NetworkError> {
    let name = &network.bridge;
    let failed = |act: &'static str| kernel(act, name);
    if let Some(found) = link::find(socket, name).map_err(failed("find the link"))? {
        return Ok(found.index);
    }
    let missing = || NetworkError::Unsupported {
        name: network.name.clone(),
        problem: format!("the host has no link `{name}` to hang containers' links on"),
    };
    let other_end = format!("dp-{}", &network.id[..12]);
    let here = netns::own().map_err(failed("open the network namespace for"))?;
    let message = match (is_closed(&network.options), name.rsplit_once('.')) {
        // A pair of which both ends are ours: it leads nowhere, and every kernel that we run on has pairs.
        (true, _) => link::add_pair(&Pair {
            host: name,
            bridge: 0,
            inside: &other_end,
            mac: mac_of_id(&network.id),
            mtu: network.mtu,
            netns: here.as_fd(),
        }),
        (false, Some((trunk, number))) => {
            let number: u16 = number.parse().ok().filter(|number| (1..4095).contains(number)).ok_or_else(missing)?;
            let trunk = link::find(socket, trunk).map_err(failed("find the link"))?.ok_or_else(missing)?;
            link::add_vlan(name, trunk.index, number)
        }
        (false, None) => return Err(missing()),
    };
    match socket.request(&[message]) {
        Ok(()) => {}
        // Somebody was faster.
        Err(refused) if refused.is(Errno::EXIST) => {}
        Err(refused) if refused.is(Errno::OPNOTSUPP) => {
            let problem = format!("the kernel has no VLANs to make `{name}` of");
            return Err(NetworkError::Unsupported { name: network.name.clone(), problem });
        }
        Err(refused) => return Err(failed("make the link")(refused.into())),
    }
    let mut ups = vec![link::up_by_name(name)];
    if is_closed(&network.options) {
        ups.push(link::up_by_name(&other_end));
    }
    socket.request(&ups).map_err(|refused| failed("bring up the link")(refused.into()))?;
    let made = link::find(socket, name).map_err(failed("find the link"))?;
    made.map(|link| link.index).ok_or_else(|| failed("find the link")(Errno::NODEV.into()))
}

/// Returns a hardware address that no other of our networks has.
fn mac_of_id(id: &str) -> [u8; 6] {
    let byte = |at: usize| id.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or_default();
    // Locally administered.
    [0x02, 0x42, byte(0), byte(2), byte(4), byte(6)]
}

/// The kernel takes a container's namespace apart some time after its end, with the link in it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Brings up a container's link, by number. Its hardware address may still be that of a link of the last run, which the
/// kernel is about to take away; it tells nobody when it has.
pub fn bring_up(socket: &mut Socket, index: u32) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match socket.request(&[link::up(index)]) {
            Err(refused) if refused.is(Errno::ADDRINUSE) && Instant::now() < end => {
                let moment = rustix::event::Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
                let _ = rustix::event::poll(&mut [], Some(&moment));
            }
            other => return Ok(other?),
        }
    }
}

/// Returns what hangs on the host's link.
pub fn child(network: &NetworkRecord) -> io::Result<Child> {
    let option = |key: &str| network.options.get(key).map(String::as_str).unwrap_or_default();
    let wrong = |problem: String| io::Error::new(io::ErrorKind::InvalidInput, problem);
    if network.driver == "macvlan" {
        return Ok(Child::Macvlan { mode: macvlan_mode(option(MACVLAN_MODE_OPTION)).map_err(wrong)? });
    }
    let mode = ipvlan_mode(option(IPVLAN_MODE_OPTION)).map_err(wrong)?;
    Ok(Child::Ipvlan { mode, flags: ipvlan_flag(option(IPVLAN_FLAG_OPTION)).map_err(wrong)? })
}
