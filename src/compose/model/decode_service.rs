//! Canonical JSON to a typed service.

use std::path::PathBuf;

use serde_json::Value as Json;

use crate::model::decode_parts as parts;
use crate::model::read::{
    bytes, count, each, flag, float, get, hosts, int, length, map, maybe_pairs, maybe_texts, object, pairs, string,
    text, texts,
};
use crate::model::service::{
    Attachment, Blkio, Condition, Dependency, Device, EnvFile, Hook, Logging, ModelBinding, Provider, Service, Ulimit,
};

/// Returns the service `name`.
pub fn service(name: &str, json: &Json) -> Service {
    let deploy = object(json, "deploy", parts::deploy);
    let replicas = count(json, "scale").or_else(|| deploy.as_ref().and_then(|deploy| deploy.replicas)).unwrap_or(1);
    let process = Service {
        name: name.to_owned(),
        image: text(json, "image"),
        build: object(json, "build", parts::build),
        provider: object(json, "provider", provider),
        command: maybe_texts(json, "command"),
        entrypoint: maybe_texts(json, "entrypoint"),
        environment: maybe_pairs(json, "environment"),
        env_files: each(json, "env_file", env_file),
        label_files: texts(json, "label_file").into_iter().map(PathBuf::from).collect(),
        labels: pairs(json, "labels"),
        annotations: pairs(json, "annotations"),
        joined_by_underscore: false,
        container_name: text(json, "container_name"),
        hostname: text(json, "hostname"),
        domainname: text(json, "domainname"),
        user: text(json, "user"),
        group_add: texts(json, "group_add"),
        working_dir: text(json, "working_dir"),
        depends_on: map(json, "depends_on", |_, json| dependency(json)),
        healthcheck: object(json, "healthcheck", parts::healthcheck),
        restart: text(json, "restart"),
        deploy,
        replicas,
        develop: object(json, "develop", parts::develop),
        configs: each(json, "configs", parts::file_reference),
        secrets: each(json, "secrets", parts::file_reference),
        profiles: texts(json, "profiles"),
        pull_policy: text(json, "pull_policy"),
        platform: text(json, "platform"),
        attach: get(json, "attach").and_then(Json::as_bool),
        init: get(json, "init").and_then(Json::as_bool),
        tty: flag(json, "tty"),
        stdin_open: flag(json, "stdin_open"),
        stop_signal: text(json, "stop_signal"),
        stop_grace_period: length(json, "stop_grace_period"),
        logging: object(json, "logging", |json| Logging {
            driver: text(json, "driver"),
            options: pairs(json, "options"),
        }),
        pre_start: each(json, "pre_start", hook),
        post_start: each(json, "post_start", hook),
        pre_stop: each(json, "pre_stop", hook),
        models: map(json, "models", |_, json| ModelBinding {
            endpoint_var: text(json, "endpoint_var"),
            model_var: text(json, "model_var"),
        }),
        use_api_socket: flag(json, "use_api_socket"),
        ..Service::default()
    };
    limits(json, surroundings(json, process))
}

/// Networks, mounts and namespaces.
fn surroundings(json: &Json, service: Service) -> Service {
    Service {
        ports: each(json, "ports", parts::port),
        expose: texts(json, "expose"),
        mounts: each(json, "volumes", parts::mount),
        tmpfs: texts(json, "tmpfs"),
        volumes_from: texts(json, "volumes_from"),
        networks: map(json, "networks", |_, json| attachment(json)),
        network_mode: text(json, "network_mode"),
        links: texts(json, "links"),
        external_links: texts(json, "external_links"),
        extra_hosts: hosts(json, "extra_hosts"),
        dns: texts(json, "dns"),
        dns_opt: texts(json, "dns_opt"),
        dns_search: texts(json, "dns_search"),
        mac_address: text(json, "mac_address"),
        pid: text(json, "pid"),
        ipc: text(json, "ipc"),
        uts: text(json, "uts"),
        cgroup: text(json, "cgroup"),
        cgroup_parent: text(json, "cgroup_parent"),
        userns_mode: text(json, "userns_mode"),
        isolation: text(json, "isolation"),
        credential_spec: json.get("credential_spec").is_some_and(|spec| !spec.is_null()),
        runtime: text(json, "runtime"),
        read_only: flag(json, "read_only"),
        privileged: flag(json, "privileged"),
        cap_add: texts(json, "cap_add"),
        cap_drop: texts(json, "cap_drop"),
        security_opt: texts(json, "security_opt"),
        devices: each(json, "devices", |json| Device {
            source: string(json, "source"),
            target: string(json, "target"),
            permissions: string(json, "permissions"),
        }),
        device_cgroup_rules: texts(json, "device_cgroup_rules"),
        gpus: each(json, "gpus", parts::device_request),
        sysctls: pairs(json, "sysctls"),
        ..service
    }
}

