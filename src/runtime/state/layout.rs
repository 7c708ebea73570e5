//! Every path below the state roots. Nowhere else is one spelt.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The two roots: what lasts, and what a reboot ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// `/var/lib/motet`
    pub lib: PathBuf,
    /// `/run/motet`
    pub run: PathBuf,
}

impl Layout {
    /// The system's roots.
    pub fn system() -> Self {
        Self { lib: PathBuf::from("/var/lib/motet"), run: PathBuf::from("/run/motet") }
    }

    /// Both roots under one folder (`MOTET_ROOT`), which must be absolute.
    pub fn under(root: &Path) -> Self {
        Self { lib: root.join("lib"), run: root.join("run") }
    }

    /// Returns the folders that must exist before anything else.
    pub fn folders(&self) -> Vec<PathBuf> {
        vec![
            self.blobs(),
            self.references(),
            self.layers(),
            self.packed(),
            self.manifests(),
            self.partial(),
            self.staging(),
            self.pins(),
            self.build_cache(),
            self.containers(),
            self.names(),
            self.networks(),
            self.volumes(),
            self.run.clone(),
            self.publications(),
        ]
    }

    /// Blobs by digest: `blobs/sha256/<hex>`.
    pub fn blobs(&self) -> PathBuf {
        self.lib.join("store/blobs/sha256")
    }

    /// One JSON file a reference; the file name is the reference with `/` and `:` percent-encoded.
    pub fn references(&self) -> PathBuf {
        self.lib.join("store/references")
    }

    /// Unpacked layers: `layers/<diff id hex>/` is the overlay lower directory.
    pub fn layers(&self) -> PathBuf {
        self.lib.join("store/layers")
    }

    /// What is known of one layer, beside its directory.
    pub fn layer_record(&self, hex: &str) -> PathBuf {
        self.layers().join(format!("{hex}.json"))
    }

    /// Layers as registries have them, by their own digest: kept so that what is sent on has the digests it came with.
    pub fn packed(&self) -> PathBuf {
        self.lib.join("store/packed")
    }

    /// Manifests and indexes byte for byte, by digest.
    pub fn manifests(&self) -> PathBuf {
        self.lib.join("store/manifests")
    }

    /// Blobs on their way, by digest; locked by whoever downloads them.
    pub fn partial(&self) -> PathBuf {
        self.lib.join("store/partial")
    }

    /// Layers kept although no image has them, one empty file each: the build cache's.
    pub fn pins(&self) -> PathBuf {
        self.lib.join("store/pins")
    }

    /// Work in progress on the store's file system: renamed into place, or garbage of a killed process.
    pub fn staging(&self) -> PathBuf {
        self.lib.join("store/staging")
    }

    /// The build cache's index and cache mounts.
    pub fn build_cache(&self) -> PathBuf {
        self.lib.join("store/build")
    }

    /// What the host's package manager downloads for bootstrapped images.
    pub fn bootstrap(&self) -> PathBuf {
        self.lib.join("store/bootstrap")
    }

    /// All containers.
    pub fn containers(&self) -> PathBuf {
        self.lib.join("containers")
    }

    /// Which container has a name: one file a name, with the id in it.
    pub fn names(&self) -> PathBuf {
        self.lib.join("names")
    }

    /// Who has this name.
    pub fn name(&self, name: &str) -> PathBuf {
        self.names().join(name)
    }

    /// A bundle that is being put together or taken apart; never looked at as a container.
    pub fn unfinished(&self, id: &str) -> Bundle {
        Bundle { lib: self.containers().join(format!(".{id}")), run: self.run.join("containers").join(id) }
    }

    /// One container's bundle.
    pub fn bundle(&self, id: &str) -> Bundle {
        Bundle { lib: self.containers().join(id), run: self.run.join("containers").join(id) }
    }

    /// All networks: `networks/<id>/`.
    pub fn networks(&self) -> PathBuf {
        self.lib.join("networks")
    }

    /// One network's record.
    pub fn network(&self, id: &str) -> PathBuf {
        self.networks().join(id).join("network.json")
    }

    /// Where a network's folder is while the network is being removed: it is none any more, and must still be cleared.
    pub fn leaving_network(&self, id: &str) -> PathBuf {
        self.networks().join(format!("{id}.leaving"))
    }

