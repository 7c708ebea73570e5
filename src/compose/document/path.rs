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

    /// Says whether this place is one of those that `pattern` means; `*` stands for any one step.
    pub fn matches(&self, pattern: &str) -> bool {
        let mut segments = self.segments.iter();
        for part in pattern.split('.') {
            match segments.next() {
                None => return false,
                Some(_) if part == "*" => {}
                Some(Segment::Key(key)) if key == part => {}
                Some(_) => return false,
            }
        }
        segments.next().is_none()
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
        assert!(path.matches("services.*.ports"));
        path.push_index(2);
        assert!(path.matches("services.*.ports.*"));
        assert!(!path.matches("services.*.ports"));
        assert_eq!(path.to_string(), "services.web.internal.ports[2]");
    }
}
