//! Runs a program in a container, with pipes as they are or on a terminal of the container's own.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;

use orchestrator::engine::error::EngineError;
use orchestrator::engine::exec::{ExecIo, ExecSpec};
use runtime::Runtime;
use runtime::container::exec::{self, ExecError, ExecRequest, ExecStdio, Execution};
use runtime::sys::terminal;
use rustix::event::{PollFd, PollFlags};

use crate::embedded::{engine, errors};

/// Runs a program and returns its exit code; one that can't be run is told on its standard error, as a shell does.
pub(crate) async fn exec(rt: &Runtime, name: String, spec: &ExecSpec, io: ExecIo) -> Result<i32, EngineError> {
    let request = ExecRequest {
        args: spec.command.clone(),
        env: spec.environment.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        user: spec.user.clone(),
        cwd: spec.working_dir.clone(),
        privileged: spec.privileged,
        tty: spec.tty && !spec.detach,
    };
    let told = io.stderr.try_clone().map_err(|error| errors::kernel(errors::container(&name), "write to", &error))?;
    let result = if spec.detach {
        detached(rt, name.clone(), request).await?
    } else if spec.tty {
        on_terminal(rt, name.clone(), request, io).await?
    } else if exec::is_labelled(rt, &name) {
        on_pipes(rt, name.clone(), request, io).await?
    } else {
        let stdio = || {
            let stdin = io.stdin.map_or_else(null, Ok)?;
            Ok(ExecStdio { stdin, stdout: io.stdout, stderr: io.stderr })
        };
        let stdio = stdio().map_err(|error| errors::kernel(errors::container(&name), "enter", &error))?;
        let execution = begin(rt, name.clone(), request, stdio).await?;
        engine::blocking(rt, move |_| Ok(execution.wait())).await?
    };
    match result {
        Ok(code) => Ok(code),
        Err(ExecError::Program { message, exit_code }) => {
            let _ = File::from(told).write_all(format!("{message}\n").as_bytes());
            Ok(exit_code)
        }
        Err(error) => Err(errors::exec(&name, &error)),
    }
}

fn null() -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open("/dev/null")?.into())
}

async fn begin(rt: &Runtime, name: String, request: ExecRequest, stdio: ExecStdio) -> Result<Execution, EngineError> {
    engine::reading(rt, |rt| exec::exec(rt, &name, &request, stdio).map_err(|error| errors::exec(&name, &error))).await
}

async fn detached(rt: &Runtime, name: String, request: ExecRequest) -> Result<Result<i32, ExecError>, EngineError> {
    let stdio = || Ok(ExecStdio { stdin: null()?, stdout: null()?, stderr: null()? });
    let stdio = stdio().map_err(|error: io::Error| errors::kernel(errors::container(&name), "enter", &error))?;
    let execution = begin(rt, name, request, stdio).await?;
    if execution.has_failed() {
        return Ok(execution.wait());
    }
    // Only so that it does not stay as a zombie while we live; nobody waits for this thread.
    drop(thread::spawn(move || execution.wait()));
    Ok(Ok(0))
}

/// Runs it with pipes of ours, where its SELinux label keeps it from the caller's files: it would be given nothing instead.
async fn on_pipes(
    rt: &Runtime,
    name: String,
    request: ExecRequest,
    io: ExecIo,
) -> Result<Result<i32, ExecError>, EngineError> {
    let failed = |error: io::Error| errors::kernel(errors::container(&name), "enter", &error);
    let (stopped, stop) = io::pipe().map_err(failed)?;
    let (stdin, input) = io::pipe().map_err(failed)?;
    let outputs = [io.stdout, io.stderr].map(|output| {
        let (reading, writing) = io::pipe()?;
        Ok((OwnedFd::from(writing), move || copy_out(OwnedFd::from(reading).into(), output.into())))
    });
    let [stdout, stderr] = outputs;
    let ((stdout, copy_stdout), (stderr, copy_stderr)) = (stdout.map_err(failed)?, stderr.map_err(failed)?);
    let execution = begin(rt, name.clone(), request, ExecStdio { stdin: stdin.into(), stdout, stderr }).await?;
    let outputs = [thread::spawn(copy_stdout), thread::spawn(copy_stderr)];
    match io.stdin {
        // Ends with `stop`, whatever its input does; nobody waits for it.
        Some(stdin) => {
            drop(thread::spawn(move || copy_in(stdin.into(), OwnedFd::from(input).into(), stopped.into(), &[])));
        }
        None => drop(input),
    }
    engine::blocking(rt, move |_| {
        let result = execution.wait();
        drop(stop);
        // All that it wrote is to be there before its end is told.
        outputs.into_iter().for_each(|output| drop(output.join()));
        Ok(result)
    })
    .await
}

