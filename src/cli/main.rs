//! The motet binary: hidden re-executions first, then the command line.

fn main() {}
