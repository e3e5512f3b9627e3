//! Statements on a PostgreSQL connection, prepared once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;

use airc_core::store::{StoreError, Stored};
use postgres::error::SqlState;
use postgres::types::private::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Statement};

use crate::store::columns::{Row, Value};
use crate::store::tables::Driver;
use crate::store::unreadable;

/// What a session has prepared, by its text.
pub(super) type Prepared = HashMap<&'static str, Statement>;

pub(super) struct Statements<'a> {
    client: &'a mut Client,
    prepared: &'a mut Prepared,
    broken: Option<StoreError>,
}

/// What the server said, and whether it may say something else the next time.
pub(super) fn failed(error: &postgres::Error) -> StoreError {
    let mut message = format!("PostgreSQL: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    let transient = match error.code() {
        Some(code) => is_transient(code),
        // The connection, then; unless it is about a value.
        None => error.is_closed() || is_io(error),
    };
    StoreError { message, transient }
}

fn is_io(error: &postgres::Error) -> bool {
    error
        .source()
        .is_some_and(|cause| cause.downcast_ref::<std::io::Error>().is_some())
}

/// Conflicts, timeouts, lost connections, shutdowns, failovers, and too many clients.
fn is_transient(code: &SqlState) -> bool {
    let alone = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    alone.contains(code) || code.code().starts_with("08")
}

impl<'a> Statements<'a> {
    pub(super) fn new(client: &'a mut Client, prepared: &'a mut Prepared) -> Self {
        Self {
            client,
            prepared,
            broken: None,
        }
    }

    /// Whether every statement has succeeded, so that the transaction can be committed.
    pub(super) fn unbroken(self) -> Stored<()> {
        self.broken.map_or(Ok(()), Err)
    }

    fn run<T>(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        run: impl FnOnce(&mut Client, &Statement, &[&(dyn ToSql + Sync)]) -> Result<T, postgres::Error>,
    ) -> Stored<T> {
        let result = prepare(self.client, self.prepared, sql).and_then(|statement| {
            let values: Vec<_> = values.iter().map(|it| it as &(dyn ToSql + Sync)).collect();
            run(self.client, statement, &values)
        });
        result.map_err(|error| {
            let error = failed(&error);
            self.broken = Some(error.clone());
            error
        })
    }
}

fn prepare<'a>(
    client: &mut Client,
    prepared: &'a mut Prepared,
    sql: &'static str,
) -> Result<&'a Statement, postgres::Error> {
    match prepared.entry(sql) {
        Entry::Occupied(known) => Ok(known.into_mut()),
        // A question mark is nothing but a parameter in these statements.
        Entry::Vacant(new) => Ok(new.insert(client.prepare(&sql.replace('?', "$"))?)),
    }
}

impl Driver for Statements<'_> {
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Stored<u64> {
        self.run(sql, values, |client, statement, values| {
            client.execute(statement, values)
        })
    }

    fn query(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Stored<()>,
    ) -> Stored<()> {
        let rows = self.run(sql, values, |client, statement, values| {
            client.query(statement, values)
        })?;
        rows.iter().try_for_each(|row| each(row))
    }
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match *self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(value) => value.to_sql(ty, out),
            Value::Bool(value) => value.to_sql(ty, out),
            Value::Text(text) => text.to_sql(ty, out),
            Value::Free(text) => serde_json::to_string(text)?.to_sql(ty, out),
            Value::Bytes(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Which of the variants a column takes is between the tables and the statements.
        true
    }

    to_sql_checked!();
}

fn get<'a, T: FromSql<'a>>(row: &'a postgres::Row, column: usize) -> Stored<T> {
    row.try_get(column).map_err(|error| failed(&error))
}

impl Row for postgres::Row {
    fn int(&self, column: usize) -> Stored<Option<i64>> {
        get(self, column)
    }

    fn bool(&self, column: usize) -> Stored<bool> {
        get(self, column)
    }

    fn text(&self, column: usize) -> Stored<Option<String>> {
        get(self, column)
    }

    fn free(&self, column: usize) -> Stored<Option<String>> {
        let text: Option<&str> = get(self, column)?;
        text.map(|text| serde_json::from_str(text).map_err(|_| unreadable("a text")))
            .transpose()
    }

    fn bytes(&self, column: usize) -> Stored<Option<Vec<u8>>> {
        get(self, column)
    }
}
