//! Chooses the SELinux labels of a new container. Its level is one that no other container has, so that what is the one's
//! can't be used by the other.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;

use crate::Runtime;
use crate::container::create::CreateError;
use crate::container::list;
use crate::sandbox::selinux::{self, Defaults};
use crate::state::container::{ContainerRecord, NamespaceRecord};
use crate::state::layout::Bundle;
use crate::state::record;
use crate::state::selinux::{AskedLabel, LabelParts, Labels};

/// Chooses the labels of a container, where it is to have some; the record that is written then keeps its level from
/// others.
pub(super) fn choose(rt: &Runtime, record: &mut ContainerRecord, bundle: &Bundle) -> Result<(), CreateError> {
    if !selinux::is_available() {
        return Ok(());
    }
    let mut parts = match &record.security.selinux.asked {
        AskedLabel::Nothing | AskedLabel::Disabled => return Ok(()),
        AskedLabel::Parts(parts) => parts.clone(),
        AskedLabel::Usual if is_exempt(record) => return Ok(()),
        AskedLabel::Usual => {
            if let Some(id) = shares_with(record) {
                record.security.selinux.labels = list::find(rt, id)?.record.security.selinux.labels;
                return Ok(());
            }
            LabelParts::default()
        }
    };
    let defaults = Defaults::read()?;
    let _lock = record::lock(&rt.layout.lock("selinux"))?;
    if let (None, Some(sensitivity)) = (&parts.level, defaults.sensitivity()) {
        let mut random = File::open("/dev/urandom").map_err(|source| CreateError::Io {
            act: "read",
            path: "/dev/urandom".into(),
            source,
        })?;
        let mut draw = || {
            let mut bytes = [0; 2];
            random.read_exact(&mut bytes).map(|()| u16::from_ne_bytes(bytes))
        };
        parts.level = Some(selinux::own_level(sensitivity, &taken(rt)?, &mut draw)?);
    }
    let labels = defaults.labels(&parts);
    selinux::check(&labels.process)?;
    selinux::check(&labels.file)?;
    record.security.selinux.labels = Some(labels);
    Ok(record::write(&bundle.record(), record)?)
}

/// As with Docker: who has the host's rights, or sees its processes, is not held apart from it by a label.
fn is_exempt(record: &ContainerRecord) -> bool {
    let namespaces = &record.namespaces;
    record.security.privileged || [&namespaces.pid, &namespaces.ipc].contains(&&NamespaceRecord::Host)
}

/// The container whose processes or memory it shares, and so its labels.
fn shares_with(record: &ContainerRecord) -> Option<&str> {
    [&record.namespaces.ipc, &record.namespaces.pid].into_iter().find_map(|namespace| match namespace {
        NamespaceRecord::Container(id) => Some(id.as_str()),
        NamespaceRecord::Private | NamespaceRecord::Host => None,
    })
}

/// The levels of all containers, of those as well that are being made.
fn taken(rt: &Runtime) -> Result<BTreeSet<String>, CreateError> {
    let path = rt.layout.containers();
    let failed = |source| CreateError::Io { act: "read", path: path.clone(), source };
    let mut taken = BTreeSet::new();
    for entry in std::fs::read_dir(&path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let record: Option<ContainerRecord> = record::read(&rt.layout.bundle(&name.to_string_lossy()).record())?;
        let labels: Option<Labels> = record.and_then(|record| record.security.selinux.labels);
        taken.extend(labels.and_then(|labels| selinux::level(&labels.process)));
    }
    Ok(taken)
}
