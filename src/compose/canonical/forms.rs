//! The attributes of every object in the order in which `config` prints them, with the final form of each.

use serde_json::{Map, Value as Json};

/// The final form of a value.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is told by its arm in `encode`")]
pub enum Form {
    Text,
    /// Left out when false.
    Bool,
    MaybeBool,
    /// Left out when zero.
    Int,
    MaybeInt,
    /// From 0 on.
    MaybeCount,
    /// A number in the file too: a string is none. Left out when zero.
    Number,
    /// A number in the file too: a string is none.
    MaybeNumber,
    Float,
    Bytes,
    /// Left out when zero.
    Duration,
    MaybeDuration,
    Texts,
    /// Texts of any scalar.
    Plains,
    List(&'static Form),
    Object(&'static [Field]),
    Map(&'static Form),
    Environment,
    Mapping,
    Labels,
    Options,
    MultiOptions,
    Hosts,
    Ssh,
    Command,
    Test,
    Mode,
    Ulimit,
    DeviceCount,
}

/// What an attribute that is not written is printed as.
#[derive(Debug)]
pub enum Missing {
    /// Not at all.
    Omitted,
    /// `null`.
    Null,
    /// `false`.
    False,
    /// An empty object.
    Empty,
    /// A hook without a command.
    EmptyHook,
}

/// One attribute.
#[derive(Debug)]
pub struct Field {
    /// Name in the file.
    pub name: &'static str,
    /// Name in print, if another.
    pub shown: Option<&'static str>,
    /// The final form.
    pub form: Form,
    missing: Missing,
}

impl Field {
    const fn new(name: &'static str, form: Form) -> Self {
        Self { name, shown: None, form, missing: Missing::Omitted }
    }

    const fn or(self, missing: Missing) -> Self {
        Self { missing, ..self }
    }

    const fn shown(self, shown: &'static str) -> Self {
        Self { shown: Some(shown), ..self }
    }

    /// Returns what stands for this attribute when it is not written.
    pub fn missing(&self) -> Option<Json> {
        match self.missing {
            Missing::Omitted => None,
            Missing::Null => Some(Json::Null),
            Missing::False => Some(Json::Bool(false)),
            Missing::Empty => Some(Json::Object(Map::new())),
            Missing::EmptyHook => Some(Json::Object(Map::from_iter([("command".to_owned(), Json::Null)]))),
        }
    }
}

const fn f(name: &'static str, form: Form) -> Field {
    Field::new(name, form)
}

use Form::{
    Bool, Bytes, Command, DeviceCount, Duration, Environment, Float, Hosts, Int, Labels, List, Map as MapOf, Mapping,
    MaybeBool, MaybeCount, MaybeDuration, MaybeInt, MaybeNumber, Mode, MultiOptions, Number, Object, Options, Plains,
    Ssh, Test, Text, Texts, Ulimit,
};

/// The sections of a project.
pub const SECTIONS: &[(&str, &[Field])] = &[
    ("services", SERVICE),
    ("networks", NETWORK),
    ("volumes", VOLUME),
    ("secrets", FILE_OBJECT),
    ("configs", FILE_OBJECT),
    ("models", MODEL),
];

const SERVICE: &[Field] = &[
    f("profiles", Texts),
    f("annotations", Mapping),
    f("attach", MaybeBool),
    f("build", Object(BUILD)),
    f("develop", Object(DEVELOP)),
    f("blkio_config", Object(BLKIO)),
    f("cap_add", Texts),
    f("cap_drop", Texts),
    f("cgroup_parent", Text),
    f("cgroup", Text),
    f("cpu_count", Int),
    f("cpu_percent", Float),
    f("cpu_period", Int),
    f("cpu_quota", Int),
    f("cpu_rt_period", Int),
    f("cpu_rt_runtime", Int),
    f("cpus", Float),
    f("cpuset", Text),
    f("cpu_shares", Int),
    f("command", Command).or(Missing::Null),
    f("configs", List(&Object(FILE_MOUNT))),
    f("container_name", Text),
    f("credential_spec", Object(CREDENTIAL_SPEC)),
    f("depends_on", MapOf(&Object(DEPENDENCY))),
    f("deploy", Object(DEPLOY)),
    f("device_cgroup_rules", Texts),
    f("devices", List(&Object(DEVICE))),
    f("dns", Texts),
    f("dns_opt", Texts),
    f("dns_search", Texts),
    f("domainname", Text),
    f("entrypoint", Command).or(Missing::Null),
    f("provider", Object(PROVIDER)),
    f("environment", Environment),
    f("env_file", List(&Object(ENV_FILE))),
    f("expose", Plains),
    f("extends", Object(EXTENDS)),
    f("external_links", Texts),
    f("extra_hosts", Hosts),
    f("group_add", Plains),
    f("gpus", List(&Object(DEVICE_REQUEST))),
    f("hostname", Text),
    f("healthcheck", Object(HEALTHCHECK)),
    f("image", Text),
    f("init", MaybeBool),
    f("ipc", Text),
    f("isolation", Text),
    f("labels", Labels),
    f("label_file", Texts),
    f("links", Texts),
    f("logging", Object(LOGGING)),
    f("mem_limit", Bytes),
    f("mem_reservation", Bytes),
    f("memswap_limit", Bytes),
    f("mem_swappiness", Bytes),
    f("mac_address", Text),
    f("models", MapOf(&Object(MODEL_BINDING))),
    f("network_mode", Text),
    f("networks", MapOf(&Object(ATTACHMENT))),
    f("oom_kill_disable", Bool),
    f("oom_score_adj", Int),
    f("pid", Text),
    f("pids_limit", Int),
    f("platform", Text),
    f("ports", List(&Object(PORT))),
    f("privileged", Bool),
    f("pull_policy", Text),
    f("read_only", Bool),
    f("restart", Text),
    f("runtime", Text),
    f("scale", MaybeInt),
    f("secrets", List(&Object(FILE_MOUNT))),
    f("security_opt", Texts),
    f("shm_size", Bytes),
    f("stdin_open", Bool),
    f("stop_grace_period", MaybeDuration),
    f("stop_signal", Text),
    f("storage_opt", Options),
    f("sysctls", Mapping),
    f("tmpfs", Texts),
    f("tty", Bool),
    f("ulimits", MapOf(&Ulimit)),
    f("use_api_socket", Bool),
    f("user", Text),
    f("userns_mode", Text),
    f("uts", Text),
    f("volumes", List(&Object(MOUNT))),
    f("volumes_from", Texts),
    f("working_dir", Text),
    f("pre_start", List(&Object(HOOK))),
    f("post_start", List(&Object(HOOK))),
    f("pre_stop", List(&Object(HOOK))),
];

const BUILD: &[Field] = &[
    f("context", Text),
    f("dockerfile", Text),
    f("dockerfile_inline", Text),
    f("entitlements", Texts),
    f("args", Environment),
    f("provenance", Text),
    f("sbom", Text),
    f("ssh", Ssh),
    f("labels", Labels),
    f("cache_from", Texts),
    f("cache_to", Texts),
    f("no_cache", Bool),
    f("no_cache_filter", Texts),
    f("additional_contexts", Mapping),
    f("pull", Bool),
    f("extra_hosts", Hosts),
    f("isolation", Text),
    f("network", Text),
    f("target", Text),
    f("secrets", List(&Object(FILE_MOUNT))),
    f("shm_size", Bytes),
    f("tags", Texts),
    f("ulimits", MapOf(&Ulimit)),
    f("platforms", Texts),
    f("privileged", Bool),
];

const DEVELOP: &[Field] = &[f("watch", List(&Object(WATCH_RULE)))];

const WATCH_RULE: &[Field] = &[
    f("path", Text),
    f("action", Text),
    f("target", Text),
    f("exec", Object(HOOK)).or(Missing::EmptyHook),
    f("include", Texts),
    f("ignore", Texts),
    f("initial_sync", Bool),
];

const HOOK: &[Field] = &[
    f("command", Command).or(Missing::Null),
    f("user", Text),
    f("privileged", Bool),
    f("working_dir", Text),
    f("environment", Environment),
    f("image", Text),
    f("per_replica", Bool),
];

const BLKIO: &[Field] = &[
    f("weight", Number),
    f("weight_device", List(&Object(WEIGHT))),
    f("device_read_bps", List(&Object(RATE))),
    f("device_read_iops", List(&Object(RATE))),
    f("device_write_bps", List(&Object(RATE))),
    f("device_write_iops", List(&Object(RATE))),
];

const WEIGHT: &[Field] = &[f("path", Text).shown("Path"), f("weight", MaybeNumber).shown("Weight")];
const RATE: &[Field] = &[f("path", Text).shown("Path"), f("rate", Bytes).shown("Rate")];

const FILE_MOUNT: &[Field] = &[f("source", Text), f("target", Text), f("uid", Text), f("gid", Text), f("mode", Mode)];

const CREDENTIAL_SPEC: &[Field] = &[f("config", Text), f("file", Text), f("registry", Text)];

const DEPENDENCY: &[Field] = &[f("condition", Text), f("restart", Bool), f("required", MaybeBool).or(Missing::False)];

const DEPLOY: &[Field] = &[
    f("mode", Text),
    f("replicas", MaybeInt),
    f("labels", Labels),
    f("update_config", Object(UPDATE)),
    f("rollback_config", Object(UPDATE)),
    f("resources", Object(RESOURCES)).or(Missing::Empty),
    f("restart_policy", Object(RESTART_POLICY)),
    f("placement", Object(PLACEMENT)).or(Missing::Empty),
    f("endpoint_mode", Text),
];

const UPDATE: &[Field] = &[
    f("parallelism", MaybeCount),
    f("delay", Duration),
    f("failure_action", Text),
    f("monitor", Duration),
    f("max_failure_ratio", Float),
    f("order", Text),
];

const RESOURCES: &[Field] = &[f("limits", Object(RESOURCE)), f("reservations", Object(RESOURCE))];

const RESOURCE: &[Field] = &[
    f("cpus", Float),
    f("memory", Bytes),
    f("pids", Int),
    f("devices", List(&Object(DEVICE_REQUEST))),
    f("generic_resources", List(&Object(GENERIC_RESOURCE))),
];

const GENERIC_RESOURCE: &[Field] = &[f("discrete_resource_spec", Object(DISCRETE))];
const DISCRETE: &[Field] = &[f("kind", Text), f("value", MaybeInt)];

const DEVICE_REQUEST: &[Field] = &[
    f("capabilities", Texts),
    f("driver", Text),
    f("count", DeviceCount),
    f("device_ids", Texts),
    f("options", Mapping),
];

const RESTART_POLICY: &[Field] =
    &[f("condition", Text), f("delay", MaybeDuration), f("max_attempts", MaybeCount), f("window", MaybeDuration)];

const PLACEMENT: &[Field] =
    &[f("constraints", Texts), f("preferences", List(&Object(PREFERENCE))), f("max_replicas_per_node", Int)];
const PREFERENCE: &[Field] = &[f("spread", Text)];

const DEVICE: &[Field] = &[f("source", Text), f("target", Text), f("permissions", Text)];

const PROVIDER: &[Field] = &[f("type", Text), f("options", MultiOptions)];

const ENV_FILE: &[Field] = &[f("path", Text), f("required", MaybeBool).or(Missing::False), f("format", Text)];

const EXTENDS: &[Field] = &[f("file", Text), f("service", Text)];

const HEALTHCHECK: &[Field] = &[
    f("test", Test),
    f("timeout", MaybeDuration),
    f("interval", MaybeDuration),
    f("retries", MaybeCount),
    f("start_period", MaybeDuration),
    f("start_interval", MaybeDuration),
    f("disable", Bool),
];

const LOGGING: &[Field] = &[f("driver", Text), f("options", Options)];

const MODEL_BINDING: &[Field] = &[f("endpoint_var", Text), f("model_var", Text)];

const ATTACHMENT: &[Field] = &[
    f("aliases", Texts),
    f("driver_opts", Options),
    f("gw_priority", Int),
    f("interface_name", Text),
    f("ipv4_address", Text),
    f("ipv6_address", Text),
    f("link_local_ips", Texts),
    f("mac_address", Text),
    f("priority", Int),
];

const PORT: &[Field] = &[
    f("name", Text),
    f("mode", Text),
    f("host_ip", Text),
    f("target", Int),
    f("published", Text),
    f("protocol", Text),
    f("app_protocol", Text),
];

const MOUNT: &[Field] = &[
    f("type", Text),
    f("source", Text),
    f("target", Text),
    f("read_only", Bool),
    f("consistency", Text),
    f("bind", Object(BIND)),
    f("volume", Object(VOLUME_OPTIONS)),
    f("tmpfs", Object(TMPFS)),
    f("image", Object(IMAGE_OPTIONS)),
];
const BIND: &[Field] = &[f("selinux", Text), f("propagation", Text), f("create_host_path", Bool), f("recursive", Text)];
const VOLUME_OPTIONS: &[Field] = &[f("labels", Mapping), f("nocopy", Bool), f("subpath", Text)];
const TMPFS: &[Field] = &[f("size", Bytes), f("mode", Number)];
const IMAGE_OPTIONS: &[Field] = &[f("subpath", Text)];

const NETWORK: &[Field] = &[
    f("name", Text),
    f("driver", Text),
    f("driver_opts", Options),
    f("ipam", Object(IPAM)).or(Missing::Empty),
    f("external", Bool),
    f("internal", Bool),
    f("attachable", Bool),
    f("labels", Labels),
    f("enable_ipv4", MaybeBool),
    f("enable_ipv6", MaybeBool),
];
const IPAM: &[Field] = &[f("driver", Text), f("config", List(&Object(IPAM_POOL)))];
const IPAM_POOL: &[Field] = &[f("subnet", Text), f("gateway", Text), f("ip_range", Text), f("aux_addresses", Mapping)];

const VOLUME: &[Field] =
    &[f("name", Text), f("driver", Text), f("driver_opts", Options), f("external", Bool), f("labels", Labels)];

const FILE_OBJECT: &[Field] = &[
    f("name", Text),
    f("file", Text),
    f("environment", Text),
    f("content", Text),
    f("external", Bool),
    f("labels", Labels),
    f("driver", Text),
    f("driver_opts", Options),
    f("template_driver", Text),
];

const MODEL: &[Field] = &[f("name", Text), f("model", Text), f("context_size", Int), f("runtime_flags", Texts)];

/// Returns the attributes of a service in the order in which they are printed.
pub fn service_attributes() -> impl Iterator<Item = &'static str> {
    SERVICE.iter().map(|field| field.name)
}
