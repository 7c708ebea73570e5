//! Networks of containers: links, addresses, the firewall, published ports, names.
//!
//! Everything the kernel holds is made from files (`networks/<id>/..`) and can be made again from them.

pub mod addresses;
pub mod attach;
pub mod bridge;
pub mod conntrack;
pub mod files;
pub mod firewall;
pub mod guest;
pub mod leases;
pub mod lifecycle;
pub mod link;
pub mod names;
pub mod ports;
pub mod proxy;
pub mod ready;
pub mod removal;
pub mod settle;
pub mod subnet;
pub mod trunk;
pub mod veth;

pub use attach::{AttachError, attach, detach, silence};
pub use leases::{lease, release};
pub(crate) use lifecycle::tell_of;
pub use lifecycle::{
    NetworkError, NetworkRequest, Pool, count_endpoints, create, endpoint, endpoints, find, list, preview, remove,
    remove_unused,
};
pub use settle::settle;

#[cfg(test)]
mod tests;
