//! Pulls an image: manifest, config, layers. Layers come several at once and are unpacked while they come; nothing is visible before
//! all is there and right.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Runtime;
use crate::image::config::ImageConfig;
use crate::image::digest::Digest;
use crate::image::layers;
use crate::image::manifest::{self, Descriptor, Document, Manifest, Platform};
use crate::image::reference::Reference;
use crate::image::store::{self, Image};
use crate::progress::{Report, Reporter};
use crate::registry::blob;
use crate::registry::client::Client;

pub use crate::registry::client::Settings;
pub(crate) use crate::registry::client::runtime;
pub use crate::registry::error::PullError;

/// As many as overlayfs stacks.
const MOST_LAYERS: usize = 500;
/// An index of an index of an index is a joke.
const DEPTH: u32 = 3;

/// Pulls what `reference` names for `platform`. Blocks; not to be called on a thread that drives async tasks.
pub fn pull(
    rt: &Runtime,
    reference: &Reference,
    platform: &Platform,
    settings: &Arc<Settings>,
    reporter: &dyn Reporter,
) -> Result<Image, PullError> {
    let (image, served) = fetch(rt, reference, platform, settings, reporter)?;
    store::tag_pulled(rt, &image.id, reference, Some(&served))?;
    Ok(store::find(rt, &image.id.to_string())?.unwrap_or(image))
}

/// As [`pull`], but the image gets no name: another one has it.
pub fn pull_unnamed(
    rt: &Runtime,
    reference: &Reference,
    platform: &Platform,
    settings: &Arc<Settings>,
    reporter: &dyn Reporter,
) -> Result<Image, PullError> {
    fetch(rt, reference, platform, settings, reporter).map(|(image, _)| image)
}

/// Returns the image, and the digest of what the registry served for its name.
fn fetch(
    rt: &Runtime,
    reference: &Reference,
    platform: &Platform,
    settings: &Arc<Settings>,
    reporter: &dyn Reporter,
) -> Result<(Image, Digest), PullError> {
    let client = Client::new(reference, settings)?;
    let runtime = runtime()?;
    let _lease = store::lease(rt)?;
    runtime.block_on(run(rt, &client, reference, platform, reporter))
}

/// Returns the digest that the registry has now for a reference. Blocks.
pub fn digest(reference: &Reference, settings: &Arc<Settings>) -> Result<Digest, PullError> {
    let client = Client::new(reference, settings)?;
    runtime()?.block_on(client.digest(&reference.manifest()))
}

async fn run(
    rt: &Runtime,
    client: &Client,
    reference: &Reference,
    platform: &Platform,
    reporter: &dyn Reporter,
) -> Result<(Image, Digest), PullError> {
    let bytes = client.manifest(&reference.manifest(), manifest::ACCEPT).await?;
    let served = Digest::of(&bytes);
    if let Some(expected) = reference.digest.filter(|expected| *expected != served) {
        return Err(PullError::Digest { expected, found: served });
    }
    let manifest = resolve(rt, client, bytes, platform).await?;
    if manifest.layers.len() > MOST_LAYERS {
        return Err(PullError::Document("it has more than 500 layers"));
    }
    let config = client.small_blob(&manifest.config.digest.to_string()).await?;
    checked(&manifest.config, &config)?;
    let document: ImageConfig =
        serde_json::from_slice(&config).map_err(|_| PullError::Document("its config is damaged"))?;
    let diff_ids = &document.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        return Err(PullError::Document("its config and its manifest have different numbers of layers"));
    }
    let wanted = manifest.layers.iter().zip(diff_ids.iter().copied()).collect();
    fetch_all(rt, client, wanted, reporter).await?;
    Ok((store::put(rt, &config, &[])?, served))
}

/// Follows indexes to the platform's manifest.
async fn resolve(
    rt: &Runtime,
    client: &Client,
    mut bytes: Vec<u8>,
    platform: &Platform,
) -> Result<Manifest, PullError> {
    for _ in 0..DEPTH {
        // Kept as served: what is pushed or saved later has the same digest.
        store::put_manifest(rt, &bytes)?;
        match Document::parse(&bytes)? {
            Document::Manifest(manifest) => return Ok(manifest),
            Document::Index(index) => {
                let entry = index.choose(platform)?;
                bytes = client.manifest(&entry.digest.to_string(), manifest::ACCEPT).await?;
                checked(entry, &bytes)?;
            }
        }
    }
    Err(PullError::Document("its indexes name each other without end"))
}

fn checked(descriptor: &Descriptor, bytes: &[u8]) -> Result<(), PullError> {
    let found = Digest::of(bytes);
    match found == descriptor.digest {
        true => Ok(()),
        false => Err(PullError::Digest { expected: descriptor.digest, found }),
    }
}

async fn fetch_all(
    rt: &Runtime,
    client: &Client,
    mut wanted: Vec<(&Descriptor, Digest)>,
    reporter: &dyn Reporter,
) -> Result<(), PullError> {
    // The same layer twice is fetched once; the largest first, so that none is left to run alone.
    wanted.sort_by_key(|(descriptor, diff_id)| (std::cmp::Reverse(descriptor.size), *diff_id));
    wanted.dedup_by_key(|(_, diff_id)| *diff_id);
    let mut queue = VecDeque::new();
    for (descriptor, diff_id) in wanted {
        match layers::find(rt, &diff_id) {
            Some(_) => reporter.report(Report::Bytes {
                item: blob::short(&descriptor.digest.to_string()),
                done: descriptor.size,
                total: Some(descriptor.size),
            }),
            None => queue.push_back((descriptor, diff_id)),
        }
    }
    let next = std::cell::RefCell::new(queue);
    let lane = || async {
        loop {
            let Some((descriptor, diff_id)) = next.borrow_mut().pop_front() else { return Ok(()) };
            blob::fetch(rt, client, descriptor, diff_id, reporter).await?;
        }
    };
    // Each lane takes the next layer as it gets free; the first failure ends all.
    tokio::try_join!(lane(), lane(), lane(), lane()).map(drop)
}
