//! What a container uses, as raw counters: rates are for whoever shows two of them.

use std::time::SystemTime;

/// Counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// When they were read.
    pub read: SystemTime,
    /// Nanoseconds of processor time since the container started.
    pub cpu_nanos: u64,
    /// Nanoseconds of processor time of the whole host, all processors together.
    pub system_nanos: u64,
    /// Processors that the host has.
    pub processors: u32,
    /// Bytes in use, without the page cache that can be dropped.
    pub memory: u64,
    /// Bytes that it may use; without a limit, what the host has.
    pub memory_limit: u64,
    /// Bytes received and sent, all networks together.
    pub network: (u64, u64),
    /// Bytes read from and written to block devices.
    pub block: (u64, u64),
    /// Processes and threads.
    pub processes: u64,
}

/// The processes of a container, as `ps` prints them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessTable {
    /// Column titles.
    pub titles: Vec<String>,
    /// One row a process.
    pub rows: Vec<Vec<String>>,
}
