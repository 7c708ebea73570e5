//! What the verbs of a project and those of single containers have in common.

pub(crate) mod archive;
pub(crate) mod copy;
pub(crate) mod extract;
pub(crate) mod happenings;
pub(crate) mod output;
pub(crate) mod pruning;
pub(crate) mod rows;
pub(crate) mod several;
pub(crate) mod usage;
