//! The patterns of `.dockerignore`, of `COPY --exclude` and of watch rules: which files of a folder are not seen.
//! Last match wins; a match on a folder holds for what is in it. (moby/patternmatcher, over Go's `filepath.Match`)

/// The patterns of one ignore file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// `!`: what matches is seen again.
    negated: bool,
    parts: Vec<Part>,
}

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// This character.
    Literal(char),
    /// `?`: any character but `/`.
    One,
    /// `*`: any characters but `/`.
    Many,
    /// `**/`: any number of folders, none too.
    Folders,
    /// `**` at the end: anything.
    Rest,
    /// `[a-z]`
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// For each pattern, whether it matched a folder: what a walk hands down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matched(Vec<bool>);

impl Ignore {
    /// Reads an ignore file; fails on a pattern with a broken `[class]`, naming its line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (number, line) in text.lines().enumerate() {
            // A comment begins in the first column, before blanks are dropped.
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (negated, line) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            if line.is_empty() {
                if negated {
                    return Err(format!("line {}: illegal exclusion pattern: \"!\"", number + 1));
                }
                continue;
            }
            let cleaned = clean(line);
            let cleaned = if cleaned.len() > 1 { cleaned.trim_start_matches('/') } else { &cleaned };
            let parts = parts(cleaned).map_err(|message| format!("line {}: {message}: {line:?}", number + 1))?;
            patterns.push(Pattern { negated, parts });
        }
        Ok(Self { patterns })
    }

    /// Makes the patterns of `--exclude`.
    pub fn from_patterns(patterns: &[String]) -> Result<Self, String> {
        Self::parse(&patterns.join("\n"))
    }

    /// Says whether nothing is ignored.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Says whether a file below an ignored folder may be seen again, so that a walk must enter it.
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.negated)
    }

    /// Says whether `path` (relative, `/` between names) is ignored, given what matched its parent.
    pub fn step(&self, path: &str, parent: &Matched) -> (bool, Matched) {
        let text: Vec<char> = path.chars().collect();
        let mut ignored = false;
        let mut matched = Vec::with_capacity(self.patterns.len());
        for (number, pattern) in self.patterns.iter().enumerate() {
            let inherited = parent.0.get(number).copied().unwrap_or(false);
            // One that could not change the verdict need not be tried.
            let hit = inherited || (pattern.negated == ignored && matches(&pattern.parts, &text));
            if hit {
                ignored = !pattern.negated;
            }
            matched.push(hit);
        }
        (ignored, Matched(matched))
    }

    /// Says whether `path` is ignored, its folders considered.
    pub fn is_ignored(&self, path: &str) -> bool {
        let mut parent = Matched::default();
        let mut ignored = false;
        for (at, _) in path.match_indices('/').chain([(path.len(), "")]) {
            (ignored, parent) = self.step(&path[..at], &parent);
        }
        ignored
    }
}

/// Go's `filepath.Clean`.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => {
                names.pop();
            }
            ".." if rooted => {}
            name => names.push(name),
        }
    }
    match (rooted, names.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".to_owned(),
        (false, joined) => joined,
    }
}

fn parts(pattern: &str) -> Result<Vec<Part>, &'static str> {
    let mut parts = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        parts.push(match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                // `**x` is `**/x`.
                while rest.next_if_eq(&'*').is_some() {}
                rest.next_if_eq(&'/');
                if rest.peek().is_none() { Part::Rest } else { Part::Folders }
            }
            '*' => Part::Many,
            '?' => Part::One,
            '[' => class(&mut rest)?,
            '\\' => Part::Literal(rest.next().ok_or("syntax error in pattern")?),
            c => Part::Literal(c),
        });
    }
    Ok(parts)
}

fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Part, &'static str> {
    const BROKEN: &str = "syntax error in pattern";
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let first = match rest.next().ok_or(BROKEN)? {
            ']' if !ranges.is_empty() => return Ok(Part::Class { negated, ranges }),
            '\\' => rest.next().ok_or(BROKEN)?,
            c => c,
        };
        let last = match rest.next_if_eq(&'-') {
            None => first,
            Some(_) => match rest.next().ok_or(BROKEN)? {
                '\\' => rest.next().ok_or(BROKEN)?,
                ']' => return Err(BROKEN),
                c => c,
            },
        };
        ranges.push((first, last));
    }
}

fn matches(parts: &[Part], text: &[char]) -> bool {
    let Some((part, rest)) = parts.split_first() else { return text.is_empty() };
    match part {
        Part::Literal(c) => text.first() == Some(c) && matches(rest, &text[1..]),
        Part::One => text.first().is_some_and(|c| *c != '/') && matches(rest, &text[1..]),
        Part::Class { negated, ranges } => {
            let within = |c: &char| ranges.iter().any(|(first, last)| (first..=last).contains(&c)) != *negated;
            text.first().is_some_and(|c| *c != '/' && within(c)) && matches(rest, &text[1..])
        }
        Part::Many => {
            let run = text.iter().take_while(|c| **c != '/').count();
            (0..=run).any(|skip| matches(rest, &text[skip..]))
        }
        Part::Folders => {
            matches(rest, text) || text.iter().enumerate().any(|(at, c)| *c == '/' && matches(rest, &text[at + 1..]))
        }
        Part::Rest => true,
    }
}

/// Says whether one name or path matches a Go `filepath.Match` pattern; fails on a broken `[class]`.
pub fn matches_glob(pattern: &str, text: &str) -> Result<bool, String> {
    let single: Vec<Part> = parts(pattern)
        .map_err(|message| format!("{message}: {pattern:?}"))?
        .into_iter()
        // Without `**` in this grammar, two stars are one.
        .map(|part| match part {
            Part::Folders | Part::Rest => Part::Many,
            part => part,
        })
        .collect();
    Ok(matches(&single, &text.chars().collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::Ignore;

    fn check(patterns: &str, ignored: &[&str], seen: &[&str]) {
        let ignore = Ignore::parse(patterns).unwrap();
        for path in ignored {
            assert!(ignore.is_ignored(path), "{patterns:?} must ignore {path}");
        }
        for path in seen {
            assert!(!ignore.is_ignored(path), "{patterns:?} must not ignore {path}");
        }
    }

    #[test]
    fn a_match_on_a_folder_holds_for_what_is_in_it() {
        check("/target/\n", &["target", "target/a/b"], &["src/target", "targets"]);
    }

    #[test]
    fn the_last_match_wins_even_below_an_ignored_folder() {
        check("docs\n!docs/README.md\n", &["docs/a", "docs"], &["docs/README.md"]);
        check("*.md\n!README*.md\nREADME-secret.md", &["a.md", "README-secret.md"], &["README.md"]);
    }

    #[test]
    fn two_stars_match_any_depth() {
        check("**/*.pyc", &["a.pyc", "x/y/a.pyc"], &["a.py"]);
        check("a/**/b", &["a/b", "a/x/y/b"], &["b", "ab"]);
        check("**", &["a", "a/b"], &[]);
        check("a/**", &["a/b"], &["a", "b"]);
    }

    #[test]
    fn one_star_stays_within_a_name() {
        check("*/temp*", &["x/temporary", "x/temp/y"], &["temp", "x/y/temp"]);
        check("tem?", &["temp"], &["te", "temps"]);
        check("[a-c]x", &["ax", "cx"], &["dx"]);
        check("[^a-c]x", &["dx"], &["ax"]);
    }

    #[test]
    fn a_comment_counts_only_in_the_first_column() {
        check("\u{feff}#a\n #b\n\n  c  \n", &["c", "#b"], &["a", "b", "#a"]);
    }
}
