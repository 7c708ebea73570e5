//! `container ls`: containers of the engine, those of projects too.

use std::time::SystemTime;

use orchestrator::engine::container::{ContainerState, ContainerSummary, Health};
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::acts::rows::{JsonShape, print};
use crate::commands::ps::{command_line, mounts, ports, state_word};
use crate::error::{CommandError, Kind};
use crate::print::age;
use crate::print::table::fit;
use crate::print::template::Format;

/// List containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Stopped containers too
    #[arg(short, long)]
    all: bool,

    /// Only those: `name=TEXT`, `label=KEY[=VALUE]`, `status=STATE`, `id=..`, `ancestor=IMAGE`, `network=..`, ..
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,

    /// `table`, `json`, or a template such as `{{.Names}}`
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse, hide_default_value = true)]
    format: Format,

    /// The N made last, whatever their state
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value = "-1",
        hide_default_value = true
    )]
    last: i64,

    /// The one made last
    #[arg(short, long)]
    latest: bool,

    /// Print whole ids and commands
    #[arg(long)]
    no_trunc: bool,

    /// Only the ids
    #[arg(short, long)]
    quiet: bool,

    // The size of what a container has written is not counted ahead.
    #[arg(short, long, hide = true)]
    size: bool,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), CommandError> {
    let filters = Filters::parse(&args.filter).map_err(|why| CommandError::new(Kind::Usage, why))?;
    let mut containers = app.engine()?.list_containers(&[]).await?;
    containers.sort_by_key(|container| std::cmp::Reverse(container.created));
    filters.keep_by_age(&mut containers)?;
    let last = if args.latest { 1 } else { args.last };
    if !args.all && last < 0 && !filters.names_state() {
        containers.retain(|container| container.state.is_up());
    }
    containers.retain(|container| filters.contain(container));
    if let Ok(last) = usize::try_from(last) {
        containers.truncate(last);
    }
    if args.quiet {
        let id = |id: &str| if args.no_trunc { id.to_owned() } else { id.chars().take(12).collect() };
        containers.iter().for_each(|container| app.printer.data(&id(&container.id.0)));
        return Ok(());
    }
    let now = SystemTime::now();
    let rows: Vec<Value> = containers.iter().map(|container| row(container, now, args.no_trunc)).collect();
    const COLUMNS: [(&str, &str); 7] = [
        ("CONTAINER ID", "ID"),
        ("IMAGE", "Image"),
        ("COMMAND", "Command"),
        ("CREATED", "RunningFor"),
        ("STATUS", "Status"),
        ("PORTS", "Ports"),
        ("NAMES", "Names"),
    ];
    print(app, &args.format, &rows, &COLUMNS, JsonShape::Lines)
}

/// Returns the row with the fields that Docker has, in its order.
fn row(container: &ContainerSummary, now: SystemTime, whole: bool) -> Value {
    let command = command_line(container);
    let labels: Vec<String> = container.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let networks: Vec<&str> = container.networks.keys().map(String::as_str).collect();
    json!({
        "Command": if whole { command } else { fit(&command, 22) },
        "CreatedAt": age::go_time(container.created),
        "ID": if whole { container.id.0.clone() } else { container.id.0.chars().take(12).collect() },
        "Image": container.image,
        "Labels": labels.join(","),
        "LocalVolumes": container.volumes.len().to_string(),
        "Mounts": mounts(container, whole),
        "Names": container.name,
        "Networks": networks.join(","),
        "Ports": ports(container),
        "RunningFor": age::ago(container.created, now),
        "Size": "0B",
        "State": state_word(&container.state),
        "Status": age::status(&container.state, now),
    })
}

/// What a container must be to be meant: of each key one of its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filters(Vec<(String, String)>);

