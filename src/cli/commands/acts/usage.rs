//! What containers use, as rates and parts made of two counts: the rows of `stats`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use orchestrator::engine::Engine;
use orchestrator::engine::container::{ContainerId, ContainerSummary};
use orchestrator::engine::statistics::Statistics;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval};

use crate::app::{App, Interrupts};
use crate::commands::acts::rows;
use crate::error::{CommandError, Kind};
use crate::print::printer::Stream;
use crate::print::progress::size;
use crate::print::template::Format;

/// Time between two pictures.
const FRAME: Duration = Duration::from_secs(1);

/// The flags of `stats`.
#[derive(Debug, clap::Args)]
pub(crate) struct Usage {
    /// Stopped containers too
    #[arg(short, long)]
    all: bool,

    /// `table`, `json`, or a template such as `{{.Name}}: {{.CPUPerc}}`
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse, hide_default_value = true)]
    format: Format,

    /// Print it once
    #[arg(long)]
    no_stream: bool,

    /// Print whole ids
    #[arg(long)]
    no_trunc: bool,
}

/// The last two counts of a container.
#[derive(Debug, Default, Clone)]
struct Counts {
    before: Option<Statistics>,
    now: Option<Statistics>,
}

/// Shows what `containers` use until the last one has ended or the person says stop.
pub(crate) async fn show(
    app: &App,
    mut containers: Vec<ContainerSummary>,
    options: &Usage,
) -> Result<(), CommandError> {
    if !options.all {
        containers.retain(|container| container.state.is_up());
    }
    let engine = app.engine()?;
    let (say, mut heard) = unbounded_channel();
    let mut counts: BTreeMap<ContainerId, Counts> = BTreeMap::new();
    let mut counted = 0;
    for container in &containers {
        counts.insert(container.id.clone(), Counts::default());
        if container.state.is_up() {
            counted += 1;
            // It ends with the channel, or with the container.
            tokio::spawn(count(engine.clone(), container.id.clone(), say.clone()));
        }
    }
    drop(say);
    let mut interrupts = Interrupts::listen()?;
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    frames.reset();
    loop {
        tokio::select! {
            said = heard.recv() => match said {
                Some((id, Ok(now))) => {
                    let counts = counts.entry(id).or_default();
                    counts.before = counts.now.replace(now);
                }
                Some((_, Err(error))) => return Err(error),
                None => break,
            },
            _ = frames.tick(), if !options.no_stream => draw(app, &containers, &counts, options)?,
            () = interrupts.next() => return Err(CommandError::silent(Kind::Interrupted)),
        }
        let complete = counts.values().filter(|counts| counts.before.is_some()).count();
        if app.printer.is_closed() || (options.no_stream && complete >= counted) {
            break;
        }
    }
    if options.no_stream || counted == 0 {
        draw(app, &containers, &counts, options)?;
    }
    Ok(())
}

type Said = (ContainerId, Result<Statistics, CommandError>);

async fn count(engine: Arc<dyn Engine>, id: ContainerId, say: UnboundedSender<Said>) {
    match engine.container_statistics(&id).await {
        Ok(mut counts) => {
            while let Some(now) = counts.recv().await {
                if say.send((id.clone(), Ok(now))).is_err() {
                    return;
                }
            }
        }
        Err(error) => drop(say.send((id, Err(error.into())))),
    }
}

fn draw(
    app: &App,
    containers: &[ContainerSummary],
    counts: &BTreeMap<ContainerId, Counts>,
    options: &Usage,
) -> Result<(), CommandError> {
    let row = |container: &ContainerSummary| row(container, counts.get(&container.id), options.no_trunc);
    let rows: Vec<Value> = containers.iter().map(row).collect();
    if !options.no_stream && app.printer.is_terminal(Stream::Out) && app.printer.colour(Stream::Out) {
        // Home, and what is below goes.
        app.printer.write(Stream::Out, b"\x1b[H\x1b[J");
    }
    const COLUMNS: [(&str, &str); 8] = [
        ("CONTAINER ID", "ID"),
        ("NAME", "Name"),
        ("CPU %", "CPUPerc"),
        ("MEM USAGE / LIMIT", "MemUsage"),
        ("MEM %", "MemPerc"),
        ("NET I/O", "NetIO"),
        ("BLOCK I/O", "BlockIO"),
        ("PIDS", "PIDs"),
    ];
    rows::print(app, &options.format, &rows, &COLUMNS, rows::JsonShape::Lines)
}

/// Returns the row with the fields that Docker has, in its order.
fn row(container: &ContainerSummary, counts: Option<&Counts>, whole: bool) -> Value {
    let id: String = if whole { container.id.0.clone() } else { container.id.0.chars().take(12).collect() };
    let now = counts.and_then(|counts| counts.now.as_ref());
    let text = |text: Option<String>| text.unwrap_or_else(|| "--".to_owned());
    let pair = |(a, b): (u64, u64)| format!("{} / {}", size(a), size(b));
    json!({
        "BlockIO": text(now.map(|now| pair(now.block))),
        "CPUPerc": text(now.map(|_| format!("{:.2}%", processor_percent(counts)))),
        "Container": container.id.0.chars().take(12).collect::<String>(),
        "ID": id,
        "MemPerc": text(now.map(|now| format!("{:.2}%", percent(now.memory, now.memory_limit)))),
        "MemUsage": text(now.map(|now| format!("{} / {}", binary_size(now.memory), binary_size(now.memory_limit)))),
        "Name": container.name,
        "NetIO": text(now.map(|now| pair(now.network))),
        "PIDs": text(now.map(|now| now.processes.to_string())),
    })
}

/// Returns the part of one processor that it used between two counts, in percent.
fn processor_percent(counts: Option<&Counts>) -> f64 {
    let Some(Counts { before: Some(before), now: Some(now) }) = counts else { return 0.0 };
    let used = now.cpu_nanos.saturating_sub(before.cpu_nanos);
    let all = now.system_nanos.saturating_sub(before.system_nanos);
    percent(used, all) * f64::from(now.processors)
}

#[expect(clippy::cast_precision_loss, reason = "a percentage has two digits")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Returns bytes in powers of 1024: `1.5GiB`.
#[expect(clippy::cast_precision_loss, reason = "it is rounded to four digits")]
fn binary_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    // Four significant digits, as Docker prints them.
    let digits = match value {
        value if value >= 1000.0 => 0,
        value if value >= 100.0 => 1,
        value if value >= 10.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use crate::commands::ps::tests::container;

    use super::*;

    fn count(cpu_nanos: u64, system_nanos: u64) -> Statistics {
        Statistics {
            read: UNIX_EPOCH,
            cpu_nanos,
            system_nanos,
            processors: 4,
            memory: 3 << 20,
            memory_limit: 12 << 20,
            network: (1_000, 0),
            block: (0, 0),
            processes: 2,
        }
    }

    #[test]
    fn the_processor_is_a_rate_between_two_counts_and_a_part_of_one_processor() {
        let counts = Counts { before: Some(count(100, 1000)), now: Some(count(600, 3000)) };
        let row = row(&container(&[]), Some(&counts), false);
        assert_eq!((&row["CPUPerc"], &row["MemPerc"]), (&json!("100.00%"), &json!("25.00%")));
        assert_eq!((&row["MemUsage"], &row["NetIO"]), (&json!("3MiB / 12MiB"), &json!("1.00kB / 0B")));
    }

    #[test]
    fn what_is_not_counted_is_dashes() {
        assert_eq!(row(&container(&[]), None, false)["CPUPerc"], "--");
        assert_eq!(binary_size(1_610_612_736), "1.5GiB");
    }
}
