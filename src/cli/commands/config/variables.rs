//! `config --variables`: what a file refers to, as a table, YAML or JSON with the keys that Docker Compose prints.

use compose::Passes;
use compose::interpolate::variables::{Variable, variables};
use compose::model::encode::{json_by, yaml_by};
use serde_json::{Map, Value, json};

use crate::app::{App, Warnings};
use crate::commands::config::{Args, Format};
use crate::error::CommandError;

/// Returns the variables in the format that is asked for.
pub(super) fn print(args: &Args, app: &App) -> Result<String, CommandError> {
    let passes = Passes { interpolate: false, resolve_env: false, ..args.passes(app) };
    let project = app.load_with(&[], passes, Warnings::Shown)?.project;
    let variables = variables(&project.canonical);
    Ok(match args.format {
        None | Some(Format::Table) => table(&variables),
        Some(Format::Yaml) => yaml_by(4, &yaml(&variables)),
        Some(Format::Json) => json_text(&variables),
    })
}

/// Returns a table with the widths that Docker Compose gives it: at least 20 columns, and 3 behind the longest cell.
fn table(variables: &[Variable]) -> String {
    let row = |variable: &Variable| {
        let Variable { name, default, alternative, required } = variable.clone();
        [name, required.to_string(), default, alternative]
    };
    let heading = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(heading).chain(variables.iter().map(row)).collect();
    let width = |column: usize| {
        let longest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        (longest + 3).max(20)
    };
    let widths: Vec<usize> = (0..3).map(width).collect();
    let line = |[name, required, default, alternative]: &[String; 4]| {
        let [a, b, c] = [widths[0], widths[1], widths[2]];
        format!("{name:a$}{required:b$}{default:c$}{alternative}\n")
    };
    rows.iter().map(line).collect()
}

fn yaml(variables: &[Variable]) -> Value {
    let entry = |variable: &Variable| {
        let value = json!({
            "name": variable.name,
            "defaultvalue": variable.default,
            "presencevalue": variable.alternative,
            "required": variable.required,
        });
        (variable.name.clone(), value)
    };
    Value::Object(variables.iter().map(entry).collect::<Map<_, _>>())
}

fn json_text(variables: &[Variable]) -> String {
    let entry = |variable: &Variable| {
        let value = json!({
            "Name": variable.name,
            "DefaultValue": variable.default,
            "PresenceValue": variable.alternative,
            "Required": variable.required,
        });
        (variable.name.clone(), value)
    };
    let tree = Value::Object(variables.iter().map(entry).collect::<Map<_, _>>());
    json_by(4, &tree) + "\n\n"
}
