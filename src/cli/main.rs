//! The motet binary: hidden re-executions first, then the command line.

mod args;
mod error;
mod print;

fn main() {}
