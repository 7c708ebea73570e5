//! What the host's own rules do to forwarded packets: no rule of ours can let through what another table drops.

use std::io;

use crate::network::firewall::table;
use crate::sys::netlink::{Socket, attributes};

/// `NFTA_CHAIN_*`, `NFTA_HOOK_*` (linux/netfilter/nf_tables.h).
const TABLE: u16 = 1;
const NAME: u16 = 3;
const HOOK: u16 = 4;
const POLICY: u16 = 5;
const HOOK_NUMBER: u16 = 1;
/// `NF_INET_FORWARD`, `NF_DROP`.
const FORWARD: u32 = 2;
const DROP: u32 = 0;
/// Families with that hook: inet, ip, ip6.
const INET: u8 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// Returns the chain (`ip filter FORWARD`) whose policy is to drop forwarded packets of this family, if there is one.
pub fn dropping(is_ipv4: bool) -> io::Result<Option<String>> {
    let mut socket = Socket::netfilter()?;
    let own = if is_ipv4 { (IPV4, "ip") } else { (IPV6, "ip6") };
    for chain in socket.dump(&table::all_chains())? {
        let family = match chain.payload.first() {
            Some(&INET) => "inet",
            Some(&family) if family == own.0 => own.1,
            _ => continue,
        };
        let body = chain.payload.get(4..).unwrap_or_default();
        let find = |wanted| attributes(body).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        let number = |value: &[u8]| Some(u32::from_be_bytes(value.get(..4)?.try_into().ok()?));
        let hook = find(HOOK).and_then(|hook| attributes(hook).find(|(kind, _)| *kind == HOOK_NUMBER));
        if hook.and_then(|(_, value)| number(value)) != Some(FORWARD) || find(POLICY).and_then(number) != Some(DROP) {
            continue;
        }
        let text = |kind| {
            let value = String::from_utf8_lossy(find(kind).unwrap_or_default()).into_owned();
            value.trim_end_matches('\0').to_owned()
        };
        return Ok(Some(format!("{family} {} {}", text(TABLE), text(NAME))));
    }
    Ok(None)
}
