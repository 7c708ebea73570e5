//! What the engine knows of containers, networks, volumes and images, in our words.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use orchestrator::engine::container::{ContainerId, ContainerState, ContainerSummary, Health, OpenPort};
use orchestrator::engine::image::ImageSummary;
use orchestrator::engine::network::NetworkSummary;
use orchestrator::engine::volume::VolumeSummary;
use serde_json::Value;

use crate::moment;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn map(value: &Value) -> BTreeMap<String, String> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// Reads a time; the engine writes the year 1 for "never".
pub(crate) fn time(value: &Value) -> SystemTime {
    value.as_str().and_then(moment::parse).unwrap_or(UNIX_EPOCH)
}

fn code(value: &Value) -> i32 {
    value.as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or_default()
}

/// Tells what a container is doing, of the `State` of its description.
pub(crate) fn state(container: &Value) -> ContainerState {
    let state = &container["State"];
    match state["Status"].as_str().unwrap_or_default() {
        "running" => ContainerState::Running { since: time(&state["StartedAt"]), health: health(&state["Health"]) },
        "paused" => ContainerState::Paused { since: time(&state["StartedAt"]) },
        "restarting" => ContainerState::Restarting {
            exit_code: code(&state["ExitCode"]),
            attempts: container["RestartCount"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
            at: time(&state["FinishedAt"]),
        },
        "exited" => ContainerState::Exited {
            exit_code: code(&state["ExitCode"]),
            at: time(&state["FinishedAt"]),
            out_of_memory: state["OOMKilled"].as_bool().unwrap_or(false),
        },
        "dead" | "removing" => ContainerState::Dead {
            reason: match text(&state["Error"]) {
                reason if reason.is_empty() => "its removal was begun and not finished".to_owned(),
                reason => reason,
            },
        },
        // `created`, and whatever a later engine calls what does not run.
        _ => ContainerState::Created,
    }
}

fn health(health: &Value) -> Option<Health> {
    match health["Status"].as_str()? {
        "starting" => Some(Health::Starting),
        "healthy" => Some(Health::Healthy),
        "unhealthy" => {
            let last = health["Log"].as_array().and_then(|log| log.last()).cloned().unwrap_or_default();
            let failures = health["FailingStreak"].as_u64().and_then(|streak| u32::try_from(streak).ok());
            Some(Health::Unhealthy {
                failures: failures.unwrap_or(0),
                // -1 is the engine's word for a probe that ran into its timeout.
                exit_code: last["ExitCode"]
                    .as_i64()
                    .and_then(|code| i32::try_from(code).ok())
                    .filter(|code| *code >= 0),
                output: text(&last["Output"]),
            })
        }
        _ => None,
    }
}

/// The engine names volumes that nobody named with 64 hexadecimal digits.
fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Tells of a container, of its description.
pub(crate) fn container(found: &Value) -> ContainerSummary {
    let (mut volumes, mut binds) = (BTreeMap::new(), BTreeMap::new());
    let mut anonymous_volumes = Vec::new();
    for mount in found["Mounts"].as_array().into_iter().flatten() {
        if mount["Type"] == "volume" {
            let (name, target) = (text(&mount["Name"]), text(&mount["Destination"]));
            if is_anonymous(&name) {
                anonymous_volumes.push(target.clone());
            }
            volumes.insert(target, name);
        }
        if mount["Type"] == "bind" {
            binds.insert(text(&mount["Destination"]), text(&mount["Source"]));
        }
    }
    let mut command = vec![text(&found["Path"])];
    command.extend(texts(&found["Args"]));
    ContainerSummary {
        id: ContainerId(text(&found["Id"])),
        name: text(&found["Name"]).trim_start_matches('/').to_owned(),
        image: text(&found["Config"]["Image"]),
        image_id: text(&found["Image"]),
        labels: map(&found["Config"]["Labels"]),
        state: state(found),
        created: time(&found["Created"]),
        command,
        ports: ports(&found["NetworkSettings"]["Ports"]),
        networks: networks(&found["NetworkSettings"]["Networks"]),
        volumes,
        anonymous_volumes,
        binds,
    }
}

fn networks(networks: &Value) -> BTreeMap<String, Vec<IpAddr>> {
    let named = networks.as_object().into_iter().flatten();
    // Those of the engine itself are no networks that anybody made.
    let made = named.filter(|(name, _)| !matches!(name.as_str(), "none" | "host"));
    made.map(|(name, endpoint)| {
        let addresses = ["IPAddress", "GlobalIPv6Address"];
        (name.clone(), addresses.iter().filter_map(|key| endpoint[*key].as_str()?.parse().ok()).collect())
    })
    .collect()
}

fn ports(ports: &Value) -> Vec<OpenPort> {
    let mut open = Vec::new();
    for (key, bindings) in ports.as_object().into_iter().flatten() {
        let (port, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
        let Ok(container_port) = port.parse() else { continue };
        let hosts: Vec<_> = bindings
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|binding| {
                let address = binding["HostIp"].as_str().filter(|address| !address.is_empty()).unwrap_or("0.0.0.0");
                Some((address.parse().ok()?, binding["HostPort"].as_str()?.parse().ok()?))
            })
            .collect();
        let of = |host| OpenPort { host, container_port, protocol: protocol.to_owned() };
        match hosts.is_empty() {
            true => open.push(of(None)),
            false => open.extend(hosts.into_iter().map(|host| of(Some(host)))),
        }
    }
    open.sort();
    open
}

/// Tells of a network; `endpoints` is how many containers are on it.
pub(crate) fn network(found: &Value, endpoints: usize) -> NetworkSummary {
    NetworkSummary {
        id: text(&found["Id"]),
        name: text(&found["Name"]),
        driver: text(&found["Driver"]),
        labels: map(&found["Labels"]),
        created: found["Created"].as_str().and_then(moment::parse),
        endpoints,
    }
}

/// Tells of a volume.
pub(crate) fn volume(found: &Value) -> VolumeSummary {
    VolumeSummary { name: text(&found["Name"]), driver: text(&found["Driver"]), labels: map(&found["Labels"]) }
}

/// Tells of an image, of its description.
pub(crate) fn image(found: &Value) -> ImageSummary {
    let config = &found["Config"];
    let test = texts(&config["Healthcheck"]["Test"]);
    let mut command = texts(&config["Entrypoint"]);
    command.extend(texts(&config["Cmd"]));
    let platform = ["Os", "Architecture", "Variant"].map(|key| text(&found[key]));
    ImageSummary {
        id: text(&found["Id"]),
        references: texts(&found["RepoTags"]),
        created: found["Created"].as_str().and_then(moment::parse),
        size: found["Size"].as_u64().unwrap_or(0),
        labels: map(&config["Labels"]),
        volumes: config["Volumes"].as_object().into_iter().flatten().map(|(path, _)| path.clone()).collect(),
        has_healthcheck: test.first().is_some_and(|first| first != "NONE"),
        digests: texts(&found["RepoDigests"]),
        platform: platform.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("/"),
        command,
        of_platform: false,
    }
}

/// Tells of an image, of a row of `GET /images/json`, which knows less.
pub(crate) fn listed_image(found: &Value) -> ImageSummary {
    let real = |names: Vec<String>| names.into_iter().filter(|name| !name.contains("<none>")).collect();
    let seconds = found["Created"].as_u64().map(std::time::Duration::from_secs);
    ImageSummary {
        id: text(&found["Id"]),
        references: real(texts(&found["RepoTags"])),
        created: seconds.map(|seconds| UNIX_EPOCH + seconds),
        size: found["Size"].as_u64().unwrap_or(0),
        labels: map(&found["Labels"]),
        digests: real(texts(&found["RepoDigests"])),
        ..ImageSummary::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn states_are_told_apart() {
        let of = |status: &str| {
            json!({"State": {"Status": status, "ExitCode": 3, "OOMKilled": true,
            "StartedAt": "2024-02-29T01:01:01Z", "FinishedAt": "0001-01-01T00:00:00Z"}, "RestartCount": 2})
        };
        assert_eq!(state(&of("created")), ContainerState::Created);
        assert_eq!(state(&of("paused")), ContainerState::Paused { since: time(&json!("2024-02-29T01:01:01Z")) });
        assert_eq!(state(&of("restarting")), ContainerState::Restarting { exit_code: 3, attempts: 2, at: UNIX_EPOCH });
        assert_eq!(state(&of("exited")), ContainerState::Exited { exit_code: 3, at: UNIX_EPOCH, out_of_memory: true });
        assert!(matches!(state(&of("running")), ContainerState::Running { health: None, .. }));
        assert!(matches!(state(&of("dead")), ContainerState::Dead { .. }));
    }

    #[test]
    fn a_failing_probe_brings_its_output_and_a_timeout_has_no_code() {
        let found = json!({"Status": "unhealthy", "FailingStreak": 4, "Log": [
            {"ExitCode": 0, "Output": "old"}, {"ExitCode": -1, "Output": "too slow"}]});
        let expected = Health::Unhealthy { failures: 4, exit_code: None, output: "too slow".into() };
        assert_eq!(health(&found), Some(expected));
        assert_eq!(health(&json!({"Status": "none"})), None);
    }

    #[test]
    fn ports_are_open_or_only_exposed() {
        let found = json!({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
            "53/udp": null});
        let shown: Vec<String> = ports(&found)
            .iter()
            .map(|port| {
                format!(
                    "{:?} {}/{}",
                    port.host.map(|(ip, port)| format!("{ip} {port}")),
                    port.container_port,
                    port.protocol
                )
            })
            .collect();
        assert_eq!(shown, ["None 53/udp", "Some(\"0.0.0.0 8080\") 80/tcp", "Some(\":: 8080\") 80/tcp"]);
    }
}
