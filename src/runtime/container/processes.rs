//! The processes of a container, in the columns of ps(1). No program is run for it, on the host or in the container.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::Runtime;
use crate::cgroup::group::Group;
use crate::container::act::{self, ActError};
use crate::container::list;
use crate::keeper::spec;
use crate::state::calendar;
use crate::state::process::ProcessId;

/// Clock ticks a second, as /proc counts them.
const TICKS: u64 = 100;

/// What `ps` prints without being asked for more.
const FULL: [&str; 8] = ["user", "pid", "ppid", "c", "stime", "tty", "time", "args"];
const FULL_TITLES: [&str; 8] = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
const BSD: [&str; 11] = ["user", "pid", "pcpu", "pmem", "vsz", "rss", "tty", "stat", "start", "time", "args"];
const BSD_TITLES: [&str; 11] = ["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"];
const SHORT: [&str; 4] = ["pid", "tty", "time", "comm"];
const SHORT_TITLES: [&str; 4] = ["PID", "TTY", "TIME", "CMD"];

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessTable {
    /// Column titles.
    pub titles: Vec<String>,
    /// One row a process, by process number on the host.
    pub rows: Vec<Vec<String>>,
}

/// Lists the processes of a container that runs; `arguments` as ps(1) takes them: none, `-ef`, `aux`, `-o pid,args`.
pub fn list(rt: &Runtime, name: &str, arguments: &[String]) -> Result<ProcessTable, ActError> {
    let container = list::find(rt, name)?;
    let init = act::init(&container)?;
    let unsupported =
        |why| ActError::Unsupported { act: "list the processes of", name: container.record.name.clone(), why };
    let columns = columns(arguments).map_err(unsupported)?;
    let group = Group::open(&spec::group_name(&container.record.id, container.record.limits.parent.as_deref()));
    let host = Host::read();
    let mut pids = of(&group, init);
    pids.sort_unstable();
    let rows = pids.into_iter().filter_map(|pid| Process::read(pid, &host));
    Ok(ProcessTable {
        titles: columns.iter().map(|(_, title)| title.clone()).collect(),
        rows: rows.map(|process| columns.iter().map(|(key, _)| process.value(key)).collect()).collect(),
    })
}

/// The processes of a group; where there are no groups, those in the pid namespace of process 1.
pub(super) fn of(group: &Group, init: ProcessId) -> Vec<i32> {
    let pids = group.processes();
    if !pids.is_empty() {
        return pids;
    }
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(wanted) = namespace(&init.pid.to_string()) else { return Vec::new() };
    if Some(&wanted) == namespace("self").as_ref() {
        return vec![init.pid];
    }
    let all =
        fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    all.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|name| namespace(name).as_ref() == Some(&wanted))
        .filter_map(|name| name.parse().ok())
        .collect()
}

type Columns = Vec<(String, String)>;

/// Understands what is asked for; the error says what there is.
fn columns(arguments: &[String]) -> Result<Columns, String> {
    let pairs = |keys: &[&str], titles: &[&str]| -> Columns {
        keys.iter().zip(titles).map(|(key, title)| ((*key).to_owned(), (*title).to_owned())).collect()
    };
    let mut chosen = Columns::new();
    let (mut is_full, mut is_bsd, mut is_short) = (arguments.is_empty(), false, false);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let flags = word.strip_prefix('-');
        let letters = flags.unwrap_or(word);
        match letters.split_once('o') {
            Some((before, list)) if before.chars().all(|letter| "eAaxf".contains(letter)) => {
                let list = if list.is_empty() { words.next().map_or("", String::as_str) } else { list };
                for column in list.split([',', ' ']).filter(|column| !column.is_empty()) {
                    chosen.push(column_of(column)?);
                }
            }
            _ if letters.chars().all(|letter| "eAaxufwl".contains(letter)) && !letters.is_empty() => {
                is_bsd |= letters.contains('u');
                is_full |= letters.contains('f') || letters.contains('l');
                is_short = true;
            }
            _ => return Err(format!("`{word}` is not understood; try none, `-ef`, `aux`, or `-o pid,ppid,user,args`")),
        }
    }
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    Ok(if is_bsd {
        pairs(&BSD, &BSD_TITLES)
    } else if is_full {
        pairs(&FULL, &FULL_TITLES)
    } else if is_short {
        pairs(&SHORT, &SHORT_TITLES)
    } else {
        return Err("no columns are asked for".into());
    })
}

