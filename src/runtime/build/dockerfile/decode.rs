//! Nodes to typed instructions, checked. Third step; what it lets through, the builder can count on.

use crate::build::dockerfile::arguments::split_first;
use crate::build::dockerfile::flags::{Flags, Kind, did_you_mean};
use crate::build::dockerfile::instruction::{
    Act, Argument, Command, Content, Dockerfile, Healthcheck, Instruction, Run, RunNetwork, RunSecurity, Stage,
    Transfer, Trigger,
};
use crate::build::dockerfile::lexer::{Span, SyntaxError};
use crate::build::dockerfile::mount;
use crate::build::dockerfile::parser::{self, Arguments, Node};

pub(super) const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Reads a Dockerfile.
pub fn dockerfile(text: &str) -> Result<Dockerfile, SyntaxError> {
    let document = parser::parse(text)?;
    let mut globals = Vec::new();
    let mut stages: Vec<Stage> = Vec::new();
    for node in &document.nodes {
        if node.keyword.eq_ignore_ascii_case("FROM") {
            stages.push(stage(node)?);
            continue;
        }
        let instruction = instruction(node)?;
        match (stages.last_mut(), instruction.act) {
            (Some(stage), act) => stage.instructions.push(Instruction { act, ..instruction }),
            (None, Act::Arg(arguments)) => globals.push((instruction.span, arguments)),
            (None, _) => {
                return Err(SyntaxError::new(
                    node.span.line,
                    "no build stage in current context: the first instruction must be FROM",
                ));
            }
        }
    }
    if stages.is_empty() {
        return Err(SyntaxError::new(1, "dockerfile contains no stages to build: FROM is missing"));
    }
    Ok(Dockerfile { globals, stages, escape: document.escape, directives: document.directives })
}

/// Reads one instruction that stands alone: what an image's ONBUILD holds.
pub fn trigger(text: &str) -> Result<Instruction, SyntaxError> {
    let document = parser::parse(text)?;
    match document.nodes.as_slice() {
        [node] => instruction(node),
        _ => Err(SyntaxError::new(1, format!("an ONBUILD trigger must be one instruction, not `{text}`"))),
    }
}

fn stage(node: &Node) -> Result<Stage, SyntaxError> {
    let error = |message: String| SyntaxError::new(node.span.line, message);
    let flags = Flags::parse(&node.flags, &[("platform", Kind::Value)]).map_err(error)?;
    let words = list(node);
    let name = match words.as_slice() {
        [_] => None,
        [_, word, name] if word.eq_ignore_ascii_case("as") => {
            let lower = name.to_lowercase();
            let valid = lower.starts_with(|c: char| c.is_ascii_lowercase())
                && lower.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
            if !valid {
                return Err(error(format!(
                    "invalid name for build stage: {name:?}, name can't start with a number or contain symbols"
                )));
            }
            Some(lower)
        }
        _ => return Err(error("FROM requires either one or three arguments".to_owned())),
    };
    Ok(Stage {
        name,
        base: words[0].clone(),
        platform: flags.owned("platform"),
        span: node.span,
        text: node.original.clone(),
        instructions: Vec::new(),
    })
}

fn instruction(node: &Node) -> Result<Instruction, SyntaxError> {
    let error = |message: String| SyntaxError::new(node.span.line, message);
    let act = act(node).map_err(error)?;
    Ok(Instruction { keyword: node.keyword.clone(), act, span: node.span, text: node.original.clone() })
}

fn act(node: &Node) -> Result<Act, String> {
    let keyword = node.keyword.to_ascii_uppercase();
    let own_flags = ["ADD", "COPY", "RUN", "HEALTHCHECK"].contains(&keyword.as_str());
    if !own_flags && INSTRUCTIONS.contains(&keyword.as_str()) {
        Flags::parse(&node.flags, &[])?;
    }
    let at_least_one = |words: Vec<String>| match words.is_empty() {
        true => Err(format!("{keyword} requires at least one argument")),
        false => Ok(words),
    };
    Ok(match keyword.as_str() {
        "ADD" => Act::Add(transfer(node, true)?),
        "COPY" => Act::Copy(transfer(node, false)?),
        "ARG" => Act::Arg(at_least_one(list(node))?.iter().map(|word| argument(word)).collect::<Result<_, _>>()?),
        "CMD" => Act::Cmd(command(&node.arguments)),
        "ENTRYPOINT" => Act::Entrypoint(command(&node.arguments)),
        "ENV" => Act::Env(pairs(node, &keyword)?),
        "LABEL" => Act::Label(pairs(node, &keyword)?),
        "EXPOSE" => {
            let mut ports = at_least_one(list(node))?;
            ports.sort();
            Act::Expose(ports)
        }
        "HEALTHCHECK" => Act::Healthcheck(healthcheck(node)?),
        "MAINTAINER" => Act::Maintainer(one(node, &keyword)?),
        "ONBUILD" => Act::OnBuild(on_build(node)?),
        "RUN" => Act::Run(run(node)?),
        "SHELL" => match &node.arguments {
            Arguments::Json(words) => Act::Shell(at_least_one(words.clone())?),
            _ => return Err("SHELL requires the arguments to be in JSON form".to_owned()),
        },
        "STOPSIGNAL" => Act::StopSignal(one(node, &keyword)?),
        "USER" => Act::User(one(node, &keyword)?),
        "VOLUME" => {
            let volumes: Vec<String> = at_least_one(list(node))?.iter().map(|v| v.trim().to_owned()).collect();
            if volumes.iter().any(String::is_empty) {
                return Err("VOLUME specified can not be an empty string".to_owned());
            }
            Act::Volume(volumes)
        }
        "WORKDIR" => Act::Workdir(one(node, &keyword)?),
        _ => {
            return Err(format!("unknown instruction: {}{}", node.keyword, did_you_mean(&keyword, &INSTRUCTIONS)));
        }
    })
}

