//! Which service waits for which, as a graph: order, neighbours, and a cycle named in full.

use std::collections::{BTreeMap, BTreeSet};

use compose::Project;
use compose::model::service::{Condition, Dependency, Service};
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::engine::error::{EngineError, ErrorKind};
use crate::event::Failure;

/// Services and what they depend on; an edge runs from the dependant to the dependency.
#[derive(Debug, Clone, Default)]
pub struct ServiceGraph {
    graph: DiGraph<String, Dependency>,
    nodes: BTreeMap<String, NodeIndex>,
}

/// Services that wait for each other; the first is named again at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle(pub Vec<String>);

impl From<Cycle> for Failure {
    fn from(cycle: Cycle) -> Self {
        let path = match cycle.0.as_slice() {
            [first, second, ..] => Some(format!("services.{first}.depends_on.{second}")),
            _ => None,
        };
        let error = EngineError::new(ErrorKind::Conflict, "depends_on", cycle.to_string())
            .hint("take one of these dependencies out: a service can't wait for one that waits for it");
        Failure::new(error, path)
    }
}

impl std::fmt::Display for Cycle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "dependency cycle: {}", self.0.join(" -> "))
    }
}

impl ServiceGraph {
    /// Makes the graph of a project's enabled services.
    pub fn of(project: &Project) -> Result<Self, Cycle> {
        Self::from_dependencies(project.services.iter().map(|(name, service)| (name.clone(), dependencies_of(service))))
    }

    /// Makes a graph from each service's dependencies; those on services that are not there are left out.
    pub fn from_dependencies(
        services: impl IntoIterator<Item = (String, BTreeMap<String, Dependency>)>,
    ) -> Result<Self, Cycle> {
        let services: BTreeMap<_, _> = services.into_iter().collect();
        let mut this = Self::default();
        for name in services.keys() {
            this.nodes.insert(name.clone(), this.graph.add_node(name.clone()));
        }
        for (name, dependencies) in services {
            for (on, dependency) in dependencies {
                if let (Some(from), Some(to)) = (this.nodes.get(&name), this.nodes.get(&on)) {
                    this.graph.add_edge(*from, *to, dependency);
                }
            }
        }
        match this.cycle() {
            Some(cycle) => Err(cycle),
            None => Ok(this),
        }
    }

    /// Returns the services, dependencies first, else by name.
    pub fn order(&self) -> Vec<String> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for name in self.nodes.keys() {
            self.visit(name, &mut seen, &mut order);
        }
        order
    }

    fn visit(&self, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<String>) {
        if seen.insert(name.to_owned()) {
            for (on, _) in self.dependencies(name) {
                self.visit(&on, seen, order);
            }
            order.push(name.to_owned());
        }
    }

    /// Returns what `service` depends on, by name.
    pub fn dependencies(&self, service: &str) -> BTreeMap<String, Dependency> {
        self.neighbours(service, Direction::Outgoing)
    }

    /// Returns what depends on `service`, by name.
    pub fn dependants(&self, service: &str) -> BTreeMap<String, Dependency> {
        self.neighbours(service, Direction::Incoming)
    }

    fn neighbours(&self, service: &str, direction: Direction) -> BTreeMap<String, Dependency> {
        let Some(node) = self.nodes.get(service) else { return BTreeMap::new() };
        self.graph
            .edges_directed(*node, direction)
            .map(|edge| {
                let other = if direction == Direction::Outgoing { edge.target() } else { edge.source() };
                (self.graph[other].clone(), edge.weight().clone())
            })
            .collect()
    }

    /// Returns `services` and all that they depend on, near and far.
    pub fn with_dependencies(&self, services: &BTreeSet<String>) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut order = Vec::new();
        for name in services {
            self.visit(name, &mut seen, &mut order);
        }
        seen
    }

    fn cycle(&self) -> Option<Cycle> {
        let mut done = BTreeSet::new();
        self.nodes.keys().find_map(|name| self.cycle_from(name, &mut Vec::new(), &mut done))
    }

    fn cycle_from(&self, name: &str, trail: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<Cycle> {
        if let Some(start) = trail.iter().position(|seen| seen == name) {
            let mut cycle = trail[start..].to_vec();
            cycle.push(name.to_owned());
            return Some(Cycle(cycle));
        }
        if !done.insert(name.to_owned()) {
            return None;
        }
        trail.push(name.to_owned());
        let found = self.dependencies(name).keys().find_map(|on| self.cycle_from(on, trail, done));
        trail.pop();
        found
    }
}

/// Returns what a service waits for: `depends_on`, and the services whose namespaces, volumes or names it uses.
pub fn dependencies_of(service: &Service) -> BTreeMap<String, Dependency> {
    let mut dependencies = service.depends_on.clone();
    let mut imply = |name: &str, restart: bool| {
        dependencies.entry(name.to_owned()).or_insert(Dependency {
            condition: Condition::Started,
            restart,
            required: true,
        });
    };
    for mode in [&service.network_mode, &service.ipc, &service.pid].into_iter().flatten() {
        if let Some(name) = mode.strip_prefix("service:") {
            imply(name, true);
        }
    }
    for link in &service.links {
        imply(link.split(':').next().unwrap_or(link), true);
    }
    for from in &service.volumes_from {
        if !from.starts_with("container:") {
            imply(from.split(':').next().unwrap_or(from), false);
        }
    }
    dependencies
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> Result<ServiceGraph, Cycle> {
        let dependency = Dependency { condition: Condition::Started, restart: false, required: true };
        ServiceGraph::from_dependencies(edges.iter().map(|(name, on)| {
            ((*name).to_owned(), on.iter().map(|on| ((*on).to_owned(), dependency.clone())).collect())
        }))
    }

    #[test]
    fn a_cycle_is_named_in_full() {
        let cycle = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("z", &["a"])]).unwrap_err();
        assert_eq!(cycle.to_string(), "dependency cycle: a -> b -> c -> a");
        assert_eq!(Failure::from(cycle).path.as_deref(), Some("services.a.depends_on.b"));
    }

    #[test]
    fn what_leads_to_a_cycle_is_not_part_of_it() {
        let cycle = graph(&[("a", &["m"]), ("m", &["n"]), ("n", &["m"])]).unwrap_err();
        assert_eq!(cycle.to_string(), "dependency cycle: m -> n -> m");
        let own = graph(&[("a", &["a"])]).unwrap_err();
        assert_eq!(own.to_string(), "dependency cycle: a -> a");
    }

    #[test]
    fn dependencies_come_first() {
        let graph = graph(&[("api", &["db", "cache"]), ("cache", &[]), ("db", &[]), ("web", &["api"])]).unwrap();
        assert_eq!(graph.order(), ["cache", "db", "api", "web"]);
        assert_eq!(graph.with_dependencies(&["api".to_owned()].into()).len(), 3);
        assert_eq!(graph.dependants("db").into_keys().collect::<Vec<_>>(), ["api"]);
    }
}
