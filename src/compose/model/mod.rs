//! The typed project: what a Compose file means once every short form is spelt out.

pub mod build;
pub mod bytes;
pub mod decode;
mod decode_parts;
mod decode_service;
pub mod deploy;
pub mod develop;
pub mod duration;
pub mod encode;
pub mod file_object;
pub mod healthcheck;
pub mod json_schema;
pub mod mount;
pub mod network;
pub mod port;
pub mod project;
pub(crate) mod read;
pub mod service;
pub mod volume;
mod yaml;
