//! The rules of `develop.watch`, compiled: which saved files each one is about, and where they go.

use std::path::{Path, PathBuf};

use compose::Project;
use compose::model::develop::{WatchAction, WatchRule};
use compose::model::mount::MountKind;
use compose::model::service::{Hook, Service};
use patterns::Ignore;

/// What editors, file managers and version control write for themselves.
const EPHEMERAL: &str = "\
**/.git
**/.hg
**/.svn
**/.idea
**/*~
**/.*.sw?
**/.*.sw??
**/4913
**/.#*
**/#*#
**/.DS_Store
**/*___jb_tmp___
**/*___jb_old___
**/.goutputstream-*
**/*.kate-swp
**/.~lock.*";

/// One rule of one service.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Service that it belongs to.
    pub service: String,
    /// Position in the service's `develop.watch`.
    pub index: usize,
    /// Absolute path that is watched: a folder or a file.
    pub path: PathBuf,
    /// What a change does.
    pub action: WatchAction,
    /// Where a synced file goes: the place of `path` in the container.
    pub target: Option<String>,
    /// Run after a sync.
    pub exec: Option<Hook>,
    /// Copy what is newer than the image when watching begins.
    pub initial_sync: bool,
    ignore: Ignore,
    include: Option<Ignore>,
    ephemeral: Ignore,
    /// `.dockerignore` of the build, relative to its context.
    context: Option<(PathBuf, Ignore)>,
}

impl Rule {
    /// Says whether a change at `path` is this rule's business.
    pub fn sees(&self, path: &Path) -> bool {
        let Some(relative) = self.relative(path) else { return false };
        let included = self.include.as_ref().is_none_or(|include| relative.is_empty() || include.is_ignored(&relative));
        included && !self.is_ignored(path, &relative)
    }

    /// Says whether nothing in the folder `path` can be this rule's business.
    pub fn prunes(&self, path: &Path) -> bool {
        if self.path.starts_with(path) && self.path != path {
            return false;
        }
        let Some(relative) = self.relative(path) else { return true };
        let by = |ignore: &Ignore, path: &str| !path.is_empty() && !ignore.has_exceptions() && ignore.is_ignored(path);
        by(&self.ignore, &relative)
            || by(&self.ephemeral, &relative)
            || self.context.as_ref().is_some_and(|(root, ignore)| {
                path.strip_prefix(root).is_ok_and(|relative| by(ignore, &relative.to_string_lossy()))
            })
    }

    /// Returns where a file goes in the container.
    pub fn container_path(&self, path: &Path) -> Option<String> {
        let (target, relative) = (self.target.as_ref()?, self.relative(path)?);
        let target = target.trim_end_matches('/');
        Some(match relative.as_str() {
            "" => target.to_owned(),
            relative => format!("{target}/{relative}"),
        })
    }

    /// Says whether files are copied.
    pub fn syncs(&self) -> bool {
        match self.action {
            WatchAction::Sync | WatchAction::SyncRestart | WatchAction::SyncExec => true,
            WatchAction::Rebuild | WatchAction::Restart => false,
        }
    }

    /// Path relative to the rule's own, `/` between names; `None`: not below it.
    fn relative(&self, path: &Path) -> Option<String> {
        Some(path.strip_prefix(&self.path).ok()?.to_string_lossy().into_owned())
    }

    fn is_ignored(&self, path: &Path, relative: &str) -> bool {
        let by_context = self.context.as_ref().is_some_and(|(root, ignore)| {
            path.strip_prefix(root).is_ok_and(|relative| ignore.is_ignored(&relative.to_string_lossy()))
        });
        // A rule for one file means that file, whatever its name.
        by_context
            || (!relative.is_empty() && (self.ignore.is_ignored(relative) || self.ephemeral.is_ignored(relative)))
    }
}

/// Returns the word of the Compose specification for an action.
pub fn action_name(action: WatchAction) -> &'static str {
    match action {
        WatchAction::Sync => "sync",
        WatchAction::Rebuild => "rebuild",
        WatchAction::Restart => "restart",
        WatchAction::SyncRestart => "sync+restart",
        WatchAction::SyncExec => "sync+exec",
    }
}

/// Why a rule can't be watched: its path in the model, and the sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProblem {
    /// `services.web.develop.watch[0]`
    pub path: String,
    /// Why.
    pub message: String,
}

/// Compiles the rules of `services` (empty: of all). Rules that can't be watched are told beside.
pub fn rules(project: &Project, services: &[String]) -> (Vec<Rule>, Vec<RuleProblem>) {
    let (mut rules, mut problems) = (Vec::new(), Vec::new());
    for service in project.services.values() {
        if !services.is_empty() && !services.contains(&service.name) {
            continue;
        }
        for (index, written) in service.develop.iter().flat_map(|develop| &develop.watch).enumerate() {
            match rule(service, index, written) {
                Ok(rule) => rules.push(rule),
                Err(message) => problems
                    .push(RuleProblem { path: format!("services.{}.develop.watch[{index}]", service.name), message }),
            }
        }
    }
    (rules, problems)
}

