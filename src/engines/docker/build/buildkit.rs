//! BuildKit inside of the engine: the build is asked for over `/grpc`, what it needs is served over `/session`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioExecutor;
use orchestrator::engine::error::EngineError;
use orchestrator::engine::image::BuildSpec;
use orchestrator::engine::progress::ProgressSink;
use runtime::build::SshAgent;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::docker::build::carried::{self, Entry, entry};
use crate::docker::build::context::{Context, is_remote};
use crate::docker::build::grpc::{Channel, Status};
use crate::docker::build::session::Session;
use crate::docker::build::share::Shared;
use crate::docker::build::trouble::{self, Step};
use crate::docker::build::vertices::{Follower, question};
use crate::docker::build::wire::{Fields, Message};
use crate::docker::build::{image_name, refuse};
use crate::docker::client::Client;
use crate::docker::engine::Docker;
use crate::docker::fault::{Fault, Version, chain};

const SOLVE: &str = "/moby.buildkit.v1.Control/Solve";
const STATUS: &str = "/moby.buildkit.v1.Control/Status";

/// A connection to the engine's BuildKit, and the version of the API.
pub(super) struct BuildKit {
    channel: Channel,
    version: Version,
}

/// Connects; `None`: this engine has no BuildKit.
pub(super) async fn connect(client: &Client) -> Result<Option<BuildKit>, Fault> {
    let body = bollard::body_full(bytes::Bytes::new());
    let stream = match client.take("/grpc", &[("Upgrade", "h2c".to_owned())], body).await {
        Ok(stream) => stream,
        Err(Fault::Refused { status: 400 | 404 | 405 | 501, .. } | Fault::Broken { .. }) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream.into_inner())
        .await
        .map_err(|error| Fault::of_hyper(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to BuildKit ended");
        }
    });
    Ok(Some(BuildKit { channel: Channel(sender), version: client.api().await?.version }))
}

/// Names what the engine's BuildKit, or the way to it, lacks.
fn lacking(spec: &BuildSpec, version: Version, has_frontend: bool) -> Vec<String> {
    // Frontends of before that version leave these away without a word; `# syntax=` brings its own.
    let is_old = version < Version(1, 42) && !has_frontend;
    let is_local = |cache: &String| entry(cache).0 == "local";
    let asked = [
        ("additional_contexts (needs API 1.42)", is_old && !spec.additional_contexts.is_empty()),
        (
            "additional_contexts of oci-layout://",
            spec.additional_contexts.values().any(|it| it.starts_with("oci-layout:")),
        ),
        ("cache_to of type=local", spec.cache_to.iter().any(is_local)),
        ("privileged", spec.privileged),
        ("provenance (needs API 1.42)", is_old && spec.provenance.as_deref().is_some_and(|it| it != "false")),
        ("sbom (needs API 1.42)", is_old && spec.sbom.as_deref().is_some_and(|it| it != "false")),
    ];
    asked.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name.to_owned()).collect()
}

/// What only the classic builder of an old engine can do.
pub(super) fn is_for_classic(spec: &BuildSpec, version: Version) -> bool {
    version < Version(1, 42) && (!spec.ulimits.is_empty() || spec.shm_size.is_some())
}

