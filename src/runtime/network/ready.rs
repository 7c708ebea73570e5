//! Many descriptors behind one: what a room with sockets of its own hands to the keeper's poll loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// Token of the timer; others choose theirs below.
pub const TIMER: u64 = u64::MAX;
/// Events taken at once: more wait for the next call, so that the loop's other work gets its turn.
const BATCH: usize = 64;

/// An epoll descriptor with a timer in it.
#[derive(Debug)]
pub struct Ready {
    epoll: OwnedFd,
    timer: OwnedFd,
}

impl Ready {
    /// Opens one that waits for nothing.
    pub fn open() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        Ok(Self { epoll, timer })
    }

    /// Waits for a descriptor to be readable, as long as it is.
    pub fn add_readable(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Waits for each time that a descriptor becomes readable or writable.
    pub fn add_edges(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token), EDGES)?)
    }

    /// Has a descriptor of [`Ready::add_edges`] reported once more if it is ready.
    pub fn again(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, EventData::new_u64(token), EDGES)?)
    }

    /// Returns the tokens of what is ready now.
    pub fn take(&self) -> Vec<u64> {
        let mut events: Vec<Event> = Vec::with_capacity(BATCH);
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let _ = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&zero));
        events.iter().map(|event| event.data.u64()).collect()
    }

    /// Sets the timer to fire once after `delay`; `None` stops it.
    pub fn set_timer(&self, delay: Option<Duration>) {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A delay of zero would stop it.
        let delay = delay.map(|delay| delay.max(Duration::from_millis(1)));
        let it_value = delay.map_or(zero, |delay| Timespec {
            tv_sec: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: delay.subsec_nanos().into(),
        });
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value });
    }

    /// Lets the timer be heard again.
    pub fn clear_timer(&self) {
        let _ = rustix::io::read(&self.timer, &mut [0u8; 8]);
    }
}

const EDGES: EventFlags = EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::ET);

impl AsFd for Ready {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
