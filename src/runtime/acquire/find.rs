//! Finds an image: in the store, then at its registry, then among what the host's packages can stand for.

use crate::Runtime;
use crate::bootstrap::assemble::{self, AssembleError};
use crate::image::manifest::{ManifestError, Platform};
use crate::image::reference::{Reference, ReferenceError};
use crate::image::staging;
use crate::image::store::{self, Image, StoreError};
use crate::progress::Reporter;
use crate::registry::pull::{self, PullError};

/// How an image may be had.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AcquireOptions {
    /// `linux/amd64`; `None`: this machine's.
    pub platform: Option<String>,
    /// Never assemble it from the host's packages.
    pub no_bootstrap: bool,
    /// Ask the registry although the store has one. An image that was assembled is not asked for again.
    pub always_pull: bool,
    /// One for another kind of machine does not take the name from an image that has it.
    pub keep_name: bool,
}

/// Why an image is not to be had.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum AcquireError {
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Platform(#[from] ManifestError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot get image `{reference}`")]
    Pull {
        reference: String,
        #[source]
        source: PullError,
        /// Why the host's packages could not stand for it.
        bootstrap: Bootstrap,
    },
}

/// What became of assembling it from the host's packages.
#[derive(Debug, thiserror::Error)]
pub enum Bootstrap {
    /// It is switched off.
    #[error("assembling it from this host's packages is switched off")]
    Off,
    /// Another kind of machine was asked for.
    #[error("this host's packages are for another platform")]
    Platform,
    /// The reference is none that the host's packages satisfy.
    #[error("this host's packages cannot stand for it")]
    NoMatch,
    /// It was tried.
    #[error("it could not be assembled from this host's packages")]
    Failed(#[source] Box<AssembleError>),
}

impl AcquireError {
    /// Returns what a person could do about it, a line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Reference(_) | Self::Platform(_) | Self::Store(_) => Vec::new(),
            Self::Pull { source, bootstrap, .. } => {
                let mut hints: Vec<String> = source.hint().into_iter().collect();
                hints.push(match bootstrap {
                    Bootstrap::Failed(error) => format!("{bootstrap}: {}", chain(&**error)),
                    Bootstrap::Off | Bootstrap::Platform | Bootstrap::NoMatch => bootstrap.to_string(),
                });
                hints
            }
        }
    }
}

/// Returns the image that `reference` names, got by the first way that works.
pub fn acquire(
    rt: &Runtime,
    reference: &str,
    options: &AcquireOptions,
    reporter: &dyn Reporter,
) -> Result<Image, AcquireError> {
    let platform = match &options.platform {
        Some(text) => Platform::parse(text)?,
        None => Platform::host(),
    };
    if let Some(image) = store::find(rt, reference)? {
        let assembled = image.config.config.labels.contains_key(assemble::LABEL);
        let fits = serves(&image, &platform);
        if fits && (!options.always_pull || assembled && !options.no_bootstrap) {
            return Ok(image);
        }
        if !fits
            && !options.always_pull
            && let Some(image) = store::find_for(rt, reference, &platform)?
        {
            return Ok(image);
        }
    }
    let parsed = Reference::parse(reference)?;
    // What killed processes left is found when there is time: an image is a matter of seconds.
    if let Err(error) = staging::collect(rt) {
        tracing::debug!(%error, "garbage of earlier processes stays");
    }
    let foreign = platform.architecture != Platform::host().architecture || platform.os != Platform::host().os;
    let pulled = match foreign && options.keep_name && store::find(rt, reference)?.is_some() {
        true => pull::pull_unnamed(rt, &parsed, &platform, &rt.registry, reporter),
        false => pull::pull(rt, &parsed, &platform, &rt.registry, reporter),
    };
    let source = match pulled {
        Ok(image) => return Ok(image),
        Err(error) => error,
    };
    let fail = |source, bootstrap| AcquireError::Pull { reference: reference.into(), source, bootstrap };
    if options.no_bootstrap {
        return Err(fail(source, Bootstrap::Off));
    }
    if foreign {
        return Err(fail(source, Bootstrap::Platform));
    }
    match assemble::assemble(rt, &parsed, reporter) {
        Ok(Some(image)) => Ok(image),
        Ok(None) => Err(fail(source, Bootstrap::NoMatch)),
        Err(error) => Err(fail(source, Bootstrap::Failed(Box::new(error)))),
    }
}

/// An image without a platform (made from nothing) serves any.
fn serves(image: &Image, platform: &Platform) -> bool {
    let same = |have: &str, wanted: &str| have.is_empty() || have == wanted;
    same(&image.config.os, &platform.os) && same(&image.config.architecture, &platform.architecture)
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
