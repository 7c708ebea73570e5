//! Reads tar archives as streams: ustar, GNU long names, PAX. Names and attributes are bytes and may hold anything; memory is bounded.
//!
//! The `tar` crate ends a PAX record at its first newline, which names and binary attributes may contain; so the reading half is ours.

use std::io::{self, Read};

use crate::snapshot::sparse::{self, Form, Sparse, Stretch};

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the attributes of a file under their usual names")]
pub struct Item {
    /// Components without empty ones and `.`; empty for the root itself.
    pub path: Vec<Vec<u8>>,
    pub kind: Kind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds and nanoseconds after 1970.
    pub mtime: (i64, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of the file; holes count, but do not follow.
    pub size: u64,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Directory,
    File,
    Symlink(Vec<u8>),
    HardLink(Vec<Vec<u8>>),
    Character { major: u32, minor: u32 },
    Block { major: u32, minor: u32 },
    Fifo,
}

/// Why an archive can't be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum ArchiveError {
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    #[error("the archive is cut off")]
    Truncated,
    #[error("the archive is damaged: {0}")]
    Damaged(&'static str),
    #[error("`{0}` leads out of the archive's root")]
    Traversal(String),
    #[error("the archive has a member of kind `{0}`, which is not supported")]
    Kind(char),
}

/// No name or attribute is longer; Linux allows 4 KiB and 64 KiB.
const METADATA_LIMIT: u64 = 1 << 20;
const BLOCK: u64 = 512;

/// A stream of members.
#[derive(Debug)]
pub struct Archive<R> {
    inner: R,
    /// Bytes of the current body not yet read, then its padding.
    body: u64,
    padding: u64,
    /// Holes of the current member.
    sparse: Option<Sparse>,
}

/// What extension headers say of the next member.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: Vec<Record>,
}

impl<R: Read> Archive<R> {
    /// Starts to read; `inner` should be buffered.
    pub fn new(inner: R) -> Self {
        Self { inner, body: 0, padding: 0, sparse: None }
    }

