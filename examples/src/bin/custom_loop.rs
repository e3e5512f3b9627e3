//! AIRE in an event loop of one's own: one mio `Poll`, one thread, and beside AIRE whatever else
//! the program does; here a plain TCP port that tells how the node fares.
//!
//! A server and a client live in the same loop, to make one program of it. The client asks the
//! server's agent `shout` to shout, then reads the TCP port, then both say goodbye.

use std::collections::HashMap;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream as Blocking;

use aire_mio::driver::{Calls, Event};
use aire_mio::{Certificate, ConnectionKey, Driver, Identity, Settings, Trust};
use aire_proto::{Event as Protocol, StreamId};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

const SERVER: Token = Token(0);
const CLIENT: Token = Token(1);
const STATUS: Token = Token(2);

/// Everything that the loop's events change.
#[derive(Default)]
struct State {
    served: u64,
    /// What came so far on each operation that the client opened.
    answers: HashMap<StreamId, Vec<u8>>,
    connected: Option<ConnectionKey>,
    done: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let any = "127.0.0.1:0".parse()?;
    let certificate = Certificate::self_signed(&[])?;
    let identity = Identity::generate()?;
    let mut server = Driver::server(any, &certificate, identity, Settings::default())?;
    let trust = Trust::pinned(certificate.pin());
    let identity = Identity::generate()?;
    let mut client = Driver::client(any, &trust, identity, Settings::default())?;
    let mut status = TcpListener::bind(any)?;

    let mut poll = Poll::new()?;
    server.register(poll.registry(), SERVER)?;
    client.register(poll.registry(), CLIENT)?;
    poll.registry()
        .register(&mut status, STATUS, Interest::READABLE)?;

    client.connect(&format!("aire://{}", server.local_address()).parse()?)?;
    let mut state = State::default();
    let mut asked = false;
    let mut events = Events::with_capacity(64);
    loop {
        // Readiness or time: the driver finds out itself what there is to do, and never blocks.
        server.drive(&mut |_, event, calls| serve(&mut state, &event, calls))?;
        client.drive(&mut |key, event, _| hear(&mut state, key, event))?;

        // Calls may come from anywhere in the loop.
        if let Some(connection) = state.connected
            && !asked
        {
            asked = true;
            client.invoke(connection, "shout", "it", b"hello from one loop".to_vec())?;
            // The rest of the program goes on meanwhile.
            let mut text = String::new();
            let mut reader = Blocking::connect(status.local_addr()?)?;
            answer_status(&mut status, &state)?;
            reader.read_to_string(&mut text)?;
            print!("{text}");
            continue;
        }
        if state.done {
            state.done = false;
            client.goodbye_all();
            continue;
        }
        if asked && client.has_said_all() && state.answers.is_empty() {
            println!("served {} operations", state.served);
            return Ok(());
        }

        let soonest = [server.timeout(), client.timeout()]
            .into_iter()
            .flatten()
            .min();
        poll.poll(&mut events, soonest)?;
        if events.iter().any(|event| event.token() == STATUS) {
            answer_status(&mut status, &state)?;
        }
    }
}

/// The server's side: every operation's arguments come back in capitals, piece by piece.
fn serve(state: &mut State, event: &Event<'_>, calls: &mut Calls<'_>) {
    match event {
        Event::Protocol(Protocol::Args {
            stream,
            bytes,
            remaining,
        }) => {
            // `bytes` lies in the driver's buffer: look, and copy what is to be kept.
            let room = calls.send(*stream, bytes.to_ascii_uppercase());
            if room.is_ok() && *remaining == 0 {
                // The operation is open, so its end can be queued.
                let _open = calls.finish(*stream);
            }
        }
        Event::Protocol(Protocol::Ended { .. }) => state.served += 1,
        _ => {}
    }
}

/// The client's side.
fn hear(state: &mut State, key: ConnectionKey, event: Event<'_>) {
    match event {
        Event::Connected { peer, .. } => {
            println!("connected to {peer}");
            state.connected = Some(key);
        }
        Event::Protocol(Protocol::Stream { stream, bytes, .. }) => {
            state
                .answers
                .entry(stream)
                .or_default()
                .extend_from_slice(bytes);
        }
        Event::Protocol(Protocol::Ended {
            stream, outcome, ..
        }) => {
            let answer = state.answers.remove(&stream).unwrap_or_default();
            println!("{outcome:?}: {}", String::from_utf8_lossy(&answer));
            state.done = true;
        }
        Event::Closed(reason) => println!("{reason}"),
        _ => {}
    }
}

/// Answers whoever asks on the TCP port.
fn answer_status(status: &mut TcpListener, state: &State) -> std::io::Result<()> {
    while let Ok((mut stream, _)) = status.accept() {
        writeln!(stream, "status: {} operations served", state.served)?;
    }
    Ok(())
}
