//! A person's terminal or pipe joined to a program in a container: `exec` and `attach`.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

use bytes::Bytes;
use orchestrator::engine::attach::{AttachEnd, AttachIo};
use orchestrator::engine::container::ContainerState;
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::exec::{ExecIo, ExecSpec};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};

use crate::docker::client::{Client, Taken, escape, query};
use crate::docker::engine::container_name;
use crate::docker::fault::Fault;
use crate::docker::follow::look;
use crate::docker::frames::{Frames, Side};
use crate::docker::summary;

/// Bytes moved at a time.
const PIECE: usize = 32 << 10;

/// Where a program's output goes.
struct Outputs {
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// Runs a program in a container and returns its exit code.
pub(crate) async fn exec(client: &Client, id: &str, spec: &ExecSpec, io: ExecIo) -> Result<i32, EngineError> {
    let failed = |fault: Fault| fault.at("run a program in", container_name(id));
    let has_input = io.stdin.is_some() && !spec.detach;
    let environment: Vec<String> = spec.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let asked = json!({
        "AttachStdin": has_input, "AttachStdout": !spec.detach, "AttachStderr": !spec.detach,
        "Tty": spec.tty, "Cmd": spec.command, "Env": environment, "Privileged": spec.privileged,
        "User": spec.user.clone().unwrap_or_default(), "WorkingDir": spec.working_dir.clone().unwrap_or_default(),
    });
    let created = client.post(&format!("/containers/{}/exec", escape(id)), &asked).await.map_err(failed)?;
    let exec = created["Id"].as_str().unwrap_or_default().to_owned();
    let start = json!({"Detach": spec.detach, "Tty": spec.tty});
    let path = format!("/exec/{}/start", escape(&exec));
    if spec.detach {
        client.post(&path, &start).await.map_err(failed)?;
        return Ok(0);
    }
    let body = bollard::body_full(Bytes::from(start.to_string()));
    let stream = client.take(&path, &[], body).await.map_err(failed)?;
    let resizing = follow_size(client, format!("/exec/{}/resize", escape(&exec)), io.size);
    let outputs = Outputs { stdout: io.stdout, stderr: io.stderr };
    let joined = join(stream, io.stdin, outputs, spec.tty, Vec::new()).await;
    drop(resizing);
    joined.map_err(failed)?;
    let ended = client.get(&format!("/exec/{}/json", escape(&exec))).await.map_err(failed)?;
    match ended["ExitCode"].as_i64().and_then(|code| i32::try_from(code).ok()) {
        Some(code) => Ok(code),
        None => Err(EngineError::new(
            ErrorKind::Failed,
            container_name(id),
            format!("cannot tell how the program in {} ended", container_name(id)),
        )),
    }
}

/// Joins streams to those of a container's own program.
pub(crate) async fn attach(client: &Client, id: &str, io: AttachIo) -> Result<AttachEnd, EngineError> {
    let failed = |fault: Fault| fault.at("attach to", container_name(id));
    let gone = || failed(Fault::Refused { status: 404, message: format!("no such container: {id}") });
    let found = look(client, id).await.map_err(failed)?.ok_or_else(gone)?;
    let has_terminal = found["Config"]["Tty"].as_bool().unwrap_or(false);
    let reads = found["Config"]["OpenStdin"].as_bool().unwrap_or(false);
    let stdin = io.stdin.filter(|_| reads);
    let switch = |on: bool| if on { "1" } else { "0" }.to_owned();
    let path = format!(
        "/containers/{}/attach{}",
        escape(id),
        query(&[
            ("stream", switch(true)),
            ("stdin", switch(stdin.is_some())),
            ("stdout", switch(true)),
            ("stderr", switch(true)),
            ("logs", switch(io.replay)),
            // The keys are looked for here, for a pipe as for a terminal; the engine must not look for its own.
            ("detachKeys", "ctrl-_,ctrl-_,ctrl-_,ctrl-_,ctrl-_,ctrl-_,ctrl-_,ctrl-_".to_owned()),
        ])
    );
    let stream = client.take(&path, &[], bollard::body_full(Bytes::new())).await.map_err(failed)?;
    if let Some(ready) = io.ready {
        // Whoever does not wait for it need not be told.
        let _ = ready.send(()).await;
    }
    let resizing = follow_size(client, format!("/containers/{}/resize", escape(id)), io.size);
    let outputs = Outputs { stdout: io.stdout, stderr: io.stderr };
    let is_detached = join(stream, stdin, outputs, has_terminal, io.detach_keys).await.map_err(failed)?;
    drop(resizing);
    if is_detached {
        return Ok(AttachEnd::Detached);
    }
    // Another command of the same person may have made the engine let go of us.
    match look(client, id).await {
        Ok(Some(found))
            if matches!(summary::state(&found), ContainerState::Running { .. } | ContainerState::Paused { .. }) =>
        {
            Ok(AttachEnd::Detached)
        }
        Ok(_) | Err(_) => Ok(AttachEnd::Ended { exit_code: None }),
    }
}

/// Tells the engine of the window's size as often as it changes, while the result lives.
fn follow_size(client: &Client, path: String, size: Option<watch::Receiver<(u16, u16)>>) -> Option<Guard> {
    let mut size = size?;
    let client = client.clone();
    let task = tokio::spawn(async move {
        loop {
            let (rows, columns) = *size.borrow_and_update();
            if rows > 0 && columns > 0 {
                let sized = format!("{path}{}", query(&[("h", rows.to_string()), ("w", columns.to_string())]));
                // A program that has ended has no window.
                let _ = client.post(&sized, &serde_json::Value::Null).await;
            }
            if size.changed().await.is_err() {
                return;
            }
        }
    });
    Some(Guard(task))
}

struct Guard(tokio::task::JoinHandle<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Moves bytes both ways until the program's end; true: the keys were typed.
async fn join(
    stream: Taken,
    stdin: Option<OwnedFd>,
    outputs: Outputs,
    has_terminal: bool,
    keys: Vec<u8>,
) -> Result<bool, Fault> {
    let (from, to) = tokio::io::split(stream);
    let (typed, detached) = mpsc::channel::<()>(1);
    let sending = stdin.map(|stdin| Guard(tokio::spawn(send(stdin, to, Keys::new(keys), typed))));
    let received = tokio::select! {
        result = receive(from, outputs, has_terminal) => result.map(|()| false),
        () = wait_for(detached, sending.is_some()) => Ok(true),
    };
    drop(sending);
    received
}

/// Returns when the keys were typed; never when nobody types.
async fn wait_for(mut detached: mpsc::Receiver<()>, can_be: bool) {
    if !can_be || detached.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

async fn receive(mut from: ReadHalf<Taken>, outputs: Outputs, has_terminal: bool) -> Result<(), Fault> {
    let (sender, mut pieces) = mpsc::channel::<(Side, Bytes)>(16);
    // A terminal or pipe that is full blocks: a thread made for that writes.
    let writing = tokio::task::spawn_blocking(move || -> io::Result<()> {
        let (mut out, mut err) = (std::fs::File::from(outputs.stdout), std::fs::File::from(outputs.stderr));
        while let Some((side, bytes)) = pieces.blocking_recv() {
            match side {
                Side::Out => out.write_all(&bytes)?,
                Side::Err => err.write_all(&bytes)?,
            }
        }
        Ok(())
    });
    let mut frames = Frames::new(has_terminal);
    let mut piece = vec![0; PIECE];
    let mut result = Ok(());
    'reading: loop {
        match from.read(&mut piece).await {
            Ok(0) => break,
            Ok(length) => frames.push(&piece[..length]),
            Err(error) => {
                result = Err(Fault::of_io(&error));
                break;
            }
        }
        loop {
            match frames.next() {
                Ok(Some(found)) => {
                    if sender.send((found.side, found.bytes)).await.is_err() {
                        // Nobody reads what the program writes: it is let go.
                        break 'reading;
                    }
                }
                Ok(None) => break,
                Err(fault) => {
                    result = Err(fault);
                    break 'reading;
                }
            }
        }
    }
    drop(sender);
    match writing.await {
        Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Fault::Broken { why: format!("the output can't be written: {error}") })
        }
        Ok(_) => result,
        Err(error) => Err(Fault::Broken { why: error.to_string() }),
    }
}

