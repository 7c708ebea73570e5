//! Whole builds in scratch state roots, from nothing but a static busybox of the host.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::Runtime;
use crate::build::{BuildError, BuildRequest, build};
use crate::image::digest::Digest;
use crate::image::store::Image;
use crate::image::{layers, packed};
use crate::progress::{Report, Reporter};
use crate::snapshot::{diff, pack};
use crate::state::layout::Layout;
use crate::state::process::boot_id;

/// What a build reported.
#[derive(Default)]
struct Log(Mutex<Vec<Report>>);

impl Reporter for Log {
    fn report(&self, report: Report) {
        self.0.lock().unwrap().push(report);
    }
}

impl Log {
    /// Texts of the steps that really ran.
    fn ran(&self) -> Vec<String> {
        let reports = self.0.lock().unwrap();
        let mut texts = BTreeMap::new();
        let mut ran = Vec::new();
        for report in reports.iter() {
            match report {
                Report::Step { number, text, .. } => {
                    texts.insert(*number, text.clone());
                }
                Report::StepDone { number, cached: false } => ran.push(texts[number].clone()),
                _ => {}
            }
        }
        ran.retain(|text| !text.contains("FROM "));
        ran
    }

    fn output(&self) -> Vec<String> {
        let reports = self.0.lock().unwrap();
        let line = |report: &Report| match report {
            Report::StepOutput { line, .. } => Some(line.clone()),
            _ => None,
        };
        reports.iter().filter_map(line).collect()
    }
}

struct Scratch {
    folder: tempfile::TempDir,
    rt: Runtime,
}

/// Returns scratch roots and a context with the given files, or `None` where the host can't do it.
fn scratch(files: &[(&str, &str)]) -> Option<Scratch> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: building needs root");
        return None;
    }
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let rt = Runtime::open(Layout::under(&folder.path().join("state"))).unwrap();
    let scratch = Scratch { folder, rt };
    for (name, text) in files {
        scratch.write(name, text);
    }
    Some(scratch)
}

/// As [`scratch`], with a static busybox in the context.
fn with_busybox(files: &[(&str, &str)]) -> Option<Scratch> {
    let scratch = scratch(files)?;
    let busybox = Path::new("/bin/busybox");
    let text = std::fs::read(busybox).unwrap_or_default();
    // A program that needs an interpreter names it.
    if text.is_empty() || text.windows(10).any(|window| window == b"/ld-linux-") {
        println!("skipped: no static busybox on this host");
        return None;
    }
    let place = scratch.context().join("busybox");
    std::fs::copy(busybox, &place).unwrap();
    std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
    Some(scratch)
}

