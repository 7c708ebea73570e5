//! What is said on the command line before the verb, and in the environment.

pub(crate) mod environment;
pub(crate) mod global;
pub(crate) mod hoist;
pub(crate) mod moment;
pub(crate) mod settings;

pub(crate) use environment::Environment;
pub(crate) use global::GlobalArgs;
pub(crate) use settings::Settings;
