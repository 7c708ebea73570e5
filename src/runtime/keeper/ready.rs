//! What a keeper tells the command that started it, over a pipe, once: its container runs, or why not.

use serde::{Deserialize, Serialize};

/// The one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ready {
    /// The program has been exec'd.
    Running,
    /// It could not be started.
    Failed(StartFailure),
}

/// Why a container could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StartFailure {
    /// What sort of failure it is.
    pub kind: FailureKind,
    /// The whole sentence.
    pub message: String,
    /// 125, 126 or 127, as for a program that a shell can't run.
    pub exit_code: i32,
    /// How to mend it.
    pub hints: Vec<String>,
}

/// What sort of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// A host port or address is taken.
    Conflict,
    /// This host can't do it.
    Unsupported,
    /// The caller lacks a privilege.
    Denied,
    /// It was tried and did not work.
    Failed,
}

impl StartFailure {
    /// Makes the failure from an error, with all that lies behind it in one sentence.
    pub fn of(act: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let text = sentence(error);
        let message = if act.is_empty() { text } else { format!("{act}: {text}") };
        let kind = if is_denied(error) { FailureKind::Denied } else { FailureKind::Failed };
        Self { kind, message, exit_code: 125, hints: Vec::new() }
    }
}

/// Joins an error and its causes; a cause that its error has named already is not said twice.
pub fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

/// Says whether the kernel refused for want of a privilege.
pub fn is_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::PermissionDenied;
        }
        next = cause.source();
    }
    false
}
