//! Layers go in and out of a scratch store, as root on a real file system.

use std::io::{Cursor, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::layers;
use crate::snapshot::unpack::{UnpackError, decompress, unpack};
use crate::snapshot::{copy, diff, overlay};
use crate::state::layout::Layout;

fn scratch() -> (TempDir, Runtime) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let rt = Runtime::open(Layout::under(folder.path())).unwrap();
    (folder, rt)
}

/// Members: name, kind, link, content, mode.
type Entry<'a> = (&'a str, u8, &'a str, &'a [u8], u32);

fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, kind, link, content, mode) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

const FILE: u8 = b'0';
const HARD: u8 = b'1';
const LINK: u8 = b'2';
const DIR: u8 = b'5';

/// Unpacks and returns the layer's directory.
fn layer(rt: &Runtime, entries: &[Entry<'_>]) -> Result<std::path::PathBuf, UnpackError> {
    let layer = unpack(rt, Cursor::new(archive(entries)), None)?;
    Ok(layers::directory(rt, &layer.diff_id))
}

fn nothing_is_staged(rt: &Runtime) {
    assert_eq!(std::fs::read_dir(rt.layout.staging()).unwrap().count(), 0);
}

#[test]
fn a_layer_has_owners_modes_times_and_links() {
    let (_folder, rt) = scratch();
    let path = layer(
        &rt,
        &[
            ("d/", DIR, "", b"", 0o2750),
            ("d/su", FILE, "", b"x", 0o4755),
            ("d/hard", HARD, "d/su", b"", 0o4755),
            ("d/soft", LINK, "/nowhere", b"", 0o777),
            ("made/by/itself", FILE, "", b"", 0o600),
        ],
    )
    .unwrap();
    let stat = |name: &str| path.join(name).symlink_metadata().unwrap();
    assert_eq!((stat("d").mode(), stat("d").mtime()), (0o42750, 1_000_000_000));
    assert_eq!((stat("d/su").mode(), stat("d/su").nlink(), stat("d/su").mtime()), (0o104_755, 2, 1_000_000_000));
    assert_eq!(std::fs::read_link(path.join("d/soft")).unwrap(), Path::new("/nowhere"));
    assert_eq!((stat("made").mode(), stat("made/by/itself").mode()), (0o40755, 0o100_600));
    nothing_is_staged(&rt);
}

#[test]
fn the_digest_is_checked_and_a_wrong_layer_is_never_visible() {
    let (_folder, rt) = scratch();
    let bytes = archive(&[("f", FILE, "", b"x", 0o644)]);
    let wrong = Digest::of(b"other");
    let error = unpack(&rt, Cursor::new(&bytes), Some(&wrong)).unwrap_err();
    assert!(matches!(error, UnpackError::Digest { .. }), "{error}");
    assert!(layers::find(&rt, &Digest::of(&bytes)).is_none());
    nothing_is_staged(&rt);
    let layer = unpack(&rt, Cursor::new(&bytes), Some(&Digest::of(&bytes))).unwrap();
    assert_eq!(layers::find(&rt, &layer.diff_id), Some(layer));
    // Once more, as another process would.
    assert_eq!(unpack(&rt, Cursor::new(&bytes), None).unwrap(), layer);
    nothing_is_staged(&rt);
}

#[test]
fn a_cut_off_layer_is_refused_and_an_empty_one_is_not() {
    let (_folder, rt) = scratch();
    let bytes = archive(&[("f", FILE, "", &[7; 5000], 0o644)]);
    assert!(unpack(&rt, &bytes[..3000], None).is_err());
    nothing_is_staged(&rt);
    assert_eq!(unpack(&rt, Cursor::new(b""), None).unwrap().diff_id, Digest::of(b""));
}

#[test]
fn nothing_leads_out_of_the_layer() {
    let (folder, rt) = scratch();
    let canary = folder.path().join("canary");
    std::fs::create_dir(&canary).unwrap();
    std::fs::write(canary.join("victim"), "safe").unwrap();
    let to = canary.to_str().unwrap();
    let (up, inside) = (format!("{}{to}", "../".repeat(15)), format!("{to}/victim"));
    let cases: &[&[Entry<'_>]] = &[
        &[(&inside, FILE, "", b"PWN", 0o777)],
        &[("e", LINK, to, b"", 0o777), ("e/victim", FILE, "", b"PWN", 0o777)],
        &[("e", LINK, &up, b"", 0o777), ("e/victim", FILE, "", b"PWN", 0o777)],
        &[("e", LINK, to, b"", 0o777), ("e/.wh.victim", FILE, "", b"", 0o777)],
        &[("e", LINK, to, b"", 0o777), ("e/.wh..wh..opq", FILE, "", b"", 0o777)],
        &[("e", LINK, to, b"", 0o777), ("e", DIR, "", b"", 0o777), ("e/victim", FILE, "", b"PWN", 0o777)],
        &[("h", HARD, &inside, b"", 0o777), ("h", FILE, "", b"PWN", 0o777)],
        &[("e", LINK, to, b"", 0o777), ("h", HARD, "e/victim", b"", 0o777), ("h", FILE, "", b"PWN", 0o777)],
        &[(".wh...", FILE, "", b"", 0o777)],
        &[("../x", FILE, "", b"", 0o777)],
    ];
    for case in cases {
        // Refused or kept inside: both are fine.
        let _ = layer(&rt, case);
        assert_eq!(std::fs::read_to_string(canary.join("victim")).unwrap(), "safe", "{case:?}");
        assert_eq!(std::fs::read_dir(&canary).unwrap().count(), 1, "{case:?}");
        assert_eq!(canary.metadata().unwrap().mode() & 0o777, 0o755, "{case:?}");
    }
    nothing_is_staged(&rt);
}

#[test]
fn whiteouts_hide_lower_files_and_come_back_as_whiteouts() {
    let (folder, rt) = scratch();
    let lower = layer(
        &rt,
        &[
            ("gone", FILE, "", b"1", 0o644),
            ("stays", FILE, "", b"2", 0o644),
            ("dir/old", FILE, "", b"3", 0o644),
            ("dead/x", FILE, "", b"4", 0o644),
        ],
    )
    .unwrap();
    let entries: &[Entry<'_>] = &[
        (".wh.dead", FILE, "", b"", 0o644),
        (".wh.gone", FILE, "", b"", 0o644),
        ("dir/", DIR, "", b"", 0o755),
        ("dir/.wh..wh..opq", FILE, "", b"", 0o644),
        ("dir/new", FILE, "", b"5", 0o644),
    ];
    let upper = layer(&rt, entries).unwrap();
    let merged = folder.path().join("merged");
    std::fs::create_dir(&merged).unwrap();
    overlay::mount_read_only(&[lower, upper.clone()], &merged).unwrap();
    let listed = |path: &Path| {
        let mut names: Vec<_> =
            std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let found = (listed(&merged), listed(&merged.join("dir")));
    overlay::unmount(&merged).unwrap();
    assert_eq!(found, (vec!["dir".to_owned(), "stays".to_owned()], vec!["new".to_owned()]));

    let mut out = Vec::new();
    diff::tar(&upper, &mut out).unwrap();
    let mut names = Vec::new();
    let mut again = crate::snapshot::archive::Archive::new(&out[..]);
    while let Some(item) = again.next_item().unwrap() {
        names.push(String::from_utf8(item.path.join(&b'/')).unwrap());
    }
    assert_eq!(names, [".wh.dead", "dir", "dir/.wh..wh..opq", "dir/new", ".wh.gone"].map(str::to_owned).as_slice());
}

#[test]
fn what_is_written_on_top_becomes_a_layer_with_a_repeatable_digest() {
    let (folder, rt) = scratch();
    let lower = layer(&rt, &[("etc/", DIR, "", b"", 0o755), ("etc/old", FILE, "", b"1", 0o644)]).unwrap();
    let at = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    let commit = |round: &str| {
        let (upper, work, merged) = (at(&format!("u{round}")), at(&format!("w{round}")), at(&format!("m{round}")));
        overlay::mount(std::slice::from_ref(&lower), &upper, &work, &merged).unwrap();
        std::fs::remove_file(merged.join("etc/old")).unwrap();
        std::fs::write(merged.join("etc/new"), "2").unwrap();
        std::fs::hard_link(merged.join("etc/new"), merged.join("etc/link")).unwrap();
        std::fs::set_permissions(merged.join("etc/new"), PermissionsExt::from_mode(0o4711)).unwrap();
        symlink("new", merged.join("etc/soft")).unwrap();
        let long = "n".repeat(200);
        std::fs::write(merged.join(&long), [0; 70_000]).unwrap();
        rustix::fs::setxattr(merged.join(&long), "user.note", b"a\nb", rustix::fs::XattrFlags::empty()).unwrap();
        std::os::unix::fs::chown(merged.join(&long), Some(3_000_000), Some(7)).unwrap();
        let epoch = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
        for name in ["etc/new", long.as_str(), "etc"] {
            std::fs::File::open(merged.join(name)).unwrap().set_modified(epoch).unwrap();
        }
        let now = rustix::fs::Timespec { tv_sec: 1, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, merged.join("etc/soft"), &times, flags).unwrap();
        overlay::unmount(&merged).unwrap();
        let layer = diff::commit(&rt, &upper).unwrap();
        assert!(!upper.exists());
        layer
    };
    let first = commit("1");
    assert_eq!(commit("2"), first);
    assert_eq!(first.size, 70_001);

    // Out and in again on another machine: the same bytes, the same digest.
    let mut out = Vec::new();
    assert_eq!(diff::tar(&layers::directory(&rt, &first.diff_id), &mut out).unwrap(), first);
    let (_folder, other) = scratch();
    let again = unpack(&other, &out[..], Some(&first.diff_id)).unwrap();
    assert_eq!(diff::tar(&layers::directory(&other, &again.diff_id), std::io::sink()).unwrap(), first);
}

#[test]
fn gzip_zstd_and_plain_are_told_apart_even_in_small_reads() {
    let text = b"some text that is long enough".repeat(100);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&text).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&text[..], 1).unwrap();
    let two_members = [&gzip[..], &gzip[..]].concat();
    for (bytes, expected) in
        [(gzip, text.clone()), (zstd, text.clone()), (text.clone(), text.clone()), (two_members, text.repeat(2))]
    {
        let mut out = Vec::new();
        decompress(OneByte(&bytes)).unwrap().read_to_end(&mut out).unwrap();
        assert_eq!(out, expected);
    }
}

/// Reads a byte at a time, as a slow network does.
struct OneByte<'a>(&'a [u8]);

