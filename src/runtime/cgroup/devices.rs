//! Which devices a container may open: rules of the v1 devices controller, or a program attached to its v2 group.

use std::io;
use std::path::Path;

use rustix::fs::FileType;

use crate::cgroup::group::GroupError;
use crate::state::container::DeviceRecord;
use crate::sys::bpf::{self, Extended};

/// Docker's: making any node, opening the usual ones. Terminals are major 136.
const USUAL: [&str; 10] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
];
const TERMINALS: &str = "c 136:* rwm";

/// What a container may do with device nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DevicePolicy {
    /// Everything (`privileged`).
    pub all: bool,
    /// Beyond the usual ones, in the notation of the devices controller: `c 10:200 rwm`, `b *:* r`.
    pub rules: Vec<String>,
}

impl DevicePolicy {
    /// The policy of a container: its devices, found on the host, and its own rules.
    pub fn of(privileged: bool, devices: &[DeviceRecord], rules: &[String]) -> io::Result<Self> {
        let mut policy = Self { all: privileged, rules: rules.to_vec() };
        for device in devices {
            let permissions = if device.permissions.is_empty() { "rwm" } else { &device.permissions };
            policy.add(&device.source, permissions)?;
        }
        Ok(policy)
    }

    /// Adds a device, or all of a folder's.
    fn add(&mut self, path: &Path, permissions: &str) -> io::Result<()> {
        let stat = rustix::fs::stat(path)?;
        let letter = match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice => 'c',
            FileType::BlockDevice => 'b',
            FileType::Directory => {
                for entry in std::fs::read_dir(path)? {
                    self.add(&entry?.path(), permissions)?;
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        self.rules.push(format!("{letter} {major}:{minor} {permissions}"));
        Ok(())
    }

    /// All rules; checked, so that a wrong one is told with its text.
    pub(super) fn checked(&self) -> Result<Vec<Rule>, GroupError> {
        USUAL
            .into_iter()
            .chain([TERMINALS])
            .chain(self.rules.iter().map(String::as_str))
            .map(|rule| Rule::parse(rule).ok_or_else(|| GroupError::Rule { rule: rule.to_owned() }))
            .collect()
    }
}

/// One rule: what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    /// `None`: both.
    kind: Option<Kind>,
    /// `None`: any.
    major: Option<u32>,
    minor: Option<u32>,
    /// `BPF_DEVCG_ACC_*` of linux/bpf.h.
    access: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Block = 1,
    Character = 2,
}

const MAKE: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let kind = match words.next()? {
            "a" => None,
            "b" => Some(Kind::Block),
            "c" => Some(Kind::Character),
            _ => return None,
        };
        let Some(numbers) = words.next() else {
            return kind.is_none().then_some(Self { kind, major: None, minor: None, access: MAKE | READ | WRITE });
        };
        let (major, minor) = numbers.split_once(':')?;
        let number = |text: &str| if text == "*" { Some(None) } else { text.parse().ok().map(Some) };
        let mut access = 0;
        for letter in words.next().unwrap_or("rwm").chars() {
            access |= match letter {
                'r' => READ,
                'w' => WRITE,
                'm' => MAKE,
                _ => return None,
            };
        }
        Some(Self { kind, major: number(major)?, minor: number(minor)?, access })
    }
}

/// Returns a program that allows exactly what the rules do.
///
/// It gets a `struct bpf_cgroup_dev_ctx` (linux/bpf.h): kind in the lower and access in the upper half of the first word,
/// then major and minor number.
pub(super) fn program(rules: &[Rule]) -> Vec<Extended> {
    let instruction = |code, registers, offset, immediate: u32| Extended {
        code,
        registers,
        offset,
        immediate: immediate.cast_signed(),
    };
    // r2 = kind, r3 = access, r4 = major, r5 = minor
    let mut program = vec![
        instruction(0x61, 0x12, 0, 0),
        instruction(0xbf, 0x23, 0, 0),
        instruction(0x57, 0x02, 0, 0xffff),
        instruction(0x77, 0x03, 0, 16),
        instruction(0x61, 0x14, 4, 0),
        instruction(0x61, 0x15, 8, 0),
    ];
    for rule in rules {
        let mut tests = Vec::new();
        if let Some(kind) = rule.kind {
            tests.push(instruction(0x55, 0x02, 0, kind as u32));
        }
        if rule.access != MAKE | READ | WRITE {
            // r1 = access & !allowed must be nothing. The context that was in r1 is not needed any more.
            tests.push(instruction(0xbf, 0x31, 0, 0));
            tests.push(instruction(0x57, 0x01, 0, !rule.access));
            tests.push(instruction(0x55, 0x01, 0, 0));
        }
        if let Some(major) = rule.major {
            tests.push(instruction(0x55, 0x04, 0, major));
        }
        if let Some(minor) = rule.minor {
            tests.push(instruction(0x55, 0x05, 0, minor));
        }
        // A test that fails jumps over the rest and over `return 1`.
        let end = tests.len() + 2;
        for (index, test) in tests.iter_mut().enumerate() {
            if test.code == 0x55 {
                test.offset = i16::try_from(end - index - 1).unwrap_or(0);
            }
        }
        program.extend(tests);
        program.extend([instruction(0xb7, 0x00, 0, 1), instruction(0x95, 0, 0, 0)]);
    }
    program.extend([instruction(0xb7, 0x00, 0, 0), instruction(0x95, 0, 0, 0)]);
    program
}

/// Holds a v2 group to the rules.
pub(super) fn attach(rules: &[Rule], group: std::os::fd::BorrowedFd<'_>) -> io::Result<()> {
    use std::os::fd::AsFd as _;
    let program = bpf::load_device_program(&program(rules))?;
    bpf::attach_device_program(program.as_fd(), group)
}

/// Returns a rule in the notation of the v1 controller.
pub(super) fn notation(rule: &Rule) -> String {
    let kind = match rule.kind {
        None => 'a',
        Some(Kind::Block) => 'b',
        Some(Kind::Character) => 'c',
    };
    let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
    let access: String = [(READ, 'r'), (WRITE, 'w'), (MAKE, 'm')]
        .iter()
        .filter(|(bit, _)| rule.access & bit != 0)
        .map(|(_, c)| c)
        .collect();
    format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor))
}

#[cfg(test)]
mod tests {
    use super::{DevicePolicy, Rule, notation};

    #[test]
    fn rules_are_read_and_written_alike() {
        for text in ["c 1:3 rwm", "b *:* m", "c 136:* rw", "a *:* rwm"] {
            assert_eq!(notation(&Rule::parse(text).unwrap()), text);
        }
    }

    #[test]
    fn a_wrong_rule_is_told_with_its_text() {
        let policy = DevicePolicy { all: false, rules: vec!["c 1:x rwm".to_owned()] };
        assert!(policy.checked().unwrap_err().to_string().contains("`c 1:x rwm`"));
    }
}
