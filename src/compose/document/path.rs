//! A place in the tree, `services.web.ports[0]`: kept, or as long as a walk is there. Patterns over places,
//! `services.*.ports.*`.

use std::fmt;

/// One step down the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Into a mapping.
    Key(String),
    /// Into a sequence.
    Index(usize),
}

/// A place in the tree that outlives the walk that found it.
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
}

/// A place that a walk is at. Each step lies in the frame of its call and knows the one above it: a document has many
/// places, and a walk spells out none of them.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    above: Option<&'a Place<'a>>,
    step: Step<'a>,
    depth: usize,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    /// The root of a document.
    pub const ROOT: Place<'static> = Place { above: None, step: Step::Index(0), depth: 0 };

    /// Returns the place of `key` in the mapping that is here.
    pub fn key<'b>(&'b self, key: &'b str) -> Place<'b> {
        Place { above: Some(self), step: Step::Key(key), depth: self.depth + 1 }
    }

    /// Returns the place of an item in the sequence that is here.
    pub fn index(&self, index: usize) -> Place<'_> {
        Place { above: Some(self), step: Step::Index(index), depth: self.depth + 1 }
    }

    /// Returns how many steps lead here.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the steps from here up to the root: the key, or nothing for a step into a sequence.
    pub fn up(&self) -> impl Iterator<Item = Option<&'a str>> {
        let mut at = Some(*self).filter(|place| place.depth > 0);
        std::iter::from_fn(move || {
            let place = at?;
            at = place.above.copied().filter(|place| place.depth > 0);
            Some(match place.step {
                Step::Key(key) => Some(key),
                Step::Index(_) => None,
            })
        })
    }

    /// Returns the name that a path from the root has `position` steps down, if that step goes into a mapping.
    pub fn name(&self, position: usize) -> Option<&'a str> {
        self.up().nth(self.depth.checked_sub(position + 1)?)?
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(above) = self.above else { return Ok(()) };
        above.fmt(f)?;
        match self.step {
            Step::Key(key) if self.depth == 1 => f.write_str(key),
            Step::Key(key) => write!(f, ".{key}"),
            Step::Index(index) => write!(f, "[{index}]"),
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

    /// Returns what holds at `place`.
    pub fn find(&self, place: &Place<'_>) -> Option<T> {
        let is_step = |(step, key): (&&str, Option<&str>)| *step == "*" || key == Some(*step);
        let candidates = self.by_length.get(place.depth)?;
        // The last step tells most of them apart.
        let found = candidates.iter().find(|(steps, _)| steps.iter().rev().zip(place.up()).all(is_step));
        found.map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_key_or_index() {
        let (services, name) = (Place::ROOT.key("services"), "web.internal");
        let web = services.key(name);
        let ports = web.key("ports");
        let table = PlaceTable::new(&[("services.*.ports", 1), ("services.*.*", 2), ("services.*.ports.*", 3)]);
        assert_eq!(table.find(&ports), Some(1));
        assert_eq!(table.find(&ports.index(2)), Some(3));
        assert_eq!(table.find(&services), None);
        assert_eq!(table.find(&web.key("image")), Some(2));
        assert_eq!(ports.index(2).to_string(), "services.web.internal.ports[2]");
        assert_eq!((ports.name(1), ports.name(3), Place::ROOT.to_string()), (Some(name), None, String::new()));
    }
}
