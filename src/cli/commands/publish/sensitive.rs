//! Finds what looks like a key or a token in a text: forms that nothing else has.

use std::sync::OnceLock;

use regex::Regex;

/// Something that looks secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// What it looks like.
    pub(super) kind: &'static str,
    /// The key that it is written at.
    pub(super) key: String,
    /// The value.
    pub(super) value: String,
}

/// The forms, with what they are called.
const FORMS: [(&str, &str); 6] = [
    ("AWS Client ID", r"\b(?:A3T[A-Z0-9]|AKIA|AGPA|AIDA|AROA|AIPA|ANPA|ANVA|ASIA)[A-Z0-9]{16}\b"),
    ("Github authentication", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})\b"),
    ("JSON Web Token", r"\beyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"),
    ("Private Key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    ("Slack token", r"\bxox[abposr]-[A-Za-z0-9-]{10,}"),
    ("URL with a password", r"\b[a-z][a-z0-9+.-]*://[^/\s:@$]+:[^/\s:@$]+@[^\s]+"),
];

fn forms() -> &'static [(&'static str, Regex)] {
    static COMPILED: OnceLock<Vec<(&str, Regex)>> = OnceLock::new();
    COMPILED.get_or_init(|| FORMS.iter().filter_map(|(kind, form)| Some((*kind, Regex::new(form).ok()?))).collect())
}

/// Returns what is found, line by line.
pub(super) fn find(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for line in text.lines() {
        for (kind, form) in forms() {
            if let Some(value) = form.find(line) {
                let key =
                    line[..value.start()].trim().trim_start_matches("- ").trim_end_matches([':', '=', '"', '\'', ' ']);
                found.push(Found { kind, key: key.to_owned(), value: value.as_str().to_owned() });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood_and_plain_values_are_nothing() {
        assert_eq!(forms().len(), FORMS.len());
        let kinds = |text: &str| find(text).into_iter().map(|found| (found.kind, found.key)).collect::<Vec<_>>();
        let token = format!("ghp_{}", "a1".repeat(18));
        assert_eq!(kinds(&format!("      TOKEN: \"{token}\"")), [("Github authentication", "TOKEN".to_owned())]);
        assert_eq!(kinds("ID=AKIAIOSFODNN7EXAMPLE"), [("AWS Client ID", "ID".to_owned())]);
        assert_eq!(kinds("-----BEGIN RSA PRIVATE KEY-----"), [("Private Key", String::new())]);
        assert_eq!(kinds("  - DB=postgres://me:secret@db/x"), [("URL with a password", "DB".to_owned())]);
        assert_eq!(kinds("image: nginx\nDB: postgres://db/x\nX: ${USER}:${PASS}"), []);
    }
}
