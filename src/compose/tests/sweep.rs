//! Every attribute of the language with what could be written there by mistake: what is said, and what it points at.
//!
//! The attributes are those of the tables, so a new one is swept as well. `UPDATE_EXPECT=1` rewrites `sweep.txt`.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use compose::check::attributes::FILE;
use compose::check::shape::{Object, Shape};
use compose::{Diagnostic, LoadRequest, SourceMap, Span, load};
use expect_test::expect_file;

/// What is written in the place of every attribute's value.
const WRONG: [&str; 6] = ["", "5", "some text", "true", "[a]", "{a: b}"];

fn said(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let at = |span: Span| &sources.get(span.file).unwrap().text[span.start as usize..span.end as usize];
    let short = |span: Span| at(span).chars().take(40).collect::<String>();
    let mut line = format!("{:04} {}", diagnostic.code.0, diagnostic.message);
    let place = short(diagnostic.span.expect("a mistake in a file has a place"));
    write!(line, " | at `{place}`: {}", diagnostic.label).unwrap();
    for related in &diagnostic.related {
        write!(line, " | and `{}`: {}", short(related.span), related.text).unwrap();
    }
    for help in &diagnostic.help {
        write!(line, " | help: {help}").unwrap();
    }
    line
}

fn mistakes(text: String) -> Vec<String> {
    let files = BTreeMap::from([(PathBuf::from("/p/compose.yaml"), text)]);
    let loaded = load(&LoadRequest { working_directory: "/p".into(), ..LoadRequest::default() }, &files);
    loaded.diagnostics.iter().map(|diagnostic| said(diagnostic, &loaded.sources)).collect()
}

/// What has been said so far.
#[derive(Default)]
struct Sweep {
    text: String,
    /// With the attribute's name taken out: what differs in nothing else is shown once.
    seen: BTreeSet<String>,
}

impl Sweep {
    /// Loads one wrong file and notes what is said that is not said without the attribute too.
    fn check(&mut self, place: &str, name: &str, value: &str, wrap: &dyn Fn(String) -> String) {
        let without = mistakes(wrap(String::new()));
        let message = |line: &String| line.split(" | ").next().unwrap_or_default().to_owned();
        let without: BTreeSet<String> = without.iter().map(message).collect();
        let mut lines = mistakes(wrap(format!("{name}: {value}")));
        lines.retain(|line| !without.contains(&message(line)));
        let common =
            lines.join("\n").replace(&place.replace("NAME", "name").replace("[]", "[0]"), "_").replace(name, "_");
        if !lines.is_empty() && self.seen.insert(common) {
            writeln!(self.text, "{place}: {value}\n    {}", lines.join("\n    ")).unwrap();
        }
    }
}

/// Sweeps the attributes of an object; `wrap` makes a file of it.
fn object(known: &Object, place: &str, wrap: &dyn Fn(String) -> String, into: &mut Sweep) {
    for (name, shape) in known.attributes {
        // One file names others, which are not there.
        if matches!(*name, "include" | "extends") {
            continue;
        }
        let path = if place.is_empty() { (*name).to_owned() } else { format!("{place}.{name}") };
        for value in WRONG {
            into.check(&path, name, value, wrap);
        }
        inner(shape, &path, &|value| wrap(format!("{name}: {value}")), into);
    }
    if let Some((name, _)) = known.attributes.iter().find(|(name, _)| name.len() > 4) {
        let near = format!("{}{}", &name[..2], &name[3..]);
        into.check(place, &near, "5", wrap);
    }
}

fn inner(shape: &Shape, place: &str, wrap: &dyn Fn(String) -> String, into: &mut Sweep) {
    match shape {
        Shape::Object(known) => object(known, place, &|entry| wrap(format!("{{{entry}}}")), into),
        Shape::List(item) | Shape::Unique(item) => {
            inner(item, &format!("{place}[]"), &|item| wrap(format!("[{item}]")), into)
        }
        Shape::Map(_, value) => {
            inner(value, &format!("{place}.NAME"), &|value| wrap(format!("{{name: {value}}}")), into)
        }
        Shape::Either(shapes) => shapes.iter().for_each(|shape| inner(shape, place, wrap, into)),
        Shape::Any | Shape::Is(_) | Shape::Whole { .. } | Shape::Choice(_) | Shape::Pattern(..) => {}
    }
}

#[test]
fn every_attribute_is_explained_where_it_is_wrong() {
    let mut sweep = Sweep::default();
    object(&FILE, "", &|entry| entry, &mut sweep);
    expect_file!["sweep.txt"].assert_eq(&sweep.text);
}
