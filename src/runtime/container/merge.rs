//! What an image says and what a caller asks for, made one: pure.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::time::Duration;

use crate::container::request::{ContainerRequest, HealthcheckRequest};
use crate::image::config::{ContainerConfig, Healthcheck};
use crate::state::container::{HealthcheckRecord, ProcessRecord};

/// Where programs are looked for when nobody says, as in Docker.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the program of a container; its arguments are empty when neither names one.
pub fn process(image: &ContainerConfig, request: &ContainerRequest, hostname: &str) -> ProcessRecord {
    ProcessRecord {
        args: args(image, request),
        env: environment(image, request, hostname),
        cwd: request
            .working_dir
            .clone()
            .or_else(|| Some(image.working_dir.clone()).filter(|folder| !folder.is_empty()))
            .unwrap_or_else(|| "/".into()),
        user: request.user.clone().unwrap_or_else(|| image.user.clone()),
        additional_groups: request.additional_groups.clone(),
        tty: request.tty,
        stdin_open: request.stdin_open,
    }
}

/// An entrypoint of the caller's own takes the image's command away, too: it was meant for another program.
fn args(image: &ContainerConfig, request: &ContainerRequest) -> Vec<String> {
    let (entrypoint, command) = match (&request.entrypoint, &request.command) {
        (Some(entrypoint), command) => (Some(entrypoint), command.as_ref()),
        (None, Some(command)) => (image.entrypoint.as_ref(), Some(command)),
        (None, None) => (image.entrypoint.as_ref(), image.cmd.as_ref()),
    };
    // `entrypoint: ""` is none.
    let entrypoint = entrypoint.filter(|words| !matches!(words.as_slice(), [word] if word.is_empty()));
    entrypoint.into_iter().flatten().chain(command.into_iter().flatten()).cloned().collect()
}

