//! Which distribution the host runs, and whether its packages can be used.

use std::path::Path;

/// A host whose packages can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Debian or Ubuntu.
    pub distribution: Distribution,
    /// `12`, `24.04`
    pub version: String,
    /// `bookworm`
    pub codename: String,
}

/// A distribution that we know how to take packages from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Distribution {
    Debian,
    Ubuntu,
}

impl Distribution {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "Debian",
            Self::Ubuntu => "Ubuntu",
        }
    }
}

/// Looks at the host; `None`: its packages are none that we know, or its package tools are missing.
pub fn look() -> Option<Host> {
    let tools = ["/usr/bin/apt-get", "/usr/bin/apt-config", "/usr/bin/dpkg-deb"];
    if !tools.iter().all(|tool| Path::new(tool).exists()) {
        return None;
    }
    let text = std::fs::read_to_string("/etc/os-release").or_else(|_| std::fs::read_to_string("/usr/lib/os-release"));
    parse(&text.ok()?)
}

/// Reads os-release(5).
fn parse(text: &str) -> Option<Host> {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches(['"', '\'']).to_owned())
    };
    let distribution = match &*value("ID")? {
        "debian" => Distribution::Debian,
        "ubuntu" => Distribution::Ubuntu,
        _ => return None,
    };
    // Debian's unreleased suites have no version.
    Some(Host { distribution, version: value("VERSION_ID").unwrap_or_default(), codename: value("VERSION_CODENAME")? })
}

/// Says whether the host's suite is what its distributor calls `stable` now: the package lists know.
pub fn is_stable(host: &Host) -> bool {
    let Ok(folder) = std::fs::read_dir("/var/lib/apt/lists") else { return false };
    let ending = format!("_dists_{}_InRelease", host.codename);
    let releases = folder.flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with(&ending));
    releases.map(|entry| std::fs::read_to_string(entry.path()).unwrap_or_default()).any(|text| {
        let field = |wanted: &str| text.lines().take(40).any(|line| line == wanted);
        field("Origin: Debian") && field("Suite: stable")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_is_read_with_and_without_quotes() {
        let host = parse("NAME=\"Debian\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n").unwrap();
        assert_eq!(
            host,
            Host { distribution: Distribution::Debian, version: "12".into(), codename: "bookworm".into() }
        );
        assert_eq!(parse("ID=alpine\nVERSION_ID=3\n"), None);
    }
}
