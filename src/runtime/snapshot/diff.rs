//! What was written on top of an overlay becomes a layer, and a layer becomes an archive: sorted and free of chance, so that the same
//! content always has the same digest.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::layers::{self, Layer};
use crate::image::store::StoreError;
use crate::snapshot::ahead::{self, Ahead, Attributes, Content, xattrs};
use crate::snapshot::place;
use crate::snapshot::whiteout::{OPAQUE_NAME, PREFIX};

/// Why a layer can't be made or written out.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum DiffError {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write the layer's archive")]
    Write(#[source] io::Error),
    #[error("`{path}` changed while it was read")]
    Changed { path: PathBuf },
    #[error("cannot make `{path}` a layer")]
    Publish {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes an overlay's unmounted upper directory, which must lie on the store's file system, a layer: digested, then moved into place.
/// Afterwards `upper` is gone.
pub fn commit(rt: &Runtime, upper: &Path) -> Result<Layer, DiffError> {
    let layer = tar(upper, io::sink())?;
    layers::publish(rt, upper, layer)?;
    // It is still there when the store had the very same layer.
    match std::fs::remove_dir_all(upper) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DiffError::Publish { path: upper.into(), source })
        }
        Ok(()) | Err(_) => Ok(layer),
    }
}

/// Writes a layer's directory as an archive with whiteouts in their archived form, and returns its digest and size.
pub fn tar(directory: &Path, out: impl Write) -> Result<Layer, DiffError> {
    let read = |source: Errno| DiffError::Read { path: directory.into(), source: source.into() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(directory, flags, Mode::empty()).map_err(read)?;
    let mut files = Vec::new();
    list_files(root.as_fd(), Path::new(""), &mut files)?;
    ahead::reading(root.as_fd(), &files, |ahead| {
        let mut writer = Writer { ahead: Some(ahead), ..Writer::new(out) };
        writer.directory(root.as_fd(), Path::new(""))?;
        writer.finish()
    })
}

/// Lists the names of a directory in the order of archives, with their types.
fn names(directory: BorrowedFd<'_>, path: &Path) -> Result<Vec<(Vec<u8>, FileType)>, DiffError> {
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

/// Lists the regular files below a directory in the order of archives; what a file system does not tell the type of is left out.
fn list_files(directory: BorrowedFd<'_>, path: &Path, files: &mut Vec<PathBuf>) -> Result<(), DiffError> {
    for (name, kind) in names(directory, path)? {
        let name = Path::new(OsStr::from_bytes(&name));
        let path = path.join(name);
        match kind {
            FileType::RegularFile => files.push(path),
            FileType::Directory => {
                let read = |source: Errno| DiffError::Read { path: path.clone(), source: source.into() };
                let open = place::open_directory(directory, name).map_err(read)?;
                list_files(open.as_fd(), &path, files)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes all that is in a directory.
pub fn tar_tree(directory: BorrowedFd<'_>, out: impl Write) -> Result<Layer, DiffError> {
    let mut writer = Writer::new(out);
    writer.directory(directory, Path::new(""))?;
    writer.finish()
}

/// Writes what `name` names in a directory, with all that is in it; the directory itself is named `.`.
pub fn tar_member(parent: BorrowedFd<'_>, name: &Path, out: impl Write) -> Result<Layer, DiffError> {
    let mut writer = Writer::new(out);
    let read = |source: Errno| DiffError::Read { path: name.into(), source: source.into() };
    let stat = place::look(parent, name).map_err(read)?;
    let stat = stat.ok_or_else(|| read(Errno::NOENT))?;
    writer.member(parent, name, name, &stat)?;
    writer.finish()
}

struct Writer<'a, W> {
    out: Digesting<W>,
    /// Reads the regular files of a directory that nobody changes.
    ahead: Option<Ahead<'a>>,
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

impl<W: Write> Writer<'_, W> {
    fn new(out: W) -> Self {
        let out = Digesting { inner: out, hasher: Sha256::new() };
        Self { out, ahead: None, buffer: vec![0; 128 << 10], linked: HashMap::new(), size: 0 }
    }

    fn finish(mut self) -> Result<Layer, DiffError> {
        self.out.write_all(&[0; 1024]).and_then(|()| self.out.flush()).map_err(DiffError::Write)?;
        Ok(Layer { diff_id: Digest::finish(self.out.hasher), size: self.size })
    }

    fn directory(&mut self, directory: BorrowedFd<'_>, path: &Path) -> Result<(), DiffError> {
        let read = |source: Errno| DiffError::Read { path: path.into(), source: source.into() };
        for (name, kind) in names(directory, path)? {
            let name = Path::new(OsStr::from_bytes(&name));
            let path = path.join(name);
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
        self.header(&Member { path, kind: b'0', stat: Some(&stat), link: &[], size, xattrs })?;
        self.size += size;
        self.out.write_all(&bytes).map_err(DiffError::Write)?;
        self.pad(size)
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

    fn member(&mut self, parent: BorrowedFd<'_>, name: &Path, path: &Path, stat: &Stat) -> Result<(), DiffError> {
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
                self.header(&member)?;
                self.size += member.size;
                self.body(file.as_fd(), path, member.size)
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

/// Digests what is written through it.
struct Digesting<W> {
    inner: W,
    hasher: Sha256,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
