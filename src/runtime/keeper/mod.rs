//! The keeper: one process a container, parent of its process 1, owner of all that lives as long as it does.
mod asked;
mod attached;
mod carry;
pub mod control;
pub mod diary;
pub mod health;
pub mod hearing;
pub mod joint;
pub mod launch;
pub mod log;
pub mod machine;
mod networks;
pub mod probe;
pub mod ready;
pub mod run;
pub mod spec;
pub mod stdio;
