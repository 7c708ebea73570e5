//! A Dockerfile's text to instructions with spans.
pub mod expand;
pub mod instruction;
pub mod lexer;
pub mod parser;
