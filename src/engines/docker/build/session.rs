//! What BuildKit may ask of us during a build: folders, secrets, ssh agents, logins, caches in folders
//! (github.com/moby/buildkit, `session/`). It calls over a connection that we opened; here we are the server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioExecutor;
use orchestrator::engine::image::BuildSecret;
use runtime::build::SshAgent;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::docker::build::carried;
use crate::docker::build::grpc::{Messages, Reply, ReplyBody, Status, reply};
use crate::docker::build::share::{self, Shared, Wanted};
use crate::docker::build::wire::{Fields, Message};
use crate::docker::client::{Client, Taken};
use crate::docker::credentials::Logins;
use crate::docker::fault::Fault;

/// All that a build may have.
#[derive(Debug)]
pub(super) struct Session {
    /// By the names that the build knows them by.
    pub(super) folders: BTreeMap<String, Shared>,
    pub(super) secrets: BTreeMap<String, BuildSecret>,
    /// Id to the socket of an agent.
    pub(super) agents: BTreeMap<String, SshAgent>,
    pub(super) logins: Logins,
    /// Folders of caches by the ids of their stores.
    pub(super) stores: BTreeMap<String, PathBuf>,
}

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const SYNC: &str = "/moby.filesync.v1.FileSync/DiffCopy";
const SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const CHECK_AGENT: &str = "/moby.sshforward.v1.SSH/CheckAgent";
const AGENT: &str = "/moby.sshforward.v1.SSH/ForwardAgent";
const LOGIN: &str = "/moby.filesync.v1.Auth/Credentials";

