//! The configuration of a node, in TOML. What it cannot be is refused with the file, the line and
//! the field; what it does not know is refused too, so that no misspelt limit goes unnoticed.

mod agents;
mod discovery;
mod sections;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

pub(crate) use agents::{Agent, Arguments, Builtin, Exec, Input, Kind, Output as ExecOutput};
pub(crate) use discovery::{Discovery, Publish};
pub(crate) use sections::{Admission, CapRule, Http, Limits, Resume, Store, Tls};

use crate::Error;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The UDP addresses to listen on.
    #[serde(default = "default_listen")]
    pub(crate) listen: Spanned<Vec<SocketAddr>>,
    /// The file with the node's key.
    pub(crate) key: Option<Spanned<PathBuf>>,
    /// How it proves its address.
    #[serde(default)]
    pub(crate) tls: Tls,
    /// How much of everything.
    #[serde(default)]
    pub(crate) limits: Limits,
    /// What peers may spend.
    #[serde(default)]
    pub(crate) caps: Vec<CapRule>,
    /// Who may come.
    #[serde(default)]
    pub(crate) admission: Admission,
    /// Where resumable operations are kept.
    #[serde(default)]
    pub(crate) resume: Resume,
    /// How it is found, and finds others.
    pub(crate) discovery: Option<Discovery>,
    /// Where it tells how it is.
    #[serde(default)]
    pub(crate) http: Http,
    /// What it does for its peers.
    #[serde(default)]
    pub(crate) agents: BTreeMap<String, Spanned<Agent>>,
}

fn default_listen() -> Spanned<Vec<SocketAddr>> {
    Spanned::new(0..0, vec![SocketAddr::from(([127, 0, 0, 1], 4433))])
}

/// A configuration, and where it came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What it says.
    pub(crate) config: Config,
    source: Source,
}

impl Loaded {
    /// Reads `path`.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Config`].
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let size = fs::metadata(path).map_err(|source| Error::reading(path, source))?;
        if size.len() > MAX_BYTES {
            let path = path.display();
            return Err(Error::Config(format!(
                "{path}: no configuration is over 1 MiB"
            )));
        }
        let text = fs::read_to_string(path).map_err(|source| Error::reading(path, source))?;
        Self::parse(path, text)
    }

    fn parse(path: &Path, text: String) -> Result<Self, Error> {
        let whole = std::path::absolute(path).map_err(|source| Error::reading(path, source))?;
        let source = Source {
            path: path.into(),
            dir: whole.parent().unwrap_or(&whole).into(),
            text,
        };
        let parsed = toml::Deserializer::parse(&source.text);
        let deserializer = parsed.map_err(|error| source.refusal(&error, ""))?;
        let config: Config = serde_path_to_error::deserialize(deserializer)
            .map_err(|error| source.refusal(error.inner(), &field_of(error.path())))?;
        let loaded = Self { config, source };
        loaded.check()?;
        Ok(loaded)
    }

    /// What no field can tell alone.
    fn check(&self) -> Result<(), Error> {
        let config = &self.config;
        if config.listen.get_ref().is_empty() {
            return Err(self.refuse(&config.listen, "listen", "at least one address is needed"));
        }
        if config.agents.is_empty() {
            return Err(Error::Config(format!(
                "{}: agents: there is none, so nobody would be served; an agent is a table, \
                 [agents.NAME], with `exec` or `builtin` in it",
                self.source.path.display()
            )));
        }
        if let Some(Discovery {
            did: None,
            publish: Some(publish),
            ..
        }) = &config.discovery
        {
            let words = "a document is published of a did:web: `discovery.did` is missing";
            return Err(self.refuse(&publish.listen, "discovery.publish", words));
        }
        let mut currency = None;
        for (index, rule) in config.caps.iter().enumerate() {
            if let Some(agent) = &rule.agent
                && !config.agents.contains_key(agent.get_ref())
            {
                let field = format!("caps[{index}].agent");
                return Err(self.refuse(agent, &field, "there is no agent of this name"));
            }
            if let Some(cost) = &rule.cost {
                let this = cost.get_ref().currency;
                if *currency.get_or_insert(this) != this {
                    let field = format!("caps[{index}].cost");
                    let words = "all caps must be in one currency: nothing is ever converted";
                    return Err(self.refuse(cost, &field, words));
                }
            }
        }
        Ok(())
    }

    /// A file that a field names: relative to the configuration's directory.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.source.dir.join(path)
    }

    /// Why a section as a whole cannot be used.
    pub(crate) fn refuse_section(&self, field: &str, words: impl fmt::Display) -> Error {
        self.source.error(None, field, &words)
    }

    /// Why a value cannot be used.
    pub(crate) fn refuse<T>(
        &self,
        value: &Spanned<T>,
        field: &str,
        words: impl fmt::Display,
    ) -> Error {
        self.source.error(Some(value.span()), field, &words)
    }
}

#[derive(Debug)]
struct Source {
    /// As it was given.
    path: PathBuf,
    /// Absolute, so that no change of directory leads elsewhere.
    dir: PathBuf,
    text: String,
}

impl Source {
    fn refusal(&self, error: &toml::de::Error, field: &str) -> Error {
        self.error(error.span(), field, &error.message())
    }

    fn error(&self, span: Option<Range<usize>>, field: &str, words: &dyn fmt::Display) -> Error {
        let path = self.path.display();
        let field = match field {
            "" => String::new(),
            field => format!(" {field}:"),
        };
        Error::Config(match span.and_then(|span| self.text.get(..span.start)) {
            Some(before) => {
                let line = before.matches('\n').count() + 1;
                let column = before
                    .rsplit('\n')
                    .next()
                    .map_or(0, |line| line.chars().count())
                    + 1;
                format!("{path}:{line}:{column}:{field} {words}")
            }
            None => format!("{path}:{field} {words}"),
        })
    }
}

/// A field as people write it: without what the parser uses for itself.
fn field_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut field = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => field.push_str(&format!("[{index}]")),
            Segment::Map { key } if key.starts_with("$__") => {}
            Segment::Map { key } => {
                if !field.is_empty() {
                    field.push('.');
                }
                field.push_str(key);
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    field
}

const MAX_BYTES: u64 = 1024 * 1024;
