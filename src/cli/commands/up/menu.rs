//! What a person may do beside an attached `up` without leaving it: keys, the line that names them, and the files that
//! are followed meanwhile.

use std::sync::Arc;

use orchestrator::engine::Engine;
use orchestrator::operations::watch::WatchReport;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::app::keys::{Key, Keys};
use crate::commands::up::attached::Options;
use crate::commands::watch;
use crate::commands::watch::lines::WatchLines;
use crate::error::LoadedProject;
use crate::print::card;
use crate::print::printer::Stream;

/// What happened beside the containers.
#[derive(Debug)]
pub(crate) enum Happened {
    /// The terminal told something.
    Key(Key),
    /// The files told something; `None`: they are followed no more.
    Files(Option<Box<WatchReport>>),
}

/// What is to be done then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing but to stay.
    Stay,
    /// Leave the services running.
    Leave,
}

/// The keys, the files, and what is drawn of both.
pub(crate) struct Menu<'a> {
    app: &'a App,
    engine: Arc<dyn Engine>,
    loaded: &'a LoadedProject,
    options: &'a Options,
    // Before the keys: what is drawn lets go of the terminal first.
    lines: WatchLines<'a>,
    keys: Option<Keys>,
    files: Option<(AbortOnDrop, UnboundedReceiver<WatchReport>)>,
}

impl<'a> Menu<'a> {
    /// Listens to keys if that is wanted and there is a terminal to draw on; follows files if that was asked for.
    pub(crate) fn open(app: &'a App, engine: Arc<dyn Engine>, loaded: &'a LoadedProject, options: &'a Options) -> Self {
        // Keys first: what is drawn restores the terminal as it finds it.
        let keys = if options.menu && app.printer.is_terminal(Stream::Err) { Keys::listen() } else { None };
        let lines = WatchLines::new(app, loaded, false);
        let keys = keys.filter(|_| lines.draws());
        let mut menu = Self { app, engine, loaded, options, lines, keys, files: None };
        if options.is_watching {
            menu.follow();
        }
        menu.draw();
        menu
    }

    /// Returns what happens next; waits for ever where nothing can.
    pub(crate) async fn next(&mut self) -> Happened {
        tokio::select! {
            key = next_key(&mut self.keys) => Happened::Key(key),
            report = next_report(&mut self.files) => Happened::Files(report.map(Box::new)),
        }
    }

    /// Does what that means.
    pub(crate) fn act(&mut self, happened: Happened) -> Wish {
        match happened {
            Happened::Files(Some(report)) => self.lines.show(*report),
            Happened::Files(None) => self.files = None,
            Happened::Key(Key::Pressed(b'w' | b'W')) => self.toggle(),
            Happened::Key(Key::Pressed(b'd' | b'D')) => return Wish::Leave,
            // A gap that shows where one was when something happened.
            Happened::Key(Key::Pressed(b'\n' | b'\r')) => self.app.printer.note(""),
            Happened::Key(Key::Redraw | Key::Pressed(_)) => {}
        }
        self.draw();
        Wish::Stay
    }

    /// Says whether files are followed.
    pub(crate) fn is_watching(&self) -> bool {
        self.files.is_some()
    }

    /// Says whether time is seen to pass.
    pub(crate) fn draws(&self) -> bool {
        self.is_watching() && self.lines.draws()
    }

    /// Lets time be seen to pass.
    pub(crate) fn tick(&self) {
        self.lines.tick();
    }

    fn toggle(&mut self) {
        if self.files.take().is_some() {
            self.app.printer.note("Watch disabled");
            return;
        }
        match watch::check_rules(self.loaded, &self.options.watch.services) {
            Ok(()) => self.follow(),
            Err(error) => {
                let text = card::render(&error, &self.app.look());
                self.app.printer.write(Stream::Err, text.as_bytes());
            }
        }
    }

    fn follow(&mut self) {
        let (task, reports) = watch::start(self.engine.clone(), self.loaded, self.options.watch.clone());
        self.files = Some((AbortOnDrop(task), reports));
    }

    fn draw(&mut self) {
        if self.keys.is_some() {
            self.lines.set_foot(line(self.is_watching()).to_owned());
        }
    }
}

impl Drop for Menu<'_> {
    fn drop(&mut self) {
        self.lines.finish();
    }
}

/// Returns the line that names the keys. Docker Compose's words; its keys for Docker Desktop have nothing to open here.
fn line(is_watching: bool) -> &'static str {
    if is_watching { "w Disable Watch   d Detach" } else { "w Enable Watch   d Detach" }
}

async fn next_key(keys: &mut Option<Keys>) -> Key {
    match keys {
        Some(keys) => keys.next().await,
        None => std::future::pending().await,
    }
}

async fn next_report(files: &mut Option<(AbortOnDrop, UnboundedReceiver<WatchReport>)>) -> Option<WatchReport> {
    match files {
        Some((_, reports)) => reports.recv().await,
        None => std::future::pending().await,
    }
}

/// Ends the task that it holds when nobody needs it any more.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
