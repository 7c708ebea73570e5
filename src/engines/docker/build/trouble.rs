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
        let (line, found) = find(text, &step.text)?;
        Some(Place { file: file.to_owned(), line, text: found })
    });
    error
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
        if words(&whole).eq_ignore_ascii_case(&wanted) {
            return Some((u32::try_from(number).unwrap_or(0) + 1, first.to_owned()));
        }
    }
    None
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
    }
}
