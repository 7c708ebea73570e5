//! Canonical JSON to the typed parts of services.

use serde_json::{Map, Value as Json};

use crate::model::build::Build;
use crate::model::decode_service::{hook, ulimit};
use crate::model::deploy::{Deploy, DeviceRequest, Resources, RestartPolicy};
use crate::model::develop::{Develop, WatchAction, WatchRule};
use crate::model::file_object::FileReference;
use crate::model::healthcheck::Healthcheck;
use crate::model::mount::{BindOptions, Mount, MountKind, TmpfsOptions, VolumeOptions};
use crate::model::port::Port;
use crate::model::read::{
    bytes, count, each, flag, float, get, hosts, int, length, map, maybe_pairs, maybe_texts, mode, object, pairs,
    string, text, texts, unsigned,
};

/// Returns the build.
pub fn build(json: &Json) -> Build {
    Build {
        context: string(json, "context"),
        dockerfile: text(json, "dockerfile"),
        dockerfile_inline: text(json, "dockerfile_inline"),
        args: maybe_pairs(json, "args"),
        ssh: texts(json, "ssh")
            .into_iter()
            .map(|key| match key.split_once('=') {
                Some((id, path)) => (id.to_owned(), Some(path.to_owned())),
                None => (key, None),
            })
            .collect(),
        labels: pairs(json, "labels"),
        cache_from: texts(json, "cache_from"),
        cache_to: texts(json, "cache_to"),
        no_cache: flag(json, "no_cache"),
        no_cache_filter: texts(json, "no_cache_filter"),
        additional_contexts: pairs(json, "additional_contexts"),
        network: text(json, "network"),
        provenance: text(json, "provenance"),
        sbom: text(json, "sbom"),
        pull: flag(json, "pull"),
        target: text(json, "target"),
        shm_size: bytes(json, "shm_size"),
        extra_hosts: hosts(json, "extra_hosts"),
        isolation: text(json, "isolation"),
        privileged: flag(json, "privileged"),
        secrets: each(json, "secrets", file_reference),
        tags: texts(json, "tags"),
        ulimits: map(json, "ulimits", |_, json| ulimit(json)),
        platforms: texts(json, "platforms"),
        entitlements: texts(json, "entitlements"),
    }
}

/// Returns the `deploy` section.
pub fn deploy(json: &Json) -> Deploy {
    let resources = &json["resources"];
    let rest: Map<String, Json> = ["update_config", "rollback_config", "placement"]
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), get(json, key)?.clone())))
        .collect();
    Deploy {
        mode: text(json, "mode"),
        endpoint_mode: text(json, "endpoint_mode"),
        replicas: count(json, "replicas"),
        labels: pairs(json, "labels"),
        limits: object(resources, "limits", self::resources),
        reservations: object(resources, "reservations", self::resources),
        restart_policy: object(json, "restart_policy", |json| RestartPolicy {
            condition: text(json, "condition"),
            delay: length(json, "delay"),
            max_attempts: unsigned(json, "max_attempts"),
            window: length(json, "window"),
        }),
        rest: Json::Object(rest),
    }
}

fn resources(json: &Json) -> Resources {
    Resources {
        cpus: float(json, "cpus"),
        memory: bytes(json, "memory"),
        pids: int(json, "pids"),
        devices: each(json, "devices", device_request),
    }
}

/// Returns the request for devices.
pub fn device_request(json: &Json) -> DeviceRequest {
    DeviceRequest {
        capabilities: texts(json, "capabilities"),
        driver: text(json, "driver"),
        count: int(json, "count"),
        device_ids: texts(json, "device_ids"),
        options: pairs(json, "options"),
    }
}

/// Returns the health check.
pub fn healthcheck(json: &Json) -> Healthcheck {
    Healthcheck {
        test: maybe_texts(json, "test"),
        interval: length(json, "interval"),
        timeout: length(json, "timeout"),
        retries: unsigned(json, "retries"),
        start_period: length(json, "start_period"),
        start_interval: length(json, "start_interval"),
        disable: flag(json, "disable"),
    }
}

/// Returns the `develop` section.
pub fn develop(json: &Json) -> Develop {
    Develop {
        watch: each(json, "watch", |json| WatchRule {
            path: string(json, "path"),
            action: match json["action"].as_str() {
                Some("sync") => WatchAction::Sync,
                Some("restart") => WatchAction::Restart,
                Some("sync+restart") => WatchAction::SyncRestart,
                Some("sync+exec") => WatchAction::SyncExec,
                _ => WatchAction::Rebuild,
            },
            target: text(json, "target"),
            ignore: texts(json, "ignore"),
            include: texts(json, "include"),
            initial_sync: flag(json, "initial_sync"),
            exec: object(json, "exec", hook).filter(|hook| !hook.command.is_empty()),
        }),
    }
}

/// Returns the use of a config or secret.
pub fn file_reference(json: &Json) -> FileReference {
    let source = string(json, "source");
    // A config lands in the root; a secret's target is filled in among the defaults.
    let target = text(json, "target").unwrap_or_else(|| format!("/{source}"));
    FileReference { source, target, uid: text(json, "uid"), gid: text(json, "gid"), mode: mode(json, "mode") }
}

/// Returns the port.
pub fn port(json: &Json) -> Port {
    Port {
        name: text(json, "name"),
        mode: string(json, "mode"),
        host_ip: text(json, "host_ip"),
        target: int(json, "target").and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
        published: text(json, "published"),
        protocol: string(json, "protocol"),
        app_protocol: text(json, "app_protocol"),
    }
}

/// Returns the mount.
pub fn mount(json: &Json) -> Mount {
    Mount {
        kind: match json["type"].as_str() {
            Some("bind") => MountKind::Bind,
            Some("tmpfs") => MountKind::Tmpfs,
            Some("image") => MountKind::Image,
            Some("npipe") => MountKind::NamedPipe,
            Some("cluster") => MountKind::Cluster,
            _ => MountKind::Volume,
        },
        source: text(json, "source"),
        target: string(json, "target"),
        read_only: flag(json, "read_only"),
        consistency: text(json, "consistency"),
        bind: object(json, "bind", |json| BindOptions {
            propagation: text(json, "propagation"),
            create_host_path: flag(json, "create_host_path"),
            selinux: text(json, "selinux"),
            recursive: text(json, "recursive"),
        }),
        volume: object(json, "volume", |json| VolumeOptions {
            nocopy: flag(json, "nocopy"),
            subpath: text(json, "subpath"),
            labels: pairs(json, "labels"),
        }),
        tmpfs: object(json, "tmpfs", |json| TmpfsOptions { size: bytes(json, "size"), mode: count(json, "mode") }),
        image_subpath: get(json, "image").and_then(|image| text(image, "subpath")),
    }
}
