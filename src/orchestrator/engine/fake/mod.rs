//! An in-memory engine for tests: containers do what the test says, and every change is written down.

mod engine;
mod store;

pub use engine::FakeEngine;
pub use store::Behaviour;
