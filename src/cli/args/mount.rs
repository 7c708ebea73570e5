//! `-v SOURCE:TARGET[:OPTIONS]`, `--mount type=..` and `--tmpfs`: what a container is given on the command line.

use std::path::Path;

use orchestrator::engine::container::{Mount, MountSource};

/// Reads one value of `-v`; relative sources start from `folder`.
pub(crate) fn parse_volume(text: &str, folder: &Path) -> Result<Mount, String> {
    let wrong = |why: &str| format!("`{text}` is no volume: {why}; write `NAME:/PATH`, `./FOLDER:/PATH:ro` or `/PATH`");
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return Err(wrong("it has too many parts")),
    };
    if !target.starts_with('/') {
        return Err(wrong(&format!("`{target}` is not an absolute path")));
    }
    let mut read_only = false;
    let (mut nocopy, mut propagation, mut selinux) = (false, None, None);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "z" | "Z" => selinux = Some(option.to_owned()),
            "rw" | "cached" | "delegated" | "consistent" => {}
            "nocopy" => nocopy = true,
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => propagation = Some(option.to_owned()),
            other => return Err(wrong(&format!("there is no option `{other}`"))),
        }
    }
    let source = match source {
        None => MountSource::Anonymous { name: None },
        Some("") => return Err(wrong("the source is empty")),
        Some(path) if path.starts_with(['/', '.', '~']) => {
            MountSource::Bind { path: absolute(path, folder), create: true, propagation, recursive: None, selinux }
        }
        Some(name) if is_name(name) => MountSource::Volume { name: name.to_owned(), nocopy, subpath: None },
        Some(name) => return Err(wrong(&format!("`{name}` is neither a path nor a name of a volume"))),
    };
    Ok(Mount { source, target: target.to_owned(), read_only })
}

/// Reads one value of `--mount`.
pub(crate) fn parse_mount(text: &str, folder: &Path) -> Result<Mount, String> {
    let wrong =
        |why: String| format!("`{text}` is no mount: {why}; write `type=bind,source=/FROM,target=/TO,readonly`");
    let (mut kind, mut source, mut target, mut read_only) = ("volume", None, None, false);
    let (mut propagation, mut nocopy, mut subpath, mut size, mut mode) = (None, false, None, None, None);
    let mut recursive = None;
    for field in text.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, "true"));
        let is_on = || !matches!(value, "false" | "0");
        match key {
            "type" => kind = value,
            "source" | "src" => source = Some(value),
            "target" | "dst" | "destination" => target = Some(value.to_owned()),
            "readonly" | "ro" => read_only = is_on(),
            "bind-propagation" => propagation = Some(value.to_owned()),
            "volume-nocopy" => nocopy = is_on(),
            "volume-subpath" | "image-subpath" => subpath = Some(value.to_owned()),
            "tmpfs-size" => size = Some(parse_bytes(value).ok_or_else(|| wrong(format!("`{value}` is no size")))?),
            "tmpfs-mode" => {
                let bits = u32::from_str_radix(value, 8);
                mode = Some(bits.map_err(|_| wrong(format!("`{value}` is no octal mode")))?);
            }
            // Said by programs that know Docker; these change nothing on Linux.
            "consistency" | "volume-driver" | "volume-opt" | "volume-label" => {}
            "bind-recursive" => recursive = Some(value.to_owned()),
            other => return Err(wrong(format!("there is no field `{other}`"))),
        }
    }
    let target = target.filter(|target| target.starts_with('/')).ok_or_else(|| wrong("`target` is missing".into()))?;
    let named = |what: &str| source.map(str::to_owned).ok_or_else(|| wrong(format!("a {what} needs a `source`")));
    let source = match kind {
        "bind" => {
            let path = absolute(&named("bind")?, folder);
            MountSource::Bind { path, create: false, propagation, recursive, selinux: None }
        }
        "volume" => match source {
            Some(name) => MountSource::Volume { name: name.to_owned(), nocopy, subpath },
            None => MountSource::Anonymous { name: None },
        },
        "tmpfs" => MountSource::Tmpfs { size, mode, options: Vec::new() },
        "image" => MountSource::Image { reference: named("image")?, subpath },
        other => return Err(wrong(format!("there is no type `{other}`"))),
    };
    Ok(Mount { source, target, read_only })
}

