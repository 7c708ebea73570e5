//! Understands Compose files: text in, a typed [`Project`] and diagnostics out.
//!
//! Knows no clock, network, environment or async: the caller gives the text, the environment and a
//! [`Reader`] for every other file. See [`load`] for the passes, in order.

pub mod assemble;
pub mod canonical;
pub mod check;
pub mod diagnostic;
pub mod document;
pub mod environment;
pub mod file_system;
pub mod interpolate;
pub mod load;
pub mod model;
pub mod request;
pub mod select;
pub mod source;

pub use diagnostic::{Code, Diagnostic, Label, Severity};
pub use file_system::FileSystem;
pub use load::{Loaded, load};
pub use model::project::Project;
pub use request::{LoadRequest, Passes};
pub use source::{FileId, ReadError, Reader, SourceMap, Span};
