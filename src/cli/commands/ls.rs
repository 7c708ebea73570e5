//! `ls`: every project that has containers.

use std::collections::BTreeMap;

use orchestrator::engine::container::ContainerSummary;
use orchestrator::identity;
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::ps::state_word;
use crate::error::{CommandError, Kind};
use crate::print::printer::Stream;
use crate::print::table::Table;
use crate::print::template::Format;

/// List the projects
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Projects with only stopped containers too
    #[arg(short, long)]
    all: bool,

    /// Only the names
    #[arg(short, long)]
    quiet: bool,

    /// Only projects whose name contains TEXT, as `name=TEXT`
    #[arg(long, value_name = "name=TEXT")]
    filter: Option<String>,

    /// `table` or `json`
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse, hide_default_value = true)]
    format: Format,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let name = match args.filter.as_deref().map(|filter| filter.split_once('=')) {
        None => "",
        Some(Some(("name", text))) => text,
        Some(_) => return Err(CommandError::new(Kind::Usage, "unknown filter; write `name=TEXT`")),
    };
    let containers = app.engine()?.list_containers(&[identity::PROJECT.to_owned()]).await?;
    let mut rows = rows(&containers, args.all);
    rows.retain(|row| row["Name"].as_str().is_some_and(|project| project.contains(name)));
    if args.quiet {
        rows.iter().filter_map(|row| row["Name"].as_str()).for_each(|name| app.printer.data(name));
        return Ok(());
    }
    let width = app.printer.width(Stream::Out);
    let text = match &args.format {
        Format::Json => format!("{}\n", Value::Array(rows)),
        Format::Table => {
            let mut table = Table::new(&["NAME", "STATUS", "CONFIG FILES"]);
            for row in &rows {
                table.row(["Name", "Status", "ConfigFiles"].map(|name| row[name].as_str().unwrap_or("").to_owned()));
            }
            table.render(width)
        }
        template @ Format::Template { .. } => template
            .apply(&rows, width)
            .unwrap_or_else(|| Ok(String::new()))
            .map_err(|why| CommandError::new(Kind::Usage, why))?,
    };
    app.printer.write(Stream::Out, text.as_bytes());
    Ok(())
}

/// Returns a row a project: `running(2)`, with what else its containers do.
fn rows(containers: &[ContainerSummary], all: bool) -> Vec<Value> {
    let mut projects: BTreeMap<&str, (BTreeMap<&str, usize>, &str)> = BTreeMap::new();
    for container in containers {
        let Some(project) = container.labels.get(identity::PROJECT) else { continue };
        let state = state_word(&container.state);
        if !all && state != "running" {
            continue;
        }
        let (states, files) = projects.entry(project).or_default();
        *states.entry(state).or_default() += 1;
        *files = container.labels.get(identity::CONFIG_FILES).map_or("", String::as_str);
    }
    let row = |(name, (states, files)): (&str, (BTreeMap<&str, usize>, &str))| {
        let states: Vec<String> = states.iter().map(|(state, count)| format!("{state}({count})")).collect();
        json!({ "Name": name, "Status": states.join(", "), "ConfigFiles": files })
    };
    projects.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use orchestrator::engine::container::ContainerState;

    use crate::commands::ps::tests::container;

    use super::*;

    #[test]
    fn a_project_is_a_row_with_its_states_counted() {
        let mut running = container(&[]);
        running.labels.insert(identity::PROJECT.into(), "shop".into());
        running.labels.insert(identity::CONFIG_FILES.into(), "/shop/compose.yaml".into());
        let mut exited = running.clone();
        exited.state = ContainerState::Exited { exit_code: 0, at: UNIX_EPOCH, out_of_memory: false };
        let all = [running.clone(), running, exited.clone()];
        assert_eq!(rows(&all, false)[0]["Status"], "running(2)");
        assert_eq!(rows(&all, true)[0]["Status"], "exited(1), running(2)");
        assert!(rows(&[exited], false).is_empty());
    }
}
