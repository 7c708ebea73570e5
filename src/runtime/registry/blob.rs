//! A layer on its way: downloaded on one side, with resumption; unpacked and digested by a thread on the other side.

use std::io::{self, Read, Seek as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::StatusCode;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::layers::{self, Layer};
use crate::image::manifest::Descriptor;
use crate::image::packed::{self, Packed};
use crate::image::partial::Partial;
use crate::progress::{Report, Reporter};
use crate::registry::client::Client;
use crate::registry::endpoint::pause_for;
use crate::registry::error::PullError;
use crate::snapshot::archive::ArchiveError;
use crate::snapshot::extract::ExtractError;
use crate::snapshot::unpack::{self, UnpackError};

/// Pieces waiting to be unpacked; the network is stopped when there are more.
const AHEAD: usize = 32;
const TRIES: u32 = 4;
/// Who sends less than this in a window will not be waited for.
const WINDOW: Duration = Duration::from_secs(30);
const WINDOW_BYTES: u64 = 16 << 10;

/// Downloads the layer and unpacks it at the same time; its archive is kept as it came.
pub async fn fetch(
    rt: &Runtime,
    client: &Client,
    descriptor: &Descriptor,
    diff_id: Digest,
    reporter: &dyn Reporter,
) -> Result<Layer, PullError> {
    let (digest, size) = (descriptor.digest, descriptor.size);
    let own = rt.clone();
    let opened = tokio::task::spawn_blocking(move || Partial::open(&own, &digest, size));
    let opened = opened.await.expect("opening does not panic");
    let mut partial = opened.map_err(|source| PullError::Keep { path: rt.layout.partial(), source })?;
    // Another process may have brought it while we waited.
    if let Some(layer) = layers::find(rt, &diff_id) {
        partial.remove();
        return Ok(layer);
    }
    let resumed = partial.length > 0;
    let result = match attempt(rt, client, descriptor, diff_id, &mut partial, reporter).await {
        // What an earlier process left may be what is wrong.
        Err(error) if resumed && is_about_content(&error) => {
            partial.clear().map_err(|source| PullError::Keep { path: partial.path.clone(), source })?;
            attempt(rt, client, descriptor, diff_id, &mut partial, reporter).await
        }
        other => other,
    };
    match &result {
        Err(error) if is_about_content(error) => partial.remove(),
        // Nothing came: an empty file is of no use to the next process.
        Err(_) if partial.file.metadata().is_ok_and(|it| it.len() == 0) => partial.remove(),
        Ok(_) | Err(_) => {}
    }
    result
}

async fn attempt(
    rt: &Runtime,
    client: &Client,
    descriptor: &Descriptor,
    diff_id: Digest,
    partial: &mut Partial,
    reporter: &dyn Reporter,
) -> Result<Layer, PullError> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let keep = |source| PullError::Keep { path: partial.path.clone(), source };
    let own =
        Partial { path: partial.path.clone(), file: partial.file.try_clone().map_err(keep)?, length: partial.length };
    let (owned, wanted, length) = (rt.clone(), descriptor.clone(), partial.length);
    let unpacking = tokio::task::spawn_blocking(move || unpack(&owned, receiver, own, &wanted, diff_id));
    let downloaded = download(client, descriptor, length, &sender, reporter).await;
    // What was sent is not all that there is: the thread must not take the end for the archive's.
    if downloaded.is_err() {
        let _ = sender.send(Err(())).await;
    }
    drop(sender);
    let unpacked = unpacking.await.expect("unpacking does not panic");
    let result = match downloaded {
        // The thread stopped listening: its own error is the cause.
        Ok(()) | Err(None) => unpacked,
        Err(Some(error)) => Err(error),
    };
    if result.is_ok() {
        let media_type = media_type(&descriptor.media_type);
        let packed = Packed { digest: descriptor.digest, size: descriptor.size, media_type };
        packed::keep(rt, &partial.path, &diff_id, &packed)?;
    }
    result
}

/// Layers that are sent on are no longer foreign.
fn media_type(given: &str) -> String {
    match given {
        "" => "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
        given => given.replace(".foreign.diff.", ".diff.").replace(".nondistributable.", "."),
    }
}

/// `Err(None)`: the other side went away.
async fn download(
    client: &Client,
    descriptor: &Descriptor,
    from: u64,
    sender: &mpsc::Sender<Result<Bytes, ()>>,
    reporter: &dyn Reporter,
) -> Result<(), Option<PullError>> {
    let digest = descriptor.digest.to_string();
    let mut done = from;
    let mut tries = 0;
    while done < descriptor.size {
        let before = done;
        match once(client, descriptor, &digest, &mut done, sender, reporter).await {
            Err(Some(error)) if error.is_transient() => {
                // Only tries without any progress count.
                tries = if done > before { 1 } else { tries + 1 };
                if tries >= TRIES {
                    return Err(Some(error));
                }
                tracing::debug!(%error, done, "going on where it broke");
                pause_for(Duration::from_millis(200 << tries)).await;
            }
            other => return other,
        }
    }
    reporter.report(Report::Bytes { item: short(&digest), done, total: Some(descriptor.size) });
    Ok(())
}

