//! (rooms of registry)
pub mod auth;
pub mod client;
pub mod pull;
