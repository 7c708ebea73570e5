//! Registries: the OCI distribution API, as a client.

pub mod auth;
pub mod blob;
pub mod client;
pub mod error;
pub mod pull;

#[cfg(test)]
mod tests;
