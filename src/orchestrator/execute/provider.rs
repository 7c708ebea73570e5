//! Has a program provide a service: `PROGRAM compose --project-name=P up --KEY=VALUE SERVICE`, which tells in JSON what
//! it does and which variables the dependants get. The protocol is that of Docker Compose (its docs/extension.md).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::desired::DesiredProvider;
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::{Event, Progress};
use crate::execute::programs;
use crate::plan::ProviderCall;

/// Longest that is waited for what a program that has ended wrote to its standard error.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Variables that a program has set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables {
    /// Dependants get them with the name of the service in front.
    pub prefixed: BTreeMap<String, String>,
    /// Dependants get them as they are.
    pub raw: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
}

/// What a program says of its options.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    description: String,
    up: CallMetadata,
    down: CallMetadata,
    stop: Option<CallMetadata>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
struct CallMetadata {
    parameters: Option<Vec<Parameter>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
struct Parameter {
    name: String,
    required: bool,
}

/// Calls the program; returns the variables that it set.
pub(crate) async fn call(
    provider: &DesiredProvider,
    which: ProviderCall,
    events: &UnboundedSender<Event>,
) -> Result<Variables, EngineError> {
    let program = find(provider)?;
    let metadata = metadata(&program, &provider.environment).await;
    let Some(arguments) = arguments(provider, which, &metadata)? else { return Ok(Variables::default()) };
    let failed = |why: String| {
        let act = match which {
            ProviderCall::Up => "create",
            ProviderCall::Stop => "stop",
            ProviderCall::Down => "remove",
        };
        let message = format!("provider `{}` could not {act} service `{}`: {why}", provider.kind, provider.service);
        EngineError::new(ErrorKind::Failed, format!("service `{}`", provider.service), message)
    };
    let mut command = programs::command(&program, &provider.environment);
    command.args(arguments).stdin(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(format!("{} does not run: {error}", program.display())))?;
    let (Some(stdin), Some(mut stderr)) = (child.stdin.take(), child.stderr.take()) else {
        return Err(failed("it has no streams".to_owned()));
    };
    let words = Arc::new(Mutex::new(Vec::new()));
    let reading = tokio::spawn({
        let words = Arc::clone(&words);
        async move {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut bytes).await {
                words.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..read]);
            }
        }
    });
    let last_words = async || {
        // Something that it has started may hold the pipe open after it: its own words are there by then.
        let _ = tokio::time::timeout(LAST_WORDS, reading).await;
        programs::tail(&words.lock().unwrap_or_else(PoisonError::into_inner))
    };
    let (ask, asked) = unbounded_channel();
    let answers = tokio::spawn(answer(stdin, asked, format!("{}\n", provider.config)));
    let heard = listen(&mut child, provider, ask, events).await;
    let variables = match heard {
        Ok(variables) => variables,
        Err(why) => {
            // It may go on after it has given up: nobody listens to it any more.
            let _ = child.kill().await;
            answers.abort();
            let mut error = failed(why);
            error.output = last_words().await;
            return Err(error);
        }
    };
    let status = child.wait().await.map_err(|error| failed(error.to_string()))?;
    answers.abort();
    if status.success() {
        return Ok(variables);
    }
    let mut error = failed(format!("it ended with {status}"));
    error.output = last_words().await;
    Err(error)
}

/// Finds the program: a plug-in of the docker command, else one in `PATH`.
fn find(provider: &DesiredProvider) -> Result<PathBuf, EngineError> {
    let (kind, service) = (&provider.kind, &provider.service);
    let resource = format!("service `{service}`");
    if kind == "compose" {
        let message = format!("service `{service}` can't be provided by `compose`: it is what asks");
        return Err(EngineError::new(ErrorKind::Unsupported, resource, message));
    }
    let environment = &provider.environment;
    programs::plugin(kind, environment).or_else(|| programs::in_path(kind, environment)).ok_or_else(|| {
        let message = format!("service `{service}` is provided by `{kind}`, and there is no such program");
        EngineError::new(ErrorKind::NotFound, resource, message)
            .hint(format!("put `{kind}` into a folder of PATH, or `docker-{kind}` among the docker command's plug-ins"))
    })
}

/// Asks the program what it takes; one that does not say takes everything.
async fn metadata(program: &Path, environment: &BTreeMap<String, String>) -> Metadata {
    let output = programs::command(program, environment).args(["compose", "metadata"]).output().await;
    match output {
        Ok(output) if output.status.success() => serde_json::from_slice(&output.stdout).unwrap_or_default(),
        Ok(_) | Err(_) => Metadata::default(),
    }
}

