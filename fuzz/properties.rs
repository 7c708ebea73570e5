//! What holds for any input, however broken: no panic, places that lie in their files, a project or an error and never
//! both. Shared by the fuzz targets and by the short run in the tests of `motet-compose`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use compose::environment::dotenv::{self, DotenvError};
use compose::interpolate::template;
use compose::model::encode::{to_json, to_yaml};
use compose::{LoadRequest, Loaded, Passes, Severity, Span};

/// A line of the input that begins with this names the file that the lines below it are.
pub const FILE_MARK: &str = "#@ ";

/// Splits an input into files below `/p`; what stands before the first mark is `compose.yaml`.
pub fn files(input: &str) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut path = PathBuf::from("/p/compose.yaml");
    let mut text = String::new();
    for line in input.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix(FILE_MARK) {
            files
                .insert(std::mem::replace(&mut path, PathBuf::from("/p").join(name.trim())), std::mem::take(&mut text));
        } else {
            text.push_str(line);
        }
    }
    files.insert(path, text);
    files
}

/// Loads the files of `input` in two ways and checks what came of it.
pub fn load(input: &[u8]) -> Loaded {
    let input = String::from_utf8_lossy(input);
    let files = files(&input);
    let mut request = LoadRequest {
        working_directory: "/p".into(),
        environment: BTreeMap::from([("HOME".into(), "/home/me".into()), ("SET".into(), "set".into())]),
        profiles: vec!["on".into()],
        ..LoadRequest::default()
    };
    let loaded = compose::load(&request, &files);
    check(&loaded);
    request.passes = Passes { interpolate: false, normalize: false, resolve_paths: false, ..request.passes };
    check(&compose::load(&request, &files));
    loaded
}

fn check(loaded: &Loaded) {
    let failed = loaded.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(loaded.project.is_none(), failed, "a project, or an error, and never both");
    for diagnostic in &loaded.diagnostics {
        assert!(!diagnostic.message.is_empty());
        let labels = diagnostic.related.iter().map(|label| label.span);
        for span in diagnostic.span.into_iter().chain(labels) {
            lies_in_its_file(loaded, span, &diagnostic.message);
        }
    }
    if let Some(project) = &loaded.project {
        assert!(!to_yaml(project).is_empty());
        assert!(!to_json(project).is_empty());
    }
}

fn lies_in_its_file(loaded: &Loaded, span: Span, message: &str) {
    let source = loaded.sources.get(span.file).unwrap_or_else(|| panic!("{message}: no such file"));
    let part = source.text.get(span.start as usize..span.end as usize);
    assert!(part.is_some(), "{message}: {span:?} of {} bytes", source.text.len());
    assert!(loaded.sources.position(span).is_some(), "{message}: no line");
}

/// Parses `input` as a file of variables, in both formats.
pub fn dotenv(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let lookup = |name: &str| (name == "SET").then(|| "set".to_owned());
    let lies_in = |error: DotenvError| {
        assert!(text.get(error.offset..error.offset + error.length).is_some(), "{error:?}");
        assert!(!error.message.is_empty());
    };
    if let Err(error) = dotenv::parse(&text, &mut BTreeMap::new(), &lookup) {
        lies_in(error);
    }
    let mut variables = BTreeMap::new();
    match dotenv::parse_raw(&text, &mut variables, &lookup) {
        Ok(()) => assert!(variables.keys().all(|name| !name.is_empty())),
        Err(error) => lies_in(error),
    }
}

/// Interpolates `input`, and what comes of a text without a dollar sign is that text.
pub fn interpolation(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let lookup = |name: &str| match name {
        "SET" | "A" => Some("set".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let mut unset = Vec::new();
    let result = template::substitute(&text, &lookup, &mut unset);
    let names: Vec<String> = template::references(&text).into_iter().map(|reference| reference.name).collect();
    if !text.contains('$') {
        assert_eq!(result.as_deref(), Ok(text.as_ref()));
        assert!(names.is_empty() && unset.is_empty());
    }
    let doubled = text.replace('$', "$$");
    assert_eq!(template::substitute(&doubled, &lookup, &mut Vec::new()).as_deref(), Ok(text.as_ref()));
}
