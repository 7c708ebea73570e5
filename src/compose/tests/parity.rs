//! The recorded answers of the reference to `config --format json`, case by case.
//!
//! They lie beside the project, in `../shared/parity`: a folder of projects and a folder of answers. A case's id is
//! `FOLDER/FILE` (that file alone), `FOLDER :: auto` (the folder as it is) or `FOLDER :: ID` (of its `cases.json`).

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use compose::{FileSystem, LoadRequest, Passes, Severity};
use serde_json::{Map, Value};

/// Cases in which we differ on purpose: id, and why.
const KNOWN: &[(&str, &str)] = &[
    ("compose-go-inline/build_extra-9f020e6d.compose.yaml", "`build.no_cache_filter` came with the version after it"),
    (
        "compose-go-inline/reset-999c9769.compose.yaml",
        "a cycle is seen there: the name `test.other` is taken for a path into `test`",
    ),
    ("micro/cli :: env-file", "`{PASS:, V2: }` has a key `PASS:` there; YAML 1.2 (7.3.3) ends the key at the colon"),
    ("micro/cli :: var-from-sub", "the same file"),
];

/// What the program is given in one case.
struct Case {
    folder: PathBuf,
    arguments: Vec<String>,
    after: Vec<String>,
    environment: BTreeMap<String, String>,
    stdin: Option<String>,
}

