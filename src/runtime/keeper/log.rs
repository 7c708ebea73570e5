//! The log of a container: its format, and the writing of it. Reading is `container::logs`.
//!
//! One text line a line of output, so that any bytes but the newline survive as they are:
//! `1790000000.123456789 o the line as the program wrote it`. `o` is stdout and `e` stderr; `O` and `E` mark a piece
//! of a long line that goes on in the stream's next piece. Times never run backwards within a log.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::keeper::inbox::Inbox;
use crate::state::container::LogRecord;

/// Bytes before the line itself.
pub const HEADER: usize = 23;
/// A longer line is written in pieces: the keeper must not hold more of what has no end.
const PIECE: usize = 16 * 1024;
/// Bytes that are gathered before they are written, so that a write carries many lines.
const BATCH: usize = 64 * 1024;

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// The beginning of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Since 1970.
    pub time: Duration,
    /// Where it came from.
    pub stream: Stream,
    /// The stream's next piece belongs to the same line.
    pub goes_on: bool,
}

impl Header {
    /// Writes it out.
    pub fn format(self) -> [u8; HEADER] {
        let mut text = *b"0000000000.000000000 o ";
        digits(&mut text[..10], self.time.as_secs());
        digits(&mut text[11..20], u64::from(self.time.subsec_nanos()));
        text[21] = match (self.stream, self.goes_on) {
            (Stream::Stdout, false) => b'o',
            (Stream::Stdout, true) => b'O',
            (Stream::Stderr, false) => b'e',
            (Stream::Stderr, true) => b'E',
        };
        text
    }

    /// Reads it; `None`: a line that a crash has cut off.
    pub fn parse(line: &[u8]) -> Option<Self> {
        if line.len() < HEADER || line[10] != b'.' || line[20] != b' ' || line[22] != b' ' {
            return None;
        }
        let (stream, goes_on) = match line[21] {
            b'o' => (Stream::Stdout, false),
            b'O' => (Stream::Stdout, true),
            b'e' => (Stream::Stderr, false),
            b'E' => (Stream::Stderr, true),
            _ => return None,
        };
        let seconds = number(&line[..10])?;
        let nanos = u32::try_from(number(&line[11..20])?).ok()?;
        Some(Self { time: Duration::new(seconds, nanos), stream, goes_on })
    }
}

fn digits(text: &mut [u8], mut number: u64) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

fn number(text: &[u8]) -> Option<u64> {
    let digit = |digit: &u8| digit.is_ascii_digit().then(|| u64::from(digit - b'0'));
    text.iter().try_fold(0, |sum: u64, byte| Some(sum * 10 + digit(byte)?))
}

/// Name of the file that is being written.
pub const CURRENT: &str = "current.log";

