//! YAML events to a tree: anchors and merge keys resolved, duplicate keys refused, every node with its span.

use std::collections::HashMap;

use serde_yaml::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span as YamlSpan, StrInput, Tag};

use crate::diagnostic::Diagnostic;
use crate::document::node::{Entry, Mapping, MergeTag, Node, Value};
use crate::document::path::Path;
use crate::document::scalar;
use crate::document::session::{Session, Stop};
use crate::document::yaml_error;
use crate::source::{FileId, Span};

/// One YAML document of a file.
#[derive(Debug, Clone)]
pub struct Document {
    /// The tree, without what `!reset` took out.
    pub root: Node,
    /// Places that `!reset` and `!override` clear in what this document is merged onto.
    pub resets: Vec<Path>,
}

/// Aliases may repeat a file's nodes; past this many the file is a bomb and no configuration.
const MAXIMUM_NODES: usize = 500_000;

/// Parses every document of `file`.
pub fn parse(session: &mut Session<'_>, file: FileId) -> Result<Vec<Document>, Stop> {
    let text = session.sources.get(file).map(|source| source.text.clone()).unwrap_or_default();
    let mut builder = Builder {
        events: Parser::new_from_str(&text),
        text: &text,
        file,
        anchors: HashMap::new(),
        nodes: 0,
        mistakes: Vec::new(),
        has_merge_tags: false,
    };
    let documents = builder.documents();
    let mistakes = std::mem::take(&mut builder.mistakes);
    let fatal = !mistakes.is_empty();
    for mistake in mistakes {
        session.report(mistake);
    }
    match documents {
        Ok(_) if fatal => Err(Stop),
        Ok(documents) => Ok(documents),
        Err(Failure::Yaml(error)) => session.stop(yaml_error::describe(&error, &text, file)),
        Err(Failure::Mistake(mistake)) => session.stop(*mistake),
    }
}

enum Failure {
    Yaml(Box<ScanError>),
    Mistake(Box<Diagnostic>),
}

impl From<ScanError> for Failure {
    fn from(error: ScanError) -> Self {
        Self::Yaml(Box::new(error))
    }
}

impl From<Diagnostic> for Failure {
    fn from(mistake: Diagnostic) -> Self {
        Self::Mistake(Box::new(mistake))
    }
}

struct Builder<'t> {
    events: Parser<'t, StrInput<'t>>,
    text: &'t str,
    file: FileId,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    mistakes: Vec<Diagnostic>,
    /// There is a `!reset` or `!override` in the document.
    has_merge_tags: bool,
}

impl<'t> Builder<'t> {
    fn documents(&mut self) -> Result<Vec<Document>, Failure> {
        let mut documents = Vec::new();
        while let Some(event) = self.events.next_event() {
            let (event, _) = event?;
            if let Event::DocumentStart(..) = event {
                self.anchors.clear();
                self.has_merge_tags = false;
                let mut root = self.node()?;
                let mut resets = Vec::new();
                if !self.has_merge_tags {
                    documents.push(Document { root, resets });
                    continue;
                }
                take_resets(&mut root, &mut Path::default(), &mut resets);
                documents.push(Document { root, resets });
            }
        }
        Ok(documents)
    }

    fn next(&mut self) -> Result<(Event<'t>, YamlSpan), Failure> {
        loop {
            match self.events.next_event() {
                Some(Ok((event, span))) => {
                    if !is_presentation(&event) {
                        return Ok((event, span));
                    }
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Diagnostic::error(110, "the file ends in the middle of a value").into()),
            }
        }
    }

    fn node(&mut self) -> Result<Node, Failure> {
        let (event, span) = self.next()?;
        self.node_from(event, &span)
    }

