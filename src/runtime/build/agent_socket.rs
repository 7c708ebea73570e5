//! The ssh agent that RUN sees: a socket of the mount's own mode and owner, behind which the build's agent answers.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::build::agent::SshAgent;

/// Hands connections on while it lives.
#[derive(Debug)]
pub(super) struct Agent {
    path: PathBuf,
    ended: Arc<AtomicBool>,
}

impl Agent {
    /// Listens at `path` for `agent`.
    pub fn listen(path: &Path, agent: &SshAgent) -> io::Result<Self> {
        // An agent that is not there is a mistake of whoever gave it, and told before the step runs.
        agent.connect()?;
        let listener = UnixListener::bind(path)?;
        let ended = Arc::new(AtomicBool::new(false));
        let (agent, stop) = (agent.clone(), Arc::clone(&ended));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(server) = agent.connect() {
                    hand_on(client, server);
                }
            }
        });
        Ok(Self { path: path.to_owned(), ended })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is over.
        let _ = UnixStream::connect(&self.path);
    }
}

/// Copies both ways until either side is done.
fn hand_on(client: UnixStream, server: UnixStream) {
    let (Ok(mut client_reader), Ok(mut server_writer)) = (client.try_clone(), server.try_clone()) else { return };
    std::thread::spawn(move || {
        let _ = io::copy(&mut client_reader, &mut server_writer);
        let _ = server_writer.shutdown(Shutdown::Write);
    });
    let (mut server, mut client) = (server, client);
    std::thread::spawn(move || {
        let _ = io::copy(&mut server, &mut client);
        let _ = client.shutdown(Shutdown::Both);
    });
}
