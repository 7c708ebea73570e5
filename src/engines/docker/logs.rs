//! Log lines of a container, also over its restarts: the engine ends a log with the container's run.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Method;
use orchestrator::engine::container::ContainerState;
use orchestrator::engine::error::EngineError;
use orchestrator::engine::log::{LogLine, LogQuery, LogStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::docker::client::{Client, escape, query};
use crate::docker::engine::container_name;
use crate::docker::fault::Fault;
use crate::docker::follow::{look, stamp};
use crate::docker::frames::{Frames, Side};
use crate::docker::hub::SharedHub;
use crate::docker::summary;
use crate::moment;

/// Lines that may wait for a slow receiver.
const WAITING: usize = 256;
/// Longest line that is put together of pieces.
const LONGEST: usize = 16 << 20;

/// Sends log lines in order; with `follow` until the container is removed.
pub(crate) async fn logs(
    client: &Client,
    hub: &SharedHub,
    id: String,
    asked: LogQuery,
) -> Result<mpsc::Receiver<LogLine>, EngineError> {
    let failed = |fault: Fault| fault.at("read the log of", container_name(&id));
    // What happens while the log is read is not missed.
    let mut happenings = match asked.follow {
        true => Some(hub.listen(client).await.map_err(failed)?),
        false => None,
    };
    let Some(found) = look(client, &id).await.map_err(failed)? else {
        return Err(failed(Fault::Refused { status: 404, message: format!("no such container: {id}") }));
    };
    let full_id = found["Id"].as_str().unwrap_or(&id).to_owned();
    let has_terminal = found["Config"]["Tty"].as_bool().unwrap_or(false);
    let mut reader = Reader { frames: Frames::new(has_terminal), out: Vec::new(), err: Vec::new(), last: None };
    let mut body = open(client, &full_id, &asked).await.map_err(failed)?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let (client, hub) = (client.clone(), hub.clone());
    tokio::spawn(async move {
        loop {
            if let Err(fault) = reader.read(body, &sender).await {
                tracing::warn!(%fault, "cannot read the log of a container any further");
                return;
            }
            let Some(happenings) = &mut happenings else { return };
            // The run is over. The next one's lines come after the last that was read.
            loop {
                let running = match look(&client, &full_id).await {
                    Ok(Some(found)) => {
                        matches!(summary::state(&found), ContainerState::Running { .. } | ContainerState::Paused { .. })
                    }
                    Ok(None) | Err(_) => return,
                };
                if running {
                    break;
                }
                if !next_run(&client, &hub, happenings, &full_id, &sender).await {
                    return;
                }
            }
            let since = reader.last.map(|last| last + Duration::from_nanos(1)).or(asked.since);
            let again = LogQuery { since, tail: None, ..asked.clone() };
            reader.begin();
            match open(&client, &full_id, &again).await {
                Ok(opened) => body = opened,
                Err(_) => return,
            }
        }
    });
    Ok(receiver)
}

/// Waits for the start of a container; false: it is removed, or nobody listens any more.
async fn next_run(
    client: &Client,
    hub: &SharedHub,
    happenings: &mut tokio::sync::broadcast::Receiver<crate::docker::hub::Happening>,
    id: &str,
    sender: &mpsc::Sender<LogLine>,
) -> bool {
    loop {
        let happening = tokio::select! {
            happening = happenings.recv() => happening,
            () = sender.closed() => return false,
        };
        match happening {
            Ok(happening) if happening.id == id => match happening.action.as_str() {
                "start" => return true,
                "destroy" => return false,
                _ => {}
            },
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return true,
            Err(RecvError::Closed) => match hub.listen(client).await {
                Ok(again) => {
                    *happenings = again;
                    return true;
                }
                Err(_) => return false,
            },
        }
    }
}

async fn open(client: &Client, id: &str, asked: &LogQuery) -> Result<hyper::body::Incoming, Fault> {
    let mut pairs = vec![
        ("stdout", "1".to_owned()),
        ("stderr", "1".to_owned()),
        ("timestamps", "1".to_owned()),
        ("follow", if asked.follow { "1" } else { "0" }.to_owned()),
    ];
    pairs.extend(asked.tail.map(|tail| ("tail", tail.to_string())));
    pairs.extend(asked.since.map(|since| ("since", stamp(since))));
    pairs.extend(asked.until.map(|until| ("until", stamp(until))));
    let path = format!("/containers/{}/logs{}", escape(id), query(&pairs));
    Ok(client.call(Method::GET, &path, None, bollard::body_full(Bytes::new())).await?.into_body())
}

/// Puts lines together: the engine cuts long ones in pieces, each with a time of its own.
struct Reader {
    frames: Frames,
    out: Vec<u8>,
    err: Vec<u8>,
    last: Option<SystemTime>,
}

impl Reader {
    /// A new run begins in the middle of nothing.
    fn begin(&mut self) {
        self.out.clear();
        self.err.clear();
    }

    async fn read(&mut self, mut body: hyper::body::Incoming, sender: &mpsc::Sender<LogLine>) -> Result<(), Fault> {
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = sender.closed() => return Ok(()),
            };
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| Fault::of_hyper(&error))?;
            let Some(data) = frame.data_ref() else { continue };
            self.frames.push(data);
            while let Some(piece) = self.frames.next()? {
                let open = match piece.side {
                    Side::Out => &mut self.out,
                    Side::Err => &mut self.err,
                };
                open.extend_from_slice(&piece.bytes);
                while let Some(end) = open.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = open.drain(..=end).collect();
                    let line = line_of(&line[..end], piece.side);
                    self.last = self.last.max(Some(line.time));
                    if sender.send(line).await.is_err() {
                        return Ok(());
                    }
                }
                if open.len() > LONGEST {
                    return Err(Fault::Broken { why: "a line of the log has no end".to_owned() });
                }
            }
        }
        // A last line without its end.
        for (side, open) in [(Side::Out, &mut self.out), (Side::Err, &mut self.err)] {
            if !open.is_empty() {
                let line = line_of(&std::mem::take(open), side);
                self.last = self.last.max(Some(line.time));
                if sender.send(line).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Takes the time off a line, and off the pieces that it was put together of.
fn line_of(bytes: &[u8], side: Side) -> LogLine {
    let (time, text) = stamped(bytes).unwrap_or((SystemTime::UNIX_EPOCH, bytes));
    // A terminal ends its lines with both.
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let stream = match side {
        Side::Out => LogStream::Stdout,
        Side::Err => LogStream::Stderr,
    };
    LogLine { time, stream, bytes: without_inner_stamps(text) }
}

/// Reads `2024-02-29T01:01:01.123456789Z text`.
fn stamped(bytes: &[u8]) -> Option<(SystemTime, &[u8])> {
    let end = bytes.iter().take(40).position(|byte| *byte == b' ')?;
    let time = moment::parse(std::str::from_utf8(&bytes[..end]).ok()?)?;
    Some((time, &bytes[end + 1..]))
}

/// The log's own files cut a line each 16 KiB and give each piece a time.
const CUT: usize = 16 << 10;

fn without_inner_stamps(text: &[u8]) -> Vec<u8> {
    let (mut whole, mut rest) = (Vec::with_capacity(text.len()), text);
    while rest.len() > CUT {
        let (piece, after) = rest.split_at(CUT);
        whole.extend_from_slice(piece);
        rest = stamped(after).map_or(after, |(_, text)| text);
    }
    whole.extend_from_slice(rest);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_loses_its_time_and_the_times_of_its_pieces() {
        let stamp = "2024-02-29T01:01:01.500000000Z ";
        let line = line_of(format!("{stamp}hello world\r").as_bytes(), Side::Err);
        assert_eq!((line.bytes.as_slice(), line.stream), (b"hello world".as_slice(), LogStream::Stderr));
        let long = "x".repeat(CUT);
        let line = line_of(format!("{stamp}{long}{stamp}{long}{stamp}end").as_bytes(), Side::Out);
        assert_eq!(line.bytes, format!("{long}{long}end").into_bytes());
        assert_eq!(line_of(b"no time", Side::Out).bytes, b"no time");
    }
}
