//! Has the docker command's model runner make a model ready, as Docker Compose does: `pull` what is not there,
//! `configure` it, and ask where it answers.

use std::path::Path;

use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use crate::desired::DesiredModel;
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::{Event, Progress};
use crate::execute::programs;

/// First version of the runner that takes flags for the inference engine.
const WITH_FLAGS: [u64; 3] = [1, 0, 6];

/// Makes the model ready; returns the address that it answers at.
pub(crate) async fn prepare(model: &DesiredModel, events: &UnboundedSender<Event>) -> Result<String, EngineError> {
    let Some(runner) = programs::plugin("model", &model.environment) else {
        let message = format!("model `{}` needs the docker command's model runner, which is not installed", model.key);
        return Err(EngineError::new(ErrorKind::Unsupported, format!("model `{}`", model.key), message)
            .hint("install the plug-in `docker-model`: Docker Desktop has it, Linux has `docker-model-plugin`"));
    };
    let note = |text: &str| {
        let progress = Progress::Note(text.to_owned());
        let _ = events.send(Event::Progress { subject: model.name.clone(), progress });
    };
    if !is_there(&runner, model).await? {
        note("Pulling");
        ask(&runner, model, &["pull", &model.model]).await?;
    }
    let size = model.context_size.filter(|size| *size > 0).map(|size| size.to_string());
    let mut arguments = vec!["configure"];
    if let Some(size) = &size {
        arguments.extend(["--context-size", size]);
    }
    arguments.push(&model.model);
    if !model.runtime_flags.is_empty() && takes_flags(&runner, model).await {
        arguments.push("--");
        arguments.extend(model.runtime_flags.iter().map(String::as_str));
    }
    ask(&runner, model, &arguments).await?;
    let status = ask(&runner, model, &["status", "--json"]).await?;
    let status: Value = serde_json::from_slice(&status).unwrap_or_default();
    match status["endpoint"].as_str() {
        Some(endpoint) => Ok(endpoint.to_owned()),
        None => Err(failed(model, "the model runner does not say where it answers")),
    }
}

async fn is_there(runner: &Path, model: &DesiredModel) -> Result<bool, EngineError> {
    let list = ask(runner, model, &["ls", "--json"]).await?;
    let list: Value = serde_json::from_slice(&list).map_err(|_| failed(model, "its list of models is no JSON"))?;
    let tags = list.as_array().into_iter().flatten().flat_map(|entry| entry["tags"].as_array().into_iter().flatten());
    Ok(tags.into_iter().any(|tag| tag.as_str() == Some(&model.model)))
}

/// Asks the plug-in for its version.
async fn takes_flags(runner: &Path, model: &DesiredModel) -> bool {
    let Ok(metadata) = ask(runner, model, &["docker-cli-plugin-metadata"]).await else { return false };
    let metadata: Value = serde_json::from_slice(&metadata).unwrap_or_default();
    let version = metadata["Version"].as_str().unwrap_or_default().trim_start_matches('v');
    let part = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
    let parts: Vec<u64> = version.split('.').map(part).collect();
    parts.as_slice() >= WITH_FLAGS.as_slice()
}

/// Runs the plug-in and returns what it wrote.
async fn ask(runner: &Path, model: &DesiredModel, arguments: &[&str]) -> Result<Vec<u8>, EngineError> {
    let output = programs::command(runner, &model.environment).args(arguments).output().await;
    let output = output.map_err(|error| failed(model, &format!("{} does not run: {error}", runner.display())))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let mut error = failed(model, &format!("`docker model {}` ended with {}", arguments.join(" "), output.status));
    error.output = programs::tail(&[output.stdout, output.stderr].concat());
    Err(error)
}

fn failed(model: &DesiredModel, why: &str) -> EngineError {
    let message = format!("model `{}` could not be made ready: {why}", model.key);
    EngineError::new(ErrorKind::Failed, format!("model `{}`", model.key), message)
}
