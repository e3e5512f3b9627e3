//! Two connections in memory, with time and the link in the test's hands.
#![allow(dead_code, unreachable_pub)]

pub mod hello;
pub mod lone;
pub mod purse;
pub mod quick;
pub mod script;
pub mod walk;

use std::collections::{BTreeMap, BTreeSet};

use aire_proto::capability::check_local;
use aire_proto::connection::Authenticated;
use aire_proto::handshake::{Local, Verifier};
use aire_proto::identity::{DidKeyResolver, FixedReplayGuard, KeyResolver, Signer};
use aire_proto::storage::Storage;
use aire_proto::wire::Capability;
use aire_proto::{
    CancelReason, Config, Connection, ErrorCode, Event, Fixed, Input, Instant, Now, Role, StreamId,
    Transmit, UnixMillis,
};
use quick::{QuickSigner, QuickVerifier};

/// A device's storage: 4 operations, 128-byte outboxes, one 1 KiB scratch besides HELLO's.
pub type Small = Fixed<4, 128, 2, 1024>;

pub const UNIX_START: i64 = 1_781_568_000_000;

/// One direction of one stream.
#[derive(Default)]
pub struct Pipe {
    pub bytes: Vec<u8>,
    pub fin: bool,
    pub reset: Option<u64>,
    pub stop: Option<u64>,
    /// What arrived but could not be read yet.
    unread: Vec<u8>,
    fin_unread: bool,
}

pub struct End<S: Storage> {
    pub connection: Connection<S>,
    pub signer: QuickSigner,
    /// What the TLS session exports, when the identity is bound to it.
    pub exporter: Option<[u8; 32]>,
    pub capabilities: Vec<Capability<'static>>,
    pub replay: FixedReplayGuard<64, 16>,
    pub resolver: Box<dyn KeyResolver>,
    /// What the application is sending, by stream.
    pub payloads: BTreeMap<StreamId, Vec<u8>>,
    /// What leaves this end.
    pub pipes: BTreeMap<StreamId, Pipe>,
    /// How many bytes each stream's transport takes before it blocks; none by default.
    pub window: Option<usize>,
    /// The most bytes that arrive here in one piece.
    pub chunk: usize,
    /// Whether events of operations are read; a busy application reads none.
    pub reads: bool,
    /// Whether payload pieces are logged byte for byte, in hex.
    pub exact: bool,
    /// What was told, a line each.
    pub log: Vec<String>,
    /// The application code of CONNECTION_CLOSE, once sent.
    pub closed_with: Option<u64>,
    /// Streams that this end stopped listening to.
    deaf: BTreeSet<StreamId>,
    nonce: u8,
}

impl<S: Storage> End<S> {
    pub fn new(role: Role, seed: u8, config: Config, now: Now) -> Self {
        Self {
            connection: Connection::new(role, config, now),
            signer: QuickSigner::from_seed([seed; 32]),
            exporter: None,
            capabilities: vec![Capability {
                name: "aire.did-method.key/1",
                version: 1,
                required: false,
            }],
            replay: FixedReplayGuard::new(),
            resolver: Box::new(DidKeyResolver),
            payloads: BTreeMap::new(),
            pipes: BTreeMap::new(),
            window: None,
            chunk: usize::MAX,
            reads: true,
            exact: false,
            log: Vec::new(),
            closed_with: None,
            deaf: BTreeSet::new(),
            nonce: seed,
        }
    }

    pub fn start(&mut self, now: Now) {
        check_local(&self.capabilities).expect("the test's capabilities are good");
        self.nonce = self.nonce.wrapping_add(100);
        if let Some(exporter) = &self.exporter {
            let nonce = [self.nonce.wrapping_add(1); 16];
            self.connection.bind_channel(exporter, &nonce);
        }
        let local = Local {
            signer: &self.signer,
            capabilities: &self.capabilities,
        };
        self.connection
            .start(&local, &[self.nonce; 16], now)
            .expect("the HELLO fits");
    }

    pub fn authenticate(&mut self, now: Now) {
        let local = Local {
            signer: &self.signer,
            capabilities: &self.capabilities,
        };
        let mut verifier = Verifier {
            keys: &*self.resolver,
            signatures: &QuickVerifier,
            replay: &mut self.replay,
        };
        match self.connection.authenticate(&local, &mut verifier, now) {
            Ok(Authenticated::Connected) => self.log.push("connected".into()),
            Ok(Authenticated::BindingAwaited) => self.log.push("binding awaited".into()),
            Ok(Authenticated::KeyAwaited) => {
                let key = self.connection.awaited_key().expect("it says which");
                self.log.push(format!("key awaited {key}"));
            }
            Err(error) => self.log.push(format!("refused {}", error.code())),
        }
    }

