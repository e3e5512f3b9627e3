//! Opening a SQLite file: whose it is, which version its tables have, how it is written.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::store::{Access, OpenError};

/// `AIRC` in ASCII: what the file's header says that it is.
const APPLICATION_ID: i64 = 0x4149_5243;

/// How to get from each version of the tables to the next; the first from an empty file.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql")];

/// For how long another process that writes is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// More statements than there are.
const CACHED_STATEMENTS: usize = 64;

pub(super) fn open(path: &Path, access: Access) -> Result<Connection, OpenError> {
    let at = Place(path);
    if access == Access::Write {
        create_private(path).map_err(|error| at.failed(&error))?;
    }
    // A file that is only read still has a log that readers note themselves in.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| at.sqlite(&error))?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    let prepared = || -> rusqlite::Result<()> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "cache_size", -65_536)
    };
    prepared().map_err(|error| at.sqlite(&error))?;
    check_owner(&connection, &at)?;
    match access {
        Access::Write => {
            write_safely(&connection, &at)?;
            migrate(&connection, &at)?;
        }
        Access::Read => connection
            .pragma_update(None, "query_only", true)
            .map_err(|error| at.sqlite(&error))?,
    }
    Ok(connection)
}

/// The file, for what is said of it.
struct Place<'a>(&'a Path);

impl Place<'_> {
    fn name(&self) -> String {
        format!("sqlite:{}", self.0.display())
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> OpenError {
        OpenError::Failed {
            database: self.name(),
            reason: reason.to_string(),
        }
    }

    fn sqlite(&self, error: &rusqlite::Error) -> OpenError {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::Foreign {
                database: self.name(),
            },
            _ => self.failed(error),
        }
    }
}

/// Makes the file if it is missing, for nobody else to read: it holds messages. The log that SQLite
/// puts beside it gets the same permissions.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn number(connection: &Connection, sql: &str) -> rusqlite::Result<i64> {
    connection.query_row(sql, [], |row| row.get(0))
}

/// Nothing is changed in a file that is not ours.
fn check_owner(connection: &Connection, at: &Place<'_>) -> Result<(), OpenError> {
    let read = || -> rusqlite::Result<_> {
        // One state of the file: another process may be making the tables.
        connection.execute_batch("BEGIN")?;
        let found = (
            number(connection, "PRAGMA application_id")?,
            number(connection, "PRAGMA user_version")?,
            number(connection, "SELECT COUNT(*) FROM sqlite_schema")?,
        );
        connection.execute_batch("COMMIT")?;
        Ok(found)
    };
    let (owner, version, tables) = read().map_err(|error| at.sqlite(&error))?;
    let known = MIGRATIONS.len() as i64;
    match owner {
        APPLICATION_ID if version <= known => Ok(()),
        APPLICATION_ID => Err(OpenError::Newer {
            database: at.name(),
            found: version,
            known,
        }),
        0 if version == 0 && tables == 0 => Ok(()),
        _ => Err(OpenError::Foreign {
            database: at.name(),
        }),
    }
}

fn write_safely(connection: &Connection, at: &Place<'_>) -> Result<(), OpenError> {
    let set = || -> rusqlite::Result<String> {
        connection.pragma_update(None, "synchronous", "FULL")?;
        // On macOS, fsync alone stops at the disk's own cache.
        connection.pragma_update(None, "fullfsync", true)?;
        // For a log that nobody tidied up. The engine does, after it has answered.
        connection.pragma_update(None, "wal_autocheckpoint", 32_768)?;
        // After a burst the log gives its space back.
        connection.pragma_update(None, "journal_size_limit", 256 << 20)?;
        patiently(|| connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)))
    };
    let mode = set().map_err(|error| at.sqlite(&error))?;
    if mode != "wal" {
        let reason =
            format!("it takes no write-ahead log (its journal is {mode}): put it on a local disk");
        return Err(at.failed(&reason));
    }
    Ok(())
}

/// Tries again what SQLite refuses at once while another opens the file too: where waiting could be
/// for each other, it does not wait by itself.
fn patiently<T>(mut run: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let began = Instant::now();
    loop {
        match run() {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && began.elapsed() < BUSY_TIMEOUT =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            done => return done,
        }
    }
}

/// One transaction, so that a crash leaves the file as it was, and a second process waits.
fn migrate(connection: &Connection, at: &Place<'_>) -> Result<(), OpenError> {
    let run = || -> rusqlite::Result<()> {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let version = number(connection, "PRAGMA user_version")?;
        let done = usize::try_from(version).unwrap_or(usize::MAX);
        if done < MIGRATIONS.len() {
            for migration in MIGRATIONS.iter().skip(done) {
                connection.execute_batch(migration)?;
            }
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            connection.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
        }
        connection.execute_batch("COMMIT")
    };
    run().map_err(|error| at.sqlite(&error))
}
