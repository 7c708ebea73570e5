//! (rooms of network)
pub mod addresses;
pub mod bridge;
pub mod firewall;
pub mod names;
pub mod ports;
pub mod veth;
