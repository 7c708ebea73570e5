//! What a URL names, of ADD or of a context: a file behind HTTP, or a commit of a git repository.

use crate::image::digest::Digest;

/// Something that is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// A file.
    Http(String),
    /// A tree of a repository.
    Git(Git),
}

/// A tree of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Git {
    /// As git takes it.
    pub repository: String,
    /// Branch, tag or commit; `None`: the default branch.
    pub reference: Option<String>,
    /// Folder of it.
    pub folder: Option<String>,
    /// The commit must begin with this.
    pub commit: Option<String>,
    /// `.git` is part of the tree.
    pub keep_git_dir: Option<bool>,
    /// Submodules are fetched too.
    pub submodules: bool,
}

impl Remote {
    /// Reads a source; `None`: it is a path.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let scheme = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let web = scheme("http://") || scheme("https://");
        let (bare, fragment) = text.split_once('#').map_or((text, None), |(bare, rest)| (bare, Some(rest)));
        let (address, query) = bare.split_once('?').map_or((bare, None), |(address, rest)| (address, Some(rest)));
        // `user@host:path`, as ssh has it.
        let short = address.split_once('@').is_some_and(|(user, rest)| {
            !user.is_empty()
                && !user.contains(['/', ':'])
                && rest.split_once(':').is_some_and(|(host, _)| !host.contains('/'))
        });
        let hub = address.starts_with("github.com/");
        let git = scheme("git://") || scheme("ssh://") || short || hub || (web && address.ends_with(".git"));
        if !git {
            return Ok(web.then(|| Self::Http(text.to_owned())));
        }
        let repository = if hub { format!("https://{address}") } else { address.to_owned() };
        let mut git = Git { repository, submodules: true, ..Git::default() };
        if let Some(fragment) = fragment {
            let (reference, folder) = fragment.split_once(':').map_or((fragment, None), |(a, b)| (a, Some(b)));
            git.reference = Some(reference.to_owned()).filter(|it| !it.is_empty());
            git.folder = folder.map(str::to_owned).filter(|it| !it.is_empty());
        }
        for pair in query.into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let text = || Some(value.to_owned()).filter(|it| !it.is_empty());
            let switch = || match value {
                "" | "1" | "true" => Ok(true),
                "0" | "false" => Ok(false),
                _ => Err(format!("invalid value `{value}` of `{key}` in the query of `{address}`")),
            };
            match key {
                "ref" | "tag" | "branch" if git.reference.is_some() => {
                    return Err(format!("`{address}` names its reference twice"));
                }
                "ref" => git.reference = text(),
                "tag" => git.reference = text().map(|tag| format!("refs/tags/{tag}")),
                "branch" => git.reference = text().map(|branch| format!("refs/heads/{branch}")),
                "subdir" => git.folder = text(),
                "checksum" | "commit" => git.commit = text(),
                "keep-git-dir" => git.keep_git_dir = Some(switch()?),
                "submodules" => git.submodules = switch()?,
                _ => return Err(format!("unexpected query \"{key}\" in `{address}`")),
            }
        }
        Ok(Some(Self::Git(git)))
    }

    /// Says whether `--checksum` is one for this kind of source.
    pub fn check_sum(&self, text: &str) -> Result<(), String> {
        match self {
            Self::Http(_) => text
                .parse::<Digest>()
                .map(drop)
                .map_err(|_| format!("invalid checksum {text:?}: it must be `sha256:` and 64 hexadecimal digits")),
            Self::Git(_) if (7..=64).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_hexdigit()) => Ok(()),
            Self::Git(_) => Err(format!("invalid checksum {text:?} for Git source: it must be a commit")),
        }
    }

    /// Returns the name that a fetched file has.
    pub fn file_name(url: &str) -> String {
        let path = url.split(['?', '#']).next().unwrap_or(url);
        let path = path.split_once("://").map_or(path, |(_, rest)| rest);
        match path.split_once('/').map(|(_, rest)| rest.trim_end_matches('/').rsplit('/').next().unwrap_or("")) {
            None | Some("") => "download".to_owned(),
            Some(name) => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(text: &str) -> Git {
        match Remote::parse(text).unwrap() {
            Some(Remote::Git(git)) => git,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_repository_is_told_from_a_file_and_a_path() {
        assert_eq!(Remote::parse("src/app.git"), Ok(None));
        assert_eq!(Remote::parse("./a@b:c/d").unwrap(), None);
        assert!(matches!(Remote::parse("https://host/a.tar.gz"), Ok(Some(Remote::Http(_)))));
        assert_eq!(git("git@host:team/app.git").repository, "git@host:team/app.git");
        assert_eq!(git("github.com/team/app").repository, "https://github.com/team/app");
    }

    #[test]
    fn reference_and_folder_stand_behind_the_number_sign_or_in_the_query() {
        let short = git("https://host/app.git#v1:sub");
        assert_eq!((short.reference.as_deref(), short.folder.as_deref()), (Some("v1"), Some("sub")));
        let long = git("https://host/app.git?branch=main&subdir=sub&keep-git-dir=true");
        assert_eq!((long.reference.as_deref(), long.keep_git_dir), (Some("refs/heads/main"), Some(true)));
        assert!(Remote::parse("https://host/app.git?nonsense=1").unwrap_err().contains("nonsense"));
    }

    #[test]
    fn a_file_is_named_by_its_path() {
        assert_eq!(Remote::file_name("https://host/dir/a.txt?x=1"), "a.txt");
        assert_eq!(Remote::file_name("https://host/"), "download");
    }
}
