//! Images assembled from the host's own packages, for machines without a registry.

pub mod assemble;
pub mod catalogue;
pub mod deb;
pub mod downloads;
pub mod foundation;
pub mod host;
pub mod packages;
pub mod scripts;
pub mod software;

#[cfg(test)]
mod tests;
