//! SELinux, where the kernel has it: the labels that contained programs run under and that their files have (selinux(8)).
//!
//! A process names the label that its next exec enters, as it does with a profile of AppArmor.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::sandbox::error::{LaunchError, Step};
use crate::state::selinux::{LabelParts, Labels, SelinuxRecord};

/// There where the kernel has the module at work.
const ENFORCE: &str = "/sys/fs/selinux/enforce";

/// Takes a label and says whether the loaded policy knows it.
const CONTEXT: &str = "/sys/fs/selinux/context";

/// Says which policy is the host's: `SELINUXTYPE=targeted`.
const CONFIG: &str = "/etc/selinux/config";

/// Where policies lie, a folder each.
const POLICIES: &str = "/etc/selinux";

/// Categories that policies have: `c0` to `c1023`.
const CATEGORIES: u16 = 1024;

/// Why labels can't be had.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum SelinuxError {
    #[error(
        "the SELinux label `{label}` is not in the loaded policy: its user, role, type or level is unknown, or they don't go together"
    )]
    Unknown { label: String },
    #[error("cannot read what the host's SELinux policy has for containers in `{path}`")]
    Defaults {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the host's SELinux policy has no label `{key}` for containers in `{path}`")]
    NoDefault { path: PathBuf, key: &'static str },
    #[error("no pair of SELinux categories is free: containers have them all")]
    NoLevel,
}

/// Returns whether anything can be labelled here.
pub fn is_available() -> bool {
    Path::new(ENFORCE).exists()
}

/// Returns the labels of a container, where anything can be labelled.
pub fn labels(record: &SelinuxRecord) -> Option<&Labels> {
    record.labels.as_ref().filter(|_| is_available())
}

/// Fails for a label that the loaded policy does not know.
pub fn check(label: &str) -> Result<(), SelinuxError> {
    // Who may not ask is told when it is entered.
    let Ok(mut file) = File::options().write(true).open(CONTEXT) else { return Ok(()) };
    match file.write_all(label.as_bytes()) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            Err(SelinuxError::Unknown { label: label.to_owned() })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A label taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Context {
    user: String,
    role: String,
    kind: String,
    /// `None`: the policy has no levels.
    level: Option<String>,
}

impl Context {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ':').map(str::to_owned);
        let (user, role, kind) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { user, role, kind, level: parts.next() })
    }

    fn text(&self) -> String {
        let Self { user, role, kind, .. } = self;
        match &self.level {
            Some(level) => format!("{user}:{role}:{kind}:{level}"),
            None => format!("{user}:{role}:{kind}"),
        }
    }
}

/// What the host's policy has for containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    process: Context,
    file: Context,
    image: String,
}

impl Defaults {
    /// Reads them from where policies have them.
    pub fn read() -> Result<Self, SelinuxError> {
        let config = fs::read_to_string(CONFIG).unwrap_or_default();
        let name = assignments(&config).remove("SELINUXTYPE").unwrap_or("targeted").to_owned();
        let path = Path::new(POLICIES).join(name).join("contexts/lxc_contexts");
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path),
            Err(source) => Err(SelinuxError::Defaults { path, source }),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, SelinuxError> {
        let found = assignments(text);
        let one = |key| {
            let context = found.get(key).and_then(|text| Context::parse(text));
            context.ok_or_else(|| SelinuxError::NoDefault { path: path.into(), key })
        };
        let (process, file) = (one("process")?, one("file")?);
        let image = found.get("ro_file").map_or_else(|| shared(&file.text()), |label| (*label).to_owned());
        Ok(Self { process, file, image })
    }

    /// Returns the sensitivity (`s0`) to which a level of a container's own adds its categories; `None`: there are no levels.
    pub fn sensitivity(&self) -> Option<&str> {
        self.process.level.as_deref().map(|level| level.split([':', '-']).next().unwrap_or(level))
    }

    /// Returns the labels with these parts.
    pub fn labels(&self, parts: &LabelParts) -> Labels {
        let or = |part: &Option<String>, usual: &str| part.clone().unwrap_or_else(|| usual.to_owned());
        let level = |usual: &Option<String>| parts.level.clone().or_else(|| usual.clone());
        let (process, file) = (&self.process, &self.file);
        let process = Context {
            user: or(&parts.user, &process.user),
            role: or(&parts.role, &process.role),
            kind: or(&parts.domain, &process.kind),
            level: level(&process.level),
        };
        let file = Context {
            user: or(&parts.user, &file.user),
            role: file.role.clone(),
            kind: or(&parts.file_type, &file.kind),
            level: level(&file.level),
        };
        Labels { process: process.text(), file: file.text(), image: self.image.clone() }
    }
}

/// `KEY = "value"`, a line each.
fn assignments(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
        .collect()
}

/// Returns the level of a label.
pub fn level(label: &str) -> Option<String> {
    Context::parse(label)?.level
}

/// Returns a file's label as that of one that every container may use: without categories.
pub fn shared(label: &str) -> String {
    let Some(context) = Context::parse(label) else { return label.to_owned() };
    let level = context.level.as_deref().map(|level| level.split([':', '-']).next().unwrap_or(level).to_owned());
    Context { level, ..context }.text()
}