impl std::io::Read for OneByte<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let fits = buffer.len().min(1);
        self.0.read(&mut buffer[..fits])
    }
}

#[test]
fn copying_merges_layers_as_overlayfs_does() {
    let (folder, rt) = scratch();
    let lower = [
        layer(
            &rt,
            &[
                ("gone", FILE, "", b"1", 0o644),
                ("dir/old", FILE, "", b"3", 0o644),
                ("dir/deep/x", FILE, "", b"3", 0o600),
                ("swap/x", FILE, "", b"4", 0o644),
                ("su", FILE, "", b"5", 0o4755),
            ],
        )
        .unwrap(),
        layer(
            &rt,
            &[
                (".wh.gone", FILE, "", b"", 0o644),
                ("dir/.wh..wh..opq", FILE, "", b"", 0o644),
                ("dir/new", FILE, "", b"6", 0o640),
                ("swap", LINK, "dir", b"", 0o777),
            ],
        )
        .unwrap(),
    ];
    let [merged, copied, part] = ["merged", "copied", "part"].map(|name| folder.path().join(name));
    for path in [&merged, &copied, &part] {
        std::fs::create_dir(path).unwrap();
    }
    copy::merge(&lower, Path::new("/"), &copied).unwrap();
    copy::merge(&lower, Path::new("/dir"), &part).unwrap();
    overlay::mount_read_only(&lower, &merged).unwrap();
    let [expected, found] = [&merged, &copied].map(|path| diff::tar(path, std::io::sink()).unwrap());
    overlay::unmount(&merged).unwrap();
    assert_eq!(found, expected);
    assert_eq!(std::fs::read_dir(&part).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(part.join("new")).unwrap(), "6");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the peer under test is a program")]
fn sparse_files_of_every_form_come_back_with_their_holes() {
    let (folder, rt) = scratch();
    let source = folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let file = std::fs::File::create(source.join("holes")).unwrap();
    for at in 0..40_u64 {
        std::os::unix::fs::FileExt::write_all_at(&file, format!("piece {at}").as_bytes(), at << 20).unwrap();
    }
    file.set_len(50 << 20).unwrap();
    std::fs::write(source.join("plain"), "after it").unwrap();
    let expected = std::fs::read(source.join("holes")).unwrap();
    let forms: [&[&str]; 4] = [
        &["--format=gnu"],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ];
    for form in forms {
        let mut tar = std::process::Command::new("tar");
        tar.args(["-c", "--sparse", "--hole-detection=raw"]).args(form).arg("-C").arg(&source).args(["holes", "plain"]);
        let output = tar.output().unwrap();
        assert!(output.status.success(), "{form:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.len() < 1 << 20, "{form:?}: GNU tar wrote no holes");
        let layer = unpack(&rt, Cursor::new(&output.stdout), None).unwrap();
        let path = layers::directory(&rt, &layer.diff_id);
        assert!(std::fs::read(path.join("holes")).unwrap() == expected, "{form:?}");
        assert!(path.join("holes").metadata().unwrap().blocks() * 512 < 4 << 20, "{form:?}: the holes are filled");
        assert_eq!(std::fs::read_to_string(path.join("plain")).unwrap(), "after it");
        // Whoever reads it as a stream has the zeros.
        let mut archive = crate::snapshot::archive::Archive::new(Cursor::new(&output.stdout));
        let item = archive.next_item().unwrap().unwrap();
        let (mut whole, mut piece) = (Vec::new(), vec![0; 100_000]);
        while let read @ 1.. = archive.read_body(&mut piece).unwrap() {
            whole.extend_from_slice(&piece[..read]);
        }
        assert!(item.size == expected.len() as u64 && whole == expected, "{form:?}");
    }
}
