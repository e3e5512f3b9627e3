//! Reading the file, and saying where in it something is wrong.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::{Config, Nonsense};
use crate::Error;

/// A configuration, and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    source: Option<Source>,
}

impl Loaded {
    /// The configuration without a file.
    #[must_use]
    pub fn none() -> Self {
        Self {
            config: Config::default(),
            source: None,
        }
    }

    /// Reads `path`. Paths in it are relative to its directory.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Config`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::reading(path, source))?;
        let mut text = String::new();
        let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
        read.map_err(|source| Error::reading(path, source))?;
        if text.len() as u64 > MAX_BYTES {
            let path = path.display();
            return Err(Error::Config(format!(
                "{path}: no configuration is over 1 MiB"
            )));
        }
        Self::parse(path, text)
    }

    fn parse(path: &Path, text: String) -> Result<Self, Error> {
        let whole = std::path::absolute(path).map_err(|source| Error::reading(path, source))?;
        let source = Source {
            path: path.into(),
            text,
        };
        let parsed = toml::Deserializer::parse(&source.text);
        let deserializer = parsed.map_err(|error| source.refusal(&error, ""))?;
        let mut config: Config = serde_path_to_error::deserialize(deserializer)
            .map_err(|error| source.refusal(error.inner(), &field_of(error.path())))?;
        if let Some(directory) = whole.parent() {
            config.resolve_paths(directory);
        }
        let source = Some(source);
        Ok(Self { config, source })
    }

    /// The configuration, if it makes sense.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn check(&self) -> Result<&Config, Error> {
        let checked = self.config.check();
        checked.map_err(|nonsense| self.refuse(&nonsense))?;
        Ok(&self.config)
    }

    /// What is wrong, with the file and the line if the file says it.
    #[must_use]
    pub fn refuse(&self, nonsense: &Nonsense) -> Error {
        match &self.source {
            Some(source) => {
                let span = span_of(&source.text, nonsense.field);
                source.error(span, nonsense.field, &nonsense.words)
            }
            None => Error::Config(nonsense.to_string()),
        }
    }
}

impl Config {
    /// Makes the paths of a file relative to its directory.
    fn resolve_paths(&mut self, directory: &Path) {
        if let Some(tls) = &mut self.tls {
            tls.certificate = directory.join(&tls.certificate);
            tls.key = directory.join(&tls.key);
        }
        if let Some(path) = self.database.strip_prefix("sqlite:")
            && let Some(path) = directory.join(path).to_str()
        {
            self.database = format!("sqlite:{path}");
        }
    }
}

#[derive(Clone, Debug)]
struct Source {
    /// As it was given.
    path: PathBuf,
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
                let start = before.rfind('\n').map_or(0, |at| at + 1);
                let column = before.get(start..).map_or(0, |text| text.chars().count()) + 1;
                format!("{path}:{line}:{column}:{field} {words}")
            }
            None => format!("{path}:{field} {words}"),
        })
    }
}

/// Where in `text` a field is set, if it is.
fn span_of(text: &str, field: &str) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    let (section, name) = match field.split_once('.') {
        Some((section, name)) => (Some(section), name),
        None => (None, field),
    };
    let table = table.get_ref();
    let value = match section {
        Some(section) => match table.get(section)?.get_ref() {
            DeValue::Table(inner) => inner.get(name)?,
            _ => return None,
        },
        None => table.get(name)?,
    };
    Some(value.span())
}

/// A field as people write it: without what the parser uses for itself.
fn field_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut field = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => field.push_str(&format!("[{index}]")),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let loaded = match Loaded::parse(Path::new("r.toml"), text.into()) {
            Ok(loaded) => loaded,
            Err(error) => return error.to_string(),
        };
        loaded.check().expect_err(text).to_string()
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_field() {
        for (text, words) in [
            ("listn = 1", "r.toml:1:1: listn: unknown field"),
            (
                "\n[limits]\nburst = \"x\"",
                "r.toml:3:9: limits.burst: invalid type",
            ),
            (
                "\n\n[times]\nretention = \"5\"",
                "r.toml:4:13: times.retention: \"5\" is no time",
            ),
            (
                "trusted_proxies = [\"1\"]",
                "r.toml:1:19: trusted_proxies[0]: \"1\" is no address",
            ),
            ("domain = \"A\"", "r.toml:1:10: domain: \"A\" is no domain"),
            ("listen = \"0.0.0.0:1\"", "r.toml: domain: it is missing"),
            (
                "domain = \"a.b\"\nlisten = \"0.0.0.0:1\"",
                "r.toml:2:10: listen: others than this machine could",
            ),
            (
                "[times]\nnonce_memory = \"9m\"",
                "r.toml:2:16: times.nonce_memory: it must be at least twice",
            ),
            (
                "[limits]\nburst = 0",
                "r.toml:2:9: limits.burst: at least 1",
            ),
            ("[tls]\nkey = \"a\"", "missing field `certificate`"),
            ("a = ", "r.toml:1:"),
        ] {
            let said = refusal(text);
            assert!(said.contains(words), "{text}: {said}");
        }
    }

    #[test]
    fn nothing_at_all_is_a_good_configuration() {
        let empty = Loaded::parse(Path::new("/etc/r.toml"), String::new()).unwrap();
        let config = empty.check().unwrap();
        assert_eq!(config.database, "sqlite:/etc/registry.db");
        assert!(Loaded::none().check().is_ok());
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let text = "database = \"sqlite:/a/b\"\n[tls]\ncertificate = \"c\"\nkey = \"/k\"";
        let loaded = Loaded::parse(Path::new("/etc/r.toml"), text.into()).unwrap();
        let tls = loaded.config.tls.unwrap();
        assert_eq!(tls.certificate, Path::new("/etc/c"));
        assert_eq!(tls.key, Path::new("/k"));
        assert_eq!(loaded.config.database, "sqlite:/a/b");
    }

    #[test]
    fn a_public_address_needs_tls_or_a_proxy_or_courage() {
        let public = "domain = \"a.b\"\nlisten = \"0.0.0.0:1\"\n";
        for more in [
            "trusted_proxies = [\"10.0.0.0/8\"]",
            "danger_plain_http = true",
            "[tls]\ncertificate = \"c\"\nkey = \"k\"",
        ] {
            let text = format!("{public}{more}");
            let loaded = Loaded::parse(Path::new("r.toml"), text).unwrap();
            let config = loaded.check().unwrap();
            let settings = config.settings(config.listen);
            assert!(settings.require_proof && !settings.open, "{more}");
        }
        let proxied = "domain = \"a.b\"\ntrusted_proxies = [\"127.0.0.1\"]".to_owned();
        let loaded = Loaded::parse(Path::new("r.toml"), proxied).unwrap();
        let config = loaded.check().unwrap();
        assert!(config.settings(config.listen).require_proof);
        assert_eq!(config.base_url(config.listen), "https://a.b");
        let local = Config::default();
        assert!(!local.settings(local.listen).require_proof);
    }
}
