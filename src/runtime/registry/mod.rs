//! Registries: the OCI distribution API, as a client.

pub mod artifact;
pub mod auth;
pub mod blob;
pub mod bundle;
pub mod client;
pub mod collection;
pub(crate) mod connection;
pub mod credentials;
pub mod endpoint;
pub mod error;
pub mod login;
pub mod outgoing;
pub mod pull;
pub mod push;
pub mod settings;
mod upload;

#[cfg(test)]
mod tests;