fn list(node: &Node) -> Vec<String> {
    match &node.arguments {
        Arguments::Json(words) | Arguments::List(words) => words.clone(),
        Arguments::Line(line) if line.is_empty() => Vec::new(),
        Arguments::Line(line) => vec![line.clone()],
        Arguments::Pairs(_) | Arguments::Kind(..) | Arguments::Nested(_) => Vec::new(),
    }
}

fn one(node: &Node, keyword: &str) -> Result<String, String> {
    match &node.arguments {
        Arguments::Line(line) if !line.is_empty() => Ok(line.clone()),
        _ => Err(format!("{keyword} requires exactly one argument")),
    }
}

fn pairs(node: &Node, keyword: &str) -> Result<Vec<crate::build::dockerfile::arguments::Pair>, String> {
    let Arguments::Pairs(pairs) = &node.arguments else { return Ok(Vec::new()) };
    if pairs.is_empty() {
        return Err(format!("{keyword} requires at least one argument"));
    }
    if pairs.iter().any(|pair| pair.key.is_empty()) {
        return Err(format!("{keyword} names can not be blank"));
    }
    Ok(pairs.clone())
}

fn argument(word: &str) -> Result<Argument, String> {
    let (name, default) = match word.split_once('=') {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (word, None),
    };
    if name.is_empty() {
        return Err("ARG names can not be blank".to_owned());
    }
    Ok(Argument { name: name.to_owned(), default })
}

/// Reads the exec or the shell form.
pub fn command(arguments: &Arguments) -> Command {
    match arguments {
        Arguments::Json(words) => Command::Exec(words.clone()),
        Arguments::Line(line) => Command::Shell(line.clone()),
        Arguments::List(words) => Command::Shell(words.join(" ")),
        Arguments::Pairs(_) | Arguments::Kind(..) | Arguments::Nested(_) => Command::Shell(String::new()),
    }
}

