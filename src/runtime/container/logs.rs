//! Reads a container's log: the last lines, a span of time, or on and on as it grows.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::keeper::log::{CURRENT, HEADER, Header, Stream, filled};

/// Bytes read at once.
const BLOCK: usize = 128 * 1024;
/// A line that is longer is told in parts: nobody should have to hold it.
const LONGEST: usize = 64 * 1024 * 1024;

/// Which lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Only the last so many of those that are there.
    pub tail: Option<u64>,
    /// Not before.
    pub since: Option<SystemTime>,
    /// Not after.
    pub until: Option<SystemTime>,
}

/// One line, without its newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Line<'a> {
    pub time: SystemTime,
    pub stream: Stream,
    pub bytes: &'a [u8],
}

/// Reads a log from where a query begins; can be asked again when the log has grown.
#[derive(Debug)]
pub struct LogReader {
    folder: PathBuf,
    /// `None`: nothing has been written yet.
    file: Option<File>,
    /// Those after it, oldest first.
    later: VecDeque<File>,
    since: Duration,
    until: Duration,
    /// Read, but no whole line yet.
    rest: Vec<u8>,
    /// Pieces of lines that go on.
    begun: [Vec<u8>; 2],
    block: Vec<u8>,
    /// Inode number and length to stop at.
    stop: Option<(u64, u64)>,
}

impl LogReader {
    /// Opens the log in `folder`.
    pub fn open(folder: &Path, query: &LogQuery) -> io::Result<Self> {
        let since = query.since.map_or(Duration::ZERO, since_1970);
        let mut files = open_files(folder)?;
        match query.tail {
            Some(lines) => seek_tail(&mut files, lines)?,
            None if since > Duration::ZERO => seek_time(&mut files, since)?,
            None => {}
        }
        Ok(Self {
            folder: folder.into(),
            file: files.pop_front(),
            later: files,
            since,
            until: query.until.map_or(Duration::MAX, since_1970),
            rest: Vec::new(),
            begun: [Vec::new(), Vec::new()],
            block: Vec::new(),
            stop: None,
        })
    }

