//! `MOTET_BEHIND_PROXY`: what builds and containers are given where the way out is through a proxy that re-signs what it passes on.

use std::collections::BTreeMap;
use std::path::Path;

use runtime::build::HostCa;
use serde_json::Value;

use crate::args::Environment;
use crate::error::{CommandError, Kind};

/// Names of proxies in docker's settings, and the variables that programs read.
const PROXIES: [(&str, &str); 5] = [
    ("httpProxy", "HTTP_PROXY"),
    ("httpsProxy", "HTTPS_PROXY"),
    ("ftpProxy", "FTP_PROXY"),
    ("noProxy", "NO_PROXY"),
    ("allProxy", "ALL_PROXY"),
];

/// What the host's network asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Surroundings {
    /// Who is given the host's certificate bundle.
    pub(crate) host_ca: HostCa,
    /// Variables and values.
    pub(crate) proxies: Vec<(String, String)>,
}

/// Reads the setting, and the proxies: those of docker's `config.json` always, as docker does, those of the environment with `always`.
pub(crate) fn read(environment: &Environment, docker_folder: Option<&Path>) -> Result<Surroundings, CommandError> {
    let host_ca = match environment.get("MOTET_BEHIND_PROXY") {
        None | Some("auto") => HostCa::Auto,
        Some("always") => HostCa::Always,
        Some("never") => HostCa::Never,
        Some(other) => {
            let message = format!("`MOTET_BEHIND_PROXY={other}` is not known: there are auto, always and never");
            return Err(CommandError::new(Kind::Usage, message));
        }
    };
    let mut proxies: BTreeMap<String, String> = BTreeMap::new();
    if host_ca == HostCa::Always {
        for (_, name) in PROXIES {
            let value = environment.get(name).or_else(|| environment.get(&name.to_ascii_lowercase()));
            proxies.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        }
    }
    if host_ca != HostCa::Never
        && let Some(folder) = docker_folder
    {
        let text = std::fs::read(folder.join("config.json")).unwrap_or_default();
        proxies.extend(of_docker(&serde_json::from_slice(&text).unwrap_or_default(), environment.get("DOCKER_HOST")));
    }
    Ok(Surroundings { host_ca, proxies: proxies.into_iter().collect() })
}

/// `{"proxies": {"default": {"httpProxy": ..}}}`, or those of one daemon.
fn of_docker(config: &Value, host: Option<&str>) -> Vec<(String, String)> {
    let all = &config["proxies"];
    let chosen = host.map(|host| &all[host]).filter(|it| it.is_object()).unwrap_or(&all["default"]);
    let value = |(key, name): &(&str, &str)| Some(((*name).to_owned(), chosen[*key].as_str()?.to_owned()));
    PROXIES.iter().filter_map(value).filter(|(_, value)| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_counts_only_when_it_is_asked_for() {
        let none = Environment::from([("http_proxy", "http://p:3128")]);
        assert_eq!(read(&none, None).unwrap(), Surroundings::default());
        let always = Environment::from([("http_proxy", "http://p:3128"), ("MOTET_BEHIND_PROXY", "always")]);
        let read = read(&always, None).unwrap();
        assert_eq!(read.proxies, [("HTTP_PROXY".to_owned(), "http://p:3128".to_owned())]);
        assert_eq!(read.host_ca, HostCa::Always);
    }

    #[test]
    fn a_wrong_word_names_the_right_ones() {
        let wrong = Environment::from([("MOTET_BEHIND_PROXY", "yes")]);
        assert_eq!(read(&wrong, None).unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn docker_has_proxies_for_one_daemon_and_for_all_others() {
        let config = serde_json::json!({"proxies": {"default": {"httpsProxy": "d"}, "tcp://x": {"httpProxy": "x"}}});
        assert_eq!(of_docker(&config, None), [("HTTPS_PROXY".to_owned(), "d".to_owned())]);
        assert_eq!(of_docker(&config, Some("tcp://x")), [("HTTP_PROXY".to_owned(), "x".to_owned())]);
        assert_eq!(of_docker(&Value::Null, None), []);
    }
}
