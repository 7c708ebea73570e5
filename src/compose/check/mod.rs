//! What is wrong with a tree: its keys and types, its values, and what its parts say of each other.

pub mod attributes;
pub mod build_attributes;
pub mod cycle;
pub mod descriptions;
pub mod mend;
pub mod references;
pub mod rules;
pub mod schema;
pub mod shape;
pub mod values;
