//! `--output` of `image build`: where a built image goes besides the store.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::app::App;
use crate::error::{CommandError, Kind};

/// An archive that an image is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    /// `None`: the standard output.
    destination: Option<PathBuf>,
}

impl Output {
    /// Reads `type=docker,dest=FILE`. The archives that are written are of both kinds at once, docker's and OCI's.
    pub(crate) fn parse(text: &str) -> Result<Self, CommandError> {
        let (mut kind, mut destination) = ("", None);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("type", value)) => kind = value,
                Some(("dest", value)) => destination = Some(value).filter(|path| *path != "-").map(PathBuf::from),
                _ => return Err(CommandError::new(Kind::Usage, format!("unexpected `{field}` of output `{text}`"))),
            }
        }
        match kind {
            "docker" | "oci" => Ok(Self { destination }),
            other => {
                let message = format!("output of type `{other}` is not supported: `docker` and `oci` are");
                Err(CommandError::new(Kind::Usage, message))
            }
        }
    }

    /// Writes the image of these references.
    pub(crate) async fn write(&self, app: &App, references: &[String]) -> Result<(), CommandError> {
        use std::os::fd::AsFd as _;
        let failed =
            |error: std::io::Error| CommandError::new(Kind::Failed, format!("cannot write the image: {error}"));
        let archive: OwnedFd = match &self.destination {
            Some(path) => File::create(path).map_err(failed)?.into(),
            None => std::io::stdout().as_fd().try_clone_to_owned().map_err(failed)?,
        };
        Ok(app.engine()?.save_images(references, archive).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_archives_are_written() {
        assert_eq!(Output::parse("type=oci,dest=a.tar").unwrap().destination, Some(PathBuf::from("a.tar")));
        assert!(Output::parse("type=cacheonly").is_err());
    }
}
