//! `attach`: joins our streams to those of a service's own program.

use crate::app::App;
use crate::app::foreground::{Foreground, stay};
use crate::args::keys::parse_keys;
use crate::commands::one;
use crate::error::{CommandError, Kind};

/// Join the streams of a service's own program
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keys that detach when typed in a row
    #[arg(long, value_name = "KEYS", value_parser = parse_keys, default_value = "ctrl-p,ctrl-q")]
    detach_keys: Keys,

    /// To the replica of this number
    #[arg(long, value_name = "N")]
    index: Option<u32>,

    /// Send it no input
    #[arg(long)]
    no_stdin: bool,

    /// Pass signals on to the program; on unless `--sig-proxy=false`
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    sig_proxy: Option<bool>,

    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,
}

/// Bytes, so that clap takes them for one value.
type Keys = std::sync::Arc<[u8]>;

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    let container = one::of_service(app, &target, &args.service, args.index).await?;
    if !container.state.is_up() {
        let message = format!("service `{}` does not run", args.service);
        return Err(CommandError::new(Kind::Failed, message).hint(format!("`start {}` starts it", args.service)));
    }
    let engine = app.engine()?;
    let how = Foreground {
        tty: has_terminal(&engine, &container.id.0).await,
        stdin: !args.no_stdin,
        start: false,
        forward_signals: args.sig_proxy.unwrap_or(true),
        detach_keys: args.detach_keys.to_vec(),
        ..Foreground::default()
    };
    stay(&engine, &container.id, &how).await?.into_result()
}

/// Says whether a container's program has a terminal.
pub(crate) async fn has_terminal(engine: &std::sync::Arc<dyn orchestrator::engine::Engine>, id: &str) -> bool {
    let described = engine.describe_container(id).await.ok();
    described.and_then(|it| it.pointer("/Config/Tty").and_then(serde_json::Value::as_bool)).unwrap_or(false)
}
