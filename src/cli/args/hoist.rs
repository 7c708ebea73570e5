//! Global options may stand after the verb. Clap wants them before it, since some verbs use the same letters for
//! something else (`logs -f`), so those that the verb does not know itself are moved in front of it.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Arg, Command};

/// Verbs whose arguments after the first positional one belong to the program that they run.
const PASSES_ARGUMENTS_ON: [&str; 2] = ["exec", "run"];

/// Returns `args` with the global options that follow the verb moved before it. `root` is the whole command line
/// grammar; `args[0]` is the program.
pub(crate) fn hoist(root: &Command, args: Vec<OsString>) -> Vec<OsString> {
    let Some(at) = verb_position(root, &args) else { return args };
    // The flags of a verb are made when it is built, those of the others never.
    let Some(mut built) = root.find_subcommand(&args[at]).cloned() else { return args };
    built.build();
    let mut verb = &built;
    let (mut before, mut after) = (args[..at].to_vec(), vec![args[at].clone()]);
    let mut rest = args[at + 1..].iter().cloned().peekable();
    // `container run`: the flags are those of the verb inside of the group.
    let in_group = verb.has_subcommands();
    while let Some(inner) = rest.peek().and_then(|token| verb.find_subcommand(token)) {
        verb = inner;
        after.extend(rest.next());
    }
    // `container create` runs what it makes some time; the `create` of a project is given services.
    let passes_on = PASSES_ARGUMENTS_ON.contains(&verb.get_name()) || (in_group && verb.get_name() == "create");
    while let Some(token) = rest.next() {
        if token == "--" {
            after.push(token);
            after.extend(rest);
            break;
        }
        if passes_on && !is_option(&token) {
            after.push(token);
            // From here on nothing is an option of ours, whatever it looks like.
            after.extend(rest.peek().filter(|next| *next != "--").map(|_| OsString::from("--")));
            after.extend(rest);
            break;
        }
        let own = find(verb, &token);
        let (target, value_follows) = match own {
            Some(_) => (&mut after, value_follows(verb, &token)),
            None => match find(root, &token).filter(|_| !in_group || is_long(&token)) {
                Some(global) => (&mut before, takes_value(global) && !carries_value(&token)),
                None => (&mut after, false),
            },
        };
        target.push(token);
        if value_follows {
            target.extend(rest.next());
        }
    }
    before.extend(after);
    before
}

/// Puts a file or folder that stands where the verb is expected into a flag: `motet shop/compose.yaml up`.
pub(crate) fn place_first(root: &Command, mut args: Vec<OsString>, exists: impl Fn(&Path) -> bool) -> Vec<OsString> {
    let Some(at) = verb_position(root, &args) else { return args };
    let is_verb = root.find_subcommand(&args[at]).is_some() || args[at] == "help";
    if is_verb || !exists(Path::new(&args[at])) {
        return args;
    }
    let mut flag = OsString::from("--at=");
    flag.push(&args[at]);
    args[at] = flag;
    args
}

fn is_long(token: &OsStr) -> bool {
    token.to_str().is_some_and(|text| text.starts_with("--"))
}

/// Returns where the verb stands: the first argument that is neither an option nor the value of one.
fn verb_position(root: &Command, args: &[OsString]) -> Option<usize> {
    let mut index = 1;
    while index < args.len() {
        let token = &args[index];
        if token == "--" {
            return None;
        }
        if !is_option(token) {
            return Some(index);
        }
        let value_follows = find(root, token).is_some_and(takes_value) && !carries_value(token);
        index += if value_follows { 2 } else { 1 };
    }
    None
}

fn is_option(token: &OsStr) -> bool {
    token.to_str().is_some_and(|text| text.len() > 1 && text.starts_with('-'))
}

/// Says whether the value is in the same argument: `--file=x`, `-fx`.
fn carries_value(token: &OsStr) -> bool {
    token.to_str().is_some_and(|text| if text.starts_with("--") { text.contains('=') } else { text.len() > 2 })
}

/// Says whether the next argument is its value; one that is optional has to stand behind a `=`.
fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values() && !arg.is_require_equals_set()
}

