//! Writes archives of directories: sorted and free of chance, so that the same content always has the same digest.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::image::digest::Digest;
use crate::image::layers::Layer;
use crate::snapshot::ahead::{Ahead, Attributes, Content, xattrs};
use crate::snapshot::diff::DiffError;
use crate::snapshot::place;
use crate::snapshot::whiteout::{OPAQUE_NAME, PREFIX};

/// Where the entry of a regular file lies in an archive: its headers, its bytes, and what fills the last block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// First byte.
    pub offset: u64,
    /// Bytes of all of it.
    pub length: u64,
    /// Bytes of the file.
    pub size: u64,
}

/// An archive of another layer, with the entries that a new one has just the same: they are copied, and the files not read.
#[derive(Debug)]
pub struct Earlier {
    /// The archive, not compressed.
    pub archive: File,
    /// Where they lie in it, in the order of archives.
    pub pieces: Pieces,
}

/// Regular files in the order of archives (by the names of their folders, then by their own), and where they lie.
pub type Pieces = Vec<(PathBuf, Piece)>;

/// Looks pieces up for who asks in their order.
#[derive(Debug)]
pub struct Cursor<'a> {
    left: &'a [(PathBuf, Piece)],
}

impl<'a> Cursor<'a> {
    /// Begins with the first.
    pub fn new(pieces: &'a [(PathBuf, Piece)]) -> Self {
        Self { left: pieces }
    }

    /// Returns the piece of `path`, if there is one.
    pub fn find(&mut self, path: &Path) -> Option<Piece> {
        while let Some(((next, piece), rest)) = self.left.split_first() {
            // Most are equal, and text is compared faster than names are.
            if next.as_os_str() == path.as_os_str() {
                self.left = rest;
                return Some(*piece);
            }
            if *next > *path {
                return None;
            }
            self.left = rest;
        }
        None
    }
}

/// Looks up what an earlier archive has.
pub(super) fn cursor(earlier: Option<&Earlier>) -> Cursor<'_> {
    Cursor::new(earlier.map_or(&[], |earlier| &earlier.pieces))
}

/// An archive being written.
pub(super) struct Writer<'a, W> {
    out: Counting<W>,
    /// Reads the regular files of a directory that nobody changes.
    ahead: Option<Ahead<'a>>,
    earlier: Option<&'a Earlier>,
    cursor: Cursor<'a>,
    /// What is to be copied of the earlier archive before anything else is written.
    pending: Range<u64>,
    /// Where the files lie, for who wants to know.
    pieces: Option<Pieces>,
    buffer: Vec<u8>,
    /// First name of each file that has several.
    linked: HashMap<(u64, u64), PathBuf>,
    size: u64,
}

/// A member as it is written; owners and times come from `stat`.
struct Member<'a> {
    path: &'a Path,
    kind: u8,
    stat: Option<&'a Stat>,
    link: &'a [u8],
    size: u64,
    xattrs: Attributes,
}

impl<'a, W: Write> Writer<'a, W> {
    /// Begins an archive.
    pub fn new(out: W) -> Self {
        Self {
            out: Counting::new(out),
            ahead: None,
            earlier: None,
            cursor: Cursor::new(&[]),
            pending: 0..0,
            pieces: None,
            buffer: vec![0; 128 << 10],
            linked: HashMap::new(),
            size: 0,
        }
    }

    /// Takes the regular files of a directory that nobody changes from who has read them.
    pub fn reading(self, ahead: Ahead<'a>) -> Self {
        Self { ahead: Some(ahead), ..self }
    }

    /// Takes over what another archive has.
    pub fn with_earlier(self, earlier: Option<&'a Earlier>) -> Self {
        Self { earlier, cursor: cursor(earlier), ..self }
    }

    /// Has it note where the files lie.
    pub fn noting(self) -> Self {
        Self { pieces: Some(Pieces::new()), ..self }
    }