async fn once(
    client: &Client,
    descriptor: &Descriptor,
    digest: &str,
    done: &mut u64,
    sender: &mpsc::Sender<Result<Bytes, ()>>,
    reporter: &dyn Reporter,
) -> Result<(), Option<PullError>> {
    let size = || PullError::Size { digest: descriptor.digest, expected: descriptor.size };
    let mut response = client.blob(digest, *done, &descriptor.urls).await?;
    // A registry that knows no ranges starts from the beginning.
    let mut skip = if response.status() == StatusCode::PARTIAL_CONTENT { 0 } else { *done };
    let (mut window, mut in_window) = (Instant::now(), 0);
    while let Some(mut chunk) = response.chunk().await.map_err(|error| client.failed(&error))? {
        in_window += chunk.len() as u64;
        if window.elapsed() > WINDOW {
            if in_window < WINDOW_BYTES {
                return Err(Some(PullError::Timeout { registry: client.registry.clone() }));
            }
            (window, in_window) = (Instant::now(), 0);
        }
        let skipped = skip.min(chunk.len() as u64);
        skip -= skipped;
        let chunk = chunk.split_off(usize::try_from(skipped).expect("not longer than the chunk"));
        if chunk.is_empty() {
            continue;
        }
        *done += chunk.len() as u64;
        if *done > descriptor.size {
            return Err(Some(size()));
        }
        // Waiting for the thread is not the network's silence.
        let waiting = Instant::now();
        sender.send(Ok(chunk)).await.map_err(|_| None)?;
        window += waiting.elapsed();
        reporter.report(Report::Bytes { item: short(digest), done: *done, total: Some(descriptor.size) });
    }
    if *done == descriptor.size {
        Ok(())
    } else {
        Err(Some(PullError::Network { registry: client.registry.clone(), why: "the connection ended early".into() }))
    }
}

/// Twelve digits, as people know them.
pub fn short(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(12).collect()
}

fn unpack(
    rt: &Runtime,
    receiver: mpsc::Receiver<Result<Bytes, ()>>,
    partial: Partial,
    descriptor: &Descriptor,
    diff_id: Digest,
) -> Result<Layer, PullError> {
    let digest = descriptor.digest;
    let failed = |source: UnpackError| PullError::Unpack { digest, source: Box::new(source) };
    let read = |error| failed(UnpackError::Extract(ExtractError::Archive(ArchiveError::Read(error))));
    let path = partial.path.clone();
    let replay = partial.length;
    let mut pieces =
        Pieces { receiver, partial, replay, piece: Bytes::new(), hasher: Sha256::new(), read: 0, kept: Ok(()) };
    pieces.partial.file.rewind().map_err(|source| PullError::Keep { path: path.clone(), source })?;
    let layer = unpack::decompress(&mut pieces)
        .map_err(read)
        .and_then(|archive| unpack::unpack(rt, archive, Some(&diff_id)).map_err(failed));
    if layer.as_ref().is_err_and(|error| !is_about_content(error)) {
        return layer;
    }
    // Wrong bytes are the cause, whatever the archive made of them.
    let drained = io::copy(&mut pieces, &mut io::sink());
    // A full disk is told as such, not as an archive that can't be read.
    if let Err(source) = pieces.kept {
        return Err(PullError::Keep { path, source });
    }
    drained.map_err(read)?;
    let found = Digest::finish(pieces.hasher);
    match pieces.read == descriptor.size && found != digest {
        true => Err(PullError::Digest { expected: digest, found }),
        false => layer,
    }
}

/// Says whether it is the bytes that are wrong, not the way to them.
fn is_about_content(error: &PullError) -> bool {
    let cut = |source: &io::Error| source.kind() == io::ErrorKind::ConnectionAborted;
    let PullError::Unpack { source, .. } = error else {
        return matches!(error, PullError::Digest { .. } | PullError::Size { .. });
    };
    let Some(source) = source.downcast_ref::<UnpackError>() else { return false };
    match source {
        UnpackError::Extract(ExtractError::Archive(ArchiveError::Read(source))) => !cut(source),
        UnpackError::Digest { .. } | UnpackError::Extract(ExtractError::Archive(_)) => true,
        UnpackError::Extract(_) | UnpackError::Stage(_) | UnpackError::Store(_) => false,
    }
}

/// What was downloaded before and what comes now, as a blocking reader that keeps and digests it.
struct Pieces {
    receiver: mpsc::Receiver<Result<Bytes, ()>>,
    partial: Partial,
    /// Bytes of the file still to be read again.
    replay: u64,
    piece: Bytes,
    hasher: Sha256,
    read: u64,
    kept: io::Result<()>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.replay > 0 {
            let wanted = usize::try_from(self.replay).unwrap_or(usize::MAX).min(buffer.len());
            let count = self.partial.file.read(&mut buffer[..wanted])?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.hasher.update(&buffer[..count]);
            self.read += count as u64;
            self.replay -= count as u64;
            return Ok(count);
        }
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(Err(())) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Some(Ok(piece)) => {
                    if let Err(error) = self.partial.append(&piece) {
                        self.kept = Err(error);
                        return Err(io::ErrorKind::StorageFull.into());
                    }
                    self.hasher.update(&piece);
                    self.read += piece.len() as u64;
                    self.piece = piece;
                }
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}
