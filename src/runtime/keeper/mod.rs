//! The keeper: one process a container, parent of its process 1, owner of all that lives as long as it does.
pub mod run;
pub mod machine;
pub mod health;
pub mod launch;
pub mod spec;
pub mod probe;
pub mod hearing;
pub mod stdio;
pub mod log;
pub mod control;
pub mod ready;
