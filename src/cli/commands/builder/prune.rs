//! `builder prune`: the build cache goes, by age and size.

use std::time::SystemTime;

use orchestrator::engine::usage::CachePrune;

use crate::app::App;
use crate::args::mount::parse_bytes;
use crate::commands::acts::pruning::is_confirmed;
use crate::commands::builder::usage;
use crate::commands::image::list;
use crate::error::{CommandError, Kind};
use crate::print::progress::size;

/// Remove what is in the build cache
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also what images have too: their builds run every step again
    #[arg(short, long)]
    all: bool,

    /// `until=24h`: only what was not used for so long
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// Stop when no more than this is left
    #[arg(long, value_name = "BYTES", aliases = ["max-used-space", "reserved-space"])]
    keep_storage: Option<String>,

    /// Don't ask
    #[arg(short, long)]
    force: bool,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), CommandError> {
    let mut prune = wanted(&args.filter, args.keep_storage.as_deref())?;
    prune.all = args.all;
    prune.rehearse = app.settings.dry_run;
    let what = if args.all { "all build cache" } else { "all dangling build cache" };
    let warning = format!("WARNING! This will remove {what}.");
    if !app.settings.dry_run && !args.force && !is_confirmed(app, &warning) {
        return Ok(());
    }
    let (removed, freed) = app.engine()?.prune_build_cache(&prune).await?;
    if !removed.is_empty() {
        app.printer.data(usage::table(app, &removed).trim_end());
    }
    app.printer.data(&format!("Total:\t{}", size(freed)));
    Ok(())
}

/// Reads `until=24h` and a size.
pub(crate) fn wanted(filter: &[String], keep: Option<&str>) -> Result<CachePrune, CommandError> {
    let usage = |message: String| CommandError::new(Kind::Usage, message);
    let mut prune = CachePrune::default();
    for text in filter {
        let age = match text.split_once('=') {
            Some(("until" | "unused-for", value)) => list::moment(value),
            _ => return Err(usage(format!("unknown filter `{text}` of the build cache: there is `until=24h`"))),
        };
        let then = age.ok_or_else(|| usage(format!("`{text}` is no age: `until=24h`")))?;
        prune.unused_for = Some(SystemTime::now().duration_since(then).unwrap_or_default());
    }
    if let Some(text) = keep {
        prune.keep = Some(parse_bytes(text).ok_or_else(|| usage(format!("`{text}` is no size: `2gb`")))?);
    }
    Ok(prune)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_and_a_size_are_read_and_another_filter_is_refused() {
        let prune = wanted(&["until=2h".to_owned()], Some("1g")).unwrap();
        assert_eq!(prune.keep, Some(1 << 30));
        assert!(prune.unused_for.unwrap().as_secs().abs_diff(7200) < 5);
        assert!(wanted(&["label=x".to_owned()], None).is_err());
        assert!(wanted(&[], Some("much")).is_err());
    }
}
