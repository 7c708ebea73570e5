//! Capabilities by name, and the set that a container gets.

/// Names in the order of their numbers (linux/capability.h), without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Docker's default set: CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE
/// SYS_CHROOT KILL AUDIT_WRITE.
pub const DEFAULT: u64 = 0xa804_25fb;

/// Every capability that has a name.
pub const ALL: u64 = (1 << NAMES.len()) - 1;

/// A capability that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability `{name}`")]
pub struct UnknownCapability {
    /// As written.
    pub name: String,
}

/// Returns the number of a capability, written with or without `CAP_`, in any case.
pub(crate) fn number(name: &str) -> Option<u32> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    NAMES.iter().position(|known| *known == bare).and_then(|index| u32::try_from(index).ok())
}

/// Returns every name, with `CAP_`.
pub fn names() -> Vec<String> {
    NAMES.iter().map(|name| format!("CAP_{name}")).collect()
}

/// Returns the set that a container gets: the default, with some added and some dropped; `ALL` is every one.
///
/// As in Docker: `add: ALL` with `drop: X` is all but X, `drop: ALL` with `add: X` is X alone, and dropping wins over the
/// default but not over an addition by name.
pub fn resolve(add: &[String], drop: &[String], privileged: bool) -> Result<u64, UnknownCapability> {
    let (add_all, added) = mask(add)?;
    let (drop_all, dropped) = mask(drop)?;
    if privileged {
        return Ok(ALL);
    }
    Ok(match (add_all, drop_all) {
        (true, _) => ALL & !dropped,
        (false, true) => added,
        (false, false) => (DEFAULT & !dropped) | added,
    })
}

/// Says whether `ALL` is among the names, and the bits of the others.
fn mask(names: &[String]) -> Result<(bool, u64), UnknownCapability> {
    let mut all = false;
    let mut bits = 0;
    for name in names {
        if name.eq_ignore_ascii_case("ALL") || name.eq_ignore_ascii_case("CAP_ALL") {
            all = true;
        } else {
            bits |= 1 << number(name).ok_or_else(|| UnknownCapability { name: name.clone() })?;
        }
    }
    Ok((all, bits))
}

#[cfg(test)]
mod tests {
    use super::{ALL, DEFAULT, resolve};

    fn set(add: &[&str], drop: &[&str]) -> u64 {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        resolve(&own(add), &own(drop), false).unwrap()
    }

    #[test]
    fn names_may_have_a_prefix_and_any_case() {
        assert_eq!(set(&["net_admin"], &[]), DEFAULT | 1 << 12);
        assert_eq!(set(&["CAP_NET_ADMIN"], &[]), DEFAULT | 1 << 12);
    }

    #[test]
    fn all_may_be_added_or_dropped_with_exceptions() {
        assert_eq!(set(&["ALL"], &["SYS_ADMIN"]), ALL & !(1 << 21));
        assert_eq!(set(&["CHOWN"], &["ALL"]), 1);
        assert_eq!(set(&[], &["ALL"]), 0);
        assert_eq!(set(&[], &["MKNOD"]), DEFAULT & !(1 << 27));
    }

    #[test]
    fn an_unknown_name_is_named() {
        let error = resolve(&["SYS_MAGIC".to_owned()], &[], false).unwrap_err();
        assert_eq!(error.to_string(), "unknown capability `SYS_MAGIC`");
    }
}
