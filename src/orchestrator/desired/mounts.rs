//! What a service's containers have mounted.

use compose::Project;
use compose::model::mount::{Mount as ModelMount, MountKind};
use compose::model::service::Service;

use crate::desired::limits;
use crate::engine::container::{Mount, MountSource};

/// Returns the mounts of a service: its `volumes`, its `tmpfs`, and those of `volumes_from` that have a source.
pub(crate) fn mounts(project: &Project, service: &Service) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = service.mounts.iter().filter_map(|mount| one_mount(project, mount)).collect();
    mounts.extend(service.tmpfs.iter().map(|text| tmpfs(text)));
    for entry in &service.volumes_from {
        let (name, mode) = entry.split_once(':').unwrap_or((entry, "rw"));
        let Some(from) = project.services.get(name) else { continue };
        for mount in from.mounts.iter().filter(|mount| mount.source.is_some()) {
            if !mounts.iter().any(|own| own.target == mount.target)
                && let Some(mut shared) = one_mount(project, mount)
            {
                shared.read_only |= mode == "ro";
                mounts.push(shared);
            }
        }
    }
    mounts
}

fn one_mount(project: &Project, mount: &ModelMount) -> Option<Mount> {
    let source = match mount.kind {
        MountKind::Bind => MountSource::Bind {
            path: mount.source.clone()?,
            create: mount.bind.as_ref().is_none_or(|bind| bind.create_host_path),
            propagation: mount.bind.as_ref().and_then(|bind| bind.propagation.clone()),
            recursive: mount.bind.as_ref().and_then(|bind| bind.recursive.clone()),
            selinux: mount.bind.as_ref().and_then(|bind| bind.selinux.clone()),
        },
        MountKind::Volume => match &mount.source {
            None => MountSource::Anonymous { name: None },
            Some(key) => MountSource::Volume {
                name: project.volumes.get(key).map_or_else(|| key.clone(), |volume| volume.name.clone()),
                nocopy: mount.volume.as_ref().is_some_and(|volume| volume.nocopy),
                subpath: mount.volume.as_ref().and_then(|volume| volume.subpath.clone()),
            },
        },
        MountKind::Tmpfs => MountSource::Tmpfs {
            size: mount.tmpfs.as_ref().and_then(|tmpfs| tmpfs.size).and_then(limits::bytes).filter(|size| *size > 0),
            mode: mount.tmpfs.as_ref().and_then(|tmpfs| tmpfs.mode),
            options: Vec::new(),
        },
        MountKind::Image => {
            MountSource::Image { reference: mount.source.clone()?, subpath: mount.image_subpath.clone() }
        }
        // Windows and swarm: `unsupported` says so.
        MountKind::NamedPipe | MountKind::Cluster => return None,
    };
    Some(Mount { source, target: mount.target.clone(), read_only: mount.read_only })
}

fn tmpfs(text: &str) -> Mount {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let (mut size, mut mode, mut rest) = (None, None, Vec::new());
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", value)) if size_in_bytes(value).is_some() => size = size_in_bytes(value),
            Some(("mode", value)) if u32::from_str_radix(value, 8).is_ok() => mode = u32::from_str_radix(value, 8).ok(),
            Some(_) | None => rest.push(option.to_owned()),
        }
    }
    Mount { source: MountSource::Tmpfs { size, mode, options: rest }, target: target.to_owned(), read_only: false }
}

/// Returns a size as mount(8) writes it; a percentage is left to the kernel.
fn size_in_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tmpfs_line_is_taken_apart() {
        let mount = tmpfs("/run:size=64m,mode=1777,noexec");
        assert_eq!(mount.target, "/run");
        assert_eq!(
            mount.source,
            MountSource::Tmpfs { size: Some(64 << 20), mode: Some(0o1777), options: vec!["noexec".into()] }
        );
    }

    #[test]
    fn a_size_in_percent_is_an_option() {
        let MountSource::Tmpfs { size, options, .. } = tmpfs("/t:size=50%").source else { unreachable!() };
        assert_eq!((size, options), (None, vec!["size=50%".to_owned()]));
    }
}
