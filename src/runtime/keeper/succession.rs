//! Who keeps a container after whom: the guard and its keeper, one of which replaces the other, and what they hand on.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::process::Pid;

use crate::Runtime;
use crate::keeper::adopt;
use crate::keeper::guard::{self, Shared};
use crate::keeper::launch::{Ending, Held};
use crate::keeper::machine::Event;
use crate::keeper::ready::{Ready, StartFailure};
use crate::keeper::run::{self, Keeper, Served};
use crate::keeper::stdio::Streams;
use crate::keeper::store::Note;
use crate::sandbox::launch::Born;
use crate::state::container::ContainerRecord;
use crate::state::process::ProcessId;
use crate::state::record;
use crate::sys::process::clone;
use crate::sys::termination::Termination;

/// How a keeper comes to its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// It starts it.
    Start,
    /// It takes it over from one that was killed.
    Adopt,
}

/// What the command that starts a keeper waits for.
#[derive(Debug)]
pub struct Orders {
    /// The lock of its act, let go once the beginning has succeeded or failed.
    pub act: OwnedFd,
    /// Is told how it went.
    pub ready: OwnedFd,
}

impl Orders {
    fn tell(self, message: &Ready) {
        drop(self.act);
        // Whoever started us may be gone by now.
        if let Ok(text) = serde_json::to_vec(message) {
            let _ = File::from(self.ready).write_all(&text);
        }
    }
}

/// Keeps a container from its start to its end: the calling process becomes the guard, its child the keeper. Returns the
/// exit code. `remove` is called where the container has to be removed in the end.
pub fn keep(rt: &Runtime, id: &str, beginning: Beginning, orders: Orders, remove: &dyn Fn()) -> i32 {
    let shared = match Shared::open(&rt.layout.bundle(id)) {
        Ok(shared) => shared,
        Err(error) => {
            tracing::error!(%error, "cannot keep the container");
            orders.tell(&Ready::Failed(StartFailure::of("cannot start the container", &error)));
            return 125;
        }
    };
    // A machine that goes down asks every process to end: the keeper will, and the guard with it.
    drop(Termination::listen());
    guard::adopt_orphans();
    let work = Work { rt, id, shared: &shared, remove };
    match fork(&shared, || work.keeper(beginning, Some(orders))) {
        Ok(keeper) => work.guard(keeper),
        Err(error) => {
            tracing::error!(%error, "cannot keep the container");
            125
        }
    }
}

/// Starts a child of whom only the number is wanted: its descriptor is closed at once, as every later child would have it.
fn fork(shared: &Shared, child: impl FnOnce() -> i32) -> io::Result<i32> {
    shared.be_parent();
    clone(0, None, child).map(|(pid, _)| pid)
}

/// What guard and keeper work on.
#[derive(Clone, Copy)]
struct Work<'a> {
    rt: &'a Runtime,
    id: &'a str,
    shared: &'a Shared,
    remove: &'a dyn Fn(),
}

impl Work<'_> {
    /// Guards a keeper until the end; returns the exit code.
    fn guard(self, keeper: i32) -> i32 {
        let replace = || fork(self.shared, || self.keeper(Beginning::Adopt, None));
        match guard::watch(self.shared, keeper, &replace) {
            guard::REMOVE => {
                self.shared.unlock();
                (self.remove)();
                0
            }
            code => code,
        }
    }

    /// Is the keeper; returns the exit code.
    fn keeper(self, beginning: Beginning, orders: Option<Orders>) -> i32 {
        let _ = rustix::thread::set_name(c"motet-keeper");
        let begun = match beginning {
            Beginning::Start => run::begin(self.rt, self.id, self.shared),
            Beginning::Adopt => adopt::begin(self.rt, self.id, self.shared),
        };
        let tell = |message| {
            if let Some(orders) = orders {
                orders.tell(&message)
            }
        };
        let mut keeper = match begun {
            Ok(keeper) => keeper,
            Err(failure) => {
                tracing::error!("{failure}");
                let code = failure.exit_code;
                tell(Ready::Failed(failure));
                return if beginning == Beginning::Start && self.removes_itself() { guard::REMOVE } else { code };
            }
        };
        tell(Ready::Running);
        self.serve(&mut keeper)
    }

    fn removes_itself(self) -> bool {
        let record = record::read::<ContainerRecord>(&self.rt.layout.bundle(self.id).record());
        record.is_ok_and(|record| record.is_some_and(|record| record.auto_remove))
    }

    /// Serves the container to its end, or, where the guard has been killed, becomes that; returns the exit code.
    fn serve(self, keeper: &mut Keeper<'_>) -> i32 {
        loop {
            match keeper.serve() {
                Served::Ended => return if keeper.record.auto_remove { guard::REMOVE } else { 0 },
                Served::Unguarded => {
                    keeper.prepare_to_guard();
                    let go_on = || {
                        keeper.go_on_below();
                        self.serve(keeper)
                    };
                    match fork(self.shared, go_on) {
                        Ok(child) => {
                            keeper.let_go();
                            return self.guard(child);
                        }
                        Err(error) => {
                            tracing::error!(%error, "cannot put another guard in the place of the one that was killed");
                            keeper.needs_guard = false;
                            keeper.sees_ends_itself();
                        }
                    }
                }
            }
        }
    }
}

