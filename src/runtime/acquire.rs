//! Finds an image: the local store, then the registry, then the host's packages.
