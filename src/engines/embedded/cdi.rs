//! Devices by name, as the host describes them below `/etc/cdi` (Container Device Interface 0.6), and `gpus`, which are
//! such devices of a known kind.

use std::path::{Path, PathBuf};

use orchestrator::engine::container::{ContainerSpec, DeviceRequest};
use runtime::container::request::{ContainerRequest, MountRequest, MountSourceRequest};
use runtime::state::container::DeviceRecord;
use serde_json::Value;

/// Where descriptions are; a later one counts more.
const FOLDERS: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];
/// Kinds of devices that have a capability which requests ask for.
const KINDS: [(&str, &[&str]); 1] = [("gpu", &["nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu"])];

/// Says whether a device is given by its name (`vendor.com/class=name`) rather than by its path.
pub(crate) fn is_name(text: &str) -> bool {
    !text.starts_with('/') && text.split_once('=').is_some_and(|(kind, name)| kind.contains('/') && !name.is_empty())
}

/// Adds what the devices that a container asks for need; the error is the reason why one can't be had.
pub(crate) fn apply(spec: &ContainerSpec, request: &mut ContainerRequest) -> Result<(), String> {
    let by_name: Vec<&str> =
        spec.devices.iter().map(|device| device.source.as_str()).filter(|it| is_name(it)).collect();
    if by_name.is_empty() && spec.device_requests.is_empty() {
        return Ok(());
    }
    let host = Host::read(&FOLDERS.map(PathBuf::from));
    for name in by_name {
        host.device(name)?.apply(name, request)?;
    }
    for asked in &spec.device_requests {
        for name in host.names(asked)? {
            host.device(&name)?.apply(&name, request)?;
        }
    }
    Ok(())
}

/// What the host describes.
struct Host {
    /// Those that count more come first.
    documents: Vec<Value>,
}

/// What a device asks a container to have.
struct Edits<'a>(Vec<&'a Value>);

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

impl Host {
    fn read(folders: &[PathBuf]) -> Self {
        let mut paths: Vec<PathBuf> = Vec::new();
        for folder in folders {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            found.sort();
            paths.extend(found);
        }
        let document = |path: &PathBuf| match read(path) {
            Some(Ok(document)) => Some(document),
            Some(Err(error)) => {
                tracing::warn!(%error, "cannot read the description of devices `{}`", path.display());
                None
            }
            None => None,
        };
        Self { documents: paths.iter().rev().filter_map(document).collect() }
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.documents.iter().filter(move |document| text(document, "kind") == Some(kind))
    }

    /// Returns the names of what a request asks for.
    fn names(&self, asked: &DeviceRequest) -> Result<Vec<String>, String> {
        if let Some(name) = asked.device_ids.iter().find(|name| is_name(name)) {
            return match asked.device_ids.iter().all(|name| is_name(name)) {
                true => Ok(asked.device_ids.clone()),
                false => Err(format!("`{name}` is a device's full name, others asked for with it are not")),
            };
        }
        let words = asked.capabilities.join(", ");
        let kinds = KINDS.iter().find(|(capability, _)| asked.capabilities.iter().any(|has| has == capability));
        let Some((capability, kinds)) = kinds else {
            return Err(format!(
                "no kind of devices is known that can do `{words}`: name them (`vendor.com/class=name`)"
            ));
        };
        let fits =
            |kind: &&&str| asked.driver.as_deref().is_none_or(|driver| kind.starts_with(driver) || driver == "cdi");
        let kind = kinds.iter().filter(fits).find(|kind| self.of_kind(kind).next().is_some()).ok_or_else(|| {
            format!("this host describes no `{capability}` devices: {} has no `kind: {}`", FOLDERS[0], kinds[0])
        })?;
        let all: Vec<&str> = self
            .of_kind(kind)
            .flat_map(|document| list(document, "devices"))
            .filter_map(|device| text(device, "name"))
            .filter(|name| *name != "all")
            .collect();
        let full = |name: &str| format!("{kind}={name}");
        match asked.count {
            _ if !asked.device_ids.is_empty() => Ok(asked.device_ids.iter().map(|name| full(name)).collect()),
            None | Some(..0) => Ok(all.iter().map(|name| full(name)).collect()),
            Some(count) => {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                // A device often goes by several names: its number, and its unique one.
                let numbered: Vec<&&str> = all.iter().filter(|name| name.parse::<u32>().is_ok()).collect();
                let from: Vec<&&str> = if numbered.is_empty() { all.iter().collect() } else { numbered };
                if count > from.len() {
                    return Err(format!("{count} devices `{kind}` are asked for, and the host has {}", from.len()));
                }
                Ok(from.into_iter().take(count).map(|name| full(name)).collect())
            }
        }
    }

    fn device(&self, full: &str) -> Result<Edits<'_>, String> {
        let (kind, name) = full.split_once('=').unwrap_or((full, ""));
        for document in self.of_kind(kind) {
            if let Some(device) = list(document, "devices").find(|device| text(device, "name") == Some(name)) {
                let edits = [document.get("containerEdits"), device.get("containerEdits")];
                return Ok(Edits(edits.into_iter().flatten().collect()));
            }
        }
        Err(format!("no device `{full}` is described in {}", FOLDERS.join(" or ")))
    }
}

