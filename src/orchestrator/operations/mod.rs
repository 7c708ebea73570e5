//! One use case a file: observe, plan, execute.

pub mod build;
pub mod down;
pub mod error;
pub mod exec;
pub mod logs;
pub mod ps;
pub mod restart;
pub mod scope;
pub mod start;
pub mod stop;
pub mod up;

pub use error::{Leftover, OperationError};
