//! The orchestrator on the fake engine: plans as text, and what operations do and say.

mod converging;
mod down;
mod failures;
mod replacing;
mod scaling;
mod sequence;
mod spec;
mod support;
mod up;