/// What the kernel holds the service to.
fn limits(json: &Json, service: Service) -> Service {
    Service {
        ulimits: map(json, "ulimits", |_, json| ulimit(json)),
        shm_size: bytes(json, "shm_size"),
        storage_opt: pairs(json, "storage_opt"),
        oom_kill_disable: flag(json, "oom_kill_disable"),
        oom_score_adj: int(json, "oom_score_adj"),
        cpus: float(json, "cpus"),
        cpu_count: int(json, "cpu_count"),
        cpu_percent: float(json, "cpu_percent"),
        cpu_period: int(json, "cpu_period"),
        cpu_quota: int(json, "cpu_quota"),
        cpu_rt_period: int(json, "cpu_rt_period"),
        cpu_rt_runtime: int(json, "cpu_rt_runtime"),
        cpu_shares: int(json, "cpu_shares"),
        cpuset: text(json, "cpuset"),
        mem_limit: bytes(json, "mem_limit"),
        mem_reservation: bytes(json, "mem_reservation"),
        mem_swappiness: bytes(json, "mem_swappiness").map(|value| value.0),
        memswap_limit: bytes(json, "memswap_limit"),
        pids_limit: int(json, "pids_limit"),
        blkio: object(json, "blkio_config", blkio),
        ..service
    }
}

fn provider(json: &Json) -> Provider {
    Provider { kind: string(json, "type"), options: map(json, "options", |_, json| crate::model::read::strings(json)) }
}

fn env_file(json: &Json) -> EnvFile {
    EnvFile {
        path: PathBuf::from(string(json, "path")),
        required: flag(json, "required"),
        format: text(json, "format"),
    }
}

fn dependency(json: &Json) -> Dependency {
    let condition = match json["condition"].as_str() {
        Some("service_healthy") => Condition::Healthy,
        Some("service_completed_successfully") => Condition::CompletedSuccessfully,
        _ => Condition::Started,
    };
    Dependency { condition, restart: flag(json, "restart"), required: flag(json, "required") }
}

/// Returns the hook.
pub fn hook(json: &Json) -> Hook {
    Hook {
        command: texts(json, "command"),
        image: text(json, "image"),
        per_replica: flag(json, "per_replica"),
        user: text(json, "user"),
        privileged: flag(json, "privileged"),
        working_dir: text(json, "working_dir"),
        environment: maybe_pairs(json, "environment"),
    }
}

fn attachment(json: &Json) -> Attachment {
    Attachment {
        aliases: texts(json, "aliases"),
        ipv4_address: text(json, "ipv4_address"),
        ipv6_address: text(json, "ipv6_address"),
        link_local_ips: texts(json, "link_local_ips"),
        mac_address: text(json, "mac_address"),
        driver_opts: pairs(json, "driver_opts"),
        priority: int(json, "priority").unwrap_or_default(),
        gw_priority: int(json, "gw_priority").unwrap_or_default(),
        interface_name: text(json, "interface_name"),
    }
}

/// Returns the limit; one number is both.
pub fn ulimit(json: &Json) -> Ulimit {
    match json.as_i64() {
        Some(limit) => Ulimit { soft: limit, hard: limit },
        None => Ulimit { soft: int(json, "soft").unwrap_or_default(), hard: int(json, "hard").unwrap_or_default() },
    }
}

fn blkio(json: &Json) -> Blkio {
    let rates = |key: &str| {
        each(json, key, |json| {
            let rate = string(json, "Rate").parse().unwrap_or_default();
            (string(json, "Path"), rate)
        })
    };
    let small = |json: &Json, key: &str| int(json, key).and_then(|value| u16::try_from(value).ok());
    Blkio {
        weight: small(json, "weight"),
        weight_device: each(json, "weight_device", |json| {
            (string(json, "Path"), small(json, "Weight").unwrap_or_default())
        }),
        device_read_bps: rates("device_read_bps"),
        device_write_bps: rates("device_write_bps"),
        device_read_iops: rates("device_read_iops"),
        device_write_iops: rates("device_write_iops"),
    }
}
