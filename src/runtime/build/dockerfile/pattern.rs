//! Shell patterns of `${name#pattern}` and its relatives: `*`, `?`, `\x`; matched without regular expressions.

/// Says whether `pattern` matches all of `text`.
fn matches(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
        Some(('?', rest)) => !text.is_empty() && matches(rest, &text[1..]),
        Some(('\\', rest)) if !rest.is_empty() => text.first() == Some(&rest[0]) && matches(&rest[1..], &text[1..]),
        Some((c, rest)) => text.first() == Some(c) && matches(rest, &text[1..]),
    }
}

fn split(pattern: &str, text: &str) -> (Vec<char>, Vec<char>) {
    (pattern.chars().collect(), text.chars().collect())
}

/// Cuts the shortest or longest matching beginning off.
pub fn trim_prefix(pattern: &str, text: &str, longest: bool) -> String {
    let (pattern, text) = split(pattern, text);
    let mut lengths: Vec<usize> = (0..=text.len()).collect();
    if longest {
        lengths.reverse();
    }
    let cut = lengths.into_iter().find(|n| matches(&pattern, &text[..*n])).unwrap_or(0);
    text[cut..].iter().collect()
}

/// Cuts the shortest or longest matching end off.
pub fn trim_suffix(pattern: &str, text: &str, longest: bool) -> String {
    let (pattern, text) = split(pattern, text);
    let mut starts: Vec<usize> = (0..=text.len()).collect();
    if !longest {
        starts.reverse();
    }
    let cut = starts.into_iter().find(|n| matches(&pattern, &text[*n..])).unwrap_or(text.len());
    text[..cut].iter().collect()
}

/// Replaces the first match, or every one, by `replacement`.
pub fn replace(pattern: &str, text: &str, replacement: &str, all: bool) -> String {
    let (pattern, text) = split(pattern, text);
    let mut result = String::new();
    let mut at = 0;
    while at < text.len() {
        // The leftmost match, and of those the longest, as a greedy expression finds it.
        match (at..=text.len()).rev().find(|end| *end > at && matches(&pattern, &text[at..*end])) {
            Some(end) => {
                result.push_str(replacement);
                at = end;
                if !all {
                    break;
                }
            }
            None => {
                result.push(text[at]);
                at += 1;
            }
        }
    }
    result.extend(&text[at..]);
    result
}

#[cfg(test)]
mod tests {
    use super::{replace, trim_prefix, trim_suffix};

    #[test]
    fn the_shortest_and_the_longest_match_differ() {
        assert_eq!(trim_prefix("*/", "a/b/c", false), "b/c");
        assert_eq!(trim_prefix("*/", "a/b/c", true), "c");
        assert_eq!(trim_suffix("/*", "a/b/c", false), "a/b");
        assert_eq!(trim_suffix("/*", "a/b/c", true), "a");
    }

    #[test]
    fn one_or_all_matches_are_replaced() {
        assert_eq!(replace("b", "abcb", "x", false), "axcb");
        assert_eq!(replace("b", "abcb", "x", true), "axcx");
    }
}
