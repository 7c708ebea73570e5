//! `cp`: files between the host and a service.

use std::path::Path;

use orchestrator::event::Act;
use orchestrator::operations::ps::{Replica, list};
use orchestrator::operations::scope::Scope;

use crate::app::App;
use crate::commands::acts::copy::{CopyFlags, copy_in, copy_out};
use crate::commands::{one, services};
use crate::error::{CommandError, Kind};

/// Copy files between the host and a service
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  motet cp web:/etc/nginx/nginx.conf .   a file out of `web`
  motet cp ./site/. web:/srv/site        what is in a folder, into every replica of `web`")]
pub(crate) struct Args {
    #[command(flatten)]
    flags: CopyFlags,

    /// Containers of `run` too
    #[arg(long)]
    all: bool,

    /// Only the replica of this number
    #[arg(long, value_name = "N")]
    index: Option<u32>,

    /// From where: `PATH`, `SERVICE:PATH`, or `-` for an archive
    #[arg(value_name = "SOURCE", allow_hyphen_values = true)]
    source: String,

    /// To where: `PATH`, `SERVICE:PATH`, or `-` for an archive
    #[arg(value_name = "TARGET", allow_hyphen_values = true)]
    target: String,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let direction = Direction::of(&args.source, &args.target)?;
    let target = app.target()?;
    let service = direction.place().to_owned();
    services::check_target(std::slice::from_ref(&service), &target)?;
    let engine = app.engine()?;
    let scope = Scope { services: vec![service.clone()], index: args.index, one_offs: args.all };
    let mut replicas: Vec<Replica> = list(engine.clone(), &target.name, &scope).await?;
    if matches!(direction, Direction::Out { .. }) {
        replicas.truncate(1);
    }
    if replicas.is_empty() {
        let message = format!("service `{service}` has no container");
        return Err(CommandError::new(Kind::Failed, message).hint(format!("`up {service}` creates it")));
    }
    let copying = async |events| {
        let mut left_out = Vec::new();
        for replica in &replicas {
            let container = &replica.container;
            let copying = async {
                if app.settings.dry_run {
                    return Ok(Vec::new());
                }
                direction.copy(app, &engine, &container.id, args.flags).await
            };
            left_out.extend(one::told(Act::Copy, &container.name, &events, copying).await?);
        }
        Ok(left_out)
    };
    let left_out: Vec<String> = app.run(target.loaded.as_ref(), copying).await?;
    warn_of(app, &left_out);
    Ok(())
}

/// Says what could not be copied to the host.
pub(crate) fn warn_of(app: &App, left_out: &[String]) {
    left_out.iter().for_each(|what| app.printer.warn(&format!("left out: {what}")));
}

/// Which way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Direction<'a> {
    /// Into `place` (a service or container).
    In { host: &'a str, place: &'a str, path: &'a str },
    /// Out of it.
    Out { place: &'a str, path: &'a str, host: &'a str },
}

impl<'a> Direction<'a> {
    /// Tells `PLACE:PATH` from a path of the host.
    pub(crate) fn of(source: &'a str, target: &'a str) -> Result<Self, CommandError> {
        let wrong = |why: &str| Err(CommandError::new(Kind::Usage, format!("`{source}` to `{target}`: {why}")));
        match (split(source), split(target)) {
            (Some((place, path)), None) => Ok(Self::Out { place, path, host: target }),
            (None, Some((place, path))) => Ok(Self::In { host: source, place, path }),
            (Some(_), Some(_)) => wrong("files can't be copied from one container to another"),
            (None, None) => wrong("one of them must be in a container: `NAME:PATH`"),
        }
    }

    /// Returns the service or container.
    pub(crate) fn place(&self) -> &'a str {
        match self {
            Self::In { place, .. } | Self::Out { place, .. } => place,
        }
    }

    /// Copies.
    pub(crate) async fn copy(
        &self,
        app: &App,
        engine: &std::sync::Arc<dyn orchestrator::engine::Engine>,
        id: &orchestrator::engine::container::ContainerId,
        flags: CopyFlags,
    ) -> Result<Vec<String>, orchestrator::engine::error::EngineError> {
        match self {
            Self::In { host, path, .. } => {
                let host_path = app.absolute(Path::new(host));
                copy_in(engine, id, (host, path), &host_path, flags).await.map(|()| Vec::new())
            }
            Self::Out { path, host, .. } => {
                let host_path = app.absolute(Path::new(host));
                copy_out(engine, id, (path, host), &host_path, flags).await
            }
        }
    }
}

/// Splits `NAME:PATH`; a path of the host with a colon in it begins with `.` or `/`.
fn split(text: &str) -> Option<(&str, &str)> {
    if text.starts_with(['.', '/']) {
        return None;
    }
    text.split_once(':').filter(|(name, _)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_colon_make_a_place_in_a_container() {
        assert_eq!(Direction::of("web:/a", ".").unwrap(), Direction::Out { place: "web", path: "/a", host: "." });
        assert_eq!(Direction::of("./a:b", "web:c").unwrap(), Direction::In { host: "./a:b", place: "web", path: "c" });
        assert!(Direction::of("a", "b").is_err());
        assert!(Direction::of("a:b", "c:d").is_err());
    }
}
