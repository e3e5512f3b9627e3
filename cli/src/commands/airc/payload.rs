//! A payload on the command line: `TYPE=JSON`, or `TYPE=@FILE`.

use std::fs;
use std::str::FromStr;

use airc_client::{Payload, json};

use crate::Error;

/// A payload as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    kind: String,
    source: Source,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Text(String),
    File(String),
}

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, data) = text
            .split_once('=')
            .ok_or("a payload is TYPE=JSON or TYPE=@FILE: 'game:chess={\"move\":\"e4\"}'")?;
        let source = match data.strip_prefix('@') {
            Some(path) => Source::File(path.into()),
            None => Source::Text(data.into()),
        };
        let kind = kind.into();
        Ok(Self { kind, source })
    }
}

impl Given {
    /// The payload that is meant.
    pub(super) fn read(&self) -> Result<Payload, Error> {
        let (text, place) = match &self.source {
            Source::Text(text) => (text.clone().into_bytes(), "the payload"),
            Source::File(path) => {
                let text = fs::read(path).map_err(|source| Error::reading(path, source))?;
                (text, &**path)
            }
        };
        let value = json::parse(&text);
        let value = value.map_err(|error| Error::Usage(format!("{place} is no JSON: {error}")))?;
        let kind = value.kind();
        let data = value.into_object().ok_or_else(|| {
            Error::Usage(format!(
                "a payload's data is an object, and {place} is {kind}"
            ))
        })?;
        Ok(Payload {
            kind: self.kind.clone(),
            data,
        })
    }
}
