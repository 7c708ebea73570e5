//! `--output` of `image build`: where what was built goes.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use crate::app::App;
use crate::commands::acts::extract::{Unpacking, unpack};
use crate::error::{CommandError, Kind};

/// Where what was built goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// The store, and the registry where so asked; with more names than `--tag` gives.
    Image {
        /// More names.
        names: Vec<String>,
        /// Send it.
        push: bool,
    },
    /// An archive that is both docker's and OCI's.
    Archive(Place),
    /// A folder in OCI's image layout.
    Layout(PathBuf),
    /// The files alone, as a tar archive.
    Tar(Place),
    /// The files alone, in a folder.
    Local(PathBuf),
    /// Nowhere: the steps are cached.
    CacheOnly,
}

/// A file, or the standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    File(PathBuf),
    Stdout,
}

impl Output {
    /// Reads `type=docker,dest=FILE`, a folder, or `-` for a tar on the standard output.
    pub(crate) fn parse(text: &str) -> Result<Self, CommandError> {
        let usage = |message: String| CommandError::new(Kind::Usage, message);
        if text == "-" {
            return Ok(Self::Tar(Place::Stdout));
        }
        if !text.contains('=') {
            return Ok(Self::Local(PathBuf::from(text)));
        }
        let (mut kind, mut destination, mut names, mut push, mut tar) = ("", None, Vec::new(), false, true);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("type", value)) => kind = value,
                Some(("dest", value)) => destination = Some(value),
                Some(("name", value)) => names.push(value.trim_matches('"').to_owned()),
                Some(("push", value)) => push = value == "true",
                Some(("tar", value)) => tar = value != "false",
                // What is done anyway, or makes no difference here.
                Some(("oci-mediatypes" | "unpack" | "store", "true") | ("compression", "gzip")) => {}
                _ => return Err(usage(format!("unexpected `{field}` of output `{text}`"))),
            }
        }
        let place = match destination {
            None | Some("-") => Place::Stdout,
            Some(path) => Place::File(PathBuf::from(path)),
        };
        let folder = || destination.filter(|path| *path != "-").map(PathBuf::from);
        let needs = || usage(format!("output `{text}` needs a `dest=FOLDER`"));
        match (kind, tar) {
            ("docker", true) if destination.is_none() => Ok(Self::Image { names, push: false }),
            ("docker" | "oci", true) => Ok(Self::Archive(place)),
            ("oci", false) => folder().map(Self::Layout).ok_or_else(needs),
            ("tar", true) => Ok(Self::Tar(place)),
            ("local", _) => folder().map(Self::Local).ok_or_else(needs),
            ("image", _) => Ok(Self::Image { names, push }),
            ("registry", _) => Ok(Self::Image { names, push: true }),
            ("cacheonly", _) => Ok(Self::CacheOnly),
            (other, _) => {
                let known = "there are docker, oci, tar, local, image, registry and cacheonly";
                Err(usage(format!("output of type `{other}` is not supported")).hint(known))
            }
        }
    }

    /// Whether the image stays in the store for it.
    pub(crate) fn keeps(&self) -> bool {
        match self {
            Self::Image { .. } | Self::Archive(_) | Self::Layout(_) => true,
            Self::Tar(_) | Self::Local(_) | Self::CacheOnly => false,
        }
    }

    /// Writes the image of these references, of which there is one at least; what goes to a registry is sent elsewhere.
    pub(crate) async fn write(&self, app: &App, references: &[String]) -> Result<(), CommandError> {
        let engine = app.engine()?;
        match self {
            Self::Image { .. } | Self::CacheOnly => Ok(()),
            Self::Archive(place) => Ok(engine.save_images(references, place.open()?).await?),
            Self::Tar(place) => Ok(engine.export_image(&references[0], place.open()?).await?),
            Self::Layout(folder) => {
                let (reader, writer) = std::io::pipe().map_err(failed)?;
                let written = engine.save_images(references, writer.into());
                fill(folder, reader, false, written).await
            }
            Self::Local(folder) => {
                let (reader, writer) = std::io::pipe().map_err(failed)?;
                let written = engine.export_image(&references[0], writer.into());
                fill(folder, reader, true, written).await
            }
        }
    }
}

/// Unpacks what `written` writes.
async fn fill(
    folder: &Path,
    reader: std::io::PipeReader,
    keep_owners: bool,
    written: impl Future<Output = Result<(), orchestrator::engine::error::EngineError>>,
) -> Result<(), CommandError> {
    std::fs::create_dir_all(folder).map_err(failed)?;
    // Files keep their owners where whoever asks may give files away.
    let keep_owners = keep_owners && rustix::process::geteuid().is_root();
    let unpacking = Unpacking { target: folder.to_owned(), keep_owners, strip: false };
    let unpacked = tokio::task::spawn_blocking(move || {
        let result = unpack(&unpacking, std::io::BufReader::new(&reader));
        // Whoever writes must not wait for a reader that has given up.
        std::io::copy(&mut &reader, &mut std::io::sink())?;
        result
    });
    let written = written.await;
    let unpacked = unpacked.await.expect("unpacking does not panic");
    written?;
    unpacked.map(drop).map_err(failed)
}

fn failed(error: std::io::Error) -> CommandError {
    CommandError::new(Kind::Failed, format!("cannot write what was built: {error}"))
}

impl Place {
    fn open(&self) -> Result<OwnedFd, CommandError> {
        match self {
            Self::File(path) => File::create(path).map(OwnedFd::from).map_err(failed),
            Self::Stdout => std::io::stdout().as_fd().try_clone_to_owned().map_err(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_told_from_its_fields() {
        let parse = |text: &str| Output::parse(text).unwrap();
        assert_eq!(parse("out"), Output::Local("out".into()));
        assert_eq!(parse("-"), Output::Tar(Place::Stdout));
        assert_eq!(parse("type=oci,dest=a.tar"), Output::Archive(Place::File("a.tar".into())));
        assert_eq!(parse("type=oci,dest=a,tar=false"), Output::Layout("a".into()));
        assert_eq!(parse("type=docker"), Output::Image { names: vec![], push: false });
        assert_eq!(parse("type=registry,name=r/x"), Output::Image { names: vec!["r/x".into()], push: true });
        assert_eq!(parse("type=tar,dest=a.tar"), Output::Tar(Place::File("a.tar".into())));
        assert!(parse("type=image").keeps() && !parse("type=cacheonly").keeps());
        for wrong in ["type=local", "type=nonsense", "type=oci,compression=zstd"] {
            assert!(Output::parse(wrong).is_err(), "{wrong}");
        }
    }
}
