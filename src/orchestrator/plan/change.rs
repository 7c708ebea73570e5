//! What differs between what a container was made from and what the file asks for now, attribute by attribute.

use serde_json::Value;

/// Parts of names whose values nobody should read over a shoulder.
const SECRET: [&str; 7] = ["password", "passwd", "secret", "token", "key", "credential", "auth"];

/// Values longer than this are shortened.
const LONGEST: usize = 40;

/// An attribute that is another one now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Below the service: `environment.DEBUG`.
    pub path: String,
    /// As it was; `None`: not there.
    pub before: Option<String>,
    /// As it is; `None`: not there.
    pub now: Option<String>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.path.rsplit('.').next().unwrap_or(&self.path).to_ascii_lowercase();
        if SECRET.iter().any(|secret| name.contains(secret)) {
            return write!(f, "{} changed", self.path);
        }
        match (&self.before, &self.now) {
            (Some(before), Some(now)) => write!(f, "{} {} -> {}", self.path, short(before), short(now)),
            (None, Some(now)) => write!(f, "{} added: {}", self.path, short(now)),
            (Some(_), None) => write!(f, "{} removed", self.path),
            (None, None) => f.write_str(&self.path),
        }
    }
}

fn short(text: &str) -> String {
    let text = if text.is_empty() { "\"\"" } else { text };
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 3).chain("...".chars()).collect()
}

/// Compares two services as JSON.
pub(crate) fn changes(before: &str, now: &str) -> Vec<Change> {
    let (Ok(before), Ok(now)) = (serde_json::from_str(before), serde_json::from_str(now)) else { return Vec::new() };
    let mut changes = Vec::new();
    compare("", Some(&before), Some(&now), &mut changes);
    changes
}

fn compare(path: &str, before: Option<&Value>, now: Option<&Value>, changes: &mut Vec<Change>) {
    if before == now {
        return;
    }
    match (before, now) {
        (Some(Value::Object(before)), Some(Value::Object(now))) => {
            let mut names: Vec<&String> = before.keys().chain(now.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(&inner, before.get(name), now.get(name), changes);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(now))) if before.len() == now.len() => {
            for (index, (before, now)) in before.iter().zip(now).enumerate() {
                compare(&format!("{path}[{index}]"), Some(before), Some(now), changes);
            }
        }
        (before, now) => changes.push(Change { path: path.to_owned(), before: text(before), now: text(now) }),
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    Some(match value? {
        Value::String(text) => text.clone(),
        Value::Null => "unset".to_owned(),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::changes;

    #[test]
    fn changes_are_told_by_attribute_and_secrets_are_not() {
        let before = r#"{"image":"a","environment":{"DEBUG":"0","DB_PASSWORD":"x","OLD":"1"},"ports":[{"target":80}]}"#;
        let now = r#"{"image":"a","environment":{"DEBUG":"1","DB_PASSWORD":"y"},"ports":[{"target":81}],"tty":true}"#;
        let told: Vec<String> = changes(before, now).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "environment.DB_PASSWORD changed",
                "environment.DEBUG 0 -> 1",
                "environment.OLD removed",
                "ports[0].target 80 -> 81",
                "tty added: true"
            ]
        );
    }
}
