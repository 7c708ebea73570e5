//! Every code that the crate can produce has its text, and the text's example produces that code.

use std::collections::BTreeSet;
use std::path::Path;

use compose::LoadRequest;
use compose::diagnostic::explanation;

#[path = "../../../fuzz/properties.rs"]
#[expect(dead_code, reason = "only the form of its inputs is used")]
mod properties;

fn codes(input: &str) -> BTreeSet<u16> {
    let request = LoadRequest { working_directory: "/p".into(), ..LoadRequest::default() };
    let loaded = compose::load(&request, &properties::files(input));
    loaded.diagnostics.iter().map(|diagnostic| diagnostic.code.0).collect()
}

#[test]
fn the_wrong_example_of_every_code_produces_it_and_the_right_one_nothing_of_the_kind() {
    let mut findings = Vec::new();
    for explanation in explanation::all().filter(|explanation| !explanation.wrong.is_empty()) {
        let (wrong, right) = (codes(explanation.wrong), codes(explanation.right));
        if !wrong.contains(&explanation.code) || !right.is_empty() {
            findings.push(format!("E{:04}: the wrong one gives {wrong:?}, the right one {right:?}", explanation.code));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn every_code_of_the_sources_has_a_text_and_every_text_a_code() {
    fn walk(folder: &Path, found: &mut BTreeSet<u16>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() && entry.file_name().is_none_or(|name| name != "tests") {
                walk(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&entry).unwrap();
                let text = text.split("#[cfg(test)]").next().unwrap();
                for call in text.split("Diagnostic::error(").chain(text.split("Diagnostic::warning(")).skip(1) {
                    let digits: String = call.trim_start().chars().take_while(char::is_ascii_digit).collect();
                    found.extend(digits.parse::<u16>().ok());
                }
            }
        }
    }
    let mut produced = BTreeSet::new();
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), &mut produced);
    // This one is the program's: the crate itself never looks into a build context.
    produced.insert(560);
    let explained: Vec<u16> = explanation::all().map(|explanation| explanation.code).collect();
    assert!(explained.is_sorted());
    assert_eq!(produced, explained.into_iter().collect());
}
