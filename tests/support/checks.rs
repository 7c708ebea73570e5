//! Observables: what a scenario may assert, each once.

use serde_json::Value;

use crate::support::host::{Host, http};

/// Every container is running, and these are all of them.
#[track_caller]
pub fn only_these_run(host: &Host, names: &[&str]) {
    let all = host.ps();
    let mut running: Vec<_> =
        all.iter().filter(|container| container["State"] == "running").map(|c| text(c, "Name")).collect();
    running.sort();
    assert_eq!(running, names, "{all:#?}");
}

/// No container of the project is there, running or not.
#[track_caller]
pub fn nothing_is_there(host: &Host) {
    assert_eq!(host.ps(), Vec::<Value>::new());
}

/// Nothing was recreated between two looks: same names, same ids.
#[track_caller]
pub fn same_containers(before: &[Value], after: &[Value]) {
    let ids = |all: &[Value]| {
        let mut ids: Vec<_> = all.iter().map(|container| (text(container, "Name"), text(container, "ID"))).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(before), ids(after));
}

/// The host's port answers HTTP with a body that holds `part`.
#[track_caller]
pub fn port_answers(address: &str, part: &str) {
    let body = http(address, "GET / HTTP/1.0\r\n\r\n");
    assert!(body.as_ref().is_some_and(|body| body.contains(part)), "{address} answered {body:?}");
}

/// Nobody answers at the host's port.
#[track_caller]
pub fn port_is_closed(address: &str) {
    assert_eq!(http(address, "GET / HTTP/1.0\r\n\r\n"), None);
}

/// A field of a `ps` line.
#[track_caller]
pub fn text(container: &Value, field: &str) -> String {
    container[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {container}")).to_owned()
}
