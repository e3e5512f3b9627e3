//! Statements on a SQLite connection, prepared once.

use airc_core::store::{StoreError, Stored};
use rusqlite::types::{FromSql, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, params_from_iter};

use crate::store::columns::{Row, Value};
use crate::store::tables::Driver;

pub(super) struct Statements<'a>(pub(super) &'a Connection);

/// What SQLite said, and whether it may say something else the next time.
pub(super) fn failed(error: rusqlite::Error) -> StoreError {
    let transient = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    );
    StoreError {
        message: format!("SQLite: {error}"),
        transient,
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Value::Null => ValueRef::Null,
            Value::Int(value) => ValueRef::Integer(value),
            Value::Bool(value) => ValueRef::Integer(value.into()),
            Value::Text(text) | Value::Free(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl Driver for Statements<'_> {
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Stored<u64> {
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let changed = statement.execute(params_from_iter(values));
        changed.map(|rows| rows as u64).map_err(failed)
    }

    fn query(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Stored<()>,
    ) -> Stored<()> {
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(params_from_iter(values)).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            each(&Columns(row))?;
        }
        Ok(())
    }
}

struct Columns<'a>(&'a rusqlite::Row<'a>);

impl Columns<'_> {
    fn get<T: FromSql>(&self, column: usize) -> Stored<T> {
        self.0.get(column).map_err(failed)
    }
}

impl Row for Columns<'_> {
    fn int(&self, column: usize) -> Stored<Option<i64>> {
        self.get(column)
    }

    fn bool(&self, column: usize) -> Stored<bool> {
        self.get(column)
    }

    fn text(&self, column: usize) -> Stored<Option<String>> {
        self.get(column)
    }

    fn free(&self, column: usize) -> Stored<Option<String>> {
        self.get(column)
    }

    fn bytes(&self, column: usize) -> Stored<Option<Vec<u8>>> {
        self.get(column)
    }
}