impl Session {
    /// Opens the connection and serves over it until the result is dropped.
    pub(super) async fn open(self, client: &Client, id: &str, shared_key: &str) -> Result<Served, Fault> {
        let headers: Vec<(&str, String)> = [
            ("Upgrade", "h2c"),
            ("X-Docker-Expose-Session-Uuid", id),
            ("X-Docker-Expose-Session-Name", "motet"),
            ("X-Docker-Expose-Session-Sharedkey", shared_key),
        ]
        .into_iter()
        .chain(
            [HEALTH, SYNC, SECRET, CHECK_AGENT, AGENT, LOGIN, carried::INFO, carried::READ]
                .map(|path| ("X-Docker-Expose-Session-Grpc-Method", path)),
        )
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
        let stream: Taken = client.take("/session", &headers, bollard::body_full(bytes::Bytes::new())).await?;
        let session = Arc::new(self);
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let session = Arc::clone(&session);
            async move { Ok::<_, std::convert::Infallible>(session.answer(request)) }
        });
        let serving = tokio::spawn(async move {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            if let Err(error) = builder.serve_connection(stream.into_inner(), service).await {
                tracing::debug!(%error, "BuildKit's session ended");
            }
        });
        Ok(Served(serving))
    }

    /// Begins to answer a call; the answer's messages come from a task of their own.
    fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<ReplyBody> {
        let (reply, response) = reply();
        let session = Arc::clone(self);
        tokio::spawn(async move {
            let path = request.uri().path().to_owned();
            tracing::debug!(path, "BuildKit asks");
            match path.as_str() {
                SYNC => session.sync(request, reply).await,
                AGENT => session.forward(request, reply).await,
                carried::INFO | carried::READ => session.carry(request, reply).await,
                HEALTH | SECRET | CHECK_AGENT | LOGIN => {
                    let mut messages = Messages::of(request.into_body());
                    let asked = messages.next().await.ok().flatten().unwrap_or_default();
                    let result = match path.as_str() {
                        // 1: it serves.
                        HEALTH => Ok(Message::default().number(1, 1)),
                        SECRET => session.secret(&asked),
                        LOGIN => session.login(&asked).await,
                        _ => session.agent(&first(&asked)).map(|_| Message::default()),
                    };
                    match result {
                        Ok(message) => {
                            reply.send(&message.0).await;
                            reply.end(Ok(())).await;
                        }
                        Err(status) => reply.end(Err(status)).await,
                    }
                }
                other => reply.end(Err(Status::unimplemented(other))).await,
            }
        });
        response
    }

    async fn sync(&self, request: Request<Incoming>, reply: Reply) {
        let all = |name: &str| -> Vec<String> {
            let is_encoded = request.headers().get(format!("{name}-encoded")).is_some();
            let values = request.headers().get_all(name).iter();
            values
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .map(|value| if is_encoded { unquote(&value) } else { value })
                .collect()
        };
        let name = all("dir-name").pop().unwrap_or_default();
        let mut paths = all("followpaths");
        paths.extend(all("include-patterns"));
        let wanted = Wanted { paths, excluded: all("exclude-patterns") };
        tracing::debug!(name, ?wanted, "a folder is asked for");
        match self.folders.get(&name).cloned() {
            Some(shared) => share::send(shared, wanted, Messages::of(request.into_body()), reply).await,
            None => reply.end(Err(Status::not_found(format!("the folder `{name}` is not part of this build")))).await,
        }
    }

    /// Answers what is asked of a cache in a folder.
    async fn carry(&self, request: Request<Incoming>, reply: Reply) {
        let is_info = request.uri().path() == carried::INFO;
        let store =
            request.headers().get(carried::STORE).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        let mut messages = Messages::of(request.into_body());
        let asked = messages.next().await.ok().flatten().unwrap_or_default();
        let result = match self.stores.get(&store) {
            None => Err(Status::not_found(format!("the cache `{store}` is not part of this build"))),
            Some(folder) if is_info => match carried::info(folder, &asked) {
                Ok(message) => {
                    reply.send(&message.0).await;
                    Ok(())
                }
                Err(status) => Err(status),
            },
            Some(folder) => carried::read(folder, &asked, &reply).await,
        };
        reply.end(result).await;
    }

    fn secret(&self, asked: &[u8]) -> Result<Message, Status> {
        let id = first(asked);
        let content = match self.secrets.get(&id) {
            None => return Err(Status::not_found(format!("the build has no secret `{id}`"))),
            Some(BuildSecret::Value(value)) => value.clone(),
            Some(BuildSecret::File(path)) => std::fs::read(path)
                .map_err(|error| Status::failed(format!("secret `{id}`: `{}`: {error}", path.display())))?,
        };
        Ok(Message::default().bytes(1, &content))
    }

    async fn login(&self, asked: &[u8]) -> Result<Message, Status> {
        let host = match first(asked) {
            hub if hub.ends_with("docker.io") => String::new(),
            host => format!("{host}/x"),
        };
        let login = self.logins.of(&host).await.map_err(|fault| Status::failed(fault.to_string()))?;
        let text = |name: &str| login[name].as_str().unwrap_or_default().to_owned();
        // Without a user's name the secret is a token.
        let secret = if text("username").is_empty() { text("identitytoken") } else { text("password") };
        Ok(Message::default().text(1, &text("username")).text(2, &secret))
    }

    fn agent(&self, id: &str) -> Result<&SshAgent, Status> {
        let id = if id.is_empty() { "default" } else { id };
        self.agents.get(id).ok_or_else(|| Status::not_found(format!("the build has no ssh agent `{id}`")))
    }

    /// Joins a program of the build to an agent.
    async fn forward(&self, request: Request<Incoming>, reply: Reply) {
        let id = request.headers().get("buildkit.ssh.id").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
        let opened = match self.agent(&id.unwrap_or_default()) {
            Ok(agent) => agent
                .connect()
                .and_then(|stream| stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream)))
                .map_err(|error| Status::failed(format!("the ssh agent does not answer: {error}"))),
            Err(status) => Err(status),
        };
        let agent = match opened {
            Ok(agent) => agent,
            Err(status) => return reply.end(Err(status)).await,
        };
        let (mut from, mut to) = agent.into_split();
        let mut asked = Messages::of(request.into_body());
        let sending = async {
            while let Ok(Some(message)) = asked.next().await {
                for (_, bytes) in Fields(&message).filter(|(field, _)| *field == 1) {
                    if to.write_all(bytes.bytes()).await.is_err() {
                        return;
                    }
                }
            }
            let _ = to.shutdown().await;
        };
        let answering = async {
            let mut piece = vec![0; 32 << 10];
            while let Ok(length @ 1..) = from.read(&mut piece).await {
                if !reply.send(&Message::default().bytes(1, &piece[..length]).0).await {
                    return;
                }
            }
        };
        tokio::join!(sending, answering);
        reply.end(Ok(())).await;
    }
}

/// The first field of a question: the id or host that it is about.
fn first(asked: &[u8]) -> String {
    Fields(asked).find(|(field, _)| *field == 1).map(|(_, value)| value.text()).unwrap_or_default()
}

/// Undoes Go's `url.QueryEscape`.
fn unquote(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A session that is served until this is dropped.
pub(super) struct Served(tokio::task::JoinHandle<()>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_handed_out_by_its_id_and_an_absent_one_is_named() {
        let secrets = BTreeMap::from([("token".to_owned(), BuildSecret::Value(b"s3".to_vec()))]);
        let (folders, agents, stores) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let session = Session { folders, secrets, agents, logins: Logins::default(), stores };
        let asked = |id: &str| session.secret(&Message::default().text(1, id).0);
        assert_eq!(asked("token").unwrap().0, Message::default().bytes(1, b"s3").0);
        assert_eq!(asked("other").unwrap_err(), Status::not_found("the build has no secret `other`".into()));
        assert_eq!(session.agent("").unwrap_err().code, 5);
        assert_eq!(unquote("a%20b+c%zz"), "a b c%zz");
    }
}
