//! (rooms of image)
pub mod collect;
pub mod config;
pub mod digest;
pub mod load;
pub mod manifest;
pub mod reference;
pub mod store;
