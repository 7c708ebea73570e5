//! `--format`: `table`, `json`, or a Go template of fields, as far as people use them: `{{.Name}}\t{{.Status}}`.

use serde_json::{Map, Value};

use crate::print::table::Table;

/// How rows are printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    /// A table with the command's own columns.
    Table,
    /// JSON.
    Json,
    /// A line a row, from a template; with a heading above when it began with `table`.
    Template {
        /// Text and fields in order.
        parts: Vec<Part>,
        /// As a table with a heading.
        table: bool,
    },
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// As it is.
    Text(String),
    /// The value of this field.
    Field(String),
    /// The whole row as JSON, or one field of it.
    Json(Option<String>),
}

impl Format {
    /// Reads the value of `--format`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" | "table" | "pretty" => return Ok(Self::Table),
            "json" => return Ok(Self::Json),
            _ => {}
        }
        let (body, table) = match text.strip_prefix("table ") {
            Some(body) => (body, true),
            None => (text, false),
        };
        if !body.contains("{{") {
            return Err(format!("`{text}` is no format; write `table`, `json` or a template such as `{{{{.Name}}}}`"));
        }
        let body = body.replace("\\t", "\t").replace("\\n", "\n");
        let (mut parts, mut rest) = (Vec::new(), body.as_str());
        while let Some(start) = rest.find("{{") {
            let length = rest[start..].find("}}").ok_or_else(|| format!("`{{{{` in `{text}` is never closed"))?;
            if start > 0 {
                parts.push(Part::Text(rest[..start].to_owned()));
            }
            parts.push(action(rest[start + 2..start + length].trim())?);
            rest = &rest[start + length + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self::Template { parts, table })
    }

    /// Returns the lines of a template; `None` for the formats that the command itself knows.
    pub(crate) fn apply(&self, rows: &[Value], width: Option<usize>) -> Option<Result<String, String>> {
        let Self::Template { parts, table } = self else { return None };
        Some(if *table { as_table(parts, rows, width) } else { as_lines(parts, rows) })
    }
}

fn action(text: &str) -> Result<Part, String> {
    if let Some(field) = text.strip_prefix('.').filter(|field| is_name(field)) {
        return Ok(Part::Field(field.to_owned()));
    }
    let unknown = || format!("`{{{{{text}}}}}` is not understood; only fields such as `{{{{.Name}}}}` and `json` are");
    match text.strip_prefix("json ").map(str::trim) {
        Some(".") => Ok(Part::Json(None)),
        Some(field) => match field.strip_prefix('.').filter(|field| is_name(field)) {
            Some(field) => Ok(Part::Json(Some(field.to_owned()))),
            None => Err(unknown()),
        },
        None => Err(unknown()),
    }
}

/// A field, or one of a field: `Config.Env`.
fn is_name(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

fn as_lines(parts: &[Part], rows: &[Value]) -> Result<String, String> {
    let mut text = String::new();
    for row in rows {
        for part in parts {
            text.push_str(&value(part, row)?);
        }
        text.push('\n');
    }
    Ok(text)
}

fn as_table(parts: &[Part], rows: &[Value], width: Option<usize>) -> Result<String, String> {
    let heading: String = parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(field) | Part::Json(Some(field)) => field.to_uppercase(),
            Part::Json(None) => "JSON".to_owned(),
        })
        .collect();
    let cells: Vec<&str> = heading.split('\t').collect();
    let mut table = Table::new(&cells);
    for row in rows {
        let line = parts.iter().map(|part| value(part, row)).collect::<Result<String, String>>()?;
        table.row(line.split('\t').map(str::to_owned));
    }
    Ok(table.render(width))
}

fn value(part: &Part, row: &Value) -> Result<String, String> {
    let field = |name: &String| name.split('.').try_fold(row, member);
    Ok(match part {
        Part::Text(text) => text.clone(),
        Part::Field(name) => go_text(field(name)?),
        Part::Json(None) => row.to_string(),
        Part::Json(Some(name)) => field(name)?.to_string(),
    })
}

fn member<'v>(value: &'v Value, name: &str) -> Result<&'v Value, String> {
    let fields = value.as_object();
    fields.and_then(|fields| fields.get(name)).ok_or_else(|| {
        let known: Vec<String> = fields.into_iter().flat_map(Map::keys).map(|name| format!("`.{name}`")).collect();
        format!("there is no field `.{name}`; there are {}", known.join(", "))
    })
}

/// As Go prints it: `[a b]`, `map[k:v]`.
fn go_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut pairs: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key}:{}", go_text(value))).collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn apply(format: &str) -> Result<String, String> {
        let rows = [json!({"Name": "shop-web-1", "ExitCode": 0}), json!({"Name": "shop-db-1", "ExitCode": 137})];
        Format::parse(format)?.apply(&rows, None).unwrap()
    }

    #[test]
    fn fields_are_filled_in() {
        assert_eq!(apply("{{.Name}}: {{ .ExitCode }}").unwrap(), "shop-web-1: 0\nshop-db-1: 137\n");
        assert_eq!(apply("{{json .Name}}").unwrap(), "\"shop-web-1\"\n\"shop-db-1\"\n");
    }

    #[test]
    fn a_table_has_a_heading() {
        let expected = "NAME         EXITCODE\nshop-web-1   0\nshop-db-1    137\n";
        assert_eq!(apply("table {{.Name}}\\t{{.ExitCode}}").unwrap(), expected);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        assert!(apply("{{.Nmae}}").unwrap_err().contains("there is no field `.Nmae`"));
        assert!(apply("{{range .}}").unwrap_err().contains("not understood"));
        assert!(apply("{{.Name").unwrap_err().contains("never closed"));
        assert!(apply("xml").unwrap_err().contains("is no format"));
    }
}