async fn send(stdin: OwnedFd, mut to: WriteHalf<Taken>, mut keys: Keys, typed: mpsc::Sender<()>) {
    let (sender, mut pieces) = mpsc::channel::<Vec<u8>>(4);
    // It may be read from for ever: the thread is left behind at the end of the command.
    tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::from(stdin);
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return,
                Ok(length) => {
                    if sender.blocking_send(piece[..length].to_vec()).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    while let Some(piece) = pieces.recv().await {
        let (pass, is_typed) = keys.pass(&piece);
        if to.write_all(&pass).await.is_err() || to.flush().await.is_err() {
            return;
        }
        if is_typed {
            let _ = typed.send(()).await;
            return;
        }
    }
    // The program reads the end of its input.
    let _ = to.shutdown().await;
}

/// Looks for the detach keys; a beginning of them is held back until it is known what it becomes.
struct Keys {
    keys: Vec<u8>,
    matched: usize,
}

impl Keys {
    fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// Returns what goes on to the program, and whether the keys were typed.
    fn pass(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        if self.keys.is_empty() {
            return (typed.to_vec(), false);
        }
        let mut pass = Vec::with_capacity(typed.len());
        for byte in typed {
            if *byte != self.keys[self.matched] {
                pass.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
            }
            if *byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return (pass, true);
                }
            } else {
                pass.push(*byte);
            }
        }
        (pass, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_keys_are_held_back_until_they_are_whole() {
        let mut keys = Keys::new(vec![16, 17]);
        assert_eq!(keys.pass(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.pass(b"c"), (b"\x10c".to_vec(), false));
        assert_eq!(keys.pass(b"\x10\x10\x11rest"), (b"\x10".to_vec(), true));
        assert_eq!(Keys::new(Vec::new()).pass(b"\x10\x11"), (b"\x10\x11".to_vec(), false));
    }
}
