//! nf_tables messages: tables, sets, chains, rules, and the expressions that rules are made of
//! (`linux/netfilter/nf_tables.h`).

use crate::sys::netlink::{APPEND, CREATE, Message};

const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const GETCHAIN: u16 = 4;
const NEWRULE: u16 = 6;
const NEWSET: u16 = 9;
const NEWSETELEM: u16 = 12;
const DELSETELEM: u16 = 14;

/// Both families in one table.
const INET: u8 = 1;
/// `NFT_REG32_00`: the first of the registers of four bytes.
const FIRST_REGISTER: u32 = 8;

/// Number of each type for `nft list`: the kernel only keeps it.
pub mod kind {
    /// `ipv4_addr`
    pub const IPV4: u32 = 7;
    /// `ipv6_addr`
    pub const IPV6: u32 = 8;
    /// `inet_proto`
    pub const PROTOCOL: u32 = 12;
    /// `inet_service`
    pub const PORT: u32 = 13;
    /// `ifname`
    pub const LINK: u32 = 41;

    /// Joins types to that of a concatenation.
    pub const fn join(kinds: &[u32]) -> u32 {
        let mut joined = 0;
        let mut place = 0;
        while place < kinds.len() {
            joined = (joined << 6) | kinds[place];
            place += 1;
        }
        joined
    }
}

fn message(kind: u16, flags: u16) -> Message {
    const SUBSYSTEM: u16 = 10;
    Message::new(SUBSYSTEM << 8 | kind, flags, &[INET, 0, 0, 0])
}

/// Makes a table, where it is missing.
pub fn add_table(table: &str) -> Message {
    let mut message = message(NEWTABLE, CREATE);
    message.put_text(1, table);
    message
}

/// Asks for a table.
pub fn get_table(table: &str) -> Message {
    let mut message = message(GETTABLE, 0);
    message.put_text(1, table);
    message
}

/// Removes a table with all that is in it.
pub fn remove_table(table: &str) -> Message {
    let mut message = message(DELTABLE, 0);
    message.put_text(1, table);
    message
}

/// Asks for every chain of every table.
pub fn all_chains() -> Message {
    const SUBSYSTEM: u16 = 10;
    // Family 0 is all of them.
    Message::new(SUBSYSTEM << 8 | GETCHAIN, 0, &[0, 0, 0, 0])
}

/// A set, or with data a map.
#[derive(Debug, Clone, Copy)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// Type and bytes of a key.
    pub key: (u32, u32),
    /// Type and bytes of a value.
    pub data: Option<(u32, u32)>,
    /// Keys are ends of ranges.
    pub is_interval: bool,
}

/// Makes a set. `number` tells the sets of one transaction apart.
pub fn add_set(table: &str, set: &Set, number: u32) -> Message {
    const INTERVAL: u32 = 4;
    const MAP: u32 = 8;
    let mut message = message(NEWSET, CREATE);
    let flags = if set.is_interval { INTERVAL } else { 0 } | if set.data.is_some() { MAP } else { 0 };
    message.put_text(1, table).put_text(2, set.name).put_be32(3, flags);
    message.put_be32(4, set.key.0).put_be32(5, set.key.1);
    if let Some((kind, length)) = set.data {
        message.put_be32(6, kind).put_be32(7, length);
    }
    message.put_be32(10, number);
    message
}

/// An element of a set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// The set's name.
    pub set: &'static str,
    /// As its registers hold it: each part padded to four bytes.
    pub key: Vec<u8>,
    /// Value in a map.
    pub data: Option<Vec<u8>>,
    /// The first key after a range.
    pub is_end: bool,
}

/// Puts an element into its set; that it is there with the same value is fine.
pub fn add_element(table: &str, element: &Element) -> Message {
    element_message(message(NEWSETELEM, CREATE), table, element)
}

/// Takes an element out of its set; refused with ENOENT when it is not there.
pub fn remove_element(table: &str, element: &Element) -> Message {
    element_message(message(DELSETELEM, 0), table, element)
}

fn element_message(mut message: Message, table: &str, element: &Element) -> Message {
    message.put_text(1, table).put_text(2, element.set).nest(3, |list| {
        list.nest(1, |one| {
            one.nest(1, |key| {
                key.put(1, &element.key);
            });
            if let Some(data) = &element.data {
                one.nest(2, |value| {
                    value.put(1, data);
                });
            }
            if element.is_end {
                one.put_be32(3, 1);
            }
        });
    });
    message
}

/// Where a chain hangs.
#[derive(Debug, Clone, Copy)]
pub struct Hook {
    /// `filter` or `nat`.
    pub kind: &'static str,
    /// `NF_INET_..`: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting.
    pub number: u32,
    /// Lower is earlier.
    pub priority: i32,
}

/// Makes a chain that accepts what no rule of it drops; without a hook others jump to it.
pub fn add_chain(table: &str, name: &str, hook: Option<Hook>) -> Message {
    let mut message = message(NEWCHAIN, CREATE);
    message.put_text(1, table).put_text(3, name);
    if let Some(hook) = hook {
        message.nest(4, |nest| {
            nest.put_be32(1, hook.number).put(2, &hook.priority.to_be_bytes());
        });
        message.put_be32(5, 1).put_text(7, hook.kind);
    }
    message
}

/// Adds a rule at the end of a chain.
pub fn add_rule(table: &str, chain: &str, rule: &Rule) -> Message {
    let mut message = message(NEWRULE, CREATE | APPEND);
    message.put_text(1, table).put_text(2, chain).nest(4, |list| {
        for (name, fill) in &rule.expressions {
            list.nest(1, |expression| {
                expression.put_text(1, name).nest(2, |data| {
                    data.raw(fill);
                });
            });
        }
    });
    message
}

