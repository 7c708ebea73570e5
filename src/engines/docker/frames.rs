//! The frames in which the engine sends two streams over one connection: a byte for the stream, three of zero, the
//! length in four, the bytes (`ContainerAttach` in the API's description). A container with a terminal has none.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::docker::fault::Fault;

/// Which stream a piece belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Out,
    Err,
}

/// Takes a connection's bytes apart.
#[derive(Debug)]
pub(crate) struct Frames {
    is_plain: bool,
    read: BytesMut,
    /// What is left of the piece that is being received.
    open: Option<(Side, usize)>,
}

/// A piece and whether its frame ends with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) side: Side,
    pub(crate) bytes: Bytes,
    pub(crate) ends: bool,
}

impl Frames {
    /// Without frames where the container has a terminal.
    pub(crate) fn new(has_terminal: bool) -> Self {
        Self { is_plain: has_terminal, read: BytesMut::new(), open: None }
    }

    /// Takes what was received.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.read.extend_from_slice(bytes);
    }

    /// Returns the next piece that is there, as soon as any byte of it is.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, Fault> {
        if self.is_plain {
            let bytes = self.read.split().freeze();
            return Ok((!bytes.is_empty()).then_some(Piece { side: Side::Out, bytes, ends: true }));
        }
        loop {
            if let Some((side, left)) = self.open {
                let length = left.min(self.read.len());
                if length == 0 && left > 0 {
                    return Ok(None);
                }
                let bytes = self.read.split_to(length).freeze();
                let ends = length == left;
                self.open = (!ends).then_some((side, left - length));
                return Ok(Some(Piece { side, bytes, ends }));
            }
            if self.read.len() < 8 {
                return Ok(None);
            }
            let side = match self.read[0] {
                0 | 1 => Side::Out,
                2 => Side::Err,
                // The engine's own error in the middle of a stream.
                3 => return Err(self.system_error()),
                other => {
                    return Err(Fault::Broken { why: format!("the Docker Engine sent a stream of kind {other}") });
                }
            };
            self.read.advance(4);
            let length = self.read.get_u32() as usize;
            self.open = Some((side, length));
        }
    }

    fn system_error(&mut self) -> Fault {
        self.read.advance(8);
        Fault::Refused { status: 500, message: String::from_utf8_lossy(&self.read).trim().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(frames: &mut Frames) -> Vec<(Side, String, bool)> {
        let mut found = Vec::new();
        while let Some(piece) = frames.next().unwrap() {
            found.push((piece.side, String::from_utf8(piece.bytes.to_vec()).unwrap(), piece.ends));
        }
        found
    }

    #[test]
    fn frames_come_in_any_cut() {
        let mut frames = Frames::new(false);
        frames.push(&[1, 0, 0, 0, 0]);
        assert!(pieces(&mut frames).is_empty());
        frames.push(&[0, 0, 3, b'a', b'b']);
        assert_eq!(pieces(&mut frames), [(Side::Out, "ab".to_owned(), false)]);
        frames.push(&[b'c', 2, 0, 0, 0, 0, 0, 0, 1, b'!']);
        assert_eq!(pieces(&mut frames), [(Side::Out, "c".to_owned(), true), (Side::Err, "!".to_owned(), true)]);
    }

    #[test]
    fn a_terminal_has_no_frames_and_another_kind_is_an_error() {
        let mut frames = Frames::new(true);
        frames.push(b"\x01hello");
        assert_eq!(pieces(&mut frames), [(Side::Out, "\u{1}hello".to_owned(), true)]);
        let mut frames = Frames::new(false);
        frames.push(&[9, 0, 0, 0, 0, 0, 0, 0]);
        assert!(frames.next().is_err());
    }
}
