//! gRPC over HTTP/2, both ways (grpc.github.io/grpc/core/md_doc__p_r_o_t_o_c_o_l-_h_t_t_p2.html): calls to the
//! engine's BuildKit, and its calls to us.

use std::convert::Infallible;
use std::pin::Pin;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::Stream;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use hyper::{Request, Response};
use tokio::sync::mpsc;

use crate::docker::fault::Fault;

/// Longest message that is read: contexts come in pieces, logs in lines.
const LONGEST: usize = 64 << 20;

/// How a call ended, when not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    /// 5: not found; 12: not implemented.
    pub(super) code: u32,
    pub(super) message: String,
}

impl Status {
    /// What is asked for is not there.
    pub(super) fn not_found(message: String) -> Self {
        Self { code: 5, message }
    }

    /// It can't be done.
    pub(super) fn failed(message: String) -> Self {
        Self { code: 2, message }
    }

    /// There is no such call.
    pub(super) fn unimplemented(path: &str) -> Self {
        Self { code: 12, message: format!("there is no {path} here") }
    }
}

/// Puts a message into its frame.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(message.len() + 5);
    frame.push(0);
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(message);
    Bytes::from(frame)
}

/// The messages of a body.
pub(super) struct Messages {
    body: Incoming,
    read: BytesMut,
    /// What came after the last one.
    trailers: Option<HeaderMap>,
}

impl Messages {
    /// Reads from a body.
    pub(super) fn of(body: Incoming) -> Self {
        Self { body, read: BytesMut::new(), trailers: None }
    }

    /// Returns the next message; `None`: the other side has said all.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            if let Some(header) = self.read.first_chunk::<5>() {
                let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
                if header[0] != 0 || length > LONGEST {
                    return Err(Fault::Broken { why: "BuildKit's message can't be read".to_owned() });
                }
                if self.read.len() >= length + 5 {
                    self.read.advance(5);
                    return Ok(Some(self.read.split_to(length).freeze()));
                }
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(Fault::of_hyper(&error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.read.extend_from_slice(&data),
                    Err(frame) => self.trailers = frame.into_trailers().ok().or(self.trailers.take()),
                },
            }
        }
    }
}

/// Reads how a call ended of its last headers.
fn status(headers: &HeaderMap) -> Option<Result<(), Status>> {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let code = text("grpc-status")?.parse().unwrap_or(2);
    if code == 0 {
        return Some(Ok(()));
    }
    Some(Err(Status { code, message: unescape(&text("grpc-message").unwrap_or_default()) }))
}

/// Undoes the percent signs of a message.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if (0x20..0x7f).contains(&byte) && byte != b'%' {
                (byte as char).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// A connection to BuildKit.
#[derive(Clone)]
pub(super) struct Channel(pub(super) SendRequest<Full<Bytes>>);

impl Channel {
    /// Begins a call with one message; the answers are to be read.
    pub(super) async fn begin(&mut self, path: &str, message: &[u8]) -> Result<Answer, Fault> {
        let request = Request::post(format!("http://buildkit{path}"))
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(Full::new(framed(message)))
            .map_err(|error| Fault::Broken { why: error.to_string() })?;
        let response = self.0.send_request(request).await.map_err(|error| Fault::of_hyper(&error))?;
        let early = status(response.headers());
        Ok(Answer { messages: Messages::of(response.into_body()), early })
    }

    /// Makes a call that has one answer.
    pub(super) async fn call(&mut self, path: &str, message: &[u8]) -> Result<Result<Bytes, Status>, Fault> {
        let mut answer = self.begin(path, message).await?;
        let mut last = Bytes::new();
        while let Some(message) = answer.messages.next().await? {
            last = message;
        }
        Ok(answer.end().map(|()| last))
    }
}

/// The answers to a call.
pub(super) struct Answer {
    pub(super) messages: Messages,
    /// A call that fails at once has nothing but headers.
    early: Option<Result<(), Status>>,
}

impl Answer {
    /// Says how the call ended, once all messages are read.
    pub(super) fn end(self) -> Result<(), Status> {
        let late = self.messages.trailers.as_ref().and_then(status);
        late.or(self.early).unwrap_or_else(|| Err(Status::failed("BuildKit did not say how it ended".to_owned())))
    }
}

/// The body of an answer of ours.
pub(super) type ReplyBody = StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>>;

/// Where the messages of an answer go.
#[derive(Clone)]
pub(super) struct Reply(mpsc::Sender<Frame<Bytes>>);

impl Reply {
    /// Sends a message; false: the other side is gone.
    pub(super) async fn send(&self, message: &[u8]) -> bool {
        self.0.send(Frame::data(framed(message))).await.is_ok()
    }

    /// Ends the answer.
    pub(super) async fn end(self, result: Result<(), Status>) {
        let mut trailers = HeaderMap::new();
        let (code, message) = match result {
            Ok(()) => (0, String::new()),
            Err(status) => (status.code, status.message),
        };
        trailers.insert("grpc-status", HeaderValue::from(code));
        if let Ok(message) = HeaderValue::from_str(&escape(&message)) {
            trailers.insert("grpc-message", message);
        }
        let _ = self.0.send(Frame::trailers(trailers)).await;
    }
}

/// Makes an answer, whose messages are sent to the other half.
pub(super) fn reply() -> (Reply, Response<ReplyBody>) {
    let (sender, mut receiver) = mpsc::channel(8);
    let frames = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context).map(|frame| frame.map(Ok)));
    let body: Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>> = Box::pin(frames);
    let mut response = Response::new(StreamBody::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    (Reply(sender), response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_statuses_are_escaped() {
        assert_eq!(unescape("50%25 of%20it%0A %zz"), "50% of it\n %zz");
        assert_eq!(escape("50% é\n"), "50%25 %C3%A9%0A");
        assert_eq!(unescape(&escape("ü 100%\t")), "ü 100%\t");
    }

    #[test]
    fn a_message_has_its_length_before_it() {
        assert_eq!(framed(b"abc").as_ref(), b"\0\0\0\0\x03abc");
    }
}
