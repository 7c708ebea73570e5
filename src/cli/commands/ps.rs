//! `ps`: what the project has, running or not.

use std::collections::BTreeMap;
use std::time::SystemTime;

use orchestrator::engine::container::{ContainerState, ContainerSummary, Health, OpenPort};
use orchestrator::identity;
use orchestrator::operations::ps::{Replica, list};
use orchestrator::operations::scope::Scope;
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::services;
use crate::error::{CommandError, Kind};
use crate::print::age;
use crate::print::printer::Stream;
use crate::print::table::{Table, fit};
use crate::print::template::Format;

/// Characters of the COMMAND column.
const COMMAND_WIDTH: usize = 22;
/// Characters of a name in the list of what is mounted.
const MOUNT_WIDTH: usize = 15;

/// List the containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Stopped containers too
    #[arg(short, long)]
    all: bool,

    /// Only the ids
    #[arg(short, long)]
    quiet: bool,

    /// Only the names of the services
    #[arg(long)]
    services: bool,

    /// `table`, `json`, or a template such as `{{.Name}}`
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse, hide_default_value = true)]
    format: Format,

    /// Only containers in this state; may be given more than once
    #[arg(long, value_name = "STATE", value_parser = ["created", "running", "paused", "restarting", "removing", "exited", "dead"])]
    status: Vec<String>,

    /// Same as `--status`, as `status=STATE`
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Option<String>,

    /// Print whole ids and commands
    #[arg(long)]
    no_trunc: bool,

    /// Containers of services that the file no longer has
    #[arg(long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    orphans: bool,

    /// Only these services
    #[arg(value_name = "SERVICE")]
    names: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    if let Some(loaded) = &target.loaded {
        services::check(&args.names, &loaded.project)?;
    }
    let mut states = args.status.clone();
    if let Some(filter) = &args.filter {
        match filter.split_once('=') {
            Some(("status", state)) => states.push(state.to_owned()),
            _ => {
                return Err(CommandError::new(
                    Kind::Usage,
                    format!("unknown filter `{filter}`; write `status=running`"),
                ));
            }
        }
    }
    let scope = Scope { services: args.names.clone(), index: None, one_offs: args.all };
    let replicas = list(app.engine()?, &target.name, &scope).await?;
    let is_orphan = |replica: &Replica| {
        target.loaded.as_ref().is_some_and(|loaded| !loaded.project.services.contains_key(&replica.service))
    };
    let mut shown: Vec<Replica> = replicas
        .into_iter()
        .filter(|replica| is_wanted(replica, args.all, &states) && (args.orphans || !is_orphan(replica)))
        .collect();
    shown.sort_by(|a, b| a.container.name.cmp(&b.container.name));
    print(&args, app, &target.name, &shown)
}

fn is_wanted(replica: &Replica, all: bool, states: &[String]) -> bool {
    let state = state_word(&replica.container.state);
    if states.is_empty() {
        all || matches!(state, "running" | "paused" | "restarting")
    } else {
        states.iter().any(|wanted| wanted == state)
    }
}

