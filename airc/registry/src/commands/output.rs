//! What a command prints: text for people, or JSON for programs.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

use crate::Error;

/// Where a command prints. Complaints go to stderr, so that stdout can be piped on.
pub struct Output {
    json: bool,
    to: Box<dyn Write>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("json", &self.json)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// To this process's stdout.
    #[must_use]
    pub fn stdout(json: bool) -> Self {
        let to = Box::new(io::BufWriter::new(io::stdout()));
        Self { json, to }
    }

    /// Whether a program reads it.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// One line for people.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn line(&mut self, text: impl fmt::Display) -> Result<(), Error> {
        writeln!(self.to, "{text}").map_err(Error::Output)
    }

    /// Text as it is.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn text(&mut self, text: &str) -> Result<(), Error> {
        self.to.write_all(text.as_bytes()).map_err(Error::Output)
    }

    /// One value: as JSON, or as the lines that `human` writes.
    ///
    /// # Errors
    /// [`Error::Output`], and those of `human`.
    pub fn present(
        &mut self,
        value: &impl Serialize,
        human: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if !self.json {
            return human(self);
        }
        serde_json::to_writer_pretty(&mut self.to, value).map_err(json_error)?;
        self.line("")?;
        self.flush()
    }

    /// One JSON line of many, at once.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn record(&mut self, value: &impl Serialize) -> Result<(), Error> {
        serde_json::to_writer(&mut self.to, value).map_err(json_error)?;
        self.line("")?;
        self.flush()
    }

    /// Everything that was printed is out.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.to.flush().map_err(Error::Output)
    }

    /// Says on stderr why it failed; with JSON, as `{"error": ..., "exit": ...}`.
    pub fn complain(&mut self, error: &Error) {
        // What came before stays before it, where both go to the same place.
        let _broken = self.flush();
        let mut stderr = io::stderr();
        let _closed = if self.json {
            let exit = error.exit() as u8;
            let value = serde_json::json!({ "error": error.to_string(), "exit": exit });
            writeln!(stderr, "{value}")
        } else {
            writeln!(stderr, "airc-registry: {error}")
        };
    }
}

fn json_error(error: serde_json::Error) -> Error {
    Error::Output(error.into())
}
