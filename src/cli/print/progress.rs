//! Progress on a terminal: a row a resource, redrawn in place; failures stay, in red; a build shows its last lines.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use orchestrator::event::{Event, Progress};

use crate::print::control_echo::ControlEcho;
use crate::print::printer::{Printer, Stream};
use crate::print::table::fit;
use crate::print::{plain, words};

/// Lines of a build step that stay visible below its row.
const TAIL: usize = 4;
/// Lines of the terminal that rows leave free.
const SPARE: usize = 4;

/// How a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    GoesOn,
    Done,
    Failed,
}

struct Row {
    subject: String,
    bar: ProgressBar,
    begin: Instant,
    standing: Standing,
    /// How long the last act took, once it has ended.
    took: Duration,
    /// What is said after the subject.
    status: String,
    /// Bytes of each layer: so far, and in all.
    layers: BTreeMap<String, (u64, Option<u64>)>,
    tail: VecDeque<String>,
    tail_bars: Vec<ProgressBar>,
}

/// The rows of one operation.
pub(crate) struct Rows<'p> {
    printer: &'p Printer,
    multi: MultiProgress,
    rows: Vec<Row>,
    /// A line below all rows.
    foot: Option<ProgressBar>,
    /// Held while rows are drawn.
    echo: Option<ControlEcho>,
}

impl<'p> Rows<'p> {
    /// Starts to draw on `stream`.
    pub(crate) fn new(printer: &'p Printer, stream: Stream) -> Self {
        let target = match stream {
            Stream::Out => ProgressDrawTarget::stdout_with_hz(15),
            Stream::Err => ProgressDrawTarget::stderr_with_hz(15),
        };
        let multi = MultiProgress::with_draw_target(target);
        multi.set_move_cursor(false);
        printer.set_rows(Some(multi.clone()));
        Self { printer, multi, rows: Vec::new(), foot: None, echo: ControlEcho::off() }
    }

    /// Shows `event`.
    pub(crate) fn event(&mut self, event: &Event) {
        match event {
            Event::Started { kind, name, act } => {
                self.set(&words::subject_of(*kind, name, *act), words::going_on(*act), Standing::GoesOn);
            }
            Event::Done { kind, name, act } => {
                self.set(&words::subject_of(*kind, name, *act), words::done(*act), Standing::Done);
            }
            Event::UpToDate { kind, name, state } => self.set(&words::subject(*kind, name), state, Standing::Done),
            Event::Failed { kind, name, act, .. } => {
                self.set(&words::subject_of(*kind, name, *act), "Error", Standing::Failed);
            }
            Event::Progress { subject, progress } => self.progress(subject, progress),
            Event::Warning(text) => self.printer.warn(text),
            Event::Attach(_) | Event::HookOutput { .. } => {}
        }
    }

    /// Moves the spinners and clocks of what goes on.
    pub(crate) fn tick(&self) {
        for row in self.rows.iter().filter(|row| row.standing == Standing::GoesOn) {
            row.bar.tick();
        }
    }

    /// Says `text` below all rows from now on.
    pub(crate) fn foot(&mut self, text: String) {
        let multi = &self.multi;
        let bar = self.foot.get_or_insert_with(|| {
            let bar = multi.add(ProgressBar::new_spinner());
            // Not padded to the width: a terminal that becomes narrower would wrap the blanks into a line of their own.
            bar.set_style(ProgressStyle::with_template("   {msg:.dim}").expect("the template is a constant"));
            bar
        });
        let room = self.printer.width(Stream::Err).unwrap_or(80).saturating_sub(4);
        bar.set_message(fit(&text, room));
        bar.tick();
    }

    /// Leaves the rows as they are and lets go of the terminal.
    pub(crate) fn finish(&mut self) {
        for row in &mut self.rows {
            row.clear_tail(&self.multi);
            row.bar.abandon();
        }
        if let Some(foot) = self.foot.take() {
            foot.finish_and_clear();
        }
        self.printer.set_rows(None);
        self.rows.clear();
        self.echo = None;
    }

