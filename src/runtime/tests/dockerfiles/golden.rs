//! One recorded case: what is built, and whether the answer is the recorded one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use runtime::build::{BuildError, BuildRequest, DockerfileSource, HostCa, build};
use runtime::image::layers;
use runtime::image::store::Image;
use runtime::progress::Silent;
use runtime::snapshot::diff;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::base::Scratch;

pub struct Case {
    pub name: String,
    folder: PathBuf,
    golden: Value,
    options: Map<String, Value>,
    context: Vec<Value>,
}

impl Case {
    /// `None`: nothing was recorded.
    pub fn read(folder: &Path) -> Option<Self> {
        let read = |name: &str| std::fs::read(folder.join(name)).ok();
        let golden = serde_json::from_slice(&read("golden.json")?).unwrap();
        let meta: Value = serde_json::from_slice(&read("meta.json")?).unwrap();
        Some(Self {
            name: folder.file_name().unwrap().to_string_lossy().into_owned(),
            folder: folder.to_owned(),
            golden,
            options: meta["opts"].as_object().cloned().unwrap_or_default(),
            context: serde_json::from_slice(&read("ctx.json")?).unwrap(),
        })
    }

    /// Builds it and compares.
    pub fn hold(&self, scratch: &Scratch) -> Result<(), String> {
        let context = scratch.folder.path().join(&self.name);
        std::fs::create_dir(&context).unwrap();
        self.context.iter().for_each(|entry| lay(&context, entry));
        let mut request = BuildRequest::new(&context);
        // The Dockerfile is handed over beside the context, unless it is part of it.
        if !self.context.iter().any(|entry| entry["Path"] == "Dockerfile") {
            request.dockerfile = DockerfileSource::Path(self.folder.join("Dockerfile"));
        }
        request.no_bootstrap = true;
        request.host_ca = HostCa::Never;
        for (key, value) in &self.options {
            let value = value.as_str().unwrap().to_owned();
            match key.split_once(':') {
                Some(("build-arg", name)) => drop(request.args.insert(name.to_owned(), value)),
                Some(("label", name)) => drop(request.labels.insert(name.to_owned(), value)),
                _ if key == "target" => request.target = Some(value),
                _ => return Err(format!("unknown option `{key}`")),
            }
        }
        let built = build(&scratch.rt, &request, &Silent);
        match (built, self.golden["error"].as_str()) {
            (Ok(image), None) => self.same(scratch, &image),
            (Err(error), Some(recorded)) => same_error(&error, recorded),
            (Ok(_), Some(recorded)) => Err(format!("built, but the record is the error {recorded}")),
            (Err(error), None) => Err(format!("failed: {error}\n{}", error.output().join("\n"))),
        }
    }

    fn same(&self, scratch: &Scratch, image: &Image) -> Result<(), String> {
        let mut differences = String::new();
        let mut compare = |what: &str, ours: &Value, recorded: &Value| {
            if ours != recorded {
                writeln!(differences, "{what}\n  ours     {ours}\n  recorded {recorded}").unwrap();
            }
        };
        compare(
            "config",
            &sorted(&serde_json::to_value(&image.config.config).unwrap()),
            &sorted(&self.golden["config"]),
        );
        let history = image.config.history.iter().map(|it| json!({"by": it.created_by, "empty": it.empty_layer}));
        compare("history", &history.collect(), &self.golden["history"]);
        let exact = self.golden["deterministic"] == true;
        let recorded = self.golden["layers"].as_array().unwrap();
        compare("layers", &json!(image.diff_ids.len()), &json!(recorded.len()));
        for (at, (layer, recorded)) in image.diff_ids.iter().zip(recorded).enumerate() {
            // The base is the test's own.
            if recorded.as_object().unwrap().len() > 200 {
                continue;
            }
            let mut ours = entries(&layers::directory(&scratch.rt, layer));
            let mut recorded = recorded.clone();
            for list in [&mut ours, &mut recorded] {
                for entry in list.as_object_mut().unwrap().values_mut().filter_map(Value::as_object_mut) {
                    entry.remove("text");
                    if !exact {
                        entry.remove("sha256");
                        entry.remove("size");
                    }
                }
            }
            compare(&format!("layer {at}"), &sorted(&ours), &sorted(&recorded));
        }
        if differences.is_empty() { Ok(()) } else { Err(differences) }
    }
}

