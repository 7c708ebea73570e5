//! `exec`: runs a program in a running container.

pub(crate) mod run;

pub(crate) use run::{Args, run};
