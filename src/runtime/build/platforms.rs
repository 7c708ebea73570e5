//! Builds for several platforms, and what runs on a machine of another kind.

use std::path::Path;

use serde_json::json;

use crate::Runtime;
use crate::build::error::{BuildError, Reason};
use crate::build::job::{self, Part};
use crate::build::request::BuildRequest;
use crate::image::digest::Digest;
use crate::image::manifest::Platform;
use crate::image::reference::Reference;
use crate::image::store::{self, Image, StoreError};
use crate::progress::{Report, Reporter};
use crate::registry::outgoing::{Form, Outgoing, outgoing};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Builds for each of `platforms`, in their order, and names them all as one; returns the image that this machine runs, or else
/// the first.
pub fn build_all(
    rt: &Runtime,
    request: &BuildRequest,
    platforms: &[Platform],
    reporter: &dyn Reporter,
) -> Result<Image, BuildError> {
    let tags = job::tags(request)?;
    let _lease = store::lease(rt).map_err(|error| BuildError::nowhere(Reason::Store(error)))?;
    let mut parts: Vec<Part> = Vec::new();
    for platform in platforms {
        let own = BuildRequest { platform: Some(platform.clone()), ..request.clone() };
        let named = Named { inner: reporter, platform: platform.to_string() };
        parts.push(job::build_part(rt, &own, &[], &named)?);
    }
    let steps: Vec<_> = parts.iter().flat_map(|part| part.steps.clone()).collect();
    let chain = parts.first().map(|part| part.chain.clone()).unwrap_or_default();
    let index = index(rt, &parts, platforms)?;
    let host = Platform::host();
    let runs = |at: &usize| platforms[*at].os == host.os && platforms[*at].architecture == host.architecture;
    let chosen = (0..platforms.len()).find(runs).unwrap_or(0);
    let failed = |error| BuildError::nowhere(Reason::Store(error));
    let image = &parts[chosen].image;
    for tag in &tags {
        store::tag_pulled(rt, &image.id, tag, Some(&index)).map_err(failed)?;
    }
    job::export(rt, request, &steps, &chain, reporter)?;
    Ok(store::find(rt, &image.id.to_string()).map_err(failed)?.unwrap_or_else(|| image.clone()))
}

/// Writes the index that names the images, and returns its digest.
fn index(rt: &Runtime, parts: &[Part], platforms: &[Platform]) -> Result<Digest, BuildError> {
    let mut entries = Vec::new();
    for (part, platform) in parts.iter().zip(platforms) {
        let leaving: Outgoing = outgoing(rt, &part.image, None, Form::Oci)
            .map_err(|error| BuildError::nowhere(Reason::Pack(Box::new(error))))?;
        entries.push(json!({
            "mediaType": leaving.media_type,
            "digest": leaving.digest.to_string(),
            "size": leaving.manifest.len(),
            "platform": platform,
        }));
    }
    let text = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).to_string();
    store::put_manifest(rt, text.as_bytes()).map_err(|error: StoreError| BuildError::nowhere(Reason::Store(error)))
}

/// Tells which platform a step is for.
struct Named<'a> {
    inner: &'a dyn Reporter,
    platform: String,
}

impl Reporter for Named<'_> {
    fn report(&self, report: Report) {
        self.inner.report(match report {
            Report::Step { number, total, text } => {
                let text = format!("[{}] {text}", self.platform);
                Report::Step { number, total, text }
            }
            other => other,
        });
    }
}

/// Says why programs of `wanted` can't run here; `None`: they can, on the processor itself or by an interpreter that the kernel
/// knows (binfmt_misc).
pub(super) fn cannot_run(wanted: &str, host: &str) -> Option<String> {
    if wanted.is_empty() || wanted == host || (host == "amd64" && wanted == "386") {
        return None;
    }
    let name = match wanted {
        "arm64" => "aarch64",
        "amd64" => "x86_64",
        "386" => "i386",
        "mips64le" => "mips64el",
        "mipsle" => "mipsel",
        "loong64" => "loongarch64",
        other => other,
    };
    interpreter(Path::new("/proc/sys/fs/binfmt_misc"), name)
}

/// Looks for the interpreter of one kind of program; it must have been opened when it was registered (`F`), since inside of a
/// root it is not to be found.
fn interpreter(folder: &Path, name: &str) -> Option<String> {
    match std::fs::read_to_string(folder.join(format!("qemu-{name}"))) {
        Err(_) => Some("no interpreter for its programs is registered with the kernel".to_owned()),
        Ok(text) if !text.starts_with("enabled") => Some(format!("the interpreter `qemu-{name}` is switched off")),
        Ok(text) => {
            let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or_default();
            let fixed = flags.contains('F');
            (!fixed).then(|| format!("the interpreter `qemu-{name}` is registered without the flag `F`"))
        }
    }
}

/// The references that a build gives.
pub(super) fn parse_tags(texts: &[String]) -> Result<Vec<Reference>, BuildError> {
    let parse = |tag: &String| Reference::parse(tag).map_err(|error| BuildError::nowhere(Reason::Store(error.into())));
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_counts_when_it_is_enabled_and_was_opened_at_its_registration() {
        let folder = tempfile::tempdir().unwrap();
        let told = |name: &str| interpreter(folder.path(), name).unwrap_or_default();
        assert!(told("arm").contains("no interpreter"));
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("qemu-arm", "disabled\ninterpreter /usr/bin/qemu-arm\nflags: F\n");
        assert!(told("arm").contains("switched off"));
        write("qemu-arm", "enabled\ninterpreter /usr/bin/qemu-arm\nflags: OC\noffset 0\n");
        assert!(told("arm").contains("without the flag"));
        write("qemu-arm", "enabled\ninterpreter /usr/bin/qemu-arm\nflags: OCF\noffset 0\n");
        assert_eq!(told("arm"), "");
    }

    #[test]
    fn the_processor_runs_its_own_programs_and_those_of_its_predecessor() {
        assert_eq!(cannot_run("amd64", "amd64"), None);
        assert_eq!(cannot_run("386", "amd64"), None);
        assert_eq!(cannot_run("", "amd64"), None);
    }
}
