//! Files in and out of containers, as tar streams.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Method;
use orchestrator::engine::archive::{ChangeKind, CopyIn, PathChange, PathStat};
use orchestrator::engine::container::{FileContent, FileMount};
use serde_json::Value;

use crate::docker::client::{Client, LOOK, escape, query, within};
use crate::docker::fault::Fault;
use crate::docker::lines;
use crate::docker::summary;
use crate::docker::transport::Body;

fn archive_path(id: &str, pairs: &[(&str, String)]) -> String {
    format!("/containers/{}/archive{}", escape(id), query(pairs))
}

/// Looks at a path.
pub(crate) async fn stat(client: &Client, id: &str, path: &str) -> Result<PathStat, Fault> {
    let asked = archive_path(id, &[("path", path.to_owned())]);
    let answer = within(LOOK, client.call(Method::HEAD, &asked, None, bollard::body_full(Bytes::new()))).await;
    let answer = answer.map_err(|fault| match fault {
        // An answer to HEAD has no words.
        Fault::Refused { status: 404, .. } => {
            Fault::Refused { status: 404, message: format!("there is no `{path}` in it") }
        }
        other => other,
    })?;
    let broken = || Fault::Broken { why: "the Docker Engine's answer about a path can't be read".to_owned() };
    let header = answer.headers().get("X-Docker-Container-Path-Stat").ok_or_else(broken)?;
    let decoded = STANDARD.decode(header.as_bytes()).map_err(|_| broken())?;
    let found: Value = serde_json::from_slice(&decoded).map_err(|_| broken())?;
    Ok(PathStat {
        name: found["name"].as_str().unwrap_or_default().to_owned(),
        size: found["size"].as_u64().unwrap_or(0),
        mode: unix_mode(found["mode"].as_u64().unwrap_or(0)),
        modified: summary::time(&found["mtime"]),
        link_target: found["linkTarget"].as_str().filter(|target| !target.is_empty()).map(str::to_owned),
    })
}

/// Go has mode bits of its own (`io/fs.FileMode`).
fn unix_mode(go: u64) -> u32 {
    let has = |bit: u32| go & (1 << bit) != 0;
    let kind = if has(31) {
        0o040_000
    } else if has(27) {
        0o120_000
    } else if has(25) {
        0o010_000
    } else if has(24) {
        0o140_000
    } else if has(21) {
        0o020_000
    } else if has(26) {
        0o060_000
    } else {
        0o100_000
    };
    let special = [(23, 0o4000), (22, 0o2000), (20, 0o1000)];
    let special = special.iter().filter(|(bit, _)| has(*bit)).fold(0, |mode, (_, bits)| mode | bits);
    kind | special | u32::try_from(go & 0o777).unwrap_or(0)
}

/// Writes what is at `path` as a tar.
pub(crate) async fn copy_out(client: &Client, id: &str, path: &str, target: OwnedFd) -> Result<(), Fault> {
    let asked = archive_path(id, &[("path", path.to_owned())]);
    let answer = client.call(Method::GET, &asked, None, bollard::body_full(Bytes::new())).await?;
    lines::write_all(answer.into_body(), target).await
}

/// Unpacks a tar into a folder.
pub(crate) async fn copy_in(
    client: &Client,
    id: &str,
    path: &str,
    archive: OwnedFd,
    options: CopyIn,
) -> Result<(), Fault> {
    let body = match options.keep_owners {
        true => lines::of_file(archive),
        false => lines::written(move |target| as_root(&mut std::fs::File::from(archive), target)),
    };
    put(client, id, path, body, options.replace_types).await
}

async fn put(client: &Client, id: &str, path: &str, body: Body, replaces: bool) -> Result<(), Fault> {
    let refuses = if replaces { "0" } else { "1" };
    let asked = archive_path(id, &[("path", path.to_owned()), ("noOverwriteDirNonDir", refuses.to_owned())]);
    client.call(Method::PUT, &asked, Some("application/x-tar"), body).await.map(|_| ())
}

/// Length of a tar's blocks.
const BLOCK: usize = 512;

/// Copies a tar and makes everything in it the root's, as the engine unpacks owners as they are written.
fn as_root(source: &mut dyn Read, target: &mut dyn Write) -> io::Result<()> {
    let mut block = [0; BLOCK];
    loop {
        match source.read_exact(&mut block) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut header = tar::Header::from_byte_slice(&block).clone();
        if block == [0; BLOCK] {
            target.write_all(&block)?;
            continue;
        }
        let size = header.entry_size()?;
        let kind = header.entry_type();
        let padded = size.div_ceil(BLOCK as u64) * BLOCK as u64;
        if kind.is_pax_local_extensions() && size < (1 << 20) {
            let mut records = vec![0; usize::try_from(padded).unwrap_or(0)];
            source.read_exact(&mut records)?;
            records.truncate(usize::try_from(size).unwrap_or(0));
            write_records(&mut header, &owners_removed(&records), target)?;
            continue;
        }
        header.set_uid(0);
        header.set_gid(0);
        if header.as_ustar().is_some() || header.as_gnu().is_some() {
            header.set_username("root")?;
            header.set_groupname("root")?;
        }
        header.set_cksum();
        target.write_all(header.as_bytes())?;
        io::copy(&mut (&mut *source).take(padded), target)?;
    }
}

