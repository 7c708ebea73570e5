//! A mistake in the user's file, as a value: code, message, span, help.

pub mod explanation;
mod file_codes;
mod merge_codes;
mod rule_codes;
pub mod similar;

use crate::source::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth saying; the project loads.
    Warning,
    /// The project does not load.
    Error,
}

/// A stable number for each kind of mistake, printed as `E0107`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

/// A second place that explains the first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is said there.
    pub text: String,
}

/// One mistake or warning.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable number of this kind of mistake.
    pub code: Code,
    /// One line: lower case, no full stop, names in backticks.
    pub message: String,
    /// Where in the user's file, when a place is known.
    pub span: Option<Span>,
    /// What is said under the caret; empty for a bare caret.
    pub label: String,
    /// Other places that explain it.
    pub related: Vec<Label>,
    /// How to mend it, one hint a line.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// Makes an error.
    pub fn error(code: u16, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// Makes a warning.
    pub fn warning(code: u16, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    fn new(severity: Severity, code: u16, message: impl Into<String>) -> Self {
        Self {
            severity,
            code: Code(code),
            message: message.into(),
            span: None,
            label: String::new(),
            related: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Gives it a place.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Says `text` under the caret.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push(Label { span, text: text.into() });
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }
}