fn transfer(node: &Node, add: bool) -> Result<Transfer, String> {
    let keyword = if add { "ADD" } else { "COPY" };
    let mut words = list(node);
    if words.len() < 2 {
        return Err(format!(
            "{keyword} requires at least two arguments, but only one was provided. Destination could not be determined"
        ));
    }
    let shared = [("chown", Kind::Value), ("chmod", Kind::Value), ("link", Kind::Switch), ("exclude", Kind::Values)];
    let own: &[(&'static str, Kind)] = if add {
        &[("keep-git-dir", Kind::Switch), ("checksum", Kind::Value), ("unpack", Kind::Switch)]
    } else {
        &[("from", Kind::Value), ("parents", Kind::Switch)]
    };
    let known: Vec<_> = shared.iter().chain(own).copied().collect();
    let flags = Flags::parse(&node.flags, &known)?;
    let destination = words.pop().unwrap_or_default();
    if parser::heredoc(&destination).is_some() {
        return Err(format!("{keyword} cannot accept a heredoc as a destination"));
    }
    let mut transfer = Transfer {
        destination,
        from: flags.owned("from"),
        chown: flags.owned("chown"),
        chmod: flags.owned("chmod"),
        link: flags.switch("link").unwrap_or(false),
        parents: flags.switch("parents").unwrap_or(false),
        exclude: flags.all("exclude"),
        keep_git_dir: flags.switch("keep-git-dir"),
        checksum: flags.owned("checksum"),
        unpack: flags.switch("unpack"),
        ..Transfer::default()
    };
    let exec = matches!(node.arguments, Arguments::Json(_));
    for word in words {
        match parser::heredoc(&word).filter(|_| !exec) {
            Some(opened) => {
                let body = node.heredocs.iter().find(|doc| doc.name == opened.name);
                let data = body.map(parser::Heredoc::body).unwrap_or_default();
                transfer.contents.push(Content { name: opened.name, data, expand: opened.expand, chomp: false });
            }
            None => transfer.sources.push(word),
        }
    }
    Ok(transfer)
}

fn run(node: &Node) -> Result<Run, String> {
    let known =
        [("mount", Kind::Values), ("network", Kind::Value), ("security", Kind::Value), ("device", Kind::Values)];
    let flags = Flags::parse(&node.flags, &known)?;
    let mounts = flags.all("mount");
    // One with a variable can be judged only when that has its value.
    for text in mounts.iter().filter(|text| !text.contains('$')) {
        mount::parse(text, &|value| Ok(value.to_owned()))?;
    }
    if let Some(text) =
        mounts.iter().find(|text| text.split(',').any(|field| field.starts_with("from=") && field.contains('$')))
    {
        mount::parse(text, &|value| Ok(value.to_owned()))?;
    }
    let network = match flags.value("network").unwrap_or("default") {
        "default" => RunNetwork::Default,
        "none" => RunNetwork::None,
        "host" => RunNetwork::Host,
        other => {
            let hint = did_you_mean(other, &["default", "none", "host"]);
            return Err(format!("invalid network mode: {other:?}{hint}"));
        }
    };
    let security = match flags.value("security").unwrap_or("sandbox") {
        "sandbox" => RunSecurity::Sandbox,
        "insecure" => RunSecurity::Insecure,
        other => {
            return Err(format!("security {other:?} is not valid{}", did_you_mean(other, &["sandbox", "insecure"])));
        }
    };
    let content = |doc: &parser::Heredoc| Content {
        name: doc.name.clone(),
        data: doc.content.clone(),
        expand: doc.expand,
        chomp: doc.chomp,
    };
    let files = node.heredocs.iter().map(content).collect();
    Ok(Run { command: command(&node.arguments), files, mounts, network, security, devices: flags.all("device") })
}

fn healthcheck(node: &Node) -> Result<Healthcheck, String> {
    let Arguments::Kind(kind, probe) = &node.arguments else {
        return Err("HEALTHCHECK requires at least one argument".to_owned());
    };
    let command = command(probe);
    let empty = match &command {
        Command::Exec(words) => words.is_empty(),
        Command::Shell(line) => line.is_empty(),
    };
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if !empty => Err("HEALTHCHECK NONE takes no arguments".to_owned()),
        "NONE" => Ok(Healthcheck::None),
        "CMD" if empty => Err("missing command after HEALTHCHECK CMD".to_owned()),
        "CMD" => {
            let names = ["interval", "timeout", "start-period", "start-interval", "retries"];
            let flags = Flags::parse(&node.flags, &names.map(|name| (name, Kind::Value)))?;
            let time = |name: &str| flags.value(name).map_or(Ok(None), |value| duration(name, value));
            let retries = match flags.value("retries").filter(|value| !value.is_empty()) {
                Some(value) => match value.parse::<i64>() {
                    Ok(count) if count >= 0 => Some(count).filter(|count| *count > 0),
                    _ => return Err(format!("--retries cannot be `{value}`: it must be a number from 0 on")),
                },
                None => None,
            };
            Ok(Healthcheck::Probe {
                command,
                interval: time("interval")?,
                timeout: time("timeout")?,
                start_period: time("start-period")?,
                start_interval: time("start-interval")?,
                retries,
            })
        }
        _ => Err(format!("unknown type {kind:?} in HEALTHCHECK (try CMD)")),
    }
}

/// Reads `1m30s` to nanoseconds; 0 means inherited.
fn duration(name: &str, text: &str) -> Result<Option<i64>, String> {
    let bad = || format!("invalid duration `{text}` on flag --{name}");
    let mut rest = text;
    let mut total = 0.0_f64;
    if rest.is_empty() || rest == "0" {
        return Ok(None);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let value: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(bad()),
        };
        total += value * unit;
        rest = &rest[end..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "a saturating cast of a time is what is wanted")]
    let nanoseconds = total as i64;
    match nanoseconds {
        0 => Ok(None),
        1..1_000_000 => Err(format!("interval {name:?} cannot be less than 1ms")),
        _ => Ok(Some(nanoseconds)),
    }
}

fn on_build(node: &Node) -> Result<Trigger, String> {
    let Arguments::Nested(Some(inner)) = &node.arguments else {
        return Err("ONBUILD requires at least one argument".to_owned());
    };
    match inner.keyword.to_ascii_uppercase().as_str() {
        "ONBUILD" => return Err("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned()),
        trigger @ ("FROM" | "MAINTAINER") => return Err(format!("{trigger} isn't allowed as an ONBUILD trigger")),
        _ => {}
    }
    let mut inner = (**inner).clone();
    inner.heredocs.clone_from(&node.heredocs);
    act(&inner)?;
    let (_, rest) = split_first(&node.original);
    let mut text = rest.to_owned();
    for doc in &node.heredocs {
        text.push('\n');
        text.push_str(&doc.content);
        text.push_str(&doc.name);
    }
    Ok(Trigger { text })
}

/// Returns a span of the first line, for instructions that come from an image.
pub fn nowhere() -> Span {
    Span { line: 1, column: 1, end_line: 1 }
}
