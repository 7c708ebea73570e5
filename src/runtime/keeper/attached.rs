//! Those who are attached to the container's streams, as its keeper serves them.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::keeper::control::{self, Client};
use crate::keeper::joint::{self, Joined, Joint};
use crate::keeper::log::Stream;
use crate::keeper::machine::Phase;
use crate::keeper::run::Keeper;

/// One who waited for the start tells the size of the window at once; longer is not waited for it.
const WINDOW_PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

impl Keeper<'_> {
    fn joined(&self) -> Joined {
        Joined { tty: self.record.process.tty, log: self.log.position() }
    }

    /// Joins one who asked for it.
    pub(super) fn attach(&mut self, client: Client, replay: bool) {
        let (stream, received) = client.into_parts();
        match Joint::new(stream, received, &self.joined()) {
            Ok(mut joint) => {
                if replay {
                    for stream in [Stream::Stdout, Stream::Stderr] {
                        joint.send(stream, self.log.waiting(stream));
                    }
                }
                joint.flush();
                self.joints.push(joint);
                self.tell("attach", &[]);
                // What came right behind the request.
                self.on_joint(self.joints.len() - 1);
            }
            Err(error) => tracing::warn!(%error, "cannot attach"),
        }
    }

    /// Joins those who have been waiting for the start, each at a socket in the bundle. Before the program runs.
    pub(super) fn attach_waiting(&mut self) {
        let folder = self.bundle.attach();
        let Ok(entries) = std::fs::read_dir(&folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            // One who has been killed meanwhile does not listen any more.
            let stream = control::short_path(&path).and_then(|(_folder, path)| UnixStream::connect(path));
            let _ = std::fs::remove_file(&path);
            if let Ok(mut joint) = stream.and_then(|stream| Joint::new(stream, Vec::new(), &self.joined())) {
                joint.flush();
                self.joints.push(joint);
                self.tell("attach", &[]);
            }
        }
        if self.record.process.tty {
            for index in (0..self.joints.len()).rev() {
                let _ = rustix::event::poll(
                    &mut [PollFd::from_borrowed_fd(self.joints[index].as_fd(), PollFlags::IN)],
                    Some(&WINDOW_PATIENCE),
                );
                self.on_joint(index);
            }
        }
    }

    /// Takes what one who is attached has sent, and lets go of one who is gone.
    pub(super) fn on_joint(&mut self, index: usize) {
        for (kind, payload) in self.joints[index].receive() {
            match (kind, payload.as_slice()) {
                (joint::INPUT, bytes) => match &mut self.run {
                    Some(run) => run.streams.type_in(bytes),
                    None => self.early.0.extend_from_slice(bytes),
                },
                (joint::CLOSE, _) if self.record.stdin_once => match &mut self.run {
                    Some(run) => run.streams.close_input(),
                    None => self.early.1 = true,
                },
                (joint::WINDOW, &[a, b, c, d]) => {
                    let size = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
                    self.size = Some(size);
                    if let Some(run) = &self.run {
                        run.streams.set_size(size.0, size.1);
                    }
                }
                (joint::DETACH, _) => self.tell("detach", &[]),
                // Of a later version.
                _ => {}
            }
        }
        self.joints[index].flush();
        if self.joints[index].is_gone() {
            self.joints.remove(index);
        }
    }

    /// Tells all who are attached that the streams have ended, and how: a container that removes itself may be gone before
    /// they could read it.
    pub(super) fn end_joints(&mut self) {
        let exit_code = match self.machine.phase() {
            Phase::Ended { exit_code, .. } => Some(exit_code),
            Phase::Starting | Phase::Running { .. } | Phase::Waiting { .. } => None,
        };
        for joint in self.joints.drain(..) {
            joint.end(exit_code);
        }
    }
}
