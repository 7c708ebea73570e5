//! A line for each save: file, action, service, milliseconds.

use std::path::Path;
use std::time::Duration;

use orchestrator::operations::watch::{Subject, WatchReport, action_name};

use crate::app::App;
use crate::error::{CommandError, LoadedProject};
use crate::print::card;
use crate::print::printer::Stream;
use crate::print::report::Reporter;

/// Shows what happens while watching.
pub(crate) struct WatchLines<'a> {
    app: &'a App,
    loaded: &'a LoadedProject,
    /// What building and recreating report; `None`: not shown.
    progress: Option<Reporter<'a>>,
    /// What stands below everything.
    foot: Option<String>,
}

impl<'a> WatchLines<'a> {
    /// Makes one; `quiet`: without what builds report.
    pub(crate) fn new(app: &'a App, loaded: &'a LoadedProject, quiet: bool) -> Self {
        let progress = (!quiet).then(|| Reporter::new(&app.printer, &app.settings, app.settings.progress));
        Self { app, loaded, progress, foot: None }
    }

    /// Says `text` below everything from now on, where that can be redrawn.
    pub(crate) fn set_foot(&mut self, text: String) {
        if let Some(progress) = &mut self.progress {
            progress.foot(text.clone());
        }
        self.foot = Some(text);
    }

    /// Leaves what is drawn as it is, and lets go of the terminal.
    pub(crate) fn finish(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.finish();
        }
    }

    /// Shows one report.
    pub(crate) fn show(&mut self, report: WatchReport) {
        match report {
            WatchReport::Watching { rules, folders, entries, took } => {
                let rules = counted(rules, "rule");
                let folders = counted(folders, "folder");
                let files = counted(entries, "entry");
                self.app.printer.note(&format!("Watch enabled: {rules}, {folders}, {files}, {}", length(took)));
            }
            WatchReport::Warning { path, message } => {
                let place = path.map_or_else(String::new, |path| format!("{path}: "));
                self.app.printer.warn(&format!("{place}{message}"));
            }
            WatchReport::Begun(subject) => {
                self.app.printer.note(&format!("{} {} ...", self.file(&subject), words(&subject)));
            }
            WatchReport::Done { subject, containers, took } => {
                self.end_progress();
                let reached = if containers == 1 { String::new() } else { format!(", {containers} containers") };
                let (file, what) = (self.file(&subject), words(&subject));
                self.app.printer.note(&format!("{file} {what}{reached}, {}", length(took)));
            }
            WatchReport::Failed { subject, error } => {
                self.end_progress();
                let (file, what) = (self.file(&subject), words(&subject));
                let error = CommandError::operation(error, Some(self.loaded));
                self.app.printer.note(&format!("{file} {what} failed:"));
                let text = card::render(&error, &self.app.look());
                self.app.printer.write(Stream::Err, text.as_bytes());
            }
            WatchReport::Suspended { subject, times } => {
                let file = self.file(&subject);
                self.app.printer.warn(&format!(
                    "`{}` feeds itself: {times} times in a row `{file}` changed by what the rule does; the rule sleeps \
                     from now on. Put that file into its `ignore`, then start watching again",
                    subject.path
                ));
            }
            WatchReport::Event(event) => {
                if let Some(progress) = &mut self.progress {
                    progress.event(&event);
                }
            }
        }
    }

    /// Says whether time is seen to pass.
    pub(crate) fn draws(&self) -> bool {
        self.progress.as_ref().is_some_and(Reporter::draws)
    }

    /// Lets time be seen to pass.
    pub(crate) fn tick(&self) {
        if let Some(progress) = &self.progress {
            progress.tick();
        }
    }

    /// Ends what is drawn; the next build draws anew.
    fn end_progress(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.finish();
            *progress = Reporter::new(&self.app.printer, &self.app.settings, self.app.settings.progress);
            if let Some(foot) = &self.foot {
                progress.foot(foot.clone());
            }
        }
    }

    fn file(&self, subject: &Subject) -> String {
        let path = subject.file.strip_prefix(Path::new(&self.app.folder)).unwrap_or(&subject.file);
        let more = match (subject.files, subject.storm) {
            (0 | 1, _) => String::new(),
            (files, false) => format!(" and {} more", files - 1),
            (files, true) => format!(" and {} more in a burst", files - 1),
        };
        format!("{}{more}", path.display())
    }
}

fn words(subject: &Subject) -> String {
    format!("-> {} {}", action_name(subject.action), subject.service)
}

fn counted(number: usize, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {noun}s"),
    }
}

fn length(took: Duration) -> String {
    let millis = took.as_secs_f64() * 1e3;
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}