    /// Returns what is below, for what follows the archive's end.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Moves on to the next member, past what is left of this one's body.
    pub fn next_item(&mut self) -> Result<Option<Item>, ArchiveError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip()?;
            self.sparse = None;
            let Some(header) = self.header()? else { return Ok(None) };
            let size = unsigned(&header[124..136])?;
            match header[156] {
                b'L' => extensions.path = Some(until_nul(&self.metadata(size)?).to_vec()),
                b'K' => extensions.link = Some(until_nul(&self.metadata(size)?).to_vec()),
                b'x' => extensions.records = records(&self.metadata(size)?)?,
                // Defaults for the whole archive: Git writes a comment there, nobody anything of use.
                b'g' => drop(self.metadata(size)?),
                kind => {
                    let old = if kind == b'S' { Some(self.old_map(&header)?) } else { None };
                    let kind = if kind == b'S' { b'0' } else { kind };
                    let (mut item, form) = item(&header, kind, size, extensions)?;
                    self.body = item.size;
                    self.padding = item.size.next_multiple_of(BLOCK) - item.size;
                    let form = old.unwrap_or(form);
                    if item.kind == Kind::File {
                        self.sparse = self.holes(form)?;
                        item.size = self.sparse.as_ref().map_or(item.size, |sparse| sparse.size);
                    }
                    return Ok(Some(item));
                }
            }
        }
    }

    /// Finds the holes of a member that has some.
    fn holes(&mut self, form: Form) -> Result<Option<Sparse>, ArchiveError> {
        let (size, pieces) = match form {
            Form::Whole => return Ok(None),
            Form::Mapped { size, pieces } => (size, pieces),
            Form::InBody { size } => {
                let mut left = self.body;
                let block = || {
                    left = left.checked_sub(BLOCK).ok_or(ArchiveError::Damaged("the map of a sparse file"))?;
                    self.block()?.ok_or(ArchiveError::Truncated)
                };
                let (pieces, _) = sparse::map_of_body(block)?;
                self.body = left;
                (size, pieces)
            }
        };
        Sparse::new(size, pieces, self.body).map(Some)
    }

    /// Reads the map of GNU's own sparse members: four pieces in the header, more in blocks that follow it.
    fn old_map(&mut self, header: &[u8; 512]) -> Result<Form, ArchiveError> {
        let damaged = || ArchiveError::Damaged("the map of a sparse file");
        let mut pieces = Vec::new();
        let mut take = |fields: &[u8]| {
            for field in fields.chunks_exact(24).filter(|field| field[0] != 0) {
                pieces.push((unsigned(&field[..12])?, unsigned(&field[12..])?));
            }
            Ok::<_, ArchiveError>(pieces.len())
        };
        take(&header[386..482])?;
        let mut more = header[482] != 0;
        while more {
            let block = self.block()?.ok_or(ArchiveError::Truncated)?;
            if take(&block[..504])? > sparse::MOST_PIECES {
                return Err(damaged());
            }
            more = block[504] != 0;
        }
        Ok(Form::Mapped { size: unsigned(&header[483..495])?, pieces })
    }

    /// Returns the bytes of the current member that are stored, and whether it has holes.
    pub fn stored(&self) -> (u64, bool) {
        (self.sparse.as_ref().map_or(self.body, Sparse::stored), self.sparse.is_some())
    }

    /// Moves past the hole that the current member has next, and returns where data begins and how long it is; `None`: there
    /// is no more.
    pub fn next_data(&mut self) -> Option<(u64, u64)> {
        let sparse = self.sparse.as_mut()?;
        loop {
            match sparse.stretch()? {
                Stretch::Hole(length) => sparse.advance(length),
                Stretch::Data(length) => return Some((sparse.place(), length)),
            }
        }
    }

    /// Reads of the current body, holes as zeros; 0 at its end.
    pub fn read_body(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let Some(sparse) = &mut self.sparse else { return self.read_stored(buffer) };
        let most = |length: u64| usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
        let read = match sparse.stretch() {
            None => 0,
            Some(Stretch::Hole(length)) => {
                let count = most(length);
                buffer[..count].fill(0);
                count
            }
            Some(Stretch::Data(length)) => {
                let count = most(length);
                self.read_stored(&mut buffer[..count])?
            }
        };
        if let Some(sparse) = &mut self.sparse {
            sparse.advance(read as u64);
        }
        Ok(read)
    }

    fn read_stored(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let wanted = usize::try_from(self.body).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.inner.read(&mut buffer[..wanted]).map_err(ArchiveError::Read)?;
        self.body -= read as u64;
        if read == 0 { Err(ArchiveError::Truncated) } else { Ok(read) }
    }

    fn skip(&mut self) -> Result<(), ArchiveError> {
        let (body, rest) = (self.body, self.body + self.padding);
        let skipped = io::copy(&mut (&mut self.inner).take(rest), &mut io::sink()).map_err(ArchiveError::Read)?;
        (self.body, self.padding) = (0, 0);
        // Some writers leave the last padding out.
        if skipped < body { Err(ArchiveError::Truncated) } else { Ok(()) }
    }

    /// `None` at the end mark, or at the end of an archive without one.
    fn header(&mut self) -> Result<Option<[u8; 512]>, ArchiveError> {
        let Some(block) = self.block()? else { return Ok(None) };
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The checksum counts its own field as blanks.
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        match unsigned(&block[148..156])? == sum(&block[..148]) + 8 * 32 + sum(&block[156..]) {
            true => Ok(Some(block)),
            false => Err(ArchiveError::Damaged("a header has a wrong checksum")),
        }
    }

    /// `None` at the end of the archive.
    fn block(&mut self) -> Result<Option<[u8; 512]>, ArchiveError> {
        let mut block = [0; 512];
        let mut filled = 0;
        while filled < block.len() {
            match self.inner.read(&mut block[filled..]).map_err(ArchiveError::Read)? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(ArchiveError::Truncated),
                read => filled += read,
            }
        }
        Ok(Some(block))
    }

    fn metadata(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > METADATA_LIMIT {
            return Err(ArchiveError::Damaged("a name or attribute is longer than a MiB"));
        }
        let mut bytes = Vec::new();
        (&mut self.inner).take(size).read_to_end(&mut bytes).map_err(ArchiveError::Read)?;
        self.padding = size.next_multiple_of(BLOCK) - size;
        if bytes.len() as u64 == size { Ok(bytes) } else { Err(ArchiveError::Truncated) }
    }
}