fn rule(service: &Service, index: usize, written: &WatchRule) -> Result<Rule, String> {
    let path = PathBuf::from(&written.path);
    let patterns =
        |patterns: &[String]| Ignore::from_patterns(patterns).map_err(|error| format!("a pattern is wrong: {error}"));
    let rule = Rule {
        service: service.name.clone(),
        index,
        action: written.action,
        target: written.target.clone(),
        exec: written.exec.clone(),
        initial_sync: written.initial_sync,
        ignore: patterns(&written.ignore)?,
        include: if written.include.is_empty() { None } else { Some(patterns(&written.include)?) },
        ephemeral: Ignore::parse(EPHEMERAL).unwrap_or_default(),
        context: context_ignore(service),
        path,
    };
    if rule.action == WatchAction::Rebuild && service.build.is_none() {
        return Err(format!("`{}` has no `build` section, so nothing can be rebuilt", service.name));
    }
    if rule.syncs()
        && let Some(mount) = service.mounts.iter().find(|mount| {
            mount.kind == MountKind::Bind && mount.source.as_ref().is_some_and(|source| rule.path.starts_with(source))
        })
    {
        let source = mount.source.clone().unwrap_or_default();
        return Err(format!(
            "`{}` is mounted into the container already (from `{source}`): it needs no sync",
            written.path
        ));
    }
    if rule.syncs() && rule.target.is_none() {
        return Err(format!("`{}` needs a `target`", action_name(rule.action)));
    }
    Ok(rule)
}

/// Reads the ignore file of a service's build: that of its Dockerfile, else that of its context.
fn context_ignore(service: &Service) -> Option<(PathBuf, Ignore)> {
    let build = service.build.as_ref()?;
    let root = PathBuf::from(&build.context);
    if !root.is_absolute() {
        return None;
    }
    let dockerfile = build.dockerfile.as_deref().unwrap_or("Dockerfile");
    let own = root.join(format!("{dockerfile}.dockerignore"));
    let text = std::fs::read_to_string(own).or_else(|_| std::fs::read_to_string(root.join(".dockerignore"))).ok()?;
    Some((root, Ignore::parse(&text).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(written: WatchRule) -> Rule {
        rule(&Service { name: "web".into(), ..Service::default() }, 0, &written).unwrap()
    }

    fn written(ignore: &[&str], include: &[&str]) -> WatchRule {
        let list = |patterns: &[&str]| patterns.iter().map(|it| (*it).to_owned()).collect();
        WatchRule {
            path: "/p/src".into(),
            action: WatchAction::Sync,
            target: Some("/app/".into()),
            ignore: list(ignore),
            include: list(include),
            initial_sync: false,
            exec: None,
        }
    }

    #[test]
    fn a_file_goes_to_its_place_below_the_target() {
        let rule = compiled(written(&[], &[]));
        assert_eq!(rule.container_path(Path::new("/p/src/a/b.py")).as_deref(), Some("/app/a/b.py"));
        assert_eq!(rule.container_path(Path::new("/p/src")).as_deref(), Some("/app"));
        assert_eq!(rule.container_path(Path::new("/p/other")), None);
    }

    #[test]
    fn ignored_folders_are_pruned_and_ephemeral_files_unseen() {
        let rule = compiled(written(&["node_modules/"], &[]));
        assert!(rule.prunes(Path::new("/p/src/node_modules")) && rule.prunes(Path::new("/p/src/x/.git")));
        assert!(!rule.prunes(Path::new("/p/src/lib")) && !rule.prunes(Path::new("/p")));
        assert!(rule.prunes(Path::new("/q")), "what is not below the path is of no interest");
        assert!(!rule.sees(Path::new("/p/src/node_modules/x.js")));
        for ephemeral in ["a.py~", ".a.py.swp", "4913", ".#a.py", "d/#a.py#", ".git/index"] {
            assert!(!rule.sees(&Path::new("/p/src").join(ephemeral)), "{ephemeral}");
        }
        assert!(rule.sees(Path::new("/p/src/a.py")));
    }

    #[test]
    fn only_what_is_included_is_seen() {
        let rule = compiled(written(&["gen.py"], &["*.py"]));
        assert!(rule.sees(Path::new("/p/src/a.py")));
        assert!(!rule.sees(Path::new("/p/src/a.txt")) && !rule.sees(Path::new("/p/src/gen.py")));
    }

    #[test]
    fn a_rule_that_can_not_work_says_why() {
        let rebuild = WatchRule { action: WatchAction::Rebuild, target: None, ..written(&[], &[]) };
        let error = rule(&Service { name: "web".into(), ..Service::default() }, 0, &rebuild).unwrap_err();
        assert_eq!(error, "`web` has no `build` section, so nothing can be rebuilt");
    }
}
