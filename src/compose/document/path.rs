//! A place in the tree, `services.web.ports[0]`, and patterns over places, `services.*.ports.*`.

use std::fmt;

/// One step down the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Into a mapping.
    Key(String),
    /// Into a sequence.
    Index(usize),
}

/// A place in the tree; walked with `push` and `pop`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    segments: Vec<Segment>,
}

impl Path {
    /// Returns the place that `keys` lead to.
    pub fn of(keys: &[&str]) -> Self {
        Self { segments: keys.iter().map(|key| Segment::Key((*key).to_owned())).collect() }
    }

    /// Goes into a mapping.
    pub fn push(&mut self, key: &str) {
        self.segments.push(Segment::Key(key.to_owned()));
    }

    /// Goes into a sequence.
    pub fn push_index(&mut self, index: usize) {
        self.segments.push(Segment::Index(index));
    }

    /// Comes back up.
    pub fn pop(&mut self) {
        self.segments.pop();
    }

    /// Returns the steps from the root.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns the name at `position`, if that step goes into a mapping.
    pub fn name(&self, position: usize) -> Option<&str> {
        match self.segments.get(position)? {
            Segment::Key(key) => Some(key),
            Segment::Index(_) => None,
        }
    }
}

/// What holds at places that patterns describe, found without a look at most of them: a document has many places.
#[derive(Debug)]
pub struct PlaceTable<T> {
    /// Patterns by their number of steps, in the order given.
    by_length: Vec<Vec<(Vec<&'static str>, T)>>,
}

impl<T: Copy> PlaceTable<T> {
    /// Takes the patterns; of two that match, the first counts.
    pub fn new(patterns: &[(&'static str, T)]) -> Self {
        let mut by_length: Vec<Vec<(Vec<&'static str>, T)>> = Vec::new();
        for (pattern, value) in patterns {
            let steps: Vec<&'static str> = pattern.split('.').collect();
            if by_length.len() <= steps.len() {
                by_length.resize_with(steps.len() + 1, Vec::new);
            }
            by_length[steps.len()].push((steps, *value));
        }
        Self { by_length }
    }

    /// Returns what holds at `path`.
    pub fn find(&self, path: &Path) -> Option<T> {
        let is_step =
            |(step, segment): (&&str, &Segment)| *step == "*" || matches!(segment, Segment::Key(key) if key == step);
        let candidates = self.by_length.get(path.segments.len())?;
        // The last step tells most of them apart.
        let found = candidates.iter().find(|(steps, _)| steps.iter().zip(&path.segments).rev().all(is_step));
        found.map(|(_, value)| *value)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Key(key) if position == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_key_or_index() {
        let mut path = Path::of(&["services", "web.internal", "ports"]);
        let table = PlaceTable::new(&[("services.*.ports", 1), ("services.*.*", 2), ("services.*.ports.*", 3)]);
        assert_eq!(table.find(&path), Some(1));
        path.push_index(2);
        assert_eq!(table.find(&path), Some(3));
        assert_eq!(table.find(&Path::of(&["services"])), None);
        assert_eq!(table.find(&Path::of(&["services", "web", "image"])), Some(2));
        assert_eq!(path.to_string(), "services.web.internal.ports[2]");
    }
}
