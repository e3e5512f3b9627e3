//! What a command prints: text for people, or JSON for programs.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice as Choice};
use clap::ColorChoice;
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

use crate::Error;

/// Colours and weights, with one meaning each.
pub mod style {
    use super::{AnsiColor, Style};

    /// Names of things, and headings.
    pub const STRONG: Style = Style::new().bold();
    /// What matters less.
    pub const DIM: Style = Style::new().dimmed();
    /// What went well.
    pub const GOOD: Style = AnsiColor::Green.on_default();
    /// What deserves a look.
    pub const WARNING: Style = AnsiColor::Yellow.on_default();
    /// What went wrong.
    pub const BAD: Style = AnsiColor::Red.on_default().bold();
}

/// Whether `choice` and the environment want colour on `stream`: `NO_COLOR`, `CLICOLOR`,
/// `CLICOLOR_FORCE` and `TERM` count, and whether it is a terminal.
#[must_use]
pub fn wants_colour(choice: ColorChoice, stream: &impl anstream::stream::RawStream) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => AutoStream::choice(stream) != Choice::Never,
    }
}

/// Where a command prints. Notes and complaints go to stderr, so that stdout can be piped on.
pub struct Output {
    json: bool,
    terminal: bool,
    colour: bool,
    colour_of_notes: bool,
    to: Box<dyn Write>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("json", &self.json)
            .field("terminal", &self.terminal)
            .field("colour", &self.colour)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// To this process's stdout.
    #[must_use]
    pub fn stdout(json: bool, choice: ColorChoice) -> Self {
        let stdout = io::stdout();
        Self {
            json,
            terminal: stdout.is_terminal(),
            colour: wants_colour(choice, &stdout) && !json,
            colour_of_notes: wants_colour(choice, &io::stderr()),
            to: Box::new(io::BufWriter::new(stdout)),
        }
    }

    /// To `to`, without colour.
    #[must_use]
    pub fn to_writer(json: bool, to: impl Write + 'static) -> Self {
        Self {
            json,
            terminal: false,
            colour: false,
            colour_of_notes: false,
            to: Box::new(to),
        }
    }

    /// Whether a program reads it.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person sees stdout as it comes.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// `text` in `style`, where there is colour.
    pub fn styled<T: fmt::Display>(&self, style: Style, text: T) -> Styled<T> {
        let style = if self.colour { style } else { Style::new() };
        Styled { style, text }
    }

    /// One line for people.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn line(&mut self, text: impl fmt::Display) -> Result<(), Error> {
        writeln!(self.to, "{text}").map_err(Error::Output)
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
        match self.json {
            true => self.document(value),
            false => human(self),
        }
    }

    /// One JSON document over several lines: the only thing that a command prints.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn document(&mut self, value: &impl Serialize) -> Result<(), Error> {
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

    /// Bytes as they are.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.to.write_all(bytes).map_err(Error::Output)
    }

    /// Everything that was printed is out.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.to.flush().map_err(Error::Output)
    }

    /// A word beside the result, for people: on stderr.
    pub fn note(&self, text: impl fmt::Display) {
        // Who closes stderr wants no notes.
        let _closed = writeln!(io::stderr(), "aire: {text}");
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
        } else if self.colour_of_notes {
            let bad = style::BAD;
            writeln!(stderr, "{bad}aire:{bad:#} {error}")
        } else {
            writeln!(stderr, "aire: {error}")
        };
    }
}

fn json_error(error: serde_json::Error) -> Error {
    Error::Output(error.into())
}

/// Text in a style.
#[derive(Debug)]
pub struct Styled<T> {
    style: Style,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.style)?;
        self.text.fmt(f)?;
        write!(f, "{:#}", self.style)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("nobody panics").clone()).expect("text")
        }
    }

    #[test]
    fn a_value_is_json_for_programs_and_lines_for_people() {
        for (json, expected) in [(true, "{\n  \"a\": 1\n}\n"), (false, "a is 1\n")] {
            let page = Page::default();
            let mut out = Output::to_writer(json, page.clone());
            let value = serde_json::json!({ "a": 1 });
            out.present(&value, |out| out.line("a is 1"))
                .expect("a page takes all");
            assert_eq!(page.text(), expected);
        }
    }

    #[test]
    fn there_is_no_colour_where_nobody_sees_it() {
        let out = Output::to_writer(false, io::sink());
        assert_eq!(out.styled(style::BAD, "x").to_string(), "x");
    }
}
