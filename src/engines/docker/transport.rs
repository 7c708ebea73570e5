//! Connections to the engine and HTTP over them: for calls, for streams that are taken over, and for BuildKit.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::docker::fault::Fault;
use crate::docker::place::Place;
use crate::docker::tls;

/// A body as bollard makes them: whole, or a stream.
pub(crate) type Body =
    Either<Full<Bytes>, StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, io::Error>> + Send>>>>;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(20);
/// Connections kept for the next call.
const IDLE: usize = 64;

/// Bytes both ways.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The way to one engine, with the connections that are free.
pub(crate) struct Transport {
    pub(crate) place: Place,
    tls: Option<TlsConnector>,
    idle: Mutex<Vec<SendRequest<Body>>>,
}

impl Transport {
    /// Makes the way; nothing is connected yet.
    pub(crate) fn new(place: Place) -> Result<Self, Fault> {
        let tls = match &place {
            Place::Tcp { tls: Some(files), .. } => Some(tls::connector(files)?),
            Place::Unix(_) | Place::Tcp { tls: None, .. } | Place::Ssh { .. } => None,
        };
        Ok(Self { place, tls, idle: Mutex::new(Vec::new()) })
    }

    /// Opens a connection of its own.
    pub(crate) async fn connect(&self) -> Result<Box<dyn Duplex>, Fault> {
        let opened = match tokio::time::timeout(CONNECT, self.open()).await {
            Ok(opened) => opened,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {} s", CONNECT.as_secs()))),
        };
        opened.map_err(|error| Fault::Unreachable { place: self.place.clone(), error: Arc::new(error) })
    }

    async fn open(&self) -> io::Result<Box<dyn Duplex>> {
        match &self.place {
            Place::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Place::Tcp { host, port, .. } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                match &self.tls {
                    None => Ok(Box::new(stream)),
                    Some(connector) => {
                        let name = ServerName::try_from(host.clone())
                            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
                        Ok(Box::new(connector.connect(name, stream).await?))
                    }
                }
            }
            Place::Ssh { target, port, socket } => Ok(Box::new(dial(target, *port, socket.as_deref())?)),
        }
    }

    /// Sends a request over a connection that is free, or a new one.
    pub(crate) async fn send(self: &Arc<Self>, mut request: Request<Body>) -> Result<Response<Incoming>, Fault> {
        // Over one connection a path is all that is said (RFC 9112, 3.2.1).
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        *request.uri_mut() =
            path.parse().map_err(|error| Fault::Broken { why: format!("`{path}` is no path: {error}") })?;
        request.headers_mut().entry(HOST).or_insert(HeaderValue::from_static("docker"));
        loop {
            let Some(mut sender) = self.take_idle() else { break };
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(self.keep(sender, response)),
                // The engine had closed it: nothing was sent.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Fault::of_hyper(&error.into_error())),
                },
            }
        }
        let stream = self.connect().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Fault::of_hyper(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to the engine ended");
            }
        });
        let response = sender.send_request(request).await.map_err(|error| Fault::of_hyper(&error))?;
        Ok(self.keep(sender, response))
    }

    fn take_idle(&self) -> Option<SendRequest<Body>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(sender) = idle.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    /// Gives a connection back once its answer has been read to the end.
    fn keep(self: &Arc<Self>, mut sender: SendRequest<Body>, response: Response<Incoming>) -> Response<Incoming> {
        if response.status() != hyper::StatusCode::SWITCHING_PROTOCOLS {
            let transport = Arc::clone(self);
            tokio::spawn(async move {
                if sender.ready().await.is_ok() {
                    let mut idle = transport.idle.lock().unwrap_or_else(PoisonError::into_inner);
                    if idle.len() < IDLE {
                        idle.push(sender);
                    }
                }
            });
        }
        response
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The streams of `ssh .. docker system dial-stdio`.
struct Dialled {
    _child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

fn dial(target: &str, port: Option<u16>, socket: Option<&str>) -> io::Result<Dialled> {
    let mut command = Command::new("ssh");
    command.args(["-o", "ConnectTimeout=30", "-T"]);
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(["--", target, "docker"]);
    if let Some(socket) = socket {
        command.args(["--host", &format!("unix://{socket}")]);
    }
    command.args(["system", "dial-stdio"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child =
        command.spawn().map_err(|error| io::Error::new(error.kind(), format!("cannot run `ssh`: {error}")))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    match (stdin, stdout) {
        (Some(stdin), Some(stdout)) => Ok(Dialled { _child: child, stdin, stdout }),
        _ => Err(io::Error::other("`ssh` has no streams")),
    }
}

impl AsyncRead for Dialled {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl AsyncWrite for Dialled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}
