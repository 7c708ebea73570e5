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
}

/// What values a variable may have.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces every reference in `template`; names without a value are added to `unset` and leave nothing.
pub fn substitute(template: &str, lookup: Lookup<'_>, unset: &mut Vec<String>) -> Result<String, TemplateError> {
    let mut result = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(position) = rest.find('$') {
        result.push_str(&rest[..position]);
        let reference = &rest[position..];
        let after = &reference[1..];
        if let Some(tail) = after.strip_prefix('$') {
            result.push('$');
            rest = tail;
        } else if let Some(inner) = after.strip_prefix('{') {
            let length = braced(inner).ok_or_else(|| invalid(reference))?;
            result.push_str(&expand(&reference[..length + 2], lookup, unset)?);
            rest = &reference[length + 2..];
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
    let mut rest = template;
    while let Some(position) = rest.find('$') {
        let after = &rest[position + 1..];
        rest = after;
        if let Some(tail) = after.strip_prefix('$') {
            rest = tail;
        } else if let Some(inner) = after.strip_prefix('{') {
            let Some(length) = braced(inner) else { continue };
            // What ends the reference is where its braces balance, as in `expand`.
            let length = balanced(&after[..length + 1]).unwrap_or(length);
            let name = &inner[..name_length(inner)];
            let body = inner.get(name.len()..length - 1).unwrap_or("");
            let (operator, word) = operator(body);
            found.push(Reference { name: name.into(), operator, word: word.into() });
            // The reason of a demand is for people: Compose does not look for variables in it.
            if operator.is_none_or(|operator| operator.kind != OperatorKind::Required) {
                found.extend(references(word));
            }
            rest = &inner[length..];
        } else {
            let length = name_length(after);
            if length > 0 {
                found.push(Reference { name: after[..length].into(), operator: None, word: String::new() });
            }
        }
    }
    found
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

/// Returns how far a braced reference reaches behind its `${`: with a word, to the last `}` of the line.
fn braced(inner: &str) -> Option<usize> {
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
    let line = word.split('\n').next().unwrap_or("");
    let last = line.rfind('}')?;
    Some(inner.len() - word.len() + last + 1)
}

/// Expands `${name...}...}`: the reference ends where its braces balance, the rest is a template again.
fn expand(text: &str, lookup: Lookup<'_>, unset: &mut Vec<String>) -> Result<String, TemplateError> {
    let (reference, rest) = match balanced(text) {
        Some(end) => text.split_at(end + 1),
        None => (text, ""),
    };
    let inner = &reference[2..reference.len() - 1];
    let name = &inner[..name_length(inner)];
    let (operator, word) = operator(&inner[name.len()..]);
    let Some(operator) = operator else {
        let value = value(name, lookup, unset);
        return Ok(value + &substitute(rest, lookup, unset)?);
    };
    let mut unset_in_word = Vec::new();
    let word = substitute(word, lookup, &mut unset_in_word)?;
    let found = lookup(name);
    let usable = found.as_ref().is_some_and(|value| !(operator.colon && value.is_empty()));
    let value = match (operator.kind, usable) {
        (OperatorKind::Default, true) | (OperatorKind::Required, true) => found.unwrap_or_default(),
        (OperatorKind::Default, false) | (OperatorKind::Alternative, true) => {
            unset.append(&mut unset_in_word);
            word
        }
        (OperatorKind::Alternative, false) => found.unwrap_or_default(),
        (OperatorKind::Required, false) => {
            return Err(TemplateError::Required { variable: name.to_owned(), reason: word });
        }
    };
    Ok(value + &substitute(rest, lookup, unset)?)
}

/// Returns the offset of the `}` that closes the first `{`; the byte behind a `{` is never looked at, as in Compose.
fn balanced(text: &str) -> Option<usize> {
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
