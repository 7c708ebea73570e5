//! Loads images from a file.
