//! Events as JSON, one object a line, in Docker Compose's own form: `{"id":"Container shop-web-1","status":"Started"}`.

use orchestrator::event::{Event, Progress};
use serde_json::{Value, json};

use crate::print::{plain, words};

/// Returns the object for `event`, if it is worth one.
pub(crate) fn line(event: &Event) -> Option<String> {
    object(event).map(|object| object.to_string())
}

fn object(event: &Event) -> Option<Value> {
    Some(match event {
        Event::Started { kind, name, act } => {
            json!({ "id": words::subject_of(*kind, name, *act), "status": words::going_on(*act) })
        }
        Event::Done { kind, name, act } => {
            json!({ "id": words::subject_of(*kind, name, *act), "status": words::done(*act) })
        }
        Event::UpToDate { kind, name, state } => json!({ "id": words::subject(*kind, name), "status": state }),
        Event::Failed { kind, name, act, error } => {
            let (id, status) = (words::subject_of(*kind, name, *act), words::failed(*kind, *act));
            json!({ "id": id, "status": status, "text": error.message })
        }
        Event::Progress { subject, progress } => progress_object(subject, progress),
        Event::Warning(text) => json!({ "warning": true, "message": text }),
        Event::Attach(_) | Event::HookOutput { .. } => return None,
    })
}

fn progress_object(subject: &str, progress: &Progress) -> Value {
    match progress {
        Progress::Note(text) => json!({ "id": subject, "text": text }),
        Progress::Bytes { item, done, total } => {
            json!({ "id": item, "parent_id": subject, "status": "Working", "current": done, "total": total })
        }
        Progress::Step { number, total, text } => json!({
            "id": subject, "status": "Building", "text": plain::step(subject, *number, *total, text),
            "current": number, "total": total,
        }),
        Progress::StepDone { number, cached } => {
            json!({ "id": subject, "status": if *cached { "Cached" } else { "Done" }, "current": number })
        }
        Progress::StepOutput { number, line } => {
            json!({ "id": subject, "status": "Building", "text": line, "current": number })
        }
    }
}

#[cfg(test)]
mod tests {
    use orchestrator::event::{Act, ResourceKind};

    use super::*;

    #[test]
    fn an_event_is_an_object_with_id_and_status() {
        let done = Event::Done { kind: ResourceKind::Container, name: "shop-web-1".into(), act: Act::Start };
        assert_eq!(line(&done).unwrap(), r#"{"id":"Container shop-web-1","status":"Started"}"#);
    }
}
