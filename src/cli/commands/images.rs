//! `images`: what the containers were made from.

use std::time::SystemTime;

use orchestrator::operations::ps::list;
use orchestrator::operations::scope::Scope;
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::services;
use crate::error::{CommandError, Kind};
use crate::print::age;
use crate::print::printer::Stream;
use crate::print::progress::size;
use crate::print::table::Table;
use crate::print::template::Format;

/// List the images that the containers were made from
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `table`, `json`, or a template
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse, hide_default_value = true)]
    format: Format,

    /// Only the ids
    #[arg(short, long)]
    quiet: bool,

    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    if let Some(loaded) = &target.loaded {
        services::check(&args.services, &loaded.project)?;
    }
    let engine = app.engine()?;
    let scope = Scope { services: args.services, index: None, one_offs: false };
    let (mut rows, mut ids, mut ages) = (Vec::new(), Vec::new(), Vec::new());
    let now = SystemTime::now();
    for replica in list(engine.clone(), &target.name, &scope).await? {
        let container = replica.container;
        let image = engine.inspect_image(&container.image_id).await?;
        let id = container.image_id.trim_start_matches("sha256:").to_owned();
        let created = image.as_ref().and_then(|image| image.created);
        ages.push(created.map_or_else(|| "N/A".to_owned(), |created| age::ago(created, now)));
        let (repository, tag) = split(&container.image);
        rows.push(json!({
            "ID": container.image_id,
            "ContainerName": container.name,
            "Repository": repository,
            "Tag": tag,
            "Platform": image.as_ref().map_or(Value::Null, |image| platform(&image.platform)),
            "Size": image.as_ref().map_or(0, |image| image.size),
            "Created": created.map(age::rfc3339),
        }));
        ids.push(id);
    }
    if args.quiet {
        ids.sort_unstable();
        ids.dedup();
        ids.iter().for_each(|id| app.printer.data(id));
        return Ok(());
    }
    let width = app.printer.width(Stream::Out);
    let text = match &args.format {
        Format::Json => format!("{}\n", Value::Array(rows)),
        Format::Table => table(&rows, &ages).render(width),
        template @ Format::Template { .. } => template
            .apply(&rows, width)
            .unwrap_or_else(|| Ok(String::new()))
            .map_err(|why| CommandError::new(Kind::Usage, why))?,
    };
    app.printer.write(Stream::Out, text.as_bytes());
    Ok(())
}

fn table(rows: &[Value], ages: &[String]) -> Table {
    let mut table = Table::new(&["CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"]);
    for (row, age) in rows.iter().zip(ages) {
        let text = |name: &str| row[name].as_str().unwrap_or("").to_owned();
        let id: String = text("ID").trim_start_matches("sha256:").chars().take(12).collect();
        let bytes = size(row["Size"].as_u64().unwrap_or(0));
        let part = |name: &str| row["Platform"][name].as_str();
        let platform = [part("os"), part("architecture"), part("variant")].into_iter().flatten();
        let platform = platform.collect::<Vec<_>>().join("/");
        table.row([text("ContainerName"), text("Repository"), text("Tag"), platform, id, bytes, age.clone()]);
    }
    table
}

/// Splits `linux/arm64/v8` as the OCI image specification names its parts.
fn platform(text: &str) -> Value {
    let parts = ["os", "architecture", "variant"].into_iter().zip(text.split('/'));
    parts.map(|(name, part)| (name.to_owned(), Value::from(part))).collect::<serde_json::Map<_, _>>().into()
}

/// Splits `redis:7` into name and tag; a port of the registry is no tag.
fn split(reference: &str) -> (&str, &str) {
    let name = reference.split('@').next().unwrap_or(reference);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_has_two_or_three_parts() {
        assert_eq!(platform("linux/amd64"), json!({ "os": "linux", "architecture": "amd64" }));
        assert_eq!(platform("linux/arm64/v8")["variant"], "v8");
    }

    #[test]
    fn a_tag_is_what_follows_the_last_colon_of_the_name() {
        assert_eq!(split("redis:7"), ("redis", "7"));
        assert_eq!(split("localhost:5000/web"), ("localhost:5000/web", "latest"));
        assert_eq!(split("shop-web"), ("shop-web", "latest"));
        assert_eq!(split("a:1@sha256:00"), ("a", "1"));
    }
}
