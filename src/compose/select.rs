//! Narrows a project to the services that are asked for.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use crate::diagnostic::Diagnostic;
use crate::diagnostic::similar;
use crate::model::mount::MountKind;
use crate::model::project::Project;

/// Returns `project` with the services that match `names` (glob patterns) and, if asked, all they depend on. What no
/// service uses any more is left out. No names: the whole project.
pub fn with_services(project: &Project, names: &[String], with_dependencies: bool) -> Result<Project, Diagnostic> {
    let mut project = project.clone();
    if names.is_empty() {
        return Ok(project);
    }
    let mut selected = BTreeSet::new();
    for name in names {
        select(&project, name, with_dependencies, &mut selected)?;
    }
    narrow(&mut project, &selected);
    drop_unused(&mut project);
    Ok(project)
}

fn select(
    project: &Project,
    pattern: &str,
    with_dependencies: bool,
    selected: &mut BTreeSet<String>,
) -> Result<(), Diagnostic> {
    let matching: Vec<&String> = project.services.keys().filter(|name| glob(pattern, name)).collect();
    if matching.is_empty() {
        return Err(no_such_service(project, pattern));
    }
    for name in matching {
        if !selected.insert(name.clone()) || !with_dependencies {
            continue;
        }
        let Some(service) = project.services.get(name) else { continue };
        for (dependency, how) in &service.depends_on {
            if how.required || project.services.contains_key(dependency) {
                select(project, dependency, true, selected)?;
            }
        }
    }
    Ok(())
}

fn no_such_service(project: &Project, name: &str) -> Diagnostic {
    if let Some(service) = project.disabled_services.get(name) {
        return Diagnostic::error(550, format!("the service `{name}` is not enabled"))
            .help(format!("enable one of its profiles with --profile: {}", service.profiles.join(", ")));
    }
    let diagnostic = Diagnostic::error(551, format!("no such service: `{name}`"));
    let names = || project.services.keys().chain(project.disabled_services.keys()).map(String::as_str);
    match similar::closest(name, names()) {
        Some(near) => diagnostic.help(format!("a service with a similar name exists: `{near}`")),
        None => diagnostic.help(format!("there are {}", names().collect::<Vec<_>>().join(", "))),
    }
}

fn narrow(project: &mut Project, selected: &BTreeSet<String>) {
    let (kept, left): (Vec<_>, Vec<_>) =
        std::mem::take(&mut project.services).into_iter().partition(|(name, _)| selected.contains(name));
    project.services = kept.into_iter().collect();
    project.disabled_services.extend(left);
    for service in project.services.values_mut() {
        service.depends_on.retain(|name, _| selected.contains(name));
    }
    if let Some(services) = project.canonical.get_mut("services").and_then(Json::as_object_mut) {
        services.retain(|name, _| selected.contains(name));
        for (_, service) in services.iter_mut() {
            let Some(service) = service.as_object_mut() else { continue };
            let emptied = service.get_mut("depends_on").and_then(Json::as_object_mut).is_some_and(|depends_on| {
                depends_on.retain(|name, _| selected.contains(name));
                depends_on.is_empty()
            });
            if emptied {
                service.shift_remove("depends_on");
            }
        }
    }
}

/// Leaves out networks, volumes, configs, secrets and models that no enabled service uses.
pub fn drop_unused(project: &mut Project) {
    let mut used: [BTreeSet<String>; 5] = Default::default();
    let [networks, volumes, configs, secrets, models] = &mut used;
    for service in project.services.values() {
        networks.extend(service.networks.keys().cloned());
        volumes.extend(
            service.mounts.iter().filter(|m| m.kind == MountKind::Volume).filter_map(|mount| mount.source.clone()),
        );
        configs.extend(service.configs.iter().map(|file| file.source.clone()));
        secrets.extend(service.secrets.iter().map(|file| file.source.clone()));
        secrets.extend(service.build.iter().flat_map(|build| &build.secrets).map(|file| file.source.clone()));
        models.extend(service.models.keys().cloned());
    }
    project.networks.retain(|key, _| networks.contains(key));
    project.volumes.retain(|key, _| volumes.contains(key));
    project.configs.retain(|key, _| configs.contains(key));
    project.secrets.retain(|key, _| secrets.contains(key));
    project.models.retain(|key, _| models.contains(key));
    let Some(tree) = project.canonical.as_object_mut() else { return };
    for (section, used) in ["networks", "volumes", "configs", "secrets", "models"].iter().zip(&used) {
        let emptied = tree.get_mut(*section).and_then(Json::as_object_mut).is_some_and(|section: &mut Map<_, _>| {
            section.retain(|key, _| used.contains(key));
            section.is_empty()
        });
        if emptied {
            tree.shift_remove(*section);
        }
    }
}

/// Says whether `name` fits `pattern`: `*`, `?` and `[a-z]`, as in `filepath.Match`.
fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    fits(&pattern, &name)
}

fn fits(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|skipped| fits(rest, &name[skipped..])),
        ['?', rest @ ..] => !name.is_empty() && fits(rest, &name[1..]),
        ['[', rest @ ..] => {
            let Some(end) = rest.iter().position(|character| *character == ']') else { return false };
            let Some((first, others)) = name.split_first() else { return false };
            in_class(&rest[..end], *first) && fits(&rest[end + 1..], others)
        }
        ['\\', literal, rest @ ..] | [literal, rest @ ..] => name.first() == Some(literal) && fits(rest, &name[1..]),
    }
}

fn in_class(class: &[char], character: char) -> bool {
    let (negated, class) = match class {
        ['^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut position = 0;
    let mut found = false;
    while position < class.len() {
        if let [low, '-', high, ..] = &class[position..] {
            found |= (*low..=*high).contains(&character);
            position += 3;
        } else {
            found |= class[position] == character;
            position += 1;
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_a_shell() {
        assert!(glob("web*", "web-2"));
        assert!(glob("w?b", "web"));
        assert!(glob("[a-c]x", "bx"));
        assert!(!glob("[^a-c]x", "bx"));
        assert!(!glob("web", "web-2"));
    }
}
