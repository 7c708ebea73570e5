//! Dockerfiles with recorded answers of the reference builder: config, history and every entry of every layer, or the error.
//!
//! The corpus is not part of the source tree: it lies beside the workspace where it was fetched, or where
//! `DOCKERFILE_CORPUS` says. RUN is this very binary, run again, so it has a main of its own.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test with a main of its own: it fails by panic, says so itself, and reads where the corpus is"
)]

mod base;
mod cache;
mod golden;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use golden::Case;

fn main() {
    let args: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    if let Some(code) = runtime::hidden(&args) {
        std::process::exit(code);
    }
    let words: Vec<String> = args.iter().filter_map(|arg| arg.to_str().map(Into::into)).collect();
    if words.iter().any(|word| word == "--list") {
        return;
    }
    let names: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let Some(corpus) = corpus() else { return };
    if !base::is_root() {
        println!("skipped: building needs root");
        return;
    }
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(corpus.join("buildkit")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let wanted = |folder: &Path| {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        !LEFT_OUT.contains(&name.as_str()) && names.is_empty() || names.iter().any(|word| name.contains(word.as_str()))
    };
    let cases: Vec<Case> =
        folders.iter().filter(|folder| wanted(folder)).filter_map(|folder| Case::read(folder)).collect();
    let Some(scratch) = base::Scratch::new() else { return };
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let begun = std::time::Instant::now();
            let verdict = case.hold(&scratch);
            let word = if verdict.is_ok() { "ok" } else { "FAILED" };
            println!("test {} ... {word} ({:?})", case.name, begun.elapsed());
            if let Err(differences) = verdict {
                failed.lock().unwrap().push((case.name.clone(), differences));
            }
        }
    };
    std::thread::scope(|threads| (0..2).for_each(|_| drop(threads.spawn(work))));
    let mut failed = failed.into_inner().unwrap();
    let recorded = failed.len();
    if names.is_empty() || names.iter().any(|word| "cache".contains(word.as_str())) {
        failed.extend(cache::oracles(&corpus));
        failed.extend(cache::promises());
    }
    for (name, differences) in &failed {
        println!("---- {name}\n{differences}");
    }
    println!("{} of {} cases are as recorded", cases.len() - recorded, cases.len());
    assert!(failed.is_empty(), "not as recorded: {:?}", failed.iter().map(|(name, _)| name).collect::<Vec<_>>());
}

/// Recorded as a failure that the reference builder's own tests call a mistake: a cache mount named by inherited variables.
const LEFT_OUT: [&str; 1] = ["MountEnvAcrossStages-0"];

/// Where the recorded cases are.
fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/dockerfiles");
    let folder = std::env::var_os("DOCKERFILE_CORPUS").map_or(beside, PathBuf::from);
    if !folder.join("buildkit").is_dir() {
        println!("skipped: no corpus of Dockerfiles at {}", folder.display());
        return None;
    }
    Some(folder)
}
