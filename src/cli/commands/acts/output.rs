//! An archive that a command gives out: into a file, whole or not at all, or to the standard output.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use crate::app::App;
use crate::app::streams::unable;
use crate::error::{CommandError, Kind};
use crate::print::printer::Stream;

/// Where an archive goes.
pub(crate) enum Output {
    /// Into this file, by way of one beside it.
    File { partial: PathBuf, path: PathBuf },
    /// To the standard output.
    Stdout,
}

impl Output {
    /// Opens it; bytes are never sent to a terminal.
    pub(crate) fn open(app: &App, path: Option<&Path>) -> Result<(Self, OwnedFd), CommandError> {
        let Some(path) = path else {
            if app.printer.is_terminal(Stream::Out) {
                return Err(CommandError::new(Kind::Usage, "an archive is nothing for a terminal")
                    .hint("`-o FILE` writes it to a file"));
            }
            let stdout = std::io::stdout().as_fd().try_clone_to_owned();
            return Ok((Self::Stdout, stdout.map_err(|error| unable("copy a stream", &error))?));
        };
        let path = app.absolute(path);
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let partial = path.with_file_name(name);
        let file = File::create(&partial)
            .map_err(|error| CommandError::new(Kind::Failed, format!("cannot write `{}`: {error}", path.display())))?;
        Ok((Self::File { partial, path }, file.into()))
    }

    /// Puts the file in its place, or takes it away if what was to fill it has failed.
    pub(crate) fn close<T>(self, result: Result<T, CommandError>) -> Result<T, CommandError> {
        let Self::File { partial, path } = self else { return result };
        match result {
            Ok(value) => match std::fs::rename(&partial, &path) {
                Ok(()) => Ok(value),
                Err(error) => {
                    Err(CommandError::new(Kind::Failed, format!("cannot write `{}`: {error}", path.display())))
                }
            },
            Err(error) => {
                let _ = std::fs::remove_file(&partial);
                Err(error)
            }
        }
    }
}
