//! Checks the parser against the reference parser on a corpus of Dockerfiles, where that is at hand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::build::dockerfile::decode;
use crate::build::dockerfile::expand::{self, Mode};
use crate::build::dockerfile::instruction::{Act, Command, Content, Healthcheck, Instruction, Transfer};
use crate::build::dockerfile::parser::{self, Arguments, Node};
use crate::build::lint;

/// The corpus is not part of the source tree: it lies beside the workspace where it was fetched.
fn corpus() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/dockerfiles");
    if !folder.is_dir() {
        println!("skipped: no corpus of Dockerfiles at {}", folder.display());
        return None;
    }
    Some(folder)
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\t' => quoted.push_str("\\t"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\0' => quoted.push_str("\\x00"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn dump_arguments(arguments: &Arguments) -> Vec<String> {
    match arguments {
        Arguments::Json(words) | Arguments::List(words) => words.iter().map(|word| quote(word)).collect(),
        Arguments::Line(line) if line.is_empty() => vec![],
        Arguments::Line(line) => vec![quote(line)],
        Arguments::Pairs(pairs) => pairs
            .iter()
            .flat_map(|pair| [quote(&pair.key), quote(&pair.value), quote(if pair.legacy { "" } else { "=" })])
            .collect(),
        Arguments::Kind(kind, rest) => [vec![quote(kind)], dump_arguments(rest)].concat(),
        Arguments::Nested(None) => vec![],
        Arguments::Nested(Some(node)) => vec![dump(node)],
    }
}

fn dump(node: &Node) -> String {
    let mut words = vec![node.keyword.to_lowercase()];
    if !node.flags.is_empty() {
        words.push(format!("[{}]", node.flags.iter().map(|flag| quote(flag)).collect::<Vec<_>>().join(" ")));
    }
    let known = decode::INSTRUCTIONS.contains(&node.keyword.to_ascii_uppercase().as_str());
    // The reference keeps one empty argument of an instruction that it does not know.
    words.extend(if known { dump_arguments(&node.arguments) } else { vec![quote("")] });
    format!("({})", words.join(" "))
}

fn list(words: Vec<Value>) -> Value {
    if words.is_empty() { Value::Null } else { Value::from(words) }
}

fn files(contents: &[Content]) -> Value {
    list(contents.iter().map(|c| json!({"Path": c.name, "Data": c.data, "Expand": c.expand})).collect())
}

fn transfer(copy: &Transfer) -> Value {
    json!({
        "DestPath": copy.destination,
        "SourcePaths": list(copy.sources.iter().map(|s| json!(s)).collect()),
        "SourceContents": files(&copy.contents),
        "From": copy.from.clone().unwrap_or_default(),
        "Chown": copy.chown.clone().unwrap_or_default(),
        "Chmod": copy.chmod.clone().unwrap_or_default(),
        "Link": copy.link,
        "Parents": copy.parents,
        "ExcludePatterns": list(copy.exclude.iter().map(|s| json!(s)).collect()),
        "KeepGitDir": copy.keep_git_dir,
        "Checksum": copy.checksum.clone().unwrap_or_default(),
        "Unpack": copy.unpack,
    })
}

fn command(command: &Command) -> (Value, bool) {
    match command {
        Command::Exec(words) => (json!(words), false),
        Command::Shell(line) if line.is_empty() => (json!([]), true),
        Command::Shell(line) => (json!([line]), true),
    }
}

/// The fields that the reference gives for an instruction.
fn fields(instruction: &Instruction) -> Value {
    match &instruction.act {
        Act::Add(copy) | Act::Copy(copy) => transfer(copy),
        Act::Arg(arguments) => {
            json!({"Args": arguments.iter().map(|a| json!({"Key": a.name, "Value": a.default})).collect::<Vec<_>>()})
        }
        Act::Cmd(line) | Act::Entrypoint(line) => {
            let (words, shell) = command(line);
            json!({"CmdLine": words, "PrependShell": shell})
        }
        Act::Run(run) => {
            let (words, shell) = command(&run.command);
            let files = list(run.files.iter().map(|f| json!({"Name": f.name, "Data": f.data})).collect());
            json!({"CmdLine": words, "PrependShell": shell, "Files": files})
        }
        Act::Env(pairs) | Act::Label(pairs) => {
            let pairs: Vec<Value> =
                pairs.iter().map(|p| json!({"Key": p.key, "Value": p.value, "NoDelim": p.legacy})).collect();
            json!({"Env": pairs, "Labels": pairs})
        }
        Act::Expose(ports) => json!({"Ports": ports}),
        Act::Healthcheck(Healthcheck::None) => json!({"Health": {"Test": ["NONE"]}}),
        Act::Healthcheck(Healthcheck::Probe { command, interval, timeout, start_period, retries, .. }) => {
            let test = match command {
                Command::Exec(words) => [vec!["CMD".to_owned()], words.clone()].concat(),
                Command::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
            };
            json!({"Health": {"Test": test, "Interval": interval, "Timeout": timeout, "StartPeriod": start_period, "Retries": retries}})
        }
        Act::Maintainer(name) => json!({"Maintainer": name}),
        Act::OnBuild(trigger) => json!({"Expression": trigger.text}),
        Act::Shell(words) => json!({"Shell": words}),
        Act::StopSignal(signal) => json!({"Signal": signal}),
        Act::User(user) => json!({"User": user}),
        Act::Volume(volumes) => json!({"Volumes": volumes}),
        Act::Workdir(path) => json!({"Path": path}),
    }
}

/// Says whether everything that `wanted` holds and we keep is equal.
fn agrees(wanted: &Value, ours: &Value) -> bool {
    match (wanted, ours) {
        (Value::Object(wanted), Value::Object(ours)) => {
            wanted.iter().all(|(key, value)| ours.get(key).is_none_or(|mine| agrees(value, mine)))
        }
        (Value::Array(wanted), Value::Array(ours)) => {
            wanted.len() == ours.len() && wanted.iter().zip(ours).all(|(a, b)| agrees(a, b))
        }
        (Value::Null, Value::Array(items)) | (Value::Array(items), Value::Null) => items.is_empty(),
        (wanted, ours) => wanted == ours,
    }
}

#[derive(Debug, Default)]
struct Parity {
    trees: (usize, usize),
    typed: (usize, usize),
    errors: (usize, usize),
    misses: Vec<String>,
}

fn note(count: &mut (usize, usize), misses: &mut Vec<String>, good: bool, miss: impl FnOnce() -> String) {
    count.1 += 1;
    if good {
        count.0 += 1;
    } else {
        misses.push(miss());
    }
}

fn check_tree(golden: &Value, text: &str, file: &str, parity: &mut Parity) {
    let Some(tree) = golden["ast"].as_str() else { return };
    let ours = parser::parse(text).map(|document| document.nodes.iter().map(dump).collect::<Vec<_>>().join("\n"));
    note(&mut parity.trees, &mut parity.misses, ours.as_deref() == Ok(tree), || {
        let shown = ours.map_or_else(
            |error| error.to_string(),
            |ours| {
                let differing = ours.lines().zip(tree.lines()).find(|(a, b)| a != b);
                format!("{differing:?}")
            },
        );
        format!("tree of {file}: {shown}")
    });
}

fn check_typed(golden: &Value, text: &str, file: &str, parity: &mut Parity) {
    let Some(stages) = golden["stages"].as_array() else { return };
    let ours = match decode::dockerfile(text) {
        Ok(ours) => ours,
        Err(error) if golden["convert_error"].as_str().is_some_and(|it| it.contains(&error.message)) => return,
        Err(error) => return note(&mut parity.typed, &mut parity.misses, false, || format!("{file}: {error}")),
    };
    let mut difference = None;
    if ours.stages.len() != stages.len() {
        difference = Some(format!("{} stages, wanted {}", ours.stages.len(), stages.len()));
    }
    for (mine, wanted) in ours.stages.iter().zip(stages) {
        let head = wanted["Base"] == json!(mine.base)
            && wanted["Name"] == json!(mine.name.clone().unwrap_or_default())
            && wanted["Platform"] == json!(mine.platform.clone().unwrap_or_default());
        let commands = wanted["Cmds"].as_array().cloned().unwrap_or_default();
        if !head || commands.len() != mine.instructions.len() {
            difference.get_or_insert_with(|| format!("stage {:?}", mine.text));
        }
        for (mine, wanted) in mine.instructions.iter().zip(&commands) {
            let same = wanted["name"] == json!(mine.keyword)
                && wanted["Start"] == json!(mine.span.line)
                && wanted["End"] == json!(mine.span.end_line)
                && agrees(&wanted["v"], &fields(mine));
            if !same {
                difference.get_or_insert_with(|| format!("{wanted} | {:?}", mine));
            }
        }
    }
    note(&mut parity.typed, &mut parity.misses, difference.is_none(), || format!("{file}: {difference:?}"));
}

fn check_error(golden: &Value, text: &str, file: &str, parity: &mut Parity) {
    let Some(message) = golden["instruction_error"].as_str().or(golden["parse_error"].as_str()) else { return };
    let (line, wanted) = match message.strip_prefix("dockerfile parse error on line ") {
        Some(rest) => rest.split_once(": ").map(|(line, text)| (line.parse().ok(), text)).unwrap(),
        None => (None, message),
    };
    let ours = decode::dockerfile(text).err();
    let same = ours.as_ref().is_some_and(|error| {
        error.message.to_lowercase().starts_with(&wanted.to_lowercase())
            && line.is_none_or(|line: u32| line == error.line)
    });
    note(&mut parity.errors, &mut parity.misses, same, || format!("error of {file}: {ours:?} instead of {message}"));
}

#[test]
fn dockerfiles_mean_what_they_mean_to_the_reference_parser() {
    let Some(corpus) = corpus() else { return };
    let goldens = std::fs::read_to_string(corpus.join("parse-golden.jsonl")).unwrap();
    let mut parity = Parity::default();
    for line in goldens.lines() {
        let golden: Value = serde_json::from_str(line).unwrap();
        let file = golden["file"].as_str().unwrap();
        let text = String::from_utf8_lossy(&std::fs::read(corpus.join(file)).unwrap()).into_owned();
        check_tree(&golden, &text, file, &mut parity);
        check_typed(&golden, &text, file, &mut parity);
        check_error(&golden, &text, file, &mut parity);
    }
    println!("trees {:?}, typed {:?}, errors {:?} (equal, of)", parity.trees, parity.typed, parity.errors);
    assert!(parity.misses.is_empty(), "{} differ:\n{}", parity.misses.len(), parity.misses.join("\n"));
}

#[test]
fn words_expand_as_the_reference_tables_say() {
    let Some(corpus) = corpus() else { return };
    let environment: HashMap<&str, &str> =
        [("PWD", "/home"), ("SHELL", "bash"), ("KOREAN", "한국어"), ("NULL", "")].into();
    let table = std::fs::read_to_string(corpus.join("parser/envVarTest")).unwrap();
    let mut misses = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let parts: Vec<&str> = line.split('|').collect();
        let [platform, source, wanted] = parts.as_slice() else { panic!("bad line {line}") };
        if platform.trim() == "W" {
            continue;
        }
        let mode = Mode::new('\\');
        let ours = expand::word(source.trim(), mode, &|name| environment.get(name).map(ToString::to_string));
        let ours = ours.unwrap_or_else(|_| "error".to_owned());
        if ours != wanted.trim() {
            misses.push(format!("{line}: {ours}"));
        }
    }
    assert!(misses.is_empty(), "{}", misses.join("\n"));
}

