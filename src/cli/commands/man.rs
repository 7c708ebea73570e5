//! `man`: the manual pages, written from the same words as the help.

use std::path::PathBuf;

use clap::CommandFactory as _;

use crate::app::App;
use crate::commands::Cli;
use crate::error::{CommandError, Kind};
use crate::print::printer::Stream;

/// Print the manual page, or write a page of every command into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  motet man | man -l -                   read it now
  motet man ~/.local/share/man/man1      install all pages")]
pub(crate) struct Args {
    /// The folder
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, app: &App) -> Result<(), CommandError> {
    let mut command = Cli::command();
    command.build();
    let failed =
        |what: &str, error: std::io::Error| CommandError::new(Kind::Failed, format!("cannot write {what}: {error}"));
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(|error| failed("the page", error))?;
        app.printer.write(Stream::Out, &page);
        return Ok(());
    };
    let folder = app.absolute(folder);
    let name = format!("`{}`", folder.display());
    std::fs::create_dir_all(&folder).map_err(|error| failed(&name, error))?;
    clap_mangen::generate_to(command, &folder).map_err(|error| failed(&name, error))
}
