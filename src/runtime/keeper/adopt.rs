//! Takes over a container whose keeper was killed: what it was doing is on disk, what it held is in the store, and what is
//! not there any more is made again.

use std::error::Error;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::Runtime;
use crate::keeper::guard::Shared;
use crate::keeper::launch::{self, Ending, Run};
use crate::keeper::log::Stream;
use crate::keeper::machine::{Machine, Phase};
use crate::keeper::ready::StartFailure;
use crate::keeper::run::{Keeper, now_ms};
use crate::keeper::stdio::Streams;
use crate::keeper::store::Note;
use crate::state::container::{ContainerRecord, Status, StatusRecord};
use crate::state::process::ProcessId;
use crate::state::record;

/// Exit code of a program of which nobody knows how it ended.
const UNKNOWN: i32 = 255;
/// How long one that was being started may take to die.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Takes the container over from a keeper that is gone.
pub(super) fn begin<'a>(rt: &'a Runtime, id: &str, shared: &'a Shared) -> Result<Keeper<'a>, StartFailure> {
    let fail = |error: &(dyn Error + 'static)| StartFailure::of("cannot take the container over", error);
    let bundle = rt.layout.bundle(id);
    let record: ContainerRecord = record::read(&bundle.record())
        .map_err(|error| fail(&error))?
        .ok_or_else(|| fail(&io::Error::from(io::ErrorKind::NotFound)))?;
    let status: StatusRecord =
        record::read(&bundle.status()).map_err(|error| fail(&error))?.unwrap_or_else(StatusRecord::created);
    let mut keeper = Keeper::new(rt, record, shared)?;
    let found = shared.store.find(keeper.log.inbox().generation());
    let (run, is_interrupted) = match (found, running(&status.status)) {
        (Some((note, descriptors)), Some(init)) if note.init == init => {
            (run_of_note(&keeper, &note, descriptors), false)
        }
        // It was being started when the keeper was killed: nobody can tell how far it has come.
        (Some((note, descriptors)), _) if note.init.is_running() => {
            end(&keeper.record, descriptors.into_iter().next());
            (None, true)
        }
        (_, Some(init)) => (run_of_process(&keeper, init), false),
        (_, None) => (None, false),
    };
    keeper.take_over(run, &status, is_interrupted)?;
    Ok(keeper)
}

/// Returns process 1 of a container that ran.
fn running(status: &Status) -> Option<ProcessId> {
    match status {
        Status::Running { init, .. } | Status::Paused { init, .. } => Some(*init),
        Status::Created | Status::Restarting { .. } | Status::Exited { .. } | Status::Dead { .. } => None,
    }
}

/// Kills what was being started.
fn end(record: &ContainerRecord, init: Option<OwnedFd>) {
    if let Some(init) = init {
        let _ = rustix::process::pidfd_send_signal(&init, Signal::KILL);
        let _ = rustix::event::poll(&mut [PollFd::from_borrowed_fd(init.as_fd(), PollFlags::IN)], Some(&PATIENCE));
    }
    let _ = launch::group_of(record).kill_all();
}

fn run_of_note(keeper: &Keeper<'_>, note: &Note, descriptors: Vec<OwnedFd>) -> Option<Run> {
    let record = &keeper.record;
    let mut descriptors = descriptors.into_iter();
    let pidfd = descriptors.next()?;
    let stream = |number: &u8| if *number == 0 { Stream::Stdout } else { Stream::Stderr };
    let outputs: Vec<(Stream, File)> =
        note.outputs.iter().map(stream).zip(descriptors.by_ref().map(File::from)).collect();
    let input = descriptors.next().filter(|_| note.has_input).map(File::from);
    let is_ours = note.reaper.is_some() && note.reaper == rustix::process::getppid().map(|pid| Pid::as_raw(Some(pid)));
    // One that the killed keeper has waited for is nobody's to tell any more.
    let is_there = ProcessId::of(note.init.pid) == Some(note.init);
    Some(Run {
        init: note.init,
        pidfd,
        ending: if is_ours && is_there { Ending::Told } else { Ending::Seen },
        streams: Streams::of(outputs, input, record.process.tty),
        names: None,
        target: launch::target(keeper.rt, record, note.init).ok()?,
        oom_kills: note.oom_kills,
    })
}

/// The guard is gone, too, with all that it held: the program's outputs are found among what the container's processes
/// have open. Its input ended with the last who held it.
fn run_of_process(keeper: &Keeper<'_>, init: ProcessId) -> Option<Run> {
    let record = &keeper.record;
    let pidfd = rustix::process::pidfd_open(Pid::from_raw(init.pid)?, PidfdFlags::empty()).ok()?;
    // After it is held by descriptor: the number can't be another's any more.
    if !init.is_alive() {
        return None;
    }
    let group = launch::group_of(record);
    let mut pids = group.processes();
    pids.push(init.pid);
    let mut outputs = Vec::new();
    for stream in [Stream::Stdout, Stream::Stderr] {
        let pipe = keeper.log.inbox().pipe(stream);
        outputs.extend(pids.iter().find_map(|pid| open_pipe(*pid, pipe)).map(|file| (stream, file)));
    }
    Some(Run {
        init,
        pidfd,
        ending: Ending::Seen,
        streams: Streams::of(outputs, None, false),
        names: None,
        target: launch::target(keeper.rt, record, init).ok()?,
        oom_kills: group.oom_kills(),
    })
}

/// Opens the reading end of a pipe that a process has open.
fn open_pipe(pid: i32, inode: u64) -> Option<File> {
    let name = format!("pipe:[{inode}]");
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let path = entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| std::fs::read_link(path).is_ok_and(|target| target.to_str() == Some(&name)))?;
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()
}

