//! Control groups, v1, v2 and hybrid.

pub mod change;
pub mod devices;
mod events;
mod freezer;
pub mod group;
pub mod hierarchy;
pub mod limits;
mod stats;
