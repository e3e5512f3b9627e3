//! A peer that speaks QUIC, and on it whatever a test wants.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use aire_mio::Identity;
use aire_proto::handshake::Local;
use aire_proto::identity::{Ed25519Signer, Signer};
use aire_proto::wire::{Capability, Payload};
use aire_proto::{Config, Connection, ErrorCode, Growing, Now, Role, Transmit, UnixMillis, varint};

use super::PATIENCE;

pub const HELLO: u8 = 0x01;
pub const INVOKE: u8 = 0x03;
pub const STREAM: u8 = 0x04;
pub const CANCEL: u8 = 0x05;
pub const BUDGET: u8 = 0x06;
pub const ERROR: u8 = 0x08;
pub const GOODBYE: u8 = 0x09;
pub const RESUMABLE: u8 = 0x0a;
pub const RESUME: u8 = 0x0b;

/// A frame, as it came or as it is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub frame_type: u8,
    pub op: u64,
    pub payload: Vec<u8>,
}

/// The bytes of a number on the wire.
pub fn number(value: u64) -> Vec<u8> {
    let mut out = [0; varint::MAX_LEN];
    let len = varint::encode(value, &mut out).expect("at most 62 bits");
    out.get(..len).expect("that long").to_vec()
}

/// The bytes of a frame's head, that claims a payload of `len` bytes.
pub fn head(frame_type: u8, op: u64, len: u64) -> Vec<u8> {
    [vec![frame_type, 0], number(op), number(len)].concat()
}

pub fn frame(frame_type: u8, op: u64, payload: &[u8]) -> Vec<u8> {
    [&head(frame_type, op, payload.len() as u64), payload].concat()
}

pub fn invoke(op: u64, agent: &str, args: &[u8]) -> Vec<u8> {
    let agent = agent.as_bytes();
    let names = [number(agent.len() as u64), agent.to_vec(), number(0)].concat();
    frame(INVOKE, op, &[&names, args].concat())
}

/// A whole frame of a type that has a struct.
pub fn encode(op: u64, payload: &impl Payload) -> Vec<u8> {
    let mut out = vec![0; 70_000];
    let len = payload.encode_frame(op, &mut out).expect("it fits");
    out.truncate(len);
    out
}

/// The frames in a stream's bytes. The last may be cut.
pub fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let &[frame_type, _, ref rest @ ..] = bytes {
        let whole = varint::decode(rest).and_then(|(op, used)| {
            let rest = rest.get(used..)?;
            let (len, used) = varint::decode(rest)?;
            let rest = rest.get(used..)?;
            let (payload, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
            Some((op, payload, rest))
        });
        let Some((op, payload, rest)) = whole else {
            break;
        };
        frames.push(Frame {
            frame_type,
            op,
            payload: payload.to_vec(),
        });
        bytes = rest;
    }
    frames
}

/// The code of an ERROR.
pub fn error_code(frame: &Frame) -> Option<ErrorCode> {
    (frame.frame_type == ERROR)
        .then(|| varint::decode(&frame.payload))
        .flatten()
        .map(|(code, _)| ErrorCode::from_wire(code))
}

/// A good HELLO of a new identity, fresh.
pub fn hello() -> Vec<u8> {
    let mut seed = [0; 32];
    boring::rand::rand_bytes(&mut seed).expect("random");
    hello_of(seed)
}

/// A good HELLO of the identity with this seed, fresh.
pub fn hello_of(seed: [u8; 32]) -> Vec<u8> {
    hello_with(seed, &["aire.did-method.key/1"])
}

/// A good HELLO of the identity with this seed, fresh, with these capabilities in their order.
pub fn hello_with(seed: [u8; 32], capabilities: &[&'static str]) -> Vec<u8> {
    let mut nonce = [0; 16];
    boring::rand::rand_bytes(&mut nonce).expect("random");
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let unix = since.expect("after 1970").as_millis();
    let now = Now {
        instant: aire_proto::Instant::from_millis(0),
        unix: UnixMillis(i64::try_from(unix).expect("before 292,278,994")),
    };
    let signer = Ed25519Signer::from_seed(seed);
    let offered = |name: &&'static str| Capability {
        name,
        version: 1,
        required: false,
    };
    let capabilities: Vec<_> = capabilities.iter().map(offered).collect();
    let local = Local {
        signer: &signer,
        capabilities: &capabilities,
    };
    let mut connection = Connection::<Growing>::new(Role::Client, Config::default(), now);
    connection.start(&local, &nonce, now).expect("it fits");
    let Some(Transmit::Data { head, tail, .. }) = connection.poll_transmit() else {
        panic!("there is a HELLO to send");
    };
    assert_eq!(signer.did(), Identity::from_seed(seed).did());
    [head, tail].concat()
}

