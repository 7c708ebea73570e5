//! Images as documents and files: names, digests, manifests, configs, and the store that holds them.

#[cfg(target_os = "linux")]
pub mod collect;
pub mod config;
pub mod digest;
#[cfg(target_os = "linux")]
pub mod layers;
pub mod manifest;
#[cfg(target_os = "linux")]
pub mod packed;
#[cfg(target_os = "linux")]
pub mod partial;
pub mod reference;
#[cfg(target_os = "linux")]
pub mod staging;
#[cfg(target_os = "linux")]
pub mod store;
pub mod store_error;
