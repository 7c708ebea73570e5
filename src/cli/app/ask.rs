//! Questions of yes or no to the person at the terminal.

use std::io::{BufRead as _, IsTerminal as _};

use crate::app::App;
use crate::print::printer::Stream;

/// Returns whether somebody can answer.
pub(crate) fn can_answer() -> bool {
    std::io::stdin().is_terminal()
}

/// Asks, and returns whether the answer was yes; the end of the input is a no.
pub(crate) fn agrees(app: &App, stream: Stream, question: &str) -> bool {
    app.printer.write(stream, format!("{question} ").as_bytes());
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    if !can_answer() {
        app.printer.write(stream, b"\n");
    }
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "true" | "1")
}
