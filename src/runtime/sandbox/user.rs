//! The user that a program runs as, by the container's own `/etc/passwd` and `/etc/group`. Docker's rules, but for numbers:
//! only plain digits are one, so that no odd spelling becomes uid 0 by accident.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::sys::fd;

/// No file of users is longer.
const LONGEST: u64 = 1 << 20;

/// The highest id that Docker takes.
const HIGHEST_ID: u32 = i32::MAX as u32;

/// Who a program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// All groups, the primary one first (without it, a file's negative group permission would not hold: CVE-2022-2989).
    pub groups: Vec<u32>,
    /// Home directory; `/` where the user has none.
    pub home: String,
}

/// Why a user is not one.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The files don't have it.
    #[error("no user `{name}` in the container's /etc/passwd")]
    NoUser {
        /// As written.
        name: String,
    },
    /// The files don't have it.
    #[error("no group `{name}` in the container's /etc/group")]
    NoGroup {
        /// As written.
        name: String,
    },
    /// A number that is none.
    #[error("`{id}` is not an id between 0 and 2147483647")]
    OutOfRange {
        /// As written.
        id: String,
    },
    /// `:group`
    #[error("`{text}` names no user")]
    Empty {
        /// As written.
        text: String,
    },
    /// The file is not a regular one, or too long, or can't be read.
    #[error("cannot read the container's `{path}`")]
    File {
        /// `/etc/passwd`
        path: &'static str,
        /// What was wrong.
        #[source]
        source: io::Error,
    },
}

/// Looks up `user[:group]`, names or numbers, in the root at a descriptor. Empty is root. `additional` are more groups.
pub fn lookup(root: BorrowedFd<'_>, user: &str, additional: &[String]) -> Result<Ids, UserError> {
    let passwd = read(root, "/etc/passwd")?;
    let group = read(root, "/etc/group")?;
    resolve(&passwd, &group, user, additional)
}

/// Reads a file of the container; one that does not exist is empty.
fn read(root: BorrowedFd<'_>, path: &'static str) -> Result<String, UserError> {
    let file = match fd::open_file(root, Path::new(path)) {
        Ok(file) => File::from(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(source) => return Err(UserError::File { path, source }),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|source| UserError::File { path, source })?;
    if bytes.len() as u64 > LONGEST {
        return Err(UserError::File { path, source: io::Error::from_raw_os_error(libc::EFBIG) });
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The same for the contents of both files.
pub fn resolve(passwd: &str, group: &str, text: &str, additional: &[String]) -> Result<Ids, UserError> {
    let (user, group_name) = text.split_once(':').unwrap_or((text, ""));
    if user.is_empty() && !text.is_empty() {
        return Err(UserError::Empty { text: text.to_owned() });
    }
    let mut ids = Ids { uid: 0, gid: 0, groups: Vec::new(), home: "/".to_owned() };
    let number = id(user)?;
    let entry = passwd.lines().filter_map(User::parse).find(|entry| match number {
        Some(uid) => entry.uid == uid,
        None if user.is_empty() => entry.uid == 0,
        None => entry.name == user,
    });
    match (&entry, number) {
        (Some(entry), _) => {
            ids.uid = entry.uid;
            ids.gid = entry.gid;
            if !entry.home.is_empty() {
                ids.home = entry.home.to_owned();
            }
        }
        (None, Some(uid)) => ids.uid = uid,
        (None, None) if user.is_empty() => {}
        (None, None) => return Err(UserError::NoUser { name: user.to_owned() }),
    }
    let mut supplementary = Vec::new();
    if group_name.is_empty() {
        if let Some(entry) = &entry {
            let member = |group: &Group<'_>| group.members.split(',').any(|name| name == entry.name);
            supplementary.extend(group.lines().filter_map(Group::parse).filter(member).map(|group| group.gid));
        }
    } else {
        ids.gid = group_id(group, group_name)?;
    }
    for name in additional {
        supplementary.push(group_id(group, name)?);
    }
    ids.groups.push(ids.gid);
    for gid in supplementary {
        if !ids.groups.contains(&gid) {
            ids.groups.push(gid);
        }
    }
    Ok(ids)
}

/// Returns the id of a group by name or number. A number need not be in the file.
fn group_id(file: &str, name: &str) -> Result<u32, UserError> {
    if let Some(gid) = id(name)? {
        return Ok(gid);
    }
    file.lines()
        .filter_map(Group::parse)
        .find(|group| group.name == name)
        .map(|group| group.gid)
        .ok_or_else(|| UserError::NoGroup { name: name.to_owned() })
}

/// Reads a number; `None`: it is a name.
fn id(text: &str) -> Result<Option<u32>, UserError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(id) if id <= HIGHEST_ID => Ok(Some(id)),
        Ok(_) | Err(_) => Err(UserError::OutOfRange { id: text.to_owned() }),
    }
}

/// A line of passwd(5).
struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> User<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let _gecos = fields.next();
        Some(Self { name, uid, gid, home: fields.next().unwrap_or_default() })
    }
}

/// A line of group(5).
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> Group<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let gid = fields.next()?.parse().ok()?;
        Some(Self { name, gid, members: fields.next().unwrap_or_default().trim_end() })
    }
}

#[cfg(test)]
mod tests {
    use super::{Ids, UserError, resolve};

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1001:Bob:/home/bob:/bin/sh\nno:line\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,bob\nbob:x:1001:\nvideo:x:27:bob\n";

    fn look(user: &str, additional: &[&str]) -> Result<Ids, UserError> {
        let additional: Vec<String> = additional.iter().map(|name| (*name).to_owned()).collect();
        resolve(PASSWD, GROUP, user, &additional)
    }

    fn check(user: &str, uid: u32, gid: u32, groups: &[u32], home: &str) {
        let ids = look(user, &[]).unwrap();
        assert_eq!((ids.uid, ids.gid, &*ids.groups, &*ids.home), (uid, gid, groups, home), "{user}");
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        check("", 0, 0, &[0, 10], "/root");
        check("root", 0, 0, &[0, 10], "/root");
        check("bob", 1000, 1001, &[1001, 10, 27], "/home/bob");
        check("1000", 1000, 1001, &[1001, 10, 27], "/home/bob");
        check("4242", 4242, 0, &[0], "/");
    }

    #[test]
    fn a_group_given_replaces_all_others() {
        check("bob:wheel", 1000, 10, &[10], "/home/bob");
        check("bob:4", 1000, 4, &[4], "/home/bob");
        assert_eq!(look("bob:27", &["wheel", "99"]).unwrap().groups, [27, 10, 99]);
    }

    #[test]
    fn an_odd_spelling_never_becomes_root() {
        for user in ["0x0", " 0", "+0", "-1", "0 ", "4294967296", ":", ":0", "nobody", "bob:none"] {
            assert!(look(user, &[]).is_err(), "{user}");
        }
    }

    #[test]
    fn without_the_files_numbers_still_work() {
        assert_eq!(resolve("", "", "7:8", &[]).unwrap().gid, 8);
        assert_eq!(resolve("", "", "", &[]).unwrap().uid, 0);
        assert_eq!(
            resolve("", "", "bob", &[]).unwrap_err().to_string(),
            "no user `bob` in the container's /etc/passwd"
        );
    }
}
