//! Input that somebody made to break things, and input that chance made: a clear answer, soon, and never a panic.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use compose::{FileSystem, LoadRequest, Loaded, Reader};

#[path = "../../../fuzz/properties.rs"]
mod properties;

const WEB: &str = "services:\n  web:\n    image: nginx\n";

/// Far more than any of these takes, even unoptimised on a busy machine.
const SOON: Duration = Duration::from_secs(60);

fn load(reader: &dyn Reader, folder: &Path) -> Loaded {
    let start = Instant::now();
    let file = folder.join("compose.yaml");
    let request = LoadRequest { working_directory: folder.into(), files: vec![file], ..LoadRequest::default() };
    let loaded = compose::load(&request, reader);
    assert!(start.elapsed() < SOON);
    loaded
}

/// Loads `files`, and holds the codes and messages of the first mistakes against `expected`.
fn check(files: &[(&str, String)], expected: &str) {
    let files: BTreeMap<PathBuf, String> =
        files.iter().map(|(name, text)| (Path::new("/p").join(name), text.clone())).collect();
    assert_eq!(said(&load(&files, Path::new("/p"))), expected);
}

fn said(loaded: &Loaded) -> String {
    let mistakes = loaded.diagnostics.iter().take(2);
    mistakes.map(|mistake| format!("E{:04} {}", mistake.code.0, mistake.message)).collect::<Vec<_>>().join("\n")
}

fn repeated(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

#[test]
fn nesting_and_aliases_have_limits() {
    let deep = format!("x-a: {}{}\n{WEB}", "[".repeat(50_000), "]".repeat(50_000));
    check(&[("compose.yaml", deep)], "E0108 the file is nested too deeply");
    let levels = repeated(12, |n| format!("x-{}: &a{} [{}]\n", n + 1, n + 1, vec![format!("*a{n}"); 10].join(", ")));
    let bomb = format!("x-0: &a0 [1, 2]\n{levels}{WEB}");
    check(&[("compose.yaml", bomb)], "E0112 the aliases of this file unfold into more than 500000 values");
    let inner = format!("x-a: &a [*a]\n{WEB}");
    check(&[("compose.yaml", inner)], "E0113 an anchor is used inside of itself");
    let words = format!("{WEB}    command: {}x{}\n", "${A:-".repeat(20_000), "}".repeat(20_000));
    check(&[("compose.yaml", words)], "E0205 references stand in each other more than 64 deep");
}

#[test]
fn chains_and_circles_end() {
    let chain = repeated(3000, |n| format!("  s{n}: {{extends: {{service: s{}}}}}\n", n + 1));
    let chain = format!("services:\n{chain}  s3000: {{image: a}}\n");
    check(&[("compose.yaml", chain)], "E0312 services extend each other in a chain of more than 100");
    let needs = repeated(20_000, |n| format!("  s{n}: {{image: a, depends_on: [s{}]}}\n", n + 1));
    check(&[("compose.yaml", format!("services:\n{needs}  s20000: {{image: a}}\n"))], "");
    let own = format!("include: [compose.yaml]\n{WEB}");
    check(
        &[("compose.yaml", own)],
        "E0310 files include each other in a circle: `/p/compose.yaml` -> `/p/compose.yaml`",
    );
    let names: Vec<String> = (0..25).map(|n| format!("{n}.yaml")).collect();
    let mut doubling = vec![("compose.yaml", "include: [0.yaml, 0.yaml]\n".to_owned())];
    doubling.extend(names.iter().enumerate().map(|(n, name)| match names.get(n + 1) {
        Some(next) => (name.as_str(), format!("include: [{next}, {next}]\n")),
        None => (name.as_str(), WEB.to_owned()),
    }));
    check(&doubling, "E0313 more is included than 1000 files, 50 deep");
}

#[test]
fn what_is_large_is_read_in_time_that_grows_no_faster() {
    check(&[("compose.yaml", format!("{WEB}{}", repeated(50_000, |n| format!("x-{n}: 1\n"))))], "");
    let ports = repeated(20_000, |n| format!("      - \"{}:80\"\n", n + 1));
    check(&[("compose.yaml", format!("{WEB}    ports:\n{ports}"))], "");
    check(&[("compose.yaml", format!("{WEB}    command: \"{}\"\n", "${A:-x}".repeat(50_000)))], "");
    check(&[("compose.yaml", format!("{WEB}    command: \"{}\"\n", "a".repeat(5_000_000)))], "");
    let ranges = repeated(4, |n| format!("      - 127.0.0.{n}:1-65535:1-65535\n"));
    check(
        &[("compose.yaml", format!("{WEB}    ports:\n{ranges}"))],
        "E0401 the ranges of ports unfold into more than 131072 ports\n\
         E0401 the ranges of ports unfold into more than 131072 ports",
    );
    let wrong = repeated(5000, |n| format!("  s{n}: {{imag: a}}\n"));
    let files = BTreeMap::from([(PathBuf::from("/p/compose.yaml"), format!("services:\n{wrong}"))]);
    assert_eq!(load(&files, Path::new("/p")).diagnostics.len(), 1000);
}

#[test]
fn what_stands_in_the_place_of_a_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let path = folder.join("compose.yaml");
    let check = |expected: &str| {
        let message = said(&load(&FileSystem, &folder)).replace(&folder.display().to_string(), "<folder>");
        assert_eq!(message, expected);
        std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path)).unwrap();
    };
    std::fs::create_dir(&path).unwrap();
    check("E0006 cannot read `<folder>/compose.yaml`: it is a directory");
    symlink("/dev/zero", &path).unwrap();
    check("E0006 cannot read `<folder>/compose.yaml`: it is a device");
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    check("E0006 cannot read `<folder>/compose.yaml`: it is a socket");
    drop(socket);
    symlink("compose.yaml", &path).unwrap();
    check("E0006 cannot read `<folder>/compose.yaml`: too many links lead to each other (symbolic link loop)");
    std::fs::write(&path, b"services: {} # caf\xe9\n").unwrap();
    check("E0006 cannot read `<folder>/compose.yaml`: it is not UTF-8 text (byte 18)");
    std::fs::write(&path, "services:\n  web:\n    ima\0ge: nginx\n").unwrap();
    check("E0109 the character U+0000 cannot stand in YAML");
    std::fs::write(&path, "\u{feff}services:\r\n  web:\r\n    image: nginx\r\n").unwrap();
    check("");
    let wide: Vec<u8> = "\u{feff}services: {web: {image: nginx}}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(&path, wide).unwrap();
    check("");
}

