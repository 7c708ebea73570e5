//! (rooms of snapshot)
pub mod copy;
pub mod diff;
pub mod overlay;
pub mod unpack;