fn item(header: &[u8; 512], kind: u8, size: u64, extensions: Extensions) -> Result<(Item, Form), ArchiveError> {
    let mut path = extensions.path.unwrap_or_else(|| {
        let name = until_nul(&header[..100]);
        // GNU's own format has times where ustar has the prefix.
        match until_nul(&header[345..500]) {
            prefix if !prefix.is_empty() && header[257..263] == *b"ustar\0" => [prefix, b"/", name].concat(),
            _ => name.to_vec(),
        }
    });
    let mut link = extensions.link.unwrap_or_else(|| until_nul(&header[157..257]).to_vec());
    let (mut size, mut uid, mut gid) = (size, number(&header[108..116])?, number(&header[116..124])?);
    let mut mtime = (number(&header[136..148])?, 0);
    let mut xattrs = Vec::new();
    let mut holes = sparse::Records::default();
    for (key, value) in extensions.records {
        let text = || std::str::from_utf8(&value).map_err(|_| ArchiveError::Damaged("a number is no text"));
        let parse = || {
            let number = text()?.parse::<u64>().ok().filter(|it| *it <= i64::MAX.unsigned_abs());
            number.ok_or(ArchiveError::Damaged("a number is none"))
        };
        match &*key {
            b"path" => path = value,
            b"linkpath" => link = value,
            b"size" => size = parse()?,
            b"uid" => uid = i64::try_from(parse()?).unwrap_or(-1),
            b"gid" => gid = i64::try_from(parse()?).unwrap_or(-1),
            b"mtime" => mtime = time(text()?)?,
            key if key.starts_with(b"GNU.sparse.") => holes.read(key, &value)?,
            key => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    xattrs.push((name.to_vec(), value));
                }
            }
        }
    }
    path = holes.name().unwrap_or(path);
    let device = || -> Result<(u32, u32), ArchiveError> {
        let part = |field: &[u8]| u32::try_from(number(field)?).map_err(|_| ArchiveError::Damaged("a device number"));
        Ok((part(&header[329..337])?, part(&header[337..345])?))
    };
    let kind = match kind {
        // Before ustar a directory was a file whose name ended so.
        b'0' | b'\0' | b'7' if path.ends_with(b"/") => Kind::Directory,
        b'0' | b'\0' | b'7' => Kind::File,
        b'1' => Kind::HardLink(components(&link)?),
        b'2' => Kind::Symlink(link),
        b'3' => device().map(|(major, minor)| Kind::Character { major, minor })?,
        b'4' => device().map(|(major, minor)| Kind::Block { major, minor })?,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => return Err(ArchiveError::Kind(char::from(other))),
    };
    let id = |id: i64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    let id = |value| id(value).ok_or(ArchiveError::Damaged("an owner's number is out of range"));
    // Only files have a body, whatever the header says (a hard link of old archives repeats its file's size).
    let size = if kind == Kind::File { size } else { 0 };
    let mode = u32::try_from(number(&header[100..108])?).unwrap_or(0o644) & 0o7777;
    let item = Item { path: components(&path)?, kind, mode, uid: id(uid)?, gid: id(gid)?, mtime, xattrs, size };
    Ok((item, holes.form()?))
}

/// Splits a name; absolute ones count from the root, and `..` is never needed by an honest writer.
fn components(path: &[u8]) -> Result<Vec<Vec<u8>>, ArchiveError> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let parts: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).collect();
    if parts.iter().any(|part| part == b"..") {
        return Err(ArchiveError::Traversal(String::from_utf8_lossy(path).into_owned()));
    }
    if path.contains(&0) || parts.len() > 1000 {
        return Err(ArchiveError::Damaged("a name has a NUL or more than 1000 parts"));
    }
    Ok(parts)
}

