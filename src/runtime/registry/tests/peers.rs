//! Debian's real registry for the tests, and a proxy in front of it that misbehaves as it is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Debian's `docker-registry`, stopped when dropped.
pub(super) struct Peer {
    process: Child,
    pub(super) folder: tempfile::TempDir,
    pub(super) address: String,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Peer {
    /// Starts it with more lines of configuration, in which `FOLDER` is a folder of its own; `None`: it is not installed.
    pub(super) fn start(more: &str) -> Option<Self> {
        Self::start_with(more, |_| true)
    }

    /// As `start`, after `prepare` has filled the folder; `false`: something is missing for that.
    #[expect(clippy::disallowed_methods, reason = "the peer under test is a program")]
    pub(super) fn start_with(more: &str, prepare: impl FnOnce(&std::path::Path) -> bool) -> Option<Self> {
        if !std::path::Path::new("/usr/bin/docker-registry").exists() {
            println!("skipped: Debian's package `docker-registry` is not installed");
            return None;
        }
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        if !prepare(folder.path()) {
            println!("skipped: `openssl` is not installed");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let root = folder.path().display();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\n\
             http: {{addr: \"{address}\"{}}}\n{}",
            if more.contains("TLS") {
                format!(", tls: {{certificate: {root}/ca.crt, key: {root}/key.pem}}")
            } else {
                String::new()
            },
            more.replace("TLS", "").replace("FOLDER", &root.to_string())
        );
        let path = folder.path().join("config.yml");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new("/usr/bin/docker-registry");
        command.arg("serve").arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
        let peer = Self { process: command.spawn().unwrap(), folder, address };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&peer.address).is_err() {
            assert!(Instant::now() < until, "the registry does not listen");
            std::thread::yield_now();
        }
        Some(peer)
    }
}

/// What the proxy does to one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Ends the connection after half of the body.
    Half,
    /// Flips a bit in the middle.
    Flip,
    /// Answers this instead, with `Retry-After: 1`.
    Status(u16),
    /// Closes without a word.
    Close,
    /// A little at a time.
    Slow,
}

/// Decides by the request's first line and its headers.
type Script = Arc<dyn Fn(&str, &str) -> Fault + Send + Sync>;

/// Requests that came by, first lines and headers.
pub(super) type Seen = Arc<Mutex<Vec<String>>>;

/// Puts a proxy in front of `target` until the test process ends; returns its address and what it sees.
pub(super) fn proxy(target: &str, script: impl Fn(&str, &str) -> Fault + Send + Sync + 'static) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (target, script, seen): (_, Script, Seen) = (target.to_owned(), Arc::new(script), Seen::default());
    let own = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (target, script, seen) = (target.clone(), Arc::clone(&script), Arc::clone(&own));
            std::thread::spawn(move || pass(stream, &target, &*script, &seen));
        }
    });
    (address, seen)
}

fn pass(mut client: TcpStream, target: &str, script: &dyn Fn(&str, &str) -> Fault, seen: &Seen) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut headers = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        // One request a connection: the answer's end is then plain to see.
        if !lower.starts_with("connection:") {
            headers.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    seen.lock().unwrap().push(format!("{first}{headers}").to_lowercase());
    let fault = script(first.trim(), &headers);
    match fault {
        Fault::Close => return Some(()),
        Fault::Status(status) => {
            let answer =
                format!("HTTP/1.1 {status} x\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            return client.write_all(answer.as_bytes()).ok();
        }
        Fault::None | Fault::Half | Fault::Flip | Fault::Slow => {}
    }
    let mut server = TcpStream::connect(target).ok()?;
    server.write_all(format!("{first}{headers}connection: close\r\n\r\n").as_bytes()).ok()?;
    server.write_all(&body).ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    let start = answer.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
    let middle = start + (answer.len() - start) / 2;
    match fault {
        Fault::Half => answer.truncate(middle),
        Fault::Flip if middle < answer.len() => answer[middle] ^= 1,
        Fault::Flip | Fault::None | Fault::Slow | Fault::Close | Fault::Status(_) => {}
    }
    let piece = if fault == Fault::Slow { answer.len().div_ceil(50) } else { answer.len().max(1) };
    for piece in answer.chunks(piece) {
        client.write_all(piece).ok()?;
        client.flush().ok()?;
    }
    client.shutdown(Shutdown::Both).ok()
}
