//! Which lines of a log are shown: the flags that `logs` of a project and of a single container share.

use std::time::SystemTime;

use orchestrator::engine::log::LogQuery;

use crate::args::moment::parse_moment;

/// Which lines.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Lines {
    /// Go on with new lines as they come
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Only the last N lines of a container; `all` for every one
    #[arg(short = 'n', long, value_name = "N", default_value = "all", value_parser = parse_tail, allow_hyphen_values = true)]
    tail: Tail,

    /// When each line was written
    #[arg(short, long)]
    pub(crate) timestamps: bool,

    /// Not before this moment: `10m`, `2026-01-31T08:00:00Z`
    #[arg(long, value_name = "MOMENT")]
    since: Option<String>,

    /// Not after this moment
    #[arg(long, value_name = "MOMENT")]
    until: Option<String>,
}

/// How many of the lines that are there; `None`: all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tail(Option<u64>);

/// Reads a number of lines, or `all`.
fn parse_tail(text: &str) -> Result<Tail, String> {
    if text == "all" || text.starts_with('-') {
        return Ok(Tail(None));
    }
    text.parse().map(|lines| Tail(Some(lines))).map_err(|_| "write a number of lines, or `all`".to_owned())
}

impl Lines {
    /// Returns what the engine is asked; the error is the sentence that says which moment is wrong.
    pub(crate) fn query(&self, now: SystemTime) -> Result<LogQuery, String> {
        let moment = |text: &Option<String>| text.as_deref().map(|text| parse_moment(text, now)).transpose();
        Ok(LogQuery {
            follow: self.follow,
            tail: self.tail.0,
            since: moment(&self.since)?,
            until: moment(&self.until)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_a_number_or_all() {
        assert_eq!(parse_tail("3"), Ok(Tail(Some(3))));
        assert_eq!((parse_tail("all"), parse_tail("-1")), (Ok(Tail(None)), Ok(Tail(None))));
        assert!(parse_tail("some").is_err());
    }
}
