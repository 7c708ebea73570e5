//! `up`: brings the services up, and stays with them unless told to leave.

pub(crate) mod attached;
pub(crate) mod choice;
pub(crate) mod menu;
pub(crate) mod run;

pub(crate) use choice::Making;
pub(crate) use run::{Args, run};
