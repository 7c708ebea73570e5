//! The heap of a process that is about to need much of it.
#![expect(unsafe_code, reason = "mallopt, sbrk and madvise have no safe form")]

/// A heap larger than this is left to grow as it does.
const MOST: usize = 256 << 20;
/// Size of the big pages of the machines that have them.
const BIG_PAGE: usize = 2 << 20;

/// Makes room for `bytes` of small values, in big pages where the kernel has them. Without this a tree of some hundred
/// thousand values spends a fifth of its time on the faults of its pages. Memory that is then not used is not taken.
pub fn expect(bytes: usize) {
    let room = bytes.min(MOST).next_multiple_of(BIG_PAGE);
    let Ok(pad) = libc::c_int::try_from(room) else { return };
    // SAFETY: these set numbers of glibc's allocator, and any number will do: by how much the heap grows at a time, and
    // from which free rest on it shrinks.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, pad);
        libc::mallopt(libc::M_TOP_PAD, pad);
    }
    let before = end();
    // The heap grows once its free rest is too small for something that is no mapping of its own.
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    while end() == before && pieces.len() < 8 {
        pieces.push(Vec::with_capacity(64 << 10));
    }
    let (start, length) = (before.next_multiple_of(BIG_PAGE), end().saturating_sub(before));
    if length < room {
        return;
    }
    // SAFETY: advice about the pages between the old end of the heap and the new one changes nothing in them; where the
    // kernel has no big pages it refuses, which is no loss.
    unsafe { libc::madvise(start as *mut libc::c_void, length.saturating_sub(start - before), libc::MADV_HUGEPAGE) };
}

/// Returns the address where the heap ends.
fn end() -> usize {
    // SAFETY: sbrk(0) only tells where the heap ends.
    unsafe { libc::sbrk(0) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_grows_once_for_all_that_is_expected() {
        expect(16 << 20);
        let before = end();
        let values: Vec<Box<[u8; 64]>> = (0..100_000).map(|_| Box::new([1; 64])).collect();
        assert_eq!(values.len(), 100_000);
        // A test runs beside others, each of its threads with a heap of its own: of this one that is all to be said.
        assert!(end() >= before);
    }
}
