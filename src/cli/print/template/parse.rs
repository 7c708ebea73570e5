//! The text of a Go template, as a tree: fields, calls, pipelines, `if`, `range`, `with`, variables.

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// As it is.
    Text(String),
    /// A value, printed.
    Print(Pipeline),
    /// A value, kept under a name.
    Keep(String, Pipeline),
    /// One of two ways.
    If(Pipeline, Vec<Node>, Vec<Node>),
    /// As `If`, with the value as the dot.
    With(Pipeline, Vec<Node>, Vec<Node>),
    /// Once for each element; names of the index and the element.
    Range(Vec<String>, Pipeline, Vec<Node>, Vec<Node>),
}

/// Commands, each of which is given the result of the one before as its last argument.
pub(crate) type Pipeline = Vec<Vec<Term>>;

/// An argument, or what is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Term {
    /// `.`, `.A.B`
    Field(Vec<String>),
    /// `$`, `$x.A`
    Variable(String, Vec<String>),
    /// `"text"`
    Text(String),
    /// `1`, `true`, `nil`
    Number(i64),
    Bool(bool),
    Nil,
    /// `json`, `eq`, ..
    Function(String),
    /// `(..)`, with fields of its value.
    Inner(Pipeline, Vec<String>),
}

enum Piece {
    Text(String),
    Action(String),
}

/// Reads a template.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, String> {
    let pieces = pieces(text)?;
    let mut at = 0;
    let (nodes, end) = block(&pieces, &mut at)?;
    match end {
        None => Ok(nodes),
        Some(end) => Err(format!("`{{{{{end}}}}}` has no beginning")),
    }
}

/// Splits text from actions; a `-` inside of the braces takes the blanks outside away.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut rest, mut trim_next) = (Vec::new(), text, false);
    loop {
        let start = rest.find("{{");
        let mut before = &rest[..start.unwrap_or(rest.len())];
        if trim_next {
            before = before.trim_start();
        }
        let Some(start) = start else {
            pieces.push(Piece::Text(before.to_owned()));
            return Ok(pieces);
        };
        let length = end_of_action(&rest[start + 2..]).ok_or_else(|| format!("`{{{{` in `{text}` is never closed"))?;
        let mut action = &rest[start + 2..start + 2 + length];
        if let Some(trimmed) = action.strip_prefix("- ") {
            (action, before) = (trimmed, before.trim_end());
        }
        trim_next = action.ends_with(" -");
        if trim_next {
            action = &action[..action.len() - 2];
        }
        pieces.push(Piece::Text(before.to_owned()));
        if !action.trim_start().starts_with("/*") {
            pieces.push(Piece::Action(action.trim().to_owned()));
        }
        rest = &rest[start + 2 + length + 2..];
    }
}

/// Returns where `}}` is, outside of quotes.
fn end_of_action(text: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (index, letter) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"') if letter == '\\' => escaped = true,
            Some(open) if open == letter => quote = None,
            Some(_) => {}
            None if letter == '"' || letter == '`' => quote = Some(letter),
            None if text[index..].starts_with("}}") => return Some(index),
            None => {}
        }
    }
    None
}

/// Reads up to what ends the block: `end`, `else`, `else if ..`; `None` at the end of all.
fn block(pieces: &[Piece], at: &mut usize) -> Result<(Vec<Node>, Option<String>), String> {
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.get(*at) {
        *at += 1;
        let action = match piece {
            Piece::Text(text) => {
                if !text.is_empty() {
                    nodes.push(Node::Text(text.clone()));
                }
                continue;
            }
            Piece::Action(action) => action,
        };
        let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((action, ""));
        match word {
            "end" | "else" => return Ok((nodes, Some(action.clone()))),
            "if" | "with" | "range" => nodes.push(branch(word, rest, pieces, at)?),
            _ => nodes.push(match declaration(action) {
                (names, value) if names.len() == 1 => Node::Keep(names[0].clone(), pipeline(value)?),
                _ => Node::Print(pipeline(action)?),
            }),
        }
    }
    Ok((nodes, None))
}