    pub fn invoke(&mut self, agent: &str, operation: &str, args: &[u8]) -> StreamId {
        let stream = self
            .connection
            .invoke(agent, operation, args.len())
            .expect("an operation may be opened");
        self.payloads.insert(stream, args.to_vec());
        stream
    }

    pub fn send(&mut self, stream: StreamId, payload: &[u8]) {
        self.connection
            .send(stream, payload.len())
            .expect("a STREAM may be sent");
        self.payloads.insert(stream, payload.to_vec());
    }

    /// Hands everything that the connection has for the transport to the pipes.
    pub fn transmit(&mut self, now: Now) -> bool {
        let mut progress = false;
        loop {
            let (stream, taken, fin) = match self.connection.poll_transmit() {
                None => return progress,
                Some(Transmit::Data {
                    stream,
                    head,
                    payload,
                    tail,
                    fin,
                }) => {
                    let mut bytes = head.to_vec();
                    let range = payload.start as usize..payload.end as usize;
                    if !range.is_empty() {
                        bytes.extend_from_slice(&self.payloads[&stream][range]);
                    }
                    bytes.extend_from_slice(tail);
                    let pipe = self.pipes.entry(stream).or_default();
                    let room = match self.window {
                        Some(window) => window.saturating_sub(pipe.bytes.len()),
                        None => usize::MAX,
                    };
                    let taken = bytes.len().min(room);
                    pipe.bytes.extend_from_slice(&bytes[..taken]);
                    let fin = fin && taken == bytes.len();
                    pipe.fin |= fin;
                    (stream, taken, fin)
                }
                Some(Transmit::Reset { stream, code }) => {
                    let pipe = self.pipes.entry(stream).or_default();
                    pipe.reset = Some(code);
                    pipe.bytes.clear();
                    progress = true;
                    continue;
                }
                Some(Transmit::StopSending { stream, code }) => {
                    self.pipes.entry(stream).or_default().stop = Some(code);
                    self.deaf.insert(stream);
                    progress = true;
                    continue;
                }
                Some(Transmit::Close { code }) => {
                    self.closed_with = Some(code);
                    progress = true;
                    continue;
                }
            };
            progress |= taken > 0 || fin;
            self.connection.wrote(stream, taken, fin, now);
        }
    }

    /// Reads what arrived on `stream`, chunk by chunk.
    pub fn receive(&mut self, stream: StreamId, arrived: &mut Pipe, now: Now) -> bool {
        let mut progress = false;
        arrived.unread.append(&mut arrived.bytes);
        arrived.fin_unread |= std::mem::take(&mut arrived.fin);
        while !arrived.unread.is_empty() || arrived.fin_unread {
            let len = arrived.unread.len().min(self.chunk);
            let fin = arrived.fin_unread && len == arrived.unread.len();
            let taken = {
                let chunk = arrived.unread[..len].to_vec();
                let mut input = Input::new(&chunk, fin);
                let describe = if self.exact {
                    describe_exactly
                } else {
                    describe
                };
                while let Some(line) = self
                    .connection
                    .poll_input(stream, &mut input, now)
                    .map(describe)
                {
                    self.heard(stream, line, now);
                }
                if fin && input.is_done() {
                    arrived.fin_unread = false;
                    progress = true;
                }
                len - input.unread().len()
            };
            arrived.unread.drain(..taken);
            progress |= taken > 0;
            if self.deaf.contains(&stream) {
                *arrived = Pipe::default();
                return true;
            }
            if taken < len || (len == 0 && arrived.fin_unread) {
                break;
            }
        }
        progress
    }

    fn heard(&mut self, stream: StreamId, line: String, now: Now) {
        let hello = line == "hello";
        if line.ends_with("no room") {
            let pipe = self.pipes.entry(stream).or_default();
            pipe.reset = Some(ErrorCode::Refused.to_wire());
            pipe.stop = pipe.reset;
            self.deaf.insert(stream);
        }
        self.log.push(line);
        if hello {
            self.authenticate(now);
        }
    }

    pub fn events(&mut self) -> bool {
        let before = self.log.len();
        while let Some(line) = self.connection.poll_event().map(describe) {
            self.log.push(line);
        }
        self.log.len() > before
    }