/// Key and value of a PAX record.
type Record = (Vec<u8>, Vec<u8>);

/// PAX: `LENGTH KEY=VALUE\n`, where the length counts itself.
fn records(mut bytes: &[u8]) -> Result<Vec<Record>, ArchiveError> {
    let damaged = || ArchiveError::Damaged("a PAX record");
    let mut found = Vec::new();
    while bytes.first().is_some_and(|byte| *byte != 0) {
        let blank = bytes.iter().position(|byte| *byte == b' ').ok_or_else(damaged)?;
        let length = std::str::from_utf8(&bytes[..blank]).ok().and_then(|text| text.parse::<usize>().ok());
        let length = length.filter(|it| *it > blank + 1 && *it <= bytes.len()).ok_or_else(damaged)?;
        let record = bytes[blank + 1..length].strip_suffix(b"\n").ok_or_else(damaged)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(damaged)?;
        found.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
        bytes = &bytes[length..];
    }
    Ok(found)
}

/// PAX: seconds with a decimal fraction, perhaps negative.
fn time(text: &str) -> Result<(i64, u32), ArchiveError> {
    let damaged = |_| ArchiveError::Damaged("a time");
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut seconds: i64 = seconds.parse().map_err(damaged)?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let mut nanoseconds: u32 = digits.parse().map_err(damaged)?;
    if text.starts_with('-') && nanoseconds > 0 {
        (seconds, nanoseconds) = (seconds - 1, 1_000_000_000 - nanoseconds);
    }
    Ok((seconds, nanoseconds))
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal text, or GNU's base 256 with the top bit set.
fn number(field: &[u8]) -> Result<i64, ArchiveError> {
    if field[0] & 0x80 != 0 {
        // The top bit is the mark; the next one is the sign.
        let first = i128::from(field[0] & 0x7f) - if field[0] & 0x40 != 0 { 0x80 } else { 0 };
        let value = field[1..].iter().fold(first, |value, byte| value << 8 | i128::from(*byte));
        return i64::try_from(value).map_err(|_| ArchiveError::Damaged("a number is out of range"));
    }
    let digits = field.iter().skip_while(|byte| **byte == b' ').take_while(|byte| **byte != 0 && **byte != b' ');
    let mut value = 0;
    for digit in digits {
        match digit {
            b'0'..=b'7' => value = value << 3 | i64::from(digit - b'0'),
            _ => return Err(ArchiveError::Damaged("a number is none")),
        }
    }
    Ok(value)
}

fn unsigned(field: &[u8]) -> Result<u64, ArchiveError> {
    u64::try_from(number(field)?).map_err(|_| ArchiveError::Damaged("a size is negative"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pax_record_may_hold_newlines() {
        let found = records(b"11 path=a\nb\n14 k=\n\n\n=\n\n\n\n").err();
        assert!(found.is_some(), "a wrong length is damage");
        let found = records(b"12 path=a\nb\n").unwrap();
        assert_eq!(found, [(b"path".to_vec(), b"a\nb".to_vec())]);
    }

    #[test]
    fn times_before_1970_count_backwards() {
        assert_eq!(time("-1.25").unwrap(), (-2, 750_000_000));
        assert_eq!(time("1700000000.5").unwrap(), (1_700_000_000, 500_000_000));
        assert_eq!(time("-1099511627776").unwrap(), (-1_099_511_627_776, 0));
    }

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0").unwrap(), 0o644);
        assert_eq!(number(b"   644 \0").unwrap(), 0o644);
        assert_eq!(number(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xfe]).unwrap(), 0x7fff_fffe);
        assert_eq!(number(&[0xff; 12]).unwrap(), -1);
        assert!(number(b"0009\0").is_err());
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        assert!(matches!(components(b"a/../../b"), Err(ArchiveError::Traversal(_))));
        assert_eq!(components(b"/./a//b/").unwrap(), [b"a".to_vec(), b"b".to_vec()]);
    }
}
