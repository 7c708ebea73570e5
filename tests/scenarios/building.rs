//! Which images a command builds, with what, and how often; Dockerfiles themselves are in `build.rs`.

use crate::support::engines::engines;
use crate::support::host::{Host, Outcome, finish, lacks_root, signal, until};

/// A service that is built from one line.
fn service(name: &str, more: &str) -> String {
    format!(
        "  {name}:\n    build: {{ dockerfile_inline: \"FROM stand-in:1\\nRUN echo built > /{name}\\n\" }}\n    command: sleep 1000\n    init: true\n{more}"
    )
}

/// The services that a plain build says it has built.
fn built(outcome: &Outcome) -> Vec<String> {
    let printed = format!("{}{}", outcome.stdout, outcome.stderr);
    let lines = printed.lines().filter_map(|line| line.trim().strip_suffix("  Built"));
    let mut names: Vec<_> = lines.map(|line| line.rsplit([' ', '/']).next().unwrap().to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

fn plain(host: &Host, line: &str) -> Outcome {
    let args: Vec<&str> = ["--progress", "plain"].into_iter().chain(line.split_whitespace()).collect();
    host.motet_patiently(&args).success()
}

#[test]
fn up_builds_once_and_again_only_when_it_is_told_to() {
    if lacks_root() {
        return;
    }
    let host = Host::with("build-once", &format!("services:\n{}", service("web", "")));
    assert_eq!(built(&plain(&host, "up -d")).len(), 1);
    let id = host.container("build-once-web-1")["ID"].clone();
    assert_eq!(built(&plain(&host, "up -d")).len(), 0);
    plain(&host, "up -d --build");
    assert_eq!(host.container("build-once-web-1")["ID"], id, "the same image is no reason for another container");
    host.does("down").success();
    host.does("up -d --no-build").success();
    host.does("down --rmi all").success();
    host.does("up -d --no-build").failure().names(&["build-once-web"]);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn arguments_come_from_the_file_the_flag_and_the_shell() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web:
    build:
      args: [OF_FILE=file, OF_FLAG=file, 'ESCAPED=$$HOME']
      dockerfile_inline: |
        FROM stand-in:1
        ARG OF_FILE
        ARG OF_FLAG
        ARG OF_SHELL
        ARG ESCAPED
        RUN echo \"$$OF_FILE $$OF_FLAG $$OF_SHELL $$ESCAPED\" > /args
";
    let host = Host::with("build-args", file);
    let mut command = host.command(&["build", "--build-arg", "OF_FLAG=flag", "--build-arg", "OF_SHELL", "--quiet"]);
    let output = command.env("OF_SHELL", "shell").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen = host.does("run --rm -T web cat /args").success().stdout;
    assert_eq!(seen, "file flag shell $HOME\n");
    host.does("down --rmi all").success();
    host.must_be_clean();
}

#[test]
fn an_image_bears_its_labels_and_every_tag() {
    if lacks_root() {
        return;
    }
    let more = "    image: motet-tagged:main\n";
    let file = format!("services:\n{}", service("web", more))
        .replace("build: {", "build: { labels: { FOO: BAR }, tags: ['motet-tagged:second', 'motet-tagged:third'],");
    let host = Host::with("build-tags", &file);
    plain(&host, "build");
    let look = |image: &str, template: &str| {
        host.motet(&["image", "inspect", "--format", template, image]).success().stdout.trim().to_owned()
    };
    let id = look("motet-tagged:main", "{{.Id}}");
    assert_eq!([look("motet-tagged:second", "{{.Id}}"), look("motet-tagged:third", "{{.Id}}")], [id.clone(), id]);
    let labels = look("motet-tagged:main", "{{json .Config.Labels}}");
    assert!(labels.contains("\"FOO\":\"BAR\"") && labels.contains("com.docker.compose.service"), "{labels}");
    host.does("image rm motet-tagged:main motet-tagged:second motet-tagged:third").success();
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn a_named_service_is_built_alone_or_with_what_it_depends_on() {
    if lacks_root() {
        return;
    }
    let file = format!(
        "services:\n{}{}{}",
        service("web", "    depends_on: [base]\n"),
        service("base", ""),
        service("other", "    profiles: [never]\n")
    );
    let host = Host::with("build-some", &file);
    assert_eq!(built(&plain(&host, "build web")), ["build-some-web"]);
    host.does("down --rmi all").success();
    assert_eq!(built(&plain(&host, "build --with-dependencies web")), ["build-some-base", "build-some-web"]);
    assert_eq!(built(&plain(&host, "build other")), ["build-some-other"], "its name enables the profile");
    host.does("down --rmi all").success();
    assert_eq!(built(&plain(&host, "run --rm -T --build web true")).len(), 2, "each of them once");
    host.does("--profile never down --rmi all").success();
    host.must_be_clean();
}

#[test]
fn a_build_s_secret_may_come_from_a_variable_and_is_not_kept() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web:
    build:
      secrets: [token]
      dockerfile_inline: |
        FROM stand-in:1
        RUN --mount=type=secret,id=token tr a-z A-Z < /run/secrets/token > /seen
secrets: { token: { environment: TOKEN } }
";
    let host = Host::with("build-secret", file);
    host.write(".env", "TOKEN=hidden\n");
    plain(&host, "build");
    assert_eq!(host.does("run --rm -T web cat /seen").success().stdout, "HIDDEN");
    let history = host.does("image history --no-trunc build-secret-web").success().stdout;
    assert!(!history.contains("hidden"), "{history}");
    host.does("down --rmi all").success();
    host.must_be_clean();
}

#[test]
fn a_very_long_line_of_a_build_is_one_line() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web:
    build:
      dockerfile_inline: |
        FROM stand-in:1
        RUN yes x | head -n 100000 | tr -d '\\n'
";
    let host = Host::with("build-line", file);
    let outcome = plain(&host, "build");
    assert_eq!(built(&outcome), ["build-line-web"]);
    host.does("down --rmi all").success();
    host.must_be_clean();
}

#[test]
fn ctrl_c_ends_a_build_at_once_with_130() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web: { build: { dockerfile_inline: \"FROM stand-in:1\\nRUN echo it has begun; sleep 1000\\n\" } }
";
    let host = Host::with("build-cancel", file);
    let path = host.folder.join("shown");
    let shown = std::fs::File::create(&path).unwrap();
    let again = shown.try_clone().unwrap();
    let child = host.command(&["--progress", "plain", "build"]).stdout(shown).stderr(again).spawn().unwrap();
    until("the step runs", || std::fs::read_to_string(&path).unwrap().contains("] RUN echo"));
    signal(child.id().cast_signed(), rustix::process::Signal::INT);
    assert_eq!(finish(child, "build after Ctrl-C").code, 130);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn a_check_names_the_line_and_builds_nothing() {
    if lacks_root() {
        return;
    }
    let host = Host::with("build-check", "services: { web: { build: . } }");
    host.write("Dockerfile", "FROM stand-in:1 as base\nMAINTAINER nobody\n");
    let told = host.does("build --check").failure();
    told.names(&["MaintainerDeprecated", "FromAsCasing", "line 1", "line 2"]);
    host.does("image inspect build-check-web").failure();
    host.write("Dockerfile", "FROM stand-in:1\nCMD [\"sleep\", \"1\"]\n");
    assert_eq!(host.does("build --check").success().stdout, "Check complete, no warnings found.\n");
    host.must_be_clean();
}

engines! {
    both: [
        up_builds_once_and_again_only_when_it_is_told_to,
        arguments_come_from_the_file_the_flag_and_the_shell,
        an_image_bears_its_labels_and_every_tag,
        a_named_service_is_built_alone_or_with_what_it_depends_on,
        a_build_s_secret_may_come_from_a_variable_and_is_not_kept,
        a_very_long_line_of_a_build_is_one_line,
        ctrl_c_ends_a_build_at_once_with_130,
        a_check_names_the_line_and_builds_nothing,
    ],
}
