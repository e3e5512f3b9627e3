//! Where a registry keeps things: one SQLite file, or a PostgreSQL database that several registries
//! share.
//!
//! The statements and what they mean are in one place for both; a database is a [`Connection`] that
//! runs transactions of them. Transactions that write run one after another in the whole database,
//! and are durable when [`Connection::write`] returns.

mod columns;
pub mod postgres;
pub mod sqlite;
mod tables;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use airc_core::store::{Store, StoreError, Stored};

/// Which database, as `sqlite:PATH` or `postgres://...`.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// One file.
    Sqlite(PathBuf),
    /// A connection string, `postgres://` or `postgresql://`. It may hold a password.
    Postgres(String),
}

/// What a database is called was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseError;

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a database is sqlite:PATH or postgres://USER@HOST/NAME")
    }
}

impl std::error::Error for DatabaseError {}

impl FromStr for Database {
    type Err = DatabaseError;

    fn from_str(text: &str) -> Result<Self, DatabaseError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        match text.strip_prefix("sqlite:") {
            // `:memory:` would be another database for every connection.
            Some(path) if !path.is_empty() && path != ":memory:" => Ok(Self::Sqlite(path.into())),
            _ => Err(DatabaseError),
        }
    }
}

/// Without what may be a secret.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&postgres::without_secrets(url)),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a database could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The file belongs to another program, or is no database at all.
    Foreign {
        /// Which database.
        database: String,
    },
    /// A newer registry has written it.
    Newer {
        /// Which database.
        database: String,
        /// The version of its tables.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// What the connection string asks for is not to be had.
    Unsupported {
        /// What, and what to do about it.
        reason: String,
    },
    /// It cannot be reached, read or written.
    Failed {
        /// Which database.
        database: String,
        /// What it said.
        reason: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { database } => write!(
                f,
                "{database} is not a registry's database: name another one, or a file that does \
                 not exist yet"
            ),
            Self::Newer {
                database,
                found,
                known,
            } => write!(
                f,
                "{database} was written by a newer registry (tables of version {found}, this \
                 program knows {known}): run that one"
            ),
            Self::Unsupported { reason } => f.write_str(reason),
            Self::Failed { database, reason } => write!(f, "{database} cannot be used: {reason}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It makes the tables if they are missing, and may write.
    Write,
    /// It reads, of a database that was opened for writing before.
    Read,
}

/// What a transaction does. It may run several times, so it has to begin anew each time.
pub type Work<'a> = &'a mut dyn FnMut(&mut dyn Store) -> Stored<()>;

/// One connection to a database, which runs one transaction at a time.
pub trait Connection: Send {
    /// Runs a transaction that may write. If the work is `Ok`, what it wrote is durable when this
    /// returns; otherwise nothing is written.
    ///
    /// # Errors
    /// The work's own, or that the transaction could not be begun or committed.
    fn write(&mut self, work: Work<'_>) -> Stored<()>;

    /// Runs a transaction that reads one state of the database.
    ///
    /// # Errors
    /// The work's own, or that the transaction could not be begun.
    fn read(&mut self, work: Work<'_>) -> Stored<()>;

    /// For moments in which nobody waits for this connection: what the database has to tidy up.
    /// Nothing depends on it but speed.
    fn tidy(&mut self) {}
}

/// Opens one connection.
///
/// # Errors
/// See [`OpenError`].
pub fn open(database: &Database, access: Access) -> Result<Box<dyn Connection>, OpenError> {
    Ok(match database {
        Database::Sqlite(path) => Box::new(sqlite::Sqlite::open(path, access)?),
        Database::Postgres(url) => Box::new(postgres::Postgres::open(url, access)?),
    })
}

/// The database holds what no registry has written.
pub(crate) fn unreadable(what: &str) -> StoreError {
    StoreError {
        message: format!("the database holds {what} that cannot be read: it was changed by hand"),
        transient: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_named_by_their_scheme() {
        assert_eq!(
            "sqlite:a/b.db".parse(),
            Ok(Database::Sqlite("a/b.db".into()))
        );
        let url = "postgres://me@localhost/airc";
        assert_eq!(url.parse(), Ok(Database::Postgres(url.into())));
        for bad in ["", "sqlite:", "sqlite::memory:", "mysql://x", "a.db"] {
            assert_eq!(bad.parse::<Database>(), Err(DatabaseError), "{bad}");
        }
    }

    #[test]
    fn a_database_is_shown_without_its_password() {
        for url in [
            "postgres://me:hunter2@localhost/airc",
            "postgres://me@localhost/airc?password=hunter2",
            "postgres://me@localhost/airc?no_such_option=hunter2",
        ] {
            let database = Database::Postgres(url.into());
            assert!(
                !format!("{database} {database:?}").contains("hunter2"),
                "{database}"
            );
        }
    }
}
