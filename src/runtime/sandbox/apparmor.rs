//! AppArmor, where the kernel has it: the profile that contained programs run under (apparmor.d(5)).
//!
//! A process names the profile that its next exec enters. It does so through the host's `/proc`, before it sees the
//! container's, which could be anything.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::sandbox::error::{LaunchError, Step};
use crate::state::container::AppArmorRecord;
use crate::state::layout::Layout;
use crate::state::record::{self, RecordError};

/// The name of our own profile.
pub const DEFAULT: &str = "motet-default";

/// Our own profile, as `apparmor_parser` reads it.
const POLICY: &str = include_str!("default.apparmor");

/// `Y` where the module is at work.
const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";

/// The profiles that the kernel has, a line each: `NAME (MODE)`. Missing inside containers, and where securityfs is not
/// mounted: then nothing can be known of profiles.
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

/// Where the program that compiles profiles lies, on the host.
const PARSERS: [&str; 2] = ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"];

/// Why a profile can't be entered.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum AppArmorError {
    #[error("the kernel has no AppArmor profile `{name}`: load it with `apparmor_parser -r FILE`")]
    NotLoaded { name: String },
    #[error("cannot load the AppArmor profile `motet-default`: {said}")]
    Refused { said: String },
    #[error("cannot run `{program}`")]
    Parser {
        program: &'static str,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Returns whether profiles can be entered here.
pub fn is_available() -> bool {
    fs::read_to_string(ENABLED).is_ok_and(|text| text.starts_with('Y')) && Path::new(LOADED).exists()
}

/// Returns the profile that a container's programs run under; `None`: that of ours. Loads our own where it is missing.
pub fn profile(layout: &Layout, wanted: &AppArmorRecord, is_privileged: bool) -> Result<Option<String>, AppArmorError> {
    if !is_available() {
        return Ok(None);
    }
    match wanted {
        AppArmorRecord::Unconfined => Ok(None),
        AppArmorRecord::Default if is_privileged => Ok(None),
        AppArmorRecord::Default => Ok(load_default(layout)?.then(|| DEFAULT.to_owned())),
        AppArmorRecord::Profile(name) if is_loaded(name) => Ok(Some(name.clone())),
        AppArmorRecord::Profile(name) => Err(AppArmorError::NotLoaded { name: name.clone() }),
    }
}

fn is_loaded(name: &str) -> bool {
    let loaded = fs::read_to_string(LOADED).unwrap_or_default();
    loaded.lines().any(|line| line.rsplit_once(" (").is_some_and(|(loaded, _)| loaded == name))
}

/// Has the kernel know our profile. `false`: nothing here compiles it, so that, as with Docker, there is none.
fn load_default(layout: &Layout) -> Result<bool, AppArmorError> {
    let told = layout.apparmor();
    let is_current =
        || is_loaded(DEFAULT) && record::read::<String>(&told).is_ok_and(|text| text.as_deref() == Some(POLICY));
    if is_current() {
        return Ok(true);
    }
    let Some(parser) = PARSERS.into_iter().find(|path| Path::new(path).exists()) else {
        tracing::warn!("AppArmor is at work and `apparmor_parser` is missing: containers run without a profile");
        return Ok(false);
    };
    let _lock = record::lock(&layout.lock("apparmor"))?;
    if !is_current() {
        compile(parser)?;
        record::write(&told, POLICY)?;
    }
    Ok(true)
}

#[expect(clippy::disallowed_methods, reason = "profiles are compiled by a program of the host")]
fn compile(program: &'static str) -> Result<(), AppArmorError> {
    let failed = |source| AppArmorError::Parser { program, source };
    let mut command = Command::new(program);
    // Replaced where it is loaded, and not kept in the host's cache.
    command.args(["--replace", "--skip-cache"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read it says why.
        let _ = stdin.write_all(POLICY.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(AppArmorError::Refused { said: String::from_utf8_lossy(&output.stderr).trim().to_owned() }),
    }
}

/// A profile that this process is about to enter.
pub(super) struct Entrance {
    profile: String,
    /// Our own attribute, by which a process that runs on changes its profile.
    current: File,
}

impl Entrance {
    /// Names the profile that the next exec of this process, or of a child of it, enters. While the host's `/proc` is
    /// there.
    pub(super) fn open(profile: Option<&str>) -> Result<Option<Self>, LaunchError> {
        let Some(profile) = profile else { return Ok(None) };
        let failed = |error: io::Error| LaunchError::io(Step::Confine, profile, &error);
        write(&attribute("exec").map_err(failed)?, &format!("exec {profile}")).map_err(failed)?;
        Ok(Some(Self { profile: profile.to_owned(), current: attribute("current").map_err(failed)? }))
    }

    /// Enters it at once, without an exec.
    pub(super) fn enter(&self) -> Result<(), LaunchError> {
        write(&self.current, &format!("changeprofile {}", self.profile))
            .map_err(|error| LaunchError::io(Step::Confine, &*self.profile, &error))
    }
}

/// Opens an attribute of this process: AppArmor's own, or before Linux 5.1 that of whichever module is there.
fn attribute(name: &str) -> io::Result<File> {
    let open = |path: String| File::options().write(true).open(path);
    open(format!("/proc/thread-self/attr/apparmor/{name}")).or_else(|_| open(format!("/proc/thread-self/attr/{name}")))
}

/// The kernel takes an order in one write.
fn write(mut attribute: &File, order: &str) -> io::Result<()> {
    attribute.write_all(order.as_bytes())
}