    /// Name of a network's folder until all of the network is there: what a kill leaves of it is none.
    pub fn unmade_network(id: &str) -> String {
        format!("{id}.making")
    }

    /// The leases of one network: one file a container, `endpoints/<container id>.json`.
    pub fn endpoints(&self, network: &str) -> PathBuf {
        self.networks().join(network).join("endpoints")
    }

    /// Published ports of running containers: one file a container, `ports/<container id>.json`.
    pub fn publications(&self) -> PathBuf {
        self.run.join("ports")
    }

    /// What has happened, a line each.
    pub fn occurrences(&self) -> PathBuf {
        self.run.join("events")
    }

    /// The AppArmor profile that the kernel was given since it started.
    pub fn apparmor(&self) -> PathBuf {
        self.run.join("apparmor.json")
    }

    /// All volumes: `volumes/<name>/`.
    pub fn volumes(&self) -> PathBuf {
        self.lib.join("volumes")
    }

    /// One volume's record.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.volumes().join(name).join("volume.json")
    }

    /// Name of a volume's folder before all of it is there, and while it is being removed: no volume can have it.
    pub fn unmade_volume(name: &str) -> String {
        format!(".{name}")
    }

    /// The directory that is mounted.
    pub fn volume_data(&self, name: &str) -> PathBuf {
        self.volumes().join(name).join("_data")
    }

    /// The lock that commands take for a name of theirs, so that one at a time changes what bears it.
    pub fn hold(&self, name: &str) -> PathBuf {
        self.run.join(format!("hold-{}.lock", name.replace('/', "%2F")))
    }

    /// The lock of a kind of object (`names`, `networks`, `volumes`, `ports`, `store`, `apparmor`).
    pub fn lock(&self, kind: &str) -> PathBuf {
        self.lib.join(format!("{kind}.lock"))
    }
}

/// One container's directory on disk, and its directory below the run root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// What lasts.
    pub lib: PathBuf,
    /// What a reboot ends.
    pub run: PathBuf,
}

impl Bundle {
    /// What the container is: written once at creation (`name` and labels by rename).
    pub fn record(&self) -> PathBuf {
        self.lib.join("container.json")
    }

    /// What it is doing: written by its keeper alone while there is one.
    pub fn status(&self) -> PathBuf {
        self.lib.join("status.json")
    }

    /// Its lock, held by its keeper while that lives.
    pub fn lock(&self) -> PathBuf {
        self.lib.join("lock")
    }

    /// Names of the volumes that go with an unfinished bundle when it is swept away.
    pub fn doomed(&self) -> PathBuf {
        self.lib.join("doomed.json")
    }

    /// There while the container gets another name, and for good where that was killed: it may have two then.
    pub fn renaming(&self) -> PathBuf {
        self.lib.join("renaming")
    }

    /// Held by a command while it starts, renames or removes the container: one of them at a time.
    pub fn act_lock(&self) -> PathBuf {
        self.lib.join("act.lock")
    }

    /// Log files: `log/current.log` and what was rotated.
    pub fn log(&self) -> PathBuf {
        self.lib.join("log")
    }

    /// The keeper's own errors.
    pub fn keeper_log(&self) -> PathBuf {
        self.lib.join("keeper.log")
    }

    /// Writable layer.
    pub fn upper(&self) -> PathBuf {
        self.lib.join("upper")
    }

    /// Overlayfs work directory.
    pub fn work(&self) -> PathBuf {
        self.lib.join("work")
    }

    /// Mount point of the root while the container is set up.
    pub fn root(&self) -> PathBuf {
        self.lib.join("root")
    }

    /// `hosts`, `hostname`, `resolv.conf`, and the content of configs and secrets.
    pub fn files(&self) -> PathBuf {
        self.lib.join("files")
    }

    /// Sockets of those who wait to be attached when the container is started.
    pub fn attach(&self) -> PathBuf {
        self.lib.join("attach")
    }

    /// What the program has written and is not in the log yet.
    pub fn inbox(&self) -> PathBuf {
        self.run.join("inbox")
    }

    /// The keeper's socket.
    pub fn socket(&self) -> PathBuf {
        self.run.join("keeper.sock")
    }
}
