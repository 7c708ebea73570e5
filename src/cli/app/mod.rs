//! What a command is given: the settings, the printer, a loader for the project, the engine.

pub(crate) mod artifact;
pub(crate) mod ask;
pub(crate) mod choose;
pub(crate) mod dockerfiles;
pub(crate) mod dry_run;
pub(crate) mod foreground;
pub(crate) mod given;
pub(crate) mod interrupts;
pub(crate) mod keys;
pub(crate) mod machine;
pub(crate) mod project;
pub(crate) mod remote;
pub(crate) mod streams;
#[cfg(target_os = "linux")]
pub(crate) mod surroundings;
pub(crate) mod terminal;

pub(crate) use given::{App, registries};
pub(crate) use interrupts::Interrupts;
pub(crate) use project::Warnings;
