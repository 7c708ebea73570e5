//! Gives what is mounted into a container with an SELinux label the label that lets it be used there, before each run in
//! mounts made anew. Host folders only where that is asked for.

use crate::Runtime;
use crate::keeper::spec;
use crate::sandbox::relabel::{self, RelabelError};
use crate::sandbox::selinux;
use crate::state::container::{ContainerRecord, MountSourceRecord, NetworkModeRecord};
use crate::state::selinux::Relabel;
use crate::volume;

/// Labels the files of a container that are not on a file system made for it.
pub fn files(rt: &Runtime, record: &ContainerRecord) -> Result<(), RelabelError> {
    let Some(labels) = selinux::labels(&record.security.selinux) else { return Ok(()) };
    let (own, shared) = (&*labels.file, &*selinux::shared(&labels.file));
    let bundle = rt.layout.bundle(&record.id);
    let names = match &record.network {
        NetworkModeRecord::Container(id) => rt.layout.bundle(id).files(),
        NetworkModeRecord::None | NetworkModeRecord::Host | NetworkModeRecord::Networks(_) => bundle.files(),
    };
    for name in ["hosts", "hostname", "resolv.conf"] {
        relabel::relabel(&names.join(name), shared)?;
    }
    // The kernel asks for the label below an overlay, too, when memory that maps a file gets other rights.
    relabel::relabel(&bundle.upper(), own)?;
    let layers = |diff_ids: &[String]| {
        let layers = spec::layers(rt, diff_ids);
        layers.iter().try_for_each(|layer| relabel::relabel_once(layer, &labels.image))
    };
    layers(&record.layers)?;
    for mount in &record.mounts {
        match &mount.source {
            MountSourceRecord::Bind { path, relabel: Some(relabel), .. } => {
                let label = if *relabel == Relabel::Shared { shared } else { own };
                relabel::relabel_checked(path, label, &rt.layout)?;
            }
            // What lies on a device, or in a folder of the host, keeps the labels that its owner gave it.
            MountSourceRecord::Volume { name, .. } if volume::is_folder(rt, name) => {
                relabel::relabel(&rt.layout.volume_data(name), shared)?;
            }
            MountSourceRecord::File { name } => relabel::relabel(&bundle.files().join(name), own)?,
            MountSourceRecord::Image { layers: diff_ids, .. } => layers(diff_ids)?,
            MountSourceRecord::Bind { .. } | MountSourceRecord::Volume { .. } | MountSourceRecord::Tmpfs { .. } => {}
        }
    }
    Ok(())
}
