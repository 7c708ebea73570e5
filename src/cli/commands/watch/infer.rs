//! What to watch, read from the Dockerfile: a file that is copied in and then built upon means a rebuild, one that is
//! copied in at the end is copied again and the program restarted.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use compose::model::service::Service;
use runtime::build::dockerfile::decode::dockerfile;
use runtime::build::dockerfile::instruction::{Act, Dockerfile, Stage, Transfer};

/// A rule that would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inferred {
    /// Relative to the project's folder.
    pub(crate) path: String,
    /// Where it goes; `None`: the image is built anew.
    pub(crate) target: Option<String>,
    /// Below `path`, what other rules are about.
    pub(crate) ignore: Vec<String>,
}

/// Reads the Dockerfile of a service; empty where it tells nothing.
pub(crate) fn rules_of(service: &Service, folder: &Path) -> Vec<Inferred> {
    let Some(build) = &service.build else { return Vec::new() };
    let context = PathBuf::from(&build.context);
    let text = match (&build.dockerfile_inline, &build.dockerfile) {
        (Some(text), _) => Some(text.clone()),
        (None, name) => std::fs::read_to_string(context.join(name.as_deref().unwrap_or("Dockerfile"))).ok(),
    };
    let Some(file) = text.and_then(|text| dockerfile(&text).ok()) else { return Vec::new() };
    let base = match context.strip_prefix(folder) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Ok(below) => format!("./{}", below.display()),
        Err(_) => context.display().to_string(),
    };
    rules(&file, build.target.as_deref(), &base)
}

/// Returns the rules; `base` is the context as the Compose file would spell it.
fn rules(file: &Dockerfile, target: Option<&str>, base: &str) -> Vec<Inferred> {
    let named = |stage: &Stage| target.is_some() && stage.name.as_deref() == target;
    let last = file.stages.iter().position(named).unwrap_or(file.stages.len().saturating_sub(1));
    let mut found: Vec<Inferred> = Vec::new();
    for (number, stage) in file.stages.iter().enumerate().take(last + 1) {
        let mut folder = "/".to_owned();
        for (position, instruction) in stage.instructions.iter().enumerate() {
            match &instruction.act {
                Act::Workdir(path) => folder = joined(&folder, path),
                Act::Copy(transfer) | Act::Add(transfer) if is_plain(transfer) => {
                    let is_built_upon = number < last
                        || stage.instructions[position + 1..].iter().any(|later| matches!(later.act, Act::Run(_)));
                    for source in &transfer.sources {
                        let target = (!is_built_upon).then(|| target_of(&folder, source, transfer));
                        add(&mut found, base, source, target);
                    }
                }
                _ => {}
            }
        }
    }
    exclude_each_other(&mut found);
    found
}

/// Says whether a transfer copies files of the context that can be told from the text alone.
fn is_plain(transfer: &Transfer) -> bool {
    let is_telling = |text: &String| !text.contains(['$', '*', '?', '[']) && !text.contains("://");
    transfer.from.is_none() && transfer.sources.iter().chain([&transfer.destination]).all(is_telling)
}

fn joined(folder: &str, path: &str) -> String {
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    patterns::clean(&joined)
}

/// Where a source ends up: a folder's content goes into the destination, a file into a folder or under a new name.
fn target_of(folder: &str, source: &str, transfer: &Transfer) -> String {
    let destination = joined(folder, &transfer.destination);
    let name = source.rsplit('/').next().unwrap_or(source);
    let is_file = Path::new(name).extension().is_some();
    let into_folder = transfer.destination.ends_with('/') || transfer.destination == "." || transfer.sources.len() > 1;
    if is_file && into_folder { joined(&destination, name) } else { destination }
}

fn add(found: &mut Vec<Inferred>, base: &str, source: &str, target: Option<String>) {
    let source = patterns::clean(source.trim_start_matches('/'));
    let path = if source == "." { base.to_owned() } else { format!("{base}/{source}") };
    match found.iter_mut().find(|rule| rule.path == path) {
        // What is built upon anywhere needs the build.
        Some(known) => known.target = known.target.take().and(target),
        None => found.push(Inferred { path, target, ignore: Vec::new() }),
    }
}

