//! Names of containers: from the leases on disk to answers at 127.0.0.11.

pub mod message;
pub mod redirect;
pub mod server;
pub mod services;
pub mod stream;
pub mod upstream;
pub mod zone;