    /// What was told since the last call.
    pub fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

/// An event as a line. Payload pieces of one frame are told apart by what remains.
pub fn describe(event: Event<'_>) -> String {
    let text = |bytes: &[u8]| match bytes.len() {
        0..=64 => String::from_utf8_lossy(bytes).into_owned(),
        len => format!("{len} bytes"),
    };
    match event {
        Event::HelloReceived => "hello".into(),
        Event::ChannelBound => "channel bound".into(),
        Event::DelegatedVia { stream, path } => {
            let hops: Vec<String> = path
                .hops()
                .map(|(did, agent)| format!("{did}/{agent}"))
                .collect();
            format!("{stream} via {}", hops.join(" "))
        }
        Event::CancelledLate { stream, cancel } => {
            format!("{stream} cancelled late {}", cancel.reason)
        }
        Event::BudgetRefused { stream, mismatch } => format!("{stream} budget refused: {mismatch}"),
        Event::Invoked {
            stream,
            op,
            agent,
            operation,
            args_len,
        } => format!("{stream} invoked {op} {agent}/{operation} args {args_len}"),
        Event::Args {
            stream,
            bytes,
            remaining,
        } => format!("{stream} args {} left {remaining}", text(bytes)),
        Event::Stream {
            stream,
            bytes,
            remaining,
        } => format!("{stream} stream {} left {remaining}", text(bytes)),
        Event::Cancelled { stream, cancel } => {
            format!(
                "{stream} cancelled {} {}",
                cancel.reason,
                text(cancel.detail.as_bytes())
            )
        }
        Event::Budget { stream, budget } if budget.is_report() => {
            format!(
                "{stream} report {:?} spent, {:?} left",
                budget.tokens_spent, budget.tokens
            )
        }
        Event::Budget { stream, budget } => format!("{stream} budget {:?}", budget.tokens),
        Event::Delegated { stream, delegate } => format!("{stream} delegated {}", delegate.target),
        Event::Resumable { stream, resumable } => {
            format!("{stream} resumable {}", resumable.last_seq)
        }
        Event::Resumed { stream, op, resume } => {
            format!("{stream} resumed {op} {}", resume.last_recv)
        }
        Event::Failed { stream, error } => {
            format!("{stream} failed {} {}", error.code, error.detail)
        }
        Event::Vendor {
            stream, frame_type, ..
        } => format!("{stream} vendor {frame_type:#04x}"),
        Event::InputFinished { stream } => format!("{stream} input finished"),
        Event::Ended {
            stream,
            outcome,
            by,
        } => format!("{stream} ended {outcome:?} by {by:?}"),
        Event::NoRoom { stream } => format!("{stream} no room"),
        Event::Goodbye => "goodbye".into(),
        Event::Closed(reason) => format!("closed {reason:?}"),
    }
}

/// As [`describe`], with every byte of payload pieces.
pub fn describe_exactly(event: Event<'_>) -> String {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    match event {
        Event::Args {
            stream,
            bytes,
            remaining,
        } => format!("{stream} args {} left {remaining}", hex(bytes)),
        Event::Stream {
            stream,
            bytes,
            remaining,
        } => format!("{stream} stream {} left {remaining}", hex(bytes)),
        Event::Vendor {
            stream,
            frame_type,
            payload,
        } => format!("{stream} vendor {frame_type:#04x} {}", hex(payload)),
        Event::Budget { stream, budget } => format!("{stream} {budget:?}"),
        other => describe(other),
    }
}

pub struct Pair<C: Storage = Small, V: Storage = Small> {
    pub client: End<C>,
    pub server: End<V>,
    pub millis: u64,
}

impl<C: Storage, V: Storage> Pair<C, V> {
    /// Two ends that have not said HELLO.
    pub fn silent(config: Config) -> Self {
        let now = at(0);
        Self {
            client: End::new(Role::Client, 1, config, now),
            server: End::new(Role::Server, 2, config, now),
            millis: 0,
        }
    }

    /// Two connected ends whose logs are empty.
    pub fn connected() -> Self {
        let mut pair = Self::silent(Config::default());
        pair.shake_hands();
        pair
    }

    pub fn shake_hands(&mut self) {
        self.client.start(self.now());
        self.server.start(self.now());
        self.pump();
        assert_eq!(self.client.told(), ["hello", "connected"]);
        assert_eq!(self.server.told(), ["hello", "connected"]);
    }

    pub fn now(&self) -> Now {
        at(self.millis)
    }

    /// Lets the link carry everything until nothing moves.
    pub fn pump(&mut self) {
        let now = self.now();
        for _ in 0..10_000 {
            let mut progress = self.client.transmit(now) | self.server.transmit(now);
            progress |= carry(&mut self.client, &mut self.server, now);
            progress |= carry(&mut self.server, &mut self.client, now);
            progress |= self.client.events() | self.server.events();
            if !progress {
                return;
            }
        }
        panic!("the link never comes to rest");
    }

