//! Files that appear whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::Error;

/// A file that is being written beside where it will be, unseen.
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    path: PathBuf,
}

impl Draft {
    /// Writes `content` for `path`, readable and writable by this user alone. Directories that are
    /// missing are made, for this user alone too.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn private(path: &Path, content: &[u8]) -> Result<Self, Error> {
        Self::write(path, content, 0o700)
    }

    /// Writes `content` for `path`, for everybody to read.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn public(path: &Path, content: &[u8]) -> Result<Self, Error> {
        let draft = Self::write(path, content, 0o755)?;
        let mode = Permissions::from_mode(0o644);
        let file = draft.file.as_file();
        file.set_permissions(mode)
            .map_err(|source| Error::writing(path, source))?;
        Ok(draft)
    }

    fn write(path: &Path, content: &[u8], dir_mode: u32) -> Result<Self, Error> {
        let failed = |source| Error::writing(path, source);
        let dir = directory_of(path);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(dir_mode)
            .create(dir)
            .map_err(failed)?;
        // Temporary files are made with mode 0600.
        let mut file = NamedTempFile::with_prefix_in(".aire-", dir).map_err(failed)?;
        file.write_all(content).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        let path = path.into();
        Ok(Self { file, path })
    }

    /// Where it is for now.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Puts it where it belongs, unless something is there.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::File`].
    pub fn keep_new(self) -> Result<(), Error> {
        let Self { file, path } = self;
        match file.persist_noclobber(&path) {
            Ok(_) => sync_directory(&path),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Error::Exists(path))
            }
            Err(error) => Err(Error::writing(path, error.error)),
        }
    }

    /// Puts it where it belongs, in place of what is there.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn replace(self) -> Result<(), Error> {
        let Self { file, path } = self;
        match file.persist(&path) {
            Ok(_) => sync_directory(&path),
            Err(error) => Err(Error::writing(path, error.error)),
        }
    }
}

/// The name survives a crash of the machine too.
fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(directory_of(path))
        .and_then(|dir| dir.sync_all())
        .map_err(|source| Error::writing(path, source))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}
