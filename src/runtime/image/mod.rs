//! Images as documents and files: names, digests, manifests, configs, and the store that holds them.

pub mod collect;
pub mod config;
pub mod digest;
pub mod layers;
pub mod manifest;
pub mod packed;
pub mod partial;
pub mod reference;
pub mod staging;
pub mod store;
