//! Image references as people write them: `redis:7`, `ghcr.io/a/b@sha256:..`, in Docker's grammar and short forms.

use std::fmt;

use crate::image::digest::Digest;

/// The registry of a reference that names none.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// A whole reference: registry, repository, and a tag or digest or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Host and port, `docker.io` when none was written.
    pub registry: String,
    /// `library/redis`
    pub repository: String,
    /// `latest` when neither tag nor digest was written.
    pub tag: Option<String>,
    /// The manifest's digest, when written.
    pub digest: Option<Digest>,
}

/// The text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image reference: {why}")]
pub struct ReferenceError {
    /// What was given.
    pub text: String,
    /// The rule it breaks.
    pub why: &'static str,
}

impl Reference {
    /// Parses what people write, filling in registry, `library/` and `latest`.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let error = |why| ReferenceError { text: text.into(), why };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse().map_err(|_| error("after `@` comes `sha256:` and 64 hex digits"))?))
            }
            None => (text, None),
        };
        let (rest, tag) = match rest.rsplit_once(':') {
            // A colon before a slash belongs to the registry's port.
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            Some(_) | None => (rest, None),
        };
        let (registry, repository) = match rest.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path.to_owned()),
            Some(_) | None => (DEFAULT_REGISTRY, rest.to_owned()),
        };
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        let repository = match repository.contains('/') || registry != DEFAULT_REGISTRY {
            true => repository,
            false => format!("library/{repository}"),
        };
        check_registry(registry).map_err(error)?;
        check_repository(&repository).map_err(error)?;
        if let Some(tag) = &tag {
            check_tag(tag).map_err(error)?;
        }
        let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }

    /// Returns the tag, or else the digest, as a registry's `manifests/` path wants it: the digest decides.
    pub fn manifest(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// Returns registry and repository in short form: `redis`, `ghcr.io/a/b`.
    pub fn name(&self) -> String {
        match self.registry == DEFAULT_REGISTRY {
            true => self.repository.strip_prefix("library/").unwrap_or(&self.repository).to_owned(),
            false => format!("{}/{}", self.registry, self.repository),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn check_registry(registry: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    let edges = |c: char| c.is_ascii_alphanumeric() || "[]".contains(c);
    match registry.starts_with(edges) && registry.ends_with(edges) && registry.chars().all(allowed) {
        true => Ok(()),
        false => Err("the registry is a host name and perhaps a port"),
    }
}

fn check_repository(repository: &str) -> Result<(), &'static str> {
    if repository.chars().any(|c| c.is_ascii_uppercase()) {
        return Err("the name must be in lower case");
    }
    if repository.len() > 255 {
        return Err("the name is longer than 255 characters");
    }
    // Separators stand alone between letters and digits; `__` and any number of `-` may too.
    let part = |part: &str| {
        let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(alphanumeric)
            && part.ends_with(alphanumeric)
            && part.split(alphanumeric).all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|c| c == b'-'))
    };
    match repository.split('/').all(part) {
        true => Ok(()),
        false => Err("a name is lower-case letters, digits, and single `.`, `_`, `-` or `/` between them"),
    }
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    match !tag.is_empty() && tag.len() <= 128 && !tag.starts_with(['.', '-']) && tag.chars().all(allowed) {
        true => Ok(()),
        false => Err("a tag is at most 128 letters, digits, `_`, `.` and `-`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, registry: &str, repository: &str, tag: Option<&str>, shown: &str) {
        let reference = Reference::parse(text).unwrap();
        assert_eq!((&*reference.registry, &*reference.repository), (registry, repository), "{text}");
        assert_eq!(reference.tag.as_deref(), tag, "{text}");
        assert_eq!(reference.to_string(), shown);
    }

    #[test]
    fn short_forms_are_filled_in() {
        check("redis", "docker.io", "library/redis", Some("latest"), "redis:latest");
        check("redis:7", "docker.io", "library/redis", Some("7"), "redis:7");
        check("docker.io/library/redis:7", "docker.io", "library/redis", Some("7"), "redis:7");
        check("index.docker.io/redis", "docker.io", "library/redis", Some("latest"), "redis:latest");
        check("me/app:1", "docker.io", "me/app", Some("1"), "me/app:1");
        check("localhost/app", "localhost", "app", Some("latest"), "localhost/app:latest");
        check("localhost:5000/a/b:x", "localhost:5000", "a/b", Some("x"), "localhost:5000/a/b:x");
        check("ghcr.io/a/b__c-d", "ghcr.io", "a/b__c-d", Some("latest"), "ghcr.io/a/b__c-d:latest");
        let digest = Digest::of(b"");
        let shown = format!("redis@{digest}");
        check(&shown, "docker.io", "library/redis", None, &shown);
    }

    #[test]
    fn wrong_references_are_refused_with_the_rule() {
        for text in
            ["", ":", "Redis", "a//b", "a:b:c", "redis:", "redis:-x", "redis@sha256:1", "../etc", "a/..", "a b", "a..b"]
        {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
        let error = Reference::parse("Redis").unwrap_err();
        assert_eq!(error.to_string(), "`Redis` is not an image reference: the name must be in lower case");
    }
}
