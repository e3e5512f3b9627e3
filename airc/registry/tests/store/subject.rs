//! The stores that are compared: one in memory, SQLite, PostgreSQL.

use airc_core::store::{MemoryStore, Store, Stored};
use airc_registry::store::{Access, Connection, Work, open};

use crate::postgres_server;

/// A store in memory with transactions.
#[derive(Default)]
pub(crate) struct Memory(MemoryStore);

impl Connection for Memory {
    fn write(&mut self, work: Work<'_>) -> Stored<()> {
        let mut changed = self.0.clone();
        work(&mut changed)?;
        self.0 = changed;
        Ok(())
    }

    fn read(&mut self, work: Work<'_>) -> Stored<()> {
        work(&mut self.0.clone())
    }
}

/// A store, and what has to outlive it.
pub(crate) struct Subject {
    pub(crate) connection: Box<dyn Connection>,
    _scratch: Option<tempfile::TempDir>,
}

impl Subject {
    pub(crate) fn memory() -> Option<Self> {
        Some(Self {
            connection: Box::new(Memory::default()),
            _scratch: None,
        })
    }

    pub(crate) fn sqlite() -> Option<Self> {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let database = format!("sqlite:{}", scratch.path().join("airc.db").display());
        let database = database.parse().expect("a database");
        Some(Self {
            connection: open(&database, Access::Write).expect("it opens"),
            _scratch: Some(scratch),
        })
    }

    /// None where there is no PostgreSQL.
    pub(crate) fn postgres() -> Option<Self> {
        let database = postgres_server::database()?;
        Some(Self {
            connection: open(&database, Access::Write).expect("it opens"),
            _scratch: None,
        })
    }

    /// A transaction that writes.
    pub(crate) fn write<T>(&mut self, mut work: impl FnMut(&mut dyn Store) -> Stored<T>) -> T {
        let mut result = None;
        let written = self.connection.write(&mut |store| {
            result = Some(work(store)?);
            Ok(())
        });
        written.expect("it is written");
        result.expect("the work was done")
    }

    /// A transaction that reads.
    pub(crate) fn read<T>(&mut self, mut work: impl FnMut(&mut dyn Store) -> Stored<T>) -> T {
        let mut result = None;
        let read = self.connection.read(&mut |store| {
            result = Some(work(store)?);
            Ok(())
        });
        read.expect("it is read");
        result.expect("the work was done")
    }
}