/// Returns the files that were filled before the present one, oldest first: `1.log`, `2.log`, ..
pub fn filled(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".log"));
        if let Some(number) = stem.and_then(|stem| stem.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Writes a container's log.
#[derive(Debug)]
pub struct LogWriter {
    folder: PathBuf,
    rules: LogRecord,
    file: Option<File>,
    size: u64,
    batch: Vec<u8>,
    inbox: Inbox,
}

impl LogWriter {
    /// Opens the log in `folder` and goes on where it ends, with what waits in the inbox.
    pub fn open(folder: &Path, rules: &LogRecord, inbox: Inbox) -> io::Result<Self> {
        let mut writer =
            Self { folder: folder.into(), rules: rules.clone(), file: None, size: 0, batch: Vec::new(), inbox };
        if rules.disabled {
            writer.inbox.settle(None)?;
        } else {
            writer.open_current()?;
        }
        Ok(writer)
    }

    /// Takes what a program has written; 0 is the end of the stream. Never waits. What was taken waits, and is to be
    /// written by [`LogWriter::write_lines`].
    pub fn receive(&mut self, stream: Stream, from: BorrowedFd<'_>, is_pipe: bool) -> io::Result<usize> {
        self.inbox.receive(stream, from, is_pipe)
    }

    /// Returns what has been taken of a stream and is in no line of the log.
    pub fn waiting(&self, stream: Stream) -> &[u8] {
        self.inbox.waiting(stream)
    }

    /// Writes every line that is whole.
    pub fn write_lines(&mut self, stream: Stream, now: Duration) -> io::Result<()> {
        self.write_all(stream, now, false)
    }

    /// Writes the rest of a stream that has ended, perhaps without a newline.
    pub fn end(&mut self, stream: Stream, now: Duration) -> io::Result<()> {
        self.write_all(stream, now, true)
    }

    fn write_all(&mut self, stream: Stream, now: Duration, is_end: bool) -> io::Result<()> {
        if self.rules.disabled {
            self.inbox.clear(stream);
            return Ok(());
        }
        let time = self.inbox.last_time().max(now);
        let mut result = Ok(());
        loop {
            let used = gather(&mut self.batch, self.inbox.waiting(stream), (time, stream), is_end);
            if used == 0 {
                return result;
            }
            self.inbox.set_last_time(time);
            // What can't be written is lost: it must not hold up what comes after it.
            result = result.and(self.write(stream, used));
        }
    }

    /// Returns inode number and length of the file that is written to: all that was taken is in it but for the lines
    /// that have not ended yet.
    pub fn position(&self) -> Option<(u64, u64)> {
        Some((self.file.as_ref()?.metadata().ok()?.ino(), self.size))
    }

    /// Closes the file; another process goes on writing.
    pub fn let_go(&mut self) {
        self.file = None;
        self.inbox.let_go();
    }

    /// Returns the inbox.
    pub fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Writes the batch, which is all up to `used` bytes of what waits.
    fn write(&mut self, stream: Stream, used: usize) -> io::Result<()> {
        let length = self.batch.len() as u64;
        let inode = self.make_ready(length);
        self.inbox.announce(stream, used, *inode.as_ref().unwrap_or(&0), self.size, length);
        let written = inode.and_then(|_| self.file.as_mut().map_or(Ok(()), |file| file.write_all(&self.batch)));
        self.batch.clear();
        if written.is_err() {
            // Half a line may be there now (the disk is full): opening anew ends it.
            self.file = None;
        } else {
            self.size += length;
        }
        self.inbox.confirm();
        written
    }

    /// Makes the file ready for so many bytes, and returns its inode number.
    fn make_ready(&mut self, length: u64) -> io::Result<u64> {
        if self.file.is_none() {
            self.open_current()?;
        }
        if self.rules.max_size.is_some_and(|most| self.size > 0 && self.size + length > most) {
            self.begin_next()?;
        }
        self.file.as_ref().map_or(Ok(0), |file| Ok(file.metadata()?.ino()))
    }

    fn open_current(&mut self) -> io::Result<()> {
        let path = self.folder.join(CURRENT);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        self.inbox.settle(Some(&file))?;
        self.size = file.metadata()?.len();
        if self.size > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                self.size += 1;
            }
        }
        self.file = Some(file);
        Ok(())
    }

    fn begin_next(&mut self) -> io::Result<()> {
        let filled = filled(&self.folder)?;
        let next = filled.last().map_or(1, |(number, _)| number + 1);
        let kept = usize::try_from(self.rules.max_files.max(1)).unwrap_or(usize::MAX) - 1;
        if kept == 0 {
            std::fs::remove_file(self.folder.join(CURRENT))?;
        } else {
            std::fs::rename(self.folder.join(CURRENT), self.folder.join(format!("{next}.log")))?;
            let surplus = (filled.len() + 1).saturating_sub(kept);
            for (_, path) in filled.iter().take(surplus) {
                std::fs::remove_file(path)?;
            }
        }
        self.file = None;
        self.open_current()
    }
}

/// Gathers lines of what waits, up to a batch, and returns how much of it they are; at the end, the last one too.
fn gather(batch: &mut Vec<u8>, waiting: &[u8], (time, stream): (Duration, Stream), is_end: bool) -> usize {
    let mut rest = waiting;
    while batch.len() < BATCH {
        let (length, goes_on, newline) = match memchr(rest) {
            Some(end) if end <= PIECE => (end, false, 1),
            _ if rest.len() > PIECE => (PIECE, true, 0),
            None if is_end && !rest.is_empty() => (rest.len(), false, 0),
            Some(_) | None => break,
        };
        batch.extend_from_slice(&Header { time, stream, goes_on }.format());
        batch.extend_from_slice(&rest[..length]);
        batch.push(b'\n');
        rest = &rest[length + newline..];
    }
    waiting.len() - rest.len()
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    // Finds it eight bytes at a time; the standard library's own is not public for slices.
    io::BufRead::skip_until(&mut &*bytes, b'\n').ok().filter(|n| *n > 0 && bytes[n - 1] == b'\n').map(|n| n - 1)
}

