//! Which variables a text refers to, for a person who wants to know what a file needs.

use serde_json::Value as Json;

use crate::interpolate::template::{self, Operator, OperatorKind};

/// A variable that a file refers to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What stands in its place if it has no value.
    pub default: String,
    /// What stands in its place if it has one.
    pub alternative: String,
    /// Without a value the file is refused.
    pub required: bool,
}

/// Returns the variables that the strings below `tree` refer to, by name; where two references differ, one that says
/// more than the bare name counts, and among these the first.
pub fn variables(tree: &Json) -> Vec<Variable> {
    let mut found = Vec::new();
    collect(tree, &mut found);
    let mut variables: Vec<Variable> = Vec::new();
    for variable in found {
        match variables.iter_mut().find(|known| known.name == variable.name) {
            None => variables.push(variable),
            Some(known) if known.is_bare() => *known = variable,
            Some(_) => {}
        }
    }
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    variables
}

fn collect(value: &Json, found: &mut Vec<Variable>) {
    match value {
        Json::String(text) => found.extend(template::references(text).into_iter().map(Variable::from)),
        Json::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Json::Object(map) => map.values().for_each(|value| collect(value, found)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

impl Variable {
    fn is_bare(&self) -> bool {
        self.default.is_empty() && self.alternative.is_empty() && !self.required
    }
}

impl From<template::Reference> for Variable {
    fn from(reference: template::Reference) -> Self {
        let mut variable = Self { name: reference.name, ..Self::default() };
        match reference.operator {
            Some(Operator { kind: OperatorKind::Default, .. }) => variable.default = reference.word,
            Some(Operator { kind: OperatorKind::Alternative, .. }) => variable.alternative = reference.word,
            Some(Operator { kind: OperatorKind::Required, .. }) => variable.required = true,
            None => {}
        }
        variable
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_reference_counts_and_the_one_that_says_most_wins() {
        let tree = json!({"a": "$A ${B:-x${C+y}} $$D", "b": ["${A:?set it}", "${B}", 5]});
        let found: Vec<_> =
            variables(&tree).into_iter().map(|v| (v.name, v.default, v.alternative, v.required)).collect();
        let row = |name: &str, default: &str, alternative: &str, required| {
            (name.to_owned(), default.to_owned(), alternative.to_owned(), required)
        };
        assert_eq!(found, [row("A", "", "", true), row("B", "x${C+y}", "", false), row("C", "", "y", false)]);
    }
}
