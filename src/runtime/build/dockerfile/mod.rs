//! A Dockerfile's text to instructions with spans.

pub mod arguments;
pub mod decode;
pub mod expand;
pub mod flags;
pub mod instruction;
pub mod lexer;
pub mod mount;
pub mod parser;
pub mod pattern;
#[cfg(test)]
mod tests;
