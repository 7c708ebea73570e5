//! The parts of a project that are lists: a line an item.

use std::collections::BTreeSet;

use compose::Project;
use compose::model::encode::service_hash;
use orchestrator::identity::image_reference;

use crate::app::App;
use crate::commands::config::Args;
use crate::commands::services;
use crate::error::CommandError;

/// A part that is a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Services,
    Volumes,
    Networks,
    Models,
    Hashes,
    Profiles,
    Images,
}

/// Returns the list that the flags ask for; of several the first in this order, as in Docker Compose.
pub(super) fn wanted(args: &Args) -> Option<List> {
    let asked = [
        (args.services, List::Services),
        (args.volumes, List::Volumes),
        (args.networks, List::Networks),
        (args.models, List::Models),
        (args.hash.as_ref().is_some_and(|hash| !hash.is_empty()), List::Hashes),
        (args.profiles, List::Profiles),
        (args.images, List::Images),
    ];
    asked.into_iter().find(|(asked, _)| *asked).map(|(_, list)| list)
}

/// Returns the lines of `list`.
pub(super) fn print(args: &Args, app: &App, list: List) -> Result<String, CommandError> {
    let names: &[String] = match list {
        List::Profiles | List::Images => &args.names,
        List::Services | List::Volumes | List::Networks | List::Models | List::Hashes => &[],
    };
    let project = args.load(app, names, false)?;
    let lines = match list {
        List::Services => dependencies_first(&project),
        List::Volumes => project.volumes.keys().cloned().collect(),
        List::Networks => project.networks.keys().cloned().collect(),
        List::Models => project.models.values().map(|model| model.model.clone()).collect(),
        List::Hashes => hashes(args.hash.as_deref().unwrap_or("*"), &project)?,
        List::Profiles => profiles(&project),
        List::Images => project.services.values().map(|service| image_reference(&project.name, service)).collect(),
    };
    Ok(lines.into_iter().map(|line: String| line + "\n").collect())
}

/// Returns the names of the services, each behind those it depends on, and else by the alphabet.
fn dependencies_first(project: &Project) -> Vec<String> {
    fn visit<'a>(project: &'a Project, name: &'a str, seen: &mut BTreeSet<&'a str>, order: &mut Vec<String>) {
        let Some(service) = project.services.get(name) else { return };
        if !seen.insert(name) {
            return;
        }
        service.depends_on.keys().for_each(|dependency| visit(project, dependency, seen, order));
        order.push(name.to_owned());
    }
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    project.services.keys().for_each(|name| visit(project, name, &mut seen, &mut order));
    order
}

fn profiles(project: &Project) -> Vec<String> {
    let services = project.services.values().chain(project.disabled_services.values());
    let profiles: BTreeSet<String> = services.flat_map(|service| service.profiles.iter().cloned()).collect();
    profiles.into_iter().collect()
}

fn hashes(wanted: &str, project: &Project) -> Result<Vec<String>, CommandError> {
    let names: Vec<String> = if wanted == "*" {
        project.services.keys().cloned().collect()
    } else {
        let mut names: Vec<String> = wanted.split(',').map(|name| name.trim().to_owned()).collect();
        names.sort_unstable();
        names
    };
    services::check(&names, project)?;
    Ok(names.iter().map(|name| format!("{name} {}", service_hash(project, name))).collect())
}
