//! Attaching to the streams of a container.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::thread::JoinHandle;

use runtime::container::attach::{self, StreamsEnd, Typist};
use runtime::container::request::ContainerRequest;
use runtime::container::{list, restart, start, stop};
use runtime::state::container::{Status, StatusRecord};

use crate::scratch::Scratch;

struct Person {
    typist: Typist,
    output: JoinHandle<(StreamsEnd, Vec<u8>)>,
}

impl Person {
    fn end(self) -> String {
        self.ends_with().0
    }

    /// What it wrote, and the program's exit code as it was told.
    fn ends_with(self) -> (String, Option<i32>) {
        let (end, output) = self.output.join().unwrap();
        let StreamsEnd::Told { exit_code } = end else { panic!("let go of") };
        (String::from_utf8(output).unwrap(), exit_code)
    }
}

/// Attaches, and starts the container with `start` where it does not run.
fn people(scratch: &Scratch, id: &str, replay: bool, count: usize, start: impl FnOnce()) -> Vec<Person> {
    let waiting: Vec<_> = (0..count).map(|_| attach::attach(&scratch.rt, id, replay).unwrap()).collect();
    start();
    let (stop, _going_on) = std::io::pipe().unwrap();
    let join = |one: attach::Attaching| {
        let attached = one.join(stop.as_fd()).unwrap().unwrap();
        let typist = attached.typist().unwrap();
        let output = std::thread::spawn(move || {
            let (mut read, write) = std::io::pipe().unwrap();
            let reading = std::thread::spawn(move || {
                let mut bytes = Vec::new();
                read.read_to_end(&mut bytes).unwrap();
                bytes
            });
            let write = File::from(std::os::fd::OwnedFd::from(write));
            let end = attached.copy_out(&mut write.try_clone().unwrap(), &mut { write }).unwrap();
            (end, reading.join().unwrap())
        });
        Person { typist, output }
    };
    waiting.into_iter().map(join).collect()
}

pub fn nothing_is_missed_by_those_who_wait_for_the_start(scratch: &Scratch) {
    let id = scratch.create_with(ContainerRequest {
        stdin_open: true,
        stdin_once: true,
        ..scratch.shell("awaited", "printf begun; cat; seq 1 100000 | tail -1; exit 4")
    });
    let mut two = people(scratch, &id, false, 2, || start::start(&scratch.rt, &id).unwrap());
    let long = "x".repeat(300_000);
    two[0].typist.type_in(long.as_bytes()).unwrap();
    two[0].typist.close().unwrap();
    for person in two {
        assert_eq!(person.end(), format!("begun{long}100000\n"));
    }
    assert!(matches!(scratch.wait(&id), Status::Exited { exit_code: 4, .. }));
    assert!(std::fs::read_dir(scratch.rt.layout.bundle(&id).attach()).unwrap().next().is_none());
    // Nobody comes: then nothing is left either.
    drop(attach::attach(&scratch.rt, &id, false).unwrap());
    assert!(std::fs::read_dir(scratch.rt.layout.bundle(&id).attach()).unwrap().next().is_none());
}

pub fn what_was_written_before_is_replayed_once(scratch: &Scratch) {
    let id = scratch.create_with(ContainerRequest {
        stdin_open: true,
        ..scratch.shell("replayed", "echo one; printf two; read line; echo $line; read line; echo $line")
    });
    start::start(&scratch.rt, &id).unwrap();
    scratch.until_line(&id, "one");
    let mut person = people(scratch, &id, true, 1, || {}).pop().unwrap();
    person.typist.type_in(b"three\n").unwrap();
    scratch.until_line(&id, "twothree");
    person.typist.let_go();
    drop(person.output.join().unwrap());
    let mut person = people(scratch, &id, true, 1, || {}).pop().unwrap();
    // Its input stays open when one lets go of it.
    person.typist.close().unwrap();
    person.typist.type_in(b"four\n").unwrap();
    assert_eq!(person.end(), "one\ntwothree\nfour\n");
}

pub fn a_terminal_has_the_window_s_size_and_input(scratch: &Scratch) {
    let id = scratch.create_with(ContainerRequest {
        tty: true,
        stdin_open: true,
        ..scratch.shell("window", "stty size; tty; read line; stty size; echo got $line; sleep 1000")
    });
    let waiting = attach::attach(&scratch.rt, &id, false).unwrap();
    let starting = {
        let (rt, id) = (scratch.rt.clone(), id.clone());
        std::thread::spawn(move || start::start(&rt, &id).unwrap())
    };
    let (stop, _going_on) = std::io::pipe().unwrap();
    let attached = waiting.join(stop.as_fd()).unwrap().unwrap();
    let mut typist = attached.typist().unwrap();
    typist.set_size(33, 99).unwrap();
    starting.join().unwrap();
    scratch.until_line(&id, "33 99\r");
    scratch.until_lines(&id, 2);
    typist.set_size(44, 111).unwrap();
    typist.type_in(b"word\n").unwrap();
    scratch.until_line(&id, "got word\r");
    let lines = scratch.lines(&id);
    assert!(lines.contains(&"44 111\r".to_owned()), "{lines:?}");
    restart::restart(&scratch.rt, &id, stop::StopRequest { grace_ms: Some(0), ..Default::default() }).unwrap();
    scratch.until_lines(&id, lines.len() + 2);
    stop::stop(&scratch.rt, &id, stop::StopRequest::default()).unwrap();
}

pub fn a_container_removes_itself(scratch: &Scratch) {
    let id = scratch.create_with(ContainerRequest { auto_remove: true, ..scratch.shell("gone", "echo bye; exit 3") });
    let person = people(scratch, &id, false, 1, || start::start(&scratch.rt, &id).unwrap()).pop().unwrap();
    assert_eq!(person.ends_with(), ("bye\n".to_owned(), Some(3)));
    scratch.until_gone(&id);
    assert!(!scratch.group_exists(&id));
}

pub fn a_container_that_removes_itself_goes_with_a_failed_start_and_after_a_power_cut(scratch: &Scratch) {
    let id = scratch.create_with(ContainerRequest {
        auto_remove: true,
        command: Some(vec!["/no/such/program".into()]),
        ..scratch.request("unstarted")
    });
    start::start(&scratch.rt, &id).unwrap_err();
    scratch.until_gone(&id);
    let id = scratch.create_with(ContainerRequest { auto_remove: true, ..scratch.shell("cut", "sleep 1000") });
    start::start(&scratch.rt, &id).unwrap();
    let status = scratch.status(&id);
    let Status::Running { init, .. } = status.status else { panic!("{status:?}") };
    scratch.power_cut(status.keeper.unwrap(), init);
    // As another boot has left it.
    let path = scratch.rt.layout.bundle(&id).status();
    let status = StatusRecord { boot: "an earlier one".into(), ..status };
    std::fs::write(path, serde_json::to_vec(&status).unwrap()).unwrap();
    assert!(list::list(&scratch.rt).unwrap().iter().all(|container| container.record.id != id));
    assert!(list::find(&scratch.rt, &id).is_err());
    assert!(!scratch.group_exists(&id));
}
