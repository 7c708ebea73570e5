//! `SOURCE_DATE_EPOCH` (<https://reproducible-builds.org/specs/source-date-epoch/>): the time of all that a build makes, so that the
//! same inputs give the same image wherever and whenever they are built.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use crate::build::dockerfile::instruction::{Act, Dockerfile};
use crate::build::error::Reason;
use crate::build::request::BuildRequest;

const NAME: &str = "SOURCE_DATE_EPOCH";

/// Returns the time that the build is given, or that the Dockerfile has as a default.
pub(super) fn of(dockerfile: &Dockerfile, request: &BuildRequest) -> Result<Option<i64>, Reason> {
    let default = || {
        let arguments = dockerfile.globals.iter().flat_map(|(_, arguments)| arguments);
        arguments.filter(|argument| argument.name == NAME).filter_map(|argument| argument.default.clone()).next_back()
    };
    let Some(text) = request.args.get(NAME).cloned().or_else(default).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(Some(seconds));
    }
    // The time of what a stage or the context was fetched as; a folder has none.
    if text == "context" {
        return Ok(None);
    }
    let Some(stage) =
        dockerfile.stages.iter().find(|stage| stage.name.as_deref() == Some(text.to_lowercase().as_str()))
    else {
        return Err(Reason::Syntax(format!("invalid {NAME}: {text}")));
    };
    for instruction in &stage.instructions {
        if !matches!(instruction.act, Act::Add(_)) {
            let keyword = instruction.keyword.to_uppercase();
            let message =
                format!("{NAME} stage does not meet source-only requirements: unsupported {keyword} instruction");
            return Err(Reason::Syntax(message));
        }
    }
    Err(Reason::Unsupported(format!("{NAME} taken from a stage (`{text}`)")))
}

/// Makes nothing below `root` younger than `seconds`.
pub(super) fn clamp(root: &Path, seconds: i64) -> io::Result<()> {
    let metadata = root.symlink_metadata()?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(root)? {
            clamp(&entry?.path(), seconds)?;
        }
    }
    if (metadata.mtime(), metadata.mtime_nsec()) > (seconds, 0) {
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, root, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}
