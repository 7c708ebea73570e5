//! BuildKit's progress made ours: vertices are steps, their logs are what the steps write.

use std::collections::BTreeMap;

use orchestrator::engine::progress::{Progress, ProgressSink};

use crate::docker::build::trouble::Step;
use crate::docker::build::wire::{Fields, Message};

/// Follows a build.
pub(super) struct Follower<'a> {
    progress: &'a ProgressSink,
    vertices: BTreeMap<String, Vertex>,
    /// Steps that are known, and those that have begun.
    known: u32,
    begun: u32,
}

#[derive(Debug, Default)]
struct Vertex {
    /// Position among the steps that have begun.
    number: Option<u32>,
    /// Of a step; nothing: it is BuildKit's own affair.
    text: String,
    ended: bool,
    error: String,
    step: Step,
    /// A line that is not whole yet.
    line: String,
}

/// What is said of a vertex.
#[derive(Debug, Default)]
struct Told {
    digest: String,
    name: String,
    cached: bool,
    started: bool,
    completed: bool,
    error: String,
}

impl<'a> Follower<'a> {
    pub(super) fn new(progress: &'a ProgressSink) -> Self {
        Self { progress, vertices: BTreeMap::new(), known: 0, begun: 0 }
    }

    /// Takes a `StatusResponse`.
    pub(super) fn take(&mut self, message: &[u8]) {
        for (field, value) in Fields(message) {
            match field {
                1 => self.vertex(told(value.bytes())),
                2 => self.status(value.bytes()),
                3 => self.log(value.bytes()),
                _ => {}
            }
        }
    }

    fn vertex(&mut self, told: Told) {
        let vertex = self.vertices.entry(told.digest).or_default();
        if vertex.text.is_empty()
            && let Some(text) = step_of(&told.name)
        {
            self.known += 1;
            vertex.step.begin(bare(&text));
            vertex.text = text;
        }
        if !told.error.is_empty() {
            vertex.error = told.error;
        }
        if (told.started || told.completed) && vertex.number.is_none() && !vertex.text.is_empty() {
            self.begun += 1;
            vertex.number = Some(self.begun);
            let (number, total, text) = (self.begun, self.known, vertex.text.clone());
            self.progress.report(Progress::Step { number, total, text });
        }
        let Some(number) = vertex.number else { return };
        if told.completed && !vertex.ended {
            vertex.ended = true;
            let rest = std::mem::take(&mut vertex.line);
            if !rest.is_empty() {
                vertex.step.write(&rest);
                self.progress.report(Progress::StepOutput { number, line: rest });
            }
            if vertex.error.is_empty() {
                self.progress.report(Progress::StepDone { number, cached: told.cached });
            }
        }
    }

    /// Bytes of a layer that is fetched or a context that is sent.
    fn status(&self, message: &[u8]) {
        let (mut id, mut current, mut total) = (String::new(), 0, 0);
        for (field, value) in Fields(message) {
            match field {
                1 => id = value.text(),
                4 => current = value.number(),
                5 => total = value.number(),
                _ => {}
            }
        }
        if total > 0 && !id.is_empty() {
            let item = id.trim_start_matches("sha256:").chars().take(12).collect();
            self.progress.report(Progress::Bytes { item, done: current, total: Some(total) });
        }
    }

    fn log(&mut self, message: &[u8]) {
        let (mut digest, mut text) = (String::new(), String::new());
        for (field, value) in Fields(message) {
            match field {
                1 => digest = value.text(),
                4 => text = value.text(),
                _ => {}
            }
        }
        let Some(vertex) = self.vertices.get_mut(&digest) else { return };
        let Some(number) = vertex.number else { return };
        vertex.line.push_str(&text);
        while let Some(end) = vertex.line.find('\n') {
            let line: String = vertex.line.drain(..=end).collect();
            let line = line.trim_end_matches(['\n', '\r']).to_owned();
            vertex.step.write(&line);
            self.progress.report(Progress::StepOutput { number, line });
        }
    }

