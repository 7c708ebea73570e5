//! `image build`: an image from a Dockerfile, without a project around it. Docker's flags.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use orchestrator::engine::image::{BuildSecret, BuildSpec};
use orchestrator::event::{Act, Event, Failure, ProgressSink, ResourceKind};
use orchestrator::operations::OperationError;

use crate::app::App;
use crate::args::global::ProgressStyle;
use crate::commands::build::{build_arguments, check_builder};
use crate::commands::builder::debug;
use crate::commands::image::output::Output;
use crate::error::{CommandError, Kind};

/// Build an image from a Dockerfile
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the image, `latest` when it has no tag; may be repeated
    #[arg(short, long, value_name = "NAME[:TAG]")]
    tag: Vec<String>,

    /// The Dockerfile, `-` for the standard input; else `Dockerfile` of the context
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Stage to build; else the last one
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,

    /// Set a build argument; without a value, from the environment
    #[arg(long, value_name = "KEY[=VALUE]")]
    build_arg: Vec<String>,

    /// Set a label of the image
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,

    /// A secret for RUN: `id=ID[,src=FILE|,env=VARIABLE]`
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,

    /// An ssh agent for RUN: `default`, `ID=SOCKET`, or `ID=KEY[,KEY]` for private key files
    #[arg(long, value_name = "AGENT")]
    ssh: Vec<String>,

    /// A tree by a name: `NAME=FOLDER|URL|docker-image://REF|oci-layout://FOLDER`
    #[arg(long, value_name = "NAME=TREE")]
    build_context: Vec<String>,

    /// Platform to build for
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    platform: Vec<String>,

    /// What a Dockerfile may ask for: `network.host`, `security.insecure`
    #[arg(long, value_name = "ENTITLEMENT", value_delimiter = ',')]
    allow: Vec<String>,

    /// Where cached steps are looked for
    #[arg(long, value_name = "CACHE")]
    cache_from: Vec<String>,

    /// Where cached steps are written to
    #[arg(long, value_name = "CACHE")]
    cache_to: Vec<String>,

    /// Do every step again
    #[arg(long)]
    no_cache: bool,

    /// Do every step of these stages again
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    no_cache_filter: Vec<String>,

    /// Pull base images even if they are there
    #[arg(long)]
    pull: bool,

    /// Network of RUN: `default`, `none` or `host`
    #[arg(long, value_name = "MODE")]
    network: Option<String>,

    /// A line of /etc/hosts in RUN
    #[arg(long, value_name = "HOST:ADDRESS")]
    add_host: Vec<String>,

    /// Size of /dev/shm in RUN
    #[arg(long, value_name = "BYTES")]
    shm_size: Option<String>,

    /// A limit of RUN: `nofile=1024:2048`
    #[arg(long, value_name = "LIMIT")]
    ulimit: Vec<String>,

    /// Where what was built goes: `type=docker|oci|tar,dest=FILE`, `type=local,dest=FOLDER`, `type=image|registry|cacheonly`
    #[arg(short, long, value_name = "OUTPUT")]
    output: Vec<String>,

    /// Write what was built, as JSON, into a file
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,

    /// `build`, or `check` for `--check`
    #[arg(long, value_name = "METHOD", value_parser = ["build", "check", "lint"], conflicts_with = "check")]
    call: Option<String>,

    /// When a step fails, open a shell in the state before it
    #[arg(long)]
    debug: bool,

    /// Memory that a step may use
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,

    /// Describe how the image was built: `false`, as the embedded builder attaches nothing
    #[arg(long, value_name = "PROVENANCE", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    provenance: Option<String>,

    /// List what is in the image: `false`, as the embedded builder attaches nothing
    #[arg(long, value_name = "SBOM", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sbom: Option<String>,

    /// Which builder: `default`, as there is one only
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,

    /// What is between is always removed
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    rm: Option<String>,

    /// What is between is always removed
    #[arg(long, hide = true)]
    force_rm: bool,

    /// The context is not sent anywhere
    #[arg(long, hide = true)]
    compress: bool,

    /// Write the image's id into a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,

    /// Send the image to its registry
    #[arg(long)]
    push: bool,

    /// Put the image into the store: that is done anyway
    #[arg(long)]
    load: bool,

    /// Only look for mistakes in the Dockerfile
    #[arg(long)]
    check: bool,

    /// Print nothing but the image's id
    #[arg(short, long)]
    quiet: bool,

    /// Folder or URL; `-` for an archive or a Dockerfile on the standard input
    #[arg(value_name = "CONTEXT")]
    context: String,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    check_builder(args.builder.as_deref())?;
    let (mut spec, _spooled) = spec(&args, app)?;
    let outputs = args.output.iter().map(|text| Output::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let mut push = if args.push { spec.tags.clone() } else { Vec::new() };
    for output in &outputs {
        if let Output::Image { names, push: sent } = output {
            spec.tags.extend(names.iter().filter(|name| !args.tag.contains(name)).cloned());
            push.extend(if !sent {
                Vec::new()
            } else if names.is_empty() {
                args.tag.clone()
            } else {
                names.clone()
            });
        }
    }
    push.sort();
    push.dedup();
    if push.is_empty() && (args.push || outputs.iter().any(|it| matches!(it, Output::Image { push: true, .. }))) {
        return Err(usage("an image without a name can't be sent to a registry: give it one by `--tag`".to_owned()));
    }
    // What is only written out somewhere has no name in the store.
    let kept = args.load || args.push || outputs.is_empty() || outputs.iter().any(Output::keeps);
    if !kept {
        spec.tags.clear();
    }
    if app.settings.dry_run {
        app.printer.data(&format!("build image from {}", spec.context));
        return Ok(());
    }
    let engine = app.engine()?;
    let style = if args.quiet { ProgressStyle::Quiet } else { app.settings.progress };
    let name = spec.tags.first().cloned().unwrap_or_else(|| "image".to_owned());
    let image = app
        .run_in(style, None, async |events| {
            let sink = ProgressSink::to(&events, name.as_str());
            engine.build_image(&spec, &sink).await.map_err(|error| {
                let (kind, act) = (ResourceKind::Image, Act::Build);
                let _ = events.send(Event::Failed { kind, name: name.clone(), act, error: error.clone() });
                OperationError::of(vec![Failure::new(error, None)])
            })
        })
        .await;
    let image = match image {
        Err(error) if args.debug => return Err(debug::open(app, error).await),
        other => other?,
    };
    if spec.check {
        app.printer.data("Check complete, no warnings found.");
        return Ok(());
    }
    if let Some(path) = &args.iidfile {
        std::fs::write(path, &image.id).map_err(|error| unwritable(path, &error))?;
    }
    for output in &outputs {
        let references: Vec<String> = if spec.tags.is_empty() { vec![image.id.clone()] } else { spec.tags.clone() };
        output.write(app, &references).await?;
    }
    let mut sent = None;
    for reference in &push {
        let push = orchestrator::engine::image::PushSpec { reference: reference.clone(), platform: None };
        let digest = app.run_in(style, None, async |events| {
            let sink = ProgressSink::to(&events, reference.as_str());
            let failed = |error| OperationError::of(vec![Failure::new(error, None)]);
            engine.push_image(&push, &sink).await.map_err(failed)
        });
        sent = Some(digest.await?);
    }
    if let Some(path) = &args.metadata_file {
        let text = metadata(&image.id, sent.as_deref(), &spec.tags);
        std::fs::write(path, text).map_err(|error| unwritable(path, &error))?;
    }
    if !kept && image.references.is_empty() {
        engine.untag_image(&image.id, true).await?;
        return Ok(());
    }
    // Without `--quiet` all that is told goes to standard error, as with Docker's builder.
    if args.quiet {
        app.printer.data(&image.id);
    }
    Ok(())
}