    /// Gives `sink` every line that is there by now, until it says `false`.
    ///
    /// Returns whether there can be more: neither the sink nor the query's end was reached.
    pub fn read(&mut self, sink: &mut dyn FnMut(Line<'_>) -> bool) -> io::Result<bool> {
        if self.block.is_empty() {
            self.block = vec![0; BLOCK];
        }
        loop {
            let Some(file) = &mut self.file else {
                self.file = open_files(&self.folder)?.pop_front();
                if self.file.is_none() {
                    return Ok(true);
                }
                continue;
            };
            let mut limit = self.block.len();
            let mut is_last = false;
            if let Some((inode, end)) = self.stop
                && file.metadata()?.ino() == inode
            {
                is_last = true;
                let left = end.saturating_sub(file.stream_position()?);
                limit = limit.min(usize::try_from(left).unwrap_or(limit));
            }
            let length = file.read(&mut self.block[..limit])?;
            if length == 0 && is_last {
                return Ok(false);
            }
            if length > 0 {
                if !self.take(length, sink) {
                    return Ok(false);
                }
                continue;
            }
            if self.later.is_empty() {
                self.later = successors(&self.folder, file)?;
                if self.later.is_empty() {
                    return Ok(true);
                }
                // It may have grown between its end and the rename that gave it successors.
                let length = file.read(&mut self.block)?;
                if length > 0 && !self.take(length, sink) {
                    return Ok(false);
                }
                if length > 0 {
                    continue;
                }
            }
            self.file = self.later.pop_front();
            self.rest.clear();
        }
    }

    /// Gives what a stream has written of a line whose end is not in the log yet.
    pub fn unfinished(&self, stream: Stream) -> &[u8] {
        &self.begun[stream as usize]
    }

    /// Reads no further than to a position of one of its files (inode number and length), which must be there.
    pub fn stop_at(&mut self, position: (u64, u64)) {
        self.stop = Some(position);
    }

    fn take(&mut self, length: usize, sink: &mut dyn FnMut(Line<'_>) -> bool) -> bool {
        let block = std::mem::take(&mut self.block);
        let mut bytes = &block[..length];
        let mut goes_on = true;
        while let Some(end) = newline(bytes) {
            let (line, after) = bytes.split_at(end);
            bytes = &after[1..];
            goes_on = if self.rest.is_empty() {
                self.line(line, sink)
            } else {
                self.rest.extend_from_slice(line);
                let whole = std::mem::take(&mut self.rest);
                self.line(&whole, sink)
            };
            if !goes_on {
                break;
            }
        }
        self.rest.extend_from_slice(bytes);
        self.block = block;
        goes_on
    }

    fn line(&mut self, line: &[u8], sink: &mut dyn FnMut(Line<'_>) -> bool) -> bool {
        // A line that a crash has cut off can't be told from what it belonged to.
        let Some(header) = Header::parse(line) else { return true };
        let bytes = &line[HEADER..];
        let begun = &mut self.begun[header.stream as usize];
        if header.goes_on && begun.len() + bytes.len() < LONGEST {
            begun.extend_from_slice(bytes);
            return true;
        }
        if header.time > self.until {
            return false;
        }
        let time = UNIX_EPOCH + header.time;
        if header.time < self.since {
            begun.clear();
            true
        } else if begun.is_empty() {
            sink(Line { time, stream: header.stream, bytes })
        } else {
            begun.extend_from_slice(bytes);
            let goes_on = sink(Line { time, stream: header.stream, bytes: begun });
            begun.clear();
            goes_on
        }
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Every file of the log, oldest first.
fn open_files(folder: &Path) -> io::Result<VecDeque<File>> {
    // The present one first: whatever it is renamed to meanwhile, the listing that follows shows it.
    let current = open(&folder.join(CURRENT))?;
    let number = current.as_ref().map(inode).transpose()?;
    let mut files = VecDeque::new();
    let mut is_listed = false;
    for (_, path) in filled_or_none(folder)? {
        if let Some(file) = open(&path)? {
            is_listed |= Some(inode(&file)?) == number;
            files.push_back(file);
        }
    }
    files.extend(current.filter(|_| !is_listed));
    Ok(files)
}

/// Returns the files that came after `file`, oldest first.
fn successors(folder: &Path, file: &File) -> io::Result<VecDeque<File>> {
    let number = inode(file)?;
    match std::fs::metadata(folder.join(CURRENT)) {
        Ok(current) if current.ino() == number => return Ok(VecDeque::new()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(VecDeque::new()),
        Err(error) => return Err(error),
    }
    let mut files = open_files(folder)?;
    let numbers = files.iter().map(inode).collect::<io::Result<Vec<_>>>()?;
    // Not among them: it has been removed, and all of them are later.
    if let Some(position) = numbers.iter().position(|found| *found == number) {
        files.drain(..=position);
    }
    Ok(files)
}

fn filled_or_none(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    match filled(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result,
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn inode(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.ino())
}

/// Lets go of files and seeks so that the last `lines` whole lines follow.
fn seek_tail(files: &mut VecDeque<File>, lines: u64) -> io::Result<()> {
    let mut wanted = usize::try_from(lines).unwrap_or(usize::MAX);
    let mut kept = VecDeque::new();
    while let Some(mut file) = files.pop_back() {
        let length = file.metadata()?.len();
        let mut size = (BLOCK as u64).min(length);
        let ends = loop {
            let from = length - size;
            let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
            let read = read_at_most(&file, &mut bytes, from)?;
            let ends = line_ends(&bytes[..read], from);
            if ends.len() > wanted || size == length {
                break ends;
            }
            size = (size * 2).min(length);
        };
        if ends.len() > wanted {
            file.seek(SeekFrom::Start(ends[ends.len() - wanted - 1]))?;
            kept.push_front(file);
            break;
        }
        wanted -= ends.len();
        kept.push_front(file);
    }
    *files = kept;
    Ok(())
}

/// Where, in the file, each line that does not go on ends. The first line is left out unless it is whole.
fn line_ends(bytes: &[u8], from: u64) -> Vec<u64> {
    let mut ends = Vec::new();
    let mut start = if from == 0 { 0 } else { newline(bytes).map_or(bytes.len(), |end| end + 1) };
    if from != 0 && start < bytes.len() {
        // The line that ended here counts as a place to begin after.
        ends.push(from + start as u64);
    }
    while let Some(length) = newline(&bytes[start..]) {
        let header = Header::parse(&bytes[start..start + length]);
        start += length + 1;
        if header.is_some_and(|header| !header.goes_on) {
            ends.push(from + start as u64);
        }
    }
    ends
}

/// Lets go of files that end before `since` and seeks near to the first line after it.
fn seek_time(files: &mut VecDeque<File>, since: Duration) -> io::Result<()> {
    while files.len() > 1 {
        let written = files[0].metadata()?.modified().map_or(Duration::MAX, since_1970);
        // The line's time is taken before it is written.
        if written >= since {
            break;
        }
        files.pop_front();
    }
    let Some(file) = files.front_mut() else { return Ok(()) };
    let (mut low, mut high) = (0, file.metadata()?.len());
    let mut bytes = vec![0; BLOCK];
    while high - low > BLOCK as u64 {
        let middle = low + (high - low) / 2;
        let read = read_at_most(file, &mut bytes, middle)?;
        let start = newline(&bytes[..read]).map(|end| end + 1);
        match start.and_then(|start| Some((start, Header::parse(bytes.get(start..read)?)?))) {
            Some((start, header)) if header.time < since && !header.goes_on => low = middle + start as u64,
            Some(_) | None => high = middle,
        }
    }
    file.seek(SeekFrom::Start(low))?;
    Ok(())
}

fn read_at_most(file: &File, bytes: &mut [u8], from: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], from + read as u64)? {
            0 => break,
            length => read += length,
        }
    }
    Ok(read)
}

fn newline(bytes: &[u8]) -> Option<usize> {
    io::BufRead::skip_until(&mut &*bytes, b'\n').ok().filter(|n| *n > 0 && bytes[n - 1] == b'\n').map(|n| n - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::log::LogWriter;
    use crate::state::container::LogRecord;

    fn writer(folder: &Path, max_size: Option<u64>) -> LogWriter {
        LogWriter::open_in(folder, &LogRecord { disabled: false, max_size, max_files: 100 })
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn all(reader: &mut LogReader) -> Vec<String> {
        let mut lines = Vec::new();
        reader
            .read(&mut |line| {
                lines.push(String::from_utf8_lossy(line.bytes).into_owned());
                true
            })
            .unwrap();
        lines
    }

    /// Twenty thousand lines, one a second, over several files.
    fn long(folder: &Path) {
        let mut log = writer(folder, Some(300_000));
        for second in 0..20_000_u64 {
            log.take(Stream::Stdout, format!("line {second}\n").as_bytes(), Duration::from_secs(second)).unwrap();
        }
    }

    fn query(folder: &Path, query: LogQuery) -> Vec<String> {
        all(&mut LogReader::open(folder, &query).unwrap())
    }

    #[test]
    fn all_lines_come_in_order_over_all_files() {
        let folder = tempfile::tempdir().unwrap();
        long(folder.path());
        let expected: Vec<String> = (0..20_000).map(|second| format!("line {second}")).collect();
        assert!(filled(folder.path()).unwrap().len() > 1);
        assert_eq!(query(folder.path(), LogQuery::default()), expected);
    }

    #[test]
    fn a_tail_is_exact_whatever_its_length() {
        let folder = tempfile::tempdir().unwrap();
        long(folder.path());
        for tail in [0, 1, 10, 3_000, 9_999, 20_000, 30_000] {
            let lines = query(folder.path(), LogQuery { tail: Some(tail), ..LogQuery::default() });
            let first = 20_000 - tail.min(20_000);
            let expected: Vec<String> = (first..20_000).map(|second| format!("line {second}")).collect();
            assert_eq!(lines, expected, "tail {tail}");
        }
    }

    #[test]
    fn a_span_of_time_is_exact() {
        let folder = tempfile::tempdir().unwrap();
        long(folder.path());
        for (since, until) in [(0, 5), (7, 7), (9_000, 15_000), (19_999, 30_000)] {
            let span = LogQuery { since: Some(at(since)), until: Some(at(until)), tail: None };
            let expected: Vec<String> = (since..=until.min(19_999)).map(|second| format!("line {second}")).collect();
            assert_eq!(query(folder.path(), span), expected);
        }
    }

    #[test]
    fn a_reader_goes_on_through_new_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = writer(folder.path(), Some(100));
        let mut reader = LogReader::open(folder.path(), &LogQuery::default()).unwrap();
        assert_eq!(all(&mut reader), Vec::<String>::new());
        let mut expected = Vec::new();
        for round in 0..50 {
            expected.push(format!("line {round}"));
            log.take(Stream::Stderr, format!("line {round}\n").as_bytes(), Duration::from_secs(1)).unwrap();
            if round % 7 == 0 {
                assert_eq!(all(&mut reader), expected);
                expected.clear();
            }
        }
        assert_eq!(all(&mut reader), expected);
    }

    #[test]
    fn a_long_line_comes_back_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = writer(folder.path(), None);
        let long = "x".repeat(100_000);
        log.take(Stream::Stdout, format!("{long}\nshort\n").as_bytes(), Duration::from_secs(1)).unwrap();
        assert_eq!(query(folder.path(), LogQuery::default()), [long, "short".into()]);
        assert_eq!(query(folder.path(), LogQuery { tail: Some(1), ..LogQuery::default() }), ["short"]);
    }

    #[test]
    fn a_log_that_nobody_has_written_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(query(&folder.path().join("none"), LogQuery::default()), Vec::<String>::new());
    }
}