/// What a packet must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of nft(8)")]
pub enum Meta {
    InLink = 6,
    OutLink = 7,
    Family = 15,
    Transport = 16,
}

/// A rule: expressions that read, compare, and at last act. Each match ends the rule where it fails.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    expressions: Vec<(&'static str, Vec<u8>)>,
    /// Registers in use by the key that is being loaded.
    loaded: u32,
}

/// A part of a packet.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// 1 network header, 2 transport header.
    pub base: u32,
    /// First byte in it.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
}

impl Rule {
    fn push(mut self, name: &'static str, fill: impl FnOnce(&mut Message)) -> Self {
        let mut message = Message::new(0, 0, &[]);
        fill(&mut message);
        self.expressions.push((name, message.body().to_vec()));
        self
    }

    fn register(&mut self, bytes: u32) -> u32 {
        let register = FIRST_REGISTER + self.loaded;
        self.loaded += bytes.div_ceil(4);
        register
    }

    /// Loads a property after what is loaded already.
    pub fn meta(mut self, key: Meta) -> Self {
        let register = self.register(if matches!(key, Meta::InLink | Meta::OutLink) { 16 } else { 4 });
        self.push("meta", |m| {
            m.put_be32(1, register).put_be32(2, key as u32);
        })
    }

    /// Loads a part of the packet after what is loaded already.
    pub fn payload(mut self, field: Field) -> Self {
        let register = self.register(field.length);
        self.push("payload", |m| {
            m.put_be32(1, register).put_be32(2, field.base).put_be32(3, field.offset).put_be32(4, field.length);
        })
    }

    /// Goes on when what is loaded is these bytes, or with `false` when it is not.
    pub fn equals(mut self, bytes: &[u8], yes: bool) -> Self {
        self.loaded = 0;
        self.push("cmp", |m| {
            m.put_be32(1, FIRST_REGISTER).put_be32(2, u32::from(!yes)).nest(3, |data| {
                data.put(1, bytes);
            });
        })
    }

    /// Goes on when what is loaded is in a set, or with `false` when it is not.
    pub fn is_in(mut self, set: &str, yes: bool) -> Self {
        self.loaded = 0;
        self.push("lookup", |m| {
            m.put_text(1, set).put_be32(2, FIRST_REGISTER);
            if !yes {
                m.put_be32(5, 1);
            }
        })
    }

    /// Goes on when what is loaded is a key of a map, with its value loaded instead.
    pub fn map(mut self, map: &str) -> Self {
        self.loaded = 0;
        self.push("lookup", |m| {
            m.put_text(1, map).put_be32(2, FIRST_REGISTER).put_be32(3, FIRST_REGISTER);
        })
    }

    /// Goes on when conntrack's state (`false`) or status (`true`) has one of these bits.
    pub fn tracked(self, is_status: bool, bits: u32) -> Self {
        let rule = self.push("ct", |m| {
            m.put_be32(1, FIRST_REGISTER).put_be32(2, if is_status { 2 } else { 0 });
        });
        let rule = rule.push("bitwise", |m| {
            m.put_be32(1, FIRST_REGISTER).put_be32(2, FIRST_REGISTER).put_be32(3, 4);
            m.nest(4, |mask| {
                mask.put(1, &bits.to_ne_bytes());
            });
            m.nest(5, |xor| {
                xor.put(1, &[0; 4]);
            });
        });
        rule.equals(&[0; 4], false)
    }

    /// Goes on when the destination is an address of the host.
    pub fn is_local(self) -> Self {
        const ADDRESS_TYPE: u32 = 3;
        const DESTINATION: u32 = 2;
        const LOCAL: u32 = 2;
        let rule = self.push("fib", |m| {
            m.put_be32(1, FIRST_REGISTER).put_be32(2, ADDRESS_TYPE).put_be32(3, DESTINATION);
        });
        rule.equals(&LOCAL.to_ne_bytes(), true)
    }

    /// Sends the packet to the loaded address and port.
    pub fn redirect(self, is_ipv4: bool) -> Self {
        const DESTINATION: u32 = 1;
        let (family, words) = if is_ipv4 { (2, 1) } else { (10, 4) };
        self.push("nat", |m| {
            m.put_be32(1, DESTINATION).put_be32(2, family);
            m.put_be32(3, FIRST_REGISTER).put_be32(5, FIRST_REGISTER + words);
        })
    }

    /// Sends the packet to another port of the same address.
    pub fn to_port(self, port: u16) -> Self {
        const DESTINATION: u32 = 1;
        const IPV4: u32 = 2;
        let rule = self.push("immediate", |m| {
            m.put_be32(1, FIRST_REGISTER).nest(2, |data| {
                data.put(1, &port.to_be_bytes());
            });
        });
        rule.push("nat", |m| {
            m.put_be32(1, DESTINATION).put_be32(2, IPV4).put_be32(5, FIRST_REGISTER);
        })
    }

    /// Gives the packet the address of the link that it leaves by.
    pub fn masquerade(self) -> Self {
        self.push("masq", |_| {})
    }

    /// Lets the packet pass this chain.
    pub fn accept(self) -> Self {
        self.verdict(1, None)
    }

    /// Drops the packet.
    pub fn drop(self) -> Self {
        self.verdict(0, None)
    }

    /// Goes on in another chain, then here.
    pub fn jump(self, chain: &str) -> Self {
        self.verdict(-3, Some(chain))
    }

    fn verdict(self, code: i32, chain: Option<&str>) -> Self {
        self.push("immediate", |m| {
            m.put_be32(1, 0).nest(2, |data| {
                data.nest(2, |verdict| {
                    verdict.put(1, &code.to_be_bytes());
                    if let Some(chain) = chain {
                        verdict.put_text(2, chain);
                    }
                });
            });
        })
    }
}
