//! Leaves the progress of pulls or builds out of what is reported; that they begin and end is still told.

use std::collections::BTreeSet;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::event::{Act, Event};

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mute {
    /// Layers that come in.
    pub pulls: bool,
    /// Steps and what they print.
    pub builds: bool,
}

/// Runs `work` with a sender whose events go on to `events` as far as they are wanted.
pub(crate) async fn muted<T, F: Future<Output = T>>(
    mute: Mute,
    events: UnboundedSender<Event>,
    work: impl FnOnce(UnboundedSender<Event>) -> F,
) -> T {
    if mute == Mute::default() {
        return work(events).await;
    }
    let (sender, mut receiver) = unbounded_channel();
    let mut work = std::pin::pin!(work(sender));
    let mut filter = Filter { mute, quiet: BTreeSet::new() };
    let result = loop {
        tokio::select! {
            biased;
            Some(event) = receiver.recv() => filter.pass(event, &events),
            result = &mut work => break result,
        }
    };
    while let Ok(event) = receiver.try_recv() {
        filter.pass(event, &events);
    }
    result
}

struct Filter {
    mute: Mute,
    /// Images whose progress is not told.
    quiet: BTreeSet<String>,
}

impl Filter {
    fn pass(&mut self, event: Event, events: &UnboundedSender<Event>) {
        match &event {
            Event::Started { name, act: Act::Pull, .. } if self.mute.pulls => drop(self.quiet.insert(name.clone())),
            Event::Started { name, act: Act::Build, .. } if self.mute.builds => drop(self.quiet.insert(name.clone())),
            Event::Progress { subject, .. } if self.quiet.contains(subject) => return,
            _ => {}
        }
        let _ = events.send(event);
    }
}

#[cfg(test)]
mod tests {
    use crate::event::{Progress, ResourceKind};

    use super::*;

    #[tokio::test]
    async fn only_the_progress_of_what_is_muted_is_left_out() {
        let (sender, mut receiver) = unbounded_channel();
        let mute = Mute { pulls: true, builds: false };
        let kind = ResourceKind::Image;
        muted(mute, sender, async |events| {
            for (name, act) in [("a", Act::Pull), ("b", Act::Build)] {
                let _ = events.send(Event::Started { kind, name: name.into(), act });
                let progress = Progress::Note("half".into());
                let _ = events.send(Event::Progress { subject: name.into(), progress });
                let _ = events.send(Event::Done { kind, name: name.into(), act });
            }
        })
        .await;
        let mut told = Vec::new();
        while let Some(event) = receiver.recv().await {
            told.push(match event {
                Event::Started { name, .. } => format!("{name} started"),
                Event::Progress { subject, .. } => format!("{subject} goes on"),
                _ => "done".to_owned(),
            });
        }
        assert_eq!(told, ["a started", "done", "b started", "b goes on", "done"]);
    }
}