fn lay(context: &Path, entry: &Value) {
    let text = |key: &str| entry[key].as_str().unwrap();
    let path = context.join(text("Path"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mode = |default: u32| u32::from_str_radix(text("Mode"), 8).unwrap_or(default);
    match text("Kind") {
        "dir" => {
            std::fs::create_dir_all(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode(0o755))).unwrap();
        }
        "file" => {
            std::fs::write(&path, text("Data")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode(0o644))).unwrap();
        }
        "symlink" => symlink(text("Link"), &path).unwrap(),
        kind => panic!("unknown kind `{kind}`"),
    }
}

/// An error is the same when it says the same thing of the same line.
fn same_error(error: &BuildError, recorded: &str) -> Result<(), String> {
    let recorded = recorded.trim_start_matches("error: ").trim_start_matches("failed to solve: ");
    let ours = error.to_string();
    let reason = error.reason.to_string();
    let (line, text) = match recorded.strip_prefix("dockerfile parse error on line ") {
        Some(rest) => rest.split_once(": ").map(|(line, text)| (line.parse::<u32>().ok(), text)).unwrap(),
        None => (None, recorded),
    };
    let wanted = if let Some(end) = text.find("successfully: open /") {
        // Where the recorder's own files were.
        text[..end].to_owned()
    } else if let Some(rest) = text.strip_prefix("failed to load LLB: ") {
        rest.to_owned()
    } else if let Some(at) = text.find("exit code: ") {
        text[at..].to_owned()
    } else if let Some(path) = text.strip_suffix(": not found").and_then(|rest| rest.rsplit(": ").next()) {
        // `".. of ref x::y: "/foo": not found`, or an image that is not there.
        path.trim_matches('"')
            .trim_start_matches("docker.io/")
            .trim_start_matches("library/")
            .trim_end_matches(":latest")
            .to_owned()
    } else {
        text.to_owned()
    };
    let same =
        reason.contains(&wanted) && line.is_none_or(|line| error.place.as_ref().is_some_and(|it| it.line == line));
    if same {
        Ok(())
    } else {
        Err(format!("the error is another one\n  ours     {ours}\n  recorded {recorded}\n  wanted   {wanted}"))
    }
}

/// Every entry of a layer, as the record has them.
fn entries(directory: &Path) -> Value {
    let mut bytes = Vec::new();
    diff::tar(directory, &mut bytes).unwrap();
    let mut archive = tar::Archive::new(&*bytes);
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().trim_end_matches('/').to_owned();
        let header = entry.header();
        let kind = match header.entry_type() {
            tar::EntryType::Directory => "d",
            tar::EntryType::Symlink => "l",
            tar::EntryType::Link => "h",
            tar::EntryType::Regular => "f",
            other => panic!("{other:?}"),
        };
        let mut value = json!({
            "t": kind,
            "uid": header.uid().unwrap(),
            "gid": header.gid().unwrap(),
            "mode": format!("0o{:o}", header.mode().unwrap()),
        });
        if let Some(link) = entry.link_name().unwrap() {
            value["link"] = json!(link.to_string_lossy());
        }
        if kind == "f" {
            let mut data = Vec::new();
            entry.read_to_end(&mut data).unwrap();
            value["size"] = json!(data.len());
            let hex = Sha256::digest(&data).iter().fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").unwrap();
                hex
            });
            value["sha256"] = json!(hex);
        }
        found.insert(path, value);
    }
    serde_json::to_value(found).unwrap()
}

/// Members in the order of their names, however deep.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<String, Value> =
                members.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            serde_json::to_value(members).unwrap()
        }
        Value::Array(values) => values.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