fn print(args: &Args, app: &App, project: &str, shown: &[Replica]) -> Result<(), CommandError> {
    let now = SystemTime::now();
    if args.quiet {
        shown.iter().for_each(|replica| app.printer.data(&replica.container.id.0));
        return Ok(());
    }
    if args.services {
        let mut names: Vec<&str> = shown.iter().map(|replica| replica.service.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().for_each(|name| app.printer.data(name));
        return Ok(());
    }
    let rows: Vec<Value> = shown.iter().map(|replica| row(replica, project, now, args.no_trunc)).collect();
    let width = app.printer.width(Stream::Out);
    match &args.format {
        Format::Json => rows.iter().for_each(|row| app.printer.data(&row.to_string())),
        Format::Table => {
            let mut table = Table::new(&["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]);
            for row in &rows {
                let cell = |name: &str| row[name].as_str().unwrap_or("").to_owned();
                table.row(["Name", "Image", "Command", "Service", "RunningFor", "Status", "Ports"].map(cell));
            }
            table.leave_out(&["COMMAND", "CREATED", "IMAGE", "SERVICE"], width);
            app.printer.write(Stream::Out, table.render(width).as_bytes());
        }
        template @ Format::Template { .. } => {
            let text = template.apply(&rows, width).unwrap_or_else(|| Ok(String::new()));
            app.printer.write(Stream::Out, text.map_err(|why| CommandError::new(Kind::Usage, why))?.as_bytes());
        }
    }
    Ok(())
}

/// Returns the row with the fields that Docker Compose has, in its order.
fn row(replica: &Replica, project: &str, now: SystemTime, whole: bool) -> Value {
    let container = &replica.container;
    let command = command_line(container);
    // That one is a document, for ourselves.
    let told = container.labels.iter().filter(|(key, _)| *key != identity::MADE_FROM);
    let labels: Vec<String> = told.map(|(key, value)| format!("{key}={value}")).collect();
    let networks: Vec<&str> = container.networks.keys().map(String::as_str).collect();
    json!({
        "Command": if whole { command } else { fit(&command, COMMAND_WIDTH) },
        "CreatedAt": age::go_time(container.created),
        "ExitCode": exit_code(&container.state),
        "Health": health_word(&container.state),
        "ID": if whole { container.id.0.clone() } else { container.id.0.chars().take(12).collect() },
        "Image": container.image,
        "Labels": labels.join(","),
        "LocalVolumes": container.volumes.len().to_string(),
        "Mounts": mounts(container, whole),
        "Name": container.name,
        "Names": container.name,
        "Networks": networks.join(","),
        "Ports": ports(container),
        "Project": project,
        "Publishers": publishers(container),
        "RunningFor": age::ago(container.created, now),
        "Service": replica.service,
        "Size": "0B",
        "State": state_word(&container.state),
        "Status": age::status(&container.state, now),
    })
}

/// Returns the program with its arguments as Docker shows them: those with a blank in them in quotes.
pub(crate) fn command_line(container: &ContainerSummary) -> String {
    let word = |(index, word): (usize, &String)| match index > 0 && word.contains(' ') {
        true => format!("'{word}'"),
        false => word.clone(),
    };
    let words: Vec<String> = container.command.iter().enumerate().map(word).collect();
    format!("{:?}", words.join(" "))
}

/// Returns what is mounted, in the order of where: names of volumes and paths of the host.
pub(crate) fn mounts(container: &ContainerSummary, whole: bool) -> String {
    let all: BTreeMap<&String, &String> = container.volumes.iter().chain(&container.binds).collect();
    let names: Vec<String> =
        all.into_values().map(|name| if whole { name.clone() } else { fit(name, MOUNT_WIDTH) }).collect();
    names.join(",")
}

fn exit_code(state: &ContainerState) -> i32 {
    match state {
        ContainerState::Exited { exit_code, .. } | ContainerState::Restarting { exit_code, .. } => *exit_code,
        ContainerState::Created
        | ContainerState::Running { .. }
        | ContainerState::Paused { .. }
        | ContainerState::Dead { .. }
        | ContainerState::Removed => 0,
    }
}

fn health_word(state: &ContainerState) -> &'static str {
    match state {
        ContainerState::Running { health: Some(health), .. } => match health {
            Health::Starting => "starting",
            Health::Healthy => "healthy",
            Health::Unhealthy { .. } => "unhealthy",
        },
        ContainerState::Running { health: None, .. }
        | ContainerState::Created
        | ContainerState::Paused { .. }
        | ContainerState::Restarting { .. }
        | ContainerState::Exited { .. }
        | ContainerState::Dead { .. }
        | ContainerState::Removed => "",
    }
}

/// Returns the state in Docker's word.
pub(crate) fn state_word(state: &ContainerState) -> &'static str {
    match state {
        ContainerState::Created => "created",
        ContainerState::Running { .. } => "running",
        ContainerState::Paused { .. } => "paused",
        ContainerState::Restarting { .. } => "restarting",
        ContainerState::Exited { .. } => "exited",
        ContainerState::Dead { .. } => "dead",
        ContainerState::Removed => "removing",
    }
}

/// Returns `0.0.0.0:5000->5000/tcp, 9000/tcp`.
pub(crate) fn ports(container: &ContainerSummary) -> String {
    let text = |port: &OpenPort| match port.host {
        Some((address, host_port)) => {
            let host = std::net::SocketAddr::new(address, host_port);
            format!("{host}->{}/{}", port.container_port, port.protocol)
        }
        None => format!("{}/{}", port.container_port, port.protocol),
    };
    let texts: Vec<String> = container.ports.iter().map(text).collect();
    texts.join(", ")
}

fn publishers(container: &ContainerSummary) -> Vec<Value> {
    let publisher = |port: &OpenPort| {
        let (url, published) = match port.host {
            Some((address, host_port)) => (address.to_string(), host_port),
            None => (String::new(), 0),
        };
        json!({ "URL": url, "TargetPort": port.container_port, "PublishedPort": published, "Protocol": port.protocol })
    };
    container.ports.iter().map(publisher).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use orchestrator::engine::container::ContainerId;

    use super::*;

    /// A running container with these ports: host side, container port, protocol.
    pub(crate) fn container(ports: &[(Option<&str>, u16, &str)]) -> ContainerSummary {
        let open = |(host, container_port, protocol): &(Option<&str>, u16, &str)| OpenPort {
            host: host.map(|text| text.parse::<std::net::SocketAddr>().map(|host| (host.ip(), host.port())).unwrap()),
            container_port: *container_port,
            protocol: (*protocol).to_owned(),
        };
        ContainerSummary {
            id: ContainerId("0123456789abcdef".into()),
            name: "shop-web-1".into(),
            image: "shop-web".into(),
            image_id: "sha256:1".into(),
            labels: BTreeMap::new(),
            state: ContainerState::Running { since: UNIX_EPOCH, health: None },
            created: UNIX_EPOCH,
            command: vec!["python".into(), "app.py".into()],
            ports: ports.iter().map(open).collect(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            anonymous_volumes: Vec::new(),
            binds: BTreeMap::new(),
        }
    }

    fn replica() -> Replica {
        let container = container(&[(Some("0.0.0.0:5000"), 5000, "tcp"), (None, 9000, "udp")]);
        Replica { service: "web".into(), number: 1, one_off: false, container }
    }

    #[test]
    fn a_row_has_docker_composes_fields() {
        let row = row(&replica(), "shop", UNIX_EPOCH + Duration::from_secs(5), false);
        assert_eq!(row["Ports"], "0.0.0.0:5000->5000/tcp, 9000/udp");
        assert_eq!(row["Publishers"][0]["PublishedPort"], 5000);
        assert_eq!(row["Publishers"][1], json!({"URL": "", "TargetPort": 9000, "PublishedPort": 0, "Protocol": "udp"}));
        assert_eq!(
            (&row["ID"], &row["State"], &row["Status"]),
            (&json!("0123456789ab"), &json!("running"), &json!("Up 5 seconds"))
        );
        assert_eq!(row["Command"], "\"python app.py\"");
    }

    #[test]
    fn what_has_ended_is_shown_only_when_asked_for() {
        let mut replica = replica();
        replica.container.state = ContainerState::Exited { exit_code: 3, at: UNIX_EPOCH, out_of_memory: false };
        assert!(!is_wanted(&replica, false, &[]));
        assert!(is_wanted(&replica, true, &[]));
        assert!(is_wanted(&replica, false, &["exited".into()]));
        assert!(!is_wanted(&replica, true, &["running".into()]));
    }
}