    /// The step that failed, if it was one.
    pub(super) fn failed(&self) -> Option<&Step> {
        let failed =
            |vertex: &&Vertex| vertex.number.is_some() && !vertex.error.is_empty() && !is_cancelled(&vertex.error);
        self.vertices.values().find(failed).map(|vertex| &vertex.step)
    }
}

/// Steps beside the one that failed are called off.
fn is_cancelled(error: &str) -> bool {
    error.ends_with("context canceled")
}

fn told(message: &[u8]) -> Told {
    let mut told = Told::default();
    for (field, value) in Fields(message) {
        match field {
            1 => told.digest = value.text(),
            3 => told.name = value.text(),
            4 => told.cached = value.number() != 0,
            5 => told.started = true,
            6 => told.completed = true,
            7 => told.error = value.text(),
            _ => {}
        }
    }
    told
}

/// Makes `[base] RUN x` of `[base 2/3] RUN x`, and `RUN x` of `[2/3] RUN x`; `None`: it is no step of the Dockerfile.
fn step_of(name: &str) -> Option<String> {
    let (head, text) = name.strip_prefix('[')?.split_once("] ")?;
    // Of several platforms or stages: `linux/amd64 base 2/3`.
    let (of, count) = head.rsplit_once(' ').map_or(("", head), |(of, count)| (of, count));
    let (number, total) = count.split_once('/')?;
    number.parse::<u32>().ok().filter(|_| total.parse::<u32>().is_ok())?;
    Some(if of.is_empty() || of.starts_with("stage-") { text.to_owned() } else { format!("[{of}] {text}") })
}

/// The instruction without the stage before it.
fn bare(text: &str) -> &str {
    text.strip_prefix('[').and_then(|rest| rest.split_once("] ")).map_or(text, |(_, text)| text)
}

/// Makes the question for a build's progress.
pub(super) fn question(reference: &str) -> Vec<u8> {
    Message::default().text(1, reference).0
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn vertices_are_steps_and_their_logs_are_lines() {
        assert_eq!(step_of("[maker 1/2] FROM a"), Some("[maker] FROM a".into()));
        assert_eq!(step_of("[stage-1 2/2] RUN x"), Some("RUN x".into()));
        assert_eq!(step_of("[2/3] RUN x"), Some("RUN x".into()));
        assert_eq!(step_of("[linux/arm64 base 2/3] RUN x"), Some("[linux/arm64 base] RUN x".into()));
        assert_eq!(step_of("[internal] load build context"), None);
        assert_eq!(step_of("exporting to image"), None);

        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = {
            let told = Arc::clone(&told);
            ProgressSink::new(move |progress| told.lock().unwrap().push(progress))
        };
        let mut follower = Follower::new(&sink);
        let vertex = |digest: &str, name: &str| Message::default().text(1, digest).text(3, name);
        let stamp = Message::default().number(1, 1);
        let say = |follower: &mut Follower<'_>, field: u64, message: Message| {
            follower.take(&Message::default().message(field, &message).0);
        };
        say(&mut follower, 1, vertex("a", "[1/2] FROM x"));
        say(&mut follower, 1, vertex("b", "[2/2] RUN y"));
        say(&mut follower, 1, vertex("a", "[1/2] FROM x").number(4, 1).message(5, &stamp).message(6, &stamp));
        say(&mut follower, 1, vertex("b", "[2/2] RUN y").message(5, &stamp));
        say(&mut follower, 3, Message::default().text(1, "b").text(4, "one\ntw"));
        say(&mut follower, 1, vertex("b", "[2/2] RUN y").message(5, &stamp).message(6, &stamp).text(7, "exit code: 3"));
        let expected = vec![
            Progress::Step { number: 1, total: 2, text: "FROM x".into() },
            Progress::StepDone { number: 1, cached: true },
            Progress::Step { number: 2, total: 2, text: "RUN y".into() },
            Progress::StepOutput { number: 2, line: "one".into() },
            Progress::StepOutput { number: 2, line: "tw".into() },
        ];
        assert_eq!(*told.lock().unwrap(), expected);
        let failed = follower.failed().unwrap();
        assert_eq!((failed.text.as_str(), failed.output.len()), ("RUN y", 2));
    }
}