/// Draws a level with two categories that is none of `taken`. `draw` returns random numbers.
pub fn own_level(
    sensitivity: &str,
    taken: &BTreeSet<String>,
    draw: &mut dyn FnMut() -> io::Result<u16>,
) -> Result<String, SelinuxError> {
    // All of them together are 523776.
    for _ in 0..100_000 {
        let failed = |source| SelinuxError::Defaults { path: "/dev/urandom".into(), source };
        let (one, other) = (draw().map_err(failed)? % CATEGORIES, draw().map_err(failed)? % CATEGORIES);
        let level = format!("{sensitivity}:c{},c{}", one.min(other), one.max(other));
        if one != other && !taken.contains(&level) {
            return Ok(level);
        }
    }
    Err(SelinuxError::NoLevel)
}

/// A label that this process is about to enter.
pub(super) struct Entrance {
    label: String,
    /// Our own attribute, by which a process that runs on changes its label.
    current: File,
}

impl Entrance {
    /// Names the label that the next exec of this process, or of a child of it, enters. While the host's `/proc` is there,
    /// and before the key ring is made that the program is to have.
    pub(super) fn open(label: Option<&str>) -> Result<Option<Self>, LaunchError> {
        let Some(label) = label else { return Ok(None) };
        let failed = |error: io::Error| LaunchError::io(Step::Label, label, &error);
        write(&attribute("exec").map_err(failed)?, label).map_err(failed)?;
        // A program that may not search its key ring still runs.
        drop(attribute("keycreate").and_then(|file| write(&file, label)));
        Ok(Some(Self { label: label.to_owned(), current: attribute("current").map_err(failed)? }))
    }

    /// Enters it at once, without an exec.
    pub(super) fn enter(&self) -> Result<(), LaunchError> {
        write(&self.current, &self.label).map_err(|error| LaunchError::io(Step::InitLabel, &*self.label, &error))
    }
}

fn attribute(name: &str) -> io::Result<File> {
    File::options().write(true).open(format!("/proc/thread-self/attr/{name}"))
}

/// The kernel takes a label in one write.
fn write(mut attribute: &File, label: &str) -> io::Result<()> {
    attribute.write_all(label.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXTS: &str = "# containers\nprocess = \"system_u:system_r:container_t:s0\"\n\
        content = \"system_u:object_r:virt_var_lib_t:s0\"\nfile = \"system_u:object_r:container_file_t:s0\"\nro_file = \"system_u:object_r:container_ro_file_t:s0\"\n";

    fn defaults(text: &str) -> Result<Defaults, SelinuxError> {
        Defaults::parse(text, Path::new("/etc/selinux/p/contexts/lxc_contexts"))
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn what_is_not_asked_for_is_of_the_policy() {
        let parts = LabelParts { domain: text("web_t"), level: text("s0:c1,c2"), ..LabelParts::default() };
        let labels = defaults(CONTEXTS).unwrap().labels(&parts);
        assert_eq!(labels.process, "system_u:system_r:web_t:s0:c1,c2");
        assert_eq!(labels.file, "system_u:object_r:container_file_t:s0:c1,c2");
        assert_eq!(labels.image, "system_u:object_r:container_ro_file_t:s0");
        let parts = LabelParts { user: text("u"), role: text("r"), file_type: text("f"), ..LabelParts::default() };
        let labels = defaults(CONTEXTS).unwrap().labels(&parts);
        assert_eq!((&*labels.process, &*labels.file), ("u:r:container_t:s0", "u:object_r:f:s0"));
    }

    #[test]
    fn a_policy_without_levels_has_labels_without() {
        let defaults = defaults("process=\"u:r:t\"\nfile=\"u:object_r:f\"").unwrap();
        assert_eq!(defaults.sensitivity(), None);
        assert_eq!(defaults.labels(&LabelParts::default()).process, "u:r:t");
        assert_eq!(defaults.labels(&LabelParts::default()).image, "u:object_r:f");
    }

    #[test]
    fn a_policy_that_knows_no_containers_is_named() {
        let error = defaults("process = \"u:r:t:s0\"").unwrap_err().to_string();
        assert!(error.contains("no label `file`") && error.contains("/etc/selinux/p/contexts"), "{error}");
    }

    #[test]
    fn a_level_has_two_categories_in_order_and_is_nobody_elses() {
        let taken = BTreeSet::from(["s0:c1,c5".to_owned()]);
        let mut numbers = [5, 1, 7, 7, 1030, 3].into_iter();
        let level = own_level("s0", &taken, &mut || Ok(numbers.next().unwrap())).unwrap();
        assert_eq!(level, "s0:c3,c6");
        assert!(matches!(own_level("s0", &taken, &mut || Ok(7)), Err(SelinuxError::NoLevel)));
    }

    #[test]
    fn what_all_share_has_no_categories() {
        assert_eq!(shared("u:object_r:f:s0:c1,c2"), "u:object_r:f:s0");
        assert_eq!(level("u:r:t:s0:c1,c2").as_deref(), Some("s0:c1,c2"));
    }
}
