//! Where an inbox was read to, so that nothing is printed twice: a file for each registry and
//! handle.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;

use airc_client::{Client, Cursor};

use crate::Error;
use crate::common::files::Draft;

/// The longest file that is read, in bytes.
const MAX_FILE: usize = 2048;

/// The place of a cursor.
#[derive(Debug)]
pub(super) struct Kept(PathBuf);

impl Kept {
    /// Of this client: `$XDG_STATE_HOME/aire/airc/HANDLE@REGISTRY`, else below `~/.local/state`.
    pub(super) fn of(client: &Client) -> Result<Self, Error> {
        let name = format!("{}@{}", client.handle(), escaped(&client.registry()));
        Ok(Self(state_dir()?.join("airc").join(name)))
    }

    /// What is kept; none if nothing is.
    pub(super) fn read(&self) -> Result<Option<Cursor>, Error> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::reading(&self.0, error)),
        };
        let cursor = Some(text.trim_end()).filter(|text| text.len() <= MAX_FILE);
        let cursor = cursor.and_then(Cursor::from_text).ok_or_else(|| {
            let path = self.0.display();
            Error::Usage(format!("{path} holds no cursor: --from-start begins again"))
        })?;
        Ok(Some(cursor))
    }

    /// Keeps a cursor, for this user's eyes alone.
    pub(super) fn write(&self, cursor: &Cursor) -> Result<(), Error> {
        Draft::private(&self.0, format!("{}\n", cursor.as_str()).as_bytes())?.replace()
    }
}

fn state_dir() -> Result<PathBuf, Error> {
    // The specification says that a relative path counts as none.
    let absolute = |path: &PathBuf| path.is_absolute();
    let named = |name| env::var_os(name).map(PathBuf::from).filter(absolute);
    named("XDG_STATE_HOME")
        .or_else(|| named("HOME").map(|home| home.join(".local/state")))
        .map(|dir| dir.join("aire"))
        .ok_or_else(|| {
            Error::Usage(
                "neither XDG_STATE_HOME nor HOME is set, so there is no place to keep how far the \
                 inbox was read: --since says from where, and keeps nothing"
                    .into(),
            )
        })
}

/// A text as part of a file's name; different texts are different names.
fn escaped(text: &str) -> String {
    let mut name = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b".-_".contains(&byte) {
            true => name.push(char::from(byte)),
            false => {
                // A string takes whatever it is given.
                let _never = write!(name, "%{byte:02x}");
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_name_is_one_part_of_a_path() {
        assert_eq!(
            escaped("https://a.example:1/v0"),
            "https%3a%2f%2fa.example%3a1%2fv0"
        );
    }
}
