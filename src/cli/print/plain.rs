//! Events a line each, in Docker Compose's own form: ` Container shop-web-1  Started`; build steps in BuildKit's.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator::event::{Act, Event, Progress};

use crate::print::words;

/// Makes the lines. Builds run side by side, so it keeps count of the steps of all of them, as BuildKit does.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Builds seen so far.
    builds: BTreeSet<String>,
    /// Numbers given to the steps of builds that go on: by build and its own count.
    numbers: BTreeMap<(String, u32), u32>,
    /// The number given last.
    last: u32,
}

impl Lines {
    /// Returns the line that `event` is worth, if it is worth one.
    pub(crate) fn line(&mut self, event: &Event) -> Option<String> {
        Some(match event {
            Event::Started { kind, name, act } => {
                if *act == Act::Build {
                    self.builds.insert(name.clone());
                }
                format!(" {}  {}", words::subject_of(*kind, name, *act), words::going_on(*act))
            }
            Event::Done { kind, name, act } => {
                format!(" {}  {}", words::subject_of(*kind, name, *act), words::done(*act))
            }
            Event::UpToDate { kind, name, state } => format!(" {}  {state}", words::subject(*kind, name)),
            // The reason follows once, as the command's error.
            Event::Failed { kind, name, act, .. } => {
                format!(" {}  {}", words::subject_of(*kind, name, *act), words::failed(*kind, *act))
            }
            Event::Progress { subject, progress } => self.progress(subject, progress)?,
            Event::Warning(text) => format!("warning: {text}"),
            Event::Attach(_) | Event::HookOutput { .. } => return None,
        })
    }

    fn progress(&mut self, build: &str, progress: &Progress) -> Option<String> {
        Some(match progress {
            Progress::Note(text) => format!(" {build}  {text}"),
            Progress::Step { number, total, text } => {
                self.last += 1;
                self.numbers.insert((build.to_owned(), *number), self.last);
                format!("#{} {}", self.last, step(build, *number, *total, text))
            }
            Progress::StepDone { number, cached } => {
                self.step_line(build, *number, if *cached { "CACHED" } else { "DONE" })
            }
            Progress::StepOutput { number, line } => self.step_line(build, *number, line),
            Progress::Bytes { .. } => return None,
        })
    }

    /// Returns a line about a step. It names its build where there are several: their lines come mixed.
    fn step_line(&self, build: &str, number: u32, text: &str) -> String {
        let shown = self.numbers.get(&(build.to_owned(), number)).unwrap_or(&number);
        if self.builds.len() > 1 { format!("#{shown} [{build}] {text}") } else { format!("#{shown} {text}") }
    }
}

/// Returns `[web 2/5] RUN pip install flask`; of several stages, which the builder puts first, `[web base 2/5] ..`.
pub(crate) fn step(subject: &str, number: u32, total: u32, text: &str) -> String {
    match text.strip_prefix('[').and_then(|text| text.split_once("] ")) {
        Some((stage, text)) => format!("[{subject} {stage} {number}/{total}] {text}"),
        None => format!("[{subject} {number}/{total}] {text}"),
    }
}

#[cfg(test)]
mod tests {
    use orchestrator::engine::error::{EngineError, ErrorKind};
    use orchestrator::event::ResourceKind;

    use super::*;

    fn container(act: Act) -> (Event, Event) {
        let (kind, name) = (ResourceKind::Container, "shop-web-1".to_owned());
        (Event::Started { kind, name: name.clone(), act }, Event::Done { kind, name, act })
    }

    fn line(event: &Event) -> Option<String> {
        Lines::default().line(event)
    }

    fn progress(lines: &mut Lines, build: &str, progress: Progress) -> Option<String> {
        lines.line(&Event::Progress { subject: build.to_owned(), progress })
    }

    #[test]
    fn the_words_are_those_that_scripts_look_for() {
        let words = |act| {
            let (started, done) = container(act);
            (line(&started).unwrap(), line(&done).unwrap())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(words(Act::Create), pair(" Container shop-web-1  Creating", " Container shop-web-1  Created"));
        assert_eq!(words(Act::Start), pair(" Container shop-web-1  Starting", " Container shop-web-1  Started"));
        assert_eq!(words(Act::Recreate), pair(" Container shop-web-1  Recreate", " Container shop-web-1  Recreated"));
        assert_eq!(words(Act::Wait), pair(" Container shop-web-1  Waiting", " Container shop-web-1  Healthy"));
    }

    #[test]
    fn a_failure_is_one_row_and_its_reason_comes_once_later() {
        let error = EngineError::new(ErrorKind::Failed, "container `x`", "no");
        let failed =
            Event::Failed { kind: ResourceKind::Network, name: "shop_default".into(), act: Act::Create, error };
        assert_eq!(line(&failed).unwrap(), " Network shop_default  Error");
    }

    #[test]
    fn build_steps_keep_their_number_and_bytes_are_no_line() {
        let mut lines = Lines::default();
        let mut progress = |what| progress(&mut lines, "web", what);
        let step = Progress::Step { number: 1, total: 5, text: "RUN make".into() };
        assert_eq!(progress(step).unwrap(), "#1 [web 1/5] RUN make");
        assert_eq!(progress(Progress::StepOutput { number: 1, line: "cc a.c".into() }).unwrap(), "#1 cc a.c");
        assert_eq!(progress(Progress::StepDone { number: 1, cached: true }).unwrap(), "#1 CACHED");
        assert_eq!(progress(Progress::Bytes { item: "a1".into(), done: 1, total: None }), None);
    }

    #[test]
    fn a_step_of_a_stage_names_its_build_too() {
        assert_eq!(step("web", 2, 5, "[base] RUN make"), "[web base 2/5] RUN make");
        assert_eq!(step("web", 2, 5, "RUN [ -e x ] || make"), "[web 2/5] RUN [ -e x ] || make");
    }

    #[test]
    fn the_steps_of_builds_side_by_side_share_no_number() {
        let mut lines = Lines::default();
        for build in ["db", "web"] {
            let name = build.to_owned();
            lines.line(&Event::Started { kind: ResourceKind::Image, name, act: Act::Build }).unwrap();
        }
        let step = || Progress::Step { number: 4, total: 5, text: "RUN make".into() };
        let output = || Progress::StepOutput { number: 4, line: "cc a.c".into() };
        let done = || Progress::StepDone { number: 4, cached: false };
        let mut said = |build, what| progress(&mut lines, build, what).unwrap();
        assert_eq!(said("db", step()), "#1 [db 4/5] RUN make");
        assert_eq!(said("web", step()), "#2 [web 4/5] RUN make");
        assert_eq!(said("db", output()), "#1 [db] cc a.c");
        assert_eq!(said("web", output()), "#2 [web] cc a.c");
        assert_eq!(said("web", done()), "#2 [web] DONE");
        assert_eq!(said("db", done()), "#1 [db] DONE");
    }
}
