//! Text to tree: every value knows where it was written.

pub mod node;
pub mod outward;
pub mod parse;
pub mod path;
pub mod scalar;
pub mod session;
pub mod spans;
mod yaml_error;
