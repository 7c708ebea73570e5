//! The tree: a value, where it was written, and the merge tag it bears.

use std::collections::HashMap;

use crate::source::Span;

/// What a merge does at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MergeTag {
    /// As the rules say.
    #[default]
    None,
    /// `!reset`: what stood here is gone.
    Reset,
    /// `!override`: what stood here is replaced.
    Override,
}

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub span: Span,
    /// `!reset` or `!override`.
    pub tag: MergeTag,
}

/// A YAML value, resolved as Compose does.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the kinds of YAML")]
pub enum Value {
    Null,
    Bool(bool),
    /// Wide enough for Go's uint64.
    Int(i128),
    Float(f64),
    String(String),
    /// A date or a time; Compose takes it nowhere but in extensions.
    Timestamp(String),
    Sequence(Vec<Node>),
    Mapping(Mapping),
}

/// A mapping in the order of the file.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    entries: Vec<Entry>,
    /// Where each key is, once there are so many that looking through them costs more; kept true by every change.
    #[expect(clippy::box_collection, reason = "few mappings have one, and every value is as large as this")]
    places: Option<Box<HashMap<String, usize>>>,
    /// A bit of each key that is there, or was: most look-ups are for what is not, and end with it.
    marks: u64,
}

/// The bit of a key.
fn mark(key: &str) -> u64 {
    let [first, .., last] = *key.as_bytes() else { return 1 };
    1 << ((key.len() * 7 + usize::from(first) * 5 + usize::from(last)) % 64)
}

/// Mappings with fewer entries are looked through.
const INDEXED: usize = 24;

/// A key, where it was written, and its value.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "what the struct's line says")]
pub struct Entry {
    pub key: String,
    pub key_span: Span,
    pub value: Node,
}

impl Node {
    /// Makes a node without a tag.
    pub fn new(value: Value, span: Span) -> Self {
        Self { value, span, tag: MergeTag::None }
    }

    /// Makes a string node.
    pub fn string(text: impl Into<String>, span: Span) -> Self {
        Self::new(Value::String(text.into()), span)
    }

    /// Returns the text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the entries of a mapping.
    pub fn as_mapping(&self) -> Option<&Mapping> {
        match &self.value {
            Value::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// Returns the entries of a mapping.
    pub fn as_mapping_mut(&mut self) -> Option<&mut Mapping> {
        match &mut self.value {
            Value::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// Returns the items of a sequence.
    pub fn as_sequence(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the value at `key` of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_mapping()?.get(key)
    }

    /// Returns the string at `key` of a mapping.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// Says whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Returns what a person calls this kind of value.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::String(_) => "a string",
            Value::Timestamp(_) => "a date",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// Returns the value as Go prints it with `%v`, which is how scalars become strings in Compose.
    pub fn plain(&self) -> String {
        match &self.value {
            Value::Null => "<nil>".into(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => float(*value),
            Value::String(text) | Value::Timestamp(text) => text.clone(),
            Value::Sequence(items) => {
                format!("[{}]", items.iter().map(Node::plain).collect::<Vec<_>>().join(" "))
            }
            Value::Mapping(mapping) => {
                let mut items: Vec<_> =
                    mapping.iter().map(|entry| format!("{}:{}", entry.key, entry.value.plain())).collect();
                items.sort();
                format!("map[{}]", items.join(" "))
            }
        }
    }
}

/// Two nodes are the same when their values are, wherever they stand and in whatever order.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::String(a), Value::String(b)) | (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
            (Value::Sequence(a), Value::Sequence(b)) => a == b,
            (Value::Mapping(a), Value::Mapping(b)) => {
                a.len() == b.len() && a.iter().all(|entry| b.get(&entry.key) == Some(&entry.value))
            }
            _ => false,
        }
    }
}

impl Mapping {
    /// Returns the value at `key`.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Returns the entry of `key`.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(self.position(key)?)
    }

    /// Returns the value at `key`.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let position = self.position(key)?;
        self.entries.get_mut(position).map(|entry| &mut entry.value)
    }

    /// Says whether there is a `key`.
    pub fn contains(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    fn position(&self, key: &str) -> Option<usize> {
        if self.marks & mark(key) == 0 {
            return None;
        }
        match &self.places {
            Some(places) => places.get(key).copied(),
            None => self.entries.iter().position(|entry| entry.key == key),
        }
    }

    /// Puts `value` at `key`, in the place of what was there.
    pub fn insert(&mut self, key: &str, key_span: Span, value: Node) {
        match self.get_mut(key) {
            Some(old) => *old = value,
            None => self.push(Entry { key: key.to_owned(), key_span, value }),
        }
    }

    /// Adds an entry whose key is not there yet.
    pub fn push(&mut self, entry: Entry) {
        self.marks |= mark(&entry.key);
        if let Some(places) = &mut self.places {
            places.entry(entry.key.clone()).or_insert(self.entries.len());
        }
        self.entries.push(entry);
        if self.places.is_none() && self.entries.len() > INDEXED {
            self.index();
        }
    }

    fn index(&mut self) {
        self.places = None;
        self.marks = self.entries.iter().fold(0, |marks, entry| marks | mark(&entry.key));
        if self.entries.len() > INDEXED {
            let mut places = HashMap::with_capacity(self.entries.len() * 2);
            for (position, entry) in self.entries.iter().enumerate() {
                places.entry(entry.key.clone()).or_insert(position);
            }
            self.places = Some(Box::new(places));
        }
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        let position = self.position(key)?;
        let entry = self.entries.remove(position);
        self.index();
        Some(entry)
    }

    /// Keeps the entries that `keep` accepts.
    pub fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) {
        let before = self.entries.len();
        self.entries.retain(keep);
        if self.entries.len() != before {
            self.index();
        }
    }

    /// Returns the entries in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// Returns the entries in order; their keys must stay as they are.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Entry> {
        self.entries.iter_mut()
    }

    /// Returns how many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Says whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the entries by value.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

impl FromIterator<Entry> for Mapping {
    fn from_iter<T: IntoIterator<Item = Entry>>(entries: T) -> Self {
        let mut mapping = Self { entries: entries.into_iter().collect(), ..Self::default() };
        mapping.index();
        mapping
    }
}

/// Returns a float as Go's `%v` prints it: the shortest digits, with an exponent outside of 1e-4..1e6.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_while_it_is_there_and_not_before_or_after() {
        let span = Span { file: crate::source::FileId(0), start: 0, end: 0 };
        let names = ["", "a", "ab", "ba", "image", "iabge", "ports"];
        for length in 0..=names.len() {
            let entry =
                |name: &&str| Entry { key: (*name).into(), key_span: span, value: Node::new(Value::Null, span) };
            let mut mapping: Mapping = names[..length].iter().map(entry).collect();
            assert!(names.iter().enumerate().all(|(place, name)| mapping.contains(name) == (place < length)));
            names[length..].iter().for_each(|name| mapping.insert(name, span, Node::new(Value::Null, span)));
            assert!(names.iter().all(|name| mapping.contains(name)));
            names[..length].iter().for_each(|name| drop(mapping.remove(name)));
            assert!(names.iter().enumerate().all(|(place, name)| mapping.contains(name) == (place >= length)));
        }
    }

    #[test]
    fn floats_print_as_go_prints_them() {
        assert_eq!(float(1.0), "1");
        assert_eq!(float(0.5), "0.5");
        assert_eq!(float(123_456_789.123), "1.23456789123e+08");
        assert_eq!(float(f64::INFINITY), "+Inf");
    }
}
