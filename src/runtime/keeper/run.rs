//! The keeper: parent of one container's process 1, and the one poll loop that serves it until it ends for good.
//!
//! It writes the container's status, and tells who started it over a pipe how that went.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::Runtime;
use crate::keeper::control::Client;
use crate::keeper::executing::Executing;
use crate::keeper::guard::Shared;
use crate::keeper::joint::Joint;
use crate::keeper::launch::{self, Ending, Held, Place, Run};
use crate::keeper::log::{LogWriter, Stream};
use crate::keeper::machine::{Event, Machine};
use crate::keeper::probe::{Probe, Progress};
use crate::keeper::ready::StartFailure;
use crate::keeper::stdio::{self, Streams};
use crate::sandbox::launch::Born;
use crate::state::container::{ContainerRecord, StatusRecord};
use crate::state::layout::Bundle;
use crate::state::process::{ProcessId, boot_id};
use crate::state::record;
use crate::sys::termination::Termination;

/// A container's keeper, with all that it holds; what it is asked is in `asked`, what it does in `carry`.
pub(super) struct Keeper<'a> {
    pub(super) rt: &'a Runtime,
    pub(super) record: ContainerRecord,
    pub(super) bundle: Bundle,
    pub(super) machine: Machine,
    pub(super) clock: Instant,
    pub(super) log: LogWriter,
    pub(super) shared: &'a Shared,
    /// Our parent; `None`: it is gone already.
    pub(super) guard: Option<OwnedFd>,
    /// `false`: one that is gone can't be replaced.
    pub(super) needs_guard: bool,
    /// The machine is going down, or somebody ends the keeper.
    pub(super) termination: Option<Termination>,
    pub(super) clients: Vec<Client>,
    /// They are attached to the streams.
    pub(super) joints: Vec<Joint>,
    /// Programs that run for others.
    pub(super) executing: Vec<Executing>,
    /// Typed while no program ran; and that there is no more.
    pub(super) early: (Vec<u8>, bool),
    /// Rows and columns of the window that was told last.
    pub(super) size: Option<(u16, u16)>,
    /// They asked for a restart and wait for the next run.
    pub(super) restarting: Vec<Client>,
    /// Where the next run is to be; `None`: in namespaces of its own.
    pub(super) place: Option<Place>,
    /// They asked it to stop and wait for the end.
    pub(super) waiting: Vec<Client>,
    pub(super) held: Held,
    pub(super) run: Option<Run>,
    pub(super) probe: Option<Probe>,
    pub(super) boot: String,
    pub(super) me: Option<ProcessId>,
    pub(super) since_ms: u64,
    pub(super) at_ms: u64,
    /// Verdict that was last written down among what happened.
    pub(super) told_health: Option<&'static str>,
    /// Said once: a full disk would otherwise be told with each line.
    pub(super) log_has_failed: bool,
    pub(super) is_ended: bool,
    /// Somebody is about to remove it.
    pub(super) is_removed: bool,
}

/// Bytes that may be typed before the program runs.
const MOST_EARLY: usize = 64 * 1024;

/// Which descriptor is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Listener,
    Told,
    Guard,
    Termination,
    Client(usize),
    Init,
    Output(Stream),
    Names,
    Proxy,
    Probe,
    Joint(usize),
    Executing(usize),
    Input,
}

/// How the keeper's work went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// The container has ended.
    Ended,
    /// The guard was killed.
    Unguarded,
}

