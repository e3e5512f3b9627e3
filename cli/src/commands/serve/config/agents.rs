//! The agents in the configuration: built in, or any program.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::values::Time;

/// What a node does under one name.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RawAgent")]
pub(crate) struct Agent {
    /// What it is.
    pub(crate) kind: Kind,
    /// For how long an operation without a connection goes on, and can be resumed; not at all when
    /// missing.
    pub(crate) resumable: Option<Duration>,
}

/// What an agent is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// One that is built in.
    Builtin(Builtin),
    /// A program.
    Exec(Box<Exec>),
}

/// An agent that is built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    /// Answers with what it is sent.
    Echo,
    /// Answers with numbered frames.
    Stream {
        /// So many, where the caller does not say.
        frames: u32,
        /// The most that a caller may ask for.
        most: u32,
        /// How long between two, where the caller does not say.
        pause: Duration,
    },
    /// Answers with the time.
    Time,
}

/// A program that is started for every operation.
#[derive(Debug)]
pub(crate) struct Exec {
    /// The program, and its arguments.
    pub(crate) command: Spanned<Vec<String>>,
    /// How it gets the operation's arguments.
    pub(crate) arguments: Arguments,
    /// How it gets what the caller streams.
    pub(crate) input: Input,
    /// What of its output is a frame.
    pub(crate) output: Output,
    /// The longest frame of its output, in bytes.
    pub(crate) max_frame: usize,
    /// What each frame costs its caller.
    pub(crate) tokens_per_frame: u64,
    /// How long it waits for a top-up when the caller's budget is used up.
    pub(crate) budget_patience: Duration,
    /// How long it may run.
    pub(crate) timeout: Option<Duration>,
    /// How long it has between SIGTERM and SIGKILL.
    pub(crate) grace: Duration,
    /// How many may run at a time.
    pub(crate) max_processes: usize,
    /// Where it runs; the configuration's directory when missing.
    pub(crate) directory: Option<Spanned<PathBuf>>,
    /// Variables of its environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Variables of the node's environment that it gets too.
    pub(crate) inherit: Vec<String>,
    /// Whether the caller is told the last of what it writes to stderr, when it fails.
    pub(crate) tell_stderr: bool,
}

/// How a program gets the operation's arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Arguments {
    /// On stdin: all of it, unless `input` says that more comes; then framed like the rest.
    #[default]
    Stdin,
    /// As its last argument. They must be UTF-8 without NUL.
    Argv,
    /// Not at all: an operation with arguments is refused.
    None,
}

/// How a program gets what the caller streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Input {
    /// Not at all.
    #[default]
    None,
    /// A line of stdin for each frame. A frame with a line break is refused.
    Lines,
    /// On stdin, each frame behind its length in four bytes, big-endian.
    Chunks,
}

