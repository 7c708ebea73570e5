//! A runtime of the test's own, with the image that the recorded cases call `busybox` and `alpine`.

use std::path::Path;

use runtime::Runtime;
use runtime::image::config::{ContainerConfig, History, ImageConfig};
use runtime::image::reference::Reference;
use runtime::image::store;
use runtime::snapshot::unpack;
use runtime::state::layout::Layout;

const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nbin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false\nsync:x:4:100:sync:/bin:/bin/sync\nmail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false\noperator:x:37:37:Operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false\n";

const GROUP: &str = "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\nwheel:x:10:root\nwww-data:x:33:
users:x:100:\nnobody:x:65534:\n";

const FOLDERS: [(&str, u32); 14] = [
    ("./", 0o755),
    ("./bin/", 0o755),
    ("./dev/", 0o755),
    ("./etc/", 0o755),
    ("./home/", 0o755),
    ("./proc/", 0o755),
    ("./root/", 0o755),
    ("./sbin/", 0o755),
    ("./sys/", 0o755),
    ("./tmp/", 0o1777),
    ("./usr/", 0o755),
    ("./usr/bin/", 0o755),
    ("./usr/sbin/", 0o755),
    ("./var/", 0o755),
];

pub struct Scratch {
    pub rt: Runtime,
    pub folder: tempfile::TempDir,
}

impl Scratch {
    /// `None` where the host has no busybox of its own.
    pub fn new() -> Option<Self> {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let rt = Runtime::open(Layout::under(&folder.path().join("state"))).unwrap();
        let Ok(program) = std::fs::read("/bin/busybox") else {
            println!("skipped: no /bin/busybox to make the base image of");
            return None;
        };
        let layer = unpack::unpack(&rt, &*layer(&program), None).unwrap();
        let mut image = ImageConfig::empty();
        image.rootfs.diff_ids = vec![layer.diff_id];
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
        image.config =
            ContainerConfig { env: vec![path], cmd: Some(vec!["sh".to_owned()]), ..ContainerConfig::default() };
        image.history = vec![History { created: Some("2026-01-01T00:00:00Z".to_owned()), ..History::default() }];
        image.created = Some("2026-01-01T00:00:00Z".to_owned());
        let names = ["busybox", "alpine", "busybox:stable"].map(|name| Reference::parse(name).unwrap());
        store::put(&rt, &image.to_json(), &names).unwrap();
        Some(Self { rt, folder })
    }
}

pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|ours| ours.uid() == 0)
}

/// One program under the names of all its applets, as hard links.
fn layer(program: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, mode) in FOLDERS {
        let mut header = header(0, mode);
        header.set_entry_type(tar::EntryType::Directory);
        header.set_path(name).unwrap();
        header.set_cksum();
        archive.append(&header, &[][..]).unwrap();
    }
    archive.append_data(&mut header(program.len(), 0o755), "bin/[", program).unwrap();
    for name in applets() {
        let mut header = header(0, 0o755);
        header.set_entry_type(tar::EntryType::Link);
        archive.append_link(&mut header, Path::new("bin").join(name), "bin/[").unwrap();
    }
    for (name, text) in [("etc/group", GROUP), ("etc/passwd", PASSWD)] {
        archive.append_data(&mut header(text.len(), 0o644), name, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Names of the applets of Debian's busybox.
fn applets() -> Vec<&'static str> {
    include_str!("applets.txt").split_whitespace().filter(|name| *name != "[").collect()
}

fn header(size: usize, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_767_225_600);
    header
}
