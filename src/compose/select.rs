//! Narrows a project to the services that are asked for. All here acts on the canonical tree.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use crate::diagnostic::Diagnostic;
use crate::diagnostic::similar;
use crate::model::read::flag;

/// Leaves the services of `tree` that match `names` (glob patterns) and all they depend on. The others go to
/// `disabled`, where those are that no active profile enables.
pub fn narrow(tree: &mut Json, disabled: &mut BTreeMap<String, Json>, names: &[String]) -> Result<(), Diagnostic> {
    let Some(services) = tree.get_mut("services").and_then(Json::as_object_mut) else { return Ok(()) };
    let mut selected = BTreeSet::new();
    for name in names {
        select(services, disabled, name, &mut selected)?;
    }
    let (kept, left): (Vec<_>, Vec<_>) =
        std::mem::take(services).into_iter().partition(|(name, _)| selected.contains(name));
    *services = kept.into_iter().collect();
    disabled.extend(left);
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
    Ok(())
}

fn select(
    services: &Map<String, Json>,
    disabled: &BTreeMap<String, Json>,
    pattern: &str,
    selected: &mut BTreeSet<String>,
) -> Result<(), Diagnostic> {
    let matching: Vec<&String> = services.keys().filter(|name| glob(pattern, name)).collect();
    if matching.is_empty() {
        return Err(no_such_service(services, disabled, pattern));
    }
    for name in matching {
        if !selected.insert(name.clone()) {
            continue;
        }
        for (dependency, how) in entries(&services[name], "depends_on") {
            if flag(how, "required") || services.contains_key(dependency) {
                select(services, disabled, dependency, selected)?;
            }
        }
    }
    Ok(())
}

fn no_such_service(services: &Map<String, Json>, disabled: &BTreeMap<String, Json>, name: &str) -> Diagnostic {
    if let Some(service) = disabled.get(name) {
        let profiles: Vec<&str> = items(service, "profiles").filter_map(Json::as_str).collect();
        return Diagnostic::error(550, format!("the service `{name}` is not enabled"))
            .help(format!("enable one of its profiles with --profile: {}", profiles.join(", ")));
    }
    let names = || services.keys().chain(disabled.keys()).map(String::as_str);
    let meant = match similar::closest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names().take(8).collect::<Vec<_>>().join(", ")),
    };
    Diagnostic::error(551, format!("no such service: {name}; {meant}"))
}

/// Leaves out networks, volumes, configs, secrets and models that no enabled service uses. What is built for one needs its secrets.
pub fn drop_unused(tree: &mut Json, disabled: &BTreeMap<String, Json>) {
    let Some(tree) = tree.as_object_mut() else { return };
    let mut used: [BTreeSet<String>; 5] = Default::default();
    let [networks, volumes, configs, secrets, models] = &mut used;
    let source = |item: &Json| item.get("source").and_then(Json::as_str).map(str::to_owned);
    for (_, service) in tree.get("services").and_then(Json::as_object).into_iter().flatten() {
        networks.extend(entries(service, "networks").map(|(name, _)| name.clone()));
        volumes.extend(items(service, "volumes").filter(|mount| mount["type"] == "volume").filter_map(source));
        configs.extend(items(service, "configs").filter_map(source));
        secrets.extend(items(service, "secrets").filter_map(source));
        if let Some(build) = service.get("build") {
            secrets.extend(items(build, "secrets").filter_map(source));
        }
        models.extend(entries(service, "models").map(|(name, _)| name.clone()));
    }
    for service in contexts(tree.get("services"), disabled) {
        secrets.extend(items(&service["build"], "secrets").filter_map(source));
    }
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

/// Returns the services that are not enabled, but whose images are contexts (`service:NAME`) of builds of those that are.
fn contexts<'j>(services: Option<&'j Json>, disabled: &'j BTreeMap<String, Json>) -> Vec<&'j Json> {
    let mut pending: Vec<&Json> = services.and_then(Json::as_object).into_iter().flatten().map(|it| it.1).collect();
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    while let Some(service) = pending.pop() {
        let Some(build) = service.get("build") else { continue };
        let named =
            entries(build, "additional_contexts").filter_map(|(_, text)| text.as_str()?.strip_prefix("service:"));
        for name in named {
            if let Some(other) = disabled.get(name)
                && seen.insert(name)
            {
                found.push(other);
                pending.push(other);
            }
        }
    }
    found
}

fn entries<'j>(json: &'j Json, key: &str) -> impl Iterator<Item = (&'j String, &'j Json)> + use<'j> {
    json.get(key).and_then(Json::as_object).into_iter().flatten()
}

fn items<'j>(json: &'j Json, key: &str) -> impl Iterator<Item = &'j Json> + use<'j> {
    json.get(key).and_then(Json::as_array).into_iter().flatten()
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
