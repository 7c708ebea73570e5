//! Which steps run again after which change: the recorded answers of the reference builder, and what this builder's cache promises
//! besides: two roots make the same layers, and a cache that is carried makes the same image elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use runtime::build::prune::{self, PruneOptions};
use runtime::build::{
    BuildError, BuildRequest, CacheMode, CachePlace, CacheSource, CacheTarget, DockerfileSource, HostCa, Secret, build,
};
use runtime::image::store::Image;
use runtime::progress::{Report, Reporter};
use serde_json::Value;

use crate::base::Scratch;

/// Which steps were at hand, and which not.
#[derive(Default)]
struct Steps(Mutex<Told>);

/// The texts of steps by number, those that were at hand, and those that were not.
type Told = (BTreeMap<u32, String>, BTreeSet<String>, BTreeSet<String>);

impl Reporter for Steps {
    fn report(&self, report: Report) {
        let mut steps = self.0.lock().unwrap();
        match report {
            Report::Step { number, text, .. } => drop(steps.0.insert(number, text)),
            Report::StepDone { number, cached } => {
                let text = steps.0[&number].clone();
                // FROM is no step of the record.
                if !text.contains("] FROM ") && !text.starts_with("FROM ") {
                    let _ = if cached { steps.1.insert(text) } else { steps.2.insert(text) };
                }
            }
            Report::Note(_) | Report::Bytes { .. } | Report::StepOutput { .. } => {}
        }
    }
}

impl Steps {
    fn cached(&self) -> BTreeSet<String> {
        self.0.lock().unwrap().1.clone()
    }

    fn ran(&self) -> BTreeSet<String> {
        self.0.lock().unwrap().2.clone()
    }
}

fn request(context: &Path) -> BuildRequest {
    BuildRequest { no_bootstrap: true, host_ca: HostCa::Never, ..BuildRequest::new(context) }
}

fn build_in(scratch: &Scratch, request: &BuildRequest) -> (Result<Image, BuildError>, Steps) {
    let steps = Steps::default();
    let built = build(&scratch.rt, request, &steps);
    (built, steps)
}

