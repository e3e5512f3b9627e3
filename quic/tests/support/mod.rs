//! A client of ours and an independent server (quinn-proto) on a virtual clock, with a link between
//! them that loses, delays, repeats, reorders and spoils datagrams as a seed says.
#![allow(dead_code, missing_docs, unreachable_pub)] // Each test program uses its part.

pub mod link;
pub mod server;

use std::collections::BTreeMap;

use aire_quic::{Config, Connection, Event, Instant, Micros, Storage, StreamId, Trust};
use link::{Link, Weather};
use server::Server;

/// The memory of the clients here: four streams, a kilobyte each way.
pub type Memory = Storage<4, 1024, 1024>;

/// Both ends, and the link.
pub struct World<'m> {
    pub now: Instant,
    pub client: Connection<'m>,
    pub server: Server,
    pub link: Link,
    pub events: Vec<Event>,
    /// What came on each stream, and whether its end was seen.
    pub read: BTreeMap<StreamId, (Vec<u8>, bool)>,
    /// Reads nothing by itself.
    pub lazy: bool,
}

impl<'m> World<'m> {
    pub fn new(
        memory: &'m mut Memory,
        config: &Config<'m>,
        server: Server,
        weather: Weather,
        seed: u64,
    ) -> Self {
        let now = Instant::from_micros(1_000_000);
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut client = Connection::new(memory);
        client.connect(config, &bytes, now).unwrap();
        Self {
            now,
            client,
            server,
            link: Link::new(weather, seed),
            events: Vec::new(),
            read: BTreeMap::new(),
            lazy: false,
        }
    }

    /// Dials another server, with whatever the client kept of the one before.
    pub fn dial_again(&mut self, config: &Config<'m>, server: Server) {
        self.client.connect(config, &[8; 32], self.now).unwrap();
        self.server = server;
        self.events.clear();
        self.read.clear();
    }

    /// Moves what can move now.
    fn exchange(&mut self) {
        let mut buffer = [0; 1500];
        loop {
            let mut moved = false;
            while let Some(len) = self.client.poll_transmit(&mut buffer, self.now) {
                self.link.send(true, &buffer[..len], self.now);
                moved = true;
            }
            for datagram in self.server.transmits(self.now) {
                self.link.send(false, &datagram, self.now);
                moved = true;
            }
            while let Some((to_server, mut datagram)) = self.link.arrived(self.now) {
                moved = true;
                if to_server {
                    self.server
                        .handle(&datagram, self.link.client_port, self.now);
                } else {
                    self.client.handle_datagram(&mut datagram, self.now);
                }
            }
            self.server.work(self.now);
            while let Some(event) = self.client.poll_event() {
                self.events.push(event);
                moved = true;
            }
            moved |= !self.lazy && self.read_all();
            if !moved {
                return;
            }
        }
    }

    fn read_all(&mut self) -> bool {
        let streams: Vec<StreamId> = self
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Readable(stream) => Some(*stream),
                _ => None,
            })
            .collect();
        let mut moved = false;
        for stream in streams {
            let (bytes, ended) = self.read.entry(stream).or_default();
            loop {
                let peek = self.client.peek(stream);
                if *ended || (peek.bytes.is_empty() && !peek.fin) {
                    break;
                }
                bytes.extend_from_slice(peek.bytes);
                *ended = peek.fin;
                let (count, fin) = (peek.bytes.len(), peek.fin);
                self.client.consume(stream, count, fin);
                moved = true;
            }
        }
        moved
    }

    /// Goes on until `done`, by at most `limit`. Returns whether it came to that.
    pub fn run_until(&mut self, limit: Micros, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now.after(limit);
        loop {
            self.exchange();
            if done(self) {
                return true;
            }
            // What `done` did may want to be sent.
            self.exchange();
            let next = [
                self.client.next_deadline(),
                self.server.next_deadline(),
                self.link.next_arrival(),
            ]
            .into_iter()
            .flatten()
            .min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return done(self);
            };
            self.now = self.now.max(next);
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
        }
    }

    pub fn connect(&mut self) -> bool {
        self.run_until(Micros::from_secs(60), |world| {
            world.client.is_connected() || world.client.is_closed()
        }) && self.client.is_connected()
    }

    /// Whether the stream's end came, and what was before it.
    pub fn whole(&self, stream: StreamId) -> Option<&[u8]> {
        let (bytes, ended) = self.read.get(&stream)?;
        ended.then_some(bytes)
    }

    /// Writes all of `bytes` and the end, as room comes.
    pub fn send_all(&mut self, stream: StreamId, bytes: &[u8]) -> bool {
        let mut sent = 0;
        self.run_until(Micros::from_secs(600), |world| {
            if sent < bytes.len() {
                sent += world.client.write(stream, &bytes[sent..]);
                if sent == bytes.len() {
                    world.client.finish(stream);
                }
            }
            sent == bytes.len() || world.client.is_closed()
        }) && sent == bytes.len()
    }
}

/// The usual configuration: the server is known by its key.
pub fn config(pins: &[[u8; 32]]) -> Config<'_> {
    let mut config = Config::new("localhost", server::ALPN, Trust::Pins(pins));
    config.unix_time = Some(1_750_000_000);
    config
}
