//! What is said on the command line before the verb, and in the environment.

pub(crate) mod docker;
pub(crate) mod env_file;
pub(crate) mod environment;
pub(crate) mod global;
pub(crate) mod hoist;
pub(crate) mod keys;
pub(crate) mod lines;
pub(crate) mod moment;
pub(crate) mod mount;
pub(crate) mod publish;
pub(crate) mod settings;
pub(crate) mod typo;
pub(crate) mod variables;
pub(crate) mod words;

pub(crate) use environment::Environment;
pub(crate) use global::GlobalArgs;
pub(crate) use settings::Settings;
