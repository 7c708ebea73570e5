//! Carries a plan out, side by side where it can be, and decides nothing.

mod executor;
mod hooks;
mod model_runner;
mod perform;
mod pre_start;
mod programs;
mod provider;
mod readiness;
mod taken;

pub use executor::{Execution, Outcome, execute};
pub use perform::Product;
pub use provider::Variables;
pub use readiness::{Verdict, describe_exit, ended_badly, verdict};
