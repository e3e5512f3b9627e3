//! `airc-registry serve`.

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::args::Serve;
use super::{Output, database, load, runtime};
use crate::config::Tls;
use crate::http::{self, Server};
use crate::{Config, Error};

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// [`Error::Config`], [`Error::Tls`], [`Error::Listen`], [`Error::Store`].
pub(super) fn run(args: &Serve, out: &mut Output) -> Result<(), Error> {
    let (mut loaded, _) = load(&args.place)?;
    apply(args, &mut loaded.config);
    let config = loaded.check()?.clone();
    database(&config)?;
    runtime()?.block_on(serve(config, out))
}

/// What only opening files can tell.
///
/// # Errors
/// [`Error::Config`], [`Error::Tls`].
pub(super) fn check_files(config: &Config) -> Result<(), Error> {
    database(config)?;
    http::check_tls(config)
}

/// Flags count for more than the file.
fn apply(args: &Serve, config: &mut Config) {
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    if let Some(domain) = &args.domain {
        config.domain = Some(domain.clone());
    }
    if let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) {
        config.tls = Some(Tls {
            certificate: certificate.clone(),
            key: key.clone(),
        });
    }
    config.open |= args.open;
}

async fn serve(config: Config, out: &mut Output) -> Result<(), Error> {
    let catch = |kind| {
        signal(kind).map_err(|error| Error::Failed(format!("cannot catch signals: {error}")))
    };
    let mut interrupts = catch(SignalKind::interrupt())?;
    let mut terminations = catch(SignalKind::terminate())?;
    let open = config.open;
    let database = database(&config)?.to_string();
    let server = Server::start(config).await?;
    tell_ready(&server, &database, open, out)?;
    let failed = tokio::select! {
        _ = interrupts.recv() => false,
        _ = terminations.recv() => false,
        () = server.failed() => true,
    };
    info!("stopping; another signal ends it at once");
    tokio::select! {
        stopped = server.stop() => stopped?,
        _ = interrupts.recv() => return Err(at_once()),
        _ = terminations.recv() => return Err(at_once()),
    }
    if failed {
        return Err(Error::Store(
            "the store has failed; the log says how".into(),
        ));
    }
    if out.is_json() {
        out.record(&serde_json::json!({ "event": "stopped" }))?;
    }
    Ok(())
}

fn at_once() -> Error {
    Error::Failed("it was ended before all requests had finished".into())
}

/// What is printed once it listens.
#[derive(Serialize)]
struct Ready<'a> {
    event: &'static str,
    address: String,
    url: &'a str,
    database: &'a str,
    open: bool,
}

fn tell_ready(server: &Server, database: &str, open: bool, out: &mut Output) -> Result<(), Error> {
    let ready = Ready {
        event: "ready",
        address: server.address().to_string(),
        url: server.base_url(),
        database,
        open,
    };
    if out.is_json() {
        return out.record(&ready);
    }
    out.line(format_args!("listens   {}", ready.address))?;
    out.line(format_args!("url       {}", ready.url))?;
    out.line(format_args!("database  {database}"))?;
    match open {
        true => out.line("register  open to everybody")?,
        false => {
            out.line("register  by invite; make one with:")?;
            let word = quoted(database);
            out.line(format_args!(
                "          airc-registry invite create --database {word}"
            ))?;
        }
    }
    out.flush()
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/:._-@=+".contains(&byte);
    match word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_is_quoted() {
        assert_eq!(quoted("sqlite:/a/b.db"), "sqlite:/a/b.db");
        assert_eq!(quoted("sqlite:/it's b"), "'sqlite:/it'\\''s b'");
    }
}