#[cfg(test)]
impl LogWriter {
    /// Takes what a program wrote, as a pipe brings it.
    pub(crate) fn take(&mut self, stream: Stream, bytes: &[u8], now: Duration) -> io::Result<()> {
        use std::os::fd::AsFd as _;
        for part in bytes.chunks(16 * 1024) {
            let (read, mut write) = io::pipe()?;
            write.write_all(part)?;
            assert_eq!(self.receive(stream, read.as_fd(), true)?, part.len());
            self.write_lines(stream, now)?;
        }
        Ok(())
    }

    /// Opens one with an inbox beside the log.
    pub(crate) fn open_in(folder: &Path, rules: &LogRecord) -> Self {
        Self::open(folder, rules, Inbox::open(&folder.join("inbox")).unwrap()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path, name: &str) -> String {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn open(folder: &Path, max_size: Option<u64>, max_files: u32) -> LogWriter {
        LogWriter::open_in(folder, &LogRecord { disabled: false, max_size, max_files })
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let header = Header { time: Duration::new(1_790_000_000, 7), stream: Stream::Stderr, goes_on: true };
        assert_eq!(&header.format(), b"1790000000.000000007 E ");
        assert_eq!(Header::parse(&header.format()), Some(header));
        assert_eq!(Header::parse(b"1790000000.00000000"), None);
    }

    #[test]
    fn lines_wait_for_their_end_and_any_bytes_survive() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = open(folder.path(), None, 1);
        log.take(Stream::Stdout, b"a\0\xff\r\nbe", Duration::from_secs(5)).unwrap();
        log.take(Stream::Stderr, b"x\n", Duration::from_secs(4)).unwrap();
        log.take(Stream::Stdout, b"gun", Duration::from_secs(6)).unwrap();
        log.end(Stream::Stdout, Duration::from_secs(7)).unwrap();
        log.end(Stream::Stderr, Duration::from_secs(7)).unwrap();
        assert_eq!(
            read(folder.path(), CURRENT),
            "0000000005.000000000 o a\0\u{fffd}\r\n0000000005.000000000 e x\n0000000007.000000000 o begun\n"
        );
    }

    #[test]
    fn a_line_without_end_is_written_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = open(folder.path(), None, 1);
        for _ in 0..10 {
            log.take(Stream::Stdout, &[b'z'; 4000], Duration::from_secs(1)).unwrap();
        }
        log.take(Stream::Stdout, b"\n", Duration::from_secs(1)).unwrap();
        let text = read(folder.path(), CURRENT);
        let marks: Vec<&str> = text.lines().map(|line| &line[21..22]).collect();
        assert_eq!(marks, ["O", "O", "o"]);
        assert_eq!(text.matches('z').count(), 40_000);
    }

    #[test]
    fn a_full_file_is_followed_by_another_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = open(folder.path(), Some(60), 3);
        for number in 0..6 {
            log.take(Stream::Stdout, format!("line {number}\n").as_bytes(), Duration::from_secs(1)).unwrap();
            log.take(Stream::Stdout, b"more\n", Duration::from_secs(1)).unwrap();
        }
        let files: Vec<u64> = filled(folder.path()).unwrap().into_iter().map(|(number, _)| number).collect();
        assert_eq!(files, [4, 5]);
        assert!(read(folder.path(), "5.log").contains("line 4"));
        assert!(read(folder.path(), CURRENT).contains("line 5"));
    }

    #[test]
    fn a_line_that_a_crash_cut_off_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CURRENT), "0000000005.000").unwrap();
        open(folder.path(), None, 1).take(Stream::Stdout, b"on\n", Duration::from_secs(1)).unwrap();
        assert_eq!(read(folder.path(), CURRENT), "0000000005.000\n0000000001.000000000 o on\n");
    }

    #[test]
    fn a_keeper_that_was_killed_in_the_middle_of_a_line_leaves_it_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), None, 1).take(Stream::Stdout, b"whole\nbeg", Duration::from_secs(5)).unwrap();
        let mut next = open(folder.path(), None, 1);
        assert_eq!(next.waiting(Stream::Stdout), b"beg");
        next.take(Stream::Stdout, b"un\n", Duration::from_secs(4)).unwrap();
        let expected = "0000000005.000000000 o whole\n0000000005.000000000 o begun\n";
        assert_eq!(read(folder.path(), CURRENT), expected, "times never run backwards");
    }

    #[test]
    fn a_disabled_log_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let rules = LogRecord { disabled: true, max_size: None, max_files: 1 };
        LogWriter::open_in(folder.path(), &rules).take(Stream::Stdout, b"on\n", Duration::ZERO).unwrap();
        assert!(!folder.path().join(CURRENT).exists());
    }
}
