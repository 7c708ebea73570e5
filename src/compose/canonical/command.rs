//! A command line as one text to its words: the reading of go-shellwords, without variables.

/// Returns the words of `line`. What stands behind an unquoted `;`, `&`, `|`, `<` or `>` is not part of it.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut got = false;
    let mut escaped = false;
    let (mut single, mut double, mut back, mut dollar) = (false, false, false, false);
    let characters: Vec<char> = line.chars().collect();
    let mut position = 0;
    while position < characters.len() {
        let character = characters[position];
        position += 1;
        if escaped {
            let meaning = match character {
                't' => '\t',
                'n' => '\n',
                other => other,
            };
            word.push(meaning);
            escaped = false;
            got = true;
            continue;
        }
        let quoted = single || double || back || dollar;
        match character {
            '\\' if single => word.push(character),
            '\\' => escaped = true,
            ' ' | '\t' | '\r' | '\n' if quoted => word.push(character),
            ' ' | '\t' | '\r' | '\n' => {
                if got {
                    words.push(std::mem::take(&mut word));
                    got = false;
                }
            }
            '`' if !single && !double && !dollar => {
                word.push(character);
                back = !back;
                got = true;
            }
            '(' if !single && !double && !back => {
                if !dollar && word.ends_with('$') {
                    dollar = true;
                    word.push(character);
                    got = true;
                } else {
                    return Err(format!("`{line}` has a `(` that is not in quotes"));
                }
            }
            ')' if !single && !double && !back => {
                dollar = !dollar;
                word.push(character);
                got = true;
            }
            '"' if !single && !dollar => {
                double = !double;
                got = true;
            }
            '\'' if !double && !dollar => {
                single = !single;
                got = true;
            }
            ';' | '&' | '|' | '<' | '>' if !quoted => {
                // `2>` is a redirection of a descriptor: the number belongs to it, not to the command.
                if character == '>' && word.starts_with(|c: char| c.is_ascii_digit()) {
                    got = false;
                }
                position = characters.len();
            }
            _ => {
                word.push(character);
                got = true;
            }
        }
    }
    if single || double || back || dollar || escaped {
        return Err(format!("`{line}` has a quote or an escape that is never closed"));
    }
    if got {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        assert_eq!(words(line).unwrap(), expected, "{line}");
    }

    #[test]
    fn words_are_split_as_in_compose() {
        check("a 'b c' \"d e\" f\\ g", &["a", "b c", "d e", "f g"]);
        check("a && b", &["a"]);
        check("a # b", &["a", "#", "b"]);
        check("echo $(date +%s) `x y`", &["echo", "$(date +%s)", "`x y`"]);
        check("", &[]);
        check("a '' b", &["a", "", "b"]);
        check("sh -c \"a && b\"", &["sh", "-c", "a && b"]);
        assert!(words("a 'b").is_err());
    }
}