fn find(corpus: &Path, id: &str) -> Option<Case> {
    let (id, number) = match id.rsplit_once(" #") {
        Some((id, number)) => (id, number.parse().ok()?),
        None => (id, 0),
    };
    let plain = |folder: PathBuf, arguments: Vec<String>| {
        Some(Case { folder, arguments, after: Vec::new(), environment: BTreeMap::new(), stdin: None })
    };
    let Some((folder, name)) = id.split_once(" :: ") else {
        let path = corpus.join(id);
        let file = path.file_name()?.to_str()?.to_owned();
        return if path.exists() { plain(path.parent()?.to_path_buf(), vec!["-f".into(), file]) } else { None };
    };
    let folder = corpus.join(folder);
    let listed = std::fs::read_to_string(folder.join("cases.json")).unwrap_or_else(|_| "[]".into());
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let own = listed.iter().filter(|case| case["args"].is_array());
    let mut own = own.filter(|case| match case["id"].as_str() {
        Some(own) if !own.is_empty() => own == name,
        _ => texts(&case["args"]).join(" ") == name,
    });
    match own.nth(number) {
        Some(case) => Some(Case {
            folder: clean(&folder.join(case["cwd"].as_str().unwrap_or("."))),
            arguments: texts(&case["args"]),
            after: texts(&case["after"]),
            environment: case["env"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
            stdin: case["stdin"].as_str().map(str::to_owned),
        }),
        None if name == "auto" => plain(folder, Vec::new()),
        None => None,
    }
}

fn clean(path: &Path) -> PathBuf {
    compose::environment::discovery::clean(path)
}

impl Case {
    /// Returns what `config --format json` asks of the loader; an error where the command line is wrong.
    fn request(self) -> Result<LoadRequest, String> {
        let absolute = |file: &str| match file {
            "-" => PathBuf::from(file),
            file => clean(&self.folder.join(file)),
        };
        let mut environment = BTreeMap::from([
            ("HOME".to_owned(), "/home/parity".to_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ]);
        environment.extend(self.environment);
        environment.insert("PWD".to_owned(), self.folder.display().to_string());
        let mut request = LoadRequest {
            working_directory: self.folder.clone(),
            environment,
            stdin: self.stdin,
            ..Default::default()
        };
        let mut arguments = self.arguments.iter().chain(&self.after);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().cloned().ok_or_else(|| format!("{argument} wants a value"));
            let passes: &mut Passes = &mut request.passes;
            match argument.as_str() {
                "-f" | "--file" => request.files.push(absolute(&value()?)),
                "--env-file" => request.env_files.push(absolute(&value()?)),
                "--profile" => request.profiles.push(value()?),
                "-p" | "--project-name" => request.project_name = Some(value()?),
                "--format" => match value()?.as_str() {
                    "json" | "yaml" => {}
                    other => return Err(format!("unsupported format {other}")),
                },
                "--no-interpolate" => passes.interpolate = false,
                "--no-path-resolution" => passes.resolve_paths = false,
                "--no-normalize" | "--compatibility" => passes.normalize = false,
                flag if flag.starts_with('-') => return Err(format!("unknown flag {flag}")),
                service => request.services.push(service.to_owned()),
            }
        }
        Ok(request)
    }
}

/// Puts a token in the place of the corpus's folder, and of the two above it.
fn neutral(value: Value, folders: &[(String, String)]) -> Value {
    let text = |text: String| {
        let mut text = text;
        for (folder, token) in folders {
            let mut rest = std::mem::take(&mut text);
            while let Some(at) = rest.find(folder.as_str()) {
                let after = rest.split_off(at + folder.len());
                let part_of_a_name =
                    after.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
                text.push_str(if part_of_a_name { &rest } else { &rest[..at] });
                text.push_str(if part_of_a_name { "" } else { token });
                rest = after;
            }
            text.push_str(&rest);
        }
        text
    };
    match value {
        Value::String(own) => Value::String(text(own)),
        Value::Array(items) => items.into_iter().map(|item| neutral(item, folders)).collect(),
        Value::Object(members) => {
            let members = members.into_iter().map(|(key, member)| (text(key), neutral(member, folders)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        other => other,
    }
}

/// Equal as JSON is: `1` and `1.0` are the same number.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, member)| other.get(key).is_some_and(|other| equal(member, other)))
        }
        _ => one == other,
    }
}

/// Returns what `config --format json` prints, or why it prints nothing.
fn answer(case: Case) -> Result<Value, String> {
    let loaded = compose::load(&case.request()?, &FileSystem);
    let error = loaded.diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
    match (loaded.project, error) {
        (_, Some(error)) => Err(error.message.clone()),
        (Some(project), None) => Ok(serde_json::from_str(&compose::model::encode::to_json(&project)).unwrap()),
        (None, None) => Err("nothing, without a word".into()),
    }
}

#[test]
fn what_config_prints_is_what_the_reference_prints() {
    let parity = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/parity");
    let Ok(corpus) = parity.join("corpus").canonicalize() else {
        println!("skipped: `{}` is not here", parity.display());
        return;
    };
    let above = |count: usize| corpus.ancestors().nth(count).unwrap().display().to_string();
    let folders = [(above(0), "<ROOT>".into()), (above(1), "<ROOT-1>".into()), (above(2), "<ROOT-2>".into())];
    let (mut accepted, mut equals, mut refused, mut rejected) = (0, 0, 0, 0);
    let mut unexplained = Vec::new();
    let mut records: Vec<PathBuf> =
        std::fs::read_dir(parity.join("reference/json")).unwrap().map(|entry| entry.unwrap().path()).collect();
    records.sort();
    for record in records {
        let cases: Map<String, Value> = serde_json::from_str(&std::fs::read_to_string(record).unwrap()).unwrap();
        for (id, expected) in cases {
            let state = expected["state"].as_str().unwrap();
            // What the reference hangs on or breaks at says nothing.
            if !matches!(state, "ok" | "error") || expected["unstable"].is_string() {
                continue;
            }
            let Some(case) = find(&corpus, &id) else {
                unexplained.push(format!("{id}: no such case"));
                continue;
            };
            let ours = answer(case).map(|value| neutral(value, &folders));
            let same = match (state, &ours) {
                ("ok", Ok(value)) => equal(value, &expected["value"]),
                ("ok", Err(_)) | (_, Ok(_)) => false,
                (_, Err(_)) => true,
            };
            let (all, good) = if state == "ok" { (&mut accepted, &mut equals) } else { (&mut refused, &mut rejected) };
            *all += 1;
            *good += usize::from(same);
            let is_known = KNOWN.iter().any(|(known, _)| *known == id);
            if same && is_known {
                unexplained.push(format!("{id}: no difference any more"));
            }
            if !same && !is_known {
                let ours = ours.map_or_else(|error| error, |_| "another answer".into());
                unexplained.push(format!(
                    "{id}: {ours}; the reference: {state} {}",
                    expected["err"].as_str().unwrap_or_default()
                ));
            }
        }
    }
    println!("{equals} of {accepted} accepted cases are equal, {rejected} of {refused} refused ones are refused");
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    assert!(equals * 100 >= accepted * 99, "{equals} of {accepted} are equal");
    assert!(rejected * 100 >= refused * 97, "{rejected} of {refused} are refused");
}
