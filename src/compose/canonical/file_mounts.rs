//! A secret or config by name to `{source}`.

use crate::canonical::expand;
use crate::document::node::Node;

/// Spells out a name.
pub fn expand(item: &mut Node) -> Result<(), String> {
    expand::keyed(item, "source");
    Ok(())
}