impl Keeper<'_> {
    /// Goes on where the status says that the last keeper was.
    fn take_over(&mut self, run: Option<Run>, status: &StatusRecord, is_interrupted: bool) -> Result<(), StartFailure> {
        let now = self.now();
        let wall = now_ms();
        let ago = |at_ms: u64| now.saturating_sub(Duration::from_millis(wall.saturating_sub(at_ms)));
        let phase = match &status.status {
            Status::Running { since_ms, .. } | Status::Paused { since_ms, .. } if !is_interrupted => {
                self.since_ms = *since_ms;
                let paused = matches!(status.status, Status::Paused { .. });
                Phase::Running { since: ago(*since_ms), stopping: None, paused }
            }
            Status::Running { since_ms, .. } | Status::Paused { since_ms, .. } => {
                self.since_ms = *since_ms;
                Phase::Waiting { until: now, exit_code: UNKNOWN }
            }
            Status::Restarting { exit_code, at_ms, next_ms } => {
                self.at_ms = *at_ms;
                let until = now + Duration::from_millis(next_ms.saturating_sub(wall));
                Phase::Waiting { until, exit_code: *exit_code }
            }
            Status::Created | Status::Exited { .. } | Status::Dead { .. } => {
                // It had ended, or its first start has: there is only to clear away.
                self.held.group = Some(launch::group_of(&self.record));
                self.is_ended = true;
                return Ok(());
            }
        };
        let check = self.record.healthcheck.as_ref();
        self.machine = Machine::adopt(self.record.restart, check, status, phase, now);
        self.told_health = self.health_word();
        let (held, names) = launch::take_over(self.rt, &self.record, run.as_ref().map(|run| run.init), status)?;
        self.held = held;
        let is_lost = run.is_none() && matches!(phase, Phase::Running { .. });
        self.run = run.map(|run| Run { names, ..run });
        if is_lost {
            self.at_ms = wall;
            self.ended(UNKNOWN, false);
        } else {
            let status = self.status();
            self.write_status(status);
            tracing::info!("took over the container");
        }
        Ok(())
    }
}
