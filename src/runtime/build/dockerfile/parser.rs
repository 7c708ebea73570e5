//! Statements to nodes: keyword, flags, arguments by each instruction's grammar, heredocs. Second step.

use std::collections::BTreeMap;

use crate::build::dockerfile::arguments::{self, Json, Pair};
use crate::build::dockerfile::expand::{self, Mode};
use crate::build::dockerfile::lexer::{Lexer, Span, SyntaxError};

/// A heredoc that a statement opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// Its word, which is also the file's name.
    pub name: String,
    /// Descriptor before `<<`.
    pub descriptor: u32,
    /// Variables in it are expanded: no part of the word was quoted.
    pub expand: bool,
    /// `<<-`: leading tabs go.
    pub chomp: bool,
    /// Lines up to the terminator, as written.
    pub content: String,
}

impl Heredoc {
    /// Returns the body with leading tabs taken away where `<<-` asks for it.
    pub fn body(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// Arguments by the grammar of their instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments {
    /// A JSON array.
    Json(Vec<String>),
    /// Words.
    List(Vec<String>),
    /// The rest of the line; empty when there is none.
    Line(String),
    /// Names and values.
    Pairs(Vec<Pair>),
    /// HEALTHCHECK: its kind, then an argument of its own.
    Kind(String, Box<Arguments>),
    /// ONBUILD's instruction.
    Nested(Option<Box<Node>>),
}

/// One instruction, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// As written.
    pub keyword: String,
    /// `--name=value` words.
    pub flags: Vec<String>,
    /// Arguments.
    pub arguments: Arguments,
    /// The whole logical line.
    pub original: String,
    /// Bodies of heredocs, in order.
    pub heredocs: Vec<Heredoc>,
    /// Where it stands.
    pub span: Span,
}

/// A Dockerfile taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Instructions in order.
    pub nodes: Vec<Node>,
    /// Joins lines and escapes characters.
    pub escape: char,
    /// Parser directives.
    pub directives: BTreeMap<String, String>,
    /// Last lines of statements that have an empty line in a continuation.
    pub empty_continuations: Vec<u32>,
}

/// Takes a Dockerfile apart.
pub fn parse(text: &str) -> Result<Document, SyntaxError> {
    let mut lexer = Lexer::new(text);
    let mut nodes = Vec::new();
    while let Some(statement) = lexer.statement()? {
        let mut node = node(&statement.text, lexer.escape, statement.span)?;
        if takes_heredocs(&node) && statement.text.contains("<<") {
            for mut heredoc in heredocs(&statement.text) {
                heredoc.content = lexer.heredoc(&heredoc.name, heredoc.chomp).ok_or_else(|| {
                    SyntaxError::new(statement.span.line, format!("unterminated heredoc: no line `{}`", heredoc.name))
                })?;
                node.heredocs.push(heredoc);
            }
            node.span.end_line = lexer.line();
        }
        nodes.push(node);
    }
    if nodes.is_empty() {
        return Err(SyntaxError::new(lexer.line().max(1), "file with no instructions"));
    }
    let empty_continuations = std::mem::take(&mut lexer.empty_continuations);
    Ok(Document { nodes, escape: lexer.escape, directives: lexer.directives, empty_continuations })
}

/// Takes one logical line apart.
pub fn node(line: &str, escape: char, span: Span) -> Result<Node, SyntaxError> {
    let (keyword, rest) = arguments::split_first(line);
    let (flags, rest) = arguments::split_flags(rest);
    let rest = rest.trim();
    let error = |message: String| SyntaxError::new(span.line, message);
    let mixed = || error("when using JSON array syntax, arrays must be comprised of strings only".to_owned());
    let maybe_json = |rest: &str| match arguments::json(rest) {
        Json::Strings(values) => Ok(Arguments::Json(values)),
        Json::Mixed => Err(mixed()),
        Json::No => Ok(Arguments::Line(rest.to_owned())),
    };
    let arguments = match keyword.to_ascii_uppercase().as_str() {
        "ADD" | "COPY" | "VOLUME" => match arguments::json(rest) {
            Json::Strings(values) => Arguments::Json(values),
            Json::Mixed => return Err(mixed()),
            Json::No => Arguments::List(arguments::blank_separated(rest)),
        },
        "CMD" | "ENTRYPOINT" | "RUN" | "SHELL" => maybe_json(rest)?,
        "ENV" => Arguments::Pairs(arguments::pairs(rest, "ENV", escape).map_err(error)?),
        "LABEL" => Arguments::Pairs(arguments::pairs(rest, "LABEL", escape).map_err(error)?),
        "ARG" => Arguments::List(arguments::words(rest, escape)),
        "EXPOSE" | "FROM" => Arguments::List(arguments::blank_separated(rest)),
        "HEALTHCHECK" => {
            let (kind, command) = arguments::split_first(rest);
            if kind.is_empty() {
                Arguments::Line(String::new())
            } else {
                Arguments::Kind(kind.to_owned(), Box::new(maybe_json(command)?))
            }
        }
        "ONBUILD" if rest.is_empty() => Arguments::Nested(None),
        "ONBUILD" => Arguments::Nested(Some(Box::new(node(rest, escape, span)?))),
        // MAINTAINER, STOPSIGNAL, USER, WORKDIR; and unknown ones, which the next step names.
        _ => Arguments::Line(rest.to_owned()),
    };
    Ok(Node { keyword: keyword.to_owned(), flags, arguments, original: line.to_owned(), heredocs: Vec::new(), span })
}

fn takes_heredocs(node: &Node) -> bool {
    match &node.arguments {
        Arguments::Nested(Some(inner)) => takes_heredocs(inner),
        Arguments::Json(_) => false,
        _ => ["ADD", "COPY", "RUN"].contains(&node.keyword.to_ascii_uppercase().as_str()),
    }
}

/// Finds the heredocs that a line opens.
pub fn heredocs(line: &str) -> Vec<Heredoc> {
    let raw = Mode { raw_quotes: true, raw_escapes: true, skip_unset: true, ..Mode::new('\\') };
    // A line that the lexer can't split is for the shell to judge.
    let words = expand::words(line, raw, &|_| None).unwrap_or_default();
    words.iter().filter_map(|word| heredoc(word)).collect()
}

/// Reads `<<EOF`, `3<<-"EOF"`.
pub fn heredoc(word: &str) -> Option<Heredoc> {
    let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = word[digits..].strip_prefix("<<")?;
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let plain = Mode { skip_unset: true, ..Mode::new('\\') };
    let raw = Mode { raw_quotes: true, raw_escapes: true, ..plain };
    let name = single(expand::words(rest, plain, &|_| None).ok()?)?;
    let quoted = single(expand::words(rest, raw, &|_| None).ok()?)?;
    let descriptor = word[..digits].parse().unwrap_or(0);
    Some(Heredoc { expand: name == quoted, name, descriptor, chomp, content: String::new() })
}

fn single(words: Vec<String>) -> Option<String> {
    <[String; 1]>::try_from(words).ok().map(|[word]| word)
}
