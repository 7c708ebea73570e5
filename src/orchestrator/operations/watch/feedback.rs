//! Finds a rule that is fed by what it does itself: a rebuild that writes into its own context, a command that writes
//! where it is watched.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use compose::model::develop::WatchAction;

use crate::operations::watch::tree::Change;

/// A change so soon after an act may come from it.
const SOON: Duration = Duration::from_millis(300);

/// What is remembered of a rule's last acts.
#[derive(Debug)]
pub(crate) struct Feedback {
    /// So many in a row are no person.
    limit: u32,
    fed: u32,
    last_end: Option<Instant>,
    /// Paths that were in every batch of the row.
    paths: BTreeSet<PathBuf>,
}

impl Feedback {
    /// Starts anew. A person saves often what is only copied; an act that takes long needs fewer proofs.
    pub(crate) fn of(action: WatchAction) -> Self {
        let limit = match action {
            WatchAction::Sync => 50,
            WatchAction::SyncExec | WatchAction::SyncRestart | WatchAction::Restart => 10,
            WatchAction::Rebuild => 5,
        };
        Self { limit, fed: 0, last_end: None, paths: BTreeSet::new() }
    }

    /// Takes note of an act; returns how many in a row fed themselves when that is too many.
    pub(crate) fn after(&mut self, changes: &[Change], at: Instant, end: Instant) -> Option<u32> {
        let paths: BTreeSet<PathBuf> = changes.iter().map(|change| change.path.clone()).collect();
        let is_soon = self.last_end.is_some_and(|last| at <= last + SOON);
        let common: BTreeSet<PathBuf> = self.paths.intersection(&paths).cloned().collect();
        if is_soon && (self.fed == 0 || !common.is_empty()) {
            self.fed += 1;
            self.paths = if common.is_empty() { paths } else { common };
        } else {
            self.fed = 0;
            self.paths = paths;
        }
        self.last_end = Some(end);
        (self.fed >= self.limit).then_some(self.fed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::watch::tree::Now;

    fn change(path: &str) -> Vec<Change> {
        vec![Change { path: path.into(), now: Now::File }]
    }

    #[test]
    fn a_rule_that_feeds_itself_is_found() {
        let mut feedback = Feedback::of(WatchAction::Rebuild);
        let start = Instant::now();
        let told: Vec<Option<u32>> = (0..6)
            .map(|turn| {
                let at = start + Duration::from_secs(turn);
                feedback.after(&change("/p/out.js"), at, at + Duration::from_millis(900))
            })
            .collect();
        assert_eq!(told, [None, None, None, None, None, Some(5)]);
    }

    #[test]
    fn a_person_who_saves_is_none() {
        let mut feedback = Feedback::of(WatchAction::Rebuild);
        let start = Instant::now();
        for turn in 0..20 {
            let at = start + Duration::from_secs(turn);
            assert_eq!(feedback.after(&change("/p/a.py"), at, at + Duration::from_millis(100)), None);
        }
    }
}
