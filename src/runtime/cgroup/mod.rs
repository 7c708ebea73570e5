//! Control groups, v1, v2 and hybrid.

pub mod devices;
pub mod freezer;
pub mod group;
pub mod limits;
pub mod stats;
