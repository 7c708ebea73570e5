//! The acts on containers that take more than one call.

use std::fs::File;
use std::time::Duration;

use bollard::query_parameters::StartContainerOptions;
use bytes::Bytes;
use futures_util::future::join_all;
use hyper::Method;
use orchestrator::engine::container::{
    CommitSpec, ContainerId, ContainerSpec, ContainerSummary, Endpoint, StopOptions,
};
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::hold::Hold;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::broadcast::error::RecvError;

use crate::docker::client::{Client, escape, query};
use crate::docker::create::{self, Needs};
use crate::docker::engine::{Docker, container_name};
use crate::docker::fault::{Fault, Version};
use crate::docker::hub::SharedHub;
use crate::docker::{files, follow, host_config, images, resources, summary};

/// Keeps other commands of this user on this engine out while the result lives.
pub(crate) async fn hold(engine: &Docker, name: &str, waits: Box<dyn FnOnce() + Send>) -> Result<Hold, EngineError> {
    let Some(folder) = engine.locks.clone() else { return Ok(Hold::default()) };
    let digest = Sha256::digest(format!("{}\n{name}", engine.client.transport.place).as_bytes());
    let file: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join(file);
    let failed = {
        let (name, path) = (name.to_owned(), path.clone());
        move |error: std::io::Error| {
            let message = format!("cannot hold `{name}`: `{}`: {error}", path.display());
            EngineError::new(ErrorKind::Failed, name.clone(), message)
        }
    };
    let held = tokio::task::spawn_blocking(move || -> std::io::Result<File> {
        std::fs::create_dir_all(&folder)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        if file.try_lock().is_err() {
            waits();
            file.lock()?;
        }
        Ok(file)
    });
    match held.await {
        Ok(Ok(file)) => Ok(Hold::of(file)),
        Ok(Err(error)) => Err(failed(error)),
        Err(error) => Err(failed(std::io::Error::other(error))),
    }
}

/// Lists containers with all that is known of each.
pub(crate) async fn list(client: &Client, labels: &[String]) -> Result<Vec<ContainerSummary>, Fault> {
    let filters = json!({"label": labels});
    let path = format!("/containers/json{}", query(&[("all", "1".to_owned()), ("filters", filters.to_string())]));
    let rows = client.get(&path).await?;
    let ids = rows.as_array().into_iter().flatten().filter_map(|row| row["Id"].as_str());
    let looks = join_all(ids.map(|id| follow::look(client, id))).await;
    let mut found = Vec::with_capacity(looks.len());
    for look in looks {
        // One that went meanwhile is no error.
        found.extend(look?.as_ref().map(summary::container));
    }
    Ok(found)
}

/// Creates a container, tells it of its other networks and puts its files into it; a failure leaves none.
pub(crate) async fn create(client: &Client, spec: &ContainerSpec) -> Result<ContainerId, Fault> {
    let creation = create::creation(spec, client.api().await?.version)?;
    let mut pairs = vec![("name", spec.name.clone())];
    pairs.extend(spec.platform.clone().map(|platform| ("platform", platform)));
    let path = format!("/containers/create{}", query(&pairs));
    let created = match client.post(&path, &creation.body).await {
        Err(Fault::Refused { status: 404, message }) if message.contains("No such image") => {
            // The engine wants an image by its reference or id; its word for the one that went is the best there is.
            return Err(Fault::Refused { status: 404, message });
        }
        other => other?,
    };
    for warning in created["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        tracing::warn!("{}: {warning}", container_name(&spec.name));
    }
    let id = created["Id"].as_str().unwrap_or_default().to_owned();
    let prepared = async {
        for endpoint in &creation.connects {
            match connect(client, &id, endpoint).await {
                Err(fault) if resources::is_ambiguous(&fault) => {
                    resources::keep_one(client, &endpoint.network).await?;
                    connect(client, &id, endpoint).await?;
                }
                other => other?,
            }
        }
        let contents: Vec<_> = spec.files.iter().filter(|file| !host_config::is_mounted(file)).collect();
        if !contents.is_empty() {
            files::put_contents(client, &id, &contents).await?;
        }
        Ok(())
    };
    match prepared.await {
        Ok(()) => Ok(ContainerId(id)),
        Err(fault) => {
            let path = format!("/containers/{}?force=1&v=1", escape(&id));
            if let Err(left) = client.call(Method::DELETE, &path, None, bollard::body_full(Bytes::new())).await {
                return Err(Fault::Broken { why: format!("{fault}; and it could not be removed again: {left}") });
            }
            Err(fault)
        }
    }
}

