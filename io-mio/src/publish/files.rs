//! The documents as files, for a web server that serves a directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Publication, PublishError};
use crate::http::decoded;

/// Where a server that looks at the query finds its answers about handles.
const ANSWERS: &str = ".well-known/aire-did.d";
/// What a server that does not look at it answers about every handle.
const ANSWER: &str = ".well-known/aire-did";

impl Publication {
    /// Writes the documents under `root`, the directory that a web server serves, and returns the
    /// files:
    ///
    /// - the DID document: `.well-known/did.json`, or `<path>/did.json` for a DID with a path;
    /// - for each handle, `.well-known/aire-did.d/<localpart>`;
    /// - `.well-known/aire-did`, if there are handles, and unless another DID's answer is there.
    ///
    /// A handle is asked for with a query, `/.well-known/aire-did?name=<localpart>`, which most
    /// servers ignore when they look for a file. Where all handles of a domain are those of one
    /// DID, that is fine: everybody gets `.well-known/aire-did`, and who asked for a name that the
    /// document does not claim refuses it (`DISC-7`). For several DIDs the server has to look at the
    /// query, as in this line for nginx:
    ///
    /// ```text
    /// location = /.well-known/aire-did { try_files /.well-known/aire-did.d/$arg_name =404; }
    /// ```
    ///
    /// The files are replaced as a whole, so that nobody is served half of one. A handle of another
    /// domain than the DID's has to be answered there.
    ///
    /// # Errors
    /// [`PublishError::File`]; [`PublishError::Name`] for the local parts `.` and `..`.
    pub fn write_to(&self, root: impl AsRef<Path>) -> Result<Vec<PathBuf>, PublishError> {
        let root = root.as_ref();
        let mut files = Vec::new();
        let mut document = root.to_owned();
        for segment in self.document_path().split('/').skip(1) {
            document.push(file_name(&decoded(segment).unwrap_or_default())?);
        }
        files.push((document, self.document()));
        let mut answer = None;
        for handle in self.parsed_handles() {
            let name = file_name(handle.localpart())?;
            let content = self.answer(handle.localpart()).unwrap_or_default();
            files.push((root.join(ANSWERS).join(name), content.clone()));
            answer = Some(content);
        }
        if let Some(answer) = answer {
            let path = root.join(ANSWER);
            let there = read_if_there(&path)?;
            if there.is_none_or(|there| there == answer.as_bytes()) {
                files.push((path, answer));
            }
        }
        files
            .into_iter()
            .map(|(path, content)| match replace(&path, content.as_bytes()) {
                Ok(()) => Ok(path),
                Err(source) => Err(PublishError::File { path, source }),
            })
            .collect()
    }
}

/// A name that stays in its directory.
fn file_name(name: &str) -> Result<&str, PublishError> {
    let good = !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', '\0']);
    good.then_some(name)
        .ok_or_else(|| PublishError::Name { name: name.into() })
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, PublishError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PublishError::File {
            path: path.into(),
            source,
        }),
    }
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    fs::write(&new, content)?;
    fs::rename(new, path)
}
