//! A layer's archive becomes a directory of the store, digested on the way; visible only when whole and right.

use std::io::{self, BufRead as _, BufReader, Read};
use std::os::fd::AsFd as _;

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::layers::{self, Layer};
use crate::image::staging;
use crate::image::store::StoreError;
use crate::snapshot::archive::{Archive, ArchiveError};
use crate::snapshot::extract::{self, ExtractError, Rules};

/// Why a layer was refused.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum UnpackError {
    #[error(transparent)]
    Extract(#[from] ExtractError),
    #[error("the layer's content is `{found}`, not `{expected}` as its image says")]
    Digest { expected: Digest, found: Digest },
    #[error("cannot stage the layer")]
    Stage(#[source] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many bytes are read at once.
const CHUNK: usize = 128 << 10;

/// Unpacks an uncompressed archive into the store; with `expected`, only if its digest is that.
pub fn unpack(rt: &Runtime, archive: impl Read, expected: Option<&Digest>) -> Result<Layer, UnpackError> {
    let staged = staging::create(rt).map_err(UnpackError::Stage)?;
    let digesting = Digesting::new(archive);
    let mut archive = Archive::new(BufReader::with_capacity(CHUNK, digesting));
    let rules = Rules { whiteouts: true, ..Rules::default() };
    let written = extract::extract(staged.directory.as_fd(), &mut archive, rules)?;
    // The digest is of all bytes, also of those behind the end mark.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|e| ExtractError::Archive(ArchiveError::Read(e)))?;
    let diff_id = rest.into_inner().finish();
    if let Some(expected) = expected.filter(|expected| **expected != diff_id) {
        return Err(UnpackError::Digest { expected: *expected, found: diff_id });
    }
    Ok(layers::publish(rt, &staged.path, Layer { diff_id, size: written.size })?)
}

/// Takes gzip, zstd or neither, told by the first bytes: media types lie.
pub fn decompress<'a>(source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut source = BufReader::with_capacity(CHUNK, source);
    // One read may bring less than the magic number.
    let start = source.fill_buf()?;
    if start.len() >= 4 || start.is_empty() {
        let kind = Kind::of(start);
        return open(kind, source);
    }
    let mut start = vec![0; 4];
    let mut filled = 0;
    while filled < start.len() {
        match source.read(&mut start[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    start.truncate(filled);
    let kind = Kind::of(&start);
    open(kind, BufReader::with_capacity(CHUNK, io::Cursor::new(start).chain(source)))
}

enum Kind {
    Gzip,
    Zstd,
    Plain,
}

impl Kind {
    fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or a skippable one before it (zstd:chunked).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

fn open<'a>(kind: Kind, source: BufReader<impl Read + 'a>) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match kind {
        Kind::Gzip => Box::new(MultiGzDecoder::new(source)),
        Kind::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(source)?),
        Kind::Plain => Box::new(source),
    })
}

/// Says whether an uncompressed archive has this digest, without unpacking it.
pub fn check(archive: impl Read, expected: &Digest) -> Result<(), UnpackError> {
    let mut digesting = Digesting::new(archive);
    io::copy(&mut digesting, &mut io::sink()).map_err(|e| ExtractError::Archive(ArchiveError::Read(e)))?;
    let found = digesting.finish();
    if found == *expected { Ok(()) } else { Err(UnpackError::Digest { expected: *expected, found }) }
}

/// Digests what is read through it.
#[derive(Debug)]
pub struct Digesting<R> {
    inner: R,
    hasher: Sha256,
}

impl<R> Digesting<R> {
    /// Starts with nothing read.
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: Sha256::new() }
    }

    /// Returns the digest of what was read.
    pub fn finish(self) -> Digest {
        Digest::finish(self.hasher)
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
