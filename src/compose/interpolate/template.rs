//! The grammar of `$VAR` and `${VAR:-word}`, down to where Compose's own reading ends a brace.

/// Why a template has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// What follows a `$` is no reference; the text from the `$` to the end of its line.
    Invalid {
        /// From the `$` to the end of the line.
        reference: String,
    },
    /// `${VAR:?reason}` and there is no `VAR`.
    Required {
        /// Name of the variable.
        variable: String,
        /// What the file says about it; may be empty.
        reason: String,
    },
    /// References stand in the words of references, more than [`MAXIMUM_DEPTH`] deep.
    TooDeep,
}

/// How deep references may stand in each other's words.
pub const MAXIMUM_DEPTH: usize = 64;

/// What values a variable may have.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces every reference in `template`; names without a value are added to `unset` and leave nothing.
pub fn substitute(template: &str, lookup: Lookup<'_>, unset: &mut Vec<String>) -> Result<String, TemplateError> {
    substitute_at(template, lookup, unset, 0)
}

fn substitute_at(
    template: &str,
    lookup: Lookup<'_>,
    unset: &mut Vec<String>,
    depth: usize,
) -> Result<String, TemplateError> {
    if depth > MAXIMUM_DEPTH {
        return Err(TemplateError::TooDeep);
    }
    let mut result = String::with_capacity(template.len());
    let mut rest = template;
    let mut line = Line::default();
    while let Some(position) = rest.find('$') {
        result.push_str(&rest[..position]);
        let reference = &rest[position..];
        let after = &reference[1..];
        if let Some(tail) = after.strip_prefix('$') {
            result.push('$');
            rest = tail;
        } else if let Some(inner) = after.strip_prefix('{') {
            let length = line.braced(template, inner).ok_or_else(|| invalid(reference))?;
            // The reference ends where its braces balance; what follows is a template again.
            let whole = &reference[..length + 2];
            let end = balanced(whole).map_or(whole.len(), |end| end + 1);
            expand(&whole[2..end - 1], lookup, unset, depth, &mut result)?;
            rest = &reference[end..];
        } else {
            let length = name_length(after);
            if length == 0 {
                result.push('$');
            } else {
                result.push_str(&value(&after[..length], lookup, unset));
            }
            rest = &after[length..];
        }
    }
    result.push_str(rest);
    Ok(result)
}

/// Returns the names of the variables that `template` refers to, with the word behind the operator, if any.
pub fn references(template: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    collect(template, 0, &mut found);
    found
}

fn collect(template: &str, depth: usize, found: &mut Vec<Reference>) {
    let mut rest = template;
    let mut line = Line::default();
    while let Some(position) = rest.find('$') {
        let after = &rest[position + 1..];
        rest = after;
        if let Some(tail) = after.strip_prefix('$') {
            rest = tail;
        } else if let Some(inner) = after.strip_prefix('{') {
            let Some(length) = line.braced(template, inner) else { continue };
            let whole = &after[..length + 1];
            let end = balanced(whole).unwrap_or(whole.len() - 1);
            let inner = &whole[1..end];
            let name = &inner[..name_length(inner)];
            let (operator, word) = operator(&inner[name.len()..]);
            found.push(Reference { name: name.into(), operator, word: word.into() });
            // The reason of a demand is for people: Compose does not look for variables in it.
            let asks = operator.is_none_or(|operator| operator.kind != OperatorKind::Required);
            if asks && depth < MAXIMUM_DEPTH {
                collect(word, depth + 1, found);
            }
            rest = &after[end + 1..];
        } else {
            let length = name_length(after);
            if length > 0 {
                found.push(Reference { name: after[..length].into(), operator: None, word: String::new() });
            }
        }
    }
}

/// A reference to a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Name of the variable.
    pub name: String,
    /// What stands behind the name, if anything does.
    pub operator: Option<Operator>,
    /// The default, the reason, or the alternative.
    pub word: String,
}

/// What a reference asks of its variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    /// With a colon an empty value counts as none.
    pub colon: bool,
    /// Which of `-`, `?` and `+` it is.
    pub kind: OperatorKind,
}

/// `-`, `?` or `+`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorKind {
    /// `-`: the word if there is no value.
    Default,
    /// `?`: an error if there is no value.
    Required,
    /// `+`: the word if there is a value.
    Alternative,
}

fn invalid(reference: &str) -> TemplateError {
    TemplateError::Invalid { reference: reference.lines().next().unwrap_or("").to_owned() }
}

fn value(name: &str, lookup: Lookup<'_>, unset: &mut Vec<String>) -> String {
    lookup(name).unwrap_or_else(|| {
        unset.push(name.to_owned());
        String::new()
    })
}

fn name_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    if !bytes.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_') {
        return 0;
    }
    bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}

fn operator(body: &str) -> (Option<Operator>, &str) {
    let (colon, rest) = match body.strip_prefix(':') {
        Some(rest) => (true, rest),
        None => (false, body),
    };
    let kind = match rest.as_bytes().first() {
        Some(b'-') => OperatorKind::Default,
        Some(b'?') => OperatorKind::Required,
        Some(b'+') => OperatorKind::Alternative,
        _ => return (None, body),
    };
    (Some(Operator { colon, kind }), &rest[1..])
}