/// `pid`, or `pid=TITLE`.
fn column_of(text: &str) -> Result<(String, String), String> {
    let (name, title) = text.split_once('=').map_or((text, None), |(name, title)| (name, Some(title)));
    let (key, usual) = match name.to_ascii_lowercase().as_str() {
        "pid" => ("pid", "PID"),
        "ppid" => ("ppid", "PPID"),
        "pgid" | "pgrp" => ("pgid", "PGID"),
        "sid" | "sess" => ("sid", "SID"),
        "uid" | "euid" => ("uid", "UID"),
        "user" | "euser" | "uname" => ("user", "USER"),
        "comm" | "ucmd" => ("comm", "COMMAND"),
        "cmd" => ("args", "CMD"),
        "args" | "command" => ("args", "COMMAND"),
        "time" | "cputime" => ("time", "TIME"),
        "etime" => ("etime", "ELAPSED"),
        "etimes" => ("etimes", "ELAPSED"),
        "tty" | "tt" | "tname" => ("tty", "TT"),
        "stat" => ("stat", "STAT"),
        "s" | "state" => ("s", "S"),
        "rss" | "rssize" => ("rss", "RSS"),
        "vsz" | "vsize" => ("vsz", "VSZ"),
        "pcpu" | "%cpu" => ("pcpu", "%CPU"),
        "pmem" | "%mem" => ("pmem", "%MEM"),
        "c" => ("c", "C"),
        "stime" => ("stime", "STIME"),
        "start" | "start_time" => ("start", "START"),
        "ni" | "nice" => ("ni", "NI"),
        "nlwp" | "thcount" => ("nlwp", "NLWP"),
        _ => return Err(format!("there is no column `{name}`")),
    };
    Ok((key.into(), title.unwrap_or(usual).into()))
}

/// What all rows need to know of the host.
struct Host {
    /// Seconds since 1970.
    boot: u64,
    now: u64,
    memory_kb: u64,
    users: HashMap<u32, String>,
}

impl Host {
    fn read() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0);
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory =
            memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().split(' ').next()?.parse().ok());
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = |line: &str| {
            let mut fields = line.split(':');
            let (name, uid) = (fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?);
            Some((uid, name))
        };
        // The first of several names counts.
        let mut users = HashMap::new();
        for (uid, name) in passwd.lines().filter_map(user) {
            users.entry(uid).or_insert(name);
        }
        Self { boot, now: crate::keeper::stdio::now().as_secs(), memory_kb: memory.unwrap_or(1), users }
    }
}

/// One process, out of proc_pid_stat(5).
struct Process<'a> {
    pid: i32,
    uid: u32,
    comm: String,
    args: String,
    /// From field 3, the state, on.
    fields: Vec<String>,
    host: &'a Host,
}

