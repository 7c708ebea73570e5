//! Mistakes in lines: their indentation, their `:`, items among keys, text behind a closed bracket.

use crate::diagnostic::Diagnostic;
use crate::document::yaml_error::open::scan;
use crate::document::yaml_error::place::{Line, Place, quoted};

/// A bracket of a line above is still open where a line looks like the next key or item.
pub fn unclosed_bracket(place: &Place<'_>) -> Option<Diagnostic> {
    let line = place.own();
    let (start, bracket) = *scan(&place.text[..line.start]).brackets.last()?;
    let holder = Place::new(place.text, place.span(0, 0).file, start);
    let looks_new = line.is_item() || line.key().is_some_and(|(key, _)| key.bytes().all(is_of_key));
    if holder.line_start == place.line_start || !looks_new || line.indent > holder.indent() {
        return None;
    }
    let close = if bracket == '[' { ']' } else { '}' };
    Some(
        Diagnostic::error(105, format!("a `{bracket}` is opened and never closed"))
            .at(place.span(start, start + 1))
            .label("opened here")
            .related(place.covering(line), "still inside of it")
            .help(format!("close it with `{close}` before this line")),
    )
}

fn is_of_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)
}

/// A `:` where no value may begin.
pub fn colon(place: &Place<'_>) -> Diagnostic {
    let line = place.own();
    let before = place.line.get(..place.offset - place.line_start).unwrap_or_default();
    if before.contains(": ") {
        return second_colon(place);
    }
    match place.above().next() {
        Some(above) if above.key().is_none() && !above.is_item() && above.indent <= line.indent => {
            missing_colon(place, above)
        }
        Some(above) if above.indent < line.indent => has_value_already(place, above),
        _ => Diagnostic::error(103, "a `:` begins a value where none can be").at(place.here()).label("here"),
    }
}

fn second_colon(place: &Place<'_>) -> Diagnostic {
    let line = place.own();
    let diagnostic = Diagnostic::error(103, "a second `: ` on one line");
    // The value begins behind the line's first `: `; quoting all of it is what was meant nearly always.
    let Some((key, value)) = line.content.split_once(": ") else { return diagnostic.at(place.here()) };
    let value = value.trim_end();
    let start = line.start + key.len() + 2;
    let diagnostic = diagnostic
        .at(place.span(start, start + value.len()))
        .label("this value holds a `: `")
        .help(format!("put the value in quotes: {key}: {}", quoted(value)));
    match value.split_once(": ").filter(|(first, _)| first.bytes().all(is_of_key)) {
        Some((first, _)) => {
            diagnostic.help(format!("or put `{first}` on the next line, indented deeper than `{}`", bare(key)))
        }
        None => diagnostic,
    }
}

/// A key without the dash of the item that it begins.
fn bare(key: &str) -> &str {
    key.strip_prefix("- ").unwrap_or(key).trim()
}

fn missing_colon(place: &Place<'_>, above: Line<'_>) -> Diagnostic {
    let diagnostic = match above.content.split_once(':').filter(|(key, _)| key.bytes().all(is_of_key)) {
        Some((key, value)) => {
            let end = above.start + key.len() + 1;
            Diagnostic::error(125, format!("no space behind the `:` of `{key}`"))
                .at(place.span(end - 1, end))
                .label("a space is missing behind this")
                .help(format!("write `{key}: {value}`"))
        }
        None => Diagnostic::error(125, format!("`{}` has no `:`", above.content))
            .at(place.covering(above))
            .label("a key ends with `:`")
            .help(format!("write `{}:`", above.content)),
    };
    diagnostic.related(place.covering(place.own()), "so this cannot begin a value")
}

fn has_value_already(place: &Place<'_>, above: Line<'_>) -> Diagnostic {
    let line = place.own();
    let label = match above.is_item() {
        true => format!("indented {}, an item with a value of its own", above.indent),
        false => format!("indented {}, with a value of its own", above.indent),
    };
    let name = above.key().map_or(above.content, |(key, _)| bare(key));
    Diagnostic::error(102, "this line is indented deeper than the one above, which has its value already")
        .at(place.covering(Line { content: line.key().map_or(line.content, |(key, _)| key), ..line }))
        .label(format!("indented {}", line.indent))
        .related(place.covering(above), label)
        .help(format!("indent it {}, as `{name}` is", above.indent))
}

