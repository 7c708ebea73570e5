//! Registries: the OCI distribution API, as a client.

pub mod artifact;
pub mod auth;
#[cfg(target_os = "linux")]
pub mod blob;
pub mod bundle;
pub mod client;
#[cfg(target_os = "linux")]
pub mod collection;
pub(crate) mod connection;
pub mod credentials;
pub mod endpoint;
pub mod error;
pub mod login;
#[cfg(target_os = "linux")]
pub mod outgoing;
#[cfg(target_os = "linux")]
pub mod pull;
#[cfg(target_os = "linux")]
pub mod push;
pub mod settings;
mod upload;
pub mod verifier;

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
