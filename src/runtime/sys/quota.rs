//! Quotas by account (`prjquota`): what all files that have one number, given by us, may take of a file system together
//! (quotactl(2), ioctl_xfs_fsgetxattr(2)).
#![expect(unsafe_code, reason = "quotactl_fd and the attributes of accounts have no safe form in rustix")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// `_IOR('X', 31, struct fsxattr)`, `_IOW('X', 32, struct fsxattr)`
const GET_ATTRIBUTES: libc::Ioctl = 0x801c_581f_u32 as libc::Ioctl;
const SET_ATTRIBUTES: libc::Ioctl = 0x401c_5820_u32 as libc::Ioctl;

/// What is made in a folder with it is of the folder's account.
const INHERIT: u32 = 0x200;

/// `PRJQUOTA`
const ACCOUNT: i32 = 2;
const GET_QUOTA: i32 = 0x80_0007;
const SET_QUOTA: i32 = 0x80_0008;
const GET_STATE: i32 = 0x5805;
/// `FS_QUOTA_PDQ_ENFD`
const ENFORCED: u16 = 1 << 5;
/// `QIF_BLIMITS`
const BLOCK_LIMITS: u32 = 1;

/// `struct fsxattr` of linux/fs.h.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    account: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

/// `struct if_dqblk` of linux/quota.h.
#[repr(C)]
#[derive(Default)]
struct Block {
    /// In blocks of 1024 bytes.
    hard_limit: u64,
    soft_limit: u64,
    /// In bytes.
    space: u64,
    inodes: [u64; 3],
    times: [u64; 2],
    valid: u32,
}

/// `struct fs_quota_stat` of linux/dqblk_xfs.h, as far as it is of use, and room for the rest.
#[repr(C)]
struct State {
    version: i8,
    flags: u16,
    rest: [u64; 16],
}

/// What an account may take, and takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes; 0: without limit.
    pub limit: u64,
    /// Bytes.
    pub used: u64,
}

/// Returns whether the file system that this is of holds accounts to their limits.
pub fn is_enforced(fd: BorrowedFd<'_>) -> bool {
    let mut state = State { version: 1, flags: 0, rest: [0; 16] };
    // SAFETY: `State` is not smaller than what the kernel writes (80 bytes), and outlives the call.
    unsafe { control(fd, GET_STATE, 0, (&raw mut state).cast()) }.is_ok() && state.flags & ENFORCED != 0
}

/// Returns what an account may take and takes.
pub fn get(fd: BorrowedFd<'_>, account: u32) -> io::Result<Quota> {
    let mut block = Block::default();
    // SAFETY: the kernel writes one `struct if_dqblk`, which `Block` is.
    match unsafe { control(fd, GET_QUOTA, account, (&raw mut block).cast()) } {
        Ok(()) => Ok(Quota { limit: block.hard_limit.saturating_mul(1024), used: block.space }),
        // Nobody has asked for it yet.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Quota { limit: 0, used: 0 }),
        Err(error) => Err(error),
    }
}

/// Limits an account to so many bytes, rounded up to 1024; 0: no longer.
pub fn limit(fd: BorrowedFd<'_>, account: u32, bytes: u64) -> io::Result<()> {
    let mut block = Block { hard_limit: bytes.div_ceil(1024), valid: BLOCK_LIMITS, ..Block::default() };
    // SAFETY: the kernel reads one `struct if_dqblk`, which `Block` is.
    unsafe { control(fd, SET_QUOTA, account, (&raw mut block).cast()) }
}

/// Returns the account that a file or folder is of; 0: none.
pub fn account(fd: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(attributes(fd)?.account)
}

/// Makes an empty folder, with all that will be made in it, part of an account.
pub fn join(fd: BorrowedFd<'_>, account: u32) -> io::Result<()> {
    let mut attributes = attributes(fd)?;
    attributes.account = account;
    attributes.flags |= INHERIT;
    // SAFETY: the kernel reads one `struct fsxattr`, which `Attributes` is.
    match unsafe { libc::ioctl(fd.as_raw_fd(), SET_ATTRIBUTES, &raw const attributes) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn attributes(fd: BorrowedFd<'_>) -> io::Result<Attributes> {
    let mut attributes = Attributes::default();
    // SAFETY: the kernel writes one `struct fsxattr`, which `Attributes` is.
    match unsafe { libc::ioctl(fd.as_raw_fd(), GET_ATTRIBUTES, &raw mut attributes) } {
        0 => Ok(attributes),
        _ => Err(io::Error::last_os_error()),
    }
}

/// # Safety
/// `argument` must point to what the command reads or writes.
unsafe fn control(fd: BorrowedFd<'_>, command: i32, account: u32, argument: *mut libc::c_void) -> io::Result<()> {
    let command = (command << 8) | ACCOUNT;
    // SAFETY: as the caller says; the number is only looked up.
    let done = unsafe { libc::syscall(libc::SYS_quotactl_fd, fd.as_raw_fd(), command, account, argument) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const _: () = assert!(size_of::<Attributes>() == 28 && size_of::<Block>() == 72 && size_of::<State>() >= 80);
