//! A failing build told with the line of the Dockerfile and what the step wrote last.

use orchestrator::engine::error::{EngineError, ErrorKind, Place};

/// Lines of output that explain a failure.
const LINES: usize = 20;

/// The step that is being carried out, and what it writes.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) text: String,
    pub(crate) output: Vec<String>,
}

impl Step {
    /// A step begins.
    pub(crate) fn begin(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.output.clear();
    }

    /// It writes a line.
    pub(crate) fn write(&mut self, line: &str) {
        if self.output.len() == LINES {
            self.output.remove(0);
        }
        self.output.push(line.to_owned());
    }
}

/// Makes the error of a failing step.
pub(crate) fn error(resource: String, why: &str, step: &Step, dockerfile: Option<(&str, &str)>) -> EngineError {
    let mut error = EngineError::new(ErrorKind::Failed, resource.clone(), format!("cannot build {resource}: {why}"));
    error.output.clone_from(&step.output);
    error.place = dockerfile.and_then(|(file, text)| {
        let (line, found) = find(text, &step.text).or_else(|| line_in(why, text))?;
        Some(Place { file: file.to_owned(), line, text: found })
    });
    error
}

/// Finds the line that a complaint about the Dockerfile itself names: `dockerfile parse error line 2: ..`.
fn line_in(why: &str, dockerfile: &str) -> Option<(u32, String)> {
    let after = why.split_once("parse error line ").or_else(|| why.split_once("parse error on line "))?.1;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    let line: u32 = digits.parse().ok()?;
    let text = dockerfile.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    Some((line, text.to_owned()))
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Finds the instruction of a step: its first line and that line's text.
fn find(dockerfile: &str, step: &str) -> Option<(u32, String)> {
    let wanted = words(step);
    if wanted.is_empty() {
        return None;
    }
    let mut lines = dockerfile.lines().enumerate();
    while let Some((number, first)) = lines.next() {
        if first.trim_start().starts_with('#') {
            continue;
        }
        let mut whole = first.trim().to_owned();
        while whole.ends_with('\\') {
            whole.pop();
            match lines.next() {
                Some((_, next)) if next.trim_start().starts_with('#') => whole.push('\\'),
                Some((_, next)) => {
                    whole.push(' ');
                    whole.push_str(next.trim());
                }
                None => break,
            }
        }
        if is_like(&words(&whole), &wanted) {
            return Some((u32::try_from(number).unwrap_or(0) + 1, first.to_owned()));
        }
    }
    None
}

/// Whether a step is this instruction, its variables replaced or not.
fn is_like(instruction: &str, step: &str) -> bool {
    if instruction.eq_ignore_ascii_case(step) {
        return true;
    }
    let (instruction, step) = (instruction.to_ascii_lowercase(), step.to_ascii_lowercase());
    let mut parts = instruction.split('$');
    let Some(mut rest) = parts.next().and_then(|first| step.strip_prefix(first)) else { return false };
    let mut is_exact = true;
    for part in parts {
        // The rest of a variable's name, with its braces, says nothing of its value.
        let literal = match part.strip_prefix('{') {
            Some(braced) => braced.split_once('}').map_or("", |(_, literal)| literal),
            None => part.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric() || letter == '_'),
        };
        match rest.find(literal) {
            Some(at) => rest = &rest[at + literal.len()..],
            None => return false,
        }
        is_exact = literal.is_empty();
    }
    rest.is_empty() || is_exact && instruction.contains('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_step_is_found() {
        let text = "# build\nFROM busybox\nrun echo a && \\\n  # why\n  exit 3\nCMD x\n";
        assert_eq!(find(text, "RUN echo a &&   exit 3"), Some((3, "run echo a && \\".to_owned())));
        assert_eq!(find(text, "CMD x"), Some((6, "CMD x".to_owned())));
        assert_eq!(find(text, "RUN other"), None);
        assert!(is_like("RUN echo ${A:-x} > $B", "run echo Ada > /f") && is_like("RUN $A b", "RUN x b"));
        assert!(!is_like("RUN $A b", "RUN x c") && !is_like("RUN a", "RUN ab"));
    }
}