/// Puts a container on a network.
pub(crate) async fn connect(client: &Client, id: &str, endpoint: &Endpoint) -> Result<(), Fault> {
    let needs = Needs { has: client.api().await?.version };
    let settings = create::endpoint(endpoint, &needs)?;
    let path = format!("/networks/{}/connect", escape(&endpoint.network));
    client.post(&path, &json!({"Container": id, "EndpointConfig": settings})).await.map(|_| ())
}

/// Starts a container.
pub(crate) async fn start(client: &Client, id: &ContainerId) -> Result<(), EngineError> {
    let failed = |fault: Fault| fault.at("start", container_name(&id.0));
    let api = client.api().await.map_err(failed)?;
    let mut started = api.docker.start_container(&id.0, None::<StartContainerOptions>).await.map_err(Fault::from);
    if started.as_ref().is_err_and(resources::is_ambiguous) {
        let found = follow::look(client, &id.0).await.map_err(failed)?.unwrap_or_default();
        for (name, _) in found["NetworkSettings"]["Networks"].as_object().into_iter().flatten() {
            resources::keep_one(client, name).await.map_err(failed)?;
        }
        started = api.docker.start_container(&id.0, None::<StartContainerOptions>).await.map_err(Fault::from);
    }
    let Err(fault) = started else { return Ok(()) };
    let mut error = failed(fault);
    // As the docker command tells them apart: a program that is not there, and one that can't be run.
    let says = |words: &[&str]| words.iter().any(|words| error.message.contains(words));
    if says(&["executable file not found", "no such file or directory: unknown"]) {
        error.kind = ErrorKind::NotFound;
    } else if says(&["exec format error", "permission denied: unknown", "is a directory: unknown"]) {
        error.kind = ErrorKind::Denied;
    }
    // The engine calls a port by its place in a sentence: `Bind for 0.0.0.0:80 failed: port is already allocated`.
    if error.kind == ErrorKind::Conflict
        && let Some(port) = port_in(&error.message)
    {
        error.resource = format!("host port {port}");
    }
    Err(error)
}

/// Finds the host port in the engine's words.
fn port_in(message: &str) -> Option<u16> {
    let after = message.split_once("Bind for ").or_else(|| message.split_once("listen tcp"))?.1;
    let address =
        after.split_whitespace().find(|word| word.contains(':') && word.bytes().any(|b| b.is_ascii_digit()))?;
    address.trim_end_matches(':').rsplit(':').next()?.parse().ok()
}

/// Stops a container; returns once it is gone.
pub(crate) async fn stop(client: &Client, id: &str, options: StopOptions) -> Result<(), Fault> {
    let seconds = options.grace.map(|grace| grace.as_secs_f64().ceil());
    let has_signal = client.api().await?.version >= Version(1, 42);
    let mut pairs = Vec::new();
    if let Some(signal) = &options.signal {
        if has_signal {
            pairs.push(("signal", signal.clone()));
        } else {
            return signal_and_wait(client, id, signal, options.grace).await;
        }
    }
    pairs.extend(seconds.map(|seconds| ("t", format!("{seconds:.0}"))));
    let path = format!("/containers/{}/stop{}", escape(id), query(&pairs));
    client.post(&path, &Value::Null).await.map(|_| ())
}

