//! `--format`: `table`, `json`, or a Go template: `{{.Name}}\t{{.Status}}`, `{{range .Mounts}}{{.Source}}{{end}}`.

mod apply;
mod parse;

use serde_json::Value;

use crate::print::table::Table;
use crate::print::template::parse::{Node, Term};

/// How rows are printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    /// A table with the command's own columns.
    Table,
    /// JSON.
    Json,
    /// A line a row, from a template; with a heading above when it began with `table`.
    Template {
        /// Text and actions in order.
        nodes: Vec<Node>,
        /// As a table with a heading.
        table: bool,
    },
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
        Ok(Self::Template { nodes: parse::parse(&body)?, table })
    }

    /// Returns the lines of a template; `None` for the formats that the command itself knows.
    pub(crate) fn apply(&self, rows: &[Value], width: Option<usize>) -> Option<Result<String, String>> {
        let Self::Template { nodes, table } = self else { return None };
        let line = |row: &Value| apply::apply(nodes, row);
        if *table {
            let heading: String = nodes.iter().map(heading).collect();
            let mut table = Table::new(&heading.split('\t').collect::<Vec<_>>());
            for row in rows {
                match line(row) {
                    Ok(line) => table.row(line.split('\t').map(str::to_owned)),
                    Err(why) => return Some(Err(why)),
                }
            }
            return Some(Ok(table.render(width)));
        }
        Some(rows.iter().map(|row| line(row).map(|line| line + "\n")).collect())
    }
}

/// What a piece of a template is called above its column.
fn heading(node: &Node) -> String {
    match node {
        Node::Text(text) => text.clone(),
        Node::Print(pipeline) => {
            let mut terms = pipeline.iter().flatten();
            terms
                .find_map(|term| match term {
                    Term::Field(names) => names.last().map(|name| name.to_uppercase()),
                    _ => None,
                })
                .unwrap_or_default()
        }
        Node::Keep(..) | Node::If(..) | Node::With(..) | Node::Range(..) => String::new(),
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
        assert!(apply("{{range .}}").unwrap_err().contains("has no `{{end}}`"));
        assert!(apply("{{frob .Name}}").unwrap_err().contains("no function `frob`"));
        assert!(apply("{{.Name").unwrap_err().contains("never closed"));
        assert!(apply("xml").unwrap_err().contains("is no format"));
    }

    #[test]
    fn what_people_write_for_inspect_is_understood() {
        let row = json!({
            "State": {"Status": "running", "Health": null},
            "Names": ["a", "b"],
            "Networks": {"n2": {"IP": "10.0.0.2"}, "n1": {"IP": "10.0.0.1"}},
            "Ports": {"80/tcp": [{"HostPort": "8080"}]},
            "Code": 3,
            "Config": {"Labels": {"a": "b"}},
        });
        let check = |format: &str, expected: &str| {
            let text = Format::parse(format).unwrap().apply(std::slice::from_ref(&row), None).unwrap();
            assert_eq!(text.unwrap(), format!("{expected}\n"), "{format}");
        };
        check("{{.State.Status}}", "running");
        check("{{.State.Health}} {{.Config.Labels.a}} {{.Config.Labels.other}}", "<no value> b <no value>");
        check("{{with .Config.Labels.other}}{{.}}{{else}}none{{end}}", "none");
        check("{{range .Networks}}{{.IP}} {{end}}", "10.0.0.1 10.0.0.2 ");
        check("{{range $k, $v := .Networks}}{{$k}}={{$v.IP}};{{end}}", "n1=10.0.0.1;n2=10.0.0.2;");
        check("{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080");
        check("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none");
        check("{{if eq .Code 3}}three{{else if eq .Code 4}}four{{end}}", "three");
        check("{{join .Names \",\"}} {{len .Names}} {{.Names}}", "a,b 2 [a b]");
        check("{{json .Names}} {{.State.Status | upper | printf \"%-9s|\"}}", "[\"a\",\"b\"] RUNNING  |");
        check("{{with .State}}{{.Status}} {{$.Code}}{{end}}", "running 3");
        check("a {{- .Code -}} b{{\"}}\"}}", "a3b}}");
    }
}