/// Builds an image and returns its id.
pub(super) async fn build(
    engine: &Docker,
    mut kit: BuildKit,
    spec: &BuildSpec,
    progress: &ProgressSink,
) -> Result<String, EngineError> {
    let failed = |fault: Fault| fault.at("build", image_name(spec));
    let context = match is_remote(&spec.context) {
        true => None,
        false => Some(Context::of(spec).map_err(failed)?),
    };
    let text = context.as_ref().map(|context| context.text.as_str()).or(spec.dockerfile_inline.as_deref());
    let lacking = lacking(spec, kit.version, text.is_some_and(has_syntax));
    if !lacking.is_empty() {
        return Err(refuse(spec, &format!("the engine's BuildKit can't do `{}`", lacking.join("`, `"))));
    }
    let agents = agents(spec, engine.ssh_agent.as_deref()).map_err(|why| refuse(spec, &why))?;
    let imports = carried::imports(&spec.cache_from, progress).map_err(|why| refuse(spec, &why))?;
    let mut folders = BTreeMap::new();
    let request = request(spec, context.as_ref(), &imports.entries, &mut folders);
    let seed = format!("{:?} {}", std::time::SystemTime::now(), std::process::id());
    let (id, reference) = (digest(&format!("session {seed}")), digest(&format!("build {seed}")));
    let (secrets, logins) = (spec.secrets.clone(), engine.logins.clone());
    let session = Session { folders, secrets, agents, logins, stores: imports.stores };
    let _served = session.open(&engine.client, &id, &digest(&spec.context)).await.map_err(failed)?;
    let request = request.text(1, &reference).text(5, &id);
    let mut follower = Follower::new(progress);
    let mut watching = kit.channel.clone();
    let solving = async move { kit.channel.call(SOLVE, &request.0).await };
    let following = async {
        let mut answer = watching.begin(STATUS, &question(&reference)).await?;
        while let Some(message) = answer.messages.next().await? {
            follower.take(&message);
        }
        Ok::<(), Fault>(())
    };
    // The progress ends with the build; a build that never began has none.
    let (solved, followed) = tokio::join!(solving, following);
    if let Err(error) = followed {
        tracing::debug!(%error, "the build's progress broke off");
    }
    match solved.map_err(failed)? {
        Ok(response) => Ok(image_id(&response).unwrap_or_default()),
        Err(Status { message, .. }) => {
            let dockerfile = context.as_ref().map(|context| (context.shown.as_str(), context.text.as_str()));
            let nothing = Step::default();
            let why = plain(&message);
            let step = follower.failed().unwrap_or(&nothing);
            Err(trouble::error(image_name(spec), &why, step, dockerfile))
        }
    }
}

/// Says whether a Dockerfile names the frontend that is to read it.
fn has_syntax(text: &str) -> bool {
    let mut lines = text.lines().take_while(|line| line.trim_start().starts_with('#'));
    lines.any(|line| line.trim_start_matches(['#', ' ', '\t']).to_ascii_lowercase().starts_with("syntax="))
}

