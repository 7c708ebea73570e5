//! `explain`: what the code of a mistake means, with an example that is wrong and one that is right.

use compose::diagnostic::explanation::{self, Explanation};

use crate::app::App;
use crate::error::{CommandError, Kind};

/// Explain the code of a mistake, such as E0107
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code, as it is printed: `E0107`
    #[arg(value_name = "CODE")]
    code: String,
}

pub(crate) fn run(args: &Args, app: &App) -> Result<(), CommandError> {
    let digits = args.code.trim_start_matches(['E', 'e', 'W', 'w']);
    let Some(found) = digits.parse().ok().and_then(explanation::find) else {
        return Err(CommandError::new(Kind::Usage, format!("there is no code `{}`", args.code))
            .hint("a code stands in brackets in front of a message: `error[E0107]: ..`"));
    };
    app.printer.data(&text(found));
    Ok(())
}

fn text(explanation: &Explanation) -> String {
    let mut text = wrapped(explanation.text);
    for (title, example) in [("Wrong:", explanation.wrong), ("Right:", explanation.right)] {
        if !example.is_empty() {
            text.push_str(&format!("\n\n{title}\n"));
            for line in example.lines() {
                let line =
                    line.strip_prefix("#@ ").map_or_else(|| format!("    {line}"), |name| format!("  and {name}:"));
                text.push_str(&format!("\n{}", line.trim_end()));
            }
        }
    }
    text
}

/// Breaks a text into lines of at most 80 columns.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > 0 {
            let breaks = column + 1 + width > 80;
            lines.push(if breaks { '\n' } else { ' ' });
            column = if breaks { 0 } else { column + 1 };
        }
        lines.push_str(word);
        column += width;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_explained_with_both_examples() {
        let text = text(explanation::find(530).unwrap());
        assert!(text.starts_with("A service uses a network"), "{text}");
        assert!(text.contains("\n\nWrong:\n\n    services:\n"), "{text}");
        assert!(text.contains("\n\nRight:\n\n    services:\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