impl Scratch {
    fn context(&self) -> PathBuf {
        self.folder.path().join("context")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.context().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn request(&self) -> BuildRequest {
        BuildRequest::new(self.context())
    }

    fn build(&self) -> (Result<Image, BuildError>, Log) {
        let log = Log::default();
        (build(&self.rt, &self.request(), &log), log)
    }

    /// Builds, and returns the image and what really ran.
    fn good(&self) -> (Image, Vec<String>) {
        let (image, log) = self.build();
        (image.unwrap_or_else(|error| panic!("{error}: {:#?}", error.output())), log.ran())
    }

    fn error(&self) -> BuildError {
        let (image, _) = self.build();
        let error = image.unwrap_err();
        assert_eq!(std::fs::read_dir(self.rt.layout.staging()).unwrap().count(), 0, "staging is empty after {error}");
        error
    }

    /// Returns where a file of an image lies.
    fn file(&self, image: &Image, path: &str) -> Option<PathBuf> {
        let layers = image.diff_ids.iter().map(|layer| layers::directory(&self.rt, layer)).collect();
        Some(crate::build::view::View::new(layers).find(Path::new(path)).unwrap()?.real)
    }

    fn text(&self, image: &Image, path: &str) -> String {
        let place = self.file(image, path).unwrap_or_else(|| panic!("no {path} in the image"));
        std::fs::read_to_string(place).unwrap()
    }
}

/// The builder re-executes its own binary as `__run`: in this test binary that selects this very test.
#[test]
#[expect(clippy::exit, reason = "the test binary stands in for the product's, whose main this is")]
fn __run_is_what_a_step_runs_in() {
    if std::env::args().nth(1).as_deref() == Some("__run") {
        std::process::exit(crate::build::step::run_step_main());
    }
}

#[test]
fn files_land_where_the_rules_say() {
    let files = [
        (
            "Dockerfile",
            "FROM scratch\nWORKDIR /app\nCOPY a.txt .\nCOPY a.txt /one\nCOPY --chown=5:6 --chmod=600 dir /deep/er/\nCOPY *.cfg none* cfg/\nENV x=y\nCOPY <<EOF /here\nis $x\nEOF\nCMD [\"/one\"]\n",
        ),
        ("a.txt", "a"),
        ("b.cfg", "b"),
        ("dir/inner/f", "f"),
        ("secret", "s"),
        (".dockerignore", "secret\n"),
    ];
    let Some(scratch) = scratch(&files) else { return };
    let (image, _) = scratch.good();
    assert_eq!(scratch.text(&image, "/app/a.txt"), "a");
    assert_eq!(scratch.text(&image, "/one"), "a");
    assert_eq!(scratch.text(&image, "/app/cfg/b.cfg"), "b");
    assert_eq!(scratch.text(&image, "/here"), "is y\n");
    let inner = scratch.file(&image, "/deep/er/inner/f").unwrap().metadata().unwrap();
    assert_eq!((inner.uid(), inner.gid(), inner.mode() & 0o7777), (5, 6, 0o600));
    assert_eq!(image.config.config.working_dir, "/app");
    let history: Vec<_> = image.config.history.iter().map(|h| (h.created_by.clone().unwrap(), h.empty_layer)).collect();
    assert_eq!(history[0], ("WORKDIR /app".to_owned(), false));
    assert_eq!(history[3], ("COPY --chown=5:6 --chmod=600 dir /deep/er/ # buildkit".to_owned(), false));
    assert_eq!(history.last().unwrap(), &("CMD [\"/one\"]".to_owned(), true));
    let layers = history.iter().filter(|(_, empty)| !empty).count();
    assert_eq!(layers, image.diff_ids.len());
}

#[test]
fn a_second_build_runs_nothing_and_makes_the_same_image() {
    let files = [("Dockerfile", "FROM scratch\nCOPY a /a\nCOPY b /b\n"), ("a", "1"), ("b", "1"), ("c", "1")];
    let Some(scratch) = scratch(&files) else { return };
    let (first, ran) = scratch.good();
    assert_eq!(ran.len(), 2);
    let (second, ran) = scratch.good();
    assert_eq!((second.id, ran), (first.id, vec![]));
    let touched = std::time::SystemTime::now() - std::time::Duration::from_secs(1000);
    File::options().write(true).open(scratch.context().join("a")).unwrap().set_modified(touched).unwrap();
    scratch.write("c", "not copied");
    assert_eq!(scratch.good().1, Vec::<String>::new());
    scratch.write("b", "2");
    let (third, ran) = scratch.good();
    assert_eq!(ran, ["COPY b /b"]);
    assert_eq!(third.diff_ids[0], first.diff_ids[0]);
}

#[test]
fn mistakes_are_told_with_their_line() {
    let Some(scratch) = scratch(&[("app.py", ""), ("Dockerfile", "FROM scratch\nCOPY ap.py /\n")]) else { return };
    let check = |text: &str, wanted: &str| {
        scratch.write("Dockerfile", text);
        assert_eq!(scratch.error().to_string(), wanted);
    };
    check(
        "FROM scratch\n\nCOPY ap.py /\n",
        "Dockerfile:3: `COPY ap.py /`: \"/ap.py\": not found in the build context; near it: `app.py`",
    );
    check("FROM scratch\nCOPPY a /\n", "Dockerfile:2: `COPPY a /`: unknown instruction: COPPY (did you mean COPY?)");
    check(
        "FROM scratch\nADD --checksum=abc https://example.org/x /\n",
        "Dockerfile:2: `ADD --checksum=abc https://example.org/x /`: invalid checksum \"abc\": it must be `sha256:` and 64 hexadecimal digits",
    );
    check(
        "FROM scratch\nCOPY --from=0 a /\n",
        "Dockerfile:2: `COPY --from=0 a /`: invalid stage index 0: it must be that of an earlier stage",
    );
}

#[test]
fn a_command_runs_on_the_files_and_leaves_only_its_own() {
    let dockerfile = "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\nARG who=nobody\nENV greeting=hi\n\
        RUN echo \"$greeting $who\" > /out && echo said\nUSER 7:8\nWORKDIR /w\nRUN [\"/bin/busybox\", \"id\", \"-u\"]\n";
    let Some(scratch) = with_busybox(&[("Dockerfile", dockerfile)]) else { return };
    let (image, log) = scratch.build();
    let image = image.unwrap_or_else(|error| panic!("{error}: {:#?}", error.output()));
    assert_eq!(scratch.text(&image, "/out"), "hi nobody\n");
    let output = log.output();
    assert!(output.contains(&"said".to_owned()) && output.contains(&"7".to_owned()), "{output:?}");
    for stub in ["/proc", "/sys", "/dev", "/etc", "/run"] {
        assert_eq!(scratch.file(&image, stub), None, "{stub} must not stay in the image");
    }
    let line = image.config.history[4].created_by.clone().unwrap();
    assert_eq!(line, "RUN |1 who=nobody /bin/sh -c echo \"$greeting $who\" > /out && echo said # buildkit");
    assert!(!String::from_utf8(image.config.to_json()).unwrap().contains("ca.crt"));
    assert_eq!(scratch.good().1, Vec::<String>::new());
}

#[test]
fn a_failing_command_is_told_with_its_output() {
    let dockerfile = "FROM scratch\nCOPY busybox /bin/sh\nRUN echo before; nonsense\n";
    let Some(scratch) = with_busybox(&[("Dockerfile", dockerfile)]) else { return };
    let error = scratch.error();
    assert_eq!(error.exit_code(), Some(127));
    assert_eq!(
        error.to_string(),
        "Dockerfile:3: `RUN echo before; nonsense`: process \"/bin/sh -c echo before; nonsense\" did not complete successfully: exit code: 127 (command not found)"
    );
    assert!(error.output().contains(&"before".to_owned()), "{:?}", error.output());
}

#[test]
fn a_stage_that_makes_the_same_again_reruns_nothing_below_it() {
    let dockerfile = "FROM scratch AS build\nCOPY busybox /bin/sh\nCOPY busybox /bin/wc\nCOPY a.txt /a.txt\nRUN wc -c < /a.txt > /n\n\
        FROM scratch\nCOPY --from=build /n /n\n";
    let Some(scratch) = with_busybox(&[("Dockerfile", dockerfile), ("a.txt", "one")]) else { return };
    let (image, _) = scratch.good();
    assert_eq!(scratch.text(&image, "/n").trim(), "3");
    scratch.write("a.txt", "two");
    assert_eq!(scratch.good().1, ["[build] COPY a.txt /a.txt", "[build] RUN wc -c < /a.txt > /n"]);
}

#[test]
fn a_step_dies_with_its_builder() {
    use std::io::{Read as _, Write as _};
    use std::process::Stdio;

    use crate::build::step::{StepOrder, Verdict};

    let Some(scratch) = with_busybox(&[("Dockerfile", "FROM scratch\nCOPY busybox /bin/sleep\n")]) else { return };
    let (image, _) = scratch.good();
    let folder = |name: &str| {
        let path = scratch.folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let order = StepOrder {
        lower: image.diff_ids.iter().map(|layer| layers::directory(&scratch.rt, layer)).collect(),
        upper: folder("upper"),
        work: folder("work"),
        mount_point: folder("root"),
        process: crate::state::container::ProcessRecord {
            args: vec!["/bin/sleep".to_owned(), "1000".to_owned()],
            cwd: "/".to_owned(),
            ..Default::default()
        },
        mounts: Vec::new(),
        network: crate::build::network::StepNetwork::None,
        shm_size: 1 << 20,
        host_name: "box".to_owned(),
        privileged: false,
        apparmor: None,
        ulimits: BTreeMap::new(),
        memory: None,
    };
    let mut command = crate::sys::self_exe::command(&["__run"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&serde_json::to_vec(&order).unwrap()).unwrap();
    stdin.write_all(b"\n").unwrap();
    // As the kernel closes it when the builder is killed.
    drop(stdin);
    let mut verdict = Vec::new();
    child.stderr.take().unwrap().read_to_end(&mut verdict).unwrap();
    child.wait().unwrap();
    assert_eq!(serde_json::from_slice::<Verdict>(&verdict).unwrap(), Verdict::Exited(137));
}

#[test]
fn mounts_are_seen_and_leave_nothing_in_the_image() {
    let dockerfile = "FROM scratch\nCOPY busybox /bin/sh\n\
        RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/tmp/t --mount=target=/in,source=data \\\n\
        echo \"$(cat /in/f) $(cat /cache/n 2>/dev/null)\" > /out; echo kept > /cache/n; echo x > /tmp/t/x\n\
        RUN --mount=type=cache,target=/cache cat /cache/n > /second\n\
        RUN <<EOF\n#!/bin/sh\necho script > /third\nEOF\n\
        RUN cat <<EOF > /fourth\n$HOME is\nEOF\n";
    let Some(scratch) = with_busybox(&[("Dockerfile", dockerfile), ("data/f", "bound")]) else { return };
    let (image, _) = scratch.good();
    assert_eq!(scratch.text(&image, "/out"), "bound \n");
    assert_eq!(scratch.text(&image, "/second"), "kept\n");
    assert_eq!(scratch.text(&image, "/third"), "script\n");
    assert!(scratch.text(&image, "/fourth").ends_with(" is\n"));
    for stub in ["/cache", "/in", "/tmp", "/dev"] {
        assert_eq!(scratch.file(&image, stub), None, "{stub} must not stay in the image");
    }
    scratch.write("data/f", "other");
    // What is bound counts for the step, and its other outcome for the steps above it; mounted caches do not.
    assert_eq!(scratch.good().1.len(), 4);
}

#[test]
fn a_layer_of_many_files_takes_over_what_the_archive_of_the_one_before_has() {
    let Some(scratch) = scratch(&[("Dockerfile", "FROM scratch\nCOPY files /app\n")]) else { return };
    for n in 0..600 {
        scratch.write(&format!("files/{}/{n}", n % 7), &format!("file {n}\n").repeat(n));
    }
    scratch.write(&format!("files/{}", "long".repeat(60)), &"much\n".repeat(40_000));
    let file = |name: &str| scratch.context().join("files").join(name);
    std::fs::hard_link(file("1/1"), file("1/other")).unwrap();
    std::os::unix::fs::symlink("1", file("1/soft")).unwrap();
    // Builds; the layer is what its folder holds, whatever was taken over. Returns it and whose archive there is now.
    let build = || {
        let layer = *scratch.good().0.diff_ids.last().unwrap();
        let folder = layers::directory(&scratch.rt, &layer);
        assert_eq!(diff::tar(&folder, std::io::sink()).unwrap().diff_id, layer);
        let kept = std::fs::read_dir(scratch.rt.layout.packed()).unwrap();
        let kept: Vec<_> = kept.map(|entry| entry.unwrap().path()).collect();
        let [archive] = &kept[..] else { panic!("one archive is kept: {kept:?}") };
        let archive = Digest::of(&std::fs::read(archive).unwrap());
        assert!(packed::path(&scratch.rt, &archive).exists());
        (layer, archive)
    };
    let (first, archive) = build();
    assert_eq!(archive, first);
    scratch.write("files/3/3", "changed");
    std::fs::remove_file(file("5/5")).unwrap();
    scratch.write("files/5/new", "new");
    let (second, archive) = build();
    assert_eq!(archive, first, "most of the files are in it");
    std::fs::set_permissions(file("2/2"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::remove_file(file("1/1")).unwrap();
    std::fs::rename(file("4/4"), file("4/moved")).unwrap();
    for n in 0..80 {
        scratch.write(&format!("files/6/more{n}"), &"more\n".repeat(n));
    }
    let (third, archive) = build();
    assert_eq!(archive, third, "too many are not in that of before");
    // One of before the machine was started may be damaged, and is not believed.
    let records = std::fs::read_dir(scratch.rt.layout.build_cache().join("reuse")).unwrap();
    for record in records.map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&record).unwrap();
        std::fs::write(&record, text.replace(&boot_id(), "another")).unwrap();
    }
    let damaged = File::options().write(true).open(packed::path(&scratch.rt, &third)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&damaged, b"DAMAGED", 200_000).unwrap();
    scratch.write("files/3/3", "changed again");
    let (fourth, archive) = build();
    assert_eq!(archive, fourth);
    // Pushed or saved it is compressed, and the next build does without.
    pack::pack(&scratch.rt, &fourth).unwrap();
    std::fs::remove_dir_all(scratch.rt.layout.packed()).unwrap();
    std::fs::create_dir(scratch.rt.layout.packed()).unwrap();
    scratch.write("files/3/3", "changed once more");
    let (fifth, archive) = build();
    assert_eq!(archive, fifth);
    assert_eq!(HashSet::from([first, second, third, fourth, fifth]).len(), 5);
}

#[test]
fn steps_with_the_same_outcome_share_a_layer_and_still_stack() {
    let dockerfile =
        "FROM scratch\nCOPY busybox /bin/sh\nRUN true\nRUN : again\nCOPY busybox /bin/sh\nRUN echo end > /end\n";
    let Some(scratch) = with_busybox(&[("Dockerfile", dockerfile)]) else { return };
    let (image, _) = scratch.good();
    assert_eq!(image.diff_ids.len(), 5);
    assert_eq!(image.diff_ids[1], image.diff_ids[2]);
    assert!(image.config.history.iter().all(|entry| !entry.empty_layer));
    assert_eq!(scratch.text(&image, "/end"), "end\n");
}
