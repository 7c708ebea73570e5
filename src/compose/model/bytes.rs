//! A size in bytes.

/// Bytes; `-1` means "no limit" where the attribute allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub i64);