fn write(path: PathBuf, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The context that was recorded, as far as its Dockerfile tells.
fn lay(context: &Path) {
    for (name, text) in [
        ("a.txt", "aaaa\n"),
        ("b.txt", "bbbb\n"),
        ("dir/f", "f\n"),
        ("x.cfg", "x\n"),
        (".dockerignore", "ignored.txt\n"),
        ("ignored.txt", "one\n"),
    ] {
        write(context.join(name), text);
    }
}

/// Makes the change that a record names; `None`: it is not known here.
fn mutate(name: &str, context: &Path, request: &mut BuildRequest, dockerfile: &str) -> Option<()> {
    let at = |path: &str| context.join(path);
    let touch = || {
        let later = SystemTime::now() + Duration::from_secs(1000);
        File::options().write(true).open(at("a.txt")).unwrap().set_modified(later).unwrap();
    };
    let top = |line: &str| {
        let (head, tail) = dockerfile.rsplit_once("FROM busybox\n").unwrap();
        DockerfileSource::Inline(format!("{head}FROM busybox\n{line}\n{tail}"))
    };
    let given = |request: &mut BuildRequest, key: &str, value: &str| {
        request.args.insert(key.to_owned(), value.to_owned());
    };
    match name {
        "nothing" => {}
        "touch a.txt (mtime only)" => touch(),
        "a.txt other content, same length (build stage output identical)" => write(at("a.txt"), "zzzz\n"),
        "a.txt longer (stage output differs)" => write(at("a.txt"), "aaaa and more\n"),
        "chmod dir/f" => std::fs::set_permissions(at("dir/f"), Permissions::from_mode(0o600)).unwrap(),
        "rename wildcard match x.cfg -> y.cfg" => std::fs::rename(at("x.cfg"), at("y.cfg")).unwrap(),
        "add file outside any COPY" => write(at("other.txt"), "other\n"),
        "change a .dockerignored file" => write(at("ignored.txt"), "two\n"),
        "change bind-mounted b.txt" => write(at("b.txt"), "cccc\n"),
        "new empty dir in dir/" => std::fs::create_dir(at("dir/empty")).unwrap(),
        "secret value changed" => drop(request.secrets.insert("s".into(), Secret::Value(b"other".to_vec()))),
        "comment added to the Dockerfile" => {
            request.dockerfile = DockerfileSource::Inline(format!("# a comment\n{dockerfile}"));
        }
        "last RUN changed" => {
            request.dockerfile = DockerfileSource::Inline(dockerfile.replace("echo last", "echo LAST"));
        }
        "LABEL added at the top of final stage" => request.dockerfile = top("LABEL a=b"),
        "ENV added at the top of final stage" => request.dockerfile = top("ENV A=b"),
        "USER 1000 added at the top of final stage" => request.dockerfile = top("USER 1000"),
        "build-arg UNUSED=1 (declared, never referenced)" => given(request, "UNUSED", "1"),
        "build-arg HTTP_PROXY=x (undeclared predefined)" => given(request, "HTTP_PROXY", "x"),
        "build-arg NOPE=1 (undeclared)" => given(request, "NOPE", "1"),
        "touch + opt no-cache" => {
            touch();
            request.no_cache = true;
        }
        _ => return None,
    }
    Some(())
}

/// `[stage-1 2/8] COPY a b` without the numbers.
fn plain(step: &str) -> String {
    let (head, text) = step.split_once("] ").unwrap();
    format!("{}] {text}", head.split(' ').next().unwrap())
}

/// Replays the records; returns what is not as recorded.
pub fn oracles(corpus: &Path) -> Vec<(String, String)> {
    let Ok(text) = std::fs::read(corpus.join("cache-oracles.json")) else {
        println!("skipped: no cache-oracles.json");
        return Vec::new();
    };
    let record: Value = serde_json::from_slice(&text).unwrap();
    let dockerfile = record["dockerfile"].as_str().unwrap();
    let mut failed = Vec::new();
    for result in record["results"].as_array().unwrap() {
        let name = result["mutation"].as_str().unwrap();
        // A root a record: none of them sees what another has left.
        let Some(scratch) = Scratch::new() else { return failed };
        let context = scratch.folder.path().join("context");
        lay(&context);
        let mut request = request(&context);
        request.dockerfile = DockerfileSource::Inline(dockerfile.to_owned());
        request.secrets.insert("s".into(), Secret::Value(b"secret".to_vec()));
        build_in(&scratch, &request).0.unwrap();
        if mutate(name, &context, &mut request, dockerfile).is_none() {
            failed.push((name.to_owned(), "the record names a change that this test does not know".to_owned()));
            continue;
        }
        let (built, steps) = build_in(&scratch, &request);
        let recorded = |key: &str| -> BTreeSet<String> {
            result[key].as_array().unwrap().iter().map(|step| plain(step.as_str().unwrap())).collect()
        };
        let mut wrong = String::new();
        if steps.cached() != recorded("cached") {
            wrong.push_str(&format!("cached\n  ours     {:?}\n  recorded {:?}\n", steps.cached(), recorded("cached")));
        }
        // A command that fails (one that is not root's) ends our build: what came behind it is not told.
        if built.is_ok() && steps.ran() != recorded("ran") {
            wrong.push_str(&format!("ran\n  ours     {:?}\n  recorded {:?}\n", steps.ran(), recorded("ran")));
        }
        println!("test cache: {name} ... {}", if wrong.is_empty() { "ok" } else { "FAILED" });
        if !wrong.is_empty() {
            failed.push((name.to_owned(), wrong));
        }
    }
    failed
}

/// Two stages, each with a step that the other does not have.
const TWO_STAGES: &str = "FROM busybox AS maker
COPY a.txt /
RUN cat /a.txt > /made
FROM busybox
ENV MODE=built
COPY --from=maker /made /made
RUN echo done > /done
WORKDIR /srv
";

/// The builder's own promises, each with what is wrong with it.
pub fn promises() -> Vec<(String, String)> {
    type Promise = (&'static str, fn() -> Option<()>);
    let all: [Promise; 7] = [
        ("a cache in a folder makes the same image on another machine, and nothing runs", folder),
        ("mode=min carries the steps of the image and not those of other stages", least),
        ("an image carries its own steps when it is asked to", inline),
        ("two roots make the same layers and config of the same epoch", epoch),
        ("a step of a stage that is filtered runs again, those of others do not", filter),
        ("without the cache a folder is made again only above what ran again", folders),
        ("what is pruned is gone, by age, by size, and not what an image has", pruned),
    ];
    let mut failed = Vec::new();
    for (name, promise) in all {
        let verdict = std::panic::catch_unwind(promise);
        println!("test cache: {name} ... {}", if verdict.is_ok() { "ok" } else { "FAILED" });
        if let Err(panic) = verdict {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
            failed.push((name.to_owned(), text.unwrap_or_default()));
        }
    }
    failed
}

fn prepared(dockerfile: &str) -> Option<(Scratch, BuildRequest)> {
    let scratch = Scratch::new()?;
    let context = scratch.folder.path().join("context");
    lay(&context);
    let mut request = request(&context);
    request.dockerfile = DockerfileSource::Inline(dockerfile.to_owned());
    Some((scratch, request))
}

fn to_folder(path: &Path, mode: CacheMode) -> CacheTarget {
    let place = CachePlace::Folder { path: path.to_owned(), tag: "latest".to_owned() };
    CacheTarget { place, mode, ignore_error: false }
}

fn from_folder(path: &Path) -> CacheSource {
    CacheSource::Folder { path: path.to_owned(), name: None }
}

fn folder() -> Option<()> {
    let (first, mut wanted) = prepared(TWO_STAGES)?;
    let cache = first.folder.path().join("cache");
    wanted.cache_to = vec![to_folder(&cache, CacheMode::Max)];
    let image = build_in(&first, &wanted).0.unwrap();
    let (second, mut wanted) = prepared(TWO_STAGES)?;
    wanted.cache_from = vec![from_folder(&cache)];
    let (again, steps) = build_in(&second, &wanted);
    assert_eq!(steps.ran(), BTreeSet::new());
    assert_eq!(again.unwrap().id, image.id);
    // A layer that was tampered with is not taken: its step runs.
    let blobs = std::fs::read_dir(cache.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    for blob in blobs.filter(|path| std::fs::read(path).unwrap().starts_with(&[0x1f, 0x8b])) {
        std::fs::write(blob, b"nonsense").unwrap();
    }
    let (third, mut wanted) = prepared(TWO_STAGES)?;
    wanted.cache_from = vec![from_folder(&cache)];
    let (built, steps) = build_in(&third, &wanted);
    built.unwrap();
    assert!(!steps.ran().is_empty());
    Some(())
}

fn least() -> Option<()> {
    let (first, mut wanted) = prepared(TWO_STAGES)?;
    let cache = first.folder.path().join("cache");
    wanted.cache_to = vec![to_folder(&cache, CacheMode::Min)];
    build_in(&first, &wanted).0.unwrap();
    let (second, mut wanted) = prepared(TWO_STAGES)?;
    wanted.cache_from = vec![from_folder(&cache)];
    let (built, steps) = build_in(&second, &wanted);
    built.unwrap();
    let ran: BTreeSet<String> =
        ["[maker] COPY a.txt /", "[maker] RUN cat /a.txt > /made"].map(str::to_owned).into_iter().collect();
    assert_eq!(steps.ran(), ran, "what the copied file is does not change, so the image's own steps are found");
    Some(())
}

fn inline() -> Option<()> {
    let (scratch, mut wanted) = prepared(TWO_STAGES)?;
    wanted.tags = vec!["carried:1".to_owned()];
    wanted.cache_to = vec![CacheTarget { place: CachePlace::Inline, mode: CacheMode::Min, ignore_error: false }];
    let image = build_in(&scratch, &wanted).0.unwrap();
    assert!(image.config.other.contains_key("moby.buildkit.cache.v0"));
    prune::prune(&scratch.rt, &PruneOptions { all: true, ..PruneOptions::default() }).unwrap();
    wanted.cache_from = vec![CacheSource::Registry("carried:1".to_owned())];
    let (again, steps) = build_in(&scratch, &wanted);
    assert_eq!(again.unwrap().id, image.id);
    assert!(steps.ran().iter().all(|step| step.starts_with("[maker]")), "{:?}", steps.ran());
    // An image is not asked to carry anything by itself.
    wanted.cache_to.clear();
    assert!(build_in(&scratch, &wanted).0.unwrap().config.other.is_empty());
    Some(())
}

fn epoch() -> Option<()> {
    let text = TWO_STAGES.replace("RUN echo done > /done", "RUN echo done > /done && mkdir -p /a/b && touch /a/b/c");
    let build = || {
        let (scratch, mut wanted) = prepared(&text)?;
        wanted.args.insert("SOURCE_DATE_EPOCH".to_owned(), "1700000000".to_owned());
        Some(build_in(&scratch, &wanted).0.unwrap())
    };
    let (one, other) = (build()?, build()?);
    assert_eq!((one.diff_ids, one.id), (other.diff_ids, other.id));
    Some(())
}

fn filter() -> Option<()> {
    let (scratch, mut wanted) = prepared(TWO_STAGES)?;
    build_in(&scratch, &wanted).0.unwrap();
    wanted.no_cache_filter = vec!["maker".to_owned()];
    let (built, steps) = build_in(&scratch, &wanted);
    built.unwrap();
    assert!(steps.ran().iter().all(|step| step.starts_with("[maker]")), "{:?}", steps.ran());
    assert_eq!(steps.ran().len(), 2);
    Some(())
}

/// As BuildKit 0.8 has it.
fn folders() -> Option<()> {
    let (scratch, mut wanted) = prepared("FROM busybox\nWORKDIR /first\nRUN echo made > /made\nWORKDIR /second\n")?;
    build_in(&scratch, &wanted).0.unwrap();
    wanted.no_cache = true;
    let (built, steps) = build_in(&scratch, &wanted);
    built.unwrap();
    let ran = steps.ran();
    assert!(!ran.iter().any(|step| step.contains("/first")), "{ran:?}");
    assert!(ran.iter().any(|step| step.contains("WORKDIR /second")), "it stands on what ran again: {ran:?}");
    Some(())
}

fn pruned() -> Option<()> {
    let text = "FROM busybox AS maker\nRUN --mount=type=cache,target=/c head -c 300000 /dev/zero > /c/x && head -c 100000 /dev/zero > /big
FROM busybox\nRUN echo kept > /kept\nCOPY --from=maker /passed* /etc/passwd /\n";
    let (scratch, mut wanted) = prepared(text)?;
    wanted.tags = vec!["kept:1".to_owned()];
    build_in(&scratch, &wanted).0.unwrap();
    let old = PruneOptions { unused_for: Some(Duration::from_secs(3600)), ..PruneOptions::default() };
    assert_eq!(prune::prune(&scratch.rt, &old).unwrap().0, []);
    // Of layers that no image has, and of the cache mount.
    let total = prune::total(&prune::list(&scratch.rt).unwrap());
    assert_eq!(total, 400_000);
    let look = PruneOptions { rehearse: true, ..PruneOptions::default() };
    assert_eq!(prune::prune(&scratch.rt, &look).unwrap().1, total);
    let (_, freed) =
        prune::prune(&scratch.rt, &PruneOptions { keep: Some(350_000), ..PruneOptions::default() }).unwrap();
    assert!(prune::total(&prune::list(&scratch.rt).unwrap()) <= 350_000 && freed < total);
    prune::prune(&scratch.rt, &PruneOptions::default()).unwrap();
    let left = prune::list(&scratch.rt).unwrap();
    assert!(left.iter().all(|entry| entry.shared) && !left.is_empty(), "{left:?}");
    let (built, steps) = build_in(&scratch, &wanted);
    built.unwrap();
    assert_eq!(steps.cached().len(), 2, "{:?}", steps.cached());
    prune::prune(&scratch.rt, &PruneOptions { all: true, ..PruneOptions::default() }).unwrap();
    assert_eq!(prune::list(&scratch.rt).unwrap(), []);
    Some(())
}
