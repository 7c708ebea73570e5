//! `image save`: images into an archive, for `load` here, in Docker, podman or skopeo.

use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use crate::app::App;
use crate::error::{CommandError, Kind};

/// Write images to an archive
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive to write; else the standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Names or ids; a name without a tag means all its tags
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    if app.settings.dry_run {
        app.printer.data(&format!("save images `{}`", args.images.join("`, `")));
        return Ok(());
    }
    let engine = app.engine()?;
    let Some(path) = args.output else {
        if std::io::stdout().is_terminal() {
            let message = "an archive can't be written to a terminal";
            return Err(
                CommandError::new(Kind::Usage, message).hint("name a file: `-o FILE`, or send it on: `| gzip >FILE`")
            );
        }
        let failed = |error| CommandError::new(Kind::Failed, format!("cannot write to the standard output: {error}"));
        let out = std::io::stdout().as_fd().try_clone_to_owned().map_err(failed)?;
        return Ok(engine.save_images(&args.images, out).await?);
    };
    // Aside and renamed: a failed save leaves what was there.
    let mut aside = path.clone().into_os_string();
    aside.push(format!(".{}.part", std::process::id()));
    let aside = PathBuf::from(aside);
    let failed = |error| CommandError::new(Kind::Failed, format!("cannot write `{}`: {error}", path.display()));
    let file = File::create(&aside).map_err(failed)?;
    let saved = engine.save_images(&args.images, file.into()).await.map_err(CommandError::from);
    let done = saved.and_then(|()| std::fs::rename(&aside, &path).map_err(failed));
    if done.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    done
}
