//! The person's terminal while a program in a container has it: raw, restored on any end, its size followed.

use std::io;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The terminal in raw mode; dropping it restores what was.
pub(crate) struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// Makes the terminal raw: every key goes to the program, Ctrl-C too.
    pub(crate) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        restore_on_panic(&before);
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Restores the terminal when the program panics: a release build aborts then, and drops nothing.
pub(crate) fn restore_on_panic(before: &Termios) {
    let (restored, previous) = (before.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &restored);
        previous(panic);
    }));
}

/// Returns rows and columns of the terminal, now and whenever they change.
pub(crate) fn follow_size() -> io::Result<watch::Receiver<(u16, u16)>> {
    let size = || tcgetwinsize(io::stdout()).map(|size| (size.ws_row, size.ws_col));
    let mut changes = signal(SignalKind::window_change())?;
    let (sender, receiver) = watch::channel(size()?);
    // Ends with its receiver, or with the command.
    tokio::spawn(async move {
        loop {
            tokio::select! {
                change = changes.recv() => if change.is_none() { return },
                () = sender.closed() => return,
            }
            if let Ok(now) = size()
                && sender.send(now).is_err()
            {
                return;
            }
        }
    });
    Ok(receiver)
}
