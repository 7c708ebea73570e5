//! DNS messages (RFC 1035): one question in, records out. Any bytes may come in.

use std::net::IpAddr;

/// Longest message over UDP without EDNS.
pub const UDP_LIMIT: usize = 512;
const HEADER: usize = 12;
const LONGEST_NAME: usize = 255;
/// A pointer may only lead backwards, so this many jumps suffice for any name.
const JUMPS: usize = 128;
const CLASS_IN: u16 = 1;
const QUERY_RESPONSE: u16 = 0x8000;
const AUTHORITATIVE: u16 = 0x0400;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of DNS record types")]
pub enum Kind {
    A,
    Ptr,
    Aaaa,
    Srv,
    Any,
    Other(u16),
}

impl From<u16> for Kind {
    fn from(number: u16) -> Self {
        match number {
            1 => Self::A,
            12 => Self::Ptr,
            28 => Self::Aaaa,
            33 => Self::Srv,
            255 => Self::Any,
            other => Self::Other(other),
        }
    }
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of RFC 1035, 4.1.1")]
pub enum Code {
    NoError = 0,
    FormatError = 1,
    ServerFailure = 2,
    NameError = 3,
    NotImplemented = 4,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Its number, chosen by the asker.
    pub id: u16,
    /// Small letters, no dot at the end.
    pub name: String,
    /// What is asked for.
    pub kind: Kind,
    /// Longest answer that the asker takes over UDP.
    pub limit: usize,
    /// The question as it came, which the answer repeats.
    question: Vec<u8>,
    flags: u16,
}

/// What an answer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A or AAAA.
    Address(IpAddr),
    /// PTR.
    Name(String),
    /// SRV: where a port of a name is to be had.
    Service {
        /// The port.
        port: u16,
        /// A name with addresses.
        target: String,
    },
}

/// Why bytes are no question that can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Not even a header, or an answer: silence.
    Ignore,
    /// The asker is told.
    Refuse(Code),
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Returns a message's number.
pub fn id(bytes: &[u8]) -> Option<u16> {
    u16_at(bytes, 0)
}

/// Returns the message with another number.
pub fn with_id(mut bytes: Vec<u8>, id: u16) -> Vec<u8> {
    if let Some(place) = bytes.get_mut(..2) {
        place.copy_from_slice(&id.to_be_bytes());
    }
    bytes
}

/// Says whether `answer` is one to this very question: number, type and name.
pub fn answers(answer: &[u8], id: u16, query: &Query) -> bool {
    let flags = u16_at(answer, 2).unwrap_or_default();
    u16_at(answer, 0) == Some(id)
        && flags & QUERY_RESPONSE != 0
        && answer
            .get(HEADER..HEADER + query.question.len())
            .is_some_and(|question| question.eq_ignore_ascii_case(&query.question))
}

/// Reads a question.
pub fn parse(bytes: &[u8]) -> Result<Query, Malformed> {
    let (Some(id), Some(flags)) = (u16_at(bytes, 0), u16_at(bytes, 2)) else { return Err(Malformed::Ignore) };
    if bytes.len() < HEADER || flags & QUERY_RESPONSE != 0 {
        return Err(Malformed::Ignore);
    }
    if (flags >> 11) & 0xf != 0 {
        return Err(Malformed::Refuse(Code::NotImplemented));
    }
    let format = Malformed::Refuse(Code::FormatError);
    if u16_at(bytes, 4) != Some(1) {
        return Err(format);
    }
    let (name, end) = name_at(bytes, HEADER).ok_or(format)?;
    let kind = u16_at(bytes, end).ok_or(format)?;
    let class = u16_at(bytes, end + 2).ok_or(format)?;
    if class != CLASS_IN {
        return Err(Malformed::Refuse(Code::NotImplemented));
    }
    let question = bytes[HEADER..end + 4].to_vec();
    Ok(Query { id, name, kind: kind.into(), limit: limit(bytes, end + 4), question, flags })
}

/// Returns the name at `at`, in small letters, and where it ends.
fn name_at(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut end = None;
    for _ in 0..JUMPS {
        let length = usize::from(*bytes.get(at)?);
        match length {
            0 => {
                name.pop();
                return Some((name, end.unwrap_or(at + 1)));
            }
            1..=63 => {
                let label = bytes.get(at + 1..at + 1 + length)?;
                // A dot inside a label would make another name of it; one of ours has none, nor odd bytes.
                if !label.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.') {
                    return None;
                }
                name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                name.push('.');
                at += 1 + length;
            }
            0xc0.. => {
                let target = usize::from(u16_at(bytes, at)? & 0x3fff);
                if target >= at {
                    return None;
                }
                end.get_or_insert(at + 2);
                at = target;
            }
            _ => return None,
        }
        if name.len() > LONGEST_NAME {
            return None;
        }
    }
    None
}

/// Finds the asker's UDP limit in an EDNS record (RFC 6891) among what follows the question.
fn limit(bytes: &[u8], mut at: usize) -> usize {
    const EDNS: u16 = 41;
    let count = |at| usize::from(u16_at(bytes, at).unwrap_or_default());
    for _ in 0..(count(6) + count(8) + count(10)).min(32) {
        let Some((_, end)) = name_at(bytes, at) else { break };
        let (Some(kind), Some(class), Some(length)) =
            (u16_at(bytes, end), u16_at(bytes, end + 2), u16_at(bytes, end + 8))
        else {
            break;
        };
        if kind == EDNS {
            return usize::from(class).clamp(UDP_LIMIT, 4096);
        }
        at = end + 10 + usize::from(length);
    }
    UDP_LIMIT
}

