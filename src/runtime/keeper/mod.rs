//! (rooms of keeper)
pub mod control;
pub mod health;
pub mod log;
pub mod machine;
pub mod ready;
pub mod run;
pub mod spec;
pub mod stdio;
