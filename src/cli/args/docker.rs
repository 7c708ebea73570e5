//! The docker command's verbs, as those of this program. A program that calls `docker` need not know that it is us.

use std::ffi::OsString;

/// Options of the docker command itself; they say where its daemon is, and there is none.
const WITH_VALUE: [&str; 9] =
    ["-H", "--host", "-c", "--context", "--config", "-l", "--log-level", "--tlscacert", "--tlscert"];
const ALONE: [&str; 4] = ["-D", "--debug", "--tls", "--tlsverify"];

/// Verbs of containers that docker has at its top level too.
const OF_CONTAINERS: [&str; 22] = [
    "attach", "commit", "cp", "create", "diff", "exec", "export", "kill", "logs", "pause", "port", "rename", "restart",
    "rm", "run", "start", "stats", "stop", "top", "unpause", "update", "wait",
];
/// Verbs of images that docker has at its top level too.
const OF_IMAGES: [&str; 9] = ["build", "history", "images", "import", "load", "pull", "push", "rmi", "save"];

/// Returns the arguments of this program that mean what docker's mean.
pub(crate) fn translate(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut rest = arguments.into_iter().peekable();
    let mut translated: Vec<OsString> = rest.next().into_iter().collect();
    while let Some(token) = rest.peek() {
        let text = token.to_string_lossy();
        if WITH_VALUE.contains(&text.as_ref()) || text == "--tlskey" {
            rest.next();
            rest.next();
        } else if ALONE.contains(&text.as_ref())
            || WITH_VALUE.iter().any(|flag| flag.starts_with("--") && text.starts_with(&format!("{flag}=")))
        {
            rest.next();
        } else {
            break;
        }
    }
    let Some(verb) = rest.next() else { return translated };
    let text = verb.to_string_lossy().into_owned();
    match text.as_str() {
        // The rest is a command line of our own.
        "compose" => {}
        // The plug-in that builds, by its own verbs.
        "buildx" => match rest.peek().and_then(|next| next.to_str()) {
            Some("build" | "b") => {
                rest.next();
                translated.extend(["image", "build"].map(OsString::from));
            }
            Some("du" | "prune") => translated.push("builder".into()),
            Some(_) | None => translated.push(verb),
        },
        "ps" => translated.extend(["container", "ls"].map(OsString::from)),
        // Anything, by its name.
        "inspect" => translated.push("inspect".into()),
        "images" => translated.extend(["image", "ls"].map(OsString::from)),
        "rmi" => translated.extend(["image", "rm"].map(OsString::from)),
        "events" | "info" | "version" => translated.extend(["system".into(), verb]),
        "tag" => translated.extend(["image".into(), verb]),
        verb_text if OF_CONTAINERS.contains(&verb_text) => translated.extend(["container".into(), verb]),
        verb_text if OF_IMAGES.contains(&verb_text) => translated.extend(["image".into(), verb]),
        _ => translated.push(verb),
    }
    translated.extend(rest);
    translated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let translated = translate(line.split(' ').map(OsString::from).collect());
        let words: Vec<String> = translated.into_iter().map(|word| word.into_string().unwrap()).collect();
        assert_eq!(words.join(" "), expected);
    }

    #[test]
    fn verbs_of_docker_are_those_of_our_groups() {
        check("docker run --rm x sh", "docker container run --rm x sh");
        check("docker -H unix:///x --debug ps -a", "docker container ls -a");
        check("docker compose -f a.yaml up", "docker -f a.yaml up");
        check("docker load -i x.tar", "docker image load -i x.tar");
        check("docker rmi -f x", "docker image rm -f x");
        check("docker network ls", "docker network ls");
        check("docker image inspect x", "docker image inspect x");
        check("docker version", "docker system version");
        check("docker update -m 1g x", "docker container update -m 1g x");
        check("docker buildx build -t x .", "docker image build -t x .");
        check("docker buildx prune -f", "docker builder prune -f");
        check("docker buildx ls", "docker buildx ls");
    }
}
