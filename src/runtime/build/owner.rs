//! `--chown` and `--chmod`: names looked up in the image, modes in digits or symbols.

use std::io;
use std::path::Path;

use crate::build::view::View;

/// A user and a group number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Owner {
    pub user: u32,
    pub group: u32,
}

/// Finds the owner that `user[:group]` means in an image.
pub fn owner(view: &View, text: &str) -> Result<Owner, String> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let user = number(view, "/etc/passwd", user).map_err(|error| format!("cannot find user `{user}`: {error}"))?;
    let group = match group {
        // A group left out has the number of the user.
        None | Some("") => user,
        Some(name) => {
            number(view, "/etc/group", name).map_err(|error| format!("cannot find group `{name}`: {error}"))?
        }
    };
    Ok(Owner { user, group })
}

/// Finds the owner of what a step running as `user[:group]` makes (WORKDIR): a name brings its own group.
pub fn running_as(view: &View, text: &str) -> Result<Owner, String> {
    let name = text.split(':').next().unwrap_or_default();
    if text.contains(':') || name.is_empty() {
        return if text.is_empty() { Ok(Owner::default()) } else { owner(view, text) };
    }
    let lines = read(view, "/etc/passwd").map_err(|error| format!("cannot read /etc/passwd: {error}"))?;
    let wanted: Option<u32> = name.parse().ok();
    for line in lines.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [entry, _, user, group, ..] = fields.as_slice() else { continue };
        let (Ok(user), Ok(group)) = (user.parse(), group.parse()) else { continue };
        if *entry == name || wanted == Some(user) {
            return Ok(Owner { user, group });
        }
    }
    wanted.map(|user| Owner { user, group: 0 }).ok_or_else(|| format!("no user `{name}` in the image's /etc/passwd"))
}

fn number(view: &View, file: &str, name: &str) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let lines = read(view, file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let found = lines.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    });
    found.ok_or_else(|| format!("it is not in the image's {file}"))
}

fn read(view: &View, file: &str) -> io::Result<String> {
    let path = view.resolve(Path::new(file))?;
    match view.find(&path)? {
        Some(found) => Ok(String::from_utf8_lossy(&std::fs::read(found.real)?).into_owned()),
        None => Ok(String::new()),
    }
}

/// What `--chmod` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chmod {
    /// `0755`
    Absolute(u32),
    /// `u=rwX,go=rX`
    Symbolic(Vec<Change>),
}

/// One clause of a symbolic mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Bits of the classes that it is about.
    who: u32,
    operator: char,
    permissions: String,
}

/// Reads a mode.
pub fn chmod(text: &str) -> Result<Chmod, String> {
    let bad = || format!("invalid chmod parameter: '{text}'; it should be an octal string between 0 and 07777");
    if text.chars().all(|c| c.is_ascii_digit()) {
        return match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o7777 => Ok(Chmod::Absolute(mode)),
            Ok(_) | Err(_) => Err(bad()),
        };
    }
    text.split(',').map(|clause| change(clause).ok_or_else(bad)).collect::<Result<_, _>>().map(Chmod::Symbolic)
}

fn change(clause: &str) -> Option<Change> {
    let at = clause.find(['=', '+', '-'])?;
    let mut who = 0;
    for class in clause[..at].chars() {
        who |= match class {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    let permissions = &clause[at + 1..];
    let known = permissions.chars().all(|c| "rwxXst".contains(c));
    let operator = clause[at..].chars().next()?;
    known.then(|| Change { who: if who == 0 { 0o7777 } else { who }, operator, permissions: permissions.to_owned() })
}

impl Chmod {
    /// Returns the mode that a file of `mode` gets.
    pub fn apply(&self, mode: u32, folder: bool) -> u32 {
        let changes = match self {
            Self::Absolute(mode) => return *mode,
            Self::Symbolic(changes) => changes,
        };
        changes.iter().fold(mode & 0o7777, |mode, change| {
            let mut bits = 0;
            for permission in change.permissions.chars() {
                bits |= match permission {
                    'r' => 0o444,
                    'w' => 0o222,
                    'x' => 0o111,
                    // Executable for somebody already, or a folder.
                    'X' if folder || mode & 0o111 != 0 => 0o111,
                    's' => 0o6000,
                    't' => 0o1000,
                    _ => 0,
                };
            }
            let bits = bits & change.who;
            match change.operator {
                '+' => mode | bits,
                '-' => mode & !bits,
                _ => (mode & !(change.who & 0o777)) | bits,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_in_digits_and_symbols() {
        assert_eq!(chmod("0755").unwrap().apply(0o644, false), 0o755);
        let symbolic = chmod("u=rwX,go=rX").unwrap();
        assert_eq!((symbolic.apply(0o600, false), symbolic.apply(0o700, true)), (0o644, 0o755));
        assert_eq!(chmod("+x").unwrap().apply(0o644, false), 0o755);
        assert!(chmod("64a").is_err() && chmod("10000").is_err());
    }

    #[test]
    fn owners_are_looked_up_in_the_image() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        std::fs::create_dir(folder.path().join("etc")).unwrap();
        std::fs::write(folder.path().join("etc/passwd"), "app:x:1000:1001::/:/bin/sh\n").unwrap();
        std::fs::write(folder.path().join("etc/group"), "web:x:77:\n").unwrap();
        let view = View::new(vec![folder.path().to_owned()]);
        assert_eq!(owner(&view, "app:web"), Ok(Owner { user: 1000, group: 77 }));
        assert_eq!(owner(&view, "app"), Ok(Owner { user: 1000, group: 1000 }));
        assert_eq!(running_as(&view, "app"), Ok(Owner { user: 1000, group: 1001 }));
        assert!(owner(&view, "nobody").unwrap_err().contains("`nobody`"));
    }
}