/// What buildx writes of a build.
fn metadata(id: &str, sent: Option<&str>, tags: &[String]) -> String {
    let mut text = serde_json::json!({
        "containerimage.config.digest": id,
        "containerimage.digest": sent.unwrap_or(id),
    });
    if !tags.is_empty() {
        text["image.name"] = tags.join(",").into();
    }
    format!("{text:#}\n")
}

fn unwritable(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::new(Kind::Failed, format!("cannot write `{}`: {error}", path.display()))
}

fn usage(message: String) -> CommandError {
    CommandError::new(Kind::Usage, message)
}

/// What was read from the standard input, in a file that is gone with this.
struct Spooled(PathBuf);

impl Drop for Spooled {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn spec(args: &Args, app: &App) -> Result<(BuildSpec, Option<Spooled>), CommandError> {
    let stdin = args.file.as_deref() == Some(Path::new("-"));
    if stdin && args.context == "-" {
        return Err(usage("the Dockerfile and the context can't both come from the standard input".to_owned()));
    }
    let mut spooled = None;
    let context = match args.context.as_str() {
        "-" => {
            let file = spool()?;
            let path = file.0.display().to_string();
            spooled = Some(file);
            path
        }
        text => absolute(text)?,
    };
    let mut dockerfile_inline = None;
    let dockerfile = match &args.file {
        Some(_) if stdin => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| unreadable(&error))?;
            dockerfile_inline = Some(text);
            None
        }
        // As Docker has it: relative to where the command is called.
        Some(path) if Path::new(&context).is_dir() => {
            Some(std::path::absolute(path).map_err(|error| unreadable(&error))?)
        }
        other => other.clone(),
    };
    let mut build_args = build_arguments(&args.build_arg, &app.environment);
    if let Some(epoch) = app.environment.get("SOURCE_DATE_EPOCH") {
        build_args.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert_with(|| Some(epoch.to_owned()));
    }
    let pairs = |texts: &[String], what: &str| {
        let pair = |text: &String| {
            let (key, value) =
                text.split_once('=').ok_or_else(|| usage(format!("`{text}` is no {what}: `KEY=VALUE`")))?;
            Ok((key.to_owned(), value.to_owned()))
        };
        texts.iter().map(pair).collect::<Result<BTreeMap<_, _>, CommandError>>()
    };
    let contexts = pairs(&args.build_context, "named context")?;
    let contexts = contexts.into_iter().map(|(name, tree)| Ok((name, absolute(&tree)?)));
    let hosts = args.add_host.iter().map(|text| {
        let pair = text.split_once('=').or_else(|| text.split_once(':'));
        let (host, address) = pair.ok_or_else(|| usage(format!("`{text}` is no `HOST:ADDRESS`")))?;
        Ok((host.to_owned(), address.to_owned()))
    });
    let limits =
        args.ulimit.iter().map(|text| limit(text).ok_or_else(|| usage(format!("`{text}` is no `NAME=SOFT[:HARD]`"))));
    let size = args.shm_size.as_deref();
    let shm_size =
        size.map(|text| bytes(text).ok_or_else(|| usage(format!("`{text}` is no size: `64m`")))).transpose()?;
    let memory =
        args.memory.as_deref().map(|text| bytes(text).ok_or_else(|| usage(format!("`{text}` is no size: `512m`"))));
    let spec = BuildSpec {
        context,
        dockerfile,
        dockerfile_inline,
        tags: args.tag.clone(),
        args: build_args,
        labels: pairs(&args.label, "label")?,
        target: args.target.clone(),
        no_cache: args.no_cache,
        no_cache_filter: args.no_cache_filter.clone(),
        pull: args.pull,
        network: args.network.clone(),
        extra_hosts: hosts.collect::<Result<_, CommandError>>()?,
        platforms: args.platform.clone(),
        shm_size,
        no_bootstrap: app.settings.no_bootstrap,
        additional_contexts: contexts.collect::<Result<_, CommandError>>()?,
        cache_from: args.cache_from.clone(),
        cache_to: args.cache_to.clone(),
        secrets: args.secret.iter().map(|text| secret(text, app)).collect::<Result<_, _>>()?,
        ssh: args.ssh.clone(),
        entitlements: args.allow.clone(),
        ulimits: limits.collect::<Result<_, CommandError>>()?,
        check: args.check || args.call.as_deref().is_some_and(|method| method != "build"),
        memory: memory.transpose()?,
        provenance: args.provenance.clone(),
        sbom: args.sbom.clone(),
        keep_last_good: args.debug,
        ..BuildSpec::default()
    };
    Ok((spec, spooled))
}

