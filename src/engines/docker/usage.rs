//! What takes how much of the engine's disk, as `GET /system/df` tells it.

use std::collections::BTreeMap;

use orchestrator::engine::usage::{CacheUsage, ContainerSize, ContainerUsage, DiskUsage, ImageUsage, VolumeUsage};
use serde_json::Value;

use crate::docker::acts;
use crate::docker::client::{Client, escape};
use crate::docker::fault::Fault;
use crate::docker::summary;
use crate::moment;

/// Looks at everything.
pub(crate) async fn disk_usage(client: &Client) -> Result<DiskUsage, Fault> {
    let found = client.get("/system/df").await?;
    let containers = acts::list(client, &[]).await?;
    let written: BTreeMap<&str, u64> =
        rows(&found["Containers"]).filter_map(|row| Some((row["Id"].as_str()?, number(&row["SizeRw"])))).collect();
    let containers = containers
        .into_iter()
        .map(|container| ContainerUsage { size: written.get(container.id.0.as_str()).copied().unwrap_or(0), container })
        .collect();
    Ok(told(&found, containers))
}

/// Counts what a container's files take.
pub(crate) async fn container(client: &Client, id: &str) -> Result<ContainerSize, Fault> {
    let found = client.get(&format!("/containers/{}/json?size=1", escape(id))).await?;
    Ok(ContainerSize { written: number(&found["SizeRw"]), whole: number(&found["SizeRootFs"]) })
}

fn told(found: &Value, containers: Vec<ContainerUsage>) -> DiskUsage {
    let images = rows(&found["Images"]).map(|row| ImageUsage {
        image: summary::listed_image(row),
        shared: number(&row["SharedSize"]),
        containers: count(&row["Containers"]),
    });
    let volumes = rows(&found["Volumes"]).map(|row| VolumeUsage {
        name: row["Name"].as_str().unwrap_or_default().to_owned(),
        links: count(&row["UsageData"]["RefCount"]),
        size: number(&row["UsageData"]["Size"]),
    });
    let cache = || rows(&found["BuildCache"]);
    DiskUsage {
        images: images.collect(),
        layers: number(&found["LayersSize"]),
        containers,
        volumes: volumes.collect(),
        cache: CacheUsage {
            entries: cache().count(),
            // What is shared with images is counted with them.
            size: cache().filter(|row| row["Shared"] != true).map(|row| number(&row["Size"])).sum(),
            used: cache().filter_map(|row| moment::parse(row["LastUsedAt"].as_str()?)).max(),
        },
    }
}

fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A number; the engine's -1 is one that it has not counted.
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn count(value: &Value) -> usize {
    usize::try_from(number(value)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_engine_counts_is_told_and_shared_cache_is_not_counted_twice() {
        let found = json!({"LayersSize": 900,
            "Images": [{"Id": "sha256:a", "RepoTags": ["a:1"], "Size": 500, "SharedSize": -1, "Containers": 2}],
            "Volumes": [{"Name": "v", "UsageData": {"RefCount": 1, "Size": 70}}],
            "BuildCache": [{"Size": 5, "Shared": false, "LastUsedAt": "2026-01-01T00:00:00Z"},
                {"Size": 9, "Shared": true}]});
        let usage = told(&found, Vec::new());
        assert_eq!((usage.layers, usage.images[0].image.size, usage.images[0].shared), (900, 500, 0));
        assert_eq!((usage.images[0].containers, usage.volumes[0].size, usage.volumes[0].links), (2, 70, 1));
        assert_eq!((usage.cache.entries, usage.cache.size), (2, 5));
        assert!(usage.cache.used.is_some());
    }
}
