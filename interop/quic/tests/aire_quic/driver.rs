//! Our client over a socket of the operating system: what an adapter has to do, in its simplest
//! form. It waits in the caller's thread.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant as Clock};

use aire_quic::{CloseReason, Config, Connection, Event, Instant, Storage, StreamId};

/// Four streams, one of them the server's; a kilobyte each way.
pub(crate) type Memory = Storage<4, 1024, 1024>;

/// Whatever a test waits for comes within this, or the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came on a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ended: bool,
    pub(crate) reset: Option<u64>,
    pub(crate) stopped: Option<u64>,
}

/// A client that is dialling, connected or closed.
pub(crate) struct Client<'m> {
    pub(crate) connection: Connection<'m>,
    socket: UdpSocket,
    server: SocketAddr,
    begin: Clock,
    /// Of a hundred datagrams each way, so many are lost.
    pub(crate) lost: u64,
    random: u64,
    pub(crate) events: Vec<Event>,
    pub(crate) streams: BTreeMap<StreamId, Received>,
}

impl<'m> Client<'m> {
    /// Dials.
    pub(crate) fn dial(memory: &'m mut Memory, config: &Config<'m>, server: SocketAddr) -> Self {
        let mut client = Self {
            connection: Connection::new(memory),
            socket: socket(),
            server,
            begin: Clock::now(),
            lost: 0,
            random: 88_172_645_463_325_252,
            events: Vec::new(),
            streams: BTreeMap::new(),
        };
        client.dial_again(config, server);
        client
    }

    /// Dials once more, with what the connection before has left.
    pub(crate) fn dial_again(&mut self, config: &Config<'m>, server: SocketAddr) {
        self.socket = socket();
        self.server = server;
        self.events.clear();
        self.streams.clear();
        let mut seed = [0; 32];
        boring::rand::rand_bytes(&mut seed).unwrap();
        let now = self.now();
        self.connection.connect(config, &seed, now).unwrap();
    }

    /// Waits for the end of the handshake.
    pub(crate) fn connected(&mut self) {
        self.until("a connection", |client| client.connection.is_connected());
        self.until("its confirmation", |client| {
            client.connection.is_confirmed()
        });
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(self.begin.elapsed().as_micros() as u64)
    }

    /// Moves to another address of this machine.
    pub(crate) fn change_address(&mut self) {
        self.socket = socket();
        let now = self.now();
        self.connection.address_changed(now).unwrap();
    }

    /// Why the connection is over, if it is.
    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.events.iter().find_map(|event| match event {
            Event::Closed(reason) => Some(*reason),
            _ => None,
        })
    }

    /// Goes on until `done`.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = Clock::now() + PATIENCE;
        loop {
            self.settle();
            if done(self) {
                return self.settle();
            }
            assert!(
                Clock::now() < end && !self.connection.is_drained(),
                "waited in vain for {what}: {:?} {:?}",
                &self.events[self.events.len().saturating_sub(5)..],
                self.connection.stats()
            );
            self.turn();
        }
    }

    /// Opens a stream, as soon as that is possible.
    pub(crate) fn open(&mut self) -> StreamId {
        let mut opened = None;
        self.until("a stream", |client| {
            opened = client.connection.open().ok();
            opened.is_some()
        });
        opened.unwrap()
    }

    /// Sends `command`, then `data`, and waits for the whole answer.
    pub(crate) fn ask(&mut self, command: &str, data: &[u8]) -> Vec<u8> {
        let stream = self.open();
        let text = [command.as_bytes(), b"\n", data].concat();
        self.send(stream, &text);
        self.until(command, |client| {
            client.streams.get(&stream).is_some_and(|got| got.ended)
        });
        self.streams[&stream].bytes.clone()
    }

    /// Writes all of `text` and the end, as room comes.
    pub(crate) fn send(&mut self, stream: StreamId, text: &[u8]) {
        let mut sent = 0;
        self.until("room", |client| {
            sent += client.connection.write(stream, &text[sent..]);
            sent == text.len()
        });
        self.connection.finish(stream);
    }

    /// What has been said and not been sent is sent; events are heard, and what came is read.
    fn settle(&mut self) {
        let mut buffer = [0; 1500];
        loop {
            while let Some(event) = self.connection.poll_event() {
                self.hear(event);
            }
            let now = self.now();
            let Some(len) = self.connection.poll_transmit(&mut buffer, now) else {
                return;
            };
            if !self.is_lost() {
                // What the network does not take is as good as lost.
                let _sent = self.socket.send_to(&buffer[..len], self.server);
            }
        }
    }

    fn hear(&mut self, event: Event) {
        self.events.push(event);
        match event {
            Event::Readable(stream) => {
                let got = self.streams.entry(stream).or_default();
                loop {
                    let peek = self.connection.peek(stream);
                    if peek.bytes.is_empty() && !peek.fin {
                        break;
                    }
                    got.bytes.extend_from_slice(peek.bytes);
                    got.ended = peek.fin;
                    let (count, fin) = (peek.bytes.len(), peek.fin);
                    self.connection.consume(stream, count, fin);
                    if fin {
                        break;
                    }
                }
            }
            Event::Reset { stream, code } => {
                self.streams.entry(stream).or_default().reset = Some(code);
            }
            Event::Stopped { stream, code } => {
                self.streams.entry(stream).or_default().stopped = Some(code);
            }
            _ => {}
        }
    }

    /// Waits for a datagram or the next deadline.
    fn turn(&mut self) {
        let now = self.now();
        let wait = self
            .connection
            .next_deadline()
            .map_or(Duration::from_millis(100), |deadline| {
                Duration::from_micros(deadline.since(now).get())
            });
        if wait.is_zero() {
            return self.connection.handle_timeout(now);
        }
        self.socket
            .set_read_timeout(Some(wait.min(Duration::from_millis(100))))
            .unwrap();
        let mut buffer = [0; 1500];
        match self.socket.recv(&mut buffer) {
            Ok(len) => {
                let now = self.now();
                if !self.is_lost() {
                    self.connection.handle_datagram(&mut buffer[..len], now);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // An ICMP message about a datagram of before: QUIC finds out by itself.
            Err(_) => {}
        }
        let now = self.now();
        self.connection.handle_timeout(now);
    }

    fn is_lost(&mut self) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 100 < self.lost
    }
}

fn socket() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}
