//! The classic builder: the whole context as a tar, the steps told in lines.

use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use orchestrator::engine::error::EngineError;
use orchestrator::engine::image::BuildSpec;
use orchestrator::engine::progress::{Progress, ProgressSink};
use serde_json::{Value, json};

use crate::docker::build::context::{Context, is_remote};
use crate::docker::build::trouble::{self, Step};
use crate::docker::build::{image_name, refuse};
use crate::docker::client::{Client, query};
use crate::docker::credentials::Logins;
use crate::docker::fault::Fault;
use crate::docker::lines::{self, Documents};

/// Names what only BuildKit can do.
fn lacking(spec: &BuildSpec) -> Vec<&'static str> {
    let asked = [
        ("additional_contexts", !spec.additional_contexts.is_empty()),
        ("cache_to", !spec.cache_to.is_empty()),
        ("check", spec.check),
        ("--debug", spec.keep_last_good),
        ("entitlements", !spec.entitlements.is_empty()),
        ("no_cache_filter", !spec.no_cache_filter.is_empty()),
        ("more than one of platforms", spec.platforms.len() > 1),
        ("privileged", spec.privileged),
        ("provenance", spec.provenance.is_some()),
        ("sbom", spec.sbom.is_some()),
        ("secrets", !spec.secrets.is_empty()),
        ("ssh", !spec.ssh.is_empty()),
    ];
    asked.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name).collect()
}

/// Builds an image and returns its id.
pub(crate) async fn build(
    client: &Client,
    logins: &Logins,
    spec: &BuildSpec,
    progress: &ProgressSink,
) -> Result<String, EngineError> {
    let lacking = lacking(spec);
    if !lacking.is_empty() {
        let why = format!("the engine's classic builder can't do `{}`, it needs BuildKit", lacking.join("`, `"));
        return Err(refuse(spec, &why));
    }
    let failed = |fault: Fault| fault.at("build", image_name(spec));
    let context = match is_remote(&spec.context) {
        true => None,
        false => Some(Context::of(spec).map_err(failed)?),
    };
    let path = format!("/build{}", query(&pairs(spec, context.as_ref())));
    let body = match context.clone() {
        Some(context) => lines::written(move |target| context.write(target)),
        None => bollard::body_full(bytes::Bytes::new()),
    };
    let request = Request::builder()
        .header(CONTENT_TYPE, "application/x-tar")
        .header("X-Registry-Config", logins.all().await.map_err(failed)?);
    let dockerfile = context.as_ref().map(|context| (context.shown.as_str(), context.text.as_str()));
    let answer = match client.call_with(request, Method::POST, &path, body).await {
        // The Dockerfile is read before anything else.
        Err(Fault::Refused { status: 400, message }) => {
            return Err(trouble::error(image_name(spec), &message, &Step::default(), dockerfile));
        }
        other => other.map_err(failed)?,
    };
    let mut follower =
        Follower { progress, number: 0, total: 0, step: Step::default(), cached: false, line: String::new() };
    let mut documents = Documents::of(answer.into_body());
    let mut id = None;
    while let Some(document) = documents.next().await.map_err(failed)? {
        if let Some(text) = document["stream"].as_str() {
            follower.take(text);
        }
        id = document["aux"]["ID"].as_str().map(str::to_owned).or(id);
        let status = document["status"].as_str().filter(|status| !status.is_empty());
        if let (Some(status), None) = (status, document["progressDetail"]["current"].as_u64()) {
            progress.report(Progress::Note(status.to_owned()));
        }
        if let Some(why) = document["errorDetail"]["message"].as_str().or_else(|| document["error"].as_str()) {
            return Err(trouble::error(image_name(spec), why, &follower.step, dockerfile));
        }
    }
    follower.end();
    id.ok_or_else(|| failed(Fault::Closed { why: "before the image was there".to_owned() }))
}