fn write_records(header: &mut tar::Header, records: &[u8], target: &mut dyn Write) -> io::Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    header.set_size(records.len() as u64);
    header.set_cksum();
    target.write_all(header.as_bytes())?;
    target.write_all(records)?;
    target.write_all(&vec![0; records.len().next_multiple_of(BLOCK) - records.len()])
}

/// Drops owners from pax records: `LENGTH KEY=VALUE\n`.
fn owners_removed(records: &[u8]) -> Vec<u8> {
    let (mut kept, mut rest) = (Vec::new(), records);
    while let Some(space) = rest.iter().position(|byte| *byte == b' ') {
        let length = std::str::from_utf8(&rest[..space]).ok().and_then(|digits| digits.parse::<usize>().ok());
        let Some(length) = length.filter(|length| *length > space && *length <= rest.len()) else { break };
        let (record, after) = rest.split_at(length);
        let key = &record[space + 1..];
        if !["uid=", "gid=", "uname=", "gname="].iter().any(|owner| key.starts_with(owner.as_bytes())) {
            kept.extend_from_slice(record);
        }
        rest = after;
    }
    kept
}

/// Puts configs and secrets that are no plain file of the host into a container that has not been started.
pub(crate) async fn put_contents(client: &Client, id: &str, files: &[&FileMount]) -> Result<(), Fault> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let content = match &file.content {
            FileContent::Inline(content) => content.clone(),
            FileContent::Path(path) => {
                std::fs::read(path).map_err(|error| Fault::Broken { why: format!("cannot read `{path}`: {error}") })?
            }
        };
        let broken = |why: String| Fault::Broken { why: format!("cannot make `{}` in it: {why}", file.target) };
        let number = |id: &Option<String>| match id.as_deref() {
            None | Some("") => Ok(0),
            Some(text) => text.parse::<u64>().map_err(|_| broken(format!("`{text}` is no number"))),
        };
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(file.mode.unwrap_or(0o444));
        header.set_uid(number(&file.uid)?);
        header.set_gid(number(&file.gid)?);
        let path = file.target.trim_start_matches('/');
        archive.append_data(&mut header, path, content.as_slice()).map_err(|error| broken(error.to_string()))?;
    }
    let archive = archive.into_inner().map_err(|error| Fault::Broken { why: error.to_string() })?;
    put(client, id, "/", bollard::body_full(Bytes::from(archive)), true).await
}

/// Lists what a container changed.
pub(crate) async fn changes(client: &Client, id: &str) -> Result<Vec<PathChange>, Fault> {
    let found = client.get(&format!("/containers/{}/changes", escape(id))).await?;
    let change = |change: &Value| PathChange {
        path: change["Path"].as_str().unwrap_or_default().to_owned(),
        kind: match change["Kind"].as_u64() {
            Some(1) => ChangeKind::Added,
            Some(2) => ChangeKind::Deleted,
            Some(_) | None => ChangeKind::Modified,
        },
    };
    Ok(found.as_array().into_iter().flatten().map(change).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_go_are_made_modes_of_unix() {
        assert_eq!(unix_mode((1 << 31) | 0o755), 0o040_755);
        assert_eq!(unix_mode((1 << 27) | 0o777), 0o120_777);
        assert_eq!(unix_mode((1 << 23) | 0o755), 0o104_755);
        assert_eq!(unix_mode(0o644), 0o100_644);
    }

    #[test]
    fn a_tar_is_made_the_roots_with_its_long_names() {
        let mut builder = tar::Builder::new(Vec::new());
        let name = "d/".repeat(80) + "file";
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_uid(1000);
        header.set_gid(1000);
        header.set_mode(0o640);
        builder.append_pax_extensions([("uid", b"1000".as_slice()), ("SCHILY.xattr.user.a", b"b")]).unwrap();
        builder.append_data(&mut header, &name, b"hello".as_slice()).unwrap();
        let archive = builder.into_inner().unwrap();
        let mut copied = Vec::new();
        as_root(&mut archive.as_slice(), &mut copied).unwrap();
        let mut read = tar::Archive::new(copied.as_slice());
        let mut entries = read.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str().unwrap(), name);
        assert_eq!((entry.header().uid().unwrap(), entry.header().mode().unwrap()), (0, 0o640));
        let keys: Vec<String> =
            entry.pax_extensions().unwrap().unwrap().map(|pax| pax.unwrap().key().unwrap().to_owned()).collect();
        assert_eq!(keys, ["SCHILY.xattr.user.a"]);
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        assert_eq!(content, "hello");
        assert!(entries.next().is_none());
    }
}
