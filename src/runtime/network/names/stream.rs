//! One asker over TCP, and the upstream server that is asked for it. Messages go with their length before them.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use crate::network::names::message::Query;

const LONGEST: usize = 65535;

/// A connection with what came and what is to go.
#[derive(Debug)]
pub struct Stream {
    /// Non-blocking.
    pub socket: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Nothing more will come.
    pub is_ended: bool,
}

/// What is known of a TCP asker.
#[derive(Debug)]
pub struct Asker {
    /// Its connection.
    pub stream: Stream,
    /// The upstream server's connection, and what it is asked.
    pub relay: Option<(Stream, Query)>,
    /// When it is given up.
    pub deadline: Instant,
}

impl Stream {
    /// Takes a non-blocking socket.
    pub fn new(socket: TcpStream) -> Self {
        Self { socket, input: Vec::new(), output: Vec::new(), is_ended: false }
    }

    /// Queues a message.
    pub fn push(&mut self, message: &[u8]) {
        let length = u16::try_from(message.len().min(LONGEST)).unwrap_or(u16::MAX);
        self.output.extend(length.to_be_bytes());
        self.output.extend(&message[..usize::from(length)]);
    }

    /// Reads and writes all that goes now.
    pub fn pump(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.socket.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                // Not connected yet is told by this as well.
                Err(error) if would_block(&error) => break,
                Err(error) => return Err(error),
            }
        }
        let mut buffer = [0; 4096];
        // Two messages at most wait here: whoever sends more waits for answers first.
        while !self.is_ended && self.input.len() < 2 * LONGEST {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.is_ended = true,
                Ok(count) => self.input.extend(&buffer[..count]),
                Err(error) if would_block(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes the next whole message.
    pub fn pull(&mut self) -> Option<Vec<u8>> {
        let length = usize::from(u16::from_be_bytes(self.input.get(..2)?.try_into().ok()?));
        let message = self.input.get(2..2 + length)?.to_vec();
        self.input.drain(..2 + length);
        Some(message)
    }

    /// Says whether all that was queued is sent.
    pub fn is_flushed(&self) -> bool {
        self.output.is_empty()
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected | io::ErrorKind::Interrupted)
}
