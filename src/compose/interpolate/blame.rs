//! A value that came from a variable is wrong where the variable is set: mistakes get that place too.

use std::collections::BTreeMap;

use crate::document::session::Session;
use crate::interpolate::template;
use crate::source::Span;

/// Codes of what is wrong with a reference itself: no value of a variable has a part in it.
const OF_REFERENCES: [u16; 4] = [201, 202, 203, 205];

/// Values longer than this are cut where they are shown, in characters.
const SHOWN: usize = 60;

/// Adds to each mistake in an interpolated value where its variables were set: the line of the file of variables, or
/// the value that the environment has.
pub fn variables(session: &mut Session<'_>, environment: &BTreeMap<String, String>) {
    let mut diagnostics = std::mem::take(&mut session.diagnostics);
    for diagnostic in diagnostics.iter_mut().filter(|diagnostic| !OF_REFERENCES.contains(&diagnostic.code.0)) {
        let Some(span) = diagnostic.span else { continue };
        // The place of a collection is not that of one value in it.
        let written = session.text(span);
        if !written.contains('$') || written.starts_with(['{', '[', '-']) || written.contains('\n') {
            continue;
        }
        let mut seen: Vec<String> = Vec::new();
        for reference in template::references(written) {
            if seen.contains(&reference.name) {
                continue;
            }
            if let Some(value) = environment.get(&reference.name) {
                let value: String = value.chars().take(SHOWN).collect();
                diagnostic.help.push(format!("the environment sets `{}` to `{value}`", reference.name));
            } else if let Some(place) = place(session, &reference.name, span)
                && diagnostic.related.iter().all(|label| label.span != place)
            {
                diagnostic
                    .related
                    .push(crate::diagnostic::Label { span: place, text: format!("`{}` is set here", reference.name) });
            }
            seen.push(reference.name);
        }
    }
    session.diagnostics = diagnostics;
}

/// Returns where `name` is set for the file of `user`. Included projects have files of variables of their own: what
/// is nearest counts, else what was read first, and in one file its last line.
fn place(session: &Session<'_>, name: &str, user: Span) -> Option<Span> {
    let places = session.variable_places.get(name)?;
    let folder = |span: &Span| session.sources.get(span.file).and_then(|source| source.path.parent());
    let near = places.iter().rfind(|place| folder(place).is_some() && folder(place) == folder(&user));
    let first = places.first()?;
    near.or_else(|| places.iter().rfind(|place| place.file == first.file)).copied()
}
