//! Instructions that change only the image's config, and every instruction's line in its history, as BuildKit writes them.

use crate::build::dockerfile::arguments::Pair;
use crate::build::dockerfile::instruction::{Act, Command, Healthcheck, Transfer};
use crate::build::scope::Scope;
use crate::image::config::{ContainerConfig, Healthcheck as StoredHealthcheck, History};

/// A stage so far, as far as its config goes.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Where it goes.
    pub config: &'a mut ContainerConfig,
    /// Its variables.
    pub scope: &'a mut Scope,
    /// CMD was set in this stage: a later ENTRYPOINT does not reset it.
    pub cmd_is_own: &'a mut bool,
    /// MAINTAINER.
    pub author: &'a mut Option<String>,
}

/// Quotes as Go's `%q` of a list of strings.
fn quoted(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" "))
}

/// Returns the words that run a command: a shell line goes through SHELL.
pub fn words(command: &Command, shell: &[String]) -> Vec<String> {
    match command {
        Command::Exec(words) => words.clone(),
        Command::Shell(line) if line.is_empty() => Vec::new(),
        Command::Shell(line) => {
            let shell =
                if shell.is_empty() { ["/bin/sh".to_owned(), "-c".to_owned()].to_vec() } else { shell.to_vec() };
            [shell, vec![line.clone()]].concat()
        }
    }
}

/// What became of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It is one that makes a layer: nothing was done.
    Layer,
    /// Done, and told by this line of the history.
    Line(String),
    /// Done; the history does not tell of it.
    Untold,
}

/// Carries out an instruction that makes no layer.
pub fn apply(settings: &mut Settings<'_>, act: &Act) -> Result<Applied, String> {
    let Settings { config, scope, cmd_is_own, author } = settings;
    let line = match act {
        Act::Add(_) | Act::Copy(_) | Act::Run(_) | Act::Workdir(_) => return Ok(Applied::Layer),
        Act::Arg(arguments) => {
            let mut shown = Vec::new();
            for argument in arguments {
                let value = scope.declare(argument)?;
                shown.push(value.map_or_else(|| argument.name.clone(), |value| format!("{}={value}", argument.name)));
            }
            format!("ARG {}", shown.join(" "))
        }
        Act::Cmd(command) => {
            let words = words(command, &config.shell);
            let line = format!("CMD {}", quoted(&words));
            config.cmd = Some(words);
            // Deprecated, and set by every builder all the same.
            config.other.insert("ArgsEscaped".to_owned(), true.into());
            **cmd_is_own = true;
            line
        }
        Act::Entrypoint(command) => {
            let words = words(command, &config.shell);
            let line = format!("ENTRYPOINT {}", quoted(&words));
            config.entrypoint = Some(words);
            if !**cmd_is_own {
                config.cmd = None;
            }
            line
        }
        Act::Env(pairs) => {
            let pairs = expanded(pairs, scope)?;
            for (name, value) in &pairs {
                scope.set(name, value.clone());
            }
            config.env = scope.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("ENV {}", joined(&pairs))
        }
        Act::Label(pairs) => {
            let pairs = expanded(pairs, scope)?;
            config.labels.extend(pairs.iter().cloned());
            format!("LABEL {}", joined(&pairs))
        }
        Act::Expose(ports) => {
            let ports = exposed(ports, scope)?;
            let line = format!("EXPOSE [{}]", ports.join(" "));
            for port in ports {
                if !config.exposed_ports.contains(&port) {
                    config.exposed_ports.push(port);
                }
            }
            config.exposed_ports.sort();
            line
        }
        Act::Healthcheck(check) => healthcheck(config, check),
        Act::Maintainer(name) => {
            **author = Some(name.clone());
            format!("MAINTAINER {name}")
        }
        Act::OnBuild(trigger) => {
            config.on_build.push(trigger.text.clone());
            return Ok(Applied::Untold);
        }
        Act::Shell(words) => {
            config.shell.clone_from(words);
            format!("SHELL [{}]", words.join(" "))
        }
        Act::StopSignal(signal) => {
            let signal = scope.word(signal)?;
            check_signal(&signal)?;
            config.stop_signal = Some(signal.clone());
            format!("STOPSIGNAL {signal}")
        }
        Act::User(user) => {
            config.user = scope.word(user)?;
            format!("USER {}", config.user)
        }
        Act::Volume(volumes) => {
            let mut expanded = Vec::new();
            for volume in volumes {
                expanded.extend(scope.words(volume)?);
            }
            for volume in &expanded {
                if !config.volumes.contains(volume) {
                    config.volumes.push(volume.clone());
                }
            }
            config.volumes.sort();
            format!("VOLUME [{}]", expanded.join(" "))
        }
    };
    Ok(Applied::Line(line))
}

/// One ENV or LABEL line is expanded with the values before it.
fn expanded(pairs: &[Pair], scope: &Scope) -> Result<Vec<(String, String)>, String> {
    pairs.iter().map(|pair| Ok((scope.word(&pair.key)?, scope.word(&pair.value)?))).collect()
}

