//! Opens the trees that a build is given: a folder as it is, the rest fetched, unpacked or loaded first.

use std::io::{self, BufReader, ErrorKind};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use patterns::Ignore;

use crate::Runtime;
use crate::acquire::{self, AcquireOptions};
use crate::build::context::Tree;
use crate::build::error::Reason;
use crate::build::remote::Remote;
use crate::build::request::{BuildRequest, Source};
use crate::build::view::View;
use crate::build::{archive, fetch};
use crate::image::layers;
use crate::image::reference::Reference;
use crate::image::staging::{self, Staging};
use crate::image::store::{self, Image, StoreError};
use crate::progress::Reporter;
use crate::snapshot::archive::Archive;
use crate::snapshot::extract::{self, Rules};

/// A tree that is at hand.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    /// Its files.
    pub tree: Tree,
    /// Where it lies as one folder.
    pub folder: Option<PathBuf>,
    /// The image that it is of.
    pub image: Option<Image>,
    /// What was fetched is gone with this.
    _staged: Option<Arc<Staging>>,
}

impl Opened {
    fn folder(root: PathBuf, keep_owners: bool, staged: Option<Staging>) -> Self {
        let tree = Tree { view: View::new(vec![root.clone()]), ignore: Ignore::default(), keep_owners };
        Self { tree, folder: Some(root), image: None, _staged: staged.map(Arc::new) }
    }

    fn image(rt: &Runtime, image: Image) -> Self {
        let directories = layers::once(&image.diff_ids).iter().map(|layer| layers::directory(rt, layer)).collect();
        let tree = Tree { view: View::new(directories), ignore: Ignore::default(), keep_owners: true };
        Self { tree, folder: None, image: Some(image), _staged: None }
    }
}

/// Returns the name under which a context is found: `alpine:latest` is `alpine`.
pub(super) fn normal(name: &str) -> String {
    let lower = name.to_lowercase();
    lower.strip_suffix(":latest").unwrap_or(&lower).to_owned()
}

/// Opens a tree.
pub(super) fn open(
    rt: &Runtime,
    request: &BuildRequest,
    source: &Source,
    reporter: &dyn Reporter,
) -> Result<Opened, Reason> {
    match source {
        Source::Folder(path) => {
            let root = path.canonicalize().and_then(|root| std::fs::read_dir(&root).map(|_| root));
            let root = root.map_err(|source| match source.kind() {
                ErrorKind::NotFound => Reason::NoContext { path: path.clone() },
                _ => Reason::Context { path: path.clone(), source },
            })?;
            Ok(Opened::folder(root, false, None))
        }
        Source::Url(url) => match Remote::parse(url).map_err(Reason::Syntax)? {
            Some(Remote::Git(git)) => {
                let asked = request.args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR");
                let keep = git.keep_git_dir.unwrap_or_else(|| asked.is_some_and(|it| it == "1" || it == "true"));
                let out = fetch::git(rt, &git, keep, None)?;
                Ok(Opened::folder(out.root.clone(), true, Some(out.into_staging())))
            }
            Some(Remote::Http(url)) => {
                let fetched = fetch::http(rt, &url, None, None)?;
                file(rt, &fetched.path)
            }
            None => Err(Reason::Syntax(format!("`{url}` is no URL that a context can be fetched from"))),
        },
        Source::Archive(path) => file(rt, path),
        Source::Nothing => {
            let staged = staging::create(rt).map_err(|source| io_error("make an empty context", source))?;
            Ok(Opened::folder(staged.path.clone(), true, Some(staged)))
        }
        Source::Image(reference) => {
            let options = AcquireOptions {
                platform: request.platform.as_ref().map(ToString::to_string),
                no_bootstrap: request.no_bootstrap,
                always_pull: request.pull,
                keep_name: true,
            };
            let image = acquire::acquire(rt, reference, &options, reporter)
                .map_err(|source| Reason::Base { reference: reference.clone(), source: Arc::new(source) })?;
            Ok(Opened::image(rt, image))
        }
        Source::Stored(reference) => match store::find(rt, reference)? {
            Some(image) => Ok(Opened::image(rt, image)),
            None => Err(Reason::Store(StoreError::NoImage(reference.clone()))),
        },
        Source::Layout(path, wanted) => layout(rt, path, wanted.as_deref(), reporter),
    }
}

/// An archive is unpacked; anything else is the Dockerfile itself, and all there is.
fn file(rt: &Runtime, path: &Path) -> Result<Opened, Reason> {
    let io = |source| io_error("unpack the build context", source);
    let staged = staging::create(rt).map_err(io)?;
    if archive::kind(path).map_err(io)?.is_none() {
        std::fs::copy(path, staged.path.join("Dockerfile")).map_err(io)?;
        return Ok(Opened::folder(staged.path.clone(), true, Some(staged)));
    }
    let bytes = archive::decompress(path).map_err(io)?;
    extract::extract(staged.directory.as_fd(), &mut Archive::new(BufReader::new(bytes)), Rules::default())
        .map_err(|error| io(io::Error::other(error)))?;
    Ok(Opened::folder(staged.path.clone(), true, Some(staged)))
}

/// Loads an image out of a folder in OCI's layout.
fn layout(rt: &Runtime, path: &Path, wanted: Option<&str>, reporter: &dyn Reporter) -> Result<Opened, Reason> {
    let io = |source| io_error("read the image layout", source);
    if !path.join("index.json").is_file() {
        return Err(Reason::Syntax(format!(
            "`{}` is no folder in OCI's image layout: it has no `index.json`",
            path.display()
        )));
    }
    let (reader, writer) = io::pipe().map_err(io)?;
    let images = std::thread::scope(|threads| {
        let pack = threads.spawn(move || {
            let mut tar = tar::Builder::new(writer);
            tar.append_dir_all(".", path).and_then(|()| tar.finish())
        });
        let images = acquire::load::load_from(rt, reader, reporter);
        // One that the loader did not read to its end tells less than the loader.
        drop(pack.join());
        images
    });
    let images = images.map_err(|error| Reason::Syntax(format!("cannot load `{}`: {error}", path.display())))?;
    let fits = |image: &Image| match wanted {
        None => true,
        Some(wanted) => {
            image
                .references
                .iter()
                .any(|reference| Reference::parse(reference).is_ok_and(|it| it.to_string().ends_with(wanted)))
                || image.id.to_string() == wanted
        }
    };
    let only = images.len() == 1;
    match images.into_iter().find(|image| only || fits(image)) {
        Some(image) => Ok(Opened::image(rt, image)),
        None => Err(Reason::Syntax(format!("`{}` has no image `{}`", path.display(), wanted.unwrap_or("latest")))),
    }
}

fn io_error(act: &str, source: io::Error) -> Reason {
    Reason::Io { act: act.to_owned(), source }
}
