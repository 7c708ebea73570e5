//! What happens on the engine, printed as it comes: the lines of `events`.

use std::time::SystemTime;

use orchestrator::engine::occurrence::{Occurrence, OccurrenceQuery};

use crate::app::{App, Interrupts};
use crate::args::moment::parse_moment;
use crate::error::{CommandError, Kind};

/// From when to when.
#[derive(Debug, clap::Args)]
pub(crate) struct Span {
    /// Not before this moment: `10m`, `2026-01-31T08:00:00Z`
    #[arg(long, value_name = "MOMENT")]
    since: Option<String>,

    /// Until this moment; then the command ends
    #[arg(long, value_name = "MOMENT")]
    until: Option<String>,
}

impl Span {
    /// Returns what the engine is asked for.
    pub(crate) fn query(&self, labels: Vec<String>) -> Result<OccurrenceQuery, CommandError> {
        let now = SystemTime::now();
        let moment = |text: &Option<String>| {
            let moment = text.as_deref().map(|text| parse_moment(text, now)).transpose();
            moment.map_err(|why| CommandError::new(Kind::Usage, why))
        };
        Ok(OccurrenceQuery { labels, since: moment(&self.since)?, until: moment(&self.until)? })
    }
}

/// Prints what `line` makes of each occurrence, until the span is over or the person says stop.
pub(crate) async fn show(
    app: &App,
    query: OccurrenceQuery,
    line: impl Fn(&Occurrence) -> Result<Option<String>, CommandError>,
) -> Result<(), CommandError> {
    let mut occurrences = app.engine()?.occurrences(query).await?;
    let mut interrupts = Interrupts::listen()?;
    loop {
        tokio::select! {
            occurrence = occurrences.recv() => match occurrence {
                Some(occurrence) => {
                    if let Some(line) = line(&occurrence)? {
                        app.printer.data(&line);
                    }
                }
                None => return Ok(()),
            },
            () = interrupts.next() => return Err(CommandError::silent(Kind::Interrupted)),
        }
        if app.printer.is_closed() {
            return Ok(());
        }
    }
}
