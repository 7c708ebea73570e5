//! Memory that outlives the process that writes to it: a mapped file, which a pipe's content can be moved into in one step.
//!
//! A process may be killed between any two of its instructions, but not within a system call that does not wait: so
//! splice(2) moves bytes and notes how many there are now, or neither.
#![expect(unsafe_code, reason = "mmap, and a splice whose offset lies in the mapped memory, have no safe form")]

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes before the content: the words.
pub const HEAD: usize = 4096;

/// The mapped file: words first, then content.
#[derive(Debug)]
pub struct Tray {
    /// `None`: it has been closed.
    file: Option<File>,
    memory: NonNull<u8>,
    size: usize,
}

impl Tray {
    /// Opens the file, which is made where missing with every word 0, and maps it; `size` is that of the content.
    pub fn open(path: &Path, size: usize) -> io::Result<Self> {
        use std::os::unix::fs::FileExt as _;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let size = HEAD + size;
        if file.metadata()?.len() < size as u64 {
            // Written, not only made room for: a full disk must be an error here, not a signal later.
            file.write_all_at(&[0; HEAD], 0)?;
            file.set_len(size as u64)?;
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let memory =
            unsafe { libc::mmap(std::ptr::null_mut(), size, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        match NonNull::new(memory.cast::<u8>()) {
            Some(memory) if memory.as_ptr().cast() != libc::MAP_FAILED => Ok(Self { file: Some(file), memory, size }),
            Some(_) | None => Err(io::Error::last_os_error()),
        }
    }

    /// Closes the file. What is mapped stays, and nothing can be moved in any more.
    pub fn close(&mut self) {
        self.file = None;
    }

    fn open_file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }

    fn place(&self, number: usize) -> *mut u64 {
        assert!(number < HEAD / 8, "a word of the head");
        // SAFETY: within the mapping, by the line above; pages are aligned for words.
        unsafe { self.memory.as_ptr().cast::<u64>().add(number) }
    }

    fn word(&self, number: usize) -> &AtomicU64 {
        // SAFETY: aligned, within the mapping, which lives as long as `self`; only ever used as an atomic.
        unsafe { AtomicU64::from_ptr(self.place(number)) }
    }

    /// Reads a word.
    pub fn get(&self, number: usize) -> u64 {
        self.word(number).load(Ordering::SeqCst)
    }

    /// Writes a word, after all that has been written before.
    pub fn set(&self, number: usize, value: u64) {
        self.word(number).store(value, Ordering::SeqCst);
    }

    fn checked(&self, range: &Range<usize>) -> bool {
        range.start <= range.end && range.end <= self.size - HEAD
    }

    /// Returns a part of the content; nothing where there is no such part.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        if !self.checked(&range) {
            return &[];
        }
        // SAFETY: within the mapping, by the check; whoever changes the content does it through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().add(HEAD + range.start), range.len()) }
    }

    /// Copies a part of the content to another place, which it may overlap.
    pub fn copy(&mut self, from: Range<usize>, to: usize) {
        if self.checked(&from) && self.checked(&(to..to + from.len())) {
            // SAFETY: both are within the mapping, by the checks; the memory is borrowed by nobody.
            unsafe {
                let content = self.memory.as_ptr().add(HEAD);
                std::ptr::copy(content.add(from.start), content.add(to), from.len());
            }
        }
    }

    /// Moves what a pipe holds to the place of the content that word `number` tells, at most `most` bytes, and adds their
    /// number to the word: both, or nothing. Never waits for bytes; 0 is the pipe's end.
    pub fn move_in(&mut self, pipe: BorrowedFd<'_>, number: usize, most: usize) -> io::Result<usize> {
        let file = self.open_file()?;
        // The word counts from the beginning of the file: that is what the kernel needs.
        // SAFETY: both descriptors are open, and the offset is a word of the mapping, which outlives the call.
        let moved = unsafe {
            libc::splice(
                pipe.as_raw_fd(),
                std::ptr::null_mut(),
                file.as_raw_fd(),
                self.place(number).cast::<libc::loff_t>(),
                most,
                libc::SPLICE_F_NONBLOCK,
            )
        };
        usize::try_from(moved).map_err(|_| io::Error::last_os_error())
    }

    /// The same for what is no pipe: a process that is killed right after the read has not noted it.
    pub fn read_in(&mut self, from: BorrowedFd<'_>, number: usize, most: usize) -> io::Result<usize> {
        let start = usize::try_from(self.get(number)).unwrap_or(self.size);
        let most = most.min(self.size.saturating_sub(start));
        let mut block = [0; 4096];
        let length = rustix::io::read(from, &mut block[..most.min(4096)])?;
        std::os::unix::fs::FileExt::write_all_at(self.open_file()?, &block[..length], start as u64)?;
        self.set(number, (start + length) as u64);
        Ok(length)
    }
}

impl Drop for Tray {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no reference into it outlives `self`.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.size) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn what_a_pipe_held_is_there_for_the_next_one_who_opens_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tray");
        let (read, mut write) = io::pipe().unwrap();
        write.write_all(b"some bytes").unwrap();
        let mut tray = Tray::open(&path, 4096).unwrap();
        tray.set(1, HEAD as u64);
        assert_eq!(tray.move_in(read.as_fd(), 1, 4).unwrap(), 4);
        assert_eq!(tray.move_in(read.as_fd(), 1, 4096).unwrap(), 6);
        let error = tray.move_in(read.as_fd(), 1, 4096).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(tray);
        let mut tray = Tray::open(&path, 4096).unwrap();
        assert_eq!(tray.get(1), HEAD as u64 + 10);
        assert_eq!(tray.bytes(0..10), b"some bytes");
        tray.copy(5..10, 0);
        assert_eq!(tray.bytes(0..5), b"bytes");
        drop(write);
        assert_eq!(tray.move_in(read.as_fd(), 1, 4096).unwrap(), 0, "the end");
        assert_eq!(tray.bytes(4000..5000), b"", "there is no such part");
    }
}
