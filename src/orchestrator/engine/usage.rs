//! What the engine's things take of the disk.

use std::time::{Duration, SystemTime};

use crate::engine::container::ContainerSummary;
use crate::engine::image::ImageSummary;

/// Everything that takes space.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiskUsage {
    /// Images, each with what it shares.
    pub images: Vec<ImageUsage>,
    /// Bytes of all layers, each counted once.
    pub layers: u64,
    /// Containers and what they wrote.
    pub containers: Vec<ContainerUsage>,
    /// Volumes.
    pub volumes: Vec<VolumeUsage>,
    /// The build cache.
    pub cache: CacheUsage,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUsage {
    /// The image.
    pub image: ImageSummary,
    /// Bytes of its layers that other images have too.
    pub shared: u64,
    /// Containers that were made of it.
    pub containers: usize,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUsage {
    /// The container.
    pub container: ContainerSummary,
    /// Bytes that it wrote.
    pub size: u64,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeUsage {
    /// Its name.
    pub name: String,
    /// Containers that have it.
    pub links: usize,
    /// Bytes in it.
    pub size: u64,
}

/// One thing in the build cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// Its key.
    pub id: String,
    /// `regular` for what a step did, `exec.cachemount` for the folder of a cache mount: Docker's words.
    pub kind: String,
    /// Bytes.
    pub size: u64,
    /// When it was used last.
    pub used: Option<SystemTime>,
    /// An image has it too: removing it frees nothing.
    pub shared: bool,
}

/// What is to go from the build cache; the longest unused first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CachePrune {
    /// Also what images have too.
    pub all: bool,
    /// Only what nobody used for so long.
    pub unused_for: Option<Duration>,
    /// No more than is needed to get down to so many bytes.
    pub keep: Option<u64>,
    /// Only look.
    pub rehearse: bool,
}

/// The build cache.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheUsage {
    /// Records in it.
    pub entries: usize,
    /// Bytes of layers that only the cache has, and of cache mounts.
    pub size: u64,
    /// When it was used last.
    pub used: Option<SystemTime>,
}

/// What a container's files take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerSize {
    /// Those that it has written.
    pub written: u64,
    /// With those of its image.
    pub whole: u64,
}
