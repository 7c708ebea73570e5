//! One blob on its way to a registry: skipped when it is there, mounted from a sibling, or sent in pieces that go on where they broke.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode};

use crate::image::digest::Digest;
use crate::registry::client::Client;
use crate::registry::endpoint::Request;
use crate::registry::error::PullError;

/// Bytes of one request; what is shorter goes whole.
const PIECE: u64 = 8 << 20;
/// Uploads begun for one blob.
const TRIES: u32 = 3;

/// Where the bytes of a blob are.
pub(crate) enum Content {
    /// In a file.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only images have files to send"))]
    File(PathBuf),
    /// Here.
    Bytes(Vec<u8>),
}

/// What is to be there.
pub(crate) struct Upload<'a> {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// Its bytes.
    pub(crate) content: Content,
    /// Repositories of the same registry that have it.
    pub(crate) from: Vec<&'a str>,
}

/// Sees to it that the registry has the blob; tells the bytes that are there so far.
pub(crate) async fn upload(client: &Client, blob: &Upload<'_>, told: &dyn Fn(u64)) -> Result<(), PullError> {
    let mut tries = 1;
    loop {
        if is_there(client, blob).await? {
            told(blob.size);
            return Ok(());
        }
        match once(client, blob, told).await {
            Ok(()) => return Ok(()),
            // The upload may be gone, or done and its answer lost: look again, and begin again.
            Err(error @ (PullError::Status { .. } | PullError::NotFound { .. })) if tries < TRIES => {
                tracing::debug!(%error, "the upload begins again");
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn is_there(client: &Client, blob: &Upload<'_>) -> Result<bool, PullError> {
    match client.send(&client.request(Method::HEAD, &format!("blobs/{}", blob.digest))).await {
        Ok(_) => Ok(true),
        Err(PullError::NotFound { .. }) => Ok(false),
        // Some registries refuse to tell before something was pushed.
        Err(PullError::Permission { .. } | PullError::Status { status: 405, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn once(client: &Client, blob: &Upload<'_>, told: &dyn Fn(u64)) -> Result<(), PullError> {
    let mut begun = None;
    for from in &blob.from {
        let path = format!("blobs/uploads/?mount={}&from={from}", blob.digest);
        let response = client.send(&request(client, blob, Method::POST, &path)).await?;
        if response.status() == StatusCode::CREATED {
            told(blob.size);
            return Ok(());
        }
        // Not mounted: an upload is begun instead.
        begun = Some(response);
    }
    let begun = match begun {
        Some(begun) => begun,
        None => client.send(&request(client, blob, Method::POST, "blobs/uploads/")).await?,
    };
    let least = begun.headers().get("oci-chunk-min-length").and_then(|it| it.to_str().ok()?.parse().ok()).unwrap_or(0);
    let piece = PIECE.max(least);
    let mut location = location(&begun)?;
    let mut done = 0;
    while blob.size - done > piece || (done > 0 && done < blob.size) {
        let length = piece.min(blob.size - done);
        let mut patch = Request { path: location.clone(), ..request(client, blob, Method::PATCH, "") }
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_RANGE, &format!("{done}-{}", done + length - 1));
        patch.body = Some(read(blob, done, length)?);
        let response = match client.send(&patch).await {
            Ok(response) => response,
            // Part of it may have come through before the connection broke.
            Err(error) => {
                let status = Request { path: location.clone(), ..request(client, blob, Method::GET, "") };
                let Ok(response) = client.send(&status).await else { return Err(error) };
                let reached = reached(&response).filter(|reached| *reached > done && *reached <= blob.size);
                done = reached.ok_or(error)?;
                location = self::location(&response).unwrap_or(location);
                told(done);
                continue;
            }
        };
        done = reached(&response).filter(|reached| *reached > done).unwrap_or(done + length).min(blob.size);
        location = self::location(&response)?;
        told(done);
    }
    let separator = if location.contains('?') { '&' } else { '?' };
    let path = format!("{location}{separator}digest={}", blob.digest);
    let mut put = Request { path, ..request(client, blob, Method::PUT, "") };
    put = put.header(CONTENT_TYPE, "application/octet-stream");
    put.body = Some(read(blob, done, blob.size - done)?);
    client.send(&put).await?;
    told(blob.size);
    Ok(())
}

fn request(client: &Client, blob: &Upload<'_>, method: Method, path: &str) -> Request {
    let wanted = format!("{}@{}", client.repository, blob.digest);
    Request { wanted, ..client.request(method, path) }
}

fn location(response: &Response) -> Result<String, PullError> {
    let text = response.headers().get(LOCATION).and_then(|it| it.to_str().ok());
    text.map(str::to_owned).ok_or(PullError::Document("the registry does not say where an upload goes to"))
}

/// How far the registry is: `Range: 0-1023` are 1024 bytes.
fn reached(response: &Response) -> Option<u64> {
    let range = response.headers().get(RANGE)?.to_str().ok()?;
    let (_, last) = range.trim_start_matches("bytes=").split_once('-')?;
    last.parse::<u64>().ok().map(|last| if last == 0 { 0 } else { last + 1 })
}

fn read(blob: &Upload<'_>, offset: u64, length: u64) -> Result<Vec<u8>, PullError> {
    let path = match &blob.content {
        Content::File(path) => path,
        Content::Bytes(bytes) => {
            let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let end = begin.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)).min(bytes.len());
            return Ok(bytes[begin..end].to_vec());
        }
    };
    let error = |source: io::Error| PullError::Keep { path: path.clone(), source };
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    let file = std::fs::File::open(path).map_err(error)?;
    file.read_exact_at(&mut bytes, offset).map_err(error)?;
    Ok(bytes)
}
