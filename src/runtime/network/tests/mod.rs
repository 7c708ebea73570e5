//! The network as a whole, as root, in namespaces of the test's own: one plays the host, others containers and the
//! world outside. Nothing of the real host is touched.

mod isolation;
mod lifecycle;
mod names;
mod ports;
mod proxy;
pub mod scratch;
mod settle;
mod trunk;
