//! The rules that the compiler does not know: arrows between rooms, invariants, file size, headers, words.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Rooms of each crate in order: a room may import only what stands to its right.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "runtime",
        &[
            "hidden",
            "container",
            "build",
            "keeper",
            "sandbox",
            "network",
            "acquire",
            "bootstrap",
            "registry",
            "snapshot",
            "volume",
            "cgroup",
            "image",
            "state",
            "progress",
            "sys",
        ],
    ),
    ("orchestrator", &["operations", "execute", "plan", "observed", "desired", "graph", "identity", "event", "engine"]),
    (
        "compose",
        &[
            "load",
            "select",
            "model",
            "assemble",
            "canonical",
            "check",
            "environment",
            "interpolate",
            "document",
            "request",
            "diagnostic",
            "file_system",
            "source",
        ],
    ),
    ("cli", &["commands", "tui", "app", "print", "args", "error"]),
];

/// The design's words for what these say badly; as parts of file names.
const UNUSED_FILE_NAMES: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "manager", "types", "imp", "wrapper"];

/// A source file of ours.
struct Source {
    /// Relative to the workspace root.
    path: PathBuf,
    text: String,
}

impl Source {
    /// Text without its unit tests, so that a rule about the product does not bind them.
    fn product(&self) -> &str {
        self.text.split("#[cfg(test)]").next().unwrap_or("")
    }

    fn is_test(&self) -> bool {
        let path = self.path.to_string_lossy();
        path.starts_with("tests/")
            || path.contains("/tests/")
            || path.ends_with("/tests.rs")
            || path.starts_with("benches/")
    }

    fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    /// Lines of the product that are no comments, with their numbers from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.product()
            .lines()
            .enumerate()
            .map(|(i, line)| (i + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<Source>) {
        let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(Source { path: path.strip_prefix(root()).unwrap().to_path_buf(), text });
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches"] {
        walk(&root().join(folder), &mut found);
    }
    assert!(found.len() > 100, "the walk must see the whole tree");
    found
}

/// Fails with every finding, a line each.
fn must_be_empty(findings: &[String], rule: &str) {
    let mut text = String::new();
    for finding in findings {
        let _ = writeln!(text, "  {finding}");
    }
    assert!(findings.is_empty(), "{rule}:\n{text}");
}

#[test]
fn every_file_says_what_it_is_for_and_stays_small() {
    let mut findings = Vec::new();
    for source in sources() {
        let path = source.path.display();
        if !source.text.starts_with("//!") {
            findings.push(format!("{path}: no `//!` header"));
        }
        let lines = source.text.lines().count();
        if lines > 500 {
            findings.push(format!("{path}: {lines} lines; split it by noun"));
        }
        let name = source.path.file_stem().unwrap().to_string_lossy().into_owned();
        if UNUSED_FILE_NAMES.contains(&name.as_str()) {
            findings.push(format!("{path}: the name says nothing"));
        }
    }
    must_be_empty(&findings, "a file opens with its purpose, has at most 500 lines and a name that says what is in it");
}

#[test]
fn arrows_inside_a_crate_only_go_down() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (package, rooms) in ARROWS {
            let folder = Path::new("src").join(package);
            let Ok(inside) = source.path.strip_prefix(&folder) else { continue };
            let room = inside.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
            let Some(here) = rooms.iter().position(|name| *name == room) else {
                // `lib.rs` and `main.rs` stand above all rooms.
                if !["lib", "main"].contains(&room.as_str()) {
                    findings.push(format!("{}: room `{room}` has no place in the order", source.path.display()));
                }
                continue;
            };
            for (number, line) in source.code() {
                for (there, name) in rooms.iter().enumerate() {
                    let imports =
                        line.contains(&format!("crate::{name}::")) || line.contains(&format!("crate::{name};"));
                    if imports && there < here {
                        findings.push(format!(
                            "{}:{number}: `{room}` imports `{name}`, which stands above it",
                            source.path.display()
                        ));
                    }
                }
            }
        }
    }
    must_be_empty(&findings, "a room may import only what stands to its right");
}

#[test]
fn the_understanding_of_files_has_no_clock_network_or_async() {
    let forbidden =
        ["SystemTime", "Instant::", "tokio", "std::net::Tcp", "std::net::Udp", "std::fs::", "std::env::", "async fn"];
    let findings =
        forbidden_words(|source| source.is_in("src/compose") && !source.path.ends_with("file_system.rs"), &forbidden);
    must_be_empty(&findings, "I1: compose reads through its Reader and knows no clock, network or async");
}

#[test]
fn the_plan_does_no_input_or_output() {
    let forbidden = ["async fn", "std::fs::", "SystemTime::now", "Instant::now", "tokio", ".await"];
    let findings = forbidden_words(|source| source.is_in("src/orchestrator/plan"), &forbidden);
    must_be_empty(&findings, "I2: the same input gives the same plan");
}

#[test]
fn no_foreign_type_crosses_the_engine_seam() {
    let forbidden = ["bollard", "runtime::", "serde_yaml", "granit"];
    let findings = forbidden_words(|source| source.is_in("src/orchestrator"), &forbidden);
    must_be_empty(&findings, "I4: no bollard, runtime or YAML type crosses the Engine trait");
}

