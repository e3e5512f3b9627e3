//! Two connections in memory, without a transport's work: what one sends lies in a buffer that the
//! other reads from. After the first use of the buffers, nothing here allocates or copies but the
//! "wire" itself, where head, payload and tail become one run of bytes.

use std::ops::Range;

use aire_proto::connection::{Authenticated, Connection, Event, Input, Transmit};
use aire_proto::handshake::{Local, Verifier};
use aire_proto::identity::{DidKeyResolver, Ed25519Signer, Ed25519Verifier, FixedReplayGuard};
use aire_proto::storage::Storage;
use aire_proto::wire::{Capability, FrameHeader};
use aire_proto::{Config, Fixed, Instant, Now, Role, StreamId};

use crate::control::SIGNED_AT;

/// A device's storage: 4 operations with outboxes of 64 bytes.
pub type Device = Fixed<4, 64, 2, 512>;

/// What an operation of a [`Device`] is to stay under, in bytes, idle or not.
pub const OPERATION_TARGET: usize = 256;

const CAPABILITIES: [Capability<'static>; 1] = [Capability {
    name: "aire.did-method.key/1",
    version: 1,
    required: false,
}];

/// One end.
pub struct End<S: Storage> {
    /// The connection.
    pub connection: Connection<S>,
    signer: Ed25519Signer,
    replay: FixedReplayGuard<8, 8>,
}

/// What a call of [`End::transmit`] put on the wire of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of envelopes and control frames.
    pub framing: usize,
    /// Bytes of the application's payload.
    pub payload: usize,
    /// Whether the stream ended.
    pub fin: bool,
}

impl<S: Storage> End<S> {
    fn new(role: Role, seed: u8, now: Now) -> Self {
        Self {
            connection: Connection::new(role, Config::default(), now),
            signer: Ed25519Signer::from_seed([seed; 32]),
            replay: FixedReplayGuard::new(),
        }
    }

    fn start(&mut self, nonce: u8, now: Now) {
        let local = Local {
            signer: &self.signer,
            capabilities: &CAPABILITIES,
        };
        self.connection
            .start(&local, &[nonce; 16], now)
            .expect("the HELLO fits");
    }

    /// Puts what the connection has for `stream` behind what is on `wire`; `payload` is what the
    /// application is sending.
    ///
    /// # Panics
    /// When the connection has anything else to say, which it has not in a benchmark.
    #[inline]
    pub fn transmit(
        &mut self,
        stream: StreamId,
        payload: &[u8],
        wire: &mut Vec<u8>,
        now: Now,
    ) -> Sent {
        let mut sent = Sent::default();
        while let Some(transmit) = self.connection.poll_transmit() {
            let Transmit::Data {
                stream: on,
                head,
                payload: range,
                tail,
                fin,
            } = transmit
            else {
                panic!("unexpected: {transmit:?}");
            };
            assert_eq!(on, stream, "on another stream");
            // An empty range may lie behind a payload that is gone.
            let piece = match range.is_empty() {
                true => &[],
                false => &payload[range.start as usize..range.end as usize],
            };
            let framing = head.len() + tail.len();
            wire.extend_from_slice(head);
            wire.extend_from_slice(piece);
            wire.extend_from_slice(tail);
            sent.framing += framing;
            sent.payload += piece.len();
            sent.fin |= fin;
            self.connection
                .wrote(stream, framing + piece.len(), fin, now);
        }
        sent
    }

    /// Reads `wire`, which came on `stream`, whole.
    ///
    /// # Panics
    /// When something stays unread.
    #[inline]
    pub fn receive(
        &mut self,
        stream: StreamId,
        wire: &[u8],
        fin: bool,
        now: Now,
        mut told: impl FnMut(Event<'_>),
    ) {
        let mut input = Input::new(wire, fin);
        while let Some(event) = self.connection.poll_input(stream, &mut input, now) {
            told(event);
        }
        assert!(input.is_done(), "something stays unread");
    }

    fn shake(&mut self, hello: &[u8], now: Now) {
        let mut received = false;
        self.receive(StreamId::CONTROL, hello, false, now, |event| {
            received |= event == Event::HelloReceived;
        });
        assert!(received, "no HELLO came");
        let local = Local {
            signer: &self.signer,
            capabilities: &CAPABILITIES,
        };
        let mut verifier = Verifier {
            keys: &DidKeyResolver,
            signatures: &Ed25519Verifier,
            replay: &mut self.replay,
        };
        let judged = self.connection.authenticate(&local, &mut verifier, now);
        assert_eq!(judged, Ok(Authenticated::Connected));
    }
}

/// Where `part` lies in `whole`; `None` when it does not.
#[must_use]
pub fn range_in(part: &[u8], whole: &[u8]) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start + part.len();
    (end <= whole.len()).then_some(start..end)
}

