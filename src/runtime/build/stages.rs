//! The graph of stages: what each needs, and which of them the target needs.

use std::collections::BTreeSet;

use crate::build::dockerfile::decode;
use crate::build::dockerfile::flags::nearest;
use crate::build::dockerfile::instruction::{Act, Dockerfile, Instruction, Stage};
use crate::build::{rehearse, sources};

/// What a FROM, a `--from` or a mount's `from` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing: an empty root.
    Scratch,
    /// An earlier stage, by position.
    Stage(usize),
    /// An image.
    Image(String),
    /// A tree that the build was given under this name.
    Context(String),
}

/// Names of the trees that a build is given.
pub type Names<'a> = BTreeSet<&'a str>;

/// Finds what FROM names in stage `at`: an earlier stage wins over an image.
pub fn base(names: &Names<'_>, stages: &[Stage], at: usize, name: &str) -> Origin {
    if let Some(context) = given(names, name) {
        return context;
    }
    if name == "scratch" {
        return Origin::Scratch;
    }
    named(stages, at, name).map_or_else(|| Origin::Image(name.to_owned()), Origin::Stage)
}

/// Finds what `--from` names in stage `at`; a number is the position of a stage.
pub fn from(names: &Names<'_>, stages: &[Stage], at: usize, name: &str) -> Result<Origin, String> {
    if let Some(context) = given(names, name) {
        return Ok(context);
    }
    if let Ok(number) = name.parse::<usize>() {
        return match number < at {
            true => Ok(Origin::Stage(number)),
            false => Err(format!("invalid stage index {number}: it must be that of an earlier stage")),
        };
    }
    if let Some(found) = named(stages, at, name) {
        return Ok(Origin::Stage(found));
    }
    if named(stages, stages.len(), name).is_some() {
        return Err(format!("stage `{name}` needs to be defined before the one that copies from it"));
    }
    Ok(if name == "scratch" { Origin::Scratch } else { Origin::Image(name.to_owned()) })
}

/// A tree that was given wins over a stage or an image of its name.
fn given(names: &Names<'_>, name: &str) -> Option<Origin> {
    let normal = sources::normal(name);
    names.contains(normal.as_str()).then_some(Origin::Context(normal))
}

/// The last stage before `at` that bears the name.
fn named(stages: &[Stage], at: usize, name: &str) -> Option<usize> {
    let lower = name.to_lowercase();
    stages[..at].iter().rposition(|stage| stage.name.as_deref() == Some(lower.as_str()))
}

/// Returns the stages that an instruction reads from, besides its own.
fn needs_of(given: &Names<'_>, stages: &[Stage], at: usize, instruction: &Instruction) -> Vec<usize> {
    rehearse::sources(instruction)
        .iter()
        .filter_map(|name| match from(given, stages, at, name) {
            Ok(Origin::Stage(stage)) => Some(stage),
            Ok(Origin::Scratch | Origin::Image(_) | Origin::Context(_)) | Err(_) => None,
        })
        .collect()
}

/// Returns the stages that stage `at` reads from, its base among them; `bases` are the expanded FROMs.
///
/// ONBUILD of a stage runs in the stage that is built on it, so what that reads counts too.
pub fn needs(names: &Names<'_>, dockerfile: &Dockerfile, bases: &[String], at: usize) -> Vec<usize> {
    let stages = &dockerfile.stages;
    let mut needs: Vec<usize> =
        stages[at].instructions.iter().flat_map(|instruction| needs_of(names, stages, at, instruction)).collect();
    if let Origin::Stage(parent) = base(names, stages, at, &bases[at]) {
        needs.push(parent);
        for instruction in &stages[parent].instructions {
            if let Act::OnBuild(trigger) = &instruction.act
                && let Ok(fired) = decode::trigger(&trigger.text)
            {
                needs.extend(needs_of(names, stages, at, &fired));
            }
        }
    }
    needs.sort_unstable();
    needs.dedup();
    needs
}

/// Returns the stages that `target` needs, itself last, in the order of the file.
pub fn reachable(names: &Names<'_>, dockerfile: &Dockerfile, bases: &[String], target: usize) -> Vec<usize> {
    let mut wanted = vec![false; dockerfile.stages.len()];
    let mut pending = vec![target];
    while let Some(at) = pending.pop() {
        if !std::mem::replace(&mut wanted[at], true) {
            pending.extend(needs(names, dockerfile, bases, at));
        }
    }
    (0..wanted.len()).filter(|at| wanted[*at]).collect()
}

/// Finds the stage that is asked for; without a name the last one. Returns a hint with the error.
pub fn target(stages: &[Stage], name: Option<&str>) -> Result<usize, String> {
    let Some(name) = name else { return Ok(stages.len() - 1) };
    if let Some(found) = named(stages, stages.len(), name) {
        return Ok(found);
    }
    let known: Vec<&str> = stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
    Err(match (nearest(name, &known), known.as_slice()) {
        (Some(near), _) => format!(" (did you mean `{near}`?)"),
        (None, []) => "; no stage of the Dockerfile has a name".to_owned(),
        (None, known) => format!("; there are: {}", known.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str, name: Option<&str>) -> Result<Vec<usize>, String> {
        let dockerfile = decode::dockerfile(text).unwrap();
        let bases: Vec<String> = dockerfile.stages.iter().map(|stage| stage.base.clone()).collect();
        Ok(reachable(&Names::new(), &dockerfile, &bases, target(&dockerfile.stages, name)?))
    }

    #[test]
    fn stages_that_the_target_does_not_need_are_left_out() {
        let text = "FROM a AS one\nFROM b AS two\nFROM c AS unused\nFROM one\nCOPY --from=two /x /x\n";
        assert_eq!(plan(text, None), Ok(vec![0, 1, 3]));
        assert_eq!(plan(text, Some("TWO")), Ok(vec![1]));
    }

    #[test]
    fn a_mount_and_a_number_are_needs_too() {
        let text = "FROM a\nFROM b\nFROM c\nCOPY --from=0 /x /x\nRUN --mount=from=1,target=/y true";
        assert_eq!(plan(text, None), Ok(vec![0, 1, 2]));
    }

    #[test]
    fn an_unknown_target_is_told_apart_from_a_near_one() {
        assert_eq!(plan("FROM a AS builder", Some("bulider")), Err(" (did you mean `builder`?)".to_owned()));
    }

    #[test]
    fn only_an_earlier_stage_can_be_copied_from() {
        let stages = decode::dockerfile("FROM a\nFROM b AS late").unwrap().stages;
        assert!(from(&Names::new(), &stages, 0, "late").unwrap_err().contains("before"));
        assert_eq!(from(&Names::new(), &stages, 0, "busybox"), Ok(Origin::Image("busybox".to_owned())));
    }
}
