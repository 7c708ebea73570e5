//! Understands Compose files: text in, a typed [`Project`] and diagnostics out.
//!
//! Knows no clock, network, environment or async: the caller gives the text, the environment and a
//! [`Reader`] for every other file. See `load` for the passes, in order.

pub mod diagnostic;
pub mod model;
pub mod source;

pub use diagnostic::{Code, Diagnostic, Label, Severity};
pub use model::project::Project;
pub use source::{FileId, ReadError, Reader, SourceMap, Span};