impl Query {
    /// Says whether this is a name without a dot.
    pub fn is_single_label(&self) -> bool {
        !self.name.contains('.')
    }

    /// Returns the answer, cut to `limit` bytes. `ttl` is in seconds.
    pub fn answer(&self, code: Code, records: &[Record], ttl: u32, limit: usize) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes.extend(&self.question);
        let mut count = 0u16;
        let mut flags =
            QUERY_RESPONSE | AUTHORITATIVE | RECURSION_AVAILABLE | (self.flags & RECURSION_DESIRED) | code as u16;
        for record in records {
            let (kind, data): (u16, Vec<u8>) = match record {
                Record::Address(IpAddr::V4(address)) => (1, address.octets().to_vec()),
                Record::Address(IpAddr::V6(address)) => (28, address.octets().to_vec()),
                Record::Name(name) => (12, encode_name(name)),
                Record::Service { port, target } => {
                    // Priority and weight are 0: all are equal (RFC 2782), and the order takes turns.
                    let mut data = vec![0; 4];
                    data.extend(port.to_be_bytes());
                    data.extend(encode_name(target));
                    (33, data)
                }
            };
            // The name is that of the question, at byte 12.
            let mut record = vec![0xc0, 12];
            record.extend(kind.to_be_bytes());
            record.extend(CLASS_IN.to_be_bytes());
            record.extend(ttl.to_be_bytes());
            record.extend(u16::try_from(data.len()).unwrap_or_default().to_be_bytes());
            record.extend(data);
            if bytes.len() + record.len() > limit {
                flags |= TRUNCATED;
                break;
            }
            bytes.extend(record);
            count += 1;
        }
        bytes[..2].copy_from_slice(&self.id.to_be_bytes());
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        bytes[4..6].copy_from_slice(&1u16.to_be_bytes());
        bytes[6..8].copy_from_slice(&count.to_be_bytes());
        bytes
    }
}

/// Returns a refusal of bytes that are no question.
pub fn refusal(bytes: &[u8], code: Code) -> Vec<u8> {
    let mut answer = vec![0; HEADER];
    answer[..2].copy_from_slice(&id(bytes).unwrap_or_default().to_be_bytes());
    answer[2..4].copy_from_slice(&(QUERY_RESPONSE | code as u16).to_be_bytes());
    answer
}

/// Writes a name; labels that are too long are cut.
fn encode_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        if bytes.len() + label.len() + 2 > LONGEST_NAME {
            break;
        }
        bytes.push(u8::try_from(label.len()).unwrap_or(63));
        bytes.extend(label);
    }
    bytes.push(0);
    bytes
}

/// Makes a question, with recursion desired.
#[cfg(test)]
pub fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    bytes.extend(encode_name(name));
    bytes.extend(kind.to_be_bytes());
    bytes.extend(CLASS_IN.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(query) = parse(&bytes) {
                let _ = query.answer(Code::NoError, &[Record::Address([127, 0, 0, 1].into())], 1, 512);
            }
            let _ = refusal(&bytes, Code::FormatError);
        }

        #[test]
        fn no_bytes_after_a_header_bring_it_down(tail in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
            bytes.extend(tail);
            let _ = parse(&bytes);
        }

        #[test]
        fn a_question_comes_back(name in "[a-z0-9_-]{1,20}(\\.[a-z0-9-]{1,20}){0,3}", id in any::<u16>()) {
            let query = parse(&question(id, &name.to_uppercase(), 1)).unwrap();
            prop_assert_eq!((query.id, query.name.as_str(), query.kind), (id, name.as_str(), Kind::A));
        }
    }

    #[test]
    fn an_answer_repeats_its_question_and_says_when_it_is_cut() {
        let bytes = question(7, "web", 1);
        let query = parse(&bytes).unwrap();
        let records: Vec<_> = (0..100).map(|n| Record::Address([10, 0, 0, n].into())).collect();
        let answer = query.answer(Code::NoError, &records[..2], 30, query.limit);
        assert!(answers(&answer, 7, &query) && !answers(&answer, 8, &query));
        assert_eq!(&answer[6..8], &[0, 2]);
        assert_eq!(&answer[answer.len() - 4..], &[10, 0, 0, 1]);
        let cut = query.answer(Code::NoError, &records, 30, query.limit);
        assert!(cut.len() <= UDP_LIMIT && u16_at(&cut, 2).unwrap() & TRUNCATED != 0);
        assert!(!answers(&cut, 7, &parse(&question(7, "other", 1)).unwrap()));
    }

    #[test]
    fn pointers_in_circles_and_answers_are_refused() {
        let mut circle = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1];
        assert_eq!(parse(&circle), Err(Malformed::Refuse(Code::FormatError)));
        circle[2] |= 0x80;
        assert_eq!(parse(&circle), Err(Malformed::Ignore));
        assert_eq!(parse(&[0, 1]), Err(Malformed::Ignore));
    }

    #[test]
    fn edns_raises_the_limit() {
        let mut bytes = question(7, "web", 1);
        bytes[11] = 1;
        bytes.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(parse(&bytes).unwrap().limit, 1232);
    }
}
