//! Images assembled from the host's own packages, for machines without a registry.
pub mod assemble;
pub mod catalogue;
pub mod packages;
