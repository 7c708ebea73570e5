//! The plan: steps, their causes, and what must come before what. Its text is the golden format of the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::engine::container::{ContainerId, ContainerSpec};
use crate::event::{Act, ResourceKind};
use crate::plan::change::Change;
use crate::plan::step::{Cause, Step};

/// A step's place in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub usize);

/// How a step hangs on an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Only if it succeeds.
    Needs,
    /// When it is over, however it ends.
    After,
}

/// What progress says of a step: a replacement is many steps and one act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Report {
    /// The step is an act of its own.
    #[default]
    Own,
    /// The step begins a longer act.
    Opens(Act),
    /// The step is within a longer act.
    Silent,
    /// The step ends a longer act.
    Closes(Act),
}

/// A step, why it is there, and where the Compose file asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedStep {
    /// What to do.
    pub step: Step,
    /// Why.
    pub cause: Cause,
    /// `services.web`
    pub path: Option<String>,
    /// What progress says.
    pub report: Report,
}

/// Something that is as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unchanged {
    /// Kind of thing.
    pub kind: ResourceKind,
    /// Its name.
    pub name: String,
    /// `Running`, `Healthy`, ...
    pub state: String,
    /// A container's id, service and number.
    pub container: Option<(ContainerId, String, u32)>,
}

/// All that is to be done.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    graph: DiGraph<PlannedStep, Order>,
    /// What is left as it is.
    pub unchanged: Vec<Unchanged>,
    /// What the person should know.
    pub warnings: Vec<String>,
    /// Containers that will want host ports that are not theirs yet.
    pub publishes: Vec<(String, ContainerSpec)>,
}

impl Plan {
    /// Adds a step that is an act of its own.
    pub fn add(&mut self, step: Step, cause: Cause, path: Option<String>) -> StepId {
        self.add_reported(step, cause, path, Report::Own)
    }

    /// Adds a step.
    pub fn add_reported(&mut self, step: Step, cause: Cause, path: Option<String>, report: Report) -> StepId {
        StepId(self.graph.add_node(PlannedStep { step, cause, path, report }).index())
    }

    /// Makes `step` wait for `on`, and not run unless it succeeds.
    pub fn needs(&mut self, step: StepId, on: StepId) {
        self.order(step, on, Order::Needs);
    }

    /// Makes `step` wait for `on`, however it ends.
    pub fn after(&mut self, step: StepId, on: StepId) {
        self.order(step, on, Order::After);
    }

    /// Makes `step` wait for `on`; the stricter order of two holds.
    pub fn order(&mut self, step: StepId, on: StepId, order: Order) {
        let (from, to) = (NodeIndex::new(on.0), NodeIndex::new(step.0));
        match self.graph.find_edge(from, to) {
            Some(edge) => {
                if let Some(known) = self.graph.edge_weight_mut(edge) {
                    *known = order.min(*known);
                }
            }
            None => {
                self.graph.add_edge(from, to, order);
            }
        }
    }

    /// Returns a step.
    pub fn step(&self, id: StepId) -> &PlannedStep {
        &self.graph[NodeIndex::new(id.0)]
    }

    /// Returns a step to be changed.
    pub fn step_mut(&mut self, id: StepId) -> &mut PlannedStep {
        &mut self.graph[NodeIndex::new(id.0)]
    }

    /// Returns all steps, in the order in which they were added.
    pub fn ids(&self) -> impl Iterator<Item = StepId> + use<> {
        (0..self.graph.node_count()).map(StepId)
    }

    /// Returns what a step waits for.
    pub fn predecessors(&self, id: StepId) -> Vec<(StepId, Order)> {
        self.neighbours(id, Direction::Incoming)
    }

    /// Returns what waits for a step.
    pub fn successors(&self, id: StepId) -> Vec<(StepId, Order)> {
        self.neighbours(id, Direction::Outgoing)
    }

    fn neighbours(&self, id: StepId, direction: Direction) -> Vec<(StepId, Order)> {
        let edges = self.graph.edges_directed(NodeIndex::new(id.0), direction);
        let mut neighbours: Vec<_> = edges
            .map(|edge| {
                let other = if direction == Direction::Incoming { edge.source() } else { edge.target() };
                (StepId(other.index()), *edge.weight())
            })
            .collect();
        neighbours.sort_unstable();
        neighbours
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.graph.node_count() == 0
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.graph.node_count()
    }

    /// Returns the steps so that each comes after all that it waits for, else as they were added.
    pub fn sorted(&self) -> Vec<StepId> {
        let mut waiting: BTreeMap<StepId, usize> = self.ids().map(|id| (id, self.predecessors(id).len())).collect();
        let mut free: BTreeSet<StepId> = waiting.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
        let mut sorted = Vec::with_capacity(waiting.len());
        while let Some(id) = free.pop_first() {
            sorted.push(id);
            for (next, _) in self.successors(id) {
                if let Some(count) = waiting.get_mut(&next) {
                    *count -= 1;
                    if *count == 0 {
                        free.insert(next);
                    }
                }
            }
        }
        sorted
    }
}

/// `#3 create container web-2 (image changed) after #1, #2`, a line a step.
impl Plan {
    /// Returns a line a step; `place` tells where a change of a service (`services.web`) was written.
    pub fn describe(&self, place: &dyn Fn(&str, &Change) -> Option<String>) -> String {
        let sorted = self.sorted();
        let number: BTreeMap<StepId, usize> = sorted.iter().enumerate().map(|(index, id)| (*id, index + 1)).collect();
        let mut text = String::new();
        for id in &sorted {
            let planned = self.step(*id);
            let cause = match (&planned.cause, &planned.path) {
                (Cause::ServiceChanged(changes), Some(path)) if !changes.is_empty() => {
                    let placed = |change: &Change| match place(path, change) {
                        Some(place) => format!("{change}, {place}"),
                        None => change.to_string(),
                    };
                    changes.iter().map(placed).collect::<Vec<_>>().join("; ")
                }
                (cause, _) => cause.to_string(),
            };
            let _ = write!(text, "#{} {} ({cause})", number[id], planned.step);
            let mut before: Vec<usize> = self.predecessors(*id).iter().map(|(on, _)| number[on]).collect();
            before.sort_unstable();
            for (index, on) in before.into_iter().enumerate() {
                let _ = write!(text, "{}#{on}", if index == 0 { " after " } else { ", " });
            }
            text.push('\n');
        }
        text
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe(&|_, _| None))
    }
}
