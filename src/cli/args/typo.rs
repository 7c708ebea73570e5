//! A command line that is not understood, in one line with the nearest that would be.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What there is for verbs of docker that are not here.
const NOT_HERE: [(&str, &str); 11] = [
    ("search", "no registry is searched from here: its own pages do that, and `pull` brings what has a name"),
    ("swarm", NO_SWARM),
    ("node", NO_SWARM),
    ("service", NO_SWARM),
    ("stack", NO_SWARM),
    ("secret", NO_SWARM),
    ("context", "there are no contexts: `--engine` says who runs containers"),
    ("plugin", "there are no plug-ins"),
    ("manifest", "`image build --platform A,B --push` makes an image of several platforms"),
    ("trust", "images are not signed here"),
    ("checkpoint", "containers can't be written down and brought back"),
];
const NO_SWARM: &str = "there are no swarms: `up` brings a Compose file up on this machine";

/// Returns the lines to print in the place of clap's; `None`: clap says it well.
pub(crate) fn explain(error: &clap::Error) -> Option<String> {
    let text = |kind: ContextKind| match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        // clap lists them by likeness, the nearest last.
        ContextValue::Strings(texts) => texts.last().cloned(),
        _ => None,
    };
    let (what, given, near) = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            ("command", text(ContextKind::InvalidSubcommand)?, text(ContextKind::SuggestedSubcommand))
        }
        ErrorKind::UnknownArgument => ("argument", text(ContextKind::InvalidArg)?, text(ContextKind::SuggestedArg)),
        _ => return None,
    };
    let hint = match near {
        // As people type it who come from `docker compose up`.
        _ if what == "command" && given == "compose" => "the verbs stand by themselves here: `motet up`".to_owned(),
        // As people type it who come from `docker build`.
        _ if ["-t", "--tag"].contains(&&*given) && is_of(error, "build") => {
            "`build` makes what a Compose file asks for; `motet image build -t NAME FOLDER` is as docker's".to_owned()
        }
        _ if what == "command"
            && let Some((_, why)) = NOT_HERE.iter().find(|(verb, _)| *verb == given) =>
        {
            (*why).to_owned()
        }
        Some(near) => format!("did you mean `{near}`?"),
        None => "`motet --help` lists what there is".to_owned(),
    };
    Some(format!("error: unknown {what} `{given}`; {hint}\n"))
}

/// Says whether an error is about a verb of the program's own.
fn is_of(error: &clap::Error, verb: &str) -> bool {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return false };
    usage.to_string().split_whitespace().nth(2) == Some(verb)
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction, Command};

    use super::*;

    fn check(line: &str, expected: &str) {
        let up = Command::new("up").arg(Arg::new("detach").long("detach").action(ArgAction::SetTrue));
        let verbs = ["down", "ps", "push", "build"].map(Command::new);
        let root = Command::new("motet").subcommand(up).subcommands(verbs);
        let error = root.try_get_matches_from(line.split(' ')).unwrap_err();
        assert_eq!(explain(&error).unwrap(), format!("{expected}\n"));
    }

    #[test]
    fn a_typo_is_one_line_with_the_nearest() {
        check("motet upp", "error: unknown command `upp`; did you mean `up`?");
        check("motet psx", "error: unknown command `psx`; did you mean `ps`?");
        check("motet up --detatch", "error: unknown argument `--detatch`; did you mean `--detach`?");
        check(
            "motet build -t x",
            "error: unknown argument `-t`; `build` makes what a Compose file asks for; `motet image build -t NAME FOLDER` is as docker's",
        );
        check("motet push -t x", "error: unknown argument `-t`; `motet --help` lists what there is");
        check("motet compose up", "error: unknown command `compose`; the verbs stand by themselves here: `motet up`");
        check("motet search", &format!("error: unknown command `search`; {}", NOT_HERE[0].1));
        check("motet stack", &format!("error: unknown command `stack`; {NO_SWARM}"));
        check("motet frobnicate", "error: unknown command `frobnicate`; `motet --help` lists what there is");
    }
}
