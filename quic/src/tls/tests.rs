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
use super::support::{CLIENT_PARAMETERS, Secrets, Server, client, start};
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
        Progress::HandshakeKeys => {
            let (suite, traffic) = client.secrets().unwrap();
            Step::Keys(suite, *traffic.client.bytes(), *traffic.server.bytes())
        }
        Progress::Parameters(parameters) => Step::Parameters(parameters.to_vec()),
        Progress::Done => {
            let (_, traffic) = client.secrets().unwrap();
            Step::Done(*traffic.client.bytes(), *traffic.server.bytes())
        }
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