/// Takes the words of the way off that an error came.
fn plain(message: &str) -> String {
    let mut rest = message;
    for words in [
        "failed to solve: ",
        "rpc error: code = Unknown desc = ",
        "failed to solve with frontend dockerfile.v0: ",
        "failed to create LLB definition: ",
        "rpc error: code = Unknown desc = ",
    ] {
        rest = rest.strip_prefix(words).unwrap_or(rest);
    }
    rest.to_owned()
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the image's id of a `SolveResponse`.
fn image_id(response: &[u8]) -> Option<String> {
    let pair = |bytes: &[u8]| {
        let (mut name, mut value) = (String::new(), String::new());
        for (field, found) in Fields(bytes) {
            match field {
                1 => name = found.text(),
                2 => value = found.text(),
                _ => {}
            }
        }
        (name, value)
    };
    let found: BTreeMap<String, String> =
        Fields(response).filter(|(field, _)| *field == 1).map(|(_, value)| pair(value.bytes())).collect();
    ["containerimage.config.digest", "containerimage.digest"].iter().find_map(|name| found.get(*name).cloned())
}

/// Finds the ssh agents that are asked for.
fn agents(spec: &BuildSpec, usual: Option<&Path>) -> Result<BTreeMap<String, SshAgent>, String> {
    spec.ssh.iter().map(|asked| SshAgent::parse(asked, usual).map_err(|error| chain(&error))).collect()
}

/// Makes the `SolveRequest` but for its ids, and the folders that it names.
fn request(
    spec: &BuildSpec,
    context: Option<&Context>,
    imports: &[Entry],
    folders: &mut BTreeMap<String, Shared>,
) -> Message {
    let mut attributes = attributes(spec, folders);
    let mut add = |name: &str, value: String| drop(attributes.insert(name.to_owned(), value));
    match context {
        Some(context) => {
            folders.insert("context".to_owned(), Shared::Folder(context.root.clone()));
            folders.insert("dockerfile".to_owned(), dockerfile(spec, context, &mut add));
        }
        None => {
            add("context", spec.context.clone());
            if let Some(path) = &spec.dockerfile {
                add("filename", path.display().to_string());
            }
            if let Some(text) = &spec.dockerfile_inline {
                let files = vec![("Dockerfile".to_owned(), text.clone().into_bytes())];
                folders.insert("dockerfile".to_owned(), Shared::Files(files));
                add("dockerfilekey", "dockerfile".to_owned());
            }
        }
    }
    let exports: Vec<Entry> = spec.cache_to.iter().map(|cache| entry(cache)).collect();
    if !imports.is_empty() {
        let told: Vec<_> = imports.iter().map(|(kind, options)| json!({"Type": kind, "Attrs": options})).collect();
        add("cache-imports", json!(told).to_string());
    }
    let entries = |message: Message, field: u64, list: &[Entry]| {
        list.iter().fold(message, |message, (kind, options)| {
            message.message(field, &Message::default().text(1, kind).map(2, options))
        })
    };
    let cache = entries(entries(Message::default(), 4, &exports), 5, imports);
    let export = BTreeMap::from([("name".to_owned(), spec.tags.join(","))]);
    let message = Message::default()
        .text(3, "moby")
        .map(4, &export)
        .text(6, "dockerfile.v0")
        .map(7, &attributes)
        .message(8, &cache);
    spec.entitlements.iter().fold(message, |message, entitlement| message.whole(9, entitlement.as_bytes()))
}

/// Shares the Dockerfile, with the ignore file of its own beside it.
fn dockerfile(spec: &BuildSpec, context: &Context, add: &mut dyn FnMut(&str, String)) -> Shared {
    if spec.dockerfile_inline.is_some() {
        return Shared::Files(vec![("Dockerfile".to_owned(), context.text.clone().into_bytes())]);
    }
    let path = PathBuf::from(&context.shown);
    let name = path.file_name().map_or("Dockerfile".to_owned(), |name| name.to_string_lossy().into_owned());
    let ignore = format!("{name}.dockerignore");
    let mut files = vec![(name.clone(), context.text.clone().into_bytes())];
    files.extend(std::fs::read(path.with_file_name(&ignore)).ok().map(|bytes| (ignore, bytes)));
    add("filename", name);
    Shared::Files(files)
}

/// What the Dockerfile's frontend is told.
fn attributes(spec: &BuildSpec, folders: &mut BTreeMap<String, Shared>) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    let mut add = |name: &str, value: String| drop(told.insert(name.to_owned(), value));
    for (name, value) in &spec.args {
        if let Some(value) = value {
            add(&format!("build-arg:{name}"), value.clone());
        }
    }
    for (name, value) in &spec.labels {
        add(&format!("label:{name}"), value.clone());
    }
    if let Some(target) = &spec.target {
        add("target", target.clone());
    }
    if spec.no_cache {
        add("no-cache", String::new());
    } else if !spec.no_cache_filter.is_empty() {
        add("no-cache", spec.no_cache_filter.join(","));
    }
    if spec.pull {
        add("image-resolve-mode", "pull".to_owned());
    }
    match spec.network.as_deref() {
        None | Some("default") => {}
        Some(network) => add("force-network-mode", network.to_owned()),
    }
    if !spec.extra_hosts.is_empty() {
        let hosts: Vec<String> = spec.extra_hosts.iter().map(|(host, address)| format!("{host}={address}")).collect();
        add("add-hosts", hosts.join(","));
    }
    if !spec.platforms.is_empty() {
        add("platform", spec.platforms.join(","));
    }
    if let Some(size) = spec.shm_size {
        add("shm-size", size.to_string());
    }
    if !spec.ulimits.is_empty() {
        let limits: Vec<String> =
            spec.ulimits.iter().map(|(name, (soft, hard))| format!("{name}={soft}:{hard}")).collect();
        add("ulimit", limits.join(","));
    }
    for (name, kind) in [("attest:provenance", &spec.provenance), ("attest:sbom", &spec.sbom)] {
        match kind.as_deref() {
            None | Some("false") => {}
            Some("true") => add(name, String::new()),
            Some(options) => add(name, options.to_owned()),
        }
    }
    for (name, place) in &spec.additional_contexts {
        if is_remote(place) || place.starts_with("docker-image://") {
            add(&format!("context:{name}"), place.clone());
        } else {
            let key = format!("named-{name}");
            add(&format!("context:{name}"), format!("local:{key}"));
            folders.insert(key, Shared::Folder(PathBuf::from(place)));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_ids_are_read() {
        assert!(has_syntax("# escape=`\n# syntax=docker/dockerfile:1\nFROM x") && !has_syntax("FROM x\n# syntax=y"));
        let message = "rpc error: code = Unknown desc = executor failed running [/bin/sh -c x]: exit code: 3";
        assert_eq!(plain(message), "executor failed running [/bin/sh -c x]: exit code: 3");
        let pairs = BTreeMap::from([("containerimage.digest".to_owned(), "sha256:1".to_owned())]);
        assert_eq!(image_id(&Message::default().map(1, &pairs).0), Some("sha256:1".to_owned()));
    }
}
