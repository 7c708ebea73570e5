//! `image import`: a tar of a whole file system becomes an image.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::app::App;
use crate::error::{CommandError, Kind};

/// Make an image from a tar of a file system
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A Dockerfile instruction for the image's config; may be given more than once
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,

    /// The archive, plain or compressed; `-` for the standard input
    #[arg(value_name = "FILE|-")]
    file: String,

    /// The image's name
    #[arg(value_name = "NAME[:TAG]")]
    name: Option<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    if args.file.contains("://") {
        let message = format!("`{}` is an address, and import reads files", args.file);
        return Err(
            CommandError::new(Kind::Usage, message).hint(format!("curl -L {} | motet image import -", args.file))
        );
    }
    if app.settings.dry_run {
        app.printer.data(&format!("import an image from `{}`", args.file));
        return Ok(());
    }
    let failed =
        |error: std::io::Error| CommandError::new(Kind::Failed, format!("cannot read `{}`: {error}", args.file));
    let archive: OwnedFd = match &*args.file {
        "-" => std::io::stdin().as_fd().try_clone_to_owned().map_err(failed)?,
        path => File::open(path).map_err(failed)?.into(),
    };
    let id = app.engine()?.import_image(archive, args.name.as_deref(), &args.change).await?;
    app.printer.data(&id);
    Ok(())
}