fn branch(word: &str, head: &str, pieces: &[Piece], at: &mut usize) -> Result<Node, String> {
    let unclosed = || format!("`{{{{{word} {head}}}}}` has no `{{{{end}}}}`");
    let (then, end) = block(pieces, at)?;
    let otherwise = match end.as_deref() {
        Some("end") => Vec::new(),
        Some("else") => match block(pieces, at)? {
            (nodes, Some(end)) if end == "end" => nodes,
            _ => return Err(unclosed()),
        },
        Some(other) => {
            let rest = other.strip_prefix("else").unwrap_or(other).trim();
            let (word, head) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            vec![branch(word, head, pieces, at)?]
        }
        None => return Err(unclosed()),
    };
    Ok(match word {
        "if" => Node::If(pipeline(head)?, then, otherwise),
        "with" => Node::With(pipeline(head)?, then, otherwise),
        _ => {
            let (names, value) = declaration(head);
            Node::Range(names, pipeline(value)?, then, otherwise)
        }
    })
}

/// Splits `$i, $x := VALUE` into names and value.
fn declaration(text: &str) -> (Vec<String>, &str) {
    match text.split_once(":=") {
        Some((names, value)) if names.trim_start().starts_with('$') => {
            (names.split(',').map(|name| name.trim().to_owned()).collect(), value.trim())
        }
        _ => (Vec::new(), text),
    }
}

fn pipeline(text: &str) -> Result<Pipeline, String> {
    let mut letters = text.trim();
    let pipeline = commands(&mut letters, text)?;
    if letters.is_empty() { Ok(pipeline) } else { Err(not_understood(text)) }
}

fn not_understood(text: &str) -> String {
    format!("`{{{{{text}}}}}` is not understood; write a field such as `{{{{.Name}}}}`")
}

fn commands(rest: &mut &str, whole: &str) -> Result<Pipeline, String> {
    let (mut pipeline, mut command) = (Vec::new(), Vec::new());
    loop {
        *rest = rest.trim_start();
        let Some(letter) = rest.chars().next() else { break };
        match letter {
            '|' => {
                *rest = &rest[1..];
                pipeline.push(std::mem::take(&mut command));
            }
            ')' => break,
            _ => command.push(term(rest, whole)?),
        }
    }
    pipeline.push(command);
    if pipeline.iter().any(Vec::is_empty) { Err(not_understood(whole)) } else { Ok(pipeline) }
}

fn term(rest: &mut &str, whole: &str) -> Result<Term, String> {
    let text = *rest;
    let letter = text.chars().next().unwrap_or(' ');
    match letter {
        '(' => {
            *rest = &text[1..];
            let inner = commands(rest, whole)?;
            *rest = rest.strip_prefix(')').ok_or_else(|| not_understood(whole))?;
            Ok(Term::Inner(inner, fields(rest)))
        }
        '"' | '`' => {
            let (value, length) = quoted(text).ok_or_else(|| not_understood(whole))?;
            *rest = &text[length..];
            Ok(Term::Text(value))
        }
        '.' => Ok(Term::Field(fields(rest))),
        '$' => {
            let length = 1 + word(&text[1..]);
            *rest = &text[length..];
            Ok(Term::Variable(text[..length].to_owned(), fields(rest)))
        }
        letter if letter.is_ascii_digit() || letter == '-' => {
            let length = 1 + text[1..].bytes().take_while(u8::is_ascii_digit).count();
            *rest = &text[length..];
            text[..length].parse().map(Term::Number).map_err(|_| not_understood(whole))
        }
        _ => {
            let length = word(text);
            *rest = &text[length..];
            match &text[..length] {
                "" => Err(not_understood(whole)),
                "true" => Ok(Term::Bool(true)),
                "false" => Ok(Term::Bool(false)),
                "nil" => Ok(Term::Nil),
                name => Ok(Term::Function(name.to_owned())),
            }
        }
    }
}

/// Reads `.A.B`; a lone dot is no field.
fn fields(rest: &mut &str) -> Vec<String> {
    let mut fields = Vec::new();
    while let Some(after) = rest.strip_prefix('.') {
        let length = word(after);
        if length > 0 {
            fields.push(after[..length].to_owned());
        }
        *rest = &after[length..];
    }
    fields
}

fn word(text: &str) -> usize {
    text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len())
}

fn quoted(text: &str) -> Option<(String, usize)> {
    let open = text.chars().next()?;
    let (mut value, mut letters) = (String::new(), text.char_indices().skip(1));
    while let Some((index, letter)) = letters.next() {
        match letter {
            letter if letter == open => return Some((value, index + 1)),
            '\\' if open == '"' => value.push(match letters.next()?.1 {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            letter => value.push(letter),
        }
    }
    None
}
