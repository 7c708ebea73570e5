//! The name that was meant.

/// Returns the one of `names` that `written` is close to, if any is.
pub fn closest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let written = plain(written);
    let likeness = |name: &str| {
        let name = plain(name);
        // A prefix is close too: `env` for `environment`, `vol` for `volumes`.
        let prefix = if written.len() >= 3 && name.starts_with(&written) { 0.85 } else { 0.0 };
        // One slip of the fingers in a short name: `wbe` for `web`.
        let slip = written.len() >= 3 && name.len() >= 3 && strsim::damerau_levenshtein(&written, &name) == 1;
        let prefix = if slip { 0.85 } else { prefix };
        strsim::jaro_winkler(&written, &name).max(strsim::normalized_damerau_levenshtein(&written, &name)).max(prefix)
    };
    names
        .into_iter()
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness >= 0.82)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_what_was_meant_and_nonsense_finds_nothing() {
        let names = ["command", "container_name", "ports", "profiles", "volumes"];
        assert_eq!(closest("comand", names), Some("command"));
        assert_eq!(closest("prots", names), Some("ports"));
        assert_eq!(closest("container-name", names), Some("container_name"));
        assert_eq!(closest("wbe", ["db", "web"]), Some("web"));
        assert_eq!(closest("zzz", names), None);
    }
}
