//! The one writer to stdout and stderr. Data goes to stdout, all else to stderr; a closed pipe ends it quietly.

use std::io::{IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use indicatif::MultiProgress;

use crate::args::global::AnsiChoice;

/// Where text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Data.
    Out,
    /// Progress, warnings, errors.
    Err,
}

/// Writes whole pieces of text, one at a time, around whatever progress is drawn.
pub(crate) struct Printer {
    out: Side,
    err: Side,
    // A std mutex: it is never held across an await.
    rows: Mutex<Option<MultiProgress>>,
    closed: AtomicBool,
}

struct Side {
    sink: Mutex<Box<dyn Write + Send>>,
    /// Width in columns, where it is a terminal.
    terminal: bool,
    colour: bool,
}

impl Printer {
    /// Writes to the process's own streams.
    pub(crate) fn of_process(ansi: AnsiChoice) -> Self {
        let side = |sink: Box<dyn Write + Send>, terminal: bool| Side {
            sink: Mutex::new(sink),
            terminal,
            colour: match ansi {
                AnsiChoice::Never => false,
                AnsiChoice::Always => true,
                AnsiChoice::Auto => terminal,
            },
        };
        Self {
            out: side(Box::new(std::io::stdout()), std::io::stdout().is_terminal()),
            err: side(Box::new(std::io::stderr()), std::io::stderr().is_terminal()),
            rows: Mutex::new(None),
            closed: AtomicBool::new(false),
        }
    }

    /// Writes `text` as it is. Whether anybody still reads is told by [`Printer::is_closed`].
    pub(crate) fn write(&self, stream: Stream, text: &[u8]) {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let write = || {
            let mut sink = self.side(stream).sink.lock().unwrap_or_else(PoisonError::into_inner);
            sink.write_all(text).and_then(|()| sink.flush())
        };
        let result = match &rows {
            Some(rows) => rows.suspend(write),
            None => write(),
        };
        if result.is_err() && stream == Stream::Out {
            self.closed.store(true, Ordering::Relaxed);
        }
    }

    /// Writes a line of data.
    pub(crate) fn data(&self, line: &str) {
        self.write(Stream::Out, format!("{line}\n").as_bytes());
    }

    /// Writes a line for the person.
    pub(crate) fn note(&self, line: &str) {
        self.write(Stream::Err, format!("{line}\n").as_bytes());
    }

    /// Warns.
    pub(crate) fn warn(&self, text: &str) {
        let mark = if self.colour(Stream::Err) { "\u{1b}[1;33mwarning\u{1b}[0m" } else { "warning" };
        self.note(&format!("{mark}: {text}"));
    }

    /// Says that nobody reads stdout any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Says whether `stream` may have colour.
    pub(crate) fn colour(&self, stream: Stream) -> bool {
        self.side(stream).colour
    }

    /// Says whether `stream` is a terminal.
    pub(crate) fn is_terminal(&self, stream: Stream) -> bool {
        self.side(stream).terminal
    }

    /// Returns the columns of `stream`, if it is a terminal that says so.
    pub(crate) fn width(&self, stream: Stream) -> Option<usize> {
        if !self.is_terminal(stream) {
            return None;
        }
        let size = match stream {
            Stream::Out => rustix::termios::tcgetwinsize(std::io::stdout()),
            Stream::Err => rustix::termios::tcgetwinsize(std::io::stderr()),
        };
        size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
    }

    /// Draws around these rows from now on, or around none.
    pub(crate) fn set_rows(&self, rows: Option<MultiProgress>) {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    fn side(&self, stream: Stream) -> &Side {
        match stream {
            Stream::Out => &self.out,
            Stream::Err => &self.err,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    /// Keeps what would have been printed.
    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Makes a printer on two pipes, and what returns all that went to stdout and stderr so far.
    pub(crate) fn kept() -> (Printer, impl Fn() -> (String, String)) {
        let (out, err) = (Kept::default(), Kept::default());
        let printer = on(Box::new(out.clone()), Box::new(err.clone()));
        let text = |kept: &Kept| String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        (printer, move || (text(&out), text(&err)))
    }

    /// Runs `act` with a printer on two pipes and returns what went to stdout and stderr.
    pub(crate) fn printed(act: impl FnOnce(&Printer)) -> (String, String) {
        let (printer, text) = kept();
        act(&printer);
        text()
    }

    fn on(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Printer {
        let side = |sink| Side { sink: Mutex::new(sink), terminal: false, colour: false };
        Printer { out: side(out), err: side(err), rows: Mutex::new(None), closed: AtomicBool::new(false) }
    }

    #[test]
    fn data_and_notes_go_apart_and_a_pipe_gets_no_escape_byte() {
        let (out, err) = printed(|printer| {
            printer.data("web");
            printer.warn("careful");
        });
        assert_eq!((out.as_str(), err.as_str()), ("web\n", "warning: careful\n"));
    }

    #[test]
    fn a_closed_pipe_is_noticed_and_is_no_panic() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let printer = on(Box::new(Closed), Box::new(Closed));
        printer.note("nobody sees it");
        assert!(!printer.is_closed());
        printer.data("nobody sees it");
        assert!(printer.is_closed());
    }
}
