//! What progress is called where this program stands in Docker Compose's place: images go by the service that wants them,
//! and some acts are told by their end alone, or not at all.

use std::collections::BTreeMap;

use compose::Project;
use orchestrator::event::{Act, Event, ResourceKind};
use orchestrator::identity;

/// Services by the reference of their image.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(BTreeMap<String, String>);

impl Names {
    /// Reads them from the project; of several services with one image the first counts.
    pub(crate) fn of(project: &Project) -> Self {
        let mut names = BTreeMap::new();
        for service in project.services.values() {
            names.entry(identity::image_reference(&project.name, service)).or_insert_with(|| service.name.clone());
        }
        Self(names)
    }

    /// Returns the event as Docker Compose tells it, if it does.
    pub(crate) fn told(&self, event: &Event) -> Option<Event> {
        match event {
            Event::Started { act: Act::Build | Act::Copy, .. } | Event::Done { act: Act::Copy, .. } => None,
            Event::Started { kind, name, act } => {
                Some(Event::Started { kind: *kind, name: self.name(*kind, name, Some(*act)), act: *act })
            }
            Event::Done { kind, name, act } => {
                Some(Event::Done { kind: *kind, name: self.name(*kind, name, Some(*act)), act: *act })
            }
            Event::UpToDate { kind, name, state } => {
                Some(Event::UpToDate { kind: *kind, name: self.name(*kind, name, None), state: state.clone() })
            }
            Event::Failed { kind, name, act, error } => {
                let name = self.name(*kind, name, Some(*act));
                Some(Event::Failed { kind: *kind, name, act: *act, error: error.clone() })
            }
            Event::Progress { .. } | Event::Warning(_) | Event::Attach(_) | Event::HookOutput { .. } => {
                Some(event.clone())
            }
        }
    }

    fn name(&self, kind: ResourceKind, name: &str, act: Option<Act>) -> String {
        let by_service = kind == ResourceKind::Image && act != Some(Act::Remove);
        self.0.get(name).filter(|_| by_service).map_or_else(|| name.to_owned(), Clone::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_go_by_their_service_but_not_when_they_are_removed() {
        let names = Names([("shop-web".to_owned(), "web".to_owned())].into());
        let done = |act| Event::Done { kind: ResourceKind::Image, name: "shop-web".into(), act };
        let told = |act| match names.told(&done(act)) {
            Some(Event::Done { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!([told(Act::Build), told(Act::Pull), told(Act::Remove)], ["web", "web", "shop-web"]);
        let begun = |act| Event::Started { kind: ResourceKind::Image, name: "shop-web".into(), act };
        assert!(names.told(&begun(Act::Build)).is_none());
        assert!(names.told(&begun(Act::Pull)).is_some());
    }
}
