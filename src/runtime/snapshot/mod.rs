//! Layers on disk: archives become directories, directories are stacked and mounted, what was written on top becomes a layer.

mod ahead;
pub mod archive;
pub mod archive_writer;
pub mod copy;
pub mod diff;
pub mod extract;
pub mod gzip;
pub mod overlay;
pub mod pack;
pub mod place;
pub mod quota;
mod sparse;
pub mod unpack;
pub mod whiteout;

#[cfg(test)]
mod tests;
