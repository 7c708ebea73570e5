//! A template applied to one value, with the functions that Docker adds to Go's own.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Number, Value};

use crate::print::template::parse::{Node, Pipeline, Term};

/// Returns the text that `nodes` make of `row`.
pub(crate) fn apply(nodes: &[Node], row: &Value) -> Result<String, String> {
    let mut scope = Scope { text: String::new(), variables: BTreeMap::from([("$".to_owned(), row.clone())]) };
    scope.nodes(nodes, row)?;
    Ok(scope.text)
}

struct Scope {
    text: String,
    variables: BTreeMap<String, Value>,
}

impl Scope {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), String> {
        for node in nodes {
            match node {
                Node::Text(text) => self.text.push_str(text),
                Node::Print(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    self.text.push_str(&shown(&value));
                }
                Node::Keep(name, pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    self.variables.insert(name.clone(), value);
                }
                Node::If(condition, then, otherwise) => {
                    let chosen = if is_true(&self.pipeline(condition, dot)?) { then } else { otherwise };
                    self.nodes(chosen, dot)?;
                }
                Node::With(value, then, otherwise) => {
                    let value = self.pipeline(value, dot)?;
                    if is_true(&value) { self.nodes(then, &value)? } else { self.nodes(otherwise, dot)? }
                }
                Node::Range(names, list, body, otherwise) => self.range(names, list, (body, otherwise), dot)?,
            }
        }
        Ok(())
    }

    fn range(
        &mut self,
        names: &[String],
        list: &Pipeline,
        (body, otherwise): (&[Node], &[Node]),
        dot: &Value,
    ) -> Result<(), String> {
        let elements: Vec<(Value, Value)> = match self.pipeline(list, dot)? {
            Value::Array(list) => list.into_iter().enumerate().map(|(index, it)| (index.into(), it)).collect(),
            Value::Object(fields) => {
                // Go goes through the keys in their order.
                let sorted: BTreeMap<String, Value> = fields.into_iter().collect();
                sorted.into_iter().map(|(key, it)| (key.into(), it)).collect()
            }
            Value::Null => Vec::new(),
            other => return Err(format!("`range` can't go through `{other}`")),
        };
        if elements.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (key, element) in elements {
            match names {
                [] => {}
                [one] => drop(self.variables.insert(one.clone(), element.clone())),
                [index, one, ..] => {
                    self.variables.insert(index.clone(), key);
                    self.variables.insert(one.clone(), element.clone());
                }
            }
            self.nodes(body, &element)?;
        }
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut piped = None;
        for command in pipeline {
            // The one method that docker's rows have.
            if let [Term::Field(names), key] = command.as_slice()
                && let [name] = names.as_slice()
                && name == "Label"
            {
                let key = shown(&self.term(key, dot)?);
                piped = Some(Value::String(label(dot, &key)));
                continue;
            }
            let mut arguments = Vec::new();
            let name = match command.first() {
                Some(Term::Function(name)) => Some(name),
                _ => None,
            };
            for term in command.iter().skip(usize::from(name.is_some())) {
                arguments.push(self.term(term, dot)?);
            }
            arguments.extend(piped.take());
            piped = Some(match name {
                Some(name) => call(name, arguments)?,
                None if arguments.len() == 1 => arguments.remove(0),
                None => return Err("a field takes no arguments".to_owned()),
            });
        }
        Ok(piped.unwrap_or(Value::Null))
    }

    fn term(&self, term: &Term, dot: &Value) -> Result<Value, String> {
        Ok(match term {
            Term::Field(names) => field(dot, names)?,
            Term::Variable(name, names) => {
                let value = self.variables.get(name).ok_or_else(|| format!("there is no variable `{name}`"))?;
                field(value, names)?
            }
            Term::Text(text) => Value::String(text.clone()),
            Term::Number(number) => Value::Number(Number::from(*number)),
            Term::Bool(value) => Value::Bool(*value),
            Term::Nil => Value::Null,
            Term::Function(name) => call(name, Vec::new())?,
            Term::Inner(pipeline, names) => field(&self.pipeline(pipeline, dot)?, names)?,
        })
    }
}

/// Returns a label's value: `Labels` are `a=1,b=2`.
fn label(row: &Value, key: &str) -> String {
    let labels = row.get("Labels").and_then(Value::as_str).unwrap_or_default();
    let pairs = labels.split(',').filter_map(|label| label.split_once('='));
    pairs.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value.to_owned()).unwrap_or_default()
}

/// Maps whose keys are people's own: one that is not there is no mistake of the template.
const MAPS: [&str; 10] = [
    "Annotations",
    "Attributes",
    "AuxiliaryAddresses",
    "Data",
    "DriverOpts",
    "Labels",
    "LogOpts",
    "Options",
    "StorageOpt",
    "Sysctls",
];

fn field(value: &Value, names: &[String]) -> Result<Value, String> {
    let mut value = value;
    for (index, name) in names.iter().enumerate() {
        value = match value {
            Value::Object(fields) => match fields.get(name) {
                Some(value) => value,
                None if index > 0 && MAPS.contains(&names[index - 1].as_str()) => return Ok(Value::Null),
                None => {
                    let known: Vec<String> = fields.keys().map(|name| format!("`.{name}`")).collect();
                    return Err(format!("there is no field `.{name}`; there are {}", known.join(", ")));
                }
            },
            Value::Null => return Ok(Value::Null),
            other => return Err(format!("`{other}` has no field `.{name}`")),
        };
    }
    Ok(value.clone())
}

