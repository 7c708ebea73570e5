//! Which brackets and quotes are open at a place: as far as YAML is still YAML there.

/// What a text has opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Brackets that are not closed, the outermost first, with their bytes.
    pub brackets: Vec<(usize, char)>,
    /// First byte of the last quoted value that is closed.
    pub quote: Option<usize>,
    /// First byte of a quoted value that is not.
    pub unclosed_quote: Option<usize>,
}

/// Reads `text` to its end.
pub fn scan(text: &str) -> Open {
    let mut open = Open::default();
    let bytes = text.as_bytes();
    let mut at = 0;
    // A value or a key may begin here: quotes and brackets within a plain word are letters.
    let mut begins = true;
    while at < bytes.len() {
        match bytes[at] {
            b'#' if begins || bytes[at - 1].is_ascii_whitespace() => at = line_end(bytes, at),
            b'\n' => (begins, at) = (true, at + 1),
            b' ' | b'\t' | b'\r' => at += 1,
            b'-' | b'?' if begins && ends_word(bytes, at + 1) => at += 1,
            b':' if ends_word(bytes, at + 1) || !open.brackets.is_empty() && !begins => (begins, at) = (true, at + 1),
            b'[' | b'{' if begins => {
                open.brackets.push((at, char::from(bytes[at])));
                at += 1;
            }
            b']' | b'}' if !open.brackets.is_empty() => {
                open.brackets.pop();
                (begins, at) = (false, at + 1);
            }
            b',' if !open.brackets.is_empty() => (begins, at) = (true, at + 1),
            quote @ (b'"' | b'\'') if begins => match closing(bytes, at, quote) {
                Some(end) => {
                    open.quote = Some(at);
                    (begins, at) = (false, end + 1);
                }
                None => {
                    open.unclosed_quote = Some(at);
                    return open;
                }
            },
            b'|' | b'>' if begins && open.brackets.is_empty() => at = block_end(text, at),
            _ => (begins, at) = (false, at + 1),
        }
    }
    open
}

fn ends_word(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(u8::is_ascii_whitespace)
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

fn closing(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 2,
            byte if byte == quote && quote == b'\'' && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// The lines of a block of text are those below that are empty or indented deeper than the line that begins it.
fn block_end(text: &str, at: usize) -> usize {
    let indent_of = |line: &str| line.len() - line.trim_start().len();
    let line_start = text[..at].rfind('\n').map_or(0, |position| position + 1);
    let indent = indent_of(&text[line_start..at]);
    let mut end = line_end(text.as_bytes(), at);
    while end < text.len() {
        let next = line_end(text.as_bytes(), end + 1);
        let line = &text[end + 1..next];
        if !line.trim().is_empty() && indent_of(line) <= indent {
            break;
        }
        end = next;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_quotes_count_where_values_begin_and_nowhere_else() {
        let brackets = |text: &str| scan(text).brackets;
        assert_eq!(brackets("a: [b, {c: d}"), [(3, '[')]);
        assert_eq!(brackets("a: b[c\nd: x{y"), []);
        assert_eq!(brackets("a: '[' # [\nb: \"{\\\"\""), []);
        assert_eq!(brackets("a: |\n  [\n\n  {\nb: ["), [(17, '[')]);
        assert_eq!(brackets("- [\n  a,\n  'b]'\n"), [(2, '[')]);
        assert_eq!(scan("a: 'it''s' b").quote, Some(3));
        assert_eq!(scan("a: it's\nb: \"c").unclosed_quote, Some(11));
    }
}
