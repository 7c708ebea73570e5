//! What the `prune`s have in common: the question, the filters, and the words for what went.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::app::{App, ask};
use crate::commands::image::list::moment;
use crate::commands::network::has_label;
use crate::error::{CommandError, Kind};
use crate::print::printer::Stream;
use crate::print::progress::size;

/// Asks before something is removed, in Docker's words and on standard output as it does; the answer may be piped in.
pub(crate) fn is_confirmed(app: &App, warning: &str) -> bool {
    let question = format!("{warning}\nAre you sure you want to continue? [y/N] ");
    app.printer.write(Stream::Out, question.as_bytes());
    ask::answer().eq_ignore_ascii_case("y")
}

/// Prints what went, as Docker does.
pub(crate) fn report(app: &App, kind: &str, removed: &[String]) {
    if !removed.is_empty() {
        app.printer.data(&format!("Deleted {kind}:\n{}\n", removed.join("\n")));
    }
}

/// Prints how much is free now.
pub(crate) fn report_space(app: &App, freed: u64) {
    app.printer.data(&format!("Total reclaimed space: {}", size(freed)));
}

/// Which of the unused go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    until: Option<SystemTime>,
    labels: Vec<String>,
    without: Vec<String>,
}

impl Filter {
    /// Reads `until=24h`, `label=KEY[=VALUE]` and `label!=KEY[=VALUE]`.
    pub(crate) fn parse(given: &[String]) -> Result<Self, CommandError> {
        let usage = |message: String| CommandError::new(Kind::Usage, message);
        let mut filter = Self::default();
        for text in given {
            match text.split_once('=') {
                Some(("label", label)) => filter.labels.push(label.to_owned()),
                Some(("label!", label)) => filter.without.push(label.to_owned()),
                Some(("until", age)) => {
                    let then = moment(age).ok_or_else(|| usage(format!("`{text}` is no age: `until=24h`")))?;
                    filter.until = Some(then);
                }
                Some((key, _)) => {
                    return Err(usage(format!("invalid filter `{key}`; there are `until=`, `label=` and `label!=`")));
                }
                None => return Err(usage(format!("`{text}` is no filter; write `KEY=VALUE`"))),
            }
        }
        Ok(filter)
    }

    /// Says whether what has these labels and was made then goes.
    pub(crate) fn takes(&self, labels: &BTreeMap<String, String>, created: Option<SystemTime>) -> bool {
        let is_old = |until| created.is_some_and(|created| created <= until);
        self.until.is_none_or(is_old)
            && self.labels.iter().all(|label| has_label(labels, label))
            && !self.without.iter().any(|label| has_label(labels, label))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn age_and_labels_say_what_goes() {
        let filter = |given: &[&str]| Filter::parse(&given.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let now = SystemTime::now();
        let old = Some(now - Duration::from_secs(7200));
        assert!(filter(&[]).unwrap().takes(&labels, None));
        assert!(filter(&["until=1h", "label=a"]).unwrap().takes(&labels, old));
        assert!(!filter(&["until=1h"]).unwrap().takes(&labels, Some(now)));
        assert!(!filter(&["label=b"]).unwrap().takes(&labels, old));
        assert!(filter(&["label!=b"]).unwrap().takes(&labels, old));
        assert!(!filter(&["label!=a=1"]).unwrap().takes(&labels, old));
        assert!(filter(&["colour=red"]).is_err() && filter(&["until=never"]).is_err() && filter(&["label"]).is_err());
    }
}
