//! What each well-known image has beyond its packages: accounts, folders, start programs, and the settings in its config.

use crate::bootstrap::catalogue::Software;
use crate::bootstrap::foundation::{Account, FixError, Root, add_accounts};
use crate::bootstrap::scripts;
use crate::image::config::ContainerConfig;

const NOBODY: &str = "/usr/sbin/nologin";
const REDIS: Account = Account { name: "redis", id: 999, home: "/data", shell: NOBODY };
const NGINX: Account = Account { name: "nginx", id: 101, home: "/nonexistent", shell: NOBODY };
const POSTGRES: Account = Account { name: "postgres", id: 999, home: "/var/lib/postgresql", shell: "/bin/bash" };
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Finishes the layer of the software's own packages, above `base`.
pub fn finish(software: Software, version: &str, root: Root<'_>, base: Root<'_>) -> Result<(), FixError> {
    match software {
        Software::System | Software::Busybox => Ok(()),
        Software::Python => {
            for (path, to) in [
                ("/usr/local/bin/python", "/usr/bin/python3"),
                ("/usr/local/bin/python3", "/usr/bin/python3"),
                ("/usr/local/bin/pip", "/usr/bin/pip3"),
                ("/usr/bin/python", "python3"),
            ] {
                root.link(path, to)?;
            }
            Ok(())
        }
        Software::Redis => {
            add_accounts(root, base, &[REDIS])?;
            root.folder("/data", 0o755)?;
            root.own("/data", REDIS.id)?;
            root.file("/usr/local/bin/docker-entrypoint.sh", 0o755, scripts::REDIS.as_bytes())
        }
        Software::Nginx => {
            add_accounts(root, base, &[NGINX])?;
            root.file("/etc/nginx/nginx.conf", 0o644, scripts::NGINX_CONF.as_bytes())?;
            root.file("/etc/nginx/conf.d/default.conf", 0o644, scripts::NGINX_SITE.as_bytes())?;
            root.folder("/etc/nginx/modules-enabled", 0o755)?;
            root.folder("/var/lib/nginx", 0o755)?;
            root.folder("/var/log/nginx", 0o755)?;
            root.link("/var/log/nginx/access.log", "/dev/stdout")?;
            root.link("/var/log/nginx/error.log", "/dev/stderr")
        }
        Software::Postgres => {
            add_accounts(root, base, &[POSTGRES])?;
            for path in ["/var/lib/postgresql", "/var/lib/postgresql/data"] {
                root.folder(path, 0o700)?;
                root.own(path, POSTGRES.id)?;
            }
            root.folder("/docker-entrypoint-initdb.d", 0o755)?;
            root.folder("/run/postgresql", 0o3775)?;
            root.own("/run/postgresql", POSTGRES.id)?;
            // The server must be reachable from other containers.
            let sample = format!("/usr/share/postgresql/{version}/postgresql.conf.sample");
            let text = root.read(&sample).replace("#listen_addresses = 'localhost'", "listen_addresses = '*'");
            root.file(&sample, 0o644, text.as_bytes())?;
            root.file("/usr/local/bin/docker-entrypoint.sh", 0o755, scripts::POSTGRES.as_bytes())
        }
    }
}

/// Returns how containers of the image run.
pub fn settings(software: Software, version: &str) -> ContainerConfig {
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let mut config = ContainerConfig { env: vec![format!("PATH={PATH}")], ..ContainerConfig::default() };
    match software {
        Software::System => config.cmd = words(&["bash"]),
        Software::Busybox => config.cmd = words(&["sh"]),
        Software::Python => {
            config.env.extend(["LANG=C.UTF-8".to_owned(), format!("PYTHON_VERSION={version}")]);
            config.cmd = words(&["python3"]);
        }
        Software::Redis => {
            config.env.push(format!("REDIS_VERSION={version}"));
            config.entrypoint = words(&["docker-entrypoint.sh"]);
            config.cmd = words(&["redis-server"]);
            config.exposed_ports = vec!["6379/tcp".into()];
            config.volumes = vec!["/data".into()];
            config.working_dir = "/data".into();
        }
        Software::Nginx => {
            config.env.push(format!("NGINX_VERSION={version}"));
            config.cmd = words(&["nginx", "-g", "daemon off;"]);
            config.exposed_ports = vec!["80/tcp".into()];
            config.stop_signal = Some("SIGQUIT".into());
        }
        Software::Postgres => {
            config.env = vec![
                format!("PATH={PATH}:/usr/lib/postgresql/{version}/bin"),
                "LANG=C.UTF-8".into(),
                format!("PG_MAJOR={version}"),
                "PGDATA=/var/lib/postgresql/data".into(),
            ];
            config.entrypoint = words(&["docker-entrypoint.sh"]);
            config.cmd = words(&["postgres"]);
            config.exposed_ports = vec!["5432/tcp".into()];
            config.volumes = vec!["/var/lib/postgresql/data".into()];
            config.stop_signal = Some("SIGINT".into());
        }
    }
    config
}
