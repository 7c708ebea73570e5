//! An embedded container runtime for one machine: images, snapshots, networks, sandboxes, keepers. No daemon.
//!
//! Knows nothing of the files that its callers read: labels are opaque. All state is files below two roots, see [`state::layout`].

// Documents, registries and texts: on any system, for who drives an engine elsewhere.
pub mod build;
pub mod image;
pub mod progress;
pub mod registry;
pub mod state;

// What makes images and containers: Linux alone can.
#[cfg(target_os = "linux")]
pub mod acquire;
#[cfg(target_os = "linux")]
pub mod bootstrap;
#[cfg(target_os = "linux")]
pub mod cgroup;
#[cfg(target_os = "linux")]
pub mod container;
#[cfg(target_os = "linux")]
pub mod hidden;
#[cfg(target_os = "linux")]
pub mod keeper;
#[cfg(target_os = "linux")]
pub mod network;
#[cfg(target_os = "linux")]
pub mod sandbox;
#[cfg(target_os = "linux")]
pub mod snapshot;
#[cfg(target_os = "linux")]
pub mod sys;
#[cfg(target_os = "linux")]
pub mod volume;

use std::path::PathBuf;
use std::sync::Arc;

use state::layout::Layout;

#[cfg(target_os = "linux")]
pub use hidden::hidden;

/// The runtime on one pair of state roots. Cheap to clone; every act is a function that takes it.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// Every path below the roots.
    pub layout: Arc<Layout>,
    /// How registries are talked to.
    pub registry: Arc<registry::client::Settings>,
}

/// Why the runtime can't work here.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A state folder can't be made.
    #[error("cannot create the state folder `{path}`")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
}

impl Runtime {
    /// Opens, and makes where missing, the state roots of `layout`.
    pub fn open(layout: Layout) -> Result<Self, OpenError> {
        for path in layout.folders() {
            // Mostly they are there: one call each tells.
            let made = match std::fs::create_dir(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => std::fs::create_dir_all(&path),
                other => other,
            };
            made.map_err(|source| OpenError::Folder { path: path.clone(), source })?;
        }
        Ok(Self { layout: Arc::new(layout), registry: Arc::default() })
    }

    /// Talks to registries as `settings` say: the caller has read the environment.
    #[must_use]
    pub fn with_registry(self, settings: registry::client::Settings) -> Self {
        Self { registry: Arc::new(settings), ..self }
    }
}