    fn node_from(&mut self, event: Event<'t>, span: &YamlSpan) -> Result<Node, Failure> {
        self.grow(1, span)?;
        let before = self.nodes;
        let (node, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => (self.scalar(&text, style, tag.as_deref(), span), anchor),
            Event::SequenceStart(_, anchor, tag) => {
                let tag = self.merge_tag(tag.as_deref());
                (Node { tag, ..self.sequence(span)? }, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                let tag = self.merge_tag(tag.as_deref());
                (Node { tag, ..self.mapping(span)? }, anchor)
            }
            _ => (Node::new(Value::Null, self.span(span)), 0),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before + 1));
        }
        Ok(node)
    }

    fn grow(&mut self, nodes: usize, span: &YamlSpan) -> Result<(), Failure> {
        self.nodes += nodes;
        if self.nodes <= MAXIMUM_NODES {
            return Ok(());
        }
        let message = format!("the aliases of this file unfold into more than {MAXIMUM_NODES} values");
        Err(Diagnostic::error(112, message).at(self.span(span)).label("too much by here").into())
    }

    fn alias(&mut self, anchor: usize, span: &YamlSpan) -> Result<Node, Failure> {
        let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
            let message = "an anchor is used inside of itself";
            return Err(Diagnostic::error(113, message)
                .at(self.span(span))
                .label("refers to what it is part of")
                .into());
        };
        self.grow(size, span)?;
        Ok(node)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &YamlSpan) -> Node {
        let merge = self.merge_tag(tag);
        let core = tag.and_then(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:"));
        let core = core.as_deref();
        let value = match core {
            Some(core) => scalar::tagged(core, text).unwrap_or_else(|| {
                let message = format!("`{text}` is not `!!{core}`");
                self.mistakes.push(Diagnostic::error(114, message).at(self.span(span)));
                Value::Null
            }),
            // With a tag that YAML does not know, `!override` for one, a scalar is the text that it is: so go-yaml reads it.
            None if style == ScalarStyle::Plain && tag.is_none_or(|tag| tag.original() == "!") => scalar::resolve(text),
            None => Value::String(text.to_owned()),
        };
        Node { value, span: self.span(span), tag: merge }
    }

    fn merge_tag(&mut self, tag: Option<&Tag>) -> MergeTag {
        let tag = match tag.map(Tag::original).as_deref() {
            Some("!reset") => MergeTag::Reset,
            Some("!override") => MergeTag::Override,
            _ => return MergeTag::None,
        };
        self.has_merge_tags = true;
        tag
    }

    fn sequence(&mut self, start: &YamlSpan) -> Result<Node, Failure> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Node::new(Value::Sequence(items), self.covering(start, &span)));
            }
            items.push(self.node_from(event, &span)?);
        }
    }

    fn mapping(&mut self, start: &YamlSpan) -> Result<Node, Failure> {
        let mut mapping = Mapping::default();
        let mut merges: Vec<Node> = Vec::new();
        let mut merge_span: Option<Span> = None;
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                for merge in merges {
                    self.merge(&mut mapping, merge);
                }
                return Ok(Node::new(Value::Mapping(mapping), self.covering(start, &span)));
            }
            let is_merge = event.scalar().is_some_and(|(text, _)| text == "<<");
            let key = self.node_from(event, &span)?;
            let value = self.node()?;
            if is_merge {
                if let Some(first) = merge_span.replace(key.span) {
                    self.duplicate("<<", key.span, first);
                }
                merges.push(value);
                continue;
            }
            let Value::String(name) = key.value else {
                self.odd_key(&key);
                continue;
            };
            match mapping.entry(&name) {
                Some(first) => {
                    let first = first.key_span;
                    self.duplicate(&name, key.span, first);
                }
                None => mapping.push(Entry { key: name, key_span: key.span, value }),
            }
        }
    }

    /// Puts in what `<<` brings: own keys win, then earlier sources.
    fn merge(&mut self, mapping: &mut Mapping, merge: Node) {
        let span = merge.span;
        match merge.value {
            Value::Mapping(source) => {
                for entry in source.into_entries() {
                    if !mapping.contains(&entry.key) {
                        mapping.push(entry);
                    }
                }
            }
            Value::Sequence(sources) if sources.iter().all(|source| source.as_mapping().is_some()) => {
                for source in sources {
                    self.merge(mapping, source);
                }
            }
            _ => self.mistakes.push(
                Diagnostic::error(115, "`<<` takes a mapping or a list of mappings")
                    .at(span)
                    .label("this is none")
                    .help("write `<<: *anchor` or `<<: [*one, *two]`"),
            ),
        }
    }

    fn duplicate(&mut self, key: &str, span: Span, first: Span) {
        self.mistakes.push(
            Diagnostic::error(111, format!("the key `{key}` stands twice in one mapping"))
                .at(span)
                .label("written again here")
                .related(first, "first written here")
                .help("keep one of the two, or rename one"),
        );
    }

    fn odd_key(&mut self, key: &Node) {
        let start = key.span.start as usize;
        let is_template = self.text[..start].ends_with('{') && self.text[start..].starts_with('{');
        if is_template {
            let line = self.text[start..].lines().next().unwrap_or_default();
            let whole = line.split_once("}}").map_or(line, |(inside, _)| inside).trim_start_matches('{').trim();
            self.mistakes.push(
                Diagnostic::error(116, format!("`{{{{ {whole} }}}}` is no value"))
                    .at(key.span)
                    .label("to YAML a mapping in place of a key")
                    .help("a file with `{{ .. }}` is a template: have its tool fill it in first, or put the value in quotes")
                    .help("a variable of the environment is written ${NAME}"),
            );
            return;
        }
        let shown = key.plain();
        self.mistakes.push(
            Diagnostic::error(116, format!("the key `{shown}` is {} and keys are strings", key.kind()))
                .at(key.span)
                .label("not a string")
                .help(format!("put it in quotes: \"{shown}\"")),
        );
    }

    fn span(&self, span: &YamlSpan) -> Span {
        let range = span.byte_range().unwrap_or(0..0);
        self.trimmed(range.start, range.end)
    }

    /// A collection reaches from its first token to its last, not to the token behind it.
    fn covering(&self, start: &YamlSpan, end: &YamlSpan) -> Span {
        let first = start.byte_range().map_or(0, |range| range.start);
        let last = end.byte_range().map_or(first, |range| range.end);
        self.trimmed(first, last)
    }

    fn trimmed(&self, start: usize, end: usize) -> Span {
        let start = start.min(self.text.len());
        let end = end.clamp(start, self.text.len());
        let kept = self.text.get(start..end).map_or(end - start, |slice| slice.trim_end().len());
        let number = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Span { file: self.file, start: number(start), end: number(start + kept) }
    }
}

fn is_presentation(event: &Event<'_>) -> bool {
    !(event.is_node() || matches!(event, Event::SequenceEnd | Event::MappingEnd))
}

/// Takes out what `!reset` bears and notes every place that a merge has to clear first.
fn take_resets(node: &mut Node, path: &mut Path, resets: &mut Vec<Path>) {
    match &mut node.value {
        Value::Mapping(mapping) => {
            for entry in mapping.iter_mut() {
                path.push(&entry.key);
                take_or_enter(&mut entry.value, path, resets);
                path.pop();
            }
            mapping.retain(|entry| entry.value.tag != MergeTag::Reset);
        }
        Value::Sequence(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                path.push_index(index);
                take_or_enter(item, path, resets);
                path.pop();
            }
            items.retain(|item| item.tag != MergeTag::Reset);
        }
        _ => {}
    }
}

fn take_or_enter(node: &mut Node, path: &mut Path, resets: &mut Vec<Path>) {
    match node.tag {
        MergeTag::Reset | MergeTag::Override => resets.push(path.clone()),
        MergeTag::None => take_resets(node, path, resets),
    }
}
