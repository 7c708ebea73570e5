//! The table of places that merge in a way of their own, and of lists whose items have a key.

use std::sync::LazyLock;

use crate::document::path::{Place, PlaceTable};

/// How two values become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The later one stays.
    Replace,
    /// Both become lists (`K=V` of a mapping) and are joined.
    ToSequence,
    /// Joined without exact duplicates.
    ExtraHosts,
    /// A text is the context.
    Build,
    /// A list becomes its long form.
    DependsOn,
    /// A list of names becomes a mapping without values.
    NamesToMapping,
    /// Options add up if the driver is the same.
    Logging,
    /// Pools by their subnet.
    IpamConfig,
}

const RULES: &[(&str, Rule)] = &[
    ("networks.*.ipam.config", Rule::IpamConfig),
    ("networks.*.labels", Rule::ToSequence),
    ("volumes.*.labels", Rule::ToSequence),
    ("services.*.annotations", Rule::ToSequence),
    ("services.*.build", Rule::Build),
    ("services.*.build.args", Rule::ToSequence),
    ("services.*.build.additional_contexts", Rule::ToSequence),
    ("services.*.build.extra_hosts", Rule::ExtraHosts),
    ("services.*.build.labels", Rule::ToSequence),
    ("services.*.command", Rule::Replace),
    ("services.*.depends_on", Rule::DependsOn),
    ("services.*.deploy.labels", Rule::ToSequence),
    ("services.*.dns", Rule::ToSequence),
    ("services.*.dns_opt", Rule::ToSequence),
    ("services.*.dns_search", Rule::ToSequence),
    ("services.*.entrypoint", Rule::Replace),
    ("services.*.env_file", Rule::ToSequence),
    ("services.*.label_file", Rule::ToSequence),
    ("services.*.environment", Rule::ToSequence),
    ("services.*.extra_hosts", Rule::ExtraHosts),
    ("services.*.healthcheck.test", Rule::Replace),
    ("services.*.labels", Rule::ToSequence),
    ("services.*.volumes.*.volume.labels", Rule::ToSequence),
    ("services.*.logging", Rule::Logging),
    ("services.*.models", Rule::NamesToMapping),
    ("services.*.networks", Rule::NamesToMapping),
    ("services.*.sysctls", Rule::ToSequence),
    ("services.*.tmpfs", Rule::ToSequence),
    ("services.*.ulimits.*", Rule::Replace),
];

/// Returns the rule of `place`, if it has one of its own.
pub fn rule(place: &Place<'_>) -> Option<Rule> {
    static TABLE: LazyLock<PlaceTable<Rule>> = LazyLock::new(|| PlaceTable::new(RULES));
    TABLE.find(place)
}

/// What makes two items of a list the same; the later one takes the place of the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The text before a `=`.
    Name,
    /// The target of a mount.
    VolumeTarget,
    /// The path of a device in the container.
    DeviceTarget,
    /// The target of a config or secret, else the folder and its name.
    FileTarget(&'static str),
    /// The path of an env file.
    EnvFilePath,
    /// The text or number.
    Text,
    /// Address, both ports and protocol.
    Port,
}

const IDENTITIES: &[(&str, Identity)] = &[
    ("networks.*.labels", Identity::Name),
    ("networks.*.ipam.options", Identity::Name),
    ("services.*.annotations", Identity::Name),
    ("services.*.build.args", Identity::Name),
    ("services.*.build.additional_contexts", Identity::Name),
    ("services.*.build.platform", Identity::Name),
    ("services.*.build.tags", Identity::Name),
    ("services.*.build.labels", Identity::Name),
    ("services.*.cap_add", Identity::Name),
    ("services.*.cap_drop", Identity::Name),
    ("services.*.devices", Identity::DeviceTarget),
    ("services.*.configs", Identity::FileTarget("")),
    ("services.*.deploy.labels", Identity::Name),
    ("services.*.dns", Identity::Name),
    ("services.*.dns_opt", Identity::Name),
    ("services.*.dns_search", Identity::Name),
    ("services.*.environment", Identity::Name),
    ("services.*.env_file", Identity::EnvFilePath),
    ("services.*.expose", Identity::Text),
    ("services.*.labels", Identity::Name),
    ("services.*.links", Identity::Name),
    ("services.*.networks.*.aliases", Identity::Name),
    ("services.*.networks.*.link_local_ips", Identity::Name),
    ("services.*.ports", Identity::Port),
    ("services.*.profiles", Identity::Name),
    ("services.*.secrets", Identity::FileTarget("/run/secrets")),
    ("services.*.sysctls", Identity::Name),
    ("services.*.tmpfs", Identity::Name),
    ("services.*.volumes", Identity::VolumeTarget),
];

/// Returns what makes two items of the list at `place` the same, if anything does.
pub fn identity(place: &Place<'_>) -> Option<Identity> {
    static TABLE: LazyLock<PlaceTable<Identity>> = LazyLock::new(|| PlaceTable::new(IDENTITIES));
    TABLE.find(place)
}
