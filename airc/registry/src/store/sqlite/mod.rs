//! One SQLite file: a write-ahead log, every commit on the disk before it is answered.

mod checkpoint;
mod driver;
mod open;

use std::path::Path;

use airc_core::store::{Store, Stored};
use rusqlite::Connection as Handle;

use self::checkpoint::Checkpointer;
use self::driver::{Statements, failed};
use super::tables::Tables;
use super::{Access, Connection, OpenError, Work};

/// One connection to a file.
#[derive(Debug)]
pub struct Sqlite {
    handle: Handle,
    /// Of one that writes.
    checkpointer: Option<Checkpointer>,
}

impl Sqlite {
    /// Opens a file, and makes it and its tables if it is opened for writing.
    ///
    /// # Errors
    /// [`OpenError`], also when the file is none of ours, or was written by a newer registry.
    pub fn open(path: &Path, access: Access) -> Result<Self, OpenError> {
        let handle = open::open(path, access)?;
        let checkpointer = match access {
            Access::Write => Some(Checkpointer::start(path)?),
            Access::Read => None,
        };
        Ok(Self {
            handle,
            checkpointer,
        })
    }

    fn run(&mut self, begin: &'static str, work: Work<'_>) -> Stored<()> {
        let transaction = Transaction::begin(&self.handle, begin)?;
        work(&mut Tables(Statements(&self.handle)) as &mut dyn Store)?;
        transaction.commit()
    }
}

impl Connection for Sqlite {
    fn write(&mut self, work: Work<'_>) -> Stored<()> {
        // The lock is taken now: a transaction that read first could not get it later.
        self.run("BEGIN IMMEDIATE", work)
    }

    fn read(&mut self, work: Work<'_>) -> Stored<()> {
        self.run("BEGIN", work)
    }

    fn tidy(&mut self) {
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.tidy(&self.handle);
        }
    }
}

/// An open transaction: undone when it is dropped, by a panic too.
struct Transaction<'a>(&'a Handle);

impl<'a> Transaction<'a> {
    fn begin(handle: &'a Handle, begin: &'static str) -> Stored<Self> {
        step(handle, begin)?;
        Ok(Self(handle))
    }

    fn commit(self) -> Stored<()> {
        step(self.0, "COMMIT")
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // Some errors have undone it already.
        if !self.0.is_autocommit()
            && let Err(error) = step(self.0, "ROLLBACK")
        {
            tracing::error!(%error, "a transaction was not undone");
        }
    }
}

fn step(handle: &Handle, sql: &str) -> Stored<()> {
    let mut statement = handle.prepare_cached(sql).map_err(failed)?;
    statement.execute([]).map(drop).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tables::STATEMENTS;

    /// How SQLite carries a statement out: a line for every step.
    fn plan(handle: &Handle, sql: &str) -> Vec<String> {
        let mut explain = handle
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        // Parameters are null.
        let mut rows = explain.raw_query();
        let mut lines = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            lines.push(row.get("detail").unwrap());
        }
        lines
    }

    #[test]
    fn every_statement_finds_its_rows_by_an_index_and_sorts_no_more_than_a_page() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&scratch.path().join("a.db"), Access::Write).unwrap();
        let mut searches = 0;
        for (name, sql) in STATEMENTS {
            let plan = plan(&store.handle, sql);
            searches += plan.iter().filter(|it| it.contains("SEARCH airc_")).count();
            // All invites are asked for, and nothing else is ever asked for in whole.
            let whole = plan.iter().any(|it| it.contains("SCAN airc_"));
            assert_eq!(whole, *name == "INVITES", "{name}: {plan:#?}");
            // A thread's two directions have been cut to a page when they are sorted.
            let sorts = plan.iter().any(|it| it.contains("TEMP B-TREE"));
            let two_pages = ["THREAD", "LATEST_THREAD"].contains(name);
            assert_eq!(sorts, two_pages, "{name}: {plan:#?}");
        }
        assert!(
            searches > 20,
            "the plans say otherwise what they do: {searches}"
        );
    }
}
