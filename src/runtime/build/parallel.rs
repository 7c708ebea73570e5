//! The same small act on many things, on as many threads as there are processors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many things a thread takes at once, at least.
const SHARE: usize = 32;
/// How many shares a thread has of many: files of one folder mostly come to one thread, since the kernel lets one at a time
/// into a folder, and who is done early still finds something to do.
const SHARES: usize = 8;
/// More threads than this wait for the disk and each other.
const MOST_THREADS: usize = 8;

/// Does `act` to each thing and returns the results in order, or the error of the first that failed.
pub(super) fn map<T: Sync, R: Send, E: Send>(
    things: &[T],
    act: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let threads = threads.min(things.len().div_ceil(SHARE));
    if threads < 2 {
        return things.iter().map(act).collect();
    }
    let size = things.len().div_ceil(threads * SHARES).max(SHARE);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let share = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = things.chunks(size).nth(share) else { return done };
            done.push((share, part.iter().map(&act).collect::<Result<Vec<R>, E>>()));
        }
    };
    let mut shares: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        let others =
            workers.into_iter().flat_map(|it| it.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        own.into_iter().chain(others).collect()
    });
    shares.sort_by_key(|(share, _)| *share);
    let mut all = Vec::with_capacity(things.len());
    for (_, results) in shares {
        all.extend(results?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_the_first_failure_is_told() {
        let things: Vec<usize> = (0..1000).collect();
        assert_eq!(map(&things, |it| Ok::<_, ()>(it * 2)), Ok((0..1000).map(|it| it * 2).collect()));
        assert_eq!(map(&things, |it| if it % 400 == 399 { Err(*it) } else { Ok(()) }), Err(399));
    }
}
