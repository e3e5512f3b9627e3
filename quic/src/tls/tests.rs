//! Whole handshakes against a server of our own, good ones and bad ones.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod handshake;
mod hostile;
mod order;
mod resumption;
mod trace;

use std::vec;
use std::vec::Vec;

use super::schedule::Hash;
use super::support::{CLIENT_PARAMETERS, Retry, Secrets, Server, config};
use super::{Client, Level, Progress};
use crate::coding::Writer;
use crate::config::{Config, Suite};
use crate::error::{Code, Fault};

/// What a message led to, with nothing borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    More,
    Retry,
    Keys(Suite, Hash, Hash),
    Parameters(Vec<u8>),
    Done(Hash, Hash),
    Ticket,
}

fn client() -> Client {
    Client::new([1; 32], [2; 32], [3; 32])
}

/// The client's first message.
fn start(client: &mut Client, config: &Config<'_>) -> Vec<u8> {
    let mut out = [0; 2048];
    let mut writer = Writer::new(&mut out);
    client
        .start(config, CLIENT_PARAMETERS, &mut writer)
        .unwrap();
    writer.written().to_vec()
}

/// Gives `message` to `client`; also what it wrote.
fn read(
    client: &mut Client,
    config: &Config<'_>,
    level: Level,
    message: &[u8],
) -> Result<(Step, Vec<u8>), Fault> {
    let mut out = [0; 2048];
    let mut writer = Writer::new(&mut out);
    let step = match client.read(level, message, config, CLIENT_PARAMETERS, &mut writer)? {
        Progress::More => Step::More,
        Progress::Retry => Step::Retry,
        Progress::HandshakeKeys {
            suite,
            client,
            server,
        } => Step::Keys(suite, *client.bytes(), *server.bytes()),
        Progress::Parameters(parameters) => Step::Parameters(parameters.to_vec()),
        Progress::Done { client, server } => Step::Done(*client.bytes(), *server.bytes()),
        Progress::Ticket => Step::Ticket,
    };
    Ok((step, writer.written().to_vec()))
}

/// A whole handshake: the client, and the steps that it took.
fn handshake(config: &Config<'_>, server: &mut Server) -> Result<(Client, Vec<Step>), Fault> {
    let mut client = client();
    let mut sent = start(&mut client, config);
    let mut steps = vec![];
    loop {
        let flight = server.answer(&sent);
        sent.clear();
        for (level, message) in flight {
            let (step, written) = read(&mut client, config, level, &message)?;
            steps.push(step);
            sent.extend(written);
        }
        if steps.last() != Some(&Step::Retry) {
            break;
        }
    }
    let secrets = server.finish(&sent);
    assert_eq!(agreed(&steps), Some(secrets));
    Ok((client, steps))
}

/// The secrets in `steps`.
fn agreed(steps: &[Step]) -> Option<Secrets> {
    let handshake = steps.iter().find_map(|step| match step {
        Step::Keys(_, client, server) => Some((*client, *server)),
        _ => None,
    })?;
    let application = steps.iter().find_map(|step| match step {
        Step::Done(client, server) => Some((*client, *server)),
        _ => None,
    })?;
    Some(Secrets {
        handshake,
        application,
    })
}

/// The alert that a handshake with `server` ends with.
fn alert(config: &Config<'_>, server: &mut Server) -> Option<u8> {
    handshake(config, server).err().and_then(|error| {
        assert_ne!(error.code, Code::INTERNAL_ERROR);
        error.code.alert()
    })
}

/// A client before each message of a whole conversation, and that message: a retry, a request for
/// a certificate, and a ticket at the end.
fn conversation() -> Vec<(Client, Level, Vec<u8>)> {
    let config = config();
    let mut server = Server::new();
    server.retry = Some(Retry {
        group: None,
        cookie: b"cookie".to_vec(),
    });
    server.request = true;
    let mut client = client();
    let mut sent = start(&mut client, &config);
    let mut all: Vec<(Client, Level, Vec<u8>)> = vec![];
    for _ in 0..2 {
        let flight = server.answer(&sent);
        sent.clear();
        for (level, message) in flight {
            all.push((client.clone(), level, message.clone()));
            sent.extend(read(&mut client, &config, level, &message).unwrap().1);
        }
    }
    server.finish(&sent);
    let (ticket, _) = server.ticket(b"ticket", 60);
    all.push((client, Level::Application, ticket));
    all
}
