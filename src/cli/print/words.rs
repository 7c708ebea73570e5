//! The words for events: exactly Docker Compose's, since scripts read them.

use orchestrator::event::{Act, ResourceKind};

/// The three forms of an act: while it goes on, when it is done, and what to call it in an error.
pub(crate) fn going_on(act: Act) -> &'static str {
    match act {
        Act::Create => "Creating",
        Act::Start => "Starting",
        Act::Stop => "Stopping",
        Act::Restart => "Restarting",
        Act::Remove => "Removing",
        Act::Recreate => "Recreate",
        Act::Pull => "Pulling",
        Act::Push => "Pushing",
        Act::Build => "Building",
        Act::Wait => "Waiting",
        Act::Kill => "Killing",
        Act::Pause => "Pausing",
        Act::Unpause => "Unpausing",
        Act::Copy => "Copying",
        Act::Commit => "Committing",
        Act::Export => "Exporting",
        Act::Configure => "Configuring",
        Act::Publish => "publishing",
    }
}

/// The word once the act is done.
pub(crate) fn done(act: Act) -> &'static str {
    match act {
        Act::Create => "Created",
        Act::Start | Act::Restart => "Started",
        Act::Stop => "Stopped",
        Act::Remove => "Removed",
        Act::Recreate => "Recreated",
        Act::Pull => "Pulled",
        Act::Push => "Pushed",
        Act::Build => "Built",
        Act::Wait => "Healthy",
        Act::Kill => "Killed",
        Act::Pause => "Paused",
        Act::Unpause => "Unpaused",
        Act::Copy => "Copied",
        Act::Commit => "Committed",
        Act::Export => "Exported",
        Act::Configure => "Configured",
        Act::Publish => "published",
    }
}

/// How a resource is called in front of its status: `Container shop-web-1`; images go by their own name.
pub(crate) fn subject(kind: ResourceKind, name: &str) -> String {
    match kind {
        ResourceKind::Network => format!("Network {name}"),
        ResourceKind::Volume => format!("Volume {name}"),
        ResourceKind::Container => format!("Container {name}"),
        ResourceKind::Image | ResourceKind::Provider | ResourceKind::Model => name.to_owned(),
    }
}
