//! `image`: the images of the store, with Docker's verbs and flags.

pub(crate) mod build;
pub(crate) mod fetch;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod list;
mod output;
pub(crate) mod prune;
pub(crate) mod remove;
pub(crate) mod save;
pub(crate) mod send;

use clap::Subcommand;

use crate::app::App;
use crate::commands::load;
use crate::error::CommandError;

/// Manage images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build an image from a Dockerfile
    Build(Box<build::Args>),
    /// List images
    #[command(alias = "list")]
    Ls(list::Args),
    /// Pull an image from its registry
    Pull(fetch::Args),
    /// Push an image to its registry
    Push(send::Args),
    /// Give an image one more name
    Tag(TagArgs),
    /// Remove images
    #[command(aliases = ["remove", "rmi"])]
    Rm(remove::Args),
    /// Print all that is known of images
    Inspect(inspect::Args),
    /// Show what an image was made by
    History(history::Args),
    /// Write images to an archive
    Save(save::Args),
    /// Load images from an archive
    Load(load::Args),
    /// Make an image from a tar of a file system
    Import(import::Args),
    /// Remove images that nothing uses
    Prune(prune::Args),
}

/// Give an image one more name
#[derive(Debug, clap::Args)]
pub(crate) struct TagArgs {
    /// Name or id
    #[arg(value_name = "IMAGE")]
    source: String,
    /// The new name, `latest` when it has no tag
    #[arg(value_name = "NAME[:TAG]")]
    target: String,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    match args.verb {
        Verb::Build(args) => build::run(*args, app).await,
        Verb::Ls(args) => list::run(args, app).await,
        Verb::Pull(args) => fetch::run(args, app).await,
        Verb::Push(args) => send::run(args, app).await,
        Verb::Tag(args) => Ok(app.engine()?.tag_image(&args.source, &args.target).await?),
        Verb::Rm(args) => remove::run(args, app).await,
        Verb::Inspect(args) => inspect::run(args, app).await,
        Verb::History(args) => history::run(args, app).await,
        Verb::Save(args) => save::run(args, app).await,
        Verb::Load(args) => load::run(args, app).await,
        Verb::Import(args) => import::run(args, app).await,
        Verb::Prune(args) => prune::run(args, app).await,
    }
}

/// Splits `redis:7` into name and tag; a port of the registry is no tag. What has a digest has no tag.
pub(crate) fn split(reference: &str) -> (&str, &str) {
    if let Some((name, _)) = reference.split_once('@') {
        return (name, "<none>");
    }
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, "latest"),
    }
}

/// Returns twelve digits of an id, or all of it.
pub(crate) fn short(id: &str, whole: bool) -> String {
    if whole { id.to_owned() } else { id.trim_start_matches("sha256:").chars().take(12).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_what_follows_the_last_colon_of_the_name() {
        assert_eq!(split("redis:7"), ("redis", "7"));
        assert_eq!(split("localhost:5000/web"), ("localhost:5000/web", "latest"));
        assert_eq!(split("a@sha256:00"), ("a", "<none>"));
        assert_eq!(short("sha256:0123456789abcdef", false), "0123456789ab");
    }
}
