//! `--debug` of builds: a shell in the state before the step that failed.

use std::io::IsTerminal as _;

use clap::Parser as _;

use crate::app::App;
use crate::commands::Cli;
use crate::error::{CommandError, Kind, Source};
use crate::print::card;

/// After a build that failed: tells why, opens a shell in what there was before, and takes that away again.
pub(crate) async fn open(app: &App, error: CommandError) -> CommandError {
    let Some(image) = last_good(&error) else { return error };
    app.printer.note(card::render(&error, &app.look()).trim_end());
    app.printer.note("A shell in the state before the step that failed: `exit` ends it, and nothing of it is kept.");
    let streams = if std::io::stdin().is_terminal() { "-it" } else { "-i" };
    let line = ["motet", "container", "run", "--rm", streams, "--entrypoint", "/bin/sh", &image];
    let ended = match Cli::try_parse_from(line) {
        Ok(cli) => Box::pin(cli.verb.run(app)).await,
        Err(error) => Err(CommandError::new(Kind::Usage, error.to_string())),
    };
    // What the shell's last command returned is not about the build.
    if let Err(trouble) = ended
        && !matches!(trouble.source, Source::Said)
    {
        app.printer.note(card::render(&trouble, &app.look()).trim_end());
    }
    if let Ok(engine) = app.engine()
        && let Err(error) = engine.untag_image(&image, true).await
    {
        app.printer.warn(&error.message);
    }
    CommandError::silent(error.kind)
}

fn last_good(error: &CommandError) -> Option<String> {
    match &error.source {
        Source::Operation(operation, _) => operation.failures.iter().find_map(|it| it.error.last_good.clone()),
        Source::Message(_) | Source::Diagnostics(_, _) | Source::Said => None,
    }
}
