//! What happened: a line an occurrence in the run directory, written by whoever acts, read by whoever wants to know.
//!
//! Files of a few megabytes follow each other and only the last ones are kept, so the whole is bounded. A line is
//! written under the file's lock: times never run backwards, and no line goes into a file that readers have left.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::state::container::ContainerRecord;
use crate::state::layout::Layout;

/// Bytes after which a new file is begun.
const FULL: u64 = 4 << 20;
/// Full files that are kept.
const KEPT: usize = 2;
/// The file that is written to.
const CURRENT: &str = "current";

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// To what.
    pub kind: Kind,
    /// In Docker's words: `create`, `start`, `die`, `health_status: healthy`, ..
    pub action: String,
    /// Id of the thing; a volume's name.
    pub id: String,
    /// Labels, `name`, `image`, `exitCode`, ..
    pub attributes: BTreeMap<String, String>,
}

/// Sort of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Container,
    Network,
    Volume,
    Image,
}

impl Kind {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Image => "image",
        }
    }
}

/// Writes down that something happened. What can't be written is traced: the act itself has been done.
pub fn record(layout: &Layout, kind: Kind, action: &str, id: &str, attributes: BTreeMap<String, String>) {
    let occurrence = Occurrence { time_ns: 0, kind, action: action.into(), id: id.into(), attributes };
    if let Err(error) = append(&layout.occurrences(), occurrence) {
        tracing::warn!(%error, action, id, "cannot write down what happened");
    }
}

/// Writes down what happened to a container.
pub fn of_container(layout: &Layout, container: &ContainerRecord, action: &str, more: &[(&str, String)]) {
    let mut attributes = container.labels.clone();
    attributes.insert("image".into(), container.image_reference.clone());
    attributes.insert("name".into(), container.name.clone());
    attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    record(layout, Kind::Container, action, &container.id, attributes);
}

fn append(folder: &Path, mut occurrence: Occurrence) -> io::Result<()> {
    let mut file = lock_current(folder)?;
    if file.metadata()?.len() >= FULL {
        begin_next(folder)?;
        file = lock_current(folder)?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    occurrence.time_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let mut line = serde_json::to_vec(&occurrence)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// Opens and locks the file that is written to; one that was full and moved away meanwhile is another one.
fn lock_current(folder: &Path) -> io::Result<File> {
    let path = folder.join(CURRENT);
    let open = || OpenOptions::new().create(true).append(true).open(&path);
    loop {
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(folder)?;
                open()?
            }
            other => other?,
        };
        file.lock()?;
        if std::fs::metadata(&path).is_ok_and(|there| Some(there.ino()) == file.metadata().ok().map(|it| it.ino())) {
            return Ok(file);
        }
    }
}

/// Moves the full file away. Its lock is held.
fn begin_next(folder: &Path) -> io::Result<()> {
    let full = full_files(folder)?;
    let next = full.last().map_or(1, |(number, _)| number + 1);
    std::fs::rename(folder.join(CURRENT), folder.join(next.to_string()))?;
    for (_, path) in full.iter().take((full.len() + 1).saturating_sub(KEPT)) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// The full files, oldest first.
fn full_files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if let Some(number) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Reads what happened, from the oldest that is kept or from now on; can be asked again when there is more.
#[derive(Debug)]
pub struct OccurrenceReader {
    folder: PathBuf,
    file: Option<File>,
    /// Read, but no whole line yet.
    rest: Vec<u8>,
}

impl OccurrenceReader {
    /// Opens what is there.
    pub fn open(layout: &Layout, from_now: bool) -> io::Result<Self> {
        let folder = layout.occurrences();
        std::fs::create_dir_all(&folder)?;
        let mut file = if from_now { open(&folder.join(CURRENT)) } else { oldest(&folder)? };
        if from_now && let Some(file) = &mut file {
            file.seek(SeekFrom::End(0))?;
        }
        Ok(Self { folder, file, rest: Vec::new() })
    }

    /// Returns all that there is by now.
    pub fn read(&mut self) -> io::Result<Vec<Occurrence>> {
        let mut found = Vec::new();
        loop {
            let Some(file) = &mut self.file else {
                // Nothing had happened before: the oldest is the first.
                self.file = oldest(&self.folder)?;
                if self.file.is_none() {
                    return Ok(found);
                }
                continue;
            };
            // Looked at before it is read: what is full by then gets no more lines.
            let successor = successor(&self.folder, file)?;
            file.read_to_end(&mut self.rest)?;
            let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let lines: Vec<u8> = self.rest.drain(..whole).collect();
            // A line that a kill has cut off is no occurrence.
            found.extend(lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()));
            let Some(successor) = successor else { return Ok(found) };
            self.rest.clear();
            self.file = Some(successor);
        }
    }
}

