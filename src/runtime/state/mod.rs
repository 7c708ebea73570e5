//! What is on disk: where, in which format, and how it is written so that a kill at any instant loses nothing.

pub mod calendar;
#[cfg(target_os = "linux")]
pub mod changes;
pub mod container;
pub mod image;
pub mod layout;
pub mod network;
pub mod occurrence;
pub mod process;
pub mod record;
pub mod selinux;
pub mod volume;
