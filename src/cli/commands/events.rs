//! `events`: what happens to the project's containers.

use orchestrator::engine::occurrence::Occurrence;
use orchestrator::identity;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::commands::acts::happenings::{Span, show};
use crate::commands::services;
use crate::error::CommandError;
use crate::print::age;

/// Show what happens to the containers, as it happens
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One JSON object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    span: Span,

    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    services::check_target(&args.services, &target)?;
    let query = args.span.query(identity::project_filter(&target.name))?;
    show(app, query, |occurrence| {
        let service = occurrence.attributes.get(identity::SERVICE);
        let wanted = service.is_some_and(|it| args.services.is_empty() || args.services.contains(it));
        let one_off = occurrence.attributes.get(identity::ONE_OFF).is_some_and(|it| it == "True");
        let is_meant = occurrence.kind == "container" && wanted && !one_off;
        Ok(is_meant.then(|| if args.json { object(occurrence) } else { line(occurrence) }))
    })
    .await
}

/// The attributes without the labels that every container of a project has.
fn attributes(occurrence: &Occurrence) -> impl Iterator<Item = (&String, &String)> {
    occurrence
        .attributes
        .iter()
        .filter(|(key, _)| !key.starts_with("com.docker.compose.") && !key.starts_with("motet."))
}

fn line(occurrence: &Occurrence) -> String {
    let time = age::rfc3339(occurrence.time);
    let attributes: Vec<String> = attributes(occurrence).map(|(key, value)| format!("{key}={value}")).collect();
    format!(
        "{} {} container {} {} ({})",
        &time[..10],
        &time[11..26],
        occurrence.action,
        occurrence.id,
        attributes.join(", ")
    )
}

fn object(occurrence: &Occurrence) -> String {
    let attributes: Map<String, Value> =
        attributes(occurrence).map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    json!({
        "action": occurrence.action,
        "attributes": attributes,
        "id": occurrence.id,
        "service": occurrence.attributes.get(identity::SERVICE),
        "time": age::rfc3339(occurrence.time),
        "type": "container",
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn an_occurrence_is_a_line_or_an_object_in_docker_composes_words() {
        let pairs = [("name", "shop-web-1"), (identity::SERVICE, "web"), ("exitCode", "3")];
        let occurrence = Occurrence {
            time: UNIX_EPOCH + Duration::from_millis(1500),
            kind: "container".into(),
            action: "die".into(),
            id: "0123".into(),
            attributes: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        };
        assert_eq!(line(&occurrence), "1970-01-01 00:00:01.500000 container die 0123 (exitCode=3, name=shop-web-1)");
        let object: Value = serde_json::from_str(&object(&occurrence)).unwrap();
        assert_eq!((&object["service"], &object["action"]), (&json!("web"), &json!("die")));
        assert_eq!(object["attributes"], json!({"exitCode": "3", "name": "shop-web-1"}));
    }
}