#[test]
fn only_the_command_line_prints_exits_and_reads_the_environment() {
    let forbidden = ["println!", "eprintln!", "process::exit", "env::var", "is_terminal"];
    let findings = forbidden_words(|source| !source.is_in("src/cli"), &forbidden);
    must_be_empty(&findings, "I5: only cli prints, exits, reads the environment or asks the terminal");
}

#[test]
fn the_runtime_knows_no_word_of_compose() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| source.is_in("src/runtime")) {
        for (number, line) in source.text.lines().enumerate() {
            let words = line.to_lowercase();
            for word in words.split(|c: char| !c.is_ascii_alphabetic()) {
                if ["compose", "replica", "replicas", "project", "projects"].contains(&word) {
                    findings.push(format!("{}:{}: `{word}`", source.path.display(), number + 1));
                }
            }
        }
    }
    must_be_empty(&findings, "I6: labels are opaque to the runtime");
}

#[test]
fn unsafe_code_stands_in_sys_alone() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| !source.is_in("src/runtime/sys") && !source.is_test()) {
        for (number, line) in source.code() {
            let has_block = line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl");
            if has_block || line.contains("expect(unsafe_code") {
                findings.push(format!("{}:{number}", source.path.display()));
            }
        }
    }
    must_be_empty(&findings, "I7: `unsafe` only in runtime/sys");
}

#[test]
fn nothing_is_silenced_without_a_reason_or_left_for_later() {
    let mut findings = Vec::new();
    for source in sources() {
        if source.path.ends_with("tests/tidy.rs") {
            continue;
        }
        for (number, line) in source.text.lines().enumerate() {
            let later = ["TODO", "FIXME", "XXX:"].iter().any(|word| line.contains(word));
            if line.contains("#[allow(") || line.contains("#![allow(") || later || line.contains("#[ignore") {
                findings.push(format!("{}:{}: {}", source.path.display(), number + 1, line.trim()));
            }
        }
    }
    must_be_empty(&findings, "`#[expect(.., reason)]` instead of allow; an issue instead of a note to oneself");
}

#[test]
fn imports_are_absolute_so_that_the_arrows_show() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (number, line) in source.code() {
            let line = line.trim_start();
            let relative = line.starts_with("use super::") || line.starts_with("use self::");
            if relative || (line.starts_with("use ") && line.ends_with("::*;")) {
                findings.push(format!("{}:{number}: {line}", source.path.display()));
            }
        }
    }
    must_be_empty(&findings, "`use crate::..`, each item by name");
}

#[test]
fn waiting_is_for_events() {
    // Where no event exists (a back-off before a registry is asked again) the lint is expected with its reason.
    let gives_reason = |source: &Source| source.text.contains("clippy::disallowed_methods,");
    let findings = forbidden_words(|source| !gives_reason(source), &["thread::sleep", "time::sleep("]);
    must_be_empty(
        &findings,
        "no sleeping where an event exists; a timer of the product is a deadline of its poll loop",
    );
}

#[test]
fn the_suite_lists_every_file_of_it() {
    let main = std::fs::read_to_string(root().join("tests/main.rs")).unwrap();
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| source.is_in("tests") && !source.path.ends_with("main.rs")) {
        let name = source.path.file_stem().unwrap().to_string_lossy();
        if !main.contains(&format!("mod {name};")) {
            findings.push(source.path.display().to_string());
        }
    }
    must_be_empty(&findings, "a file that tests/main.rs does not list is never run");
}

#[test]
fn the_map_names_every_room() {
    let map = std::fs::read_to_string(root().join("src/README.md")).unwrap();
    let mut findings = Vec::new();
    for (package, rooms) in ARROWS {
        for room in *rooms {
            let folder = root().join("src").join(package).join(room);
            let exists = folder.is_dir() || folder.with_extension("rs").is_file();
            let named = map.contains(&format!("`{package}/{room}"));
            if exists != named {
                findings.push(format!("{package}/{room}: in the tree: {exists}, on the map: {named}"));
            }
        }
    }
    must_be_empty(&findings, "src/README.md names each room that is there, and no other");
}

#[test]
fn every_dependency_says_why_it_is_taken() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = manifest.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let mut findings = Vec::new();
    let mut previous = "";
    for line in section.lines().filter(|line| !line.trim().is_empty()) {
        let is_ours = line.contains("path = \"src/");
        if !line.starts_with('#') && !is_ours && previous.is_empty() {
            findings.push(line.to_owned());
        }
        // One reason may stand above several lines of one purpose.
        if line.starts_with('#') {
            previous = line;
        }
    }
    must_be_empty(&findings, "a dependency carries its reason");
}

/// Finds `words` in the product code of the files that `belongs` picks.
fn forbidden_words(belongs: impl Fn(&Source) -> bool, words: &[&str]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test() && belongs(source)) {
        for (number, line) in source.code() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                findings.push(format!("{}:{number}: `{word}`", source.path.display()));
            }
        }
    }
    findings
}