/// What came on one stream.
#[derive(Default, Debug)]
pub struct Came {
    pub bytes: Vec<u8>,
    pub fin: bool,
    pub reset: Option<u64>,
}

impl Came {
    pub fn frames(&self) -> Vec<Frame> {
        frames(&self.bytes)
    }
}

/// One end of a QUIC connection, in the test's hands.
pub struct Raw {
    pub quic: quiche::Connection,
    pub came: BTreeMap<u64, Came>,
    sockets: Vec<UdpSocket>,
    buffer: Vec<u8>,
}

pub fn config() -> quiche::Config {
    let mut config = quiche::Config::new(quiche::PROTOCOL_VERSION).expect("a configuration");
    config.verify_peer(false);
    config
        .set_application_protos(&[aire_mio::ALPN])
        .expect("a good name");
    config.set_max_idle_timeout(30_000);
    config.set_initial_max_data(10_000_000);
    config.set_initial_max_stream_data_bidi_local(1_000_000);
    config.set_initial_max_stream_data_bidi_remote(1_000_000);
    config.set_initial_max_streams_bidi(100);
    config.set_active_connection_id_limit(4);
    config.set_max_recv_udp_payload_size(1350);
    config.set_max_send_udp_payload_size(1350);
    config
}

fn socket_at(ip: [u8; 4]) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::from(ip), 0)).expect("a port");
    socket
        .set_read_timeout(Some(Duration::from_millis(1)))
        .expect("a timeout");
    socket
}

impl Raw {
    /// Begins to dial. QUIC is not up yet.
    pub fn dial(node: SocketAddr, config: &mut quiche::Config) -> Self {
        let socket = socket_at([127, 0, 0, 1]);
        let mut id = [0; quiche::MAX_CONN_ID_LEN];
        boring::rand::rand_bytes(&mut id).expect("random");
        let id = quiche::ConnectionId::from_ref(&id);
        let local = socket.local_addr().expect("bound");
        let quic = quiche::connect(None, &id, local, node, config).expect("a connection");
        Self {
            quic,
            came: BTreeMap::new(),
            sockets: vec![socket],
            buffer: vec![0; 65_535],
        }
    }

    /// QUIC is up; nothing is said.
    pub fn connect(node: SocketAddr) -> Self {
        let mut raw = Self::dial(node, &mut config());
        raw.until("QUIC is up", |raw| raw.quic.is_established());
        raw
    }

    /// Both HELLOs are said, and ours is good.
    pub fn greet(node: SocketAddr) -> Self {
        Self::greet_with(node, &hello())
    }

    /// Both HELLOs are said: this one is ours.
    pub fn greet_with(node: SocketAddr, hello: &[u8]) -> Self {
        let mut raw = Self::connect(node);
        raw.say(0, hello, false);
        raw.until("the node says HELLO", |raw| {
            raw.frames(0)
                .first()
                .is_some_and(|frame| frame.frame_type == HELLO)
        });
        raw
    }

    /// One more socket to send from, at 127.0.0.`last`.
    pub fn another_address(&mut self, last: u8) -> SocketAddr {
        let socket = socket_at([127, 0, 0, last]);
        let address = socket.local_addr().expect("bound");
        self.sockets.push(socket);
        address
    }

    /// Writes all of it to a stream, however long that takes.
    pub fn say(&mut self, stream: u64, bytes: &[u8], fin: bool) {
        let mut rest = bytes;
        loop {
            match self.quic.stream_send(stream, rest, fin) {
                Ok(len) => rest = rest.get(len..).expect("no more than there was"),
                Err(quiche::Error::Done) => {}
                Err(error) => panic!("stream {stream}: {error}"),
            }
            if rest.is_empty() {
                return;
            }
            self.turn();
        }
    }

    pub fn frames(&self, stream: u64) -> Vec<Frame> {
        self.came.get(&stream).map(Came::frames).unwrap_or_default()
    }

    /// The codes of the ERRORs on a stream.
    pub fn errors(&self, stream: u64) -> Vec<ErrorCode> {
        self.frames(stream).iter().filter_map(error_code).collect()
    }

