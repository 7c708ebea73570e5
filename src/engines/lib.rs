//! The ways to act: an Engine over the embedded runtime; later, one over a Docker API.
