//! Every message that the crate can produce, as it reads: the wrong example of each code is loaded, and what is said is
//! held against `messages.txt`. `UPDATE_EXPECT=1` rewrites it.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use compose::LoadRequest;
use compose::diagnostic::explanation;
use expect_test::{expect, expect_file};

use crate::describe::describe;

#[path = "support/describe.rs"]
mod describe;
#[path = "../../../fuzz/properties.rs"]
#[expect(dead_code, reason = "only the form of its inputs is used")]
mod properties;

#[test]
fn the_message_of_every_code_reads_as_written_down() {
    let request = LoadRequest { working_directory: "/p".into(), ..LoadRequest::default() };
    let mut text = String::new();
    let mut without = Vec::new();
    for explanation in explanation::all() {
        if explanation.wrong.is_empty() {
            without.push(format!("{:04}", explanation.code));
            continue;
        }
        let loaded = compose::load(&request, &properties::files(explanation.wrong));
        writeln!(text, "{}\n{}", explanation.wrong.trim_end(), describe(&loaded)).unwrap();
    }
    writeln!(text, "codes that no small file shows: {}", without.join(" ")).unwrap();
    expect_file!["messages.txt"].assert_eq(&text);
}

/// Loads the files of `input` as the caller `asks` for them.
fn said(input: &str, asks: impl FnOnce(&mut LoadRequest)) -> String {
    let mut request = LoadRequest { working_directory: "/p".into(), ..LoadRequest::default() };
    asks(&mut request);
    describe(&compose::load(&request, &properties::files(input)))
}

fn as_it_is(_: &mut LoadRequest) {}

