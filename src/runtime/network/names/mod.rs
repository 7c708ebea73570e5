//! Service names: from files on disk to answers.
pub mod message;
pub mod server;
pub mod zone;
