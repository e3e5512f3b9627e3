//! A connection before the server, and what must always hold.

use std::vec;
use std::vec::Vec;

use super::frames;
use super::server::Server;
use crate::config::Config;
use crate::connection::Connection;
use crate::event::{CloseReason, Event};
use crate::frame::Frame;
use crate::recovery::Space;
use crate::storage::Storage;
use crate::time::{Instant, Micros};
use crate::tls::support;

/// The connections' memory: three streams, one of which is the server's.
pub(crate) type Memory = Storage<3, 1024, 1024>;

/// When everything begins.
pub(crate) const START: Instant = Instant::from_micros(5_000_000);

/// More datagrams than a connection may ever send at one time: its first window, and answers.
const MOST_AT_ONCE: usize = 40;

/// How far the handshake has come, seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The first message was sent.
    Hello,
    /// There are Handshake keys.
    Shaking,
    /// The handshake is done.
    Connected,
    /// The server confirmed it, and both ends acknowledged everything.
    Confirmed,
}

impl Stage {
    pub(crate) const ALL: [Self; 4] =
        [Self::Hello, Self::Shaking, Self::Connected, Self::Confirmed];

    /// The spaces that a server can send in.
    pub(crate) const fn spaces(self) -> &'static [Space] {
        match self {
            Self::Hello => &[Space::Initial],
            Self::Shaking => &[Space::Initial, Space::Handshake],
            Self::Connected => &[Space::Handshake, Space::Application],
            Self::Confirmed => &[Space::Application],
        }
    }

    /// The spaces that CONNECTION_CLOSE has to be sent in.
    pub(crate) const fn farewells(self) -> &'static [Space] {
        match self {
            Self::Hello => &[Space::Initial],
            Self::Shaking => &[Space::Handshake],
            Self::Connected => &[Space::Handshake, Space::Application],
            Self::Confirmed => &[Space::Application],
        }
    }
}

pub(crate) struct World<'m> {
    pub(crate) now: Instant,
    pub(crate) client: Connection<'m>,
    pub(crate) server: Server,
    pub(crate) events: Vec<Event>,
}

impl<'m> World<'m> {
    /// A client that has dialled and sent nothing.
    pub(crate) fn dial(memory: &'m mut Memory, config: &Config<'m>, server: Server) -> Self {
        let mut client = Connection::new(memory);
        client.connect(config, &[7; 32], START).unwrap();
        Self {
            now: START,
            client,
            server,
            events: vec![],
        }
    }

    /// A connection that came to `stage` with a usual server.
    pub(crate) fn at(memory: &'m mut Memory, stage: Stage) -> Self {
        let mut world = Self::dial(memory, &support::config(), Server::new());
        world.advance_to(stage);
        world
    }

    /// Begins anew with another server, and comes to `stage`.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn dial_again(&mut self, stage: Stage) {
        let config = support::config();
        self.client.connect(&config, &[7; 32], self.now).unwrap();
        self.server = Server::new();
        self.events.clear();
        self.advance_to(stage);
    }

    /// Shakes hands up to `stage`.
    pub(crate) fn advance_to(&mut self, stage: Stage) {
        self.flush();
        if stage >= Stage::Shaking {
            if self.server.flight.is_empty() {
                self.server.set_ids();
                self.server.answer(0);
            }
            let mut payload = self.server.ack(Space::Initial);
            payload.extend(frames::crypto(0, &self.server.flight_of(Space::Initial)));
            self.send(Space::Initial, &payload);
        }
        if stage >= Stage::Connected {
            let flight = self.server.flight_of(Space::Handshake);
            for (at, piece) in flight.chunks(1000).enumerate() {
                let frame = frames::crypto(1000 * at as u64, piece);
                self.send(Space::Handshake, &frame);
            }
        }
        if stage == Stage::Confirmed {
            assert!(self.server.finish());
            let mut payload = self.server.ack(Space::Application);
            payload.extend(frames::HANDSHAKE_DONE);
            self.send(Space::Application, &payload);
            self.wait(Micros::from_millis(25));
            let acknowledged = self.server.ack(Space::Application);
            self.send(Space::Application, &acknowledged);
        }
    }

    /// Gives the client a datagram, and takes what it has to say: how many datagrams.
    pub(crate) fn give(&mut self, datagram: &[u8]) -> usize {
        self.client
            .handle_datagram(&mut datagram.to_vec(), self.now);
        self.flush()
    }

    /// Gives the client a good packet with `payload`.
    pub(crate) fn send(&mut self, space: Space, payload: &[u8]) -> usize {
        let datagram = self.server.packet(space, payload);
        self.give(&datagram)
    }

    /// Takes all that the client has to say; the server hears it. How many datagrams it was.
    pub(crate) fn flush(&mut self) -> usize {
        let datagrams = self.take();
        for datagram in &datagrams {
            self.server.hear(datagram);
        }
        datagrams.len()
    }

    /// Takes all that the client has to say; nobody hears it.
    pub(crate) fn take(&mut self) -> Vec<Vec<u8>> {
        let mut datagrams = vec![];
        let mut buffer = [0xee; 1500];
        while let Some(len) = self.client.poll_transmit(&mut buffer, self.now) {
            datagrams.push(buffer[..len].to_vec());
            assert!(datagrams.len() <= MOST_AT_ONCE, "it does not stop sending");
        }
        while let Some(event) = self.client.poll_event() {
            assert!(!self.has_ended(), "{event:?} after the end");
            self.events.push(event);
        }
        assert_eq!(self.client.is_closed(), self.has_ended());
        datagrams
    }

    /// Lets `span` pass, and the client do what falls due. How many datagrams it sent.
    pub(crate) fn wait(&mut self, span: Micros) -> usize {
        let end = self.now.after(span);
        let mut sent = 0;
        let mut turns = 0;
        while let Some(due) = self.client.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.client.handle_timeout(self.now);
            sent += self.flush();
            turns += 1;
            assert!(turns < 10_000, "the clock stands still");
        }
        self.now = end;
        sent
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.events.last(), Some(Event::Closed(_)))
    }

    /// Why it is over.
    pub(crate) fn end(&self) -> Option<CloseReason> {
        match self.events.last() {
            Some(Event::Closed(reason)) => Some(*reason),
            _ => None,
        }
    }

    /// Lets everything come to an end: nothing more is sent or told.
    pub(crate) fn bury(&mut self) {
        let told = self.events.len();
        assert_eq!(self.wait(Micros::from_secs(600)), 0);
        assert!(self.client.is_drained());
        assert_eq!(self.client.next_deadline(), None);
        assert_eq!(self.events.len(), told);
    }

    /// The CONNECTION_CLOSE frames that came since `heard` packets: space, application, code, type.
    pub(crate) fn farewells(&self, heard: usize) -> Vec<(Space, bool, u64, u64)> {
        let mut all = vec![];
        for packet in &self.server.heard[heard..] {
            for frame in packet.frames() {
                if let Frame::Close {
                    application,
                    code,
                    frame_type,
                } = frame
                {
                    all.push((packet.space, application, code, frame_type));
                }
            }
        }
        all
    }
}
