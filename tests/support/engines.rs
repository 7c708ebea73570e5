//! One scenario, two engines: the same body, and the end states held against each other.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, PoisonError, RwLock};

use serde_json::{Value, json};

use crate::support::dockerd;

/// Says of each scenario of a file where it runs. `both`: also on a Docker Engine; `alone`: there while no other
/// scenario uses that engine, since it removes what it did not make; `embedded`: not on a Docker Engine, with the
/// reason; `neither`: it asks no engine for anything. A scenario without `#[test]` that stands in `both` runs on a
/// Docker Engine only.
macro_rules! engines {
    (
        $(both: [$($both:ident),* $(,)?] $(,)?)?
        $(alone: [$($alone:ident),* $(,)?] $(,)?)?
        $(embedded: [$($embedded:ident: $why:literal),* $(,)?] $(,)?)?
        $(neither: [$($neither:ident),* $(,)?] $(,)?)?
    ) => {
        mod on_docker {
            //! The scenarios of this file on a Docker Engine.
            $($(
                #[test]
                fn $both() {
                    crate::support::engines::on_docker(concat!(module_path!(), "::", stringify!($both)), false, super::$both);
                }
            )*)?
            $($(
                #[test]
                fn $alone() {
                    crate::support::engines::on_docker(concat!(module_path!(), "::", stringify!($alone)), true, super::$alone);
                }
            )*)?
        }
        $($(const _: (fn(), &str) = ($embedded, $why);)*)?
        $($(const _: fn() = $neither;)*)?
    };
}
pub(crate) use engines;

thread_local! {
    static ON_DOCKER: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread's scenario is to use the suite's Docker Engine.
pub fn is_on_docker() -> bool {
    ON_DOCKER.get()
}

/// Taken for writing by who must be alone with the Docker Engine.
static USERS: RwLock<()> = RwLock::new(());

/// Runs a scenario on the suite's Docker Engine, in its network namespace: that is where its published ports are.
pub fn on_docker(name: &'static str, alone: bool, body: fn()) {
    let Some(dockerd) = dockerd::ours() else { return };
    let _shared = (!alone).then(|| USERS.read().unwrap_or_else(PoisonError::into_inner));
    let _alone = alone.then(|| USERS.write().unwrap_or_else(PoisonError::into_inner));
    // A thread of its own: the caller's may be reused for other scenarios, and namespaces are a thread's.
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let kind = rustix::thread::LinkNameSpaceType::Network;
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&dockerd.network), Some(kind)).unwrap();
        ON_DOCKER.set(true);
        body();
    });
    if let Err(panic) = thread.unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

/// A project's name on the Docker Engine: one scenario at a time has it.
pub struct Name(Option<String>);

static NAMES: Mutex<Option<HashSet<String>>> = Mutex::new(None);
static NAME_FREED: Condvar = Condvar::new();

/// Waits until no other scenario on the Docker Engine uses this project's name.
pub fn name(name: &str) -> Name {
    if !is_on_docker() {
        return Name(None);
    }
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    while !names.get_or_insert_default().insert(name.to_owned()) {
        names = NAME_FREED.wait(names).unwrap_or_else(PoisonError::into_inner);
    }
    Name(Some(name.to_owned()))
}

impl Drop for Name {
    fn drop(&mut self) {
        let Some(name) = self.0.take() else { return };
        NAMES.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().remove(&name);
        NAME_FREED.notify_all();
    }
}

thread_local! {
    /// How many hosts this thread's scenario has ended.
    static ENDED: Cell<usize> = const { Cell::new(0) };
}

/// End states so far.
static ENDINGS: Mutex<Option<Endings>> = Mutex::new(None);

/// By scenario and number of its host: the engine that was first, and what it ended with.
type Endings = HashMap<(String, usize), (bool, Value)>;

/// Holds what a scenario ended with against what it ended with on the other engine, if that was before.
#[track_caller]
pub fn compare(ending: Value) {
    let thread = std::thread::current();
    // The main thread runs everything in turn: no scenario can be told from another.
    let Some(name) = thread.name().filter(|name| *name != "main") else { return };
    let number = ENDED.replace(ENDED.get() + 1);
    let name = name.rsplit("scenarios::").next().unwrap_or(name).replace("on_docker::", "");
    let mut endings = ENDINGS.lock().unwrap_or_else(PoisonError::into_inner);
    let endings = endings.get_or_insert_default();
    match endings.remove(&(name.clone(), number)) {
        Some((engine, other)) if engine != is_on_docker() => {
            let (docker, embedded) = if engine { (other, ending) } else { (ending, other) };
            assert!(docker == embedded, "the engines end differently.\ndocker: {docker:#}\nembedded: {embedded:#}");
        }
        Some(_) | None => {
            endings.insert((name, number), (is_on_docker(), ending));
        }
    }
}

/// What both engines must agree on of a container as `ps` tells it; `folder` stands for the scratch folder. The hash of a
/// service that mounts a part of that folder differs with it: `is_anywhere` is false then.
pub fn observable(container: &Value, folder: &str, is_anywhere: bool) -> Value {
    let kept = ["Service", "State", "ExitCode", "Health", "Image", "Networks", "LocalVolumes"];
    let mut seen: serde_json::Map<String, Value> =
        kept.iter().map(|field| ((*field).to_owned(), container[*field].clone())).collect();
    let text = |field: &str| container[field].as_str().unwrap_or_default().replace(folder, "FOLDER");
    seen.insert("Name".into(), one_off(&text("Name")).into());
    let mut labels: Vec<_> = text("Labels").split(',').map(str::to_owned).collect();
    // The version of the one program, and files that lie elsewhere for each host.
    labels.retain(|label| !label.starts_with("com.docker.compose.image="));
    if !is_anywhere {
        labels.retain(|label| !label.starts_with("com.docker.compose.config-hash="));
    }
    labels.sort();
    seen.insert("Labels".into(), json!(labels.iter().map(|label| one_off(label)).collect::<Vec<_>>()));
    let mut mounts: Vec<_> = text("Mounts").split(',').map(anonymous).collect();
    mounts.sort();
    seen.insert("Mounts".into(), json!(mounts));
    let mut ports: Vec<_> = container["Publishers"].as_array().into_iter().flatten().map(port).collect();
    ports.sort();
    seen.insert("Ports".into(), json!(ports));
    Value::Object(seen)
}

/// Hides the random end of a one-off's name and slug.
fn one_off(text: &str) -> String {
    match text.split_once("-run-").or_else(|| text.split_once("slug=")) {
        Some((before, _)) => format!("{before} one-off"),
        None => text.to_owned(),
    }
}

/// Hides the random name of an anonymous volume.
fn anonymous(name: &str) -> String {
    let is_hex = name.len() >= 12 && name.trim_end_matches('…').bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { "anonymous".to_owned() } else { name.to_owned() }
}

/// A published port without the number that the host had free.
fn port(port: &Value) -> String {
    let is_published = port["PublishedPort"].as_u64().unwrap_or_default() > 0;
    format!("{}/{} {} published: {is_published}", port["TargetPort"], port["Protocol"], port["URL"])
}
