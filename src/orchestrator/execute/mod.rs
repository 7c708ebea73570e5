//! Carries a plan out, side by side where it can be, and decides nothing.

mod executor;
mod perform;
mod readiness;

pub use executor::{Execution, Outcome, execute};
pub use perform::Product;
pub use readiness::{Verdict, describe_exit, ended_badly, verdict};