/// Reads one value of `--tmpfs`: `/PATH[:OPTIONS]`.
pub(crate) fn parse_tmpfs(text: &str) -> Result<Mount, String> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    if !target.starts_with('/') {
        return Err(format!("`{target}` is not an absolute path; write `/PATH` or `/PATH:size=64m`"));
    }
    let (mut size, mut mode, mut read_only, mut others) = (None, None, false, Vec::new());
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", value)) => size = Some(parse_bytes(value).ok_or(format!("`{value}` is no size"))?),
            Some(("mode", value)) => {
                mode = Some(u32::from_str_radix(value, 8).map_err(|_| format!("`{value}` is no octal mode"))?);
            }
            _ if option == "ro" => read_only = true,
            _ => others.push(option.to_owned()),
        }
    }
    Ok(Mount { source: MountSource::Tmpfs { size, mode, options: others }, target: target.to_owned(), read_only })
}

/// Reads bytes as Docker does: `64m`, `1.5g`, `1024`, base 1024.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_lowercase();
    let digits = lower.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let power = match unit.trim().trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    let bytes = number * 1024_f64.powi(power);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is known to be in range")]
    (0.0..1e19).contains(&bytes).then_some(bytes as u64)
}

fn absolute(path: &str, folder: &Path) -> String {
    if let Some(rest) = path.strip_prefix('~')
        && (rest.is_empty() || rest.starts_with('/'))
        && let Some(home) = home()
    {
        return format!("{home}{rest}");
    }
    compose::environment::discovery::join(folder, path).display().to_string()
}

#[expect(clippy::disallowed_methods, reason = "a `~` on the command line is the caller's home")]
fn home() -> Option<String> {
    std::env::var("HOME").ok()
}

/// Says whether a volume may have this name.
fn is_name(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(text: &str) -> Result<Mount, String> {
        parse_volume(text, Path::new("/here"))
    }

    #[test]
    fn a_source_is_a_path_a_name_or_nothing() {
        let bind = |path: &str| MountSource::Bind {
            path: path.into(),
            create: true,
            propagation: None,
            recursive: None,
            selinux: None,
        };
        assert_eq!(volume("./data:/x").unwrap().source, bind("/here/data"));
        assert_eq!(
            volume("/data:/x:ro").unwrap(),
            Mount { source: bind("/data"), target: "/x".into(), read_only: true }
        );
        let named = MountSource::Volume { name: "db".into(), nocopy: true, subpath: None };
        assert_eq!(volume("db:/x:nocopy").unwrap().source, named);
        assert_eq!(volume("/x").unwrap().source, MountSource::Anonymous { name: None });
        let labelled = MountSource::Bind {
            path: "/data".into(),
            create: true,
            propagation: None,
            recursive: None,
            selinux: Some("Z".into()),
        };
        assert_eq!(volume("/data:/x:ro,Z").unwrap().source, labelled);
        assert!(volume("a/b:/x").unwrap_err().contains("neither a path nor a name"));
        assert!(volume("db:x").unwrap_err().contains("not an absolute path"));
        assert!(volume("a:/b:c").unwrap_err().contains("no option `c`"));
    }

    #[test]
    fn the_long_form_has_fields() {
        let mount = parse_mount("type=tmpfs,dst=/x,tmpfs-size=64m,tmpfs-mode=1770", Path::new("/")).unwrap();
        assert_eq!(mount.source, MountSource::Tmpfs { size: Some(64 << 20), mode: Some(0o1770), options: Vec::new() });
        let mount = parse_mount("type=bind,src=a,target=/x,readonly", Path::new("/here")).unwrap();
        assert!(mount.read_only);
        assert!(parse_mount("type=bind,target=/x", Path::new("/")).unwrap_err().contains("needs a `source`"));
        assert!(parse_mount("type=disk,target=/x", Path::new("/")).unwrap_err().contains("no type `disk`"));
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(parse_bytes("1.5g"), Some(3 << 29));
        assert_eq!(parse_bytes("64MiB"), Some(64 << 20));
        assert_eq!(parse_bytes("10"), Some(10));
        assert_eq!(parse_bytes("x"), None);
    }
}
