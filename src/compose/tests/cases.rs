//! Every folder of `cases` is loaded, and what comes of it is held against the file beside it.
//!
//! `expected.yaml` is what `config` prints, `expected.diagnostics` what is said. `UPDATE_EXPECT=1` rewrites both.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use compose::{FileSystem, LoadRequest, Severity};
use expect_test::expect_file;

use crate::describe::describe;

#[path = "support/describe.rs"]
mod describe;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn check(case: &Path) {
    let request = LoadRequest {
        working_directory: case.to_path_buf(),
        environment: BTreeMap::from([("HOME".to_owned(), "/home/me".to_owned())]),
        ..LoadRequest::default()
    };
    let loaded = compose::load(&request, &FileSystem);
    let short = |text: String| text.replace(&case.display().to_string(), "<case>");
    let diagnostics = short(describe(&loaded));
    if diagnostics.is_empty() {
        assert!(!case.join("expected.diagnostics").exists(), "{}: nothing is said any more", case.display());
    } else {
        expect_file![case.join("expected.diagnostics")].assert_eq(&diagnostics);
    }
    let failed = loaded.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(loaded.project.is_none(), failed, "{}: a project, or an error, and never both", case.display());
    if let Some(project) = &loaded.project {
        expect_file![case.join("expected.yaml")].assert_eq(&short(compose::model::encode::to_yaml(project)));
    }
}

#[test]
fn every_case_loads_as_expected() {
    let cases = cases();
    assert!(cases.len() > 20);
    for case in cases {
        check(&case);
    }
}
