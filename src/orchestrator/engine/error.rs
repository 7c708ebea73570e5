//! Why an engine could not do something; the executor may branch on the kind, never on the text.

/// What sort of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The thing is not there.
    NotFound,
    /// The thing was there when the plan was made, and somebody else has removed it since.
    Gone,
    /// Something else holds the name, port or address.
    Conflict,
    /// This engine or host can't do it.
    Unsupported,
    /// The engine, registry or network can't be reached.
    Unavailable,
    /// The caller lacks a privilege.
    Denied,
    /// It was tried and did not work.
    Failed,
}

/// What was attempted on what, and why it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineError {
    /// What sort of failure it is.
    pub kind: ErrorKind,
    /// What it was about: "container `shop-web-1`", "host port 5000".
    pub resource: String,
    /// The whole sentence: what was attempted and why it failed.
    pub message: String,
    /// Output that explains it: a failing RUN's last lines, a probe's output.
    pub output: Vec<String>,
    /// Where in a file that only the engine has read (a Dockerfile).
    pub place: Option<Place>,
    /// How to mend it.
    pub hints: Vec<String>,
    /// Id of an image of the state before what failed, where one was asked for.
    pub last_good: Option<String>,
}

/// A line of a file, with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Path for people.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// The line's text.
    pub text: String,
}

impl EngineError {
    /// Makes an error without output, place or hints.
    pub fn new(kind: ErrorKind, resource: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            resource: resource.into(),
            message: message.into(),
            output: Vec::new(),
            place: None,
            hints: Vec::new(),
            last_good: None,
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hints.push(text.into());
        self
    }
}

impl std::fmt::Display for EngineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EngineError {}
