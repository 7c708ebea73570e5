//! Dresses the events of an operation while it runs, in the style that was asked for.

use std::time::Duration;

use orchestrator::event::Event;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval};

use crate::args::Settings;
use crate::args::global::{AnsiChoice, ProgressStyle};
use crate::print::drop_in::Names;
use crate::print::printer::{Printer, Stream};
use crate::print::progress::Rows;
use crate::print::{json, plain};

/// Time between two positions of a spinner.
const FRAME: Duration = Duration::from_millis(100);

/// Marks the lines of a dry run, as Docker Compose does.
const DRY_RUN: &str = " DRY-RUN MODE - ";

enum Dress<'p> {
    Rows(Rows<'p>),
    Plain(plain::Lines),
    Json,
    Quiet,
}

/// Shows events as they come.
pub(crate) struct Reporter<'p> {
    printer: &'p Printer,
    stream: Stream,
    dress: Dress<'p>,
    dry_run: bool,
    /// Where Docker Compose's names are wanted.
    names: Option<Names>,
}

impl<'p> Reporter<'p> {
    /// Chooses the dress: rows only where the cursor can be moved.
    pub(crate) fn new(printer: &'p Printer, settings: &Settings, style: ProgressStyle) -> Self {
        let stream = if settings.progress_on_stdout { Stream::Out } else { Stream::Err };
        let can_redraw = printer.is_terminal(stream) && settings.ansi != AnsiChoice::Never;
        let dress = match style {
            // Nothing takes time in a dry run, and every line says what it is.
            ProgressStyle::Auto | ProgressStyle::Tty if settings.dry_run => Dress::Plain(plain::Lines::default()),
            ProgressStyle::Auto | ProgressStyle::Tty if can_redraw => Dress::Rows(Rows::new(printer, stream)),
            ProgressStyle::Auto | ProgressStyle::Tty | ProgressStyle::Plain => Dress::Plain(plain::Lines::default()),
            ProgressStyle::Json => Dress::Json,
            ProgressStyle::Quiet => Dress::Quiet,
        };
        Self { printer, stream, dress, dry_run: settings.dry_run, names: None }
    }

    /// Tells events as Docker Compose does, if `names` are given.
    pub(crate) fn named(mut self, names: Option<Names>) -> Self {
        self.names = names;
        self
    }

    /// Shows one event. Warnings are shown in every dress.
    pub(crate) fn event(&mut self, event: &Event) {
        let told = self.names.as_ref().map(|names| names.told(event));
        let event = match &told {
            Some(Some(told)) => told,
            Some(None) => return,
            None => event,
        };
        let line = match &mut self.dress {
            Dress::Rows(rows) => return rows.event(event),
            Dress::Json => json::line(event),
            Dress::Plain(_) | Dress::Quiet if matches!(event, Event::Warning(_)) => {
                if let Event::Warning(text) = event {
                    self.printer.warn(text);
                }
                None
            }
            Dress::Plain(lines) if self.dry_run => lines.line(event).map(|line| format!("{DRY_RUN}{line}")),
            Dress::Plain(lines) => lines.line(event),
            Dress::Quiet => None,
        };
        if let Some(line) = line {
            self.printer.write(self.stream, format!("{line}\n").as_bytes());
        }
    }

    /// Lets time be seen to pass.
    pub(crate) fn tick(&self) {
        if let Dress::Rows(rows) = &self.dress {
            rows.tick();
        }
    }

    /// Says whether time is seen to pass.
    pub(crate) fn draws(&self) -> bool {
        matches!(self.dress, Dress::Rows(_))
    }

    /// Says `text` below everything, where that can be redrawn.
    pub(crate) fn foot(&mut self, text: String) {
        if let Dress::Rows(rows) = &mut self.dress {
            rows.foot(text);
        }
    }

    /// Ends the display.
    pub(crate) fn finish(&mut self) {
        if let Dress::Rows(rows) = &mut self.dress {
            rows.finish();
        }
    }

    /// Runs `operation` to its end and shows its events meanwhile.
    pub(crate) async fn follow<T>(
        &mut self,
        operation: impl Future<Output = T>,
        mut events: UnboundedReceiver<Event>,
    ) -> T {
        let mut operation = std::pin::pin!(operation);
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let draws = self.draws();
        let result = loop {
            tokio::select! {
                biased;
                Some(event) = events.recv() => self.event(&event),
                result = &mut operation => break result,
                _ = frames.tick(), if draws => self.tick(),
            }
        };
        while let Ok(event) = events.try_recv() {
            self.event(&event);
        }
        self.finish();
        result
    }
}
