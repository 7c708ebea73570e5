//! Many files to one tree: each is interpolated, extended, includes others, and is laid over what came before.

pub mod extends;
pub mod file;
pub mod include;
pub mod merge;
pub mod merge_rules;
pub mod model;
pub mod unicity;
