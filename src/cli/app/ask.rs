//! Questions of yes or no to the person at the terminal.

use std::io::{BufRead as _, IsTerminal as _};

use crate::app::App;
use crate::print::printer::Stream;

/// Returns whether somebody can answer.
pub(crate) fn can_answer() -> bool {
    std::io::stdin().is_terminal()
}

/// Returns the next line of the input, whoever writes it; nothing at its end.
pub(crate) fn answer() -> String {
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    answer.trim().to_owned()
}

/// Asks, and returns whether the answer was yes; the end of the input is a no.
pub(crate) fn agrees(app: &App, stream: Stream, question: &str) -> bool {
    app.printer.write(stream, format!("{question} ").as_bytes());
    let answer = answer();
    if !can_answer() {
        app.printer.write(stream, b"\n");
    }
    matches!(answer.to_lowercase().as_str(), "y" | "yes" | "true" | "1")
}