    fn set(&mut self, subject: &str, status: &str, standing: Standing) {
        let multi = self.multi.clone();
        let row = self.row(subject);
        // Each act has its own clock.
        if row.standing != Standing::GoesOn && standing == Standing::GoesOn {
            row.begin = Instant::now();
        }
        row.standing = standing;
        row.took = row.begin.elapsed();
        status.clone_into(&mut row.status);
        row.layers.clear();
        if standing == Standing::Done {
            row.clear_tail(&multi);
        }
        row.draw();
        if standing != Standing::GoesOn {
            self.make_room();
        }
    }

    fn progress(&mut self, subject: &str, progress: &Progress) {
        let room = self.printer.width(Stream::Err).unwrap_or(80);
        let multi = self.multi.clone();
        let row = self.row(subject);
        match progress {
            Progress::Note(text) => text.clone_into(&mut row.status),
            Progress::Bytes { item, done, total } => {
                row.layers.insert(item.clone(), (*done, *total));
                row.status = bytes_status(&row.layers, room);
            }
            Progress::Step { number, total, text } => {
                row.clear_tail(&multi);
                let text = plain::step(subject, *number, *total, text);
                row.status = match text.split_once("] ") {
                    Some((_, text)) => format!("[{number}/{total}] {text}"),
                    None => text,
                };
            }
            Progress::StepDone { .. } => row.clear_tail(&multi),
            Progress::StepOutput { line, .. } => row.add_to_tail(&multi, line),
        }
        row.standing = Standing::GoesOn;
        row.draw();
    }

    fn row(&mut self, subject: &str) -> &mut Row {
        let at = self.rows.iter().position(|row| row.subject == subject).unwrap_or_else(|| {
            self.make_room();
            self.rows.push(Row {
                subject: subject.to_owned(),
                bar: match &self.foot {
                    Some(foot) => self.multi.insert_before(foot, ProgressBar::new_spinner()),
                    None => self.multi.add(ProgressBar::new_spinner()),
                },
                begin: Instant::now(),
                standing: Standing::GoesOn,
                took: Duration::ZERO,
                status: String::new(),
                layers: BTreeMap::new(),
                tail: VecDeque::new(),
                tail_bars: Vec::new(),
            });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    /// Lets the oldest finished rows scroll away when there are more than the terminal has lines.
    fn make_room(&mut self) {
        let lines = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(24, |size| usize::from(size.ws_row));
        while self.rows.iter().map(|row| 1 + row.tail_bars.len()).sum::<usize>() + SPARE > lines {
            let Some(at) = self.rows.iter().position(|row| row.standing != Standing::GoesOn) else { return };
            let row = self.rows.remove(at);
            self.multi.remove(&row.bar);
            let text = format!(" {} {}  {}", row.mark(), row.text(), row.clock());
            let colour = self.printer.colour(Stream::Err) && row.standing == Standing::Failed;
            self.printer.note(&if colour { format!("\u{1b}[31m{text}\u{1b}[0m") } else { text });
        }
    }
}

impl Row {
    fn draw(&self) {
        let (template, mark, clock) = match self.standing {
            Standing::GoesOn => (" {spinner:.cyan} {wide_msg} {clock:>6.dim}", self.mark(), None),
            Standing::Done => (" {mark:.green} {wide_msg} {clock:>6.dim}", self.mark(), Some(self.clock())),
            Standing::Failed => (" {mark:.red} {wide_msg:.red} {clock:>6.dim}", self.mark(), Some(self.clock())),
        };
        let begin = self.begin;
        let style = ProgressStyle::with_template(template).expect("the template is a constant").with_key(
            "clock",
            move |_: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = match &clock {
                    Some(text) => out.write_str(text),
                    None => out.write_str(&seconds(begin.elapsed())),
                };
            },
        );
        let style = style.with_key("mark", move |_: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = out.write_str(mark);
        });
        self.bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
        self.bar.set_message(self.text());
        self.bar.tick();
    }

    fn mark(&self) -> &'static str {
        match self.standing {
            Standing::GoesOn => " ",
            Standing::Done => "✔",
            Standing::Failed => "✘",
        }
    }

    fn text(&self) -> String {
        format!("{}  {}", self.subject, self.status)
    }

    fn clock(&self) -> String {
        seconds(self.took)
    }

