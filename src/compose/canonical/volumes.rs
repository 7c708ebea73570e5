//! `source:target:options` to a mount.

use crate::canonical::lists;
use crate::document::node::{Mapping, Node, Value};
use crate::document::session::Session;

/// A mount as the short form says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShortVolume {
    /// A path makes it a bind mount.
    pub source: String,
    /// Path in the container.
    pub target: String,
    read_only: bool,
    nocopy: bool,
    propagation: Option<String>,
    selinux: Option<String>,
    /// One or two characters are a target, whatever they are.
    bare: bool,
}

/// Spells out one mount.
pub fn expand(_: &mut Session<'_>, item: &mut Node) -> Result<(), String> {
    let Some(text) = item.as_str() else { return Ok(()) };
    let volume = parse(text)?;
    let bind = is_path(&volume.source);
    let mut entries = vec![("type", Value::String(if bind { "bind" } else { "volume" }.into()))];
    if !volume.source.is_empty() {
        entries.push(("source", Value::String(volume.source)));
    }
    entries.push(("target", Value::String(clean(&volume.target))));
    if volume.read_only {
        entries.push(("read_only", Value::Bool(true)));
    }
    let options = |entries: Vec<(&'static str, Value)>| lists::mapping(item, entries).value;
    let mut bind_options: Vec<(&'static str, Value)> = Vec::new();
    bind_options.extend(volume.selinux.map(|label| ("selinux", Value::String(label))));
    bind_options.extend(volume.propagation.map(|name| ("propagation", Value::String(name))));
    if bind {
        bind_options.push(("create_host_path", Value::Bool(true)));
    }
    if !bind_options.is_empty() {
        entries.push(("bind", options(bind_options)));
    }
    if volume.nocopy {
        entries.push(("volume", options(vec![("nocopy", Value::Bool(true))])));
    } else if !bind && !volume.bare {
        entries.push(("volume", Value::Mapping(Mapping::default())));
    }
    *item = lists::mapping(item, entries);
    Ok(())
}

/// Reads the short form.
pub fn parse(text: &str) -> Result<ShortVolume, String> {
    if text.is_empty() {
        return Err("a volume is empty".into());
    }
    if text.len() <= 2 {
        return Ok(ShortVolume { target: text.to_owned(), bare: true, ..ShortVolume::default() });
    }
    let mut parts: Vec<String> = Vec::new();
    let mut part = String::new();
    let mut depth = 0_usize;
    let mut previous = ' ';
    for character in text.chars() {
        match character {
            '{' if previous == '$' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            _ => {}
        }
        previous = character;
        if character == ':' && depth == 0 && !is_drive(&part) {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(character);
        }
    }
    parts.push(part);
    if parts.iter().any(String::is_empty) {
        return Err(format!("the volume `{text}` has nothing between two colons"));
    }
    let mut parts = parts.into_iter();
    let first = parts.next().unwrap_or_default();
    let mut volume = match parts.next() {
        None => return Ok(ShortVolume { target: first, ..ShortVolume::default() }),
        Some(target) => ShortVolume { source: first, target, ..ShortVolume::default() },
    };
    let options = parts.next().unwrap_or_default();
    if parts.next().is_some() {
        return Err(format!("the volume `{text}` has too many colons"));
    }
    for option in options.split(',') {
        match option {
            "ro" => volume.read_only = true,
            "rw" => volume.read_only = false,
            "nocopy" => volume.nocopy = true,
            "z" | "Z" => volume.selinux = Some(option.to_owned()),
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                volume.propagation = Some(option.to_owned());
            }
            _ => {}
        }
    }
    Ok(volume)
}

/// Says whether `part` is the letter of a Windows drive, so that the colon behind it separates nothing.
fn is_drive(part: &str) -> bool {
    let mut characters = part.chars();
    characters.next().is_some_and(char::is_alphabetic) && characters.next().is_none()
}

fn is_path(source: &str) -> bool {
    let mut characters = source.chars();
    let drive = characters.next().is_some_and(char::is_alphabetic) && characters.next() == Some(':');
    source.starts_with(['.', '/', '~']) || source.starts_with("\\\\") || drive
}

/// Works out `.`, `..` and doubled slashes of a path in a container.
pub fn clean(target: &str) -> String {
    if target.is_empty() {
        return String::new();
    }
    let absolute = target.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            _ => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".into(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, source: &str, target: &str) {
        let volume = parse(text).unwrap();
        assert_eq!((volume.source.as_str(), volume.target.as_str()), (source, target), "{text}");
    }

    #[test]
    fn every_short_form_is_read() {
        check("/data", "", "/data");
        check("db:/data", "db", "/data");
        check("./x:/data:ro", "./x", "/data");
        check("c:\\x:/data", "c:\\x", "/data");
        check("v:/x", "", "v:/x");
        check("${A:-x}:/y", "${A:-x}", "/y");
        assert!(parse("db:/data:ro,z").unwrap().read_only);
        assert!(parse("aa:bb:cc:dd").is_err());
        assert!(parse(":/x").is_err());
    }

    #[test]
    fn targets_are_cleaned() {
        assert_eq!(clean("/a//b/../c/"), "/a/c");
        assert_eq!(clean("/.."), "/");
    }
}
