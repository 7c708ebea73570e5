//! Leads questions to port 53 of the name server's address to the port that it really listens on, so that a program
//! of the container may have port 53 of every address for itself. A table of the container's own namespace.

use std::io;

use crate::network::files::NAME_SERVER;
use crate::network::firewall::rules::is_ipv4_to;
use crate::network::firewall::table::{self, Field, Hook, Meta};
use crate::sys::netlink::Socket;

/// Where every resolver asks.
pub const PORT: u16 = 53;
const TABLE: &str = "motet-names";
const TCP: u8 = 6;
const UDP: u8 = 17;
const DESTINATION_PORT: Field = Field { base: 2, offset: 2, length: 2 };

/// Makes the rules in the calling thread's network namespace. An error means that there is no such way in this kernel
/// (no nf_tables, or without translation of addresses).
pub fn redirect(udp: u16, tcp: u16) -> io::Result<()> {
    let mut socket = Socket::netfilter()?;
    // nft(8): output is hook 3, dstnat is -100.
    let hook = Hook { kind: "nat", number: 3, priority: -100 };
    // One that a killed keeper has left leads to its sockets.
    let anew = [table::add_table(TABLE), table::remove_table(TABLE), table::add_table(TABLE)];
    let mut messages = Vec::from(anew);
    messages.push(table::add_chain(TABLE, "output", Some(hook)));
    for (protocol, port) in [(UDP, udp), (TCP, tcp)] {
        let asked = is_ipv4_to(NAME_SERVER).meta(Meta::Transport).equals(&[protocol], true);
        let asked = asked.payload(DESTINATION_PORT).equals(&PORT.to_be_bytes(), true);
        messages.push(table::add_rule(TABLE, "output", &asked.to_port(port)));
    }
    Ok(socket.transaction(&messages)?)
}
