//! The black-box suite, one binary.
