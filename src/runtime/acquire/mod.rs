//! Images into the store: found there, pulled, assembled from the host's packages, or loaded from a file.

pub mod find;
pub mod flatten;
pub mod import;
pub mod load;
pub mod save;

pub use find::{AcquireError, AcquireOptions, acquire};
pub use load::{LoadError, load, load_from};

#[cfg(test)]
mod tests;