/// A line where the next key or item should begin, and that is none.
pub fn indentation(place: &Place<'_>) -> Diagnostic {
    let line = place.own();
    if let Some(diagnostic) = behind_bracket(place) {
        return diagnostic;
    }
    let fits = place.holders().find(|holder| holder.indent <= line.indent).filter(|held| held.indent == line.indent);
    if let Some(other) = fits.filter(|other| other.is_item() != line.is_item()) {
        return mixed(place, other);
    }
    let word = line.content.split([' ', ':']).next().unwrap_or("").len();
    let diagnostic = Diagnostic::error(102, "the indentation of this line fits no line above it")
        .at(place.span(line.start, line.start + word.max(1)))
        .label(format!("indented {}", line.indent));
    let Some(above) = place.above().next() else {
        return Diagnostic::error(100, "neither a key nor an item of a list").at(place.covering(line)).label("here");
    };
    let mut levels: Vec<usize> = place.holders().map(|holder| holder.indent).collect();
    levels.reverse();
    let fitting: Vec<String> = levels.iter().map(usize::to_string).collect();
    diagnostic
        .related(place.covering(above), format!("indented {}", above.indent))
        .help(format!("the lines above are indented {}", fitting.join(", ")))
}

/// A key where the list above would go on.
pub fn key_among_items(place: &Place<'_>) -> Diagnostic {
    let line = place.own();
    match place.above().find(|above| above.indent <= line.indent).filter(|above| above.indent == line.indent) {
        Some(item) => mixed(place, item),
        None => indentation(place),
    }
}

fn mixed(place: &Place<'_>, other: Line<'_>) -> Diagnostic {
    let line = place.own();
    let holder = place.above().find(|above| above.indent < line.indent);
    let word = |line: Line<'_>| match line.key() {
        Some((key, _)) if !line.is_item() => place.covering(Line { content: key, ..line }),
        _ => place.covering(line),
    };
    let mut diagnostic = Diagnostic::error(128, "items of a list and keys stand in one column")
        .at(word(line))
        .label(if line.is_item() { "an item" } else { "a key" })
        .related(word(other), if other.is_item() { "an item" } else { "a key" });
    let (key, item) = if line.is_item() { (other, line) } else { (line, other) };
    match key.key() {
        Some((name, value)) if !value.is_empty() && item.content.contains('=') => {
            diagnostic = diagnostic.help(format!("write all as items: `- {name}={value}`"));
        }
        _ => {}
    }
    if let Some((holder, value)) = holder.and_then(|holder| Some((holder, holder.key()?))) {
        let name = bare(value.0);
        diagnostic = diagnostic.help(match line.is_item() {
            true => format!("`{name}` takes items or keys, not both"),
            false => format!("a key beside `{name}` is indented {}", holder.indent),
        });
    }
    diagnostic
}

/// Text stands behind the bracket that closes a value.
fn behind_bracket(place: &Place<'_>) -> Option<Diagnostic> {
    let line = place.own();
    let value = line.content.split_once(": ").map_or(line.content, |(_, value)| value).trim_start();
    let start = line.start + line.content.len() - value.len();
    value.starts_with(['[', '{']).then_some(())?;
    let ends = value.char_indices().filter(|(_, character)| matches!(character, ']' | '}')).map(|(at, _)| at + 1);
    let end = ends.into_iter().find(|end| scan(&value[..*end]).brackets.is_empty())?;
    let rest = value[end..].split(" #").next().unwrap_or_default();
    let behind = rest.trim();
    if behind.is_empty() || behind.starts_with([':', '#']) {
        return None;
    }
    let first = start + end + rest.len() - rest.trim_start().len();
    let whole = value[..end + rest.len()].trim_end();
    Some(
        Diagnostic::error(127, "something stands behind a value that a bracket has closed")
            .at(place.span(first, first + behind.len()))
            .label("behind the closing bracket")
            .related(place.span(start, start + 1), "opened here")
            .help(format!("put it inside of the brackets, or all of it in quotes: {}", quoted(whole))),
    )
}

/// A list that begins behind its key.
pub fn item_behind_key(place: &Place<'_>) -> Diagnostic {
    let items = place.rest().trim_start_matches("- ");
    Diagnostic::error(100, "a list cannot begin in the line of its key")
        .at(place.here())
        .label("an item begins on a line of its own")
        .help(format!("write `[{items}]`, or put `- {items}` on the next line"))
}