/// Two connected ends, and the buffers between them.
pub struct Link<C: Storage, V: Storage> {
    /// Who dials.
    pub client: End<C>,
    /// Who answers.
    pub server: End<V>,
    /// What the client sent, and the server reads.
    pub up: Vec<u8>,
    /// What the server sent, and the client reads.
    pub down: Vec<u8>,
    /// The time: it stands still.
    pub now: Now,
}

impl<C: Storage, V: Storage> Link<C, V> {
    /// Two ends that have not said HELLO, and buffers that hold `room` bytes.
    #[must_use]
    pub fn new(room: usize) -> Self {
        let now = Now {
            instant: Instant::from_millis(1),
            unix: SIGNED_AT,
        };
        Self {
            client: End::new(Role::Client, 1, now),
            server: End::new(Role::Server, 2, now),
            up: Vec::with_capacity(room),
            down: Vec::with_capacity(room),
            now,
        }
    }

    /// The same, with HELLOs exchanged.
    #[must_use]
    pub fn connected(room: usize) -> Self {
        let mut link = Self::new(room);
        link.shake_hands();
        link
    }

    /// Exchanges the HELLOs: each end signs one and verifies one.
    ///
    /// # Panics
    /// When an end refuses the other.
    pub fn shake_hands(&mut self) {
        let now = self.now;
        self.client.start(101, now);
        self.server.start(102, now);
        self.up.clear();
        self.client
            .transmit(StreamId::CONTROL, &[], &mut self.up, now);
        self.server.shake(&self.up, now);
        self.down.clear();
        self.server
            .transmit(StreamId::CONTROL, &[], &mut self.down, now);
        self.client.shake(&self.down, now);
    }

    /// Opens an operation without arguments, and lets the server hear of it.
    ///
    /// # Panics
    /// When one end does not do its part.
    pub fn open(&mut self) -> StreamId {
        let stream = self
            .client
            .connection
            .invoke("echo", "echo", 0)
            .expect("there is room for an operation");
        self.up.clear();
        self.client.transmit(stream, &[], &mut self.up, self.now);
        let mut invoked = false;
        self.server
            .receive(stream, &self.up, false, self.now, |event| {
                invoked |= matches!(event, Event::Invoked { .. });
            });
        assert!(invoked, "no INVOKE came");
        stream
    }

    /// The client sends `payload` in a STREAM frame, the server sends the bytes that it was
    /// handed back from where they lie, the client reads them. Returns where in
    /// [`down`](Self::down) they are.
    ///
    /// # Panics
    /// When one end does not do its part.
    #[inline]
    pub fn echo(&mut self, stream: StreamId, payload: &[u8]) -> Range<usize> {
        let now = self.now;
        self.up.clear();
        self.client
            .connection
            .send(stream, payload.len())
            .expect("the client may send");
        self.client.transmit(stream, payload, &mut self.up, now);

        let range = self.heard_by_server(stream);
        let echoed = &self.up[range];
        self.down.clear();
        self.server
            .connection
            .send(stream, echoed.len())
            .expect("the server may send");
        self.server.transmit(stream, echoed, &mut self.down, now);

        let mut heard = None;
        let down = &self.down;
        self.client.receive(stream, down, false, now, |event| {
            if let Event::Stream { bytes, .. } = event {
                heard = range_in(bytes, down);
            }
        });
        heard.expect("the echo lies in the transport's buffer")
    }

    /// Lets the server read [`up`](Self::up): where in it the last payload lies.
    #[inline]
    fn heard_by_server(&mut self, stream: StreamId) -> Range<usize> {
        let mut heard = None;
        let up = &self.up;
        self.server.receive(stream, up, false, self.now, |event| {
            if let Event::Stream { bytes, .. } = event {
                heard = range_in(bytes, up);
            }
        });
        heard.expect("the payload lies in the transport's buffer")
    }