fn call(name: &str, mut arguments: Vec<Value>) -> Result<Value, String> {
    let count = arguments.len();
    let few = || format!("`{name}` has too few arguments");
    let first = |arguments: &[Value]| arguments.first().cloned().ok_or_else(few);
    let last = |arguments: &[Value]| arguments.last().cloned().ok_or_else(few);
    let text = |value: &Value| shown(value);
    Ok(match name {
        "json" => Value::String(first(&arguments)?.to_string()),
        "len" => match first(&arguments)? {
            Value::Array(list) => list.len().into(),
            Value::Object(fields) => fields.len().into(),
            Value::String(text) => text.len().into(),
            Value::Null => 0.into(),
            other => return Err(format!("`{other}` has no length")),
        },
        "index" => index(arguments)?,
        "not" => Value::Bool(!is_true(&first(&arguments)?)),
        "and" | "or" => {
            let stops = |value: &Value| is_true(value) == (name == "or");
            arguments.iter().find(|value| stops(value)).cloned().map_or_else(|| last(&arguments), Ok)?
        }
        "eq" if count > 1 => Value::Bool(arguments[1..].iter().any(|other| order(&arguments[0], other).is_eq())),
        "ne" if count > 1 => Value::Bool(order(&arguments[0], &arguments[1]).is_ne()),
        "lt" if count > 1 => Value::Bool(order(&arguments[0], &arguments[1]).is_lt()),
        "le" if count > 1 => Value::Bool(order(&arguments[0], &arguments[1]).is_le()),
        "gt" if count > 1 => Value::Bool(order(&arguments[0], &arguments[1]).is_gt()),
        "ge" if count > 1 => Value::Bool(order(&arguments[0], &arguments[1]).is_ge()),
        "print" => Value::String(arguments.iter().map(text).collect()),
        "println" => Value::String(arguments.iter().map(text).collect::<Vec<_>>().join(" ") + "\n"),
        "printf" if count > 0 => Value::String(formatted(&text(&arguments.remove(0)), &arguments)?),
        "upper" => Value::String(text(&first(&arguments)?).to_uppercase()),
        "lower" => Value::String(text(&first(&arguments)?).to_lowercase()),
        "title" => Value::String(titled(&text(&first(&arguments)?))),
        "split" if count > 1 => text(&arguments[0])
            .split(text(&arguments[1]).as_str())
            .map(|part| part.into())
            .collect::<Vec<Value>>()
            .into(),
        "join" if count > 1 => match &arguments[0] {
            Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(&text(&arguments[1])).into(),
            other => return Err(format!("`join` can't join `{other}`")),
        },
        "truncate" if count > 1 => {
            let length = arguments[1].as_u64().and_then(|length| usize::try_from(length).ok()).ok_or_else(few)?;
            text(&arguments[0]).chars().take(length).collect::<String>().into()
        }
        "pad" if count > 2 => {
            let blanks = |value: &Value| " ".repeat(value.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0));
            format!("{}{}{}", blanks(&arguments[1]), text(&arguments[0]), blanks(&arguments[2])).into()
        }
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "printf" | "split" | "join" | "truncate" | "pad" => return Err(few()),
        other => return Err(format!("there is no function `{other}`")),
    })
}

fn index(arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let mut value = arguments.next().ok_or("`index` has too few arguments")?;
    for key in arguments {
        value = match (&value, &key) {
            (Value::Object(fields), key) => fields.get(&shown(key)).cloned().unwrap_or(Value::String(String::new())),
            (Value::Array(list), Value::Number(number)) => {
                let at = number.as_u64().and_then(|at| usize::try_from(at).ok());
                at.and_then(|at| list.get(at)).cloned().ok_or_else(|| format!("there is no element {number}"))?
            }
            (other, key) => return Err(format!("`{other}` has no element `{key}`")),
        };
    }
    Ok(value)
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn order(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => shown(a).cmp(&shown(b)),
    }
}

/// Prints a value as Go does: lists as `[a b]`, maps as `map[k:v]`.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            let pairs: Vec<String> = sorted.iter().map(|(key, value)| format!("{key}:{}", shown(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

fn titled(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// `%s`, `%v`, `%d`, `%q` with widths.
fn formatted(format: &str, arguments: &[Value]) -> Result<String, String> {
    let (mut text, mut arguments) = (String::new(), arguments.iter());
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let mut flags = String::new();
        let verb = loop {
            match letters.next() {
                Some(letter) if letter.is_ascii_digit() || "-+.# ".contains(letter) => flags.push(letter),
                Some(letter) => break letter,
                None => return Err(format!("`{format}` ends in a `%`")),
            }
        };
        if verb == '%' {
            text.push('%');
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("`{format}` has more places than there are values"))?;
        let value = if verb == 'q' { format!("{:?}", shown(value)) } else { shown(value) };
        let width = flags.trim_start_matches('-').split('.').next().and_then(|it| it.parse().ok()).unwrap_or(0);
        text.push_str(&if flags.starts_with('-') { format!("{value:<width$}") } else { format!("{value:>width$}") });
    }
    Ok(text)
}
