//! Short syntax to long: one way to say a thing from here on. An attribute a file.

pub mod build;
pub mod bytes;
pub mod command;
pub mod defaults;
pub mod depends_on;
pub mod devices;
pub mod duration;
pub mod encode;
pub mod env_file;
pub mod env_values;
pub mod expand;
pub mod external;
pub mod file_mounts;
pub mod forms;
pub mod lists;
pub mod mappings;
pub mod normalize;
pub mod paths;
pub mod ports;
pub mod volumes;