/// Says whether the next argument is the value of an option, or of the last of several letters (`-dp 80:80`).
fn value_follows(command: &Command, token: &OsStr) -> bool {
    let letters = token.to_str().and_then(|text| text.strip_prefix('-')).filter(|text| !text.starts_with('-'));
    let Some(letters) = letters else {
        return find(command, token).is_some_and(takes_value) && !carries_value(token);
    };
    let of_letter = |letter: char| command.get_arguments().find(|arg| arg.get_short() == Some(letter));
    let with_value = letters.char_indices().find(|(_, letter)| of_letter(*letter).is_some_and(takes_value));
    with_value.is_some_and(|(at, letter)| at + letter.len_utf8() == letters.len())
}

/// Returns the option of `command` that `token` spells.
fn find<'c>(command: &'c Command, token: &OsStr) -> Option<&'c Arg> {
    let text = token.to_str()?;
    if let Some(long) = text.strip_prefix("--") {
        let long = long.split('=').next().unwrap_or(long);
        return command.get_arguments().find(|arg| {
            arg.get_long() == Some(long) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
        });
    }
    let short = text.strip_prefix('-')?.chars().next()?;
    command.get_arguments().find(|arg| arg.get_short() == Some(short))
}

#[cfg(test)]
mod tests {
    use clap::{ArgAction, Args as _};

    use crate::args::GlobalArgs;

    use super::*;

    fn check(line: &str, expected: &str) {
        let flag =
            |letter: char, name: &'static str| Arg::new(name).short(letter).long(name).action(ArgAction::SetTrue);
        let root = GlobalArgs::augment_args(Command::new("motet"))
            .subcommand(Command::new("up").arg(flag('d', "detach")))
            .subcommand(Command::new("logs").arg(flag('f', "follow")))
            .subcommand(
                Command::new("exec").arg(flag('d', "detach")).arg(Arg::new("env").short('e').action(ArgAction::Append)),
            );
        let args = line.split(' ').map(OsString::from).collect();
        let got: Vec<String> = hoist(&root, args).into_iter().map(|arg| arg.into_string().unwrap()).collect();
        assert_eq!(got.join(" "), expected);
    }

    #[test]
    fn options_after_the_verb_move_before_it() {
        check("motet up -d --progress plain web", "motet --progress plain up -d web");
        check("motet up -f a.yaml --file=b.yaml", "motet -f a.yaml --file=b.yaml up");
        check("motet -f a.yaml up -p x -d", "motet -f a.yaml -p x up -d");
    }

    #[test]
    fn a_letter_that_the_verb_uses_itself_stays() {
        check("motet logs -f web", "motet logs -f web");
        check("motet -f up logs -f --dry-run", "motet -f up --dry-run logs -f");
    }

    #[test]
    fn arguments_of_the_program_to_run_stay() {
        check("motet exec -e A=b --dry-run web ls -f --dry-run", "motet --dry-run exec -e A=b web -- ls -f --dry-run");
        check("motet exec web -e x", "motet exec web -- -e x");
        check("motet exec web -- x", "motet exec web -- x");
        check("motet exec web", "motet exec web");
        check("motet exec -de A=b -e C=d web -d", "motet exec -de A=b -e C=d web -- -d");
        check("motet up -- -f", "motet up -- -f");
    }

    #[test]
    fn a_place_in_front_of_the_verb_becomes_a_flag() {
        let root = GlobalArgs::augment_args(Command::new("motet")).subcommand(Command::new("up"));
        let of = |line: &str| {
            let args = line.split(' ').map(OsString::from).collect();
            let placed = place_first(&root, args, |path| path.starts_with("shop"));
            placed.into_iter().map(|arg| arg.into_string().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("motet -p x shop/compose.yaml up"), "motet -p x --at=shop/compose.yaml up");
        assert_eq!(of("motet up shop"), "motet up shop");
        assert_eq!(of("motet other up"), "motet other up");
    }

    #[test]
    fn an_unknown_verb_or_none_changes_nothing() {
        check("motet upp --dry-run", "motet upp --dry-run");
        check("motet --dry-run", "motet --dry-run");
    }
}