/// Takes all that lasts from run to run, and launches the first one.
pub(super) fn begin<'a>(rt: &'a Runtime, id: &str, shared: &'a Shared) -> Result<Keeper<'a>, StartFailure> {
    let bundle = rt.layout.bundle(id);
    let fail = |error: &(dyn std::error::Error + 'static)| StartFailure::of("cannot start the container", error);
    let record: ContainerRecord = record::read(&bundle.record())
        .map_err(|error| fail(&error))?
        .ok_or_else(|| fail(&std::io::Error::from(std::io::ErrorKind::NotFound)))?;
    let before = record::read(&bundle.status()).ok().flatten().unwrap_or_else(StatusRecord::created);
    let mut keeper = Keeper::new(rt, record, shared)?;
    if let Err(failure) = keeper.first_launch() {
        keeper.write_failure(before, &failure);
        keeper.clear_away();
        return Err(failure);
    }
    keeper.on(Event::Started);
    keeper.tell("start", &[]);
    Ok(keeper)
}

impl<'a> Keeper<'a> {
    /// Makes the keeper of a container that has not been launched.
    pub(super) fn new(rt: &'a Runtime, record: ContainerRecord, shared: &'a Shared) -> Result<Self, StartFailure> {
        Ok(Self {
            rt,
            machine: Machine::new(record.restart, record.healthcheck.as_ref()),
            clock: Instant::now(),
            log: launch::open_log(rt, &record)?,
            shared,
            guard: shared.open_guard(),
            needs_guard: true,
            termination: Termination::listen().ok(),
            clients: Vec::new(),
            waiting: Vec::new(),
            joints: Vec::new(),
            executing: Vec::new(),
            early: (Vec::new(), false),
            size: None,
            restarting: Vec::new(),
            place: None,
            held: Held::default(),
            run: None,
            probe: None,
            boot: boot_id(),
            me: ProcessId::of(std::process::id().cast_signed()),
            since_ms: 0,
            at_ms: 0,
            told_health: None,
            log_has_failed: false,
            is_ended: false,
            is_removed: false,
            bundle: rt.layout.bundle(&record.id),
            record,
        })
    }
}

impl Keeper<'_> {
    fn first_launch(&mut self) -> Result<(), StartFailure> {
        self.held = launch::hold(self.rt, &self.record)?;
        self.attach_waiting();
        self.launch()
    }

    pub(super) fn launch(&mut self) -> Result<(), StartFailure> {
        let mut held = std::mem::take(&mut self.held);
        let keep = |born: &Born, streams: &Streams, kills| self.keep_run(born, streams, kills);
        let run = launch::launch(self.rt, &self.record, &mut held, self.size, &keep);
        self.held = held;
        self.begin_run(run?);
        Ok(())
    }

    /// Takes over a program that runs.
    pub(super) fn begin_run(&mut self, mut run: Run) {
        let (typed, is_closed) = std::mem::take(&mut self.early);
        run.streams.type_in(&typed);
        if is_closed {
            run.streams.close_input();
        }
        self.run = Some(run);
        self.since_ms = now_ms();
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    pub(super) fn serve(&mut self) -> Served {
        while !self.is_ended {
            // It may have been killed before we could look at it.
            if self.guard.is_none() && self.needs_guard {
                return Served::Unguarded;
            }
            self.let_go_of_input();
            for source in self.wait() {
                self.on_ready(source);
            }
            if self.machine.deadline().is_some_and(|deadline| deadline <= self.now()) {
                self.on(Event::Due);
            }
        }
        self.clear_away();
        Served::Ended
    }

    /// Waits for something to do, and returns what.
    fn wait(&self) -> Vec<Source> {
        let mut sources = Vec::with_capacity(8);
        let mut fds = Vec::with_capacity(8);
        let mut add = |source, fd, events| {
            sources.push(source);
            fds.push(PollFd::from_borrowed_fd(fd, events));
        };
        add(Source::Listener, self.shared.listener.as_fd(), PollFlags::IN);
        add(Source::Told, self.shared.told(), PollFlags::IN);
        if let Some(guard) = &self.guard {
            add(Source::Guard, guard.as_fd(), PollFlags::IN);
        }
        if let Some(termination) = &self.termination {
            add(Source::Termination, termination.as_fd(), PollFlags::IN);
        }
        for (index, client) in self.clients.iter().enumerate() {
            add(Source::Client(index), client.as_fd(), PollFlags::IN);
        }
        let mut takes_input = self.early.0.len() < MOST_EARLY;
        if let Some(run) = &self.run {
            takes_input = run.streams.takes_input();
            if let Some(fd) = run.streams.input() {
                add(Source::Input, fd, PollFlags::OUT);
            }
            if run.ending != Ending::Told {
                add(Source::Init, run.pidfd.as_fd(), PollFlags::IN);
            }
            // One who reads too slowly holds up the program, as a terminal does.
            if self.joints.iter().all(Joint::has_room) {
                // The last one first, since the order is turned round below: of two that wait, stdout was mostly written first.
                for (stream, fd) in run.streams.fds().rev() {
                    add(Source::Output(stream), fd, PollFlags::IN);
                }
            }
            for (fd, events) in run.names.iter().flat_map(|names| names.poll_fds()) {
                add(Source::Names, fd, events);
            }
        }
        for (fd, events) in self.held.proxy.iter().flat_map(|proxy| proxy.poll_fds()) {
            add(Source::Proxy, fd, events);
        }
        for fd in self.probe.iter().flat_map(Probe::fds) {
            add(Source::Probe, fd, PollFlags::IN);
        }
        for (index, joint) in self.joints.iter().enumerate() {
            let reading = if takes_input { PollFlags::IN } else { PollFlags::empty() };
            let writing = if joint.is_behind() { PollFlags::OUT } else { PollFlags::empty() };
            add(Source::Joint(index), joint.as_fd(), reading | writing);
        }
        for (index, executing) in self.executing.iter().enumerate() {
            add(Source::Executing(index), executing.as_fd(), PollFlags::IN);
        }
        let timeout = self.machine.deadline().map(|deadline| timespec(deadline.saturating_sub(self.now())));
        if rustix::event::poll(&mut fds, timeout.as_ref()).is_err() {
            return Vec::new();
        }
        let mut ready: Vec<Source> = sources
            .into_iter()
            .zip(&fds)
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|(source, _)| source)
            .collect();
        // From the last to the first: what is let go must not move those that are still to come.
        ready.reverse();
        ready.dedup();
        ready
    }

    fn on_ready(&mut self, source: Source) {
        match source {
            Source::Listener => self.clients.extend(Client::accept(&self.shared.listener)),
            Source::Told => self.on_told(),
            Source::Guard => self.guard = None,
            Source::Termination => {
                if self.termination.as_ref().is_some_and(Termination::arrived) {
                    self.stop(None, None);
                }
            }
            Source::Client(index) => self.on_client(index),
            Source::Init => self.on_exit(),
            Source::Output(stream) => {
                if let Some(run) = &mut self.run {
                    let result = run.streams.pump(stream, &mut self.log, &mut self.joints).map(|_| ());
                    self.check_log(result);
                }
            }
            Source::Joint(index) => self.on_joint(index),
            Source::Executing(index) => self.on_executing(index),
            Source::Input => {
                if let Some(run) = &mut self.run {
                    run.streams.pump_input();
                }
            }
            Source::Names => {
                if let Some(names) = self.run.as_mut().and_then(|run| run.names.as_mut()) {
                    names.on_ready();
                }
            }
            Source::Proxy => {
                if let Some(proxy) = &mut self.held.proxy {
                    proxy.on_ready();
                }
            }
            Source::Probe => {
                if let Some(Progress::Ended(outcome)) = self.probe.as_mut().map(Probe::on_ready) {
                    self.probe = None;
                    self.on(Event::Probed(outcome));
                }
            }
        }
    }

    pub(super) fn check_log(&mut self, result: std::io::Result<()>) {
        if let Err(error) = result
            && !std::mem::replace(&mut self.log_has_failed, true)
        {
            tracing::error!(%error, "cannot write the container's log: lines are lost");
        }
    }
}

pub(super) fn now_ms() -> u64 {
    millis(stdio::now())
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Rounded up, so that what is waited for has come when poll(2) returns; a day is as good as for ever.
fn timespec(duration: Duration) -> Timespec {
    let duration = duration.min(Duration::from_secs(86_400)) + Duration::from_micros(1);
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(86_400),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
