//! Canonical JSON to the typed project.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::model::decode_service;
use crate::model::file_object::{Config, Content, Secret};
use crate::model::network::{Ipam, IpamPool, Network};
use crate::model::project::Project;
use crate::model::read::{each, flag, get, int, map, object, pairs, string, text, texts};
use crate::model::service::{Model, Service};
use crate::model::volume::Volume;

/// Fills `project` from its canonical tree; `disabled` are the services that it leaves out.
pub fn decode(mut project: Project, disabled: &BTreeMap<String, Json>) -> Project {
    let json = &project.canonical;
    project.services = services(&json["services"]);
    project.disabled_services =
        disabled.iter().map(|(name, json)| (name.clone(), decode_service::service(name, json))).collect();
    project.networks = map(json, "networks", |_, json| network(json));
    project.volumes = map(json, "volumes", |_, json| Volume {
        name: string(json, "name"),
        driver: text(json, "driver"),
        driver_opts: pairs(json, "driver_opts"),
        external: flag(json, "external"),
        labels: pairs(json, "labels"),
    });
    project.configs = map(json, "configs", |_, json| Config {
        name: string(json, "name"),
        content: content(json),
        labels: pairs(json, "labels"),
        template_driver: text(json, "template_driver"),
    });
    project.secrets = map(json, "secrets", |_, json| Secret {
        name: string(json, "name"),
        content: content(json),
        labels: pairs(json, "labels"),
        driver: text(json, "driver"),
        driver_opts: pairs(json, "driver_opts"),
        template_driver: text(json, "template_driver"),
    });
    project.models = map(json, "models", |_, json| Model {
        name: text(json, "name"),
        model: string(json, "model"),
        context_size: int(json, "context_size"),
        runtime_flags: texts(json, "runtime_flags"),
    });
    project
}

/// Returns the services of a section.
fn services(section: &Json) -> BTreeMap<String, Service> {
    let section = section.as_object().into_iter().flatten();
    section.map(|(name, json)| (name.clone(), decode_service::service(name, json))).collect()
}

fn network(json: &Json) -> Network {
    Network {
        name: string(json, "name"),
        driver: text(json, "driver"),
        driver_opts: pairs(json, "driver_opts"),
        ipam: object(json, "ipam", |json| Ipam {
            driver: text(json, "driver"),
            config: each(json, "config", |json| IpamPool {
                subnet: text(json, "subnet"),
                ip_range: text(json, "ip_range"),
                gateway: text(json, "gateway"),
                aux_addresses: pairs(json, "aux_addresses"),
            }),
            options: pairs(json, "options"),
        })
        .unwrap_or_default(),
        external: flag(json, "external"),
        internal: flag(json, "internal"),
        attachable: flag(json, "attachable"),
        enable_ipv4: get(json, "enable_ipv4").and_then(Json::as_bool),
        enable_ipv6: get(json, "enable_ipv6").and_then(Json::as_bool),
        labels: pairs(json, "labels"),
    }
}

fn content(json: &Json) -> Content {
    match (text(json, "file"), text(json, "environment"), text(json, "content")) {
        (Some(file), _, _) => Content::File(file),
        (_, Some(name), _) => Content::Environment(name),
        (_, _, Some(text)) => Content::Inline(text),
        (None, None, None) => Content::External,
    }
}
