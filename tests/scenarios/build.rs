//! Builds: layers from a Dockerfile, and no step twice.

use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root};

const FILE: &str = "services: { web: { build: ., command: sleep 1000, init: true } }";

const DOCKERFILE: &str = "FROM stand-in:1
ARG GREETING=hello
ENV MODE=built
RUN echo step >> /steps && echo $GREETING > /greeting
WORKDIR /app
COPY --chown=bob app.txt ./
COPY src/ src/
";

fn host(name: &str) -> Host {
    let host = Host::with(name, FILE);
    host.write("Dockerfile", DOCKERFILE);
    host.write("app.txt", "one\n");
    host.write("src/a.txt", "a\n");
    host.write("src/skipped.log", "no\n");
    host.write(".dockerignore", "**/*.log\n");
    host
}

#[test]
fn up_builds_the_image_that_the_dockerfile_says() {
    if lacks_root() {
        return;
    }
    let host = host("built");
    host.motet(&["up", "-d"]).success();
    assert_eq!(
        host.shell("web", "pwd; cat app.txt /greeting; echo $MODE; ls src; stat -c %U app.txt"),
        "/app\none\nhello\nbuilt\na.txt\nbob"
    );
    host.motet(&["down"]).success();
    host.must_be_clean();
}

#[test]
fn a_second_build_runs_nothing_and_a_changed_line_rebuilds_one_layer() {
    if lacks_root() {
        return;
    }
    let host = host("cached");
    host.motet(&["--progress", "plain", "build"]).success();
    let second = host.motet(&["--progress", "plain", "build"]).success().stderr;
    assert!(!second.contains("DONE") || second.contains("CACHED"), "{second}");
    host.motet(&["up", "-d"]).success();
    let before = host.container("cached-web-1");
    host.motet(&["up", "-d", "--build"]).success();
    assert_eq!(host.container("cached-web-1")["ID"], before["ID"], "nothing changed, so nothing is recreated");
    host.write("src/a.txt", "changed\n");
    host.motet(&["up", "-d", "--build"]).success();
    assert_ne!(host.container("cached-web-1")["ID"], before["ID"]);
    assert_eq!(host.shell("web", "cat src/a.txt /steps"), "changed\nstep");
}

#[test]
fn stages_copy_from_each_other_and_an_unneeded_one_is_not_built() {
    if lacks_root() {
        return;
    }
    let host = host("stages");
    host.write(
        "Dockerfile",
        "FROM stand-in:1 AS maker
RUN echo made > /made
FROM stand-in:1 AS unneeded
RUN exit 1
FROM stand-in:1
COPY --from=maker /made /made
USER bob
CMD [\"cat\", \"/made\"]
",
    );
    host.motet(&["up", "-d"]).success();
    assert_eq!(host.shell("web", "cat /made; id -un"), "made\nbob");
}

#[test]
fn a_failing_run_names_its_line_and_shows_its_output_and_leaves_nothing() {
    if lacks_root() {
        return;
    }
    let host = host("failing");
    host.write("Dockerfile", "FROM stand-in:1\nRUN echo compiling && no-such-compiler --flag\n");
    host.motet(&["up", "-d"]).failure().names(&["Dockerfile:2", "compiling", "no-such-compiler", "127"]);
    host.must_be_clean();
    if host.engine == "embedded" {
        let staging = std::fs::read_dir(host.root.join("lib/store/staging")).unwrap().count();
        assert_eq!(staging, 0, "a failed build leaves nothing half-made");
    }
}

#[test]
fn run_has_a_network_of_its_own_that_goes_with_the_build() {
    if lacks_root() {
        return;
    }
    let host = host("private");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    host.write(
        "Dockerfile",
        &format!(
            "FROM stand-in:1
RUN nc -w 1 127.0.0.1 {port} </dev/null && echo host > /reached || echo nobody > /reached
RUN ip -4 addr show eth0 | grep -c inet > /addresses
"
        ),
    );
    host.motet(&["up", "-d"]).success();
    assert_eq!(host.shell("web", "cat /reached /addresses"), "nobody\n1", "the host's loopback is not the step's");
    host.motet(&["down"]).success();
    host.must_be_clean();
    // The host's network is the Compose file's to give, not the Dockerfile's to take.
    host.write("Dockerfile", "FROM stand-in:1\nRUN --network=host true\n");
    host.motet(&["build"]).failure().names(&["Dockerfile:2", "--network=host"]);
    host.must_be_clean();
}

engines! {
    both: [
        up_builds_the_image_that_the_dockerfile_says,
        a_second_build_runs_nothing_and_a_changed_line_rebuilds_one_layer,
        stages_copy_from_each_other_and_an_unneeded_one_is_not_built,
        a_failing_run_names_its_line_and_shows_its_output_and_leaves_nothing,
        run_has_a_network_of_its_own_that_goes_with_the_build,
    ],
}