async fn on_terminal(
    rt: &Runtime,
    name: String,
    request: ExecRequest,
    io: ExecIo,
) -> Result<Result<i32, ExecError>, EngineError> {
    let wanted = name.clone();
    let (ours, theirs) =
        engine::blocking(rt, move |rt| exec::open_terminal(rt, &wanted).map_err(|error| errors::exec(&wanted, &error)))
            .await?;
    let failed = |error: io::Error| errors::kernel(errors::container(&name), "enter", &error);
    let mut size = io.size;
    if let Some(size) = &mut size {
        let (rows, columns) = *size.borrow_and_update();
        // A size of nothing is that of no window at all.
        if rows > 0 && columns > 0 {
            terminal::set_size(&ours, rows, columns).map_err(failed)?;
        }
    }
    let stdio =
        || Ok(ExecStdio { stdin: theirs.try_clone()?, stdout: theirs.try_clone()?, stderr: theirs.try_clone()? });
    let execution = begin(rt, name.clone(), request, stdio().map_err(failed)?).await?;
    // The terminal ends with its last holder.
    drop(theirs);
    let (stopped, stop) = io::pipe().map_err(failed)?;
    let (reading, writing) = (ours.try_clone().map_err(failed)?, ours.try_clone().map_err(failed)?);
    let output = thread::spawn(move || copy_out(reading.into(), io.stdout.into()));
    if let Some(stdin) = io.stdin {
        // Ends with `stop`, whatever its input does; nobody waits for it.
        drop(thread::spawn(move || copy_in(stdin.into(), writing.into(), stopped.into(), &END)));
    }
    let following = tokio::spawn(async move {
        let Some(mut size) = size else { return };
        while size.changed().await.is_ok() {
            let (rows, columns) = *size.borrow_and_update();
            let _ = terminal::set_size(&ours, rows, columns);
        }
    });
    let result = engine::blocking(rt, move |_| {
        let result = execution.wait();
        drop(stop);
        // All that it wrote is to be seen before its end is told.
        let _ = output.join();
        Ok(result)
    })
    .await;
    following.abort();
    result
}

/// Copies until the last program has let go of a pipe or terminal, of which the latter is an error (EIO), not an end.
fn copy_out(mut program: File, mut output: File) {
    let mut block = [0; 16 * 1024];
    while let Ok(length) = program.read(&mut block) {
        if length == 0 || output.write_all(&block[..length]).is_err() {
            return;
        }
    }
}

/// Ctrl-D tells a terminal's reader that there is no more.
const END: [u8; 1] = [4];

/// Copies the input, until there is no more, which `end` tells, or the program has ended: a later key press is not ours to
/// take.
fn copy_in(mut input: File, mut program: File, stopped: OwnedFd, end: &[u8]) {
    let mut block = [0; 4096];
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(input.as_fd(), PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) if !fds[0].revents().is_empty() => return,
            Ok(_) => {}
        }
        match input.read(&mut block) {
            Ok(0) => {
                let _ = program.write_all(end);
                return;
            }
            Ok(length) => {
                if program.write_all(&block[..length]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
