//! Answers that come in pieces: JSON documents one after the other, and files.

use std::io::Write as _;
use std::os::fd::OwnedFd;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

use crate::docker::fault::Fault;
use crate::docker::transport::Body;

/// How much of a file is sent at a time.
const PIECE: usize = 256 << 10;
/// Longest JSON document of a stream; an engine that sends more is broken.
const LONGEST: usize = 64 << 20;

/// JSON documents of an answer, as they come.
pub(crate) struct Documents {
    body: Incoming,
    read: BytesMut,
}

impl Documents {
    /// Reads those of an answer.
    pub(crate) fn of(body: Incoming) -> Self {
        Self { body, read: BytesMut::new() }
    }

    /// Returns the next; `None`: there are no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, Fault> {
        loop {
            let mut documents = serde_json::Deserializer::from_slice(&self.read).into_iter::<Value>();
            match documents.next() {
                Some(Ok(document)) => {
                    let length = documents.byte_offset();
                    self.read.advance(length);
                    return Ok(Some(document));
                }
                Some(Err(error)) if !error.is_eof() => {
                    return Err(Fault::Broken { why: format!("the Docker Engine's answer can't be read: {error}") });
                }
                Some(Err(_)) | None => {}
            }
            if self.read.len() > LONGEST {
                return Err(Fault::Broken { why: "the Docker Engine's answer has no end".to_owned() });
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.read.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Err(Fault::of_hyper(&error)),
                None if self.read.iter().all(u8::is_ascii_whitespace) => return Ok(None),
                None => return Err(Fault::Closed { why: "in the middle of an answer".to_owned() }),
            }
        }
    }
}

/// Writes a whole answer into a file or pipe.
pub(crate) async fn write_all(mut body: Incoming, target: OwnedFd) -> Result<(), Fault> {
    let (sender, mut pieces) = tokio::sync::mpsc::channel::<Bytes>(16);
    let writing = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        let mut file = std::fs::File::from(target);
        while let Some(piece) = pieces.blocking_recv() {
            file.write_all(&piece)?;
        }
        file.flush()
    });
    let mut broken = None;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                if let Ok(data) = frame.into_data()
                    && sender.send(data).await.is_err()
                {
                    // The writer says why.
                    break;
                }
            }
            Err(error) => {
                broken = Some(Fault::of_hyper(&error));
                break;
            }
        }
    }
    drop(sender);
    match writing.await {
        Ok(Ok(())) => broken.map_or(Ok(()), Err),
        Ok(Err(error)) => Err(Fault::Broken { why: format!("the output can't be written: {error}") }),
        Err(error) => Err(Fault::Broken { why: error.to_string() }),
    }
}

/// Makes a body of what `write` writes, on a thread of its own.
pub(crate) fn written(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()> + Send + 'static) -> Body {
    let (sender, pieces) = tokio::sync::mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let mut pipe = Pipe { sender, piece: Vec::with_capacity(PIECE) };
        let result = write(&mut pipe).and_then(|()| std::io::Write::flush(&mut pipe));
        if let Err(error) = result {
            // Whoever reads is told; when nobody does, nobody needs to know.
            let _ = pipe.sender.blocking_send(Err(error));
        }
    });
    bollard::body_try_stream(received(pieces))
}

fn received(
    pieces: tokio::sync::mpsc::Receiver<std::io::Result<Bytes>>,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    stream::unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) })
}

/// Makes a body of a file or pipe.
pub(crate) fn of_file(source: OwnedFd) -> Body {
    written(move |target| std::io::copy(&mut std::fs::File::from(source), target).map(|_| ()))
}

struct Pipe {
    sender: tokio::sync::mpsc::Sender<std::io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl std::io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE)));
        self.sender.blocking_send(Ok(piece)).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}
