//! What the benchmark runs inside and outside of containers: a small server and its load, name look-ups, a log writer.
//!
//! One file without dependencies: `rustc -O -C target-feature=+crt-static wire.rs`. Each verb prints one line of figures.

use std::collections::BTreeSet;
use std::io::{BufWriter, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "wire serve PORT | load ADDRESS CONNECTIONS SECONDS | bulk ADDRESS SECONDS | names NAME COUNT WINDOW \
                     | lines COUNT FILE | started FILE";
/// What is answered to a request: small, and the connection stays open.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
/// A request for bytes without end.
const BULK: &[u8] = b"GET /bulk HTTP/1.1\r\nHost: bench\r\n\r\n";

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", port] => serve(port.parse()?),
        ["load", address, connections, seconds] => load(address, connections.parse()?, seconds.parse()?),
        ["bulk", address, seconds] => bulk(address, seconds.parse()?),
        ["names", name, count, window] => names(name, count.parse()?, window.parse()?),
        ["lines", count, file] => lines(count.parse()?, file),
        ["started", file] => started(file),
        _ => Err(USAGE.into()),
    }
}

/// Answers every request of every connection, a thread each.
fn serve(port: u16) -> Result<(), Failure> {
    for stream in TcpListener::bind(("0.0.0.0", port))?.incoming() {
        let stream = stream?;
        std::thread::spawn(move || answer(stream));
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; 512];
    loop {
        let length = stream.read(&mut request)?;
        if length == 0 {
            return Ok(());
        }
        if request[..length].starts_with(b"GET /bulk") {
            let block = vec![b'x'; 256 << 10];
            loop {
                stream.write_all(&block)?;
            }
        }
        stream.write_all(ANSWER)?;
    }
}

/// Prints requests a second and the median and 99th percentile of their times in microseconds.
fn load(address: &str, connections: usize, seconds: f64) -> Result<(), Failure> {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            let address = address.to_owned();
            std::thread::spawn(move || requests(&address, end))
        })
        .collect();
    let mut times = Vec::new();
    for thread in threads {
        times.extend(thread.join().map_err(|_| "a connection's thread failed")??);
    }
    times.sort_unstable();
    println!("{:.0} {:.1} {:.1}", times.len() as f64 / seconds, at(&times, 0.5), at(&times, 0.99));
    Ok(())
}

fn requests(address: &str, end: Instant) -> Result<Vec<Duration>, Failure> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let (mut times, mut answer) = (Vec::new(), vec![0; ANSWER.len()]);
    while Instant::now() < end {
        let begin = Instant::now();
        stream.write_all(REQUEST)?;
        stream.read_exact(&mut answer)?;
        times.push(begin.elapsed());
    }
    Ok(times)
}

/// Prints how many megabytes a second one connection brings.
fn bulk(address: &str, seconds: f64) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(BULK)?;
    let (mut block, mut bytes) = (vec![0; 256 << 10], 0_u64);
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < seconds {
        bytes += stream.read(&mut block)? as u64;
    }
    println!("{:.0}", bytes as f64 / 1e6 / begin.elapsed().as_secs_f64());
    Ok(())
}

/// Asks the name server of `/etc/resolv.conf`: one after the other, then `window` at a time.
/// Prints the median time in microseconds, and the look-ups a second with the window full.
fn names(name: &str, count: u16, window: u16) -> Result<(), Failure> {
    let config = std::fs::read_to_string("/etc/resolv.conf")?;
    let server = config.lines().find_map(|line| line.strip_prefix("nameserver ")).ok_or("no name server")?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.connect((server.trim(), 53))?;
    let mut answer = [0; 1500];
    let mut times = Vec::new();
    for id in 0..count {
        let begin = Instant::now();
        socket.send(&query(id, name))?;
        socket.recv(&mut answer)?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    let begin = Instant::now();
    let (mut asked, mut open) = (0, BTreeSet::new());
    while asked < count || !open.is_empty() {
        while asked < count && open.len() < usize::from(window) {
            socket.send(&query(asked, name))?;
            open.insert(asked);
            asked += 1;
        }
        socket.recv(&mut answer)?;
        open.remove(&u16::from_be_bytes([answer[0], answer[1]]));
    }
    println!("{:.1} {:.0}", at(&times, 0.5), f64::from(count) / begin.elapsed().as_secs_f64());
    Ok(())
}

/// A question for the address of a name (RFC 1035, section 4).
fn query(id: u16, name: &str) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// Writes lines of 80 bytes, a write each as programs do that log, and how many seconds it took into a file.
fn lines(count: u64, file: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let begin = Instant::now();
    for number in 0..count {
        writeln!(out, "{number:010} {:x<68}", "")?;
    }
    out.flush()?;
    std::fs::write(file, format!("{:.6}", begin.elapsed().as_secs_f64()))?;
    Ok(())
}

/// Notes that the program has been started, then waits to be ended.
fn started(file: &str) -> Result<(), Failure> {
    let mut note = BufWriter::new(std::fs::File::create(file)?);
    writeln!(note, "{:?}", std::time::SystemTime::now())?;
    note.flush()?;
    loop {
        std::thread::park();
    }
}

fn at(sorted: &[Duration], share: f64) -> f64 {
    let index = ((sorted.len() as f64 - 1.0) * share).max(0.0) as usize;
    sorted.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}
