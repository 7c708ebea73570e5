//! A layer on its way: downloaded on one side, with resumption; unpacked and digested by a thread on the other side.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::layers::Layer;
use crate::image::manifest::Descriptor;
use crate::progress::{Report, Reporter};
use crate::registry::client::Client;
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

type Piece = Vec<u8>;

/// Downloads the layer and unpacks it at the same time.
pub async fn fetch(
    rt: &Runtime,
    client: &Client,
    descriptor: &Descriptor,
    diff_id: Digest,
    reporter: &dyn Reporter,
) -> Result<Layer, PullError> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let (digest, size, rt) = (descriptor.digest, descriptor.size, rt.clone());
    let unpacking = tokio::task::spawn_blocking(move || unpack(&rt, receiver, digest, size, diff_id));
    let downloaded = download(client, descriptor, &sender, reporter).await;
    // What was sent is not all that there is: the thread must not take the end for the archive's.
    if downloaded.is_err() {
        let _ = sender.send(Err(())).await;
    }
    drop(sender);
    let unpacked = unpacking.await.expect("unpacking does not panic");
    match downloaded {
        // The thread stopped listening: its own error is the cause.
        Ok(()) | Err(None) => unpacked,
        Err(Some(error)) => Err(error),
    }
}

/// `Err(None)`: the other side went away.
async fn download(
    client: &Client,
    descriptor: &Descriptor,
    sender: &mpsc::Sender<Result<Piece, ()>>,
    reporter: &dyn Reporter,
) -> Result<(), Option<PullError>> {
    let digest = descriptor.digest.to_string();
    let mut done = 0;
    let mut tries = 0;
    loop {
        let before = done;
        match once(client, descriptor, &digest, &mut done, sender, reporter).await {
            Err(Some(error)) if error.is_transient() => {
                // Only tries without any progress count.
                tries = if done > before { 1 } else { tries + 1 };
                if tries >= TRIES {
                    return Err(Some(error));
                }
                wait(Duration::from_millis(200 << tries)).await;
            }
            other => return other,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "back-off before a registry is asked again; there is no event to wait for"
)]
async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}

async fn once(
    client: &Client,
    descriptor: &Descriptor,
    digest: &str,
    done: &mut u64,
    sender: &mpsc::Sender<Result<Piece, ()>>,
    reporter: &dyn Reporter,
) -> Result<(), Option<PullError>> {
    let size = || PullError::Size { digest: descriptor.digest, expected: descriptor.size };
    let mut response = client.blob(digest, *done).await?;
    // A registry that knows no ranges starts from the beginning.
    let mut skip = if response.status() == StatusCode::PARTIAL_CONTENT { 0 } else { *done };
    let (mut window, mut in_window) = (Instant::now(), 0);
    while let Some(chunk) = response.chunk().await.map_err(|error| client.failed(&error))? {
        in_window += chunk.len() as u64;
        if window.elapsed() > WINDOW {
            if in_window < WINDOW_BYTES {
                return Err(Some(PullError::Timeout { registry: client.registry.clone() }));
            }
            (window, in_window) = (Instant::now(), 0);
        }
        let skipped = skip.min(chunk.len() as u64);
        skip -= skipped;
        let chunk = &chunk[usize::try_from(skipped).expect("not longer than the chunk")..];
        if chunk.is_empty() {
            continue;
        }
        *done += chunk.len() as u64;
        if *done > descriptor.size {
            return Err(Some(size()));
        }
        // Waiting for the thread is not the network's silence.
        let waiting = Instant::now();
        sender.send(Ok(chunk.to_vec())).await.map_err(|_| None)?;
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
    receiver: mpsc::Receiver<Result<Piece, ()>>,
    digest: Digest,
    size: u64,
    diff_id: Digest,
) -> Result<Layer, PullError> {
    let failed = |source| PullError::Unpack { digest, source };
    let read = |error| failed(UnpackError::Extract(ExtractError::Archive(ArchiveError::Read(error))));
    let mut pieces = Pieces { receiver, piece: Vec::new(), used: 0, hasher: Sha256::new(), read: 0 };
    let layer = unpack::decompress(&mut pieces)
        .map_err(read)
        .and_then(|archive| unpack::unpack(rt, archive, Some(&diff_id)).map_err(failed));
    let about_content = |error: &PullError| {
        matches!(
            error,
            PullError::Unpack {
                source: UnpackError::Digest { .. } | UnpackError::Extract(ExtractError::Archive(_)),
                ..
            }
        )
    };
    if layer.as_ref().is_err_and(|error| !about_content(error)) {
        return layer;
    }
    // Wrong bytes are the cause, whatever the archive made of them.
    io::copy(&mut pieces, &mut io::sink()).map_err(read)?;
    let found = Digest::finish(pieces.hasher);
    match pieces.read == size && found != digest {
        true => Err(PullError::Digest { expected: digest, found }),
        false => layer,
    }
}

/// What is downloaded, as a blocking reader that digests.
struct Pieces {
    receiver: mpsc::Receiver<Result<Piece, ()>>,
    piece: Piece,
    used: usize,
    hasher: Sha256,
    read: u64,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.piece.len() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(Err(())) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Some(Ok(piece)) => {
                    self.hasher.update(&piece);
                    self.read += piece.len() as u64;
                    (self.piece, self.used) = (piece, 0);
                }
            }
        }
        let count = buffer.len().min(self.piece.len() - self.used);
        buffer[..count].copy_from_slice(&self.piece[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}