#[test]
fn a_pipe_without_a_writer_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("compose.yaml");
    let made = std::fs::exists("/usr/bin/mkfifo").unwrap_or(false) && mkfifo(&path);
    if !made {
        return;
    }
    let message = said(&load(&FileSystem, folder.path()));
    assert!(message.ends_with("it is a named pipe"), "{message}");
}

#[expect(clippy::disallowed_methods, reason = "std makes no named pipes")]
fn mkfifo(path: &Path) -> bool {
    std::process::Command::new("mkfifo").arg(path).status().is_ok_and(|status| status.success())
}

/// Changes of a seed that chance chooses: the same ones each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(most.max(1)).unwrap()).unwrap()
    }

    fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        const PIECES: [&str; 16] = [
            "${A:-",
            "}",
            "$$",
            "\"",
            "'",
            "\n",
            "  ",
            "- ",
            ": ",
            "!reset ",
            "*a",
            "&a ",
            "<<: *a",
            "#@ .env\n",
            "\u{fc}",
            "[",
        ];
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(input.len() + 1);
            let end = (at + self.below(12)).min(input.len());
            let piece: Vec<u8> = match self.below(5) {
                0 => Vec::new(),
                1 => vec![u8::try_from(self.below(256)).unwrap()],
                2 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len());
                    other[from..(from + self.below(80)).min(other.len())].to_vec()
                }
                _ => PIECES[self.below(PIECES.len())].as_bytes().to_vec(),
            };
            input.splice(at..end, piece);
        }
        input
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    for case in std::fs::read_dir(cases).unwrap() {
        let mut seed = Vec::new();
        for file in std::fs::read_dir(case.unwrap().path()).unwrap().map(|file| file.unwrap()) {
            let name = file.file_name().to_string_lossy().into_owned();
            if !name.starts_with("expected") && file.file_type().unwrap().is_file() {
                seed.extend(format!("{}{name}\n", properties::FILE_MARK).into_bytes());
                seed.extend(std::fs::read(file.path()).unwrap());
            }
        }
        seeds.push(seed);
    }
    seeds.sort();
    seeds
}

#[test]
fn a_few_thousand_broken_inputs_end_in_a_project_or_an_error() {
    let seeds = seeds();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for _ in 0..800 {
        properties::load(&chance.mutate(&seeds));
    }
    for _ in 0..3000 {
        let input = chance.mutate(&seeds);
        properties::dotenv(&input);
        properties::interpolation(&input);
    }
}