/// Reads the standard input into a file.
fn spool() -> Result<Spooled, CommandError> {
    let spooled = Spooled(std::env::temp_dir().join(format!("motet-context-{}", std::process::id())));
    let copied = File::create(&spooled.0).and_then(|mut file| std::io::copy(&mut std::io::stdin(), &mut file));
    copied.map_err(|error| unreadable(&error))?;
    Ok(spooled)
}

fn unreadable(error: &std::io::Error) -> CommandError {
    CommandError::new(Kind::Failed, format!("cannot read what is to be built: {error}"))
}

/// Makes a path absolute; what has a scheme, or is a repository, stays.
fn absolute(text: &str) -> Result<String, CommandError> {
    if let Some(path) = text.strip_prefix("oci-layout://") {
        return Ok(format!("oci-layout://{}", absolute(path)?));
    }
    let path = Path::new(text);
    if !path.exists() && (text.contains("://") || text.starts_with("git@") || text.starts_with("github.com/")) {
        return Ok(text.to_owned());
    }
    std::path::absolute(path).map(|path| path.display().to_string()).map_err(|error| unreadable(&error))
}

/// Reads `id=ID`, and where its content is: a file, a variable, or what of the two bears its name.
fn secret(text: &str, app: &App) -> Result<(String, BuildSecret), CommandError> {
    let (mut id, mut file, mut variable) = (None, None, None);
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("id", value)) => id = Some(value),
            Some(("src" | "source", value)) => file = Some(value),
            Some(("env", value)) => variable = Some(value),
            Some(("type", "file")) => {}
            Some(("type", "env")) => variable = variable.or(Some("")),
            _ => {
                return Err(usage(format!(
                    "unexpected `{field}` of secret `{text}`: `id=ID,src=FILE` or `id=ID,env=VARIABLE`"
                )));
            }
        }
    }
    let id = id.ok_or_else(|| usage(format!("secret `{text}` has no id")))?;
    let variable = match variable {
        Some("") => Some(file.take().unwrap_or(id)),
        Some(name) => Some(name),
        None if file.is_none() && app.environment.get(id).is_some() => Some(id),
        None => None,
    };
    let content = match variable {
        Some(name) => BuildSecret::Value(app.environment.get(name).unwrap_or_default().as_bytes().to_vec()),
        None => {
            let path = std::path::absolute(file.unwrap_or(id)).map_err(|error| unreadable(&error))?;
            if !path.is_file() {
                return Err(usage(format!("secret `{id}`: there is no file `{}`", path.display())));
            }
            BuildSecret::File(path)
        }
    };
    Ok((id.to_owned(), content))
}

fn limit(text: &str) -> Option<(String, (i64, i64))> {
    let (name, range) = text.split_once('=')?;
    let (soft, hard) = range.split_once(':').unwrap_or((range, range));
    Some((name.to_owned(), (soft.parse().ok()?, hard.parse().ok()?)))
}

/// Reads `64m`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_shl(shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_limits_are_read() {
        assert_eq!((bytes("64m"), bytes("1gb"), bytes("x")), (Some(64 << 20), Some(1 << 30), None));
        assert_eq!(limit("nofile=1024:2048"), Some(("nofile".to_owned(), (1024, 2048))));
    }

    #[test]
    fn what_has_a_scheme_is_no_path() {
        assert_eq!(absolute("https://host/app.git").unwrap(), "https://host/app.git");
        assert!(absolute("app").unwrap().starts_with('/'));
    }
}