impl Keeper<'_> {
    /// Keeps a run that is about to begin where the next keeper finds it.
    pub(super) fn keep_run(&self, born: &Born, streams: &Streams, oom_kills: u64) -> io::Result<()> {
        let inbox = self.log.inbox();
        let init = ProcessId::of(born.pid).unwrap_or(ProcessId { pid: born.pid, start_time: 0 });
        let reaper = rustix::process::getppid().map(|guard| Pid::as_raw(Some(guard)));
        let run = (init, born.pidfd.as_fd());
        self.put(run, streams, oom_kills, reaper)?;
        streams.note_pipes(inbox);
        Ok(())
    }

    fn put(
        &self,
        (init, pidfd): (ProcessId, BorrowedFd<'_>),
        streams: &Streams,
        oom_kills: u64,
        reaper: Option<i32>,
    ) -> io::Result<()> {
        let inbox = self.log.inbox();
        let generation = inbox.generation() + 1;
        let outputs: Vec<u8> = streams.open_outputs().into_iter().map(|stream| stream as u8).collect();
        let mut descriptors = vec![pidfd];
        descriptors.extend(streams.all());
        let has_input = descriptors.len() > outputs.len() + 1;
        let note = Note { generation, init, reaper, oom_kills, outputs, has_input };
        self.shared.store.put(&note, &descriptors)?;
        inbox.set_generation(generation);
        drop(self.shared.store.find(generation));
        Ok(())
    }

    /// An input that has been closed is kept no longer.
    pub(super) fn let_go_of_input(&mut self) {
        if self.run.as_mut().is_some_and(|run| run.streams.take_closed()) {
            self.put_again();
        }
    }

    /// Keeps the present run as it is now.
    fn put_again(&self) {
        let Some(run) = &self.run else { return };
        // As the child of our guard it is, or will be.
        let guard = rustix::process::getppid().map(|guard| Pid::as_raw(Some(guard)));
        let reaper = guard.filter(|_| run.ending != Ending::Seen);
        if let Err(error) = self.put((run.init, run.pidfd.as_fd()), &run.streams, run.oom_kills, reaper) {
            tracing::warn!(%error, "cannot keep the run where the next keeper finds it");
        }
    }

    /// Makes ready to be the guard of a child that goes on from here with all that we have.
    fn prepare_to_guard(&mut self) {
        if let Some(probe) = self.probe.take() {
            // It is our child, and would not be the other's.
            probe.abort();
            self.on(Event::ProbeLost);
        }
        guard::adopt_orphans();
    }

    /// Goes on as the child of who kept the container before.
    fn go_on_below(&mut self) {
        self.me = ProcessId::of(std::process::id().cast_signed());
        self.guard = self.shared.open_guard();
        self.termination = Termination::listen().ok();
        if let Some(run) = &mut self.run {
            run.ending = if run.ending == Ending::Child { Ending::Told } else { Ending::Seen };
        }
        self.put_again();
        let status = self.status();
        self.write_status(status);
        tracing::warn!("the guard was killed: put another in its place");
    }

    /// Nobody is left who would tell the end of a process that is not our child.
    fn sees_ends_itself(&mut self) {
        if let Some(run) = self.run.as_mut().filter(|run| run.ending == Ending::Told) {
            run.ending = Ending::Seen;
        }
    }

    /// Lets go of all that a guard does not hold.
    fn let_go(&mut self) {
        self.clients.clear();
        self.waiting.clear();
        self.joints.clear();
        self.executing.clear();
        self.restarting.clear();
        (self.place, self.run, self.held, self.termination) = (None, None, Held::default(), None);
        self.guard = None;
        self.log.let_go();
    }
}
