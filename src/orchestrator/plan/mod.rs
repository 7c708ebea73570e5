//! Decides what to do, as data: desired and observed state in, a graph of steps with their causes out. No I/O.

#[expect(clippy::module_inception, reason = "the noun of this room is the plan itself")]
mod plan;
mod step;

mod change;
mod containers;
mod divergence;
mod images;
mod networks;
mod options;
mod orphans;
mod ports;
mod pre_start;
mod providers;
mod removal;
mod replicas;
mod sequence;
mod up;
mod volumes;
mod waits;

pub use change::Change;
pub use containers::state_word;
pub use images::{ImageAction, image_actions, propose_images};
pub use options::{BuildChoice, PullChoice, UpOptions};
pub use plan::{Order, Plan, PlannedStep, Report, StepId, Unchanged};
pub use providers::{propose_provisions, provisions};
pub use removal::{DownOptions, RemoveImages, Unwanted, plan_down, plan_undo};
pub use sequence::{Sequence, plan_sequence};
pub use step::{
    Cause, ContainerRef, ContainerSource, Moment, NewContainer, PreStartRun, ProviderCall, Step, Wait, WaitStep,
};
pub use up::{Scope, matches_pattern, plan_up, scope_of, targets_of};
