//! `RUN --mount`: comma-separated options to a typed mount.

use crate::build::dockerfile::flags::did_you_mean;
use crate::build::dockerfile::instruction::{RunMount, RunMountKind};

const KEYS: [&str; 17] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
];
const MORE_KEYS: [&str; 2] = ["gid", "env"];
const KINDS: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];

/// Reads `type=cache,target=/root/.cache`.
pub fn parse(text: &str, expand: &dyn Fn(&str) -> Result<String, String>) -> Result<RunMount, String> {
    let mut mount = RunMount::default();
    for field in fields(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value)),
            None => (field.to_lowercase(), None),
        };
        let value = match value {
            Some(value) if key == "from" && value.contains('$') => {
                return Err("'from' doesn't support variable expansion, define alias stage instead".to_owned());
            }
            Some(value) => Some(expand(value)?),
            None => None,
        };
        let value = value.as_deref();
        match (key.as_str(), value) {
            ("readonly" | "ro", None) => mount.read_only = Some(true),
            ("readwrite" | "rw", None) => mount.read_only = Some(false),
            ("readonly" | "ro", Some(value)) => mount.read_only = Some(boolean(&key, value)?),
            ("readwrite" | "rw", Some(value)) => mount.read_only = Some(!boolean(&key, value)?),
            ("required", None) => mount.required = true,
            ("required", Some(value)) => mount.required = boolean(&key, value)?,
            ("type", Some(value)) => mount.kind = kind(value)?,
            ("from", Some(value)) => mount.from = Some(value.to_owned()),
            ("source" | "src", Some(value)) => mount.source = Some(value.to_owned()),
            ("target" | "dst" | "destination", Some(value)) => mount.target = Some(value.to_owned()),
            ("id", Some(value)) => mount.id = Some(value.to_owned()),
            ("sharing", Some(value)) => mount.sharing = Some(sharing(value)?),
            ("size", Some(value)) => mount.size = Some(value.to_owned()),
            ("mode", Some(value)) => mount.mode = Some(value.to_owned()),
            ("uid", Some(value)) => mount.uid = Some(value.to_owned()),
            ("gid", Some(value)) => mount.gid = Some(value.to_owned()),
            ("env", Some(value)) => mount.env = Some(value.to_owned()),
            (key, Some(_)) => {
                let known: Vec<&str> = KEYS.iter().chain(&MORE_KEYS).copied().collect();
                return Err(format!("unexpected key '{key}' in '{field}'{}", did_you_mean(key, &known)));
            }
            (_, None) => return Err(format!("invalid field '{field}' must be a key=value pair")),
        }
    }
    check(&mount)?;
    Ok(mount)
}

fn check(mount: &RunMount) -> Result<(), String> {
    match mount.kind {
        RunMountKind::Cache | RunMountKind::Tmpfs if mount.target.is_none() => {
            Err(format!("target is required for a mount of type {}", name(mount.kind)))
        }
        RunMountKind::Secret if mount.target.is_none() && mount.id.is_none() && mount.source.is_none() => {
            Err("invalid secret mount: one of source, target, id is required".to_owned())
        }
        RunMountKind::Bind | RunMountKind::Cache | RunMountKind::Tmpfs | RunMountKind::Secret | RunMountKind::Ssh => {
            Ok(())
        }
    }
}

/// Returns the name of a kind of mount.
pub fn name(kind: RunMountKind) -> &'static str {
    match kind {
        RunMountKind::Bind => "bind",
        RunMountKind::Cache => "cache",
        RunMountKind::Tmpfs => "tmpfs",
        RunMountKind::Secret => "secret",
        RunMountKind::Ssh => "ssh",
    }
}

fn kind(value: &str) -> Result<RunMountKind, String> {
    Ok(match value.to_lowercase().as_str() {
        "bind" => RunMountKind::Bind,
        "cache" => RunMountKind::Cache,
        "tmpfs" => RunMountKind::Tmpfs,
        "secret" => RunMountKind::Secret,
        "ssh" => RunMountKind::Ssh,
        other => return Err(format!("unsupported mount type {other:?}{}", did_you_mean(other, &KINDS))),
    })
}

fn sharing(value: &str) -> Result<String, String> {
    let known = ["shared", "private", "locked"];
    let lower = value.to_lowercase();
    if known.contains(&lower.as_str()) {
        return Ok(lower);
    }
    Err(format!("unsupported sharing value {value:?}{}", did_you_mean(value, &known)))
}

fn boolean(key: &str, value: &str) -> Result<bool, String> {
    match value.to_lowercase().as_str() {
        "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(format!("invalid value for {key}: {value}")),
    }
}

/// Splits at commas; a field in double quotes may hold one (CSV).
fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut characters = quoted.char_indices().peekable();
            let end = loop {
                match characters.next() {
                    Some((_, '"')) if characters.peek().is_some_and(|(_, c)| *c == '"') => {
                        characters.next();
                        field.push('"');
                    }
                    Some((at, '"')) => break at + 1,
                    Some((_, c)) => field.push(c),
                    None => return Err(format!("unterminated quote in '{text}'")),
                }
            };
            fields.push(field);
            rest = &quoted[end..];
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            fields.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::build::dockerfile::instruction::{RunMount, RunMountKind};

    fn read(text: &str) -> Result<RunMount, String> {
        parse(text, &|value| Ok(value.to_owned()))
    }

    #[test]
    fn a_cache_mount_is_read_with_its_options() {
        let mount = read("type=cache,target=/c,sharing=locked,ro").unwrap();
        assert_eq!(
            (mount.kind, mount.target.as_deref(), mount.read_only),
            (RunMountKind::Cache, Some("/c"), Some(true))
        );
    }

    #[test]
    fn a_misspelt_option_is_named_with_what_was_meant() {
        assert_eq!(read("typ=tmpfs").unwrap_err(), "unexpected key 'typ' in 'typ=tmpfs' (did you mean type?)");
        assert_eq!(read("type=tmp,target=/x").unwrap_err(), "unsupported mount type \"tmp\" (did you mean tmpfs?)");
    }
}