    pub fn finished(&self, stream: u64) -> bool {
        self.came.get(&stream).is_some_and(|came| came.fin)
    }

    /// The application code that the node closed with.
    pub fn closed_with(&self) -> Option<u64> {
        let error = self.quic.peer_error()?;
        error.is_app.then_some(error.error_code)
    }

    /// Invokes `agent` on the stream `op`, and waits for its answer and end.
    pub fn ask(&mut self, op: u64, agent: &str, args: &[u8]) -> Vec<Frame> {
        self.say(op, &invoke(op, agent, args), true);
        self.until("the answer is here", |raw| raw.finished(op));
        self.frames(op)
    }

    /// Sends what there is, waits a millisecond for what comes, and reads it.
    pub fn turn(&mut self) {
        self.flush();
        for index in 0..self.sockets.len() {
            let Some(socket) = self.sockets.get(index) else {
                return;
            };
            let to = socket.local_addr().expect("bound");
            let mut taken = 0;
            loop {
                match socket.recv_from(&mut self.buffer) {
                    Ok((len, from)) => {
                        let packet = self.buffer.get_mut(..len).expect("that much came");
                        let info = quiche::RecvInfo { from, to };
                        // A bad packet is the other side's trouble.
                        let _bad = self.quic.recv(packet, info);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
                taken += 1;
                if taken == 64 {
                    break;
                }
            }
        }
        if self
            .quic
            .timeout_instant()
            .is_some_and(|due| due <= Instant::now())
        {
            self.quic.on_timeout();
        }
        self.read();
        self.flush();
    }

    fn read(&mut self) {
        for stream in self.quic.readable() {
            let came = self.came.entry(stream).or_default();
            loop {
                match self.quic.stream_recv(stream, &mut self.buffer) {
                    Ok((len, fin)) => {
                        came.bytes
                            .extend_from_slice(self.buffer.get(..len).expect("that much came"));
                        came.fin |= fin;
                        if fin {
                            break;
                        }
                    }
                    Err(quiche::Error::StreamReset(code)) => {
                        came.reset = Some(code);
                        break;
                    }
                    Err(_) => break,
                }
            }
        }
    }

    pub fn flush(&mut self) {
        while let Ok((len, info)) = self.quic.send(&mut self.buffer) {
            let from = self
                .sockets
                .iter()
                .find(|socket| socket.local_addr().is_ok_and(|local| local == info.from))
                .expect("one of ours");
            let packet = self.buffer.get(..len).expect("that much is there");
            from.send_to(packet, info.to).expect("loopback takes it");
        }
    }

    /// Takes turns until it is so.
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(
                Instant::now() < deadline,
                "never came to pass: {what}; closed by the node: {:?}, by us: {:?}",
                self.quic.peer_error(),
                self.quic.local_error()
            );
            self.turn();
        }
    }

    /// Takes one datagram from the network, and does not look at it yet.
    pub fn take_datagram(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "the node says nothing");
            let socket = self.sockets.first().expect("there is one");
            if let Ok((len, _)) = socket.recv_from(&mut self.buffer) {
                return self.buffer.get(..len).expect("that much came").to_vec();
            }
        }
    }

    /// Looks at a datagram, as if it came from `node` now.
    pub fn look_at(&mut self, mut datagram: Vec<u8>, node: SocketAddr) {
        let to = self.sockets.first().and_then(|s| s.local_addr().ok());
        let to = to.expect("bound");
        let info = quiche::RecvInfo { from: node, to };
        self.quic.recv(&mut datagram, info).expect("a good packet");
        self.read();
    }

    /// Loses all that comes for a while.
    pub fn lose_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let socket = self.sockets.first().expect("there is one");
            let _lost = socket.recv_from(&mut self.buffer);
        }
    }

    /// Takes turns for a while.
    pub fn linger(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.turn();
        }
    }

    /// The node says what is wrong: on the control stream, then as it closes.
    pub fn is_told(&mut self, code: ErrorCode) {
        self.until("the node closes the connection", |raw| {
            raw.quic.peer_error().is_some()
        });
        assert_eq!(self.closed_with(), Some(code.to_wire()), "CONNECTION_CLOSE");
        assert_eq!(self.errors(0), [code], "ERROR on the control stream");
        assert_eq!(
            self.frames(0).first().map(|frame| frame.frame_type),
            Some(HELLO)
        );
    }
}
