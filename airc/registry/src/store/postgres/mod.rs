//! A PostgreSQL database, which several registries may share.
//!
//! Transactions that write take one lock of the database in turn, so that a position is never
//! visible before a smaller one; those that read see one snapshot and wait for nobody. The tables
//! are in the schema that the connection's `search_path` begins with.

mod driver;
mod open;

use std::thread;
use std::time::{Duration, Instant};

use airc_core::store::{Store, StoreError, Stored};
use postgres::{Client, Config, SimpleQueryMessage};

use self::driver::{Prepared, Statements, failed};
use super::tables::Tables;
use super::{Access, Connection, OpenError, Work};

pub(super) use self::open::without_secrets;

/// The lock is the tables', not the database's: registries in other schemas have their own. The
/// transaction's id tells, should the connection break, what became of it.
const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
    SELECT pg_advisory_xact_lock(1095324227, 'airc_schema'::regclass::oid::int4); \
    SELECT pg_current_xact_id()::text";

const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// For how long the server is asked what became of a transaction.
const RESOLVE_FOR: Duration = Duration::from_secs(10);

/// One connection to a database. It connects again when it was lost, for the next transaction.
pub struct Postgres {
    config: Config,
    /// None while there is no connection.
    session: Option<Session>,
}

struct Session {
    client: Client,
    prepared: Prepared,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects, and makes the tables if it is for writing and they are missing.
    ///
    /// Must not be called, nor dropped, on a thread of an asynchronous runtime.
    ///
    /// # Errors
    /// [`OpenError`], also when the URL asks for TLS, which there is not, or leaves it open for a
    /// server on another machine.
    pub fn open(url: &str, access: Access) -> Result<Self, OpenError> {
        let config = open::config(url)?;
        let mut client = open::connect(&config).map_err(|error| open::at(&config, &error))?;
        if access == Access::Write {
            open::migrate(&mut client, &config)?;
        }
        let session = Some(Session {
            client,
            prepared: Prepared::default(),
        });
        Ok(Self { config, session })
    }

    fn session(&mut self) -> Stored<&mut Session> {
        if self
            .session
            .as_ref()
            .is_some_and(|it| it.client.is_closed())
        {
            self.session = None;
        }
        match &mut self.session {
            Some(session) => Ok(session),
            empty => {
                let client = open::connect(&self.config).map_err(|error| failed(&error))?;
                tracing::info!("connected to PostgreSQL again");
                Ok(empty.insert(Session {
                    client,
                    prepared: Prepared::default(),
                }))
            }
        }
    }

    /// What became of a transaction whose commit was not answered.
    fn resolve(&mut self, transaction: &str, error: StoreError) -> Stored<()> {
        let deadline = Instant::now() + RESOLVE_FOR;
        loop {
            match self.status(transaction).as_deref() {
                Ok("committed") => return Ok(()),
                Ok("aborted") => {
                    return Err(StoreError {
                        transient: true,
                        ..error
                    });
                }
                // Still in progress, or the server is not back yet.
                _ if Instant::now() < deadline => thread::sleep(Duration::from_millis(100)),
                _ => {
                    let message = format!(
                        "it is not known whether transaction {transaction} was committed: {error}"
                    );
                    let transient = false;
                    return Err(StoreError { message, transient });
                }
            }
        }
    }

    fn status(&mut self, transaction: &str) -> Stored<String> {
        let client = &mut self.session()?.client;
        let row = client.query_one(
            "SELECT COALESCE(pg_xact_status($1::text::xid8), '')",
            &[&transaction],
        );
        row.and_then(|row| row.try_get(0))
            .map_err(|error| failed(&error))
    }
}

impl Connection for Postgres {
    fn write(&mut self, work: Work<'_>) -> Stored<()> {
        let (transaction, error) = {
            let mut transaction = Transaction::begin(self.session()?, BEGIN_WRITE)?;
            transaction.run(work)?;
            let id = transaction.id.take().unwrap_or_default();
            match transaction.commit() {
                Ok(()) => return Ok(()),
                Err(error) => (id, error),
            }
        };
        self.resolve(&transaction, error)
    }

    fn read(&mut self, work: Work<'_>) -> Stored<()> {
        let mut transaction = Transaction::begin(self.session()?, BEGIN_READ)?;
        transaction.run(work)?;
        transaction.commit()
    }
}

/// An open transaction: undone when it is dropped, by a panic too.
struct Transaction<'a> {
    session: &'a mut Session,
    /// Of one that writes.
    id: Option<String>,
    open: bool,
}

impl<'a> Transaction<'a> {
    fn begin(session: &'a mut Session, begin: &str) -> Stored<Self> {
        // Whatever happens from here on may have opened it.
        let mut this = Self {
            session,
            id: None,
            open: true,
        };
        let answers = this.session.client.simple_query(begin);
        for answer in answers.map_err(|error| failed(&error))? {
            if let SimpleQueryMessage::Row(row) = answer {
                // The lock has an empty row; the id comes after it.
                this.id = row.get(0).map(str::to_owned);
            }
        }
        Ok(this)
    }

    fn run(&mut self, work: Work<'_>) -> Stored<()> {
        let Session { client, prepared } = &mut *self.session;
        let mut tables = Tables(Statements::new(client, prepared));
        work(&mut tables as &mut dyn Store)?;
        // The server would take the commit of a transaction that it has given up, and say so only
        // in passing.
        tables.0.unbroken()
    }

    fn commit(mut self) -> Stored<()> {
        self.open = false;
        let committed = self.session.client.batch_execute("COMMIT");
        committed.map_err(|error| failed(&error))
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // With the connection gone, the server undoes it by itself.
        if self.open
            && !self.session.client.is_closed()
            && let Err(error) = self.session.client.batch_execute("ROLLBACK")
        {
            tracing::warn!(%error, "a transaction was not undone");
        }
    }
}