#[test]
fn words_split_as_the_reference_tables_say() {
    let Some(corpus) = corpus() else { return };
    let mut environment: HashMap<String, String> = HashMap::new();
    let table = std::fs::read_to_string(corpus.join("parser/wordsTest")).unwrap();
    let mut misses = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some((name, value)) = line.strip_prefix("ENV ").and_then(|rest| rest.split_once('=')) {
            environment.insert(name.trim_start().to_owned(), value.to_owned());
            continue;
        }
        let (source, wanted) = line.split_once('|').unwrap();
        let ours = expand::words(source.trim(), Mode::new('\\'), &|name| environment.get(name).cloned());
        let ours = ours.map_or_else(|_| "error".to_owned(), |words| words.join(","));
        if ours != wanted.trim_start() && ours.trim_end() != wanted.trim() {
            misses.push(format!("{line}: {ours}"));
        }
    }
    assert!(misses.is_empty(), "{}", misses.join("\n"));
}

/// A recorded warning: `Rule:line: message`.
fn warnings(golden: &Value) -> Vec<String> {
    let mut list: Vec<String> =
        golden["lint"].as_array().into_iter().flatten().map(|it| it.as_str().unwrap().to_owned()).collect();
    list.sort();
    list.dedup();
    list
}

#[test]
fn dockerfiles_are_warned_of_as_the_reference_linter_does() {
    let Some(corpus) = corpus() else { return };
    let goldens = std::fs::read_to_string(corpus.join("parse-golden.jsonl")).unwrap();
    let (mut same, mut misses) = (0, Vec::new());
    for line in goldens.lines() {
        let golden: Value = serde_json::from_str(line).unwrap();
        let file = golden["file"].as_str().unwrap();
        // One that could not be converted ended the reference linter halfway.
        if golden["convert_error"].is_string() {
            continue;
        }
        let text = String::from_utf8_lossy(&std::fs::read(corpus.join(file)).unwrap()).into_owned();
        let Ok(found) = lint::lint(&text, None, &patterns::Ignore::default()) else { continue };
        let mut ours: Vec<String> =
            found.warnings.iter().map(|it| format!("{}:{}: {}", it.rule, it.line, it.message)).collect();
        ours.sort();
        ours.dedup();
        let recorded = warnings(&golden);
        if ours == recorded {
            same += 1;
        } else {
            let more: Vec<_> = ours.iter().filter(|it| !recorded.contains(it)).collect();
            let less: Vec<_> = recorded.iter().filter(|it| !ours.contains(it)).collect();
            misses.push(format!("{file} ({:?})\n  too many {more:?}\n  too few {less:?}", golden["convert_error"]));
        }
    }
    assert!(misses.is_empty(), "{same} are the same, {} differ:\n{}", misses.len(), misses.join("\n"));
}