fn open(path: &Path) -> Option<File> {
    File::open(path).ok()
}

fn oldest(folder: &Path) -> io::Result<Option<File>> {
    let full = full_files(folder)?.first().and_then(|(_, path)| open(path));
    Ok(full.or_else(|| open(&folder.join(CURRENT))))
}

/// Opens the file after `file`; `None`: it is the one that is written to.
fn successor(folder: &Path, file: &File) -> io::Result<Option<File>> {
    let number = file.metadata()?.ino();
    let is_it = |path: &Path| std::fs::metadata(path).is_ok_and(|there| there.ino() == number);
    let current = folder.join(CURRENT);
    if is_it(&current) {
        return Ok(None);
    }
    let mut later: Vec<PathBuf> = full_files(folder)?.into_iter().map(|(_, path)| path).collect();
    if let Some(at) = later.iter().position(|path| is_it(path)) {
        later.drain(..=at);
    }
    later.push(current);
    Ok(later.iter().find_map(|path| open(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(layout: &Layout, action: &str) {
        record(layout, Kind::Container, action, "1", BTreeMap::new());
    }

    fn actions(reader: &mut OccurrenceReader) -> Vec<String> {
        reader.read().unwrap().into_iter().map(|occurrence| occurrence.action).collect()
    }

    #[test]
    fn what_happens_is_read_from_the_beginning_or_from_now_on() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::under(folder.path());
        write(&layout, "create");
        let mut from_now = OccurrenceReader::open(&layout, true).unwrap();
        write(&layout, "start");
        assert_eq!(actions(&mut OccurrenceReader::open(&layout, false).unwrap()), ["create", "start"]);
        assert_eq!(actions(&mut from_now), ["start"]);
        write(&layout, "die");
        assert_eq!(actions(&mut from_now), ["die"]);
        assert_eq!(actions(&mut from_now), Vec::<String>::new());
    }

    #[test]
    fn a_reader_goes_on_from_file_to_file_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::under(folder.path());
        let mut reader = OccurrenceReader::open(&layout, true).unwrap();
        for round in 0..5 {
            write(&layout, &format!("first {round}"));
            write(&layout, &format!("second {round}"));
            let current = layout.occurrences().join(CURRENT);
            let file = OpenOptions::new().append(true).open(current).unwrap();
            file.set_len(FULL).unwrap();
        }
        let all = actions(&mut reader);
        assert_eq!(all.len(), 6, "{all:?}");
        assert_eq!(all[0], "first 2");
        assert_eq!(full_files(&layout.occurrences()).unwrap().len(), KEPT);
    }

    #[test]
    fn many_writers_lose_nothing_and_times_are_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::under(folder.path());
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let layout = &layout;
                scope.spawn(move || (0..100).for_each(|number| write(layout, &format!("{writer} {number}"))));
            }
        });
        let all = OccurrenceReader::open(&layout, false).unwrap().read().unwrap();
        assert_eq!(all.len(), 400);
        assert!(all.is_sorted_by_key(|occurrence| occurrence.time_ns));
    }
}
