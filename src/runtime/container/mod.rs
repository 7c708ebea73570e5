//! (rooms of container)
pub mod create;
pub mod exec;
pub mod kill;
pub mod list;
pub mod logs;
pub mod remove;
pub mod rename;
pub mod request;
pub mod start;
pub mod stop;
pub mod wait;