impl Filters {
    /// Reads `KEY=VALUE`s.
    pub(crate) fn parse(given: &[String]) -> Result<Self, String> {
        const KNOWN: [&str; 13] = [
            "id", "name", "label", "status", "health", "ancestor", "network", "volume", "exited", "publish", "expose",
            "before", "since",
        ];
        let pair = |text: &String| match text.split_once('=') {
            Some((key, value)) if KNOWN.contains(&key) => Ok((key.to_owned(), value.to_owned())),
            Some((key, _)) => Err(format!("there is no filter `{key}`; there are {}", KNOWN.join(", "))),
            None => Err(format!("`{text}` is no filter; write `KEY=VALUE`")),
        };
        given.iter().map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// Says whether a state is asked for.
    fn names_state(&self) -> bool {
        self.0.iter().any(|(key, _)| matches!(key.as_str(), "status" | "exited"))
    }

    /// Keeps those that were made before, or after, the one that a filter names.
    fn keep_by_age(&self, containers: &mut Vec<ContainerSummary>) -> Result<(), CommandError> {
        for (key, value) in self.0.iter().filter(|(key, _)| matches!(key.as_str(), "before" | "since")) {
            let is_named =
                |container: &&ContainerSummary| container.name == *value || container.id.0.starts_with(value);
            let Some(created) = containers.iter().find(is_named).map(|container| container.created) else {
                return Err(CommandError::new(Kind::Failed, format!("there is no container `{value}`")));
            };
            let is_before = key == "before";
            containers.retain(|it| if is_before { it.created < created } else { it.created > created });
        }
        Ok(())
    }

    /// Says whether a container is meant.
    pub(crate) fn contain(&self, container: &ContainerSummary) -> bool {
        let satisfied = |(key, value): &(String, String)| matches(container, key, value);
        self.0.iter().all(|filter| match filter.0.as_str() {
            // Every label must be there; of other keys one value is enough.
            "label" => satisfied(filter),
            key => self.0.iter().filter(|other| other.0 == key).any(satisfied),
        })
    }
}

fn matches(container: &ContainerSummary, key: &str, value: &str) -> bool {
    match key {
        "id" => container.id.0.starts_with(value),
        "name" => match value.strip_prefix('^') {
            Some(exact) => container.name.starts_with(exact.trim_start_matches('/').trim_end_matches('$')),
            None => container.name.contains(value.trim_start_matches('/')),
        },
        "label" => match value.split_once('=') {
            Some((key, value)) => container.labels.get(key).is_some_and(|it| it == value),
            None => container.labels.contains_key(value),
        },
        "status" => state_word(&container.state) == value,
        "health" => health(&container.state) == value,
        "ancestor" => {
            let latest = format!("{value}:latest");
            container.image == value || container.image == latest || container.image_id.contains(value)
        }
        "network" => container.networks.contains_key(value),
        "volume" => container.volumes.iter().any(|(target, name)| target == value || name == value),
        "exited" => {
            matches!(container.state, ContainerState::Exited { exit_code, .. } if exit_code.to_string() == value)
        }
        // These have been applied to all of them at once.
        "before" | "since" => true,
        "expose" => {
            let wanted = value.split_once('/').map_or(value, |(port, _)| port);
            container.ports.iter().any(|port| port.container_port.to_string() == wanted)
        }
        "publish" => container.ports.iter().any(|port| port.host.is_some_and(|(_, port)| port.to_string() == value)),
        _ => false,
    }
}

fn health(state: &ContainerState) -> &'static str {
    match state {
        ContainerState::Running { health: Some(health), .. } => match health {
            Health::Starting => "starting",
            Health::Healthy => "healthy",
            Health::Unhealthy { .. } => "unhealthy",
        },
        _ => "none",
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::ps::tests::container;

    use super::*;

    #[test]
    fn one_value_of_each_key_must_hold_and_every_label() {
        let mut it = container(&[]);
        it.labels = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())].into();
        let filters = |given: &[&str]| {
            Filters::parse(&given.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap().contain(&it)
        };
        assert!(filters(&["name=web", "status=running", "status=exited"]));
        assert!(filters(&["label=a", "label=b=2", "id=0123"]));
        assert!(!filters(&["label=a", "label=c"]));
        assert!(!filters(&["status=exited"]));
        assert!(Filters::parse(&["colour=red".to_owned()]).unwrap_err().contains("no filter `colour`"));
    }
}
