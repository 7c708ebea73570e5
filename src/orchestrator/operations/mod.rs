//! One use case a file: observe, plan, execute.

pub mod build;
pub mod down;
pub mod error;
pub mod exec;
pub mod logs;
mod mute;
pub mod pause;
mod provided;
pub mod ps;
pub mod restart;
pub mod run;
pub mod scope;
mod sequence;
pub mod start;
pub mod stop;
mod undo;
pub mod up;
pub mod urls;
pub mod watch;

pub use error::{Leftover, OperationError};