    /// Ends the archive; returns its digest and size, and where the files lie if that was asked for.
    pub fn finish(mut self) -> Result<(Layer, Pieces), DiffError> {
        self.copy_pending()?;
        self.out.write_all(&[0; 1024]).and_then(|()| self.out.flush()).map_err(DiffError::Write)?;
        Ok((Layer { diff_id: self.out.finish().0, size: self.size }, self.pieces.unwrap_or_default()))
    }

    /// Notes where the file that was begun at `offset` lies.
    fn note(&mut self, path: &Path, offset: u64, size: u64) {
        let length = self.position() - offset;
        if let Some(pieces) = &mut self.pieces {
            pieces.push((path.to_owned(), Piece { offset, length, size }));
        }
    }

    /// Where the next byte will lie.
    fn position(&self) -> u64 {
        self.out.written + (self.pending.end - self.pending.start)
    }

    /// Takes an entry of the earlier archive over.
    fn take_over(&mut self, path: &Path, piece: Piece) -> Result<(), DiffError> {
        if self.pending.end != piece.offset {
            self.copy_pending()?;
            self.pending = piece.offset..piece.offset;
        }
        let offset = self.position();
        self.pending.end += piece.length;
        self.size += piece.size;
        self.note(path, offset, piece.size);
        Ok(())
    }

    fn copy_pending(&mut self) -> Result<(), DiffError> {
        let Some(earlier) = self.earlier else { return Ok(()) };
        let mut pending = std::mem::take(&mut self.pending);
        while !pending.is_empty() {
            let left = usize::try_from(pending.end - pending.start).unwrap_or(usize::MAX);
            let part = left.min(self.buffer.len());
            let part = &mut self.buffer[..part];
            earlier.archive.read_exact_at(part, pending.start).map_err(DiffError::Write)?;
            self.out.write_all(part).map_err(DiffError::Write)?;
            pending.start += part.len() as u64;
        }
        Ok(())
    }

    /// Writes all that is in a directory.
    pub fn directory(&mut self, directory: BorrowedFd<'_>, path: &Path) -> Result<(), DiffError> {
        let read = |source: Errno| DiffError::Read { path: path.into(), source: source.into() };
        for (name, kind) in names(directory, path)? {
            let name = Path::new(OsStr::from_bytes(&name));
            let path = path.join(name);
            if kind == FileType::RegularFile
                && let Some(piece) = self.cursor.find(&path)
            {
                self.take_over(&path, piece)?;
                continue;
            }
            if kind == FileType::RegularFile
                && let Some(ahead) = &mut self.ahead
            {
                let content = ahead.take(&path).map_err(|source| DiffError::Read { path: path.clone(), source })?;
                self.file(directory, name, &path, content)?;
                continue;
            }
            let stat = place::look(directory, name).map_err(read)?;
            let stat = stat.ok_or_else(|| DiffError::Changed { path: path.clone() })?;
            self.member(directory, name, &path, &stat)?;
        }
        Ok(())
    }

    /// Writes a file that was read ahead.
    fn file(&mut self, parent: BorrowedFd<'_>, name: &Path, path: &Path, content: Content) -> Result<(), DiffError> {
        let Content { stat, xattrs, bytes: Some(bytes) } = content else {
            return self.member(parent, name, path, &content.stat);
        };
        if self.repeats(path, &stat)? {
            return Ok(());
        }
        let size = bytes.len() as u64;
        let offset = self.position();
        self.header(&Member { path, kind: b'0', stat: Some(&stat), link: &[], size, xattrs })?;
        self.size += size;
        self.out.write_all(&bytes).map_err(DiffError::Write)?;
        self.pad(size)?;
        self.note(path, offset, size);
        Ok(())
    }