/// What of a program's output is a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Output {
    /// Each line of stdout, without its end.
    #[default]
    Lines,
    /// Chunks of stdout, each behind its length in four bytes, big-endian.
    Chunks,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAgent {
    resumable: Option<Time>,

    builtin: Option<BuiltinName>,
    frames: Option<NonZeroU32>,
    max_frames: Option<NonZeroU32>,
    pause: Option<Time>,

    exec: Option<Spanned<Vec<String>>>,
    arguments: Option<Arguments>,
    input: Option<Input>,
    output: Option<Output>,
    max_frame: Option<NonZeroUsize>,
    tokens_per_frame: Option<u64>,
    budget_patience: Option<Time>,
    timeout: Option<Time>,
    grace: Option<Time>,
    max_processes: Option<NonZeroUsize>,
    directory: Option<Spanned<PathBuf>>,
    environment: Option<BTreeMap<String, String>>,
    inherit: Option<Vec<String>>,
    tell_stderr: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum BuiltinName {
    Echo,
    Stream,
    Time,
}

impl TryFrom<RawAgent> for Agent {
    type Error = String;

    fn try_from(mut raw: RawAgent) -> Result<Self, String> {
        let resumable = raw.resumable.map(|time| time.0);
        let kind = match (raw.builtin, raw.exec.take()) {
            (Some(_), Some(_)) => return Err("either `builtin` or `exec`, not both".into()),
            (None, None) => {
                return Err("`exec` or `builtin` is missing: what does the agent do?".into());
            }
            (Some(name), None) => Kind::Builtin(raw.builtin(name)?),
            (None, Some(command)) => Kind::Exec(Box::new(raw.exec(command)?)),
        };
        Ok(Self { kind, resumable })
    }
}

impl RawAgent {
    fn builtin(&self, name: BuiltinName) -> Result<Builtin, String> {
        if let Some(field) = self.field_of_exec() {
            return Err(format!("`{field}` is for agents with `exec`"));
        }
        if name != BuiltinName::Stream
            && let Some(field) = self.field_of_stream()
        {
            return Err(format!("`{field}` is for `builtin = \"stream\"`"));
        }
        Ok(match name {
            BuiltinName::Echo => Builtin::Echo,
            BuiltinName::Time => Builtin::Time,
            BuiltinName::Stream => {
                let frames = self.frames.map_or(10, NonZeroU32::get);
                let most = self
                    .max_frames
                    .map_or(1_000_000.max(frames), NonZeroU32::get);
                if frames > most {
                    return Err("`frames` is over `max_frames`".into());
                }
                Builtin::Stream {
                    frames,
                    most,
                    pause: self.pause.map_or(Duration::ZERO, |time| time.0),
                }
            }
        })
    }

    fn exec(self, command: Spanned<Vec<String>>) -> Result<Exec, String> {
        if let Some(field) = self.field_of_stream() {
            return Err(format!("`{field}` is for `builtin = \"stream\"`"));
        }
        let words = command.get_ref();
        if words.first().is_none_or(String::is_empty) {
            return Err("`exec` is empty: it is the program and its arguments".into());
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err("`exec` has a NUL in it".into());
        }
        let max_frame = self.max_frame.map_or(64 * 1024, NonZeroUsize::get);
        if max_frame > MAX_FRAME {
            return Err(format!("`max_frame` is at most {MAX_FRAME} bytes"));
        }
        let environment = self.environment.unwrap_or_default();
        let mut names = environment.keys().chain(self.inherit.iter().flatten());
        if let Some(name) = names.find(|name| !is_variable(name)) {
            return Err(format!("{name:?} is no name of an environment variable"));
        }
        if let Some(name) = environment.keys().find(|name| name.starts_with("AIRE_")) {
            return Err(format!(
                "{name}: the node sets what begins with AIRE_ itself"
            ));
        }
        if environment.values().any(|value| value.contains('\0')) {
            return Err("`environment` has a NUL in it".into());
        }
        let time = |time: Option<Time>, otherwise| time.map_or(otherwise, |time| time.0);
        Ok(Exec {
            command,
            arguments: self.arguments.unwrap_or_default(),
            input: self.input.unwrap_or_default(),
            output: self.output.unwrap_or_default(),
            max_frame,
            tokens_per_frame: self.tokens_per_frame.unwrap_or(1),
            budget_patience: time(self.budget_patience, Duration::ZERO),
            timeout: self.timeout.map(|time| time.0),
            grace: time(self.grace, Duration::from_secs(5)),
            max_processes: self.max_processes.map_or(16, NonZeroUsize::get),
            directory: self.directory,
            environment,
            inherit: self.inherit.unwrap_or_else(|| vec!["PATH".into()]),
            tell_stderr: self.tell_stderr.unwrap_or(true),
        })
    }

    fn field_of_stream(&self) -> Option<&'static str> {
        let fields = [
            ("frames", self.frames.is_some()),
            ("max_frames", self.max_frames.is_some()),
            ("pause", self.pause.is_some()),
        ];
        first_given(&fields)
    }

    fn field_of_exec(&self) -> Option<&'static str> {
        let fields = [
            ("arguments", self.arguments.is_some()),
            ("input", self.input.is_some()),
            ("output", self.output.is_some()),
            ("max_frame", self.max_frame.is_some()),
            ("tokens_per_frame", self.tokens_per_frame.is_some()),
            ("budget_patience", self.budget_patience.is_some()),
            ("timeout", self.timeout.is_some()),
            ("grace", self.grace.is_some()),
            ("max_processes", self.max_processes.is_some()),
            ("directory", self.directory.is_some()),
            ("environment", self.environment.is_some()),
            ("inherit", self.inherit.is_some()),
            ("tell_stderr", self.tell_stderr.is_some()),
        ];
        first_given(&fields)
    }
}

fn first_given(fields: &[(&'static str, bool)]) -> Option<&'static str> {
    fields
        .iter()
        .find_map(|(name, given)| given.then_some(*name))
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// No STREAM frame is longer (`WIRE-13`).
const MAX_FRAME: usize = 1024 * 1024;
