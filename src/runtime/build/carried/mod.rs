//! The build cache on its way between machines: written beside an image, to a registry or into a folder, and read from there.
mod document;
mod export;
mod import;

pub(super) use document::INLINE;
pub(super) use export::{Done, export, inline};
pub(super) use import::Imports;