    fn add_to_tail(&mut self, multi: &MultiProgress, line: &str) {
        self.tail.push_back(line.to_owned());
        if self.tail.len() > TAIL {
            self.tail.pop_front();
        }
        while self.tail_bars.len() < self.tail.len() {
            let above = self.tail_bars.last().unwrap_or(&self.bar);
            let bar = multi.insert_after(above, ProgressBar::new_spinner());
            bar.set_style(ProgressStyle::with_template("     {wide_msg:.dim}").expect("the template is a constant"));
            self.tail_bars.push(bar);
        }
        for (bar, line) in self.tail_bars.iter().zip(&self.tail) {
            bar.set_message(printable(line));
            bar.tick();
        }
    }

    fn clear_tail(&mut self, multi: &MultiProgress) {
        for bar in self.tail_bars.drain(..) {
            bar.finish_and_clear();
            multi.remove(&bar);
        }
        self.tail.clear();
    }
}

/// Returns a line without what would move the cursor.
fn printable(line: &str) -> String {
    let last = line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or("");
    let mut text = String::new();
    let mut characters = last.chars();
    while let Some(character) = characters.next() {
        match character {
            '\t' => text.push_str("    "),
            // An escape sequence ends with its first letter.
            '\u{1b}' => {
                let _ = characters.find(char::is_ascii_alphabetic);
            }
            _ if character.is_control() => {}
            _ => text.push(character),
        }
    }
    text
}

/// Returns `0.4s`, `12.0s`, `3m04s`.
fn seconds(length: Duration) -> String {
    let whole = length.as_secs();
    if whole < 60 { format!("{:.1}s", length.as_secs_f64()) } else { format!("{}m{:02}s", whole / 60, whole % 60) }
}

/// Returns a bar and the bytes of all layers together: `Pulling ███░░░ 12.3MB / 45.6MB`.
fn bytes_status(layers: &BTreeMap<String, (u64, Option<u64>)>, room: usize) -> String {
    let done: u64 = layers.values().map(|(done, _)| done).sum();
    let total: Option<u64> = layers.values().map(|(_, total)| *total).sum();
    let Some(total) = total.filter(|total| *total > 0) else { return format!("Pulling {}", size(done)) };
    let bar = if room < 70 { 0 } else { 20 };
    let filled = usize::try_from(done.min(total) * bar / total).unwrap_or(0);
    let bar = usize::try_from(bar).unwrap_or(0);
    let drawn = format!("{}{}", "█".repeat(filled), "░".repeat(bar - filled));
    fit(&format!("Pulling {drawn} {} / {}", size(done), size(total)).replace("  ", " "), room)
}

/// Returns bytes in decimal units, as Docker's tables have them: `12.3MB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match value {
        _ if unit == 0 => format!("{bytes}B"),
        value if value < 10.0 => format!("{value:.2}{}", UNITS[unit]),
        value if value < 100.0 => format!("{value:.1}{}", UNITS[unit]),
        value => format!("{value:.0}{}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        assert_eq!(size(999), "999B");
        assert_eq!(size(1_234), "1.23kB");
        assert_eq!(size(45_600_000), "45.6MB");
        assert_eq!(size(456_000_000), "456MB");
    }

    #[test]
    fn layers_are_one_bar_that_a_narrow_terminal_goes_without() {
        let layers = BTreeMap::from([
            ("a".to_owned(), (5_000_000, Some(10_000_000))),
            ("b".to_owned(), (5_000_000, Some(10_000_000))),
        ]);
        assert_eq!(bytes_status(&layers, 100), "Pulling ██████████░░░░░░░░░░ 10.0MB / 20.0MB");
        assert_eq!(bytes_status(&layers, 60), "Pulling 10.0MB / 20.0MB");
        let unknown = BTreeMap::from([("a".to_owned(), (5_000, None))]);
        assert_eq!(bytes_status(&unknown, 100), "Pulling 5.00kB");
    }

    #[test]
    fn what_a_step_writes_cannot_move_the_cursor() {
        assert_eq!(printable("10%\r20%\r"), "20%");
        assert_eq!(printable("\u{1b}[1;31mred\u{1b}[0m\tx\u{7}"), "red    x");
    }

    #[test]
    fn clocks_stay_narrow() {
        assert_eq!(seconds(Duration::from_millis(449)), "0.4s");
        assert_eq!(seconds(Duration::from_secs(184)), "3m04s");
    }
}
