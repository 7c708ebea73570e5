//! Pulls and builds that are killed or interrupted at any instant: nothing half done is seen, nothing is left, and the next
//! command goes on.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::engines::engines;
use crate::support::host::{Host, finish, lacks_root, signal, until};
use crate::support::registry::Registry;

/// Names of what lies in a folder of the store.
fn names(host: &Host, folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(host.root.join("lib/store").join(folder));
    entries.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

fn directories(host: &Host, folder: &str) -> Vec<PathBuf> {
    names(host, folder).into_iter().filter(|path| path.is_dir()).collect()
}

/// Every layer that is visible must have its record.
#[track_caller]
fn store_is_whole(host: &Host) {
    for layer in directories(host, "layers") {
        assert!(layer.with_extension("json").is_file(), "{} has no record", layer.display());
    }
}

/// Ends the program at the given time after its start.
fn end_after(host: &Host, args: &[&str], with: Signal, after: Duration) -> i32 {
    let child = host.spawn(args);
    // The moments differ by what the scheduler makes of them: each round is another cut through the work.
    std::thread::park_timeout(after);
    signal(child.id().cast_signed(), with);
    finish(child, "an ended command").code
}

#[test]
fn a_pull_killed_at_any_moment_is_not_seen_and_the_next_one_goes_on() {
    let (false, Some(registry)) = (lacks_root(), Registry::start()) else { return };
    let maker = Host::with("made", "services: {}");
    let mut dockerfile = "FROM stand-in:1\n".to_owned();
    for layer in 0..4 {
        dockerfile.push_str(&format!("RUN dd if=/dev/urandom of=/{layer} bs=1M count=12 2>/dev/null\n"));
    }
    maker.write("Dockerfile", &dockerfile);
    let image = format!("{}/large:1", registry.address);
    let id = maker.motet(&["image", "build", "-q", "-t", &image, "--push", "."]).success().stdout;
    let host = Host::empty("killed-pull");
    let (mut killed, mut partial) = (0, 0);
    for (round, with) in [Signal::KILL, Signal::INT].into_iter().cycle().take(40).enumerate() {
        let after = Duration::from_millis(9 * u64::try_from(round).unwrap());
        let code = end_after(&host, &["image", "pull", "-q", &image], with, after);
        partial += usize::from(!names(&host, "partial").is_empty());
        let seen = host.motet(&["image", "ls", "-q", "--no-trunc"]).success().stdout;
        store_is_whole(&host);
        killed += usize::from(code != 0);
        // One that is killed after its last byte leaves the whole image, with its name or not yet.
        if code == 0 || !seen.is_empty() {
            assert_eq!(seen, id, "round {round}: an image is seen that is not the whole one");
            host.motet(&["image", "rm", seen.trim()]).success();
        }
    }
    assert!(killed > 3 && partial > 0, "{killed} were ended, {partial} left a part: the rounds are too quick");
    host.motet(&["image", "pull", "-q", &image]).success();
    assert_eq!(host.motet(&["image", "ls", "-q", "--no-trunc"]).success().stdout, id);
    assert_eq!(names(&host, "partial"), Vec::<PathBuf>::new());
    let whole =
        host.motet(&["container", "run", "--rm", "--network", "none", &image, "wc", "-c", "/0", "/3"]).success();
    assert!(whole.stdout.contains("25165824 total"), "{}", whole.stdout);
    // A collection takes what killed ones had staged.
    host.motet(&["image", "rm", &image]).success();
    assert_eq!((names(&host, "staging"), directories(&host, "layers")), (vec![], vec![]));
    host.must_be_clean();
}

#[test]
fn a_build_killed_at_any_moment_leaves_nothing_and_the_next_one_ends_it() {
    if lacks_root() {
        return;
    }
    let host = Host::with("killed-build", "services: {}");
    host.write("f", "one\n");
    host.write(
        "Dockerfile",
        "FROM stand-in:1 AS a\nCOPY f /\nRUN dd if=/dev/zero of=/a bs=1M count=8 2>/dev/null && sleep 0.1\n\
         FROM stand-in:1 AS b\nRUN --mount=type=cache,target=/c sleep 0.15 && echo b > /b\n\
         FROM stand-in:1\nCOPY --from=a /a /\nCOPY --from=b /b /\nRUN wc -c /a > /size\n",
    );
    let build = ["image", "build", "-q", "-t", "made:1", "."];
    let mut ended = 0;
    for (round, with) in [Signal::KILL, Signal::INT, Signal::TERM].into_iter().cycle().take(36).enumerate() {
        host.write("f", &format!("{round}\n"));
        let after = Duration::from_millis(11 * u64::try_from(round).unwrap());
        let code = end_after(&host, &build, with, after);
        ended += usize::from(code != 0);
        // The processes of its steps go with it, and with them their mounts.
        let left = || crate::support::leaks::of(&host.root);
        let is_live = |it: &String| it.starts_with("process") || it.starts_with("mount");
        until("the steps of an ended build are gone", || !left().iter().any(is_live));
        store_is_whole(&host);
        if code != 0 && round < 3 {
            assert_eq!(host.motet(&["image", "ls", "-q", "made"]).success().stdout, "");
        }
    }
    assert!(ended > 3, "only {ended} builds were ended: the rounds are too slow");
    host.write("f", "last\n");
    host.motet(&build).success();
    let run = ["container", "run", "--rm", "--network", "none", "made:1", "cat", "/size", "/b"];
    assert_eq!(host.motet(&run).success().stdout, "8388608 /a\nb\n");
    host.motet(&["builder", "prune", "-af"]).success();
    host.motet(&["image", "prune", "-af"]).success();
    assert_eq!((names(&host, "staging"), directories(&host, "layers")), (vec![], vec![]));
    host.must_be_clean();
}

engines! {
    embedded: [
        a_pull_killed_at_any_moment_is_not_seen_and_the_next_one_goes_on: "it looks into the embedded runtime's own store",
        a_build_killed_at_any_moment_leaves_nothing_and_the_next_one_ends_it: "it looks into the embedded runtime's own store",
    ],
}
