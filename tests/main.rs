//! The black-box suite: one binary, everything through the program as people use it.
//!
//! A scenario asserts state, not output, never sleeps, and cleans up after itself. What a host lacks (root,
//! overlayfs, nf_tables) is named and the scenario skipped.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that can't go on fails, and says what it skips")]
#![expect(clippy::disallowed_methods, reason = "the suite runs the program in environments of its own making")]

mod support {
    //! The vocabulary of scenarios.
    pub mod checks;
    pub mod dockerd;
    pub mod engines;
    pub mod host;
    pub mod image;
    pub mod leaks;
    pub mod program;
    pub mod pty;
    pub mod registry;
}

mod scenarios {
    //! One file a command or a promise.
    pub mod attributes;
    pub mod build;
    pub mod builder;
    pub mod building;
    pub mod config;
    pub mod container;
    pub mod copies;
    pub mod crash;
    pub mod docker;
    pub mod docker_faults;
    pub mod down;
    pub mod drop_in;
    pub mod environment;
    pub mod exec;
    pub mod following;
    pub mod habits;
    pub mod hooks;
    pub mod images;
    pub mod inside;
    pub mod killed;
    pub mod lifecycle;
    pub mod logs;
    pub mod menu;
    pub mod mistakes;
    pub mod network;
    pub mod outside;
    pub mod plan;
    pub mod probe;
    pub mod proxy;
    pub mod publish;
    pub mod resources;
    pub mod restart;
    pub mod run;
    pub mod selection;
    pub mod soak;
    pub mod tables;
    pub mod up;
    pub mod watch;
    pub mod watching;
    pub mod wrong_input;
}

mod benches;
mod cli_help;
mod examples;
mod readme;
mod tidy;
