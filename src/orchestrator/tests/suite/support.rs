//! Small projects, a fake engine, and checks on plans and acts.

use std::collections::BTreeMap;
use std::sync::Arc;

use compose::Project;
use compose::model::healthcheck::Healthcheck;
use compose::model::mount::Mount;
use compose::model::network::Network;
use compose::model::port::Port;
use compose::model::service::{Attachment, Condition, Dependency, Service};
use compose::model::volume::Volume;
use expect_test::Expect;
use orchestrator::engine::Engine;
use orchestrator::engine::fake::FakeEngine;
use orchestrator::event::Event;
use orchestrator::operations::OperationError;
use orchestrator::operations::down::{DownOptions, down};
use orchestrator::operations::up::{UpOptions, UpReport, dry_run, up};
use tokio::sync::mpsc;

/// Returns a service that runs `image` on the default network.
pub fn service(name: &str, image: &str) -> Service {
    Service {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        replicas: 1,
        networks: [("default".to_owned(), Attachment::default())].into(),
        ..Service::default()
    }
}

/// Adds an entry of `depends_on`.
pub fn after(mut service: Service, name: &str, condition: Condition) -> Service {
    let dependency = Dependency { condition, restart: false, required: true };
    service.depends_on.insert(name.to_owned(), dependency);
    service
}

/// Adds a health check.
pub fn checked(mut service: Service) -> Service {
    service.healthcheck =
        Some(Healthcheck { test: Some(vec!["CMD".to_owned(), "true".to_owned()]), ..Healthcheck::default() });
    service
}

/// Publishes a container port on a host port.
pub fn published(mut service: Service, host: u16, container: u16) -> Service {
    service.ports.push(Port {
        target: container,
        published: Some(host.to_string()),
        protocol: "tcp".to_owned(),
        ..Port::default()
    });
    service
}

/// Mounts the named volume `key`.
pub fn with_volume(mut service: Service, key: &str, target: &str) -> Service {
    let source = Some(key.to_owned());
    service.mounts.push(Mount { source, target: target.to_owned(), ..Mount::default() });
    service
}

/// Makes project `shop` of services; networks and volumes are those that they use.
pub fn project(services: impl IntoIterator<Item = Service>) -> Project {
    let mut project = Project { name: "shop".to_owned(), directory: "/shop".into(), ..Project::default() };
    for service in services {
        for key in service.networks.keys() {
            let network = Network { name: format!("shop_{key}"), ..Network::default() };
            project.networks.insert(key.clone(), network);
        }
        for key in service.mounts.iter().filter_map(|mount| mount.source.clone()) {
            let volume = Volume { name: format!("shop_{key}"), ..Volume::default() };
            project.volumes.insert(key, volume);
        }
        project.services.insert(service.name.clone(), service);
    }
    canonical(&mut project);
    project
}

/// Fills in what hashes are made of.
pub fn canonical(project: &mut Project) {
    let services: serde_json::Map<_, _> = project
        .services
        .iter()
        .map(|(name, service)| {
            let hashed = Service { depends_on: BTreeMap::new(), replicas: 1, build: None, ..service.clone() };
            (name.clone(), serde_json::json!({ "text": format!("{hashed:?}") }))
        })
        .collect();
    let networks: serde_json::Map<_, _> = project
        .networks
        .iter()
        .map(|(name, network)| (name.clone(), serde_json::json!({ "text": format!("{network:?}") })))
        .collect();
    project.canonical = serde_json::json!({ "name": "shop", "services": services, "networks": networks });
}

/// An engine and what it is asked to do.
pub struct Bench {
    /// The engine.
    pub engine: Arc<FakeEngine>,
}

impl Bench {
    /// Makes an empty engine that has the images of `project`.
    pub fn new(project: &Project) -> Self {
        let engine = Arc::new(FakeEngine::new());
        for image in project.services.values().filter(|service| service.build.is_none()).filter_map(|s| s.image.clone())
        {
            engine.set_image(&image, &format!("sha256:{image}"), &[]);
        }
        Self { engine }
    }

    /// Returns the engine as operations take it.
    pub fn dyn_engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.engine) as Arc<dyn Engine>
    }

    /// Brings `project` up; it must succeed.
    pub async fn up(&self, project: &Project, options: &UpOptions) -> UpReport {
        self.try_up(project, options).await.0.expect("the project comes up")
    }

    /// Brings `project` up; returns what came of it, and the events.
    pub async fn try_up(
        &self,
        project: &Project,
        options: &UpOptions,
    ) -> (Result<UpReport, OperationError>, Vec<Event>) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let result = up(self.dyn_engine(), project, options, sender).await;
        let mut events = Vec::new();
        while let Some(event) = receiver.recv().await {
            events.push(event);
        }
        (result, events)
    }

    /// Checks the plan of `up`.
    pub async fn plan(&self, project: &Project, options: &UpOptions, expected: Expect) {
        let text = dry_run(self.dyn_engine(), project, options).await.unwrap_or_else(|error| error_text(&error));
        expected.assert_eq(&text);
    }

    /// Takes the project down.
    pub async fn down(&self, project: Option<&Project>, options: &DownOptions) {
        let (sender, _receiver) = mpsc::unbounded_channel();
        down(self.dyn_engine(), "shop", project, options, sender).await.expect("the project goes down");
    }

    /// Checks what there is.
    pub fn state(&self, expected: Expect) {
        expected.assert_eq(&lines(&self.engine.state()));
    }

    /// Checks the acts since the last check.
    pub fn acts(&self, expected: Expect) {
        expected.assert_eq(&lines(&self.engine.take_log()));
    }
}

fn lines(lines: &[String]) -> String {
    if lines.is_empty() { "nothing\n".to_owned() } else { lines.join("\n") + "\n" }
}

/// Returns everything that an error says.
pub fn error_text(error: &OperationError) -> String {
    let mut text = String::new();
    for failure in &error.failures {
        text.push_str(&format!("error: {}\n", failure.error.message));
        let mut line = |name: &str, value: String| text.push_str(&format!("  {name}: {value}\n"));
        if let Some(path) = &failure.path {
            line("path", path.clone());
        }
        if !failure.blocked.is_empty() {
            line("blocked", failure.blocked.join(", "));
        }
        for output in &failure.error.output {
            line("output", output.clone());
        }
        for hint in &failure.error.hints {
            line("hint", hint.clone());
        }
    }
    for leftover in &error.left_behind {
        text.push_str(&format!("left: {:?} {} {}\n", leftover.kind, leftover.name, leftover.state));
    }
    text
}
