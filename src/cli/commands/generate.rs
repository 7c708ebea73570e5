//! `generate`: a Compose file for containers that are there, from what the engine knows of them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::error::{CommandError, Kind};

/// Write a Compose file for containers that are there
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How it is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "yaml")]
    format: Format,

    /// Name of the project
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Folder of the project; its name is the project's unless `--name` says otherwise
    #[arg(long, value_name = "FOLDER")]
    project_dir: Option<PathBuf>,

    /// Names or ids; all that run when none is given
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Yaml,
    Json,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let mut ids = args.containers.clone();
    if ids.is_empty() {
        let running = engine.list_containers(&[]).await?.into_iter().filter(|it| it.state.is_up());
        ids = running.map(|container| container.id.0).collect();
    }
    let mut described = Vec::new();
    for id in &ids {
        described.push(engine.describe_container(id).await?);
    }
    let folder = args.project_dir.as_deref().map_or_else(|| app.folder.clone(), |folder| app.absolute(folder));
    let name = args.name.or_else(|| folder.file_name().map(|name| name.to_string_lossy().into_owned()));
    let file = file(name.as_deref(), &described);
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&file).unwrap_or_default(),
        Format::Yaml => serde_yaml::to_string(&file)
            .map_err(|error| CommandError::new(Kind::Failed, format!("cannot write the file: {error}")))?,
    };
    app.printer.data(text.trim_end());
    Ok(())
}

/// Makes the file of what Docker's API tells of each container.
fn file(name: Option<&str>, described: &[Value]) -> Value {
    let (mut services, mut networks, mut volumes) = (Map::new(), BTreeSet::new(), BTreeSet::new());
    for container in described {
        let name = container["Name"].as_str().unwrap_or_default().trim_start_matches('/');
        services.insert(name.to_owned(), service(name, container, &mut networks, &mut volumes));
    }
    let external = |names: BTreeSet<String>| -> Value {
        names.into_iter().map(|name| (name, json!({ "external": true }))).collect::<Map<_, _>>().into()
    };
    let mut file = Map::new();
    file.extend(name.map(|name| ("name".to_owned(), json!(compose::environment::naming::normalise(name)))));
    file.insert("services".into(), services.into());
    if !networks.is_empty() {
        file.insert("networks".into(), external(networks));
    }
    if !volumes.is_empty() {
        file.insert("volumes".into(), external(volumes));
    }
    file.into()
}

fn service(name: &str, container: &Value, networks: &mut BTreeSet<String>, volumes: &mut BTreeSet<String>) -> Value {
    let (config, host) = (&container["Config"], &container["HostConfig"]);
    let mut service = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_empty = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Bool(true) | Value::Number(_) => false,
        };
        if !is_empty {
            service.insert(key.to_owned(), value);
        }
    };
    put("container_name", name.into());
    put("image", config["Image"].clone());
    put("command", escaped(&config["Cmd"]));
    put("entrypoint", escaped(&config["Entrypoint"]));
    put("environment", escaped(&config["Env"]));
    put("user", config["User"].clone());
    put("working_dir", config["WorkingDir"].clone());
    put("hostname", config["Hostname"].clone());
    put("tty", config["Tty"].clone());
    put("stdin_open", config["OpenStdin"].clone());
    let labels = config["Labels"].as_object().into_iter().flatten();
    let own = labels.filter(|(key, _)| !key.starts_with("com.docker.compose.") && !key.starts_with("motet."));
    put("labels", own.map(|(key, value)| (key.clone(), escaped(value))).collect::<Map<_, _>>().into());
    put("privileged", host["Privileged"].clone());
    put("read_only", host["ReadonlyRootfs"].clone());
    put("cap_add", host["CapAdd"].clone());
    put("cap_drop", host["CapDrop"].clone());
    put("restart", host["RestartPolicy"]["Name"].as_str().filter(|name| *name != "no").into());
    put("ports", ports(&host["PortBindings"]));
    let mode = host["NetworkMode"].as_str().unwrap_or_default();
    if matches!(mode, "host" | "none") || mode.starts_with("container:") {
        put("network_mode", mode.into());
    } else {
        let on: Vec<String> = container["NetworkSettings"]["Networks"]
            .as_object()
            .into_iter()
            .flat_map(|networks| networks.keys().cloned())
            .collect();
        networks.extend(on.iter().cloned());
        put("networks", on.into());
    }
    let mounts = container["Mounts"].as_array().into_iter().flatten().map(|mount| {
        let kind = mount["Type"].as_str().unwrap_or("bind");
        let source = if kind == "volume" { &mount["Name"] } else { &mount["Source"] };
        if kind == "volume" {
            volumes.extend(source.as_str().map(str::to_owned));
        }
        let mut entry = json!({ "type": kind, "source": source, "target": mount["Destination"] });
        if mount["RW"] == Value::Bool(false) {
            entry["read_only"] = true.into();
        }
        entry
    });
    put("volumes", mounts.collect::<Vec<_>>().into());
    service.into()
}

/// A `$` of a container is no variable of the file.
fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace('$', "$$").into(),
        Value::Array(list) => list.iter().map(escaped).collect::<Vec<_>>().into(),
        other => other.clone(),
    }
}

fn ports(bindings: &Value) -> Value {
    let mut ports = Vec::new();
    for (inside, hosts) in bindings.as_object().into_iter().flatten() {
        for host in hosts.as_array().into_iter().flatten() {
            let address = host["HostIp"].as_str().filter(|address| !matches!(*address, "" | "0.0.0.0" | "::"));
            let address = address.map_or(String::new(), |address| format!("{address}:"));
            ports.push(Value::from(format!("{address}{}:{inside}", host["HostPort"].as_str().unwrap_or_default())));
        }
    }
    ports.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_becomes_a_service() {
        let described = json!({
            "Name": "/web",
            "Config": { "Image": "nginx:1", "Cmd": ["echo", "$HOME"], "Env": ["A=1"], "User": "", "Labels": {"x": "1", "com.docker.compose.project": "p"} },
            "HostConfig": { "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}, "RestartPolicy": {"Name": "always"}, "NetworkMode": "lan" },
            "NetworkSettings": { "Networks": {"lan": {}} },
            "Mounts": [{"Type": "volume", "Name": "data", "Source": "/x", "Destination": "/data", "RW": false}],
        });
        let file = file(Some("Shop"), &[described]);
        let web = &file["services"]["web"];
        assert_eq!(file["name"], "shop");
        assert_eq!(web["command"], json!(["echo", "$$HOME"]));
        assert_eq!((&web["ports"], &web["labels"]), (&json!(["127.0.0.1:8080:80/tcp"]), &json!({"x": "1"})));
        assert_eq!(
            web["volumes"][0],
            json!({"type": "volume", "source": "data", "target": "/data", "read_only": true})
        );
        assert_eq!((&file["networks"]["lan"]["external"], &web["restart"]), (&json!(true), &json!("always")));
        assert_eq!(web.get("user"), None);
    }
}
