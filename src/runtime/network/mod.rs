//! Networks of containers: links, addresses, the firewall, published ports, names.
//!
//! Everything the kernel holds is made from files (`networks/<id>/..`) and can be made again from them.

pub mod addresses;
pub mod attach;
pub mod bridge;
pub mod files;
pub mod firewall;
pub mod lifecycle;
pub mod names;
pub mod ports;
pub mod proxy;
pub mod veth;

pub use attach::{AttachError, attach, detach, lease, release};
pub use lifecycle::{NetworkError, NetworkRequest, Pool, create, endpoints, find, list, remove};
