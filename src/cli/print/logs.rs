//! Log lines of several containers in one stream: `web-1  | hello`, a stable colour by name.

use std::collections::BTreeMap;

use orchestrator::engine::log::{LogLine, LogStream};
use orchestrator::identity::lasting_name;
use serde_json::json;

use crate::print::age;
use crate::print::log_filter::LogFilter;
use crate::print::printer::{Printer, Stream};
use crate::print::table::fit;

/// Foreground colours that are readable on dark and light backgrounds and apart for colour-blind eyes.
const COLOURS: [u8; 10] = [36, 33, 35, 32, 34, 96, 93, 95, 92, 94];

/// How log lines are dressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LogDress {
    /// Only what the program wrote.
    pub(crate) no_prefix: bool,
    /// When it was written, in front.
    pub(crate) timestamps: bool,
    /// No colour, whatever the terminal.
    pub(crate) no_colour: bool,
    /// A JSON object a line, on stdout whatever the stream.
    pub(crate) json: bool,
}

/// Prints log lines with prefixes that line up.
pub(crate) struct LogPrinter<'p> {
    printer: &'p Printer,
    dress: LogDress,
    colour: bool,
    /// Longest prefix, in characters.
    width: usize,
    prefixes: BTreeMap<String, Vec<u8>>,
    filter: LogFilter,
    /// Lines that are not written yet, all of one stream.
    pending: Vec<u8>,
    stream: Stream,
}

/// Bytes that are gathered before they are written.
const BATCH: usize = 1 << 16;

impl<'p> LogPrinter<'p> {
    /// Prepares for containers that are known already, so that the first lines line up with the later ones.
    pub(crate) fn new<'n>(printer: &'p Printer, dress: LogDress, names: impl IntoIterator<Item = &'n str>) -> Self {
        let colour = printer.colour(Stream::Out) && !dress.no_colour;
        let mut logs = Self {
            printer,
            dress,
            colour,
            width: 0,
            prefixes: BTreeMap::new(),
            filter: LogFilter::default(),
            pending: Vec::new(),
            stream: Stream::Out,
        };
        for name in names {
            logs.width = logs.width.max(name.chars().count());
        }
        // A gutter must leave room for what is said: at most a third of the terminal.
        if let Some(columns) = printer.width(Stream::Out) {
            logs.width = logs.width.min((columns / 3).max(8));
        }
        logs
    }

    /// Shows only what `filter` wants.
    pub(crate) fn filtered(mut self, filter: LogFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Prints a line of the container called `name`, to the stream that the program wrote it to.
    pub(crate) fn line(&mut self, name: &str, line: &LogLine) {
        self.add(name, line);
        self.flush();
    }

    /// As [`LogPrinter::line`], but it may wait for more lines, or for [`LogPrinter::flush`].
    pub(crate) fn add(&mut self, name: &str, line: &LogLine) {
        if !self.filter.wants(name, &line.bytes) {
            return;
        }
        let stream = match line.stream {
            LogStream::Stdout => Stream::Out,
            LogStream::Stderr if self.dress.json => Stream::Out,
            LogStream::Stderr => Stream::Err,
        };
        // Both may be one terminal: their order is kept.
        if stream != self.stream || self.pending.len() >= BATCH {
            self.flush();
            self.stream = stream;
        }
        if self.dress.json {
            let object = json(name, line);
            self.pending.extend_from_slice(object.as_bytes());
        } else {
            if !self.dress.no_prefix {
                let mut pending = std::mem::take(&mut self.pending);
                pending.extend_from_slice(self.prefix(name));
                self.pending = pending;
            }
            if self.dress.timestamps {
                self.pending.extend_from_slice(age::rfc3339(line.time).as_bytes());
                self.pending.push(b' ');
            }
            self.pending.extend_from_slice(&line.bytes);
        }
        self.pending.push(b'\n');
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) {
        if !self.pending.is_empty() {
            self.printer.write(self.stream, &self.pending);
            self.pending.clear();
        }
    }

    fn prefix(&mut self, name: &str) -> &[u8] {
        if !self.prefixes.contains_key(name) {
            if self.printer.width(Stream::Out).is_none() {
                self.width = self.width.max(name.chars().count());
            }
            let shown = fit(name, self.width);
            let padding = " ".repeat(self.width - shown.chars().count());
            let text = format!("{shown}{padding}  | ");
            let text = if self.colour { format!("\u{1b}[{}m{text}\u{1b}[0m", colour_of(name)) } else { text };
            self.prefixes.insert(name.to_owned(), text.into_bytes());
        }
        &self.prefixes[name]
    }
}

fn json(name: &str, line: &LogLine) -> String {
    let stream = match line.stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
    };
    let text = String::from_utf8_lossy(&line.bytes);
    json!({ "time": age::rfc3339(line.time), "container": name, "stream": stream, "line": text }).to_string()
}

/// Returns the name of a container without that of its project: `web-1` for `shop-web-1`.
pub(crate) fn short_name<'n>(container: &'n str, project: &str) -> &'n str {
    // One that is about to take another's place bears a passing name.
    let container = lasting_name(container);
    let rest = container.strip_prefix(project).and_then(|rest| rest.strip_prefix(['-', '_']));
    rest.filter(|rest| !rest.is_empty()).unwrap_or(container)
}

/// Returns the colour of a name: the same in every run, whatever else runs. Replicas of one service differ.
fn colour_of(name: &str) -> u8 {
    // FNV-1a: the standard library's hasher is not promised to stay the same.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    COLOURS[usize::try_from((hash ^ (hash >> 32)) % COLOURS.len() as u64).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use crate::print::printer::tests::printed;

    use super::*;

    fn line(stream: LogStream, text: &str) -> LogLine {
        LogLine { time: UNIX_EPOCH + Duration::from_millis(1500), stream, bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn prefixes_line_up_and_streams_stay_apart() {
        let (out, err) = printed(|printer| {
            let mut logs = LogPrinter::new(printer, LogDress::default(), ["web-1", "database-1"]);
            logs.line("web-1", &line(LogStream::Stdout, "hello"));
            logs.line("database-1", &line(LogStream::Stderr, "oh"));
        });
        assert_eq!(out, "web-1       | hello\n");
        assert_eq!(err, "database-1  | oh\n");
    }

    #[test]
    fn timestamps_stand_in_front_and_the_prefix_can_go() {
        let dress = LogDress { no_prefix: true, timestamps: true, ..LogDress::default() };
        let (out, _) = printed(|printer| {
            LogPrinter::new(printer, dress, ["web-1"]).line("web-1", &line(LogStream::Stdout, "hello"));
        });
        assert_eq!(out, "1970-01-01T00:00:01.500000000Z hello\n");
    }

    #[test]
    fn a_container_is_called_by_its_service_unless_it_has_a_name_of_its_own() {
        assert_eq!(short_name("shop-web-1", "shop"), "web-1");
        assert_eq!(short_name("shop_web_1", "shop"), "web_1");
        assert_eq!(short_name("shopkeeper", "shop"), "shopkeeper");
        assert_eq!(short_name("shop-", "shop"), "shop-");
        assert_eq!(short_name("0123456789ab_shop-web-1", "shop"), "web-1");
    }

    #[test]
    fn a_name_always_has_the_same_colour() {
        assert_eq!(colour_of("web-1"), colour_of("web-1"));
        let colours: std::collections::BTreeSet<u8> =
            ["web-1", "db-1", "cache-1", "worker-1", "worker-2"].into_iter().map(colour_of).collect();
        assert!(colours.len() >= 3, "{colours:?}");
    }
}
