//! What differs from one kind of system to another: an embedded runtime is there on Linux alone.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{embedded, expect_memory, hidden, hindrance};
#[cfg(target_os = "linux")]
pub(crate) use linux::{embedded, expect_memory, hidden, hindrance};
