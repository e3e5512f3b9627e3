//! Reaching a PostgreSQL database: what its URL may ask for, its session, its tables.

use std::net::IpAddr;
use std::time::Duration;

use postgres::config::{Host, SslMode, TargetSessionAttrs};
use postgres::{Client, Config, NoTls};

use super::driver::failed;
use crate::store::OpenError;

/// How to get from each version of the tables to the next; the first from nothing.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql")];

/// One at a time makes the tables.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1095324228, hashtext(current_schema()::text))";

/// A registry that stands still must not keep the others waiting for ever: neither at a lock, nor
/// in a transaction. And every statement has its index: no plan that reads a whole table is ever
/// right, whatever the statistics say of one that was empty a moment ago. A commit that is answered
/// is on the disk.
const SESSION: &str = "SET statement_timeout = '30s'; \
    SET idle_in_transaction_session_timeout = '30s'; \
    SET plan_cache_mode = force_generic_plan; \
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off; \
    SELECT set_config('synchronous_commit', 'on', false) \
    WHERE current_setting('synchronous_commit') = 'off'";

/// Reads a URL, and fills in what it leaves open.
pub(super) fn config(url: &str) -> Result<Config, OpenError> {
    let mut config: Config = url.parse().map_err(|error| {
        let reason = failed(&error).message;
        unsupported(format!(
            "the database's URL cannot be used: {reason}. There is no TLS to PostgreSQL here: \
             sslmode is disable, or is left out for a server on this machine"
        ))
    })?;
    check_transport(&config)?;
    config.ssl_mode(SslMode::Disable);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(5));
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(30));
    }
    if config.get_application_name().is_none() {
        config.application_name("airc-registry");
    }
    if config.get_target_session_attrs() == TargetSessionAttrs::Any {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    config.keepalives_idle(Duration::from_secs(30));
    Ok(config)
}

fn unsupported(reason: String) -> OpenError {
    OpenError::Unsupported { reason }
}

/// Messages and a password do not go over a network in the clear unless the operator says so.
fn check_transport(config: &Config) -> Result<(), OpenError> {
    match config.get_ssl_mode() {
        SslMode::Disable => Ok(()),
        SslMode::Prefer if is_local(config) => Ok(()),
        SslMode::Prefer => Err(unsupported(
            "the database is on another machine, and there is no TLS to PostgreSQL here: put \
             sslmode=disable into its URL if the network in between is yours, or use a tunnel"
                .to_owned(),
        )),
        _ => Err(unsupported(
            "the database's URL asks for TLS, and there is no TLS to PostgreSQL here: use a Unix \
             socket, a tunnel, or sslmode=disable on a network of your own"
                .to_owned(),
        )),
    }
}

fn is_local(config: &Config) -> bool {
    let named = config.get_hosts().iter().all(|host| match host {
        #[cfg(unix)]
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|it: IpAddr| it.is_loopback())
        }
    });
    named && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

pub(super) fn connect(config: &Config) -> Result<Client, postgres::Error> {
    let mut client = config.connect(NoTls)?;
    client.batch_execute(SESSION)?;
    Ok(client)
}

pub(super) fn at(config: &Config, error: &postgres::Error) -> OpenError {
    OpenError::Failed {
        database: name(config),
        reason: failed(error).message,
    }
}

/// Makes the tables, or brings them up to date: whole, or not at all.
pub(super) fn migrate(client: &mut Client, config: &Config) -> Result<(), OpenError> {
    let at = |error: postgres::Error| at(config, &error);
    let encoding: String = client
        .query_one("SHOW server_encoding", &[])
        .and_then(|row| row.try_get(0))
        .map_err(at)?;
    if encoding != "UTF8" {
        return Err(unsupported(format!(
            "{} has the encoding {encoding}: create it with ENCODING 'UTF8' TEMPLATE template0",
            name(config)
        )));
    }
    let mut transaction = client.transaction().map_err(at)?;
    transaction.batch_execute(LOCK).map_err(at)?;
    let exists: bool = transaction
        .query_one("SELECT to_regclass('airc_schema') IS NOT NULL", &[])
        .and_then(|row| row.try_get(0))
        .map_err(at)?;
    let version: i64 = if exists {
        transaction
            .query_one("SELECT MAX(version) FROM airc_schema", &[])
            .and_then(|row| row.try_get(0))
            .map_err(at)?
    } else {
        0
    };
    let known = MIGRATIONS.len() as i64;
    if version > known {
        return Err(OpenError::Newer {
            database: name(config),
            found: version,
            known,
        });
    }
    let done = usize::try_from(version).unwrap_or_default();
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.batch_execute(migration).map_err(at)?;
    }
    transaction.commit().map_err(at)
}

/// What a URL is called where people read it.
pub(in crate::store) fn without_secrets(url: &str) -> String {
    url.parse()
        .map_or_else(|_| "postgres:(unreadable URL)".to_owned(), |it| name(&it))
}

fn name(config: &Config) -> String {
    let host = config.get_hosts().first().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    });
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().or(config.get_user()).unwrap_or("");
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    format!("postgres://{host}:{port}/{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_in_the_clear_to_another_machine_unless_that_is_asked_for() {
        for good in [
            "postgres://me@localhost/airc",
            "postgres://me@127.0.0.1/airc",
            "postgres://me@[::1]/airc",
            "postgres://me@%2Frun%2Fpostgresql/airc",
            "postgres://me@db.example/airc?sslmode=disable",
        ] {
            config(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in [
            "postgres://me@db.example/airc",
            "postgres://me@db.example/airc?sslmode=prefer",
            "postgres://me@localhost,db.example/airc",
            "postgres://me@localhost/airc?hostaddr=192.0.2.1",
            "postgres://me@localhost/airc?sslmode=require",
            "postgres://me@localhost/airc?sslmode=verify-full",
        ] {
            let error = config(bad).expect_err(bad);
            assert!(
                matches!(error, OpenError::Unsupported { .. }),
                "{bad}: {error}"
            );
            assert!(error.to_string().contains("sslmode"), "{bad}: {error}");
        }
    }
}
