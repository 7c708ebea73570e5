//! What a Dockerfile says, typed: stages of instructions, each with its span. What the parser makes and the builder obeys.

use std::collections::BTreeMap;

use crate::build::dockerfile::arguments::Pair;
use crate::build::dockerfile::lexer::Span;

/// A Dockerfile, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Dockerfile {
    /// ARGs before the first FROM.
    pub globals: Vec<(Span, Vec<Argument>)>,
    /// At least one.
    pub stages: Vec<Stage>,
    /// Joins lines and escapes characters.
    pub escape: char,
    /// Parser directives.
    pub directives: BTreeMap<String, String>,
}

/// FROM, and what follows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Lower case.
    pub name: Option<String>,
    /// As written: variables not expanded.
    pub base: String,
    /// `--platform`, as written.
    pub platform: Option<String>,
    /// Where FROM stands.
    pub span: Span,
    /// FROM's logical line.
    pub text: String,
    /// In order.
    pub instructions: Vec<Instruction>,
}

/// One instruction of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Instruction {
    /// As written.
    pub keyword: String,
    /// What it does.
    pub act: Act,
    /// Where it stands.
    pub span: Span,
    /// Its logical line.
    pub text: String,
}

/// What an instruction does.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names of the Dockerfile reference")]
pub enum Act {
    Add(Transfer),
    Arg(Vec<Argument>),
    Cmd(Command),
    Copy(Transfer),
    Entrypoint(Command),
    Env(Vec<Pair>),
    Expose(Vec<String>),
    Healthcheck(Healthcheck),
    Label(Vec<Pair>),
    Maintainer(String),
    OnBuild(Trigger),
    Run(Run),
    Shell(Vec<String>),
    StopSignal(String),
    User(String),
    Volume(Vec<String>),
    Workdir(String),
}

/// A declared build argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Name.
    pub name: String,
    /// Default, as written.
    pub default: Option<String>,
}

/// A program, or a line for the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A JSON array.
    Exec(Vec<String>),
    /// Anything else.
    Shell(String),
}

/// ADD or COPY.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the flags of the Dockerfile reference")]
pub struct Transfer {
    /// Files and folders, as written.
    pub sources: Vec<String>,
    /// Heredocs.
    pub contents: Vec<Content>,
    pub destination: String,
    /// COPY: a stage, an image, or a named context.
    pub from: Option<String>,
    pub chown: Option<String>,
    pub chmod: Option<String>,
    pub link: bool,
    pub parents: bool,
    pub exclude: Vec<String>,
    /// ADD of a git repository.
    pub keep_git_dir: Option<bool>,
    /// ADD of a URL or git repository.
    pub checksum: Option<String>,
    pub unpack: Option<bool>,
}

/// A file written in the Dockerfile itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Name of the file.
    pub name: String,
    /// Its text.
    pub data: String,
    /// Variables in it are expanded.
    pub expand: bool,
    /// `<<-`, and the leading tabs are still there (RUN: the shell takes them away).
    pub chomp: bool,
}

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the flags of the Dockerfile reference")]
pub struct Run {
    pub command: Command,
    /// Heredocs, in order: name, body.
    pub files: Vec<Content>,
    /// As written: read by [`mount::parse`](crate::build::dockerfile::mount::parse) once variables have values.
    pub mounts: Vec<String>,
    pub network: RunNetwork,
    pub security: RunSecurity,
    pub devices: Vec<String>,
}

/// RUN --network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of the Dockerfile reference")]
pub enum RunNetwork {
    #[default]
    Default,
    None,
    Host,
}

/// RUN --security.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of the Dockerfile reference")]
pub enum RunSecurity {
    #[default]
    Sandbox,
    Insecure,
}

/// RUN --mount, variables expanded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the options of the Dockerfile reference")]
pub struct RunMount {
    pub kind: RunMountKind,
    pub from: Option<String>,
    pub source: Option<String>,
    pub target: Option<String>,
    pub id: Option<String>,
    pub read_only: Option<bool>,
    pub required: bool,
    pub sharing: Option<String>,
    pub size: Option<String>,
    pub mode: Option<String>,
    pub uid: Option<String>,
    pub gid: Option<String>,
    /// Name of the variable that holds a secret.
    pub env: Option<String>,
}

/// RUN --mount=type=
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of the Dockerfile reference")]
pub enum RunMountKind {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

/// HEALTHCHECK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// Switches an inherited one off.
    None,
    /// A probe; times in nanoseconds, `None`: inherited.
    Probe {
        /// What is run.
        command: Command,
        /// Between two probes.
        interval: Option<i64>,
        /// For one probe.
        timeout: Option<i64>,
        /// Failures do not count so long.
        start_period: Option<i64>,
        /// Between two probes of that time.
        start_interval: Option<i64>,
        /// Failures in a row that make it unhealthy.
        retries: Option<i64>,
    },
}

/// ONBUILD: an instruction for the child, kept as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The instruction with its heredocs.
    pub text: String,
}