fn pairs(spec: &BuildSpec, context: Option<&Context>) -> Vec<(&'static str, String)> {
    let mut pairs: Vec<(&str, String)> = spec.tags.iter().map(|tag| ("t", tag.clone())).collect();
    pairs.extend([("rm", "1".to_owned()), ("forcerm", "1".to_owned()), ("version", "1".to_owned())]);
    match context {
        Some(context) => pairs.push(("dockerfile", context.dockerfile.clone())),
        None => {
            pairs.push(("remote", spec.context.clone()));
            pairs.extend(spec.dockerfile.iter().map(|path| ("dockerfile", path.display().to_string())));
        }
    }
    let of = |on: bool| u8::from(on).to_string();
    pairs.extend([("nocache", of(spec.no_cache)), ("pull", of(spec.pull))]);
    pairs.extend(spec.target.clone().map(|target| ("target", target)));
    pairs.extend(spec.network.clone().map(|network| ("networkmode", network)));
    pairs.extend(spec.shm_size.map(|size| ("shmsize", size.to_string())));
    pairs.extend(spec.platforms.first().cloned().map(|platform| ("platform", platform)));
    pairs.extend(spec.extra_hosts.iter().map(|(host, address)| ("extrahosts", format!("{host}:{address}"))));
    if !spec.args.is_empty() {
        let args: Value = spec.args.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        pairs.push(("buildargs", args.to_string()));
    }
    if !spec.labels.is_empty() {
        pairs.push(("labels", json!(spec.labels).to_string()));
    }
    if !spec.cache_from.is_empty() {
        pairs.push(("cachefrom", json!(spec.cache_from).to_string()));
    }
    if !spec.ulimits.is_empty() {
        let limit = |(name, (soft, hard)): (&String, &(i64, i64))| json!({"Name": name, "Soft": soft, "Hard": hard});
        pairs.push(("ulimits", spec.ulimits.iter().map(limit).collect::<Value>().to_string()));
    }
    pairs
}

/// Makes progress of the builder's lines.
struct Follower<'a> {
    progress: &'a ProgressSink,
    number: u32,
    total: u32,
    step: Step,
    cached: bool,
    line: String,
}

impl Follower<'_> {
    fn take(&mut self, text: &str) {
        self.line.push_str(text);
        while let Some(end) = self.line.find('\n') {
            let line: String = self.line.drain(..=end).collect();
            self.line_of(plain(&line).trim_end());
        }
    }

    fn line_of(&mut self, line: &str) {
        if let Some((number, total, text)) = step_of(line) {
            self.end();
            (self.number, self.total, self.cached) = (number, total, false);
            self.step.begin(text);
            self.progress.report(Progress::Step { number, total, text: text.to_owned() });
        } else if line == " ---> Using cache" {
            self.cached = true;
        } else if !line.is_empty()
            && !line.starts_with(" ---> ")
            && !line.starts_with("Removing intermediate container ")
            && !line.starts_with("Successfully ")
        {
            self.step.write(line);
            self.progress.report(Progress::StepOutput { number: self.number, line: line.to_owned() });
        }
    }

    fn end(&self) {
        if self.number > 0 {
            self.progress.report(Progress::StepDone { number: self.number, cached: self.cached });
        }
    }
}

/// Takes the colours off that the engine marks standard error with.
fn plain(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part
            .trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';')
            .get(1..)
            .unwrap_or_default()
    })
}

/// Reads `Step 2/3 : RUN x`.
fn step_of(line: &str) -> Option<(u32, u32, &str)> {
    let (count, text) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let (number, total) = count.split_once('/')?;
    Some((number.parse().ok()?, total.parse().ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builders_lines_become_progress() {
        let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let sink = {
            let told = std::sync::Arc::clone(&told);
            ProgressSink::new(move |progress| told.lock().unwrap().push(progress))
        };
        let step = Step::default();
        let mut follower = Follower { progress: &sink, number: 0, total: 0, step, cached: false, line: String::new() };
        for text in ["Step 1/2 : FROM a\n", " ---> 12\nStep 2/2 : RUN", " x\n", " ---> Using cache\n", "out\n"] {
            follower.take(text);
        }
        follower.end();
        let step = |number, text: &str| Progress::Step { number, total: 2, text: text.into() };
        let expected = vec![
            step(1, "FROM a"),
            Progress::StepDone { number: 1, cached: false },
            step(2, "RUN x"),
            Progress::StepOutput { number: 2, line: "out".into() },
            Progress::StepDone { number: 2, cached: true },
        ];
        assert_eq!(*told.lock().unwrap(), expected);
    }
}
