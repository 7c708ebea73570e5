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

/// The word for what has failed.
pub(crate) fn failed(kind: ResourceKind, act: Act) -> &'static str {
    let is_container = kind == ResourceKind::Container;
    if is_container && act == Act::Stop {
        "Error while Stopping"
    } else if is_container && act == Act::Remove {
        "Error while Removing"
    } else if is_container && act == Act::Kill {
        "Error while Killing"
    } else {
        "Error"
    }
}

/// As [`subject`], for this act: an image that goes is called one, and by its tag.
pub(crate) fn subject_of(kind: ResourceKind, name: &str, act: Act) -> String {
    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    if (kind, act) != (ResourceKind::Image, Act::Remove) {
        subject(kind, name)
    } else if has_tag {
        format!("Image {name}")
    } else {
        format!("Image {name}:latest")
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
