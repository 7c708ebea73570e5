//! Tells when files in a folder change: one inotify(7) instance and one thread for all who ask in this process.
//!
//! A person's instances are few (128 by default), so containers and logs can't have one each.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// Which changes matter. One folder must always be asked about in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Records appear by rename; the folder itself may be moved or removed.
    Records,
    /// Files grow, too.
    Content,
}

type Callback = Arc<dyn Fn() + Send + Sync>;

struct Hub {
    inotify: OwnedFd,
    /// By watch descriptor, which is never given out twice.
    listeners: Mutex<HashMap<i32, Vec<(u64, Callback)>>>,
    next: std::sync::atomic::AtomicU64,
}

/// Ends when dropped.
#[must_use]
pub struct Subscription {
    hub: &'static Hub,
    watch: i32,
    number: u64,
}

static HUB: OnceLock<Hub> = OnceLock::new();

/// Calls `on_change`, from a thread of ours, after each change below `folder`; it must not block.
///
/// Changes that come together may be told once. Look at the files after subscribing, not before.
pub fn subscribe(
    folder: &Path,
    kind: Kind,
    on_change: impl Fn() + Send + Sync + 'static,
) -> std::io::Result<Subscription> {
    let hub = hub()?;
    let mut flags = WatchFlags::MOVED_TO
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    if kind == Kind::Content {
        flags |= WatchFlags::MODIFY | WatchFlags::CREATE;
    }
    // Held over both calls: the first event must find its listener.
    let mut listeners = lock(hub);
    let watch = inotify::add_watch(&hub.inotify, folder, flags)?;
    let number = hub.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    listeners.entry(watch).or_default().push((number, Arc::new(on_change)));
    Ok(Subscription { hub, watch, number })
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut listeners = lock(self.hub);
        if let Some(list) = listeners.get_mut(&self.watch) {
            list.retain(|(number, _)| *number != self.number);
            if list.is_empty() {
                listeners.remove(&self.watch);
                // Gone already when the folder is.
                let _ = inotify::remove_watch(&self.hub.inotify, self.watch);
            }
        }
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("watch", &self.watch).finish()
    }
}

fn lock(hub: &Hub) -> MutexGuard<'_, HashMap<i32, Vec<(u64, Callback)>>> {
    hub.listeners.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hub() -> std::io::Result<&'static Hub> {
    if let Some(hub) = HUB.get() {
        return Ok(hub);
    }
    let fresh = Hub {
        inotify: inotify::init(CreateFlags::CLOEXEC)?,
        listeners: Mutex::default(),
        next: std::sync::atomic::AtomicU64::new(0),
    };
    // Whoever comes second uses the first one's, and starts no thread.
    if HUB.set(fresh).is_ok() {
        std::thread::Builder::new().name("changes".into()).spawn(dispatch)?;
    }
    HUB.get().ok_or_else(|| std::io::Error::other("no inotify instance"))
}

fn dispatch() {
    let Some(hub) = HUB.get() else { return };
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(&hub.inotify, &mut buffer);
    loop {
        let (watch, events) = match reader.next() {
            Ok(event) => (event.wd(), event.events()),
            Err(Errno::INTR) => continue,
            Err(_) => return,
        };
        let callbacks: Vec<Callback> = {
            let mut listeners = lock(hub);
            if events.contains(ReadFlags::QUEUE_OVERFLOW) {
                listeners.values().flatten().map(|(_, callback)| Arc::clone(callback)).collect()
            } else if events.contains(ReadFlags::IGNORED) {
                listeners.remove(&watch).unwrap_or_default().into_iter().map(|(_, callback)| callback).collect()
            } else {
                listeners.get(&watch).into_iter().flatten().map(|(_, callback)| Arc::clone(callback)).collect()
            }
        };
        for callback in callbacks {
            callback();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_renamed_record_and_a_removed_folder_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let (told, changes) = mpsc::channel();
        let subscription = subscribe(&inner, Kind::Records, move || told.send(()).unwrap_or(())).unwrap();
        std::fs::write(inner.join("a.new"), "1").unwrap();
        assert!(changes.try_recv().is_err(), "a file that grows is no record yet");
        std::fs::rename(inner.join("a.new"), inner.join("a")).unwrap();
        changes.recv_timeout(std::time::Duration::from_secs(5)).unwrap();
        std::fs::remove_dir_all(&inner).unwrap();
        changes.recv_timeout(std::time::Duration::from_secs(5)).unwrap();
        drop(subscription);
    }

    #[test]
    fn a_dropped_subscription_is_told_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (told, changes) = mpsc::channel();
        let first = subscribe(folder.path(), Kind::Content, move || told.send(1).unwrap_or(())).unwrap();
        drop(first);
        let (other, others) = mpsc::channel();
        let _second = subscribe(folder.path(), Kind::Content, move || other.send(2).unwrap_or(())).unwrap();
        std::fs::write(folder.path().join("a"), "1").unwrap();
        assert_eq!(others.recv_timeout(std::time::Duration::from_secs(5)).unwrap(), 2);
        assert!(changes.try_recv().is_err());
    }
}
