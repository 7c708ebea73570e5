//! Named directories that outlive containers.
