//! The schema as JSON Schema (draft 7), for editors: made from the same tables that a file is held against.
//!
//! An editor sees a file before `${..}` is replaced: where a number, a boolean or a word is wanted, a string with a
//! reference in it will do.

use serde_json::{Map, Value, json};

use crate::assemble::merge_rules;
use crate::check::attributes::FILE;
use crate::check::descriptions;
use crate::check::shape::{BOOLEAN, INTEGER, Keys, NULL, NUMBER, Object, STRING, Shape};
use crate::document::path::Place;

/// A string with a reference to a variable in it.
const REFERENCE: &str = "\\$";
const NAME: &str = "^[a-zA-Z0-9._-]+$";

/// Returns the schema of a whole file.
pub fn generate() -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
    schema.insert("title".into(), "Compose file".into());
    schema.insert("description".into(), "Services, and the networks, volumes, configs and secrets they share.".into());
    schema.extend(object(&FILE, &Place::ROOT));
    Value::Object(schema)
}

fn object(known: &Object, place: &Place<'_>) -> Map<String, Value> {
    let mut properties = Map::new();
    for (key, shape) in known.attributes {
        let mut schema = Map::new();
        schema.insert("description".into(), descriptions::describe(known.noun, key).into());
        schema.extend(self::shape(shape, &place.key(key)));
        properties.insert((*key).into(), Value::Object(schema));
    }
    let mut schema = Map::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), Value::Object(properties));
    if !known.required.is_empty() {
        schema.insert("required".into(), json!(known.required));
    }
    if !known.open {
        if known.extensions {
            schema.insert("patternProperties".into(), json!({"^x-": {}}));
        }
        schema.insert("additionalProperties".into(), false.into());
    }
    schema
}

fn shape(shape: &Shape, place: &Place<'_>) -> Map<String, Value> {
    let schema = match shape {
        Shape::Any => json!({}),
        Shape::Is(kinds) => kinds_of(*kinds),
        Shape::Whole { least, most } => {
            let mut schema = json!({"type": ["integer", "string"], "minimum": least, "pattern": REFERENCE});
            if *most != i64::MAX {
                schema["maximum"] = (*most).into();
            }
            schema
        }
        Shape::Choice(words) => json!({"anyOf": [{"enum": words}, {"type": "string", "pattern": REFERENCE}]}),
        Shape::Pattern(_, _, pattern) => json!({"type": "string", "pattern": format!("{pattern}|{REFERENCE}")}),
        Shape::List(item) => json!({"type": "array", "items": inner(item, place)}),
        // Where equal items become one they are no mistake.
        Shape::Unique(item) if merge_rules::identity(place).is_some() => {
            json!({"type": "array", "items": inner(item, place)})
        }
        Shape::Unique(item) => json!({"type": "array", "items": inner(item, place), "uniqueItems": true}),
        Shape::Map(Keys::Free, value) => {
            json!({"type": "object", "propertyNames": {"minLength": 1}, "additionalProperties": inner(value, place)})
        }
        Shape::Map(Keys::Names, value) => {
            json!({"type": "object", "patternProperties": {NAME: inner(value, place)}, "additionalProperties": false})
        }
        Shape::Map(Keys::LooseNames, value) => {
            json!({"type": "object", "patternProperties": {NAME: inner(value, place)}})
        }
        Shape::Object(known) => Value::Object(object(known, place)),
        Shape::Either(shapes) => {
            json!({"anyOf": shapes.iter().map(|one| self::shape(one, place)).collect::<Vec<_>>()})
        }
    };
    match schema {
        Value::Object(schema) => schema,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// The schema of what stands in a list or under a name that the file chooses.
fn inner(shape: &Shape, place: &Place<'_>) -> Map<String, Value> {
    self::shape(shape, &place.key("any"))
}

fn kinds_of(kinds: u8) -> Value {
    // Every whole number is a number; both names would say the same twice.
    let whole = INTEGER * u8::from(kinds & NUMBER == 0);
    let names = [(STRING, "string"), (whole, "integer"), (NUMBER, "number"), (BOOLEAN, "boolean"), (NULL, "null")];
    let mut types: Vec<&str> = names.iter().filter(|(kind, _)| kinds & kind != 0).map(|(_, name)| *name).collect();
    if kinds & STRING != 0 || kinds == NULL {
        return if let [one] = types.as_slice() { json!({"type": one}) } else { json!({"type": types}) };
    }
    types.push("string");
    json!({"type": types, "pattern": REFERENCE})
}
