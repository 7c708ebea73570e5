//! Images pinned to the digest that their registry has now.

use std::collections::BTreeMap;

use compose::Project;
use runtime::image::reference::{DEFAULT_REGISTRY, Reference};
use serde_json::{Map, Value};

use crate::app::App;
use crate::error::{CommandError, Kind};

/// Puts the digest behind the name of each service's image; an image that has one keeps it. Each registry is asked
/// once for an image.
pub(crate) async fn resolve(app: &App, project: &mut Project) -> Result<(), CommandError> {
    let Some(services) = project.canonical.get_mut("services").and_then(Value::as_object_mut) else { return Ok(()) };
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for (name, service) in services.iter_mut() {
        let Some(image) = service.get("image").and_then(Value::as_str).filter(|image| !image.is_empty()) else {
            continue;
        };
        let pinned = match known.get(image) {
            Some(pinned) => pinned.clone(),
            None => {
                let pinned = pinned(app, name, image).await?;
                known.insert(image.to_owned(), pinned.clone());
                pinned
            }
        };
        service["image"] = Value::String(pinned);
    }
    Ok(())
}

async fn pinned(app: &App, service: &str, image: &str) -> Result<String, CommandError> {
    let reference = Reference::parse(image).map_err(|error| {
        CommandError::new(Kind::Failed, format!("cannot pin the image of service `{service}`: {error}"))
    })?;
    // A digest says it all: no registry is asked, and the tag beside it means nothing.
    let (tag, digest) = match reference.digest {
        Some(digest) => (None, digest.to_string()),
        None => {
            let digest = app.engine()?.resolve_digest(image).await?;
            (reference.tag, digest)
        }
    };
    let registry = if reference.registry.is_empty() { DEFAULT_REGISTRY } else { &reference.registry };
    let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
    Ok(format!("{registry}/{}{tag}@{digest}", reference.repository))
}

/// Leaves the images of the services and nothing else: an override file.
pub(crate) fn keep_images(project: &mut Project) {
    let raw = project.uninterpolated;
    let services = project.canonical.get("services").and_then(Value::as_object);
    let images = services.into_iter().flatten().map(|(name, service)| {
        let mut kept = Map::new();
        for key in ["command", "entrypoint"].into_iter().filter(|_| !raw) {
            kept.insert(key.to_owned(), Value::Null);
        }
        if let Some(image) = service.get("image") {
            kept.insert("image".to_owned(), image.clone());
        }
        (name.clone(), Value::Object(kept))
    });
    let services = Value::Object(images.collect());
    let mut tree = Map::new();
    if !raw {
        tree.insert("name".to_owned(), Value::String(String::new()));
    }
    tree.insert("services".to_owned(), services);
    project.canonical = Value::Object(tree);
}