#[test]
fn a_missing_or_doubtful_choice_of_files_reads_as_written_down() {
    let services = "services: {web: {image: a}}\n";
    let mut text = describe(&compose::load(
        &LoadRequest { working_directory: "/p/deep".into(), ..LoadRequest::default() },
        &BTreeMap::<PathBuf, String>::new(),
    ));
    text += &said(&format!("{services}#@ docker-compose.yml\n{services}"), as_it_is);
    text += &said(services, |request| {
        request.environment.insert("COMPOSE_FILE".into(), "base.yaml:extra.yaml".into());
    });
    text += &said(services, |request| request.project_name = Some("My Shop".into()));
    expect![[r#"
        error[E0001]: no Compose file in `/p/deep` or any folder above
          help: looked for compose.yaml, compose.yml, docker-compose.yml, docker-compose.yaml
          help: name one with -f FILE
        warning[E0002]: found `/p/compose.yaml` and `/p/docker-compose.yml`
          help: `/p/compose.yaml` is used; name another with -f
        error[E0003]: the Compose file `/p/base.yaml` is not there
          help: it is named by COMPOSE_FILE, which is `base.yaml:extra.yaml`
        error[E0007]: `My Shop` cannot be a project's name
          help: names are lower-case letters, digits, `-` and `_`, and begin with a letter or digit
          help: for example `myshop`
    "#]]
    .assert_eq(&text);
}

#[test]
fn what_the_command_line_names_and_is_not_there_reads_as_written_down() {
    let file = "services:\n  web: {image: a}\n  debug: {image: a, profiles: [tools, dev]}\n";
    let ask = |name: &str| said(file, |request| request.services = vec![name.into()]);
    let mut text = ask("wbe") + &ask("queue");
    text +=
        &said("services:\n  web: {image: a, depends_on: [debug]}\n  debug: {image: a, profiles: [tools]}\n", as_it_is);
    expect![[r#"
        error[E0551]: no such service: wbe; did you mean `web`?
        error[E0551]: no such service: queue; there are web, debug
        error[E0531]: service `web` depends on `debug`, which no active profile enables
          compose.yaml:2:32 `debug`: not enabled
          compose.yaml:3:3 `debug`: it has profiles
          help: enable one of its profiles with --profile, or say `required: false`
    "#]]
    .assert_eq(&text);
}

#[test]
fn what_is_too_deep_or_too_much_reads_as_written_down() {
    let mut services = String::from("services:\n");
    for number in 0..105 {
        writeln!(services, "  s{number}: {{extends: s{}}}", number + 1).unwrap();
    }
    services += "  s105: {image: a}\n";
    let mut includes = String::from("include: [f0.yaml]\n");
    for number in 0..60 {
        writeln!(includes, "#@ f{number}.yaml\ninclude: [f{}.yaml]", number + 1).unwrap();
    }
    includes += "#@ f60.yaml\nservices: {web: {image: a}}\n";
    let references = format!("services: {{web: {{image: \"{}a{}\"}}}}", "${A:-".repeat(70), "}".repeat(70));
    let nested = format!("services: {{web: {{x-deep: {}1{}}}}}", "[".repeat(300), "]".repeat(300));
    let mut text = String::new();
    for input in [services, includes, references, nested] {
        for line in said(&input, as_it_is).lines() {
            writeln!(text, "{}", line.chars().take(120).collect::<String>()).unwrap();
        }
    }
    expect![[r#"
        error[E0312]: services extend each other in a chain of more than 100
          compose.yaml:102:19 `s101`: too far by here
        error[E0313]: more is included than 1000 files, 50 deep
          f49.yaml:1:11 `f50.yaml`: too much by here
        error[E0205]: references stand in each other more than 64 deep
          compose.yaml:1:25 `"${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A
          help: set a variable in the .env file to what the inner references say
        error[E0108]: the file is nested too deeply
          compose.yaml:1:279 `[`: deeper than 256
    "#]]
    .assert_eq(&text);
}

/// Files that are not YAML, as people write them.
const NOT_YAML: &[&str] = &[
    "services:\n  web:\n    image: a\n    ports: [\"80:80\"\n    environment:\n      A: b\n",
    "services:\n  web:\n    image: a\n    ports: [\"80:80\"\n    command:\n      - b\n",
    "x-a: &defaults {}\nservices:\n  web:\n    image: a\n    labels: *default\n",
    "services:\n  web:\n    image: a\n    develop: {watch: [{path: ., action: sync, ignore: [*.log]}]}\n",
    "services:\n  web:\n    image: \"C:\\Users\"\n",
    "services:\n  web:\n    image: \"a\\qb\"\n",
    "services:\n  web:\n    image: a\n    ports:\n      - 80:80\n      volumes:\n        - a:/b\n",
    "services:\n  web:\n    image: a\n    environment:\n      B: 2\n      - A=1\n",
    "services:\n  web:\n    image: a\n     ports: []\n",
    "services:\n  web:\n    command:\n      - a\n        b: c\n",
    "services:\n  web:\n    command: [\"a\", \"b\"] c\n    image: a\n",
    "services:\n  web:\n    image: \"a\" b\n",
    "services:\n  web:\n    image: 'it's'\n",
    "services:\n  web:\n    image: \"a\n    command: \"b\"\n",
    "services:\n  web:\n    image: 'a\n    command: b\n",
    "services:\n  web:\n    image: {{ tag }}\n",
    "services:\n  web:\n    image:a\n    ports: []\n",
    "services:\n  web: image: a\n",
    "services:\n  web:\n    image: a\n    command: - a b\n",
    "services:\n  web:\n    image: a\n    command: [a b: c d: e]\n",
    "services:\n  web:\n    image: a\n    command: [- a, - b]\n",
    "services: &\n",
    "services: !<tag\n",
    "%YAML 1.2\n%YAML 1.2\n---\nservices: {}\n",
    "services:\n  web: |x\n    a\n",
    "services: [a, {b]\n",
    "services: {web: {image: a}} trailing\n",
    "services:\n  web:\n    image: a\n   ports: []\n",
    "- a\nb: c\n",
    "a b\nc d: e\n",
    "services:\n  web:\n    image: a\n\tcommand: b\n",
];

#[test]
fn what_is_not_yaml_reads_as_written_down() {
    let text: String = NOT_YAML.iter().map(|input| format!("{input}{}\n", said(input, as_it_is))).collect();
    expect_file!["not_yaml.txt"].assert_eq(&text);
}
