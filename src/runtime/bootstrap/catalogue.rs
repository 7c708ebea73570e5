//! Which references the host's packages can stand for: well-known names, and only tags that the packages' versions satisfy.

use crate::bootstrap::host::{self, Distribution, Host};
use crate::image::reference::{DEFAULT_REGISTRY, Reference};

/// What an image brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Software {
    /// The distribution itself.
    System,
    Python,
    Redis,
    Nginx,
    Postgres,
    Busybox,
}

/// A name of the catalogue with a tag that may match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What to assemble.
    pub software: Software,
    /// The version that the tag asks for, if it does: `3`, `3.11`.
    pub version: Option<String>,
}

impl Software {
    /// Packages beyond the distribution's essential ones.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Self::System => &[],
            Self::Python => &["python3", "python3-pip", "python3-venv"],
            Self::Redis => &["redis-server"],
            Self::Nginx => &["nginx"],
            Self::Postgres => &["postgresql"],
            Self::Busybox => &["busybox-static"],
        }
    }

    /// The package whose version the tag speaks of.
    pub fn leading_package(self) -> Option<&'static str> {
        match self {
            Self::System => None,
            Self::Python | Self::Redis | Self::Nginx | Self::Postgres | Self::Busybox => {
                self.packages().first().copied()
            }
        }
    }
}

/// Looks a reference up; `None`: not in the catalogue, or its tag can't match.
pub fn find(reference: &Reference, host: &Host) -> Option<Candidate> {
    if reference.registry != DEFAULT_REGISTRY || reference.digest.is_some() {
        return None;
    }
    let tag = reference.tag.as_deref()?;
    let software = match reference.repository.strip_prefix("library/")? {
        "debian" if host.distribution == Distribution::Debian => Software::System,
        "ubuntu" if host.distribution == Distribution::Ubuntu => Software::System,
        "python" => Software::Python,
        "redis" => Software::Redis,
        "nginx" => Software::Nginx,
        "postgres" => Software::Postgres,
        "busybox" => Software::Busybox,
        _ => return None,
    };
    match software {
        Software::System => {
            system_tag(tag, host, || host::is_stable(host)).then_some(Candidate { software, version: None })
        }
        Software::Python | Software::Redis | Software::Nginx | Software::Postgres | Software::Busybox => {
            let version = version_tag(tag, &host.codename)?;
            Some(Candidate { software, version })
        }
    }
}

/// Says whether a version satisfies what a tag asks for: `3.11` does `3` and `3.11`, not `3.1`.
pub fn satisfies(version: &str, wanted: &str) -> bool {
    version.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Returns the version as upstream counts: `5:7.0.15-1~deb12u7` is `7.0.15`, `15+248+deb12u1` is `15`.
pub fn upstream_version(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |it| it.1);
    version.split(['-', '+', '~']).next().unwrap_or(version)
}

fn system_tag(tag: &str, host: &Host, is_stable: impl Fn() -> bool) -> bool {
    let tag = tag.strip_suffix("-slim").unwrap_or(tag);
    // Point releases (`12.5`) are other states of the same suite: not ours to promise.
    tag == host.codename
        || (tag == host.version && !tag.is_empty())
        || (matches!(tag, "stable" | "latest") && host.distribution == Distribution::Debian && is_stable())
}

/// Splits `3.11-slim-bookworm`; the outer `None`: a variant that packages can't be (`alpine`, another suite).
fn version_tag(tag: &str, codename: &str) -> Option<Option<String>> {
    let mut version = None;
    for (place, part) in tag.split('-').enumerate() {
        match part {
            "slim" => {}
            suite if suite == codename => {}
            "latest" if place == 0 && tag == "latest" => {}
            number
                if place == 0
                    && number.split('.').all(|it| !it.is_empty() && it.bytes().all(|c| c.is_ascii_digit())) =>
            {
                version = Some(number.to_owned());
            }
            _ => return None,
        }
    }
    Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reference: &str, expected: Option<(Software, Option<&str>)>) {
        let host = Host { distribution: Distribution::Debian, version: "12".into(), codename: "bookworm".into() };
        let found = find(&Reference::parse(reference).unwrap(), &host);
        let found = found.as_ref().map(|it| (it.software, it.version.as_deref()));
        assert_eq!(found, expected, "{reference}");
    }

    #[test]
    fn only_tags_that_can_match_are_found() {
        check("python:3-slim", Some((Software::Python, Some("3"))));
        check("python:3.11-slim-bookworm", Some((Software::Python, Some("3.11"))));
        check("python", Some((Software::Python, None)));
        check("python:3-alpine", None);
        check("python:3-slim-trixie", None);
        check("python:rc", None);
        check("redis:7-bookworm", Some((Software::Redis, Some("7"))));
        check("redis", Some((Software::Redis, None)));
        check("ghcr.io/library/redis", None);
        check("me/redis", None);
        check("debian:12", Some((Software::System, None)));
        check("debian:bookworm-slim", Some((Software::System, None)));
        check("debian:11", None);
        check("debian:12.5", None);
        check("ubuntu:24.04", None);
        check("node:20", None);
        check(&format!("redis@{}", crate::image::digest::Digest::of(b"")), None);
    }

    #[test]
    fn stable_is_what_the_lists_call_so() {
        let host = Host { distribution: Distribution::Debian, version: "12".into(), codename: "bookworm".into() };
        assert!(system_tag("latest", &host, || true) && system_tag("stable-slim", &host, || true));
        assert!(!system_tag("latest", &host, || false));
    }

    #[test]
    fn versions_match_by_whole_numbers() {
        assert!(satisfies("3.11.2", "3") && satisfies("3.11.2", "3.11") && satisfies("3.11.2", "3.11.2"));
        assert!(!satisfies("3.11.2", "3.1") && !satisfies("3.11.2", "2") && !satisfies("3.11.2", "3.11.20"));
        assert_eq!(upstream_version("5:7.0.15-1~deb12u7"), "7.0.15");
        assert_eq!(upstream_version("15+248+deb12u1"), "15");
        assert_eq!(upstream_version("1:1.35.0-4+deb12u1+b1"), "1.35.0");
    }
}
