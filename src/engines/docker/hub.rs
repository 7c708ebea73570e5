//! One stream of the engine's events for everybody who waits for something: nothing is polled.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::docker::client::{Client, query};
use crate::docker::fault::Fault;
use crate::docker::lines::Documents;

/// Events that may wait for a slow listener before it has to look again.
const WAITING: usize = 1024;

/// What changes the state of a container.
const ACTIONS: [&str; 12] = [
    "create",
    "start",
    "restart",
    "die",
    "stop",
    "kill",
    "pause",
    "unpause",
    "destroy",
    "health_status",
    "oom",
    "rename",
];

/// Something that happened to a container.
#[derive(Debug, Clone)]
pub(crate) struct Happening {
    pub(crate) id: String,
    pub(crate) action: String,
    /// Of an end (`die`).
    pub(crate) exit_code: Option<i32>,
}

/// Hands the one stream to all who listen; it is opened for the first and closed after the last.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    open: Mutex<Option<broadcast::WeakSender<Happening>>>,
    opening: tokio::sync::Mutex<()>,
}

impl Hub {
    /// Listens from now on: what happens after the return is received. The channel closes when the engine goes.
    pub(crate) async fn listen(&self, client: &Client) -> Result<broadcast::Receiver<Happening>, Fault> {
        let _one = self.opening.lock().await;
        if let Some(receiver) = self.join() {
            return Ok(receiver);
        }
        let filters = json!({"type": ["container"], "event": ACTIONS});
        let path = format!("/events{}", query(&[("filters", filters.to_string())]));
        let answer = client.call(Method::GET, &path, None, bollard::body_full(Bytes::new())).await?;
        let mut documents = Documents::of(answer.into_body());
        let (sender, receiver) = broadcast::channel(WAITING);
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender.downgrade());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    document = documents.next() => match document {
                        Ok(Some(document)) => drop(sender.send(happening(&document))),
                        Ok(None) => return,
                        Err(error) => {
                            tracing::debug!(%error, "the engine's events ended");
                            return;
                        }
                    },
                    () = sender.closed() => return,
                }
            }
        });
        Ok(receiver)
    }

    fn join(&self) -> Option<broadcast::Receiver<Happening>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = open.as_ref()?.upgrade()?;
        // With no listener left its task is about to end.
        (sender.receiver_count() > 0).then(|| sender.subscribe())
    }
}

fn happening(document: &Value) -> Happening {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let actor = &document["Actor"];
    Happening {
        id: text(&actor["ID"]),
        action: text(&document["Action"]),
        exit_code: actor["Attributes"]["exitCode"].as_str().and_then(|code| code.parse().ok()),
    }
}

/// Where the hub is held.
pub(crate) type SharedHub = Arc<Hub>;
