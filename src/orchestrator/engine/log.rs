//! What containers write.

use std::time::SystemTime;

/// Which lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Go on with new lines as they come.
    pub follow: bool,
    /// Only the last so many of those that are there.
    pub tail: Option<u64>,
    /// Not before.
    pub since: Option<SystemTime>,
    /// Not after.
    pub until: Option<SystemTime>,
}

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogStream {
    Stdout,
    Stderr,
}

/// One line, without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When the engine read it.
    pub time: SystemTime,
    /// Which stream it came from.
    pub stream: LogStream,
    /// The bytes as the program wrote them.
    pub bytes: Vec<u8>,
}