/// Returns the command line; `None` if the program does not do this.
fn arguments(
    provider: &DesiredProvider,
    which: ProviderCall,
    metadata: &Metadata,
) -> Result<Option<Vec<String>>, EngineError> {
    let is_silent =
        metadata.description.is_empty() && metadata.up.parameters.is_none() && metadata.down.parameters.is_none();
    let (word, call) = match which {
        ProviderCall::Up => ("up", &metadata.up),
        ProviderCall::Down => ("down", &metadata.down),
        ProviderCall::Stop => match &metadata.stop {
            Some(call) => ("stop", call),
            None => return Ok(None),
        },
    };
    let parameters = call.parameters.as_deref().unwrap_or_default();
    let missing = parameters.iter().find(|known| known.required && !provider.options.contains_key(&known.name));
    if let Some(missing) = missing {
        let (kind, service) = (&provider.kind, &provider.service);
        let message = format!("provider `{kind}` of service `{service}` needs the option `{}`", missing.name);
        let error = EngineError::new(ErrorKind::Failed, format!("service `{service}`"), message);
        return Err(error.hint(format!("write it below `options` of `services.{service}.provider`")));
    }
    let mut arguments = vec!["compose".to_owned(), format!("--project-name={}", provider.project), word.to_owned()];
    for (key, values) in &provider.options {
        if is_silent || parameters.iter().any(|known| known.name == *key) {
            arguments.extend(values.iter().map(|value| format!("--{key}={value}")));
        }
    }
    arguments.push(provider.service.clone());
    Ok(Some(arguments))
}

/// Writes the answer as often as it is asked for; ends the program's input with the last asker.
async fn answer(mut stdin: ChildStdin, mut asked: UnboundedReceiver<()>, config: String) {
    while asked.recv().await.is_some() {
        if stdin.write_all(config.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads what the program says until it has no more to say; else why it failed.
async fn listen(
    child: &mut Child,
    provider: &DesiredProvider,
    ask: UnboundedSender<()>,
    events: &UnboundedSender<Event>,
) -> Result<Variables, String> {
    let Some(stdout) = child.stdout.take() else { return Err("it has no output".to_owned()) };
    let mut stdout = BufReader::new(stdout);
    let mut variables = Variables::default();
    let mut text = String::new();
    loop {
        let read = stdout.read_line(&mut text).await.map_err(|error| error.to_string())?;
        let mut messages = serde_json::Deserializer::from_str(&text).into_iter::<Message>();
        for message in messages.by_ref() {
            match message {
                Ok(message) => take(message, provider, &mut variables, &ask, events)?,
                // A message may go on in the next line.
                Err(error) if error.is_eof() && read > 0 => break,
                Err(_) => return Err(format!("it wrote what is no message: {}", text.trim_end())),
            }
        }
        let done = messages.byte_offset();
        text.drain(..done);
        if read == 0 {
            return Ok(variables);
        }
    }
}

fn take(
    message: Message,
    provider: &DesiredProvider,
    variables: &mut Variables,
    ask: &UnboundedSender<()>,
    events: &UnboundedSender<Event>,
) -> Result<(), String> {
    let text = message.message;
    let pair = |text: &str| match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(format!("it sets a variable without `=`: {text}")),
    };
    match message.kind.as_str() {
        "error" => return Err(text),
        "info" => {
            let line = text.lines().next().unwrap_or_default().to_owned();
            let _ = events.send(Event::Progress { subject: provider.service.clone(), progress: Progress::Note(line) });
        }
        "setenv" => variables.prefixed.extend([pair(&text)?]),
        "rawsetenv" => variables.raw.extend([pair(&text)?]),
        "get-service-config" => drop(ask.send(())),
        "debug" => tracing::debug!(service = provider.service, "{text}"),
        other => return Err(format!("it wrote a message of an unknown type: {other}")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> DesiredProvider {
        DesiredProvider {
            service: "db".into(),
            project: "shop".into(),
            kind: "cloud".into(),
            options: BTreeMap::from([("size".into(), vec!["10".into()]), ("tag".into(), vec!["a".into(), "b".into()])]),
            config: "{}".into(),
            environment: BTreeMap::new(),
            dependants: std::collections::BTreeSet::new(),
            depends_on: std::collections::BTreeSet::new(),
        }
    }

    fn line(which: ProviderCall, metadata: &str) -> Result<Option<String>, String> {
        let metadata = serde_json::from_str(metadata).unwrap();
        let arguments = arguments(&provider(), which, &metadata).map_err(|error| error.message)?;
        Ok(arguments.map(|arguments| arguments.join(" ")))
    }

    #[test]
    fn a_program_that_says_nothing_of_its_options_gets_all() {
        let all = "compose --project-name=shop up --size=10 --tag=a --tag=b db";
        assert_eq!(line(ProviderCall::Up, "{}").unwrap().unwrap(), all);
        assert_eq!(line(ProviderCall::Stop, "{}").unwrap(), None);
    }

    #[test]
    fn options_that_a_program_does_not_know_are_left_out_and_required_ones_must_be_there() {
        let metadata = r#"{"description":"x","up":{"parameters":[{"name":"size"}]},
            "down":{"parameters":[{"name":"force","required":true}]},"stop":{}}"#;
        assert_eq!(line(ProviderCall::Up, metadata).unwrap().unwrap(), "compose --project-name=shop up --size=10 db");
        assert_eq!(line(ProviderCall::Stop, metadata).unwrap().unwrap(), "compose --project-name=shop stop db");
        let error = line(ProviderCall::Down, metadata).unwrap_err();
        assert_eq!(error, "provider `cloud` of service `db` needs the option `force`");
    }
}