/// The line that was looked at last: where it ends, and its last `}`; as bytes before the end of the template.
#[derive(Debug, Default)]
struct Line(Option<(usize, Option<usize>)>);

impl Line {
    /// Returns how far a braced reference reaches behind its `${`: with a word, to the last `}` of the line. `inner` is
    /// an end of `template`. Each line is searched once, however many references stand in it.
    fn braced(&mut self, template: &str, inner: &str) -> Option<usize> {
        let name = name_length(inner);
        if name == 0 {
            return None;
        }
        let body = &inner[name..];
        if body.starts_with('}') {
            return Some(name + 1);
        }
        let (operator, word) = operator(body);
        operator?;
        let start = template.len() - word.len();
        let known = self.0.filter(|(end, _)| start <= *end);
        let (_, last) = known.unwrap_or_else(|| {
            let end = word.find('\n').unwrap_or(word.len());
            let found = (start + end, word[..end].rfind('}').map(|last| start + last));
            self.0 = Some(found);
            found
        });
        let last = last.filter(|last| *last >= start)?;
        Some(last + 1 - (template.len() - inner.len()))
    }
}

/// Puts the value of what stands between `${` and its `}` behind `result`.
fn expand(
    inner: &str,
    lookup: Lookup<'_>,
    unset: &mut Vec<String>,
    depth: usize,
    result: &mut String,
) -> Result<(), TemplateError> {
    let name = &inner[..name_length(inner)];
    let (operator, word) = operator(&inner[name.len()..]);
    let Some(operator) = operator else {
        result.push_str(&value(name, lookup, unset));
        return Ok(());
    };
    let mut unset_in_word = Vec::new();
    let word = substitute_at(word, lookup, &mut unset_in_word, depth + 1)?;
    let found = lookup(name);
    let usable = found.as_ref().is_some_and(|value| !(operator.colon && value.is_empty()));
    match (operator.kind, usable) {
        (OperatorKind::Default, false) | (OperatorKind::Alternative, true) => {
            unset.append(&mut unset_in_word);
            result.push_str(&word);
        }
        (OperatorKind::Default | OperatorKind::Required, true) | (OperatorKind::Alternative, false) => {
            result.push_str(&found.unwrap_or_default());
        }
        (OperatorKind::Required, false) => {
            return Err(TemplateError::Required { variable: name.to_owned(), reason: word });
        }
    }
    Ok(())
}

/// Returns the offset of the `}` that closes the first `{`; the byte behind a `{` is never looked at, as in Compose.
pub fn balanced(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut open = 0;
    let mut position = 0;
    while position < bytes.len() {
        match bytes[position] {
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(position);
                }
            }
            b'{' => {
                open += 1;
                position += 1;
            }
            _ => {}
        }
        position += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(template: &str) -> Result<String, TemplateError> {
        let lookup = |name: &str| match name {
            "SET" => Some("set".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        substitute(template, &lookup, &mut Vec::new())
    }

    fn check(template: &str, expected: &str) {
        assert_eq!(with(template).as_deref(), Ok(expected), "{template}");
    }

    #[test]
    fn references_are_replaced() {
        check("a $SET b ${SET}c", "a set b setc");
        check("$$SET $1 a$ $(x)", "$SET $1 a$ $(x)");
        check("${UNSET:-d}${EMPTY:-d}${EMPTY-d}", "dd");
        check("${SET:+alt}${UNSET:+alt}${EMPTY+alt}", "altalt");
        check("${UNSET:-${SET}}-${SET}", "set-set");
        check("${UNSET:-{a}}", "{a}");
        check("${UNSET:-a:-b}", "a:-b");
    }

    #[test]
    fn many_references_on_a_line_and_references_in_references_take_neither_the_stack_nor_the_time() {
        let many = "${UNSET:-x}".repeat(100_000);
        assert_eq!(with(&many).unwrap().len(), 100_000);
        assert_eq!(references(&many).len(), 100_000);
        let deep = |depth: usize| format!("{}x{}", "${UNSET:-".repeat(depth), "}".repeat(depth));
        assert_eq!(with(&deep(MAXIMUM_DEPTH)).as_deref(), Ok("x"));
        assert_eq!(with(&deep(20_000)), Err(TemplateError::TooDeep));
        assert_eq!(references(&deep(20_000)).len(), MAXIMUM_DEPTH + 1);
    }

    #[test]
    fn what_a_template_refers_to_is_known_without_values() {
        let names = |text: &str| references(text).into_iter().map(|found| found.name).collect::<Vec<_>>().join(" ");
        assert_eq!(names("${A:-${B}} ${C}-$D $$E"), "A B C D");
        assert_eq!(references("${A:-x}${B:-y}")[0].word, "x");
    }

    #[test]
    fn malformed_references_are_refused() {
        for template in ["${1}", "${}", "${SET:=x}", "${SET/a/b}", "${SET", "${#SET}", "${UNSET:-a\nb}"] {
            assert!(matches!(with(template), Err(TemplateError::Invalid { .. })), "{template}");
        }
        assert_eq!(
            with("${UNSET:?set it}"),
            Err(TemplateError::Required { variable: "UNSET".into(), reason: "set it".into() })
        );
    }
}
