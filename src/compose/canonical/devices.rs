//! `/dev/a:/dev/b:rwm` and `gpus: all` to their long forms.

use crate::canonical::lists;
use crate::document::node::{Node, Value};
use crate::document::session::Session;

/// Spells out a device mapping.
pub fn expand(_: &mut Session<'_>, item: &mut Node) -> Result<(), String> {
    let Some(text) = item.as_str() else { return Ok(()) };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, "", "rwm"),
        [source, target] => (*source, *target, "rwm"),
        [source, target, permissions] => (*source, *target, *permissions),
        _ => return Err(format!("`{text}` has too many colons for a device; use the long form")),
    };
    let target = if target.is_empty() { source } else { target };
    let text = |text: &str| Value::String(text.to_owned());
    *item =
        lists::mapping(item, [("source", text(source)), ("target", text(target)), ("permissions", text(permissions))]);
    Ok(())
}

/// Spells out `gpus: all`.
pub fn expand_gpus(node: &mut Node) {
    if node.as_str().is_some() {
        let all = lists::mapping(node, [("count", Value::String("all".into()))]);
        node.value = Value::Sequence(vec![all]);
    }
}