/// Returns `None` for a file that is no description.
fn read(path: &Path) -> Option<Result<Value, String>> {
    let parse: fn(&str) -> Result<Value, String> = match path.extension()?.to_str()? {
        "json" => |text| serde_json::from_str(text).map_err(|error| error.to_string()),
        "yaml" | "yml" => |text| serde_yaml::from_str(text).map_err(|error| error.to_string()),
        _ => return None,
    };
    Some(std::fs::read_to_string(path).map_err(|error| error.to_string()).and_then(|text| parse(&text)))
}

impl Edits<'_> {
    fn apply(&self, name: &str, request: &mut ContainerRequest) -> Result<(), String> {
        for edits in &self.0 {
            if list(edits, "hooks").next().is_some() {
                return Err(format!(
                    "device `{name}` needs programs of the host to be run (hooks), which can't be done"
                ));
            }
            for variable in list(edits, "env").filter_map(Value::as_str) {
                if let Some((key, value)) = variable.split_once('=') {
                    request.environment.insert(key.to_owned(), Some(value.to_owned()));
                }
            }
            for node in list(edits, "deviceNodes") {
                let Some(target) = text(node, "path") else { continue };
                request.security.devices.push(DeviceRecord {
                    source: text(node, "hostPath").unwrap_or(target).into(),
                    target: target.to_owned(),
                    permissions: text(node, "permissions").unwrap_or("rwm").to_owned(),
                });
            }
            for mount in list(edits, "mounts") {
                let (Some(source), Some(target)) = (text(mount, "hostPath"), text(mount, "containerPath")) else {
                    continue;
                };
                let is_read_only = list(mount, "options").any(|option| option.as_str() == Some("ro"));
                let (path, propagation) = (PathBuf::from(source), None);
                request.mounts.push(MountRequest {
                    source: MountSourceRequest::Bind {
                        path,
                        create: false,
                        propagation,
                        recursive: true,
                        relabel: None,
                    },
                    target: target.to_owned(),
                    read_only: is_read_only,
                });
            }
            let groups = list(edits, "additionalGids").filter_map(Value::as_u64);
            request.additional_groups.extend(groups.map(|group| group.to_string()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARDS: &str = "cdiVersion: 0.6.0\nkind: nvidia.com/gpu\ncontainerEdits: {env: [DRIVER=here]}\ndevices:\n\
        - {name: '0', containerEdits: {deviceNodes: [{path: /dev/card0, hostPath: /dev/null}]}}\n\
        - {name: '1', containerEdits: {mounts: [{hostPath: /usr/lib, containerPath: /opt/lib, options: [ro]}]}}\n\
        - {name: all, containerEdits: {hooks: [{hookName: createContainer, path: /bin/x}]}}\n";

    fn host() -> (tempfile::TempDir, Host) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cards.yaml"), CARDS).unwrap();
        std::fs::write(folder.path().join("readme.txt"), "nothing").unwrap();
        let host = Host::read(&[folder.path().to_owned()]);
        (folder, host)
    }

    fn gpus(count: Option<i64>, ids: &[&str]) -> DeviceRequest {
        let device_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        DeviceRequest { count, device_ids, capabilities: vec!["gpu".into()], ..DeviceRequest::default() }
    }

    #[test]
    fn requests_become_names_of_what_the_host_has() {
        let (_folder, host) = host();
        let names = |asked: &DeviceRequest| host.names(asked);
        assert_eq!(names(&gpus(Some(1), &[])).unwrap(), ["nvidia.com/gpu=0"]);
        assert_eq!(names(&gpus(Some(-1), &[])).unwrap(), ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]);
        assert_eq!(names(&gpus(None, &["1"])).unwrap(), ["nvidia.com/gpu=1"]);
        assert!(names(&gpus(Some(3), &[])).unwrap_err().contains("the host has 2"));
        let tpu = DeviceRequest { capabilities: vec!["tpu".into()], ..DeviceRequest::default() };
        assert!(names(&tpu).unwrap_err().contains("`tpu`"));
        let none = Host { documents: Vec::new() };
        assert!(none.names(&gpus(None, &[])).unwrap_err().contains("this host describes no `gpu` devices"));
    }

    #[test]
    fn a_device_brings_its_variables_nodes_and_mounts() {
        let (_folder, host) = host();
        let mut request = ContainerRequest::default();
        for name in ["nvidia.com/gpu=0", "nvidia.com/gpu=1"] {
            host.device(name).unwrap().apply(name, &mut request).unwrap();
        }
        assert_eq!(request.environment["DRIVER"].as_deref(), Some("here"));
        assert_eq!(request.security.devices[0].source, Path::new("/dev/null"));
        assert_eq!((request.mounts[0].target.as_str(), request.mounts[0].read_only), ("/opt/lib", true));
        let all = "nvidia.com/gpu=all";
        assert!(host.device(all).unwrap().apply(all, &mut request).unwrap_err().contains("hooks"));
        assert!(host.device("nvidia.com/gpu=7").is_err());
    }

    #[test]
    fn paths_are_no_names() {
        assert!(is_name("vendor.com/net=card0"));
        for path in ["/dev/sda", "/dev/a=b", "c=d", "a/b"] {
            assert!(!is_name(path), "{path}");
        }
    }
}
