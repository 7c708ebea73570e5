//! Variables, configs and secrets: where they come from, and which wins.

use std::fs;

use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root};

#[test]
fn the_flag_wins_over_the_file_over_env_files_over_the_image() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web:
    build: { dockerfile_inline: \"FROM stand-in:1\\nENV WHO=image\\n\" }
    env_file: [first.env, second.env]
    environment: { WHO: '${WHO_FILE-}' }
";
    let bare = file.replace("    environment: { WHO: '${WHO_FILE-}' }\n", "");
    let host = Host::with("priority", &bare);
    host.write("first.env", "");
    host.write("second.env", "");
    let seen = |more: &[&str]| {
        let args = [&["run", "--rm", "-T"], more, &["web", "sh", "-c", "echo $WHO"]].concat();
        host.motet_patiently(&args).success().stdout.trim().to_owned()
    };
    assert_eq!(seen(&[]), "image");
    host.write("first.env", "WHO=first file\n");
    assert_eq!(seen(&[]), "first file");
    host.write("second.env", "WHO=second file\n");
    assert_eq!(seen(&[]), "second file");
    host.write("compose.yaml", file);
    host.write("project.env", "WHO_FILE=of the flag's file\n");
    assert_eq!(seen(&["--env-file", "project.env"]), "of the flag's file");
    host.write(".env", "WHO_FILE=of the project\n");
    assert_eq!(seen(&[]), "of the project");
    assert_eq!(seen(&["-e", "WHO=flag"]), "flag");
    host.write("run.env", "WHO=of a file for this run\n");
    assert_eq!(seen(&["--env-from-file", "run.env"]), "of a file for this run");
    assert_eq!(seen(&["--env-from-file", "run.env", "-e", "WHO=flag"]), "flag");
    let mut command = host.command(&["run", "--rm", "-T", "-e", "WHO", "web", "sh", "-c", "echo $WHO"]);
    let output = command.env("WHO", "shell").env("WHO_FILE", "shell's other").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "shell\n");
    host.does("down --rmi local").success();
    host.must_be_clean();
}

#[test]
fn env_files_have_comments_quotes_and_a_raw_form() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web:
    image: stand-in:1
    command: env
    env_file: [{ path: cooked.env }, { path: raw.env, format: raw }, { path: absent.env, required: false }]
  other: { image: 'stand-in:1', command: 'true', env_file: [absent.env], profiles: [never] }
";
    let host = Host::with("env-files", file);
    host.write("cooked.env", "A=1 # a comment\nB=\"2 # none\"\n# C=3\nD='$A'\nE=${A}x\nEMPTY=\nUNSET\n");
    host.write("raw.env", "R=\"quoted\" # and more\n");
    let printed = host.does("run --rm -T web").success().stdout;
    let has = |line: &str| printed.lines().any(|other| other == line);
    for line in ["A=1", "B=2 # none", "D=$A", "E=1x", "EMPTY=", "R=\"quoted\" # and more"] {
        assert!(has(line), "no `{line}` in {printed}");
    }
    assert!(!printed.contains("UNSET") && !printed.contains("C=3"), "{printed}");
    // A missing file is missed by who uses it, and by nobody else.
    for line in ["up -d", "ps", "logs", "down"] {
        host.does(line).success();
    }
    host.does("--profile never config").failure().names(&["absent.env"]);
    host.must_be_clean();
}

#[test]
fn configs_and_secrets_come_from_files_variables_and_the_text_itself() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    configs: [plain, from-variable, inline, { source: plain, target: /etc/elsewhere, mode: 0440 }]
    secrets: [token, { source: token, target: mine, uid: '1005', gid: '1005', mode: 0440 }]
configs:
  plain: { file: ./plain.txt }
  from-variable: { environment: CONFIG }
  inline: { content: 'This is ${CONFIG}' }
secrets:
  token: { environment: TOKEN }
";
    let host = Host::with("configs", file);
    host.write("plain.txt", "from a file");
    host.write(".env", "CONFIG=from a variable\nTOKEN=a secret\n");
    host.does("up -d").success();
    assert_eq!(host.shell("web", "cat /plain"), "from a file");
    assert_eq!(host.shell("web", "cat /etc/elsewhere"), "from a file");
    assert_eq!(host.shell("web", "cat /from-variable"), "from a variable");
    assert_eq!(host.shell("web", "cat /inline"), "This is from a variable");
    assert_eq!(host.shell("web", "cat /run/secrets/token"), "a secret");
    assert_eq!(
        host.shell("web", "cat /run/secrets/mine; stat -c ' %A %u %g' /run/secrets/mine"),
        "a secret -r--r----- 1005 1005"
    );
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn a_secret_of_an_included_file_takes_that_file_s_variables() {
    if lacks_root() {
        return;
    }
    let host = Host::with("included", "include: [{ path: part/compose.yaml, env_file: part/own.env }]\n");
    host.write(
        "part/compose.yaml",
        "services: { web: { image: 'stand-in:1', command: cat /run/secrets/token, secrets: [token] } }\nsecrets: { token: { environment: TOKEN } }\n",
    );
    host.write("part/own.env", "TOKEN=of the part\n");
    assert_eq!(host.does("run --rm -T web").success().stdout.trim(), "of the part");
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn a_health_check_s_first_interval_needs_a_start_period() {
    let file =
        "services: { web: { image: 'stand-in:1', healthcheck: { test: 'true', interval: 30s, start_interval: 1s } } }";
    let host = Host::empty("start-interval");
    host.write("compose.yaml", file);
    host.does("up -d").failure().names(&["start_interval", "start_period"]);
    fs::remove_file(host.folder.join("compose.yaml")).unwrap();
}

engines! {
    both: [
        the_flag_wins_over_the_file_over_env_files_over_the_image,
        env_files_have_comments_quotes_and_a_raw_form,
        configs_and_secrets_come_from_files_variables_and_the_text_itself,
        a_secret_of_an_included_file_takes_that_file_s_variables,
    ],
    neither: [
        a_health_check_s_first_interval_needs_a_start_period,
    ],
}