    /// Writes another name of a file that was written already; a link whose other names are all below is a file of its own here.
    fn repeats(&mut self, path: &Path, stat: &Stat) -> Result<bool, DiffError> {
        if stat.st_nlink < 2 {
            return Ok(false);
        }
        let Some(first) = self.linked.get(&(stat.st_dev, stat.st_ino)).cloned() else {
            self.linked.insert((stat.st_dev, stat.st_ino), path.into());
            return Ok(false);
        };
        let link = first.as_os_str().as_bytes();
        self.header(&Member { path, kind: b'1', stat: Some(stat), link, size: 0, xattrs: Vec::new() })?;
        Ok(true)
    }

    /// Writes one member of a directory, with all that is in it.
    pub fn member(&mut self, parent: BorrowedFd<'_>, name: &Path, path: &Path, stat: &Stat) -> Result<(), DiffError> {
        let read = |source: Errno| DiffError::Read { path: path.into(), source: source.into() };
        if place::is_whiteout(stat) {
            return self
                .mark(path.parent().unwrap_or(path), &[PREFIX.as_bytes(), name.as_os_str().as_bytes()].concat());
        }
        let mut member = Member { path, kind: b'0', stat: Some(stat), link: &[], size: 0, xattrs: Vec::new() };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let open = place::open_directory(parent, name).map_err(read)?;
                let (xattrs, opaque) = xattrs(open.as_fd()).map_err(read)?;
                member.kind = b'5';
                member.xattrs = xattrs;
                self.header(&member)?;
                if opaque {
                    self.mark(path, OPAQUE_NAME.as_bytes())?;
                }
                self.directory(open.as_fd(), path)
            }
            FileType::RegularFile => {
                if self.repeats(path, stat)? {
                    return Ok(());
                }
                // A program that runs may put something else there meanwhile, such as a FIFO to wait at.
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                let file = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(read)?;
                let opened = rustix::fs::fstat(&file).map_err(read)?;
                if (opened.st_dev, opened.st_ino) != (stat.st_dev, stat.st_ino) {
                    return Err(DiffError::Changed { path: path.into() });
                }
                member.xattrs = xattrs(file.as_fd()).map_err(read)?.0;
                member.size = stat.st_size.unsigned_abs();
                let (offset, size) = (self.position(), member.size);
                self.header(&member)?;
                self.size += size;
                self.body(file.as_fd(), path, size)?;
                self.note(path, offset, size);
                Ok(())
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new()).map_err(read)?;
                member.kind = b'2';
                member.link = target.as_bytes();
                self.header(&member)
            }
            FileType::CharacterDevice => self.header(&Member { kind: b'3', ..member }),
            FileType::BlockDevice => self.header(&Member { kind: b'4', ..member }),
            FileType::Fifo => self.header(&Member { kind: b'6', ..member }),
            // A socket is nothing without the process behind it.
            FileType::Socket | FileType::Unknown => Ok(()),
        }
    }

    fn mark(&mut self, parent: &Path, name: &[u8]) -> Result<(), DiffError> {
        let path = parent.join(OsStr::from_bytes(name));
        self.header(&Member { path: &path, kind: b'0', stat: None, link: &[], size: 0, xattrs: Vec::new() })
    }

    fn header(&mut self, member: &Member<'_>) -> Result<(), DiffError> {
        self.copy_pending()?;
        let mut name = member.path.as_os_str().as_bytes().to_vec();
        if member.kind == b'5' {
            name.push(b'/');
        }
        let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::new(member.kind));
        let number = |records: &mut Vec<(Vec<u8>, Vec<u8>)>, key: &str, value: i64, limit: i64| -> u64 {
            if (0..limit).contains(&value) {
                return value.unsigned_abs();
            }
            records.push((key.into(), value.to_string().into_bytes()));
            0
        };
        let (mode, uid, gid, mtime) = match member.stat {
            Some(stat) => (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid, stat.st_mtime),
            None => (0o644, 0, 0, 0),
        };
        header.set_mode(mode);
        header.set_uid(number(&mut records, "uid", uid.into(), 1 << 21));
        header.set_gid(number(&mut records, "gid", gid.into(), 1 << 21));
        header.set_size(number(&mut records, "size", i64::try_from(member.size).unwrap_or(i64::MAX), 1 << 33));
        // Whole seconds, as other builders write them.
        header.set_mtime(number(&mut records, "mtime", mtime, 1 << 33));
        if let (b'3' | b'4', Some(stat), Some(ustar)) = (member.kind, member.stat, header.as_ustar_mut()) {
            ustar.set_device_major(rustix::fs::major(stat.st_rdev));
            ustar.set_device_minor(rustix::fs::minor(stat.st_rdev));
        }
        let field = header.as_old_mut();
        for (key, value, space) in [("path", &*name, &mut field.name), ("linkpath", member.link, &mut field.linkname)] {
            let fits = value.len().min(space.len());
            space[..fits].copy_from_slice(&value[..fits]);
            if fits < value.len() {
                records.push((key.into(), value.to_vec()));
            }
        }
        let xattrs = member.xattrs.iter();
        records.extend(xattrs.map(|(key, value)| ([b"SCHILY.xattr.", key.as_bytes()].concat(), value.clone())));
        if !records.is_empty() {
            self.records(&records)?;
        }
        header.set_cksum();
        self.out.write_all(header.as_bytes()).map_err(DiffError::Write)
    }

    fn records(&mut self, records: &[(Vec<u8>, Vec<u8>)]) -> Result<(), DiffError> {
        let mut body = Vec::new();
        for (key, value) in records {
            // The length counts its own digits.
            let rest = key.len() + value.len() + 3;
            let mut length = rest + rest.to_string().len();
            length = rest + length.to_string().len();
            body.extend_from_slice(format!("{length} ").as_bytes());
            body.extend([key, &b"="[..], value, b"\n"].concat());
        }
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::XHeader);
        header.as_old_mut().name[..10].copy_from_slice(b"PaxHeaders");
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(body.len() as u64);
        header.set_cksum();
        body.resize(body.len().next_multiple_of(512), 0);
        self.out.write_all(header.as_bytes()).and_then(|()| self.out.write_all(&body)).map_err(DiffError::Write)
    }

    fn body(&mut self, file: BorrowedFd<'_>, path: &Path, size: u64) -> Result<(), DiffError> {
        let mut left = size;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            match rustix::io::read(file, &mut self.buffer[..wanted]) {
                Ok(0) => return Err(DiffError::Changed { path: path.into() }),
                Ok(read) => {
                    self.out.write_all(&self.buffer[..read]).map_err(DiffError::Write)?;
                    left -= read as u64;
                }
                Err(Errno::INTR) => {}
                Err(source) => return Err(DiffError::Read { path: path.into(), source: source.into() }),
            }
        }
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> Result<(), DiffError> {
        let padding = usize::try_from(size.next_multiple_of(512) - size).expect("less than a block");
        self.out.write_all(&[0; 512][..padding]).map_err(DiffError::Write)
    }
}

/// Digests and counts what is written through it.
pub(super) struct Counting<W> {
    inner: W,
    hasher: Sha256,
    /// Bytes so far.
    written: u64,
}

impl<W> Counting<W> {
    /// Begins with nothing.
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), written: 0 }
    }

    /// Returns the digest and the number of bytes.
    pub fn finish(self) -> (Digest, u64) {
        (Digest::finish(self.hasher), self.written)
    }
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Lists the names of a directory in the order of archives, with their types.
pub(super) fn names(directory: BorrowedFd<'_>, path: &Path) -> Result<Vec<(Vec<u8>, FileType)>, DiffError> {
    let read = |source: Errno| DiffError::Read { path: path.into(), source: source.into() };
    let mut names = Vec::new();
    for entry in Dir::read_from(directory).map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push((name.to_vec(), entry.file_type()));
        }
    }
    names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(names)
}