/// What `stop` with a signal is, for an engine that can't be told one.
async fn signal_and_wait(client: &Client, id: &str, signal: &str, grace: Option<Duration>) -> Result<(), Fault> {
    let kill = |signal: &str| format!("/containers/{}/kill{}", escape(id), query(&[("signal", signal.to_owned())]));
    match client.post(&kill(signal), &Value::Null).await {
        Ok(_) => {}
        Err(Fault::Refused { status: 409, .. }) => return Ok(()),
        Err(fault) => return Err(fault),
    }
    let wait = format!("/containers/{}/wait", escape(id));
    let ended = client.post(&wait, &Value::Null);
    match tokio::time::timeout(grace.unwrap_or(Duration::from_secs(10)), ended).await {
        Ok(ended) => ended.map(|_| ()),
        Err(_) => {
            let path = format!("/containers/{}/stop?t=0", escape(id));
            client.post(&path, &Value::Null).await.map(|_| ())
        }
    }
}

/// How often the engine is asked to remove a container whose folder it could not empty.
const REMOVALS: usize = 3;

/// Removes a container by force; returns once it is gone.
pub(crate) async fn remove(client: &Client, hub: &SharedHub, id: &str, volumes: bool) -> Result<(), Fault> {
    let path = format!("/containers/{}?force=1&v={}", escape(id), u8::from(volumes));
    let mut asked = 0;
    loop {
        asked += 1;
        return match client.call(Method::DELETE, &path, None, bollard::body_full(Bytes::new())).await {
            Ok(_) | Err(Fault::Refused { status: 404, .. }) => Ok(()),
            // Somebody else is at it.
            Err(Fault::Refused { status: 409, message }) if message.contains("already in progress") => {
                gone(client, hub, id).await
            }
            // The engine wrote the container's state into the folder that it was removing: asked again, it goes on.
            Err(Fault::Refused { status: 500, message })
                if asked < REMOVALS && message.contains("directory not empty") =>
            {
                continue;
            }
            Err(fault) => Err(fault),
        };
    }
}

/// Waits for the end of a removal that somebody else began.
async fn gone(client: &Client, hub: &SharedHub, id: &str) -> Result<(), Fault> {
    let mut happenings = hub.listen(client).await?;
    loop {
        if follow::look(client, id).await?.is_none() {
            return Ok(());
        }
        loop {
            match happenings.recv().await {
                Ok(happening) if happening.action == "destroy" && happening.id.starts_with(id) => return Ok(()),
                // It may have been named by its name.
                Ok(happening) if happening.action == "destroy" => break,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return Err(Fault::Closed { why: "its events ended".to_owned() }),
            }
        }
    }
}

/// Makes an image of a container.
pub(crate) async fn commit(client: &Client, id: &str, spec: &CommitSpec) -> Result<String, Fault> {
    let mut pairs = vec![("container", id.to_owned()), ("pause", if spec.pause { "1" } else { "0" }.to_owned())];
    if let Some(reference) = &spec.reference {
        let (name, tag) = images::split(reference);
        pairs.extend([("repo", name.to_owned()), ("tag", tag.to_owned())]);
    }
    pairs.extend(spec.author.clone().map(|author| ("author", author)));
    pairs.extend(spec.message.clone().map(|message| ("comment", message)));
    pairs.extend(spec.changes.iter().map(|change| ("changes", change.clone())));
    let made = client.post(&format!("/commit{}", query(&pairs)), &json!({})).await?;
    Ok(made["Id"].as_str().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_in_the_engines_words() {
        let taken = "driver failed programming external connectivity on endpoint x: \
                     Bind for 0.0.0.0:18080 failed: port is already allocated";
        assert_eq!(port_in(taken), Some(18080));
        let listen = "Error starting userland proxy: listen tcp4 0.0.0.0:18081: bind: address already in use";
        assert_eq!(port_in(listen), Some(18081));
        assert_eq!(port_in("no port"), None);
    }
}
