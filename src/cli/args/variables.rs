//! `KEY=VALUE` flags: variables and labels, from the command line and from files.

use std::collections::BTreeMap;
use std::path::Path;

use crate::args::environment::Environment;

/// Reads `KEY=VALUE` and `KEY`; a `KEY` that the environment lacks is dropped.
pub(crate) fn variables(given: &[String], environment: &Environment) -> BTreeMap<String, String> {
    let value = |text: &String| match text.split_once('=') {
        Some((key, value)) => Some((key.to_owned(), value.to_owned())),
        None => environment.0.get(text).map(|value| (text.clone(), value.clone())),
    };
    given.iter().filter_map(value).collect()
}

/// Reads labels: `KEY=VALUE`, or `KEY` for an empty one.
pub(crate) fn labels(given: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    given.iter().map(pair).collect()
}

/// Reads a file of `KEY=VALUE` lines as Docker does: no quotes, `#` only at the beginning of a line.
pub(crate) fn of_file(path: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line.split('=').next().unwrap_or(line);
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(format!("`{}`, line {}: `{key}` is no name of a variable", path.display(), index + 1));
        }
        lines.push(line.to_owned());
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_without_value_comes_from_the_environment() {
        let environment = Environment::from([("B", "outside")]);
        let variables = variables(&["A=1".into(), "B".into(), "C".into()], &environment);
        assert_eq!(variables, BTreeMap::from([("A".into(), "1".into()), ("B".into(), "outside".into())]));
    }

    #[test]
    fn a_file_has_a_variable_a_line_and_quotes_are_kept() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# c\nA=\"1\" # no comment\n\n  B\n").unwrap();
        assert_eq!(of_file(file.path()).unwrap(), ["A=\"1\" # no comment", "B"]);
        std::fs::write(file.path(), "A=1\nB C=2\n").unwrap();
        assert!(of_file(file.path()).unwrap_err().ends_with("line 2: `B C` is no name of a variable"));
    }
}
