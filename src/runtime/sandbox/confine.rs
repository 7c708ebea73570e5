//! What the kernel's security module holds a program to: entered by its exec, or at once by a process that runs on.

use crate::sandbox::error::LaunchError;
use crate::sandbox::{apparmor, selinux};

/// What this process is about to be held to.
pub(super) struct Confinement {
    profile: Option<apparmor::Entrance>,
    label: Option<selinux::Entrance>,
}

impl Confinement {
    /// Names what the next exec of this process, or of a child of it, enters. While the host's `/proc` is there, and before
    /// the key ring is made that the program is to have.
    pub(super) fn open(profile: Option<&str>, label: Option<&str>) -> Result<Self, LaunchError> {
        Ok(Self { profile: apparmor::Entrance::open(profile)?, label: selinux::Entrance::open(label)? })
    }

    /// Enters the profile at once, without an exec.
    pub(super) fn enter_profile(&self) -> Result<(), LaunchError> {
        self.profile.as_ref().map_or(Ok(()), apparmor::Entrance::enter)
    }

    /// Enters the label at once, without an exec. Last of all: under it nobody gives rights away or becomes another user.
    pub(super) fn enter_label(&self) -> Result<(), LaunchError> {
        self.label.as_ref().map_or(Ok(()), selinux::Entrance::enter)
    }
}