    /// Lets time pass, and does what is due.
    pub fn wait(&mut self, millis: u64) {
        self.millis += millis;
        let now = self.now();
        self.client.connection.handle_timeout(now);
        self.server.connection.handle_timeout(now);
        self.pump();
    }
}

/// Both clocks, `millis` after the test began.
pub fn at(millis: u64) -> Now {
    Now {
        instant: Instant::from_millis(millis),
        unix: UnixMillis(UNIX_START + millis as i64),
    }
}

/// Carries what one end sent to the other, the close last.
pub fn carry<A: Storage, B: Storage>(from: &mut End<A>, to: &mut End<B>, now: Now) -> bool {
    let mut progress = false;
    let streams: Vec<StreamId> = from.pipes.keys().copied().collect();
    for stream in streams {
        progress |= carry_stream(stream, from, to, now);
    }
    if let Some(code) = from.closed_with
        && !to.connection.is_closed()
    {
        to.connection.connection_lost(Some(code));
        progress = true;
    }
    progress
}

/// Carries what one end sent on one stream.
pub fn carry_stream<A: Storage, B: Storage>(
    stream: StreamId,
    from: &mut End<A>,
    to: &mut End<B>,
    now: Now,
) -> bool {
    let mut progress = false;
    let Some(pipe) = from.pipes.get_mut(&stream) else {
        return false;
    };
    let had_bytes = !pipe.bytes.is_empty();
    if to.deaf.contains(&stream) {
        pipe.bytes.clear();
        pipe.unread.clear();
        pipe.fin = false;
        pipe.fin_unread = false;
    } else if to.reads || stream == StreamId::CONTROL {
        progress |= to.receive(stream, pipe, now);
    }
    if let Some(code) = pipe.reset.take() {
        pipe.unread.clear();
        pipe.fin_unread = false;
        to.connection.stream_reset(stream, code);
        progress = true;
    }
    if let Some(code) = pipe.stop.take() {
        to.connection.stream_stopped(stream, code);
        progress = true;
    }
    if had_bytes && pipe.bytes.is_empty() && from.window.is_some() {
        from.connection.writable(stream);
    }
    progress
}

pub const USER: CancelReason = CancelReason::UserCancelled;
pub const CANCELLED: ErrorCode = ErrorCode::Cancelled;

pub fn stream(id: u64) -> StreamId {
    StreamId::new(id).expect("a bidirectional stream")
}

pub fn did(end: &End<impl Storage>) -> String {
    end.signer.did().to_owned()
}

/// A peer of an older minor version, for as long as the handshake lasts.
pub mod old_peer {
    use aire_proto::identity::Signer;
    use aire_proto::wire::{FrameHeader, FrameType, Writer, domain_separator};

    use super::{Pair, Pipe, Storage, StreamId, UNIX_START};

    /// Connects the client to a peer that speaks `minor`, in the server's place.
    pub fn shake_hands<C: Storage, V: Storage>(pair: &mut Pair<C, V>, minor: u64) {
        let now = pair.now();
        pair.client.start(now);
        let mut pipe = Pipe {
            bytes: hello(&pair.server.signer, minor, UNIX_START, [9; 16]),
            ..Pipe::default()
        };
        pair.client.receive(StreamId::CONTROL, &mut pipe, now);
        assert_eq!(pair.client.told(), ["hello", "connected"]);
    }

    /// A signed HELLO frame without capabilities.
    pub fn hello(signer: &dyn Signer, minor: u64, unix: i64, nonce: [u8; 16]) -> Vec<u8> {
        let mut payload = vec![0; 512];
        let mut out = Writer::new(&mut payload);
        out.varint(0);
        out.varint(minor);
        out.prefixed(signer.did().as_bytes());
        out.varint(0);
        out.u8(1);
        out.prefixed(signer.method().as_bytes());
        out.bytes(&nonce);
        out.bytes(&unix.to_be_bytes());
        let signed = out.finish().expect("it fits");
        payload.truncate(signed);
        let message = [&domain_separator(FrameType::Hello)[..], &payload].concat();
        payload.extend_from_slice(&[0x40, 0x40]);
        payload.extend_from_slice(&signer.sign(&message));

        let mut frame = vec![0; 16];
        let header = FrameHeader::new(FrameType::Hello, 0, payload.len() as u64);
        let len = header.encode(&mut frame).expect("it fits");
        frame.truncate(len);
        frame.extend_from_slice(&payload);
        frame
    }
}
