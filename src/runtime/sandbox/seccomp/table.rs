//! The default policy, and the numbers of system calls by name.

use std::collections::BTreeMap;

use crate::sandbox::capabilities;
use crate::sandbox::seccomp::policy::{Abi, Action, Calls, Case, Condition, Policy, Test};

/// See its first lines.
const TABLE: &str = include_str!("table.txt");

const SYS_ADMIN: u64 = 1 << 21;
const EPERM: u16 = libc::EPERM as u16;
const ENOSYS: u16 = libc::ENOSYS as u16;

/// `CLONE_NEW*` of namespaces(7), which the flags of clone must be free of.
const CLONE_NEW: u64 = 0x7E02_0000;

/// Address families that a container may use; not AX.25's neighbours of old, AF_ALG (CVE-2026-31431), AF_VSOCK (the host).
const FAMILIES: [(u32, u32); 9] =
    [(0, 8), (10, 11), (13, 18), (22, 22), (24, 24), (26, 33), (35, 36), (39, 39), (41, 45)];

/// Persons that a program may take on: Linux, 32 bits, both with an old version number; and the question.
const PERSONALITIES: [u32; 5] = [0, 8, 0x2_0000, 0x2_0008, u32::MAX];

/// One line of the table.
pub(super) struct Row {
    pub name: &'static str,
    numbers: [&'static str; 3],
    verdict: &'static str,
}

impl Row {
    /// Its number in a calling convention; `None`: there is none.
    pub fn number(&self, abi: Abi) -> Option<u32> {
        match abi {
            Abi::X86_64 => self.numbers[0],
            Abi::I386 => self.numbers[1],
            Abi::Arm64 => self.numbers[2],
        }
        .parse()
        .ok()
    }
}

/// Returns the lines of the table.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let name = fields.next()?;
        let numbers = [fields.next()?, fields.next()?, fields.next()?];
        Some(Row { name, numbers, verdict: fields.next()? })
    })
}

/// Returns the default policy for a process with these capabilities.
pub(super) fn policy(caps: u64) -> Policy {
    let mut calls: Vec<Calls> =
        Abi::HERE.iter().map(|abi| Calls { abi: *abi, cases: BTreeMap::new(), last_known: 0 }).collect();
    for row in rows() {
        let cases = cases(&row, caps);
        for calls in &mut calls {
            if let Some(number) = row.number(calls.abi) {
                calls.last_known = calls.last_known.max(number);
                if !cases.is_empty() {
                    calls.cases.insert(number, cases.clone());
                }
            }
        }
    }
    Policy { default: Action::Errno(EPERM), calls }
}

/// Returns the cases of one call; none: it is denied.
fn cases(row: &Row, caps: u64) -> Vec<Case> {
    let always = |action| vec![Case { action, conditions: Vec::new() }];
    let when = |action, argument, test| Case { action, conditions: vec![Condition { argument, test }] };
    let admin = caps & SYS_ADMIN != 0;
    match row.verdict {
        "allow" => always(Action::Allow),
        "deny" => Vec::new(),
        "clone" | "clone3" | "ioctl" if admin => always(Action::Allow),
        "clone" => vec![when(Action::Allow, 0, Test::Masked { mask: CLONE_NEW, value: 0 })],
        // Its flags are in memory, where a filter can't look: libc falls back to clone.
        "clone3" => always(Action::Errno(ENOSYS)),
        "socket" => FAMILIES.map(|(first, last)| when(Action::Allow, 0, Test::Within(first, last))).into(),
        "personality" => PERSONALITIES.map(|person| when(Action::Allow, 0, Test::Within(person, person))).into(),
        "ioctl" => {
            let mut cases = vec![libc::TIOCSTI as u32, libc::TIOCLINUX as u32]
                .into_iter()
                .map(|request| when(Action::Errno(EPERM), 1, Test::Within(request, request)))
                .collect::<Vec<_>>();
            cases.extend(always(Action::Allow));
            cases
        }
        needed => {
            let granted = needed.split(',').filter_map(capabilities::number).any(|number| caps & (1 << number) != 0);
            if granted { always(Action::Allow) } else { Vec::new() }
        }
    }
}
