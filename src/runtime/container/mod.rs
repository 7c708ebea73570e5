//! Containers: an act a file. Each is idempotent where it can be, and leaves what it finds broken mended.

pub mod act;
pub mod attach;
pub mod changes;
pub mod commit;
pub mod copy;
pub mod create;
pub mod exec;
pub mod inside;
pub mod kill;
pub mod list;
pub mod logs;
pub mod merge;
pub mod names;
pub mod pause;
pub mod populate;
pub mod processes;
pub mod remove;
pub mod rename;
pub mod repair;
pub mod request;
pub mod restart;
pub mod signal;
pub mod start;
pub mod statistics;
pub mod stop;
pub mod watch;
