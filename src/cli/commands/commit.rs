//! `commit`: an image of what a service's container has become.

use orchestrator::engine::container::CommitSpec;
use orchestrator::event::Act;

use crate::app::App;
use crate::commands::one;
use crate::error::CommandError;

/// Make an image of a service's container
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) making: Making,

    /// Of the replica of this number
    #[arg(long, value_name = "N")]
    index: Option<u32>,

    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,

    /// Name of the image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    reference: Option<String>,
}

/// What the image gets beside the files.
#[derive(Debug, clap::Args)]
pub(crate) struct Making {
    /// Who makes it
    #[arg(short, long, value_name = "AUTHOR")]
    author: Option<String>,

    /// A Dockerfile instruction to apply: `CMD ["x"]`, `ENV A=1`
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,

    /// Why it is made
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,

    /// Freeze the container meanwhile; on unless `--pause=false`
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pause: Option<bool>,
}

impl Making {
    /// Returns what the engine is told.
    pub(crate) fn spec(self, reference: Option<String>) -> CommitSpec {
        CommitSpec {
            reference,
            author: self.author,
            message: self.message,
            changes: self.change,
            pause: self.pause.unwrap_or(true),
        }
    }
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    let container = one::of_service(app, &target, &args.service, args.index).await?;
    let engine = app.engine()?;
    let spec = args.making.spec(args.reference);
    if app.settings.dry_run {
        return app
            .run(None, async |events| one::told(Act::Commit, &container.name, &events, async { Ok(()) }).await)
            .await;
    }
    let committing = async |events| {
        one::told(Act::Commit, &container.name, &events, engine.commit_container(&container.id, &spec)).await
    };
    let id = app.run(target.loaded.as_ref(), committing).await?;
    app.printer.data(&id);
    Ok(())
}