fn joined(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// Reads ports: `80`, `53/udp`, `8000-8002`, and of `host:container` the second.
fn exposed(ports: &[String], scope: &Scope) -> Result<Vec<String>, String> {
    let mut result = Vec::new();
    for text in ports {
        for word in scope.words(text)? {
            let bad = || format!("invalid port `{word}`");
            let (range, protocol) = match word.split_once('/') {
                Some((range, protocol)) => (range, protocol.to_lowercase()),
                None => (word.as_str(), "tcp".to_owned()),
            };
            if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
                return Err(format!("invalid protocol `{protocol}` of port `{word}`"));
            }
            let range = range.rsplit(':').next().unwrap_or(range);
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let first: u16 = first.parse().map_err(|_| bad())?;
            let last: u16 = last.parse().map_err(|_| bad())?;
            if first > last {
                return Err(bad());
            }
            result.extend((first..=last).map(|port| format!("{port}/{protocol}")));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    result.retain(|port| seen.insert(port.clone()));
    Ok(result)
}

fn healthcheck(config: &mut ContainerConfig, check: &Healthcheck) -> String {
    let stored = match check {
        Healthcheck::None => StoredHealthcheck { test: vec!["NONE".to_owned()], ..StoredHealthcheck::default() },
        Healthcheck::Probe { command, interval, timeout, start_period, start_interval, retries } => {
            let test = match command {
                Command::Exec(words) => [vec!["CMD".to_owned()], words.clone()].concat(),
                Command::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
            };
            StoredHealthcheck {
                test,
                interval: interval.unwrap_or(0),
                timeout: timeout.unwrap_or(0),
                start_period: start_period.unwrap_or(0),
                start_interval: start_interval.unwrap_or(0),
                retries: retries.unwrap_or(0),
            }
        }
    };
    let line = format!(
        "HEALTHCHECK {{Test:[{}] Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        stored.test.join(" "),
        go_duration(stored.interval),
        go_duration(stored.timeout),
        go_duration(stored.start_period),
        go_duration(stored.start_interval),
        stored.retries
    );
    config.healthcheck = Some(stored);
    line
}

/// Writes a time as Go does: `1m30s`.
fn go_duration(nanoseconds: i64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let rest = nanoseconds % 1_000_000_000;
    if seconds == 0 && rest != 0 {
        return format!("{}ms", nanoseconds as f64 / 1e6);
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let last = if rest == 0 { seconds.to_string() } else { format!("{}", seconds as f64 + rest as f64 / 1e9) };
    match (hours, minutes) {
        (0, 0) => format!("{last}s"),
        (0, minutes) => format!("{minutes}m{last}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{last}s"),
    }
}

fn check_signal(signal: &str) -> Result<(), String> {
    let known = [
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
        "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
        "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
    ];
    let upper = signal.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = name.parse::<u32>().is_ok_and(|number| (1..=64).contains(&number));
    let real_time = name.starts_with("RTMIN") || name.starts_with("RTMAX");
    if known.contains(&name) || number || real_time { Ok(()) } else { Err(format!("invalid signal: {signal}")) }
}

/// Returns the history line of COPY or ADD, variables expanded.
pub fn transfer_line(keyword: &str, transfer: &Transfer) -> String {
    let mut words = vec![keyword.to_owned()];
    words.extend(transfer.parents.then(|| "--parents".to_owned()));
    words.extend(transfer.chown.iter().map(|value| format!("--chown={value}")));
    words.extend(transfer.chmod.iter().map(|value| format!("--chmod={value}")));
    words.extend(transfer.sources.iter().cloned());
    words.extend(transfer.contents.iter().map(|content| format!("<<{}", content.name)));
    words.push(transfer.destination.clone());
    words.push("# buildkit".to_owned());
    words.join(" ")
}

/// Makes a history entry.
pub fn history(created: &str, line: String, empty: bool) -> History {
    History {
        created: Some(created.to_owned()),
        created_by: Some(line),
        comment: Some("buildkit.dockerfile.v0".to_owned()),
        empty_layer: empty,
        ..History::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::dockerfile::decode;

    fn lines(text: &str) -> (ContainerConfig, Vec<String>) {
        let dockerfile = decode::dockerfile(&format!("FROM x\n{text}")).unwrap();
        let mut config = ContainerConfig { cmd: Some(vec!["inherited".to_owned()]), ..ContainerConfig::default() };
        let (mut scope, mut own, mut author) = (Scope::default(), false, None);
        let mut lines = Vec::new();
        for instruction in &dockerfile.stages[0].instructions {
            let mut settings =
                Settings { config: &mut config, scope: &mut scope, cmd_is_own: &mut own, author: &mut author };
            if let Applied::Line(line) = apply(&mut settings, &instruction.act).unwrap() {
                lines.push(line);
            }
        }
        (config, lines)
    }

    #[test]
    fn history_reads_as_buildkit_writes_it() {
        let (_, lines) = lines(
            "ENV a=1 b=\"$a 2\"\nENV c=$a\nEXPOSE 80 53/udp 80\nCMD echo hi\nENTRYPOINT [\"/x\", \"y\"]\nVOLUME /d\n\
             HEALTHCHECK --interval=90s CMD [\"/t\"]\nSHELL [\"/bin/sh\", \"-ec\"]\nUSER app",
        );
        assert_eq!(
            lines,
            [
                "ENV a=1 b= 2",
                "ENV c=1",
                "EXPOSE [53/udp 80/tcp]",
                "CMD [\"/bin/sh\" \"-c\" \"echo hi\"]",
                "ENTRYPOINT [\"/x\" \"y\"]",
                "VOLUME [/d]",
                "HEALTHCHECK {Test:[CMD /t] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
                "SHELL [/bin/sh -ec]",
                "USER app",
            ]
        );
    }

    #[test]
    fn entrypoint_resets_only_an_inherited_cmd() {
        assert_eq!(lines("ENTRYPOINT [\"/x\"]").0.cmd, None);
        assert_eq!(lines("CMD [\"own\"]\nENTRYPOINT [\"/x\"]").0.cmd.unwrap(), ["own"]);
    }
}
