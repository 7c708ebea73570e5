//! The stand-in image of the scenarios: one static busybox, in a docker archive, made once.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Reference that the archive carries.
pub const REFERENCE: &str = "stand-in:1";

const PROGRAMS: &[&str] = &[
    "sh", "sleep", "echo", "cat", "ls", "id", "env", "true", "false", "nslookup", "wget", "nc", "httpd", "touch",
    "mkdir", "rm", "kill", "ps", "hostname", "mount", "ip", "ping", "grep", "wc", "head", "yes", "dd", "stat", "sync",
    "test", "printf", "seq", "date", "chmod", "chown", "tail", "sed", "pwd", "readlink", "mknod", "unshare", "ln",
    "tr",
];

/// Path of a docker archive with [`REFERENCE`] in it.
pub fn stand_in() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let archive = folder.join("stand-in.tar");
        if !archive.is_file() {
            let aside = folder.join(format!("stand-in.{}.tar", std::process::id()));
            std::fs::write(&aside, pack(&busybox())).unwrap();
            std::fs::rename(&aside, &archive).unwrap();
        }
        archive
    })
}

/// A static busybox: the host's, or the one in its distribution's package.
fn busybox() -> Vec<u8> {
    if let Ok(program) = std::fs::read("/bin/busybox")
        && is_static(&program)
    {
        return program;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).current_dir(folder.path()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // A machine that was never updated has no package lists.
    let package = "busybox-static";
    if !run("apt-get", &["download", package]).0 {
        run("apt-get", &["update"]);
        let (worked, error) = run("apt-get", &["download", package]);
        assert!(worked, "the scenarios need a static busybox: {error}");
    }
    let package = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    assert!(run("dpkg-deb", &["-x", package.to_str().unwrap(), "."]).0);
    std::fs::read(folder.path().join("bin/busybox")).unwrap()
}

/// A static program names no interpreter; its path would stand near the front.
fn is_static(program: &[u8]) -> bool {
    !program.windows(8).take(4096).any(|window| window == b"ld-linux")
}

/// Packs the layer, its config and the manifest as `docker save` of old did.
fn pack(busybox: &[u8]) -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    for folder in ["bin/", "etc/", "tmp/", "root/", "www/"] {
        let mut header = header(0, if folder == "tmp/" { 0o1777 } else { 0o755 });
        header.set_entry_type(tar::EntryType::Directory);
        layer.append_data(&mut header, folder, &[][..]).unwrap();
    }
    layer.append_data(&mut header(busybox.len(), 0o755), "bin/busybox", busybox).unwrap();
    for program in PROGRAMS {
        let mut header = header(0, 0o777);
        header.set_entry_type(tar::EntryType::Symlink);
        layer.append_link(&mut header, format!("bin/{program}"), "busybox").unwrap();
    }
    let files: &[(&str, &str)] = &[
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000::/tmp:/bin/sh\n"),
        ("etc/group", "root:x:0:\nbob:x:1000:\naudio:x:29:bob\n"),
        ("www/index.html", "hello\n"),
    ];
    for (path, text) in files {
        layer.append_data(&mut header(text.len(), 0o644), path, text.as_bytes()).unwrap();
    }
    let layer = layer.into_inner().unwrap();

    let config = serde_json::json!({
        "architecture": std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64"),
        "os": "linux",
        "config": { "Env": ["PATH=/bin"], "Cmd": ["sh"] },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
    })
    .to_string();
    let name = format!("{}.json", digest(config.as_bytes()).trim_start_matches("sha256:"));
    let manifest =
        serde_json::json!([{ "Config": name, "RepoTags": [REFERENCE], "Layers": ["layer.tar"] }]).to_string();

    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in
        [(name.as_str(), config.as_bytes()), ("layer.tar", &layer), ("manifest.json", manifest.as_bytes())]
    {
        archive.append_data(&mut header(bytes.len(), 0o644), path, bytes).unwrap();
    }
    let mut bytes = archive.into_inner().unwrap();
    bytes.flush().unwrap();
    bytes
}

fn header(size: usize, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header
}

fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    use std::fmt::Write as _;
    sha2::Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
