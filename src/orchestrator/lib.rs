//! Decides what must change to make the engine match a project, then does it.
//!
//! Desired and observed state make a plan (pure), the plan is executed on an [`engine::Engine`].

pub mod desired;
pub mod engine;
pub mod event;
pub mod execute;
pub mod graph;
pub mod identity;
pub mod observed;
pub mod operations;
pub mod plan;