/// Lets the rule of a folder leave out what has a rule of its own.
fn exclude_each_other(found: &mut [Inferred]) {
    let paths: Vec<String> = found.iter().map(|rule| rule.path.clone()).collect();
    for rule in found {
        let inside = |other: &String| other.strip_prefix(&rule.path)?.strip_prefix('/').map(str::to_owned);
        rule.ignore = paths.iter().filter_map(inside).collect();
    }
}

/// Returns the `develop` section, indented by `indent` blanks.
pub(crate) fn section(rules: &[Inferred], indent: usize) -> String {
    let pad = " ".repeat(indent);
    let mut text = format!("{pad}develop:\n{pad}  watch:\n");
    for rule in rules {
        let action = if rule.target.is_some() { "sync+restart" } else { "rebuild" };
        let _ = write!(text, "{pad}    - action: {action}\n{pad}      path: {}\n", rule.path);
        if let Some(target) = &rule.target {
            let _ = writeln!(text, "{pad}      target: {target}");
        }
        if !rule.ignore.is_empty() {
            let _ = writeln!(text, "{pad}      ignore: [{}]", rule.ignore.join(", "));
        }
    }
    text
}

/// Puts the section into a Compose file, before the `build` of `service`; `None` where the file is not written in
/// blocks, so that a person must do it.
pub(crate) fn written(file: &str, service: &str, rules: &[Inferred]) -> Option<String> {
    let indent_of = |line: &str| line.len() - line.trim_start().len();
    let is_key = |line: &str, key: &str| {
        let rest = line.trim_start().trim_start_matches(['"', '\'']).strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
    };
    let mut lines = file.split_inclusive('\n').enumerate().skip_while(|(_, line)| !line.starts_with("services:"));
    let (start, head) = lines.by_ref().skip(1).find(|(_, line)| indent_of(line) > 0 && is_key(line, service))?;
    let inside =
        |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#') || indent_of(line) > indent_of(head);
    let build = file
        .split_inclusive('\n')
        .enumerate()
        .skip(start + 1)
        .take_while(|(_, line)| inside(line))
        .find(|(_, line)| is_key(line, "build"))?;
    let mut text = String::with_capacity(file.len() + 200);
    for (number, line) in file.split_inclusive('\n').enumerate() {
        if number == build.0 {
            text.push_str(&section(rules, indent_of(build.1)));
        }
        text.push_str(line);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLASK: &str = "\
FROM python:3-slim
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY app.py .
COPY static/ /app/static/
COPY --from=other /x /y
CMD [\"python\", \"app.py\"]
";

    #[test]
    fn what_is_built_upon_is_rebuilt_and_the_rest_copied() {
        let rules = rules(&dockerfile(FLASK).unwrap(), None, "./api");
        let told: Vec<(&str, Option<&str>)> =
            rules.iter().map(|rule| (rule.path.as_str(), rule.target.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("./api/requirements.txt", None),
                ("./api/app.py", Some("/app/app.py")),
                ("./api/static", Some("/app/static"))
            ]
        );
    }

    #[test]
    fn the_whole_context_leaves_out_what_has_its_own_rule() {
        let text = "FROM a\nWORKDIR /srv\nCOPY package.json ./\nRUN npm install\nCOPY . .\n";
        let rules = rules(&dockerfile(text).unwrap(), None, ".");
        assert_eq!(
            rules[1],
            Inferred { path: ".".into(), target: Some("/srv".into()), ignore: vec!["package.json".into()] }
        );
        let file = "# mine\nservices:\n  web:\n    # built\n    build: .\n    ports: ['80']\n  other: {}\n";
        let written = written(file, "web", &rules).unwrap();
        assert_eq!(
            written,
            "# mine\nservices:\n  web:\n    # built\n    develop:\n      watch:\n        - action: rebuild\n          \
             path: ./package.json\n        - action: sync+restart\n          path: .\n          target: /srv\n          \
             ignore: [package.json]\n    build: .\n    ports: ['80']\n  other: {}\n"
        );
        assert_eq!(super::written("services: { web: { build: . } }\n", "web", &rules), None);
    }
}
