//! Host ports that are taken, before anything is created.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, TcpListener};

use orchestrator::engine::container::{ContainerSpec, PortBinding};
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::identity;
use serde_json::Value;

use crate::docker::client::Client;
use crate::docker::place::Place;

/// A port that is open.
struct Open {
    address: IpAddr,
    port: u16,
    protocol: String,
    holder: String,
    project: Option<String>,
}

/// Says which of the wanted ports are taken, and by whom.
pub(crate) async fn check(client: &Client, specs: &[ContainerSpec]) -> Vec<EngineError> {
    let wanted: Vec<&PortBinding> =
        specs.iter().flat_map(|spec| &spec.ports).filter(|port| port.host_ports.is_some()).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let rows = match client.get("/containers/json").await {
        Ok(rows) => rows,
        Err(fault) => return vec![fault.at("look for", "host ports")],
    };
    let open = opened(&rows);
    let is_here = matches!(client.transport.place, Place::Unix(_));
    let mut told = BTreeSet::new();
    wanted
        .iter()
        .filter(|port| !is_own(port, &open, specs))
        .filter_map(|port| taken(port, &open, is_here))
        .filter(|error| told.insert(error.resource.clone()))
        .collect()
}

fn opened(rows: &Value) -> Vec<Open> {
    let mut open = Vec::new();
    for row in rows.as_array().into_iter().flatten() {
        let holder = row["Names"][0].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
        for port in row["Ports"].as_array().into_iter().flatten() {
            let address = port["IP"].as_str().and_then(|address| address.parse().ok());
            let number = port["PublicPort"].as_u64().and_then(|number| u16::try_from(number).ok());
            if let (Some(address), Some(port_number)) = (address, number) {
                let protocol = port["Type"].as_str().unwrap_or("tcp").to_owned();
                let project = row["Labels"][identity::PROJECT].as_str().map(str::to_owned);
                open.push(Open { address, port: port_number, protocol, holder: holder.clone(), project });
            }
        }
    }
    open
}

/// Two addresses meet when they are the same or one is all of its family.
fn meet(wanted: Option<IpAddr>, open: IpAddr) -> bool {
    match wanted {
        None => true,
        Some(wanted) => {
            wanted == open || (wanted.is_ipv4() == open.is_ipv4() && (wanted.is_unspecified() || open.is_unspecified()))
        }
    }
}

/// Whether one of these very containers has the port: a killed command was starting it, and the engine has gone on.
fn is_own(wanted: &PortBinding, open: &[Open], specs: &[ContainerSpec]) -> bool {
    let is_meant = |open: &&Open| specs.iter().any(|spec| spec.name == open.holder);
    open.iter().filter(is_meant).any(|open| {
        wanted.host_ports.is_some_and(|(first, last)| (first..=last).contains(&open.port))
            && open.protocol == wanted.protocol
            && meet(wanted.host_ip, open.address)
    })
}

/// A range is taken when every port of it is.
fn taken(wanted: &PortBinding, open: &[Open], is_here: bool) -> Option<EngineError> {
    let (first, last) = wanted.host_ports?;
    let holder = |number: u16| {
        let held = open
            .iter()
            .find(|open| open.port == number && open.protocol == wanted.protocol && meet(wanted.host_ip, open.address));
        match held {
            Some(open) => Some((format!("container `{}`", open.holder), open.project.as_ref())),
            None if is_here && first == last && is_bound(wanted, number) => Some((program(number), None)),
            None => None,
        }
    };
    let holders: Vec<(String, Option<&String>)> = (first..=last).map_while(holder).collect();
    if holders.len() < usize::from(last - first) + 1 {
        return None;
    }
    let resource = format!("host port {first}");
    let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
    let (holder, project) = &holders[0];
    let told = EngineError::new(ErrorKind::Conflict, resource, format!("host port {range} is taken by {holder}"));
    Some(match project {
        Some(project) => {
            told.hint(format!("that is of project `{project}`: `-p {project} stop` frees the port; or publish another"))
        }
        None => told.hint("stop what holds it, or publish another port"),
    })
}

/// Names the program that listens on a TCP port of this machine.
#[cfg(target_os = "linux")]
fn program(number: u16) -> String {
    use runtime::network::ports::holder;
    use runtime::state::container::Protocol;
    match holder::find(number, Protocol::Tcp) {
        Some(holder) => format!("`{}` (process {})", holder.command, holder.pid),
        None => "a program of this machine".to_owned(),
    }
}

/// Names the program that listens on a TCP port of this machine.
#[cfg(not(target_os = "linux"))]
fn program(_: u16) -> String {
    "a program of this machine".to_owned()
}

/// Says whether somebody listens there already; a port that we may not bind ourselves tells nothing.
fn is_bound(wanted: &PortBinding, number: u16) -> bool {
    if wanted.protocol != "tcp" {
        return false;
    }
    let address = wanted.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    matches!(TcpListener::bind((address, number)), Err(error) if error.kind() == std::io::ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(ip: Option<&str>, ports: (u16, u16), expected: Option<&str>) {
        let rows = json!([{"Names": ["/shop-web-1"], "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"PrivatePort": 81, "Type": "tcp"}]}]);
        let wanted = PortBinding {
            host_ip: ip.map(|ip| ip.parse().unwrap()),
            host_ports: Some(ports),
            container_port: 80,
            protocol: "tcp".into(),
        };
        let message = taken(&wanted, &opened(&rows), false).map(|error| error.message);
        assert_eq!(message.as_deref(), expected);
        let named = |name: &str| [ContainerSpec { name: name.into(), ..ContainerSpec::default() }];
        let has = ports.0 <= 8080 && 8080 <= ports.1 && ip != Some("::1");
        assert_eq!(is_own(&wanted, &opened(&rows), &named("shop-web-1")), has, "its own port is no reason");
        assert!(!is_own(&wanted, &opened(&rows), &named("shop-web-2")));
    }

    #[test]
    fn a_taken_port_names_its_holder() {
        let taken = Some("host port 8080 is taken by container `shop-web-1`");
        check(None, (8080, 8080), taken);
        check(Some("127.0.0.1"), (8080, 8080), taken);
        check(Some("::1"), (8080, 8080), None);
        check(None, (8080, 8081), None);
        check(None, (81, 81), None);
    }
}