fn environment(image: &ContainerConfig, request: &ContainerRequest, hostname: &str) -> Vec<String> {
    let mut env: Vec<(String, String)> = vec![("PATH".into(), PATH.into()), ("HOSTNAME".into(), hostname.into())];
    if request.tty {
        env.push(("TERM".into(), "xterm".into()));
    }
    let mut set = |key: &str, value: Option<&str>| {
        let position = env.iter().position(|(known, _)| known == key);
        match (position, value) {
            (Some(position), Some(value)) => env[position].1 = value.into(),
            (None, Some(value)) => env.push((key.into(), value.into())),
            (Some(position), None) => {
                env.remove(position);
            }
            (None, None) => {}
        }
    };
    for variable in &image.env {
        // Neither the kernel nor any shell makes sense of one without a name.
        if let Some((key, value)) = variable.split_once('=').filter(|(key, _)| !key.is_empty()) {
            set(key, Some(value));
        }
    }
    for (key, value) in &request.environment {
        set(key, value.as_deref());
    }
    env.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// Returns the labels: the caller's over the image's.
pub fn labels(image: &ContainerConfig, request: &ContainerRequest) -> BTreeMap<String, String> {
    let mut labels = image.labels.clone();
    labels.extend(request.labels.clone());
    labels
}

/// Returns the health check with every default filled in; `None`: there is none.
pub fn healthcheck(image: &ContainerConfig, request: Option<&HealthcheckRequest>) -> Option<HealthcheckRecord> {
    let none = Healthcheck::default();
    let of_image = image.healthcheck.as_ref().unwrap_or(&none);
    let default = HealthcheckRequest::default();
    let request = request.unwrap_or(&default);
    let test = request.test.as_ref().filter(|test| !test.is_empty()).unwrap_or(&of_image.test);
    let args = match test.split_first() {
        Some((kind, args)) if kind == "CMD" && !args.is_empty() => args.to_vec(),
        Some((kind, [line])) if kind == "CMD-SHELL" => {
            let shell = ["/bin/sh".to_owned(), "-c".to_owned()];
            let shell = if image.shell.is_empty() { &shell[..] } else { &image.shell };
            shell.iter().chain([line]).cloned().collect()
        }
        _ => return None,
    };
    let time = |asked: Option<Duration>, nanos: i64, default: u64| {
        let asked = asked.filter(|time| !time.is_zero()).map(|time| time.as_millis());
        let of_image = u128::try_from(nanos / 1_000_000).ok().filter(|time| *time > 0);
        asked.or(of_image).map_or(default, |time| u64::try_from(time).unwrap_or(u64::MAX).max(1))
    };
    Some(HealthcheckRecord {
        args,
        interval_ms: time(request.interval, of_image.interval, 30_000),
        timeout_ms: time(request.timeout, of_image.timeout, 30_000),
        retries: request
            .retries
            .filter(|retries| *retries > 0)
            .or_else(|| u32::try_from(of_image.retries).ok().filter(|retries| *retries > 0))
            .unwrap_or(3),
        start_period_ms: time(request.start_period, of_image.start_period, 0),
        start_interval_ms: time(request.start_interval, of_image.start_interval, 5_000),
    })
}

/// Returns an absolute container path without `.`, `..` and doubled slashes, so that equal places are equal texts.
pub fn place(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.extend(part.to_str()),
            Component::ParentDir => {
                parts.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(Into::into).collect()
    }

    fn image() -> ContainerConfig {
        ContainerConfig {
            entrypoint: Some(words("/entry")),
            cmd: Some(words("serve now")),
            env: words("PATH=/bin A=1 B=2 =x broken"),
            working_dir: "/srv".into(),
            user: "app".into(),
            ..ContainerConfig::default()
        }
    }

    fn merged(request: &ContainerRequest) -> ProcessRecord {
        process(&image(), request, "web")
    }

    #[test]
    fn the_image_decides_what_is_left_open() {
        let process = merged(&ContainerRequest::default());
        assert_eq!(process.args, words("/entry serve now"));
        assert_eq!(process.env, words("PATH=/bin HOSTNAME=web A=1 B=2"));
        assert_eq!((process.cwd.as_str(), process.user.as_str()), ("/srv", "app"));
    }

    #[test]
    fn a_command_keeps_the_entrypoint_and_an_entrypoint_drops_the_command() {
        let command = ContainerRequest { command: Some(words("x")), ..ContainerRequest::default() };
        assert_eq!(merged(&command).args, words("/entry x"));
        let entrypoint = ContainerRequest { entrypoint: Some(words("e")), ..ContainerRequest::default() };
        assert_eq!(merged(&entrypoint).args, words("e"));
        let both = ContainerRequest { command: Some(words("x")), ..entrypoint };
        assert_eq!(merged(&both).args, words("e x"));
        let empty = ContainerRequest { entrypoint: Some(vec![String::new()]), ..command };
        assert_eq!(merged(&empty).args, words("x"));
    }

    #[test]
    fn variables_are_set_over_and_taken_away() {
        let environment = [("A".to_owned(), Some("9".to_owned())), ("B".to_owned(), None)].into();
        let request = ContainerRequest { environment, tty: true, ..ContainerRequest::default() };
        assert_eq!(merged(&request).env, words("PATH=/bin HOSTNAME=web TERM=xterm A=9"));
    }

    #[test]
    fn a_health_check_is_made_of_both() {
        let mut image = image();
        assert_eq!(healthcheck(&image, None), None);
        let second = 1_000_000_000;
        image.healthcheck = Some(Healthcheck {
            test: vec!["CMD-SHELL".into(), "curl x".into()],
            interval: 2 * second,
            retries: 5,
            ..Healthcheck::default()
        });
        let request = HealthcheckRequest { timeout: Some(Duration::from_secs(1)), ..HealthcheckRequest::default() };
        assert_eq!(
            healthcheck(&image, Some(&request)),
            Some(HealthcheckRecord {
                args: vec!["/bin/sh".into(), "-c".into(), "curl x".into()],
                interval_ms: 2000,
                timeout_ms: 1000,
                retries: 5,
                start_period_ms: 0,
                start_interval_ms: 5000,
            })
        );
        let off = HealthcheckRequest { test: Some(words("NONE")), ..HealthcheckRequest::default() };
        assert_eq!(healthcheck(&image, Some(&off)), None);
    }

    #[test]
    fn equal_places_are_equal_texts() {
        for path in ["/a/b", "/a//b/", "/a/./b", "/a/x/../b", "a/b", "/../a/b"] {
            assert_eq!(place(path), "/a/b", "{path}");
        }
    }
}
