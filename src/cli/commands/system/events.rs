//! `system events`: what happens to everything on the engine, as it happens.

use std::time::UNIX_EPOCH;

use orchestrator::engine::occurrence::Occurrence;
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::acts::happenings::{Span, show};
use crate::commands::network::{has_label, unknown_filter};
use crate::error::{CommandError, Kind};
use crate::print::age;
use crate::print::template::Format;

/// Show what happens on the engine, as it happens
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    span: Span,

    /// Only those: `type=container`, `event=die`, `container=NAME`, `label=KEY[=VALUE]`, ..
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,

    /// `json`, or a template such as `{{.Action}}`
    #[arg(long, value_name = "FORMAT", value_parser = Format::parse)]
    format: Option<Format>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let mut filters = Vec::new();
    for filter in &args.filter {
        let known = ["type", "event", "container", "image", "network", "volume", "label"];
        match filter.split_once('=') {
            Some((key, value)) if known.contains(&key) => filters.push((key, value)),
            _ => return Err(unknown_filter(filter, "`type=`, `event=`, `container=`, ..")),
        }
    }
    let query = args.span.query(Vec::new())?;
    show(app, query, |occurrence| {
        if !filters
            .iter()
            .all(|(key, _)| filters.iter().any(|(other, it)| other == key && is_meant(occurrence, key, it)))
        {
            return Ok(None);
        }
        let object = object(occurrence);
        match &args.format {
            None | Some(Format::Table) => Ok(Some(line(occurrence))),
            Some(Format::Json) => Ok(Some(object.to_string())),
            Some(template @ Format::Template { .. }) => {
                let text = template.apply(std::slice::from_ref(&object), None).unwrap_or_else(|| Ok(String::new()));
                let text = text.map_err(|why| CommandError::new(Kind::Usage, why))?;
                Ok(Some(text.trim_end_matches('\n').to_owned()))
            }
        }
    })
    .await
}

fn is_meant(occurrence: &Occurrence, key: &str, value: &str) -> bool {
    match key {
        "type" => occurrence.kind == value,
        "event" => occurrence.action == value || occurrence.action.split(':').next() == Some(value),
        "label" => has_label(&occurrence.attributes, value),
        kind => {
            let name = occurrence.attributes.get("name").is_some_and(|name| name == value);
            let image = kind == "image" && occurrence.attributes.get("image").is_some_and(|image| image == value);
            image || (occurrence.kind == kind && (name || occurrence.id.starts_with(value)))
        }
    }
}

fn line(occurrence: &Occurrence) -> String {
    let pairs: Vec<String> = occurrence.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let time = age::rfc3339(occurrence.time);
    format!("{time} {} {} {} ({})", occurrence.kind, occurrence.action, occurrence.id, pairs.join(", "))
}

fn object(occurrence: &Occurrence) -> Value {
    let since = occurrence.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    json!({
        "status": occurrence.action,
        "id": occurrence.id,
        "from": occurrence.attributes.get("image"),
        "Type": occurrence.kind,
        "Action": occurrence.action,
        "Actor": { "ID": occurrence.id, "Attributes": occurrence.attributes },
        "scope": "local",
        "time": since.as_secs(),
        "timeNano": nanos,
    })
}
