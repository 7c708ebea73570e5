//! What long acts report; engines make events of it.

/// Takes reports from any thread; must not block for long.
pub trait Reporter: Send + Sync {
    /// Takes one report.
    fn report(&self, report: Report);
}

/// How far a long act is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Report {
    /// One line about what is done now.
    Note(String),
    /// Bytes of one item (a layer) so far.
    Bytes { item: String, done: u64, total: Option<u64> },
    /// A build step begins; numbers from 1.
    Step { number: u32, total: u32, text: String },
    /// A build step ended.
    StepDone { number: u32, cached: bool },
    /// A line that a build step wrote.
    StepOutput { number: u32, line: String },
}

/// Reports to nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _: Report) {}
}