    /// A whole operation: INVOKE, one STREAM frame each way, FIN both ways, and both ends have
    /// forgotten it.
    ///
    /// # Panics
    /// When one end does not do its part.
    pub fn operation(&mut self, payload: &[u8]) {
        let now = self.now;
        let stream = self.open();
        self.echo(stream, payload);

        self.up.clear();
        self.client.connection.finish(stream).expect("it is open");
        let sent = self.client.transmit(stream, &[], &mut self.up, now);
        self.server.receive(stream, &self.up, sent.fin, now, |_| ());
        self.server.connection.finish(stream).expect("it is open");
        self.down.clear();
        let sent = self.server.transmit(stream, &[], &mut self.down, now);
        self.client
            .receive(stream, &self.down, sent.fin, now, |_| ());
        while self.server.connection.poll_event().is_some() {}
        while self.client.connection.poll_event().is_some() {}
        assert_eq!(self.client.connection.live_operations(), 0);
        assert_eq!(self.server.connection.live_operations(), 0);
    }
}

/// A connected server that has read the INVOKE of an operation, and STREAM frames of it: the path
/// from the transport to the application, alone.
pub struct Receiver<S: Storage> {
    /// The server.
    pub server: End<S>,
    /// The frames' bytes.
    pub wire: Vec<u8>,
    stream: StreamId,
    now: Now,
}

impl<S: Storage> Receiver<S> {
    /// With `frames` STREAM frames of `payload_len` bytes.
    #[must_use]
    pub fn new(payload_len: usize, frames: usize) -> Self {
        let mut link: Link<S, S> = Link::connected(4096);
        let stream = link.open();
        let op = link
            .client
            .connection
            .op_id(stream)
            .map_or(0, |op| op.get());
        let mut wire = Vec::new();
        for index in 0..frames {
            let header =
                FrameHeader::new(aire_proto::wire::FrameType::Stream, op, payload_len as u64);
            let mut envelope = [0; 18];
            let len = header.encode(&mut envelope).expect("18 bytes hold it");
            wire.extend_from_slice(&envelope[..len]);
            wire.extend((0..payload_len).map(|at| (at + index) as u8));
        }
        Self {
            server: link.server,
            wire,
            stream,
            now: link.now,
        }
    }

    /// Reads all the frames; returns what was handed out.
    #[inline(never)]
    pub fn read(&mut self) -> u64 {
        let mut found = crate::stream::Found::default();
        self.server
            .receive(self.stream, &self.wire, false, self.now, |event| {
                if let Event::Stream {
                    bytes, remaining, ..
                } = event
                {
                    found.piece(bytes);
                    found.number(remaining);
                }
            });
        found.sum()
    }
}

/// A connected client with an operation to send STREAM frames on: the path from the application
/// to the transport, alone.
pub struct Sender<S: Storage> {
    /// The client.
    pub client: End<S>,
    stream: StreamId,
    now: Now,
}

impl<S: Storage> Sender<S> {
    /// With an operation open.
    #[must_use]
    pub fn new() -> Self {
        let mut link: Link<S, S> = Link::connected(4096);
        let stream = link.open();
        Self {
            client: link.client,
            stream,
            now: link.now,
        }
    }

    /// Announces `frames` STREAM frames of `payload_len` bytes, one after the other, and hands
    /// each to a transport that takes it at once. Returns what was handed out.
    ///
    /// # Panics
    /// When a frame is refused.
    #[inline(never)]
    pub fn send(&mut self, payload_len: usize, frames: usize) -> u64 {
        let mut found = crate::stream::Found::default();
        for _ in 0..frames {
            self.client
                .connection
                .send(self.stream, payload_len)
                .expect("the client may send");
            let mut taken = 0;
            if let Some(Transmit::Data { head, payload, .. }) =
                self.client.connection.poll_transmit()
            {
                found.piece(head);
                found.number(payload.end);
                taken = head.len() + (payload.end - payload.start) as usize;
            }
            let free = self
                .client
                .connection
                .wrote(self.stream, taken, false, self.now);
            assert!(free, "the transport took it all");
        }
        found.sum()
    }
}

impl<S: Storage> Default for Sender<S> {
    fn default() -> Self {
        Self::new()
    }
}
