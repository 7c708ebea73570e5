//! `${VAR}` in values: the grammar, and its use on a tree.

pub mod apply;
pub mod blame;
pub mod cast;
pub mod template;
pub mod variables;
