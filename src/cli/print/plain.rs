//! Events a line each, in Docker Compose's own form: ` Container shop-web-1  Started`.

use orchestrator::event::{Event, Progress};

use crate::print::words;

/// Returns the line that `event` is worth, if it is worth one.
pub(crate) fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Started { kind, name, act } => format!(" {}  {}", words::subject(*kind, name), words::going_on(*act)),
        Event::Done { kind, name, act } => format!(" {}  {}", words::subject(*kind, name), words::done(*act)),
        Event::UpToDate { kind, name, state } => format!(" {}  {state}", words::subject(*kind, name)),
        // The reason follows once, as the command's error.
        Event::Failed { kind, name, .. } => format!(" {}  Error", words::subject(*kind, name)),
        Event::Progress { subject, progress } => progress_line(subject, progress)?,
        Event::Warning(text) => format!("warning: {text}"),
        Event::Attach(_) => return None,
    })
}

fn progress_line(subject: &str, progress: &Progress) -> Option<String> {
    Some(match progress {
        Progress::Note(text) => format!(" {subject}  {text}"),
        Progress::Step { number, total, text } => format!("#{number} {}", step(subject, *number, *total, text)),
        Progress::StepDone { number, cached } => format!("#{number} {}", if *cached { "CACHED" } else { "DONE" }),
        Progress::StepOutput { number, line } => format!("#{number} {line}"),
        Progress::Bytes { .. } => return None,
    })
}

/// Returns `[web 2/5] RUN pip install flask`, whether or not the builder has said the bracket itself.
pub(crate) fn step(subject: &str, number: u32, total: u32, text: &str) -> String {
    if text.starts_with('[') { text.to_owned() } else { format!("[{subject} {number}/{total}] {text}") }
}

#[cfg(test)]
mod tests {
    use orchestrator::engine::error::{EngineError, ErrorKind};
    use orchestrator::event::{Act, ResourceKind};

    use super::*;

    fn container(act: Act) -> (Event, Event) {
        let (kind, name) = (ResourceKind::Container, "shop-web-1".to_owned());
        (Event::Started { kind, name: name.clone(), act }, Event::Done { kind, name, act })
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
        let progress = |progress| line(&Event::Progress { subject: "web".into(), progress });
        let step = Progress::Step { number: 2, total: 5, text: "RUN make".into() };
        assert_eq!(progress(step).unwrap(), "#2 [web 2/5] RUN make");
        assert_eq!(progress(Progress::StepOutput { number: 2, line: "cc a.c".into() }).unwrap(), "#2 cc a.c");
        assert_eq!(progress(Progress::StepDone { number: 2, cached: true }).unwrap(), "#2 CACHED");
        assert_eq!(progress(Progress::Bytes { item: "a1".into(), done: 1, total: None }), None);
    }
}