impl<'a> Process<'a> {
    fn read(pid: i32, host: &'a Host) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (before, rest) = stat.rsplit_once(')')?;
        let comm = before.split_once('(')?.1.to_owned();
        let fields = rest.split_ascii_whitespace().map(str::to_owned).collect();
        let uid = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let args = String::from_utf8_lossy(&line).trim_end_matches('\0').replace(['\0', '\n'], " ");
        let args = if args.is_empty() { format!("[{comm}]") } else { args };
        Some(Self { pid, uid, comm, args, fields, host })
    }

    /// A field by its number in the manual page.
    fn number(&self, field: usize) -> u64 {
        self.fields
            .get(field - 3)
            .and_then(|text| text.parse::<i64>().ok())
            .map_or(0, |number| number.max(0).cast_unsigned())
    }

    fn cpu_seconds(&self) -> u64 {
        (self.number(14) + self.number(15)) / TICKS
    }

    fn started(&self) -> u64 {
        self.host.boot + self.number(22) / TICKS
    }

    fn elapsed(&self) -> u64 {
        self.host.now.saturating_sub(self.started())
    }

    fn rss_kb(&self) -> u64 {
        self.number(24) * u64::try_from(rustix::param::page_size()).unwrap_or(4096) / 1024
    }

    /// Thousandths of a processor over its whole life.
    fn share(&self) -> u64 {
        ((self.number(14) + self.number(15)) * 1000 / TICKS) / self.elapsed().max(1)
    }

    fn value(&self, key: &str) -> String {
        let tenths = |share: u64| format!("{}.{}", share / 10, share % 10);
        match key {
            "pid" => self.pid.to_string(),
            "ppid" => self.number(4).to_string(),
            "pgid" => self.number(5).to_string(),
            "sid" => self.number(6).to_string(),
            "uid" => self.uid.to_string(),
            "user" => self.host.users.get(&self.uid).cloned().unwrap_or_else(|| self.uid.to_string()),
            "comm" => self.comm.clone(),
            "args" => self.args.clone(),
            "time" => {
                let seconds = self.cpu_seconds();
                format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
            }
            "etimes" => self.elapsed().to_string(),
            "etime" => elapsed(self.elapsed()),
            "tty" => terminal(self.number(7)),
            "stat" => self.stat(),
            "s" => self.fields.first().cloned().unwrap_or_default(),
            "rss" => self.rss_kb().to_string(),
            "vsz" => (self.number(23) / 1024).to_string(),
            "pcpu" => tenths(self.share()),
            "pmem" => tenths(self.rss_kb() * 1000 / self.host.memory_kb.max(1)),
            "c" => (self.share() / 10).min(99).to_string(),
            "stime" | "start" => clock(self.started(), self.host.now),
            "ni" => self.fields.get(16).cloned().unwrap_or_default(),
            "nlwp" => self.number(20).to_string(),
            _ => String::new(),
        }
    }

    fn stat(&self) -> String {
        let mut text = self.fields.first().cloned().unwrap_or_default();
        let nice = self.fields.get(16).and_then(|nice| nice.parse::<i32>().ok()).unwrap_or(0);
        text.push_str(if nice < 0 {
            "<"
        } else if nice > 0 {
            "N"
        } else {
            ""
        });
        let is = |field| self.number(field) == u64::from(self.pid.unsigned_abs());
        text.push_str(if is(6) { "s" } else { "" });
        text.push_str(if self.number(20) > 1 { "l" } else { "" });
        let foreground = self.fields.get(5).and_then(|group| group.parse::<i64>().ok()).unwrap_or(-1);
        text.push_str(if foreground > 0 && foreground.cast_unsigned() == self.number(5) { "+" } else { "" });
        text
    }
}

/// `[[DD-]HH:]MM:SS`
fn elapsed(seconds: u64) -> String {
    let (days, hours, minutes, rest) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes:02}:{rest:02}"),
        (0, _) => format!("{hours:02}:{minutes:02}:{rest:02}"),
        _ => format!("{days}-{hours:02}:{minutes:02}:{rest:02}"),
    }
}

/// Name of a device number as in field 7 of proc_pid_stat(5).
fn terminal(device: u64) -> String {
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00);
    match (major, minor) {
        (0, 0) => "?".into(),
        (136..=143, minor) => format!("pts/{}", (major - 136) * 256 + minor),
        (4, minor) => format!("tty{minor}"),
        (5, 1) => "console".into(),
        (major, minor) => format!("{major}:{minor}"),
    }
}

/// The time of day in UTC, of another day its date (`Nov24`).
fn clock(time: u64, now: u64) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    if time / 86_400 == now / 86_400 {
        return format!("{:02}:{:02}", time / 3600 % 24, time / 60 % 60);
    }
    let (_, month, day) = calendar::date(i64::try_from(time / 86_400).unwrap_or(0));
    let name = MONTHS[usize::try_from(month - 1).unwrap_or(0)];
    format!("{name}{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(arguments: &[&str]) -> Result<String, String> {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        columns(&arguments).map(|columns| columns.into_iter().map(|(_, title)| title).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn columns_are_those_of_ps() {
        assert_eq!(titles(&[]).unwrap(), "UID PID PPID C STIME TTY TIME CMD");
        assert_eq!(titles(&["-ef"]), titles(&[]));
        assert_eq!(titles(&["aux"]).unwrap(), "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND");
        assert_eq!(titles(&["-eo", "pid,comm=NAME"]).unwrap(), "PID NAME");
        assert_eq!(titles(&["-opid,args"]).unwrap(), "PID COMMAND");
        assert_eq!(titles(&["-e"]).unwrap(), "PID TTY TIME CMD");
        assert_eq!(titles(&["-o", "nonsense"]).unwrap_err(), "there is no column `nonsense`");
        assert!(titles(&["--forest"]).is_err());
    }

    #[test]
    fn times_and_terminals_are_written_as_ps_does() {
        assert_eq!((elapsed(61).as_str(), elapsed(90_061).as_str()), ("01:01", "1-01:01:01"));
        assert_eq!((terminal(0).as_str(), terminal(136 << 8 | 3).as_str()), ("?", "pts/3"));
        assert_eq!(clock(1_709_168_461, 1_709_168_999), "01:01");
        assert_eq!(clock(1_709_168_461, 1_719_168_999), "Feb29");
    }
}
