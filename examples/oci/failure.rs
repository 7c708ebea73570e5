//! Why a command failed: one line for the person, or the program, that called us.

use std::error::Error;
use std::fmt;

/// A failure in words.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failure {}

/// Makes a failure of our own.
pub(crate) fn failed(message: impl Into<String>) -> Failure {
    Failure(message.into())
}

/// Returns the making of a failure with its causes.
pub(crate) fn cannot<E: Error>(act: impl Into<String>) -> impl FnOnce(E) -> Failure {
    let act = act.into();
    move |error| {
        let mut text = format!("cannot {act}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Failure(text)
    }
}
