//! The server that is tried, what the probe found out about it first, and one trial of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aire_mio::{ALPN, Address, Identity, Resolver, ResolverSettings, Trust};
use aire_proto::ErrorCode;
use aire_proto::capability;
use aire_proto::identity::{Ed25519Signer, PublicKey};
use aire_proto::wire::{Hello, Invoke};

use super::peer::{Dial, Peer};
use super::verdict::{Stop, Verdict, ensure, failed, skipped};
use super::wire::{self, Entry, HELLO, HelloDraft};
use crate::Error;

/// An operation that a node offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) agent: String,
    pub(super) operation: String,
}

impl Target {
    /// INVOKE of it.
    pub(super) fn invoke(&self, op: u64, args: &[u8]) -> Vec<u8> {
        let invoke = Invoke {
            agent: &self.agent,
            operation: &self.operation,
            args,
        };
        wire::encode(op, &invoke)
    }
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (agent, operation) = text.split_once('/').unwrap_or((text, ""));
        match agent.is_empty() {
            true => Err("an operation is written AGENT/OPERATION".into()),
            false => Ok(Self {
                agent: agent.into(),
                operation: operation.into(),
            }),
        }
    }
}

/// What the server said in its HELLO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerHello {
    pub(super) payload: Vec<u8>,
    pub(super) node_id: String,
    pub(super) minor: u64,
    pub(super) capabilities: Vec<(String, bool)>,
    /// How far the server's clock is ahead of this machine's, in milliseconds, as far as its
    /// HELLO tells.
    pub(super) clock_ahead: i64,
}

impl ServerHello {
    fn read(payload: &[u8]) -> Result<Self, Stop> {
        let hello = Hello::decode(payload)
            .map_err(|error| failed(format!("the server's HELLO does not parse: {error}")))?;
        let entries = hello.capabilities.iter();
        Ok(Self {
            payload: payload.into(),
            node_id: hello.node_id.into(),
            minor: hello.minor,
            capabilities: entries
                .map(|entry| (entry.name.into(), entry.required))
                .collect(),
            clock_ahead: hello.block.map_or(0, |block| {
                block.timestamp.0.saturating_sub(wire::unix_now())
            }),
        })
    }

    /// Whether it advertises this.
    pub(super) fn has(&self, capability: &str) -> bool {
        let mut names = self.capabilities.iter();
        names.any(|(name, _)| name == capability)
    }
}

/// The server, and what is known of it.
pub(super) struct Subject {
    pub(super) address: SocketAddr,
    host: String,
    trust: Trust,
    pub(super) any_certificate: bool,
    identity: Identity,
    pub(super) patience: Duration,
    pub(super) hello: ServerHello,
    /// An operation that answers with its arguments.
    pub(super) echo: Result<Target, String>,
    /// An operation that answers with so many frames, and charges a token for each.
    pub(super) stream: Result<Target, String>,
}

/// What a person said of the server.
pub(super) struct Given {
    pub(super) address: Address,
    pub(super) trust: Trust,
    pub(super) any_certificate: bool,
    pub(super) identity: Identity,
    pub(super) patience: Duration,
    pub(super) echo: Target,
    pub(super) stream: Target,
}

impl Subject {
    /// Finds the server, and out what it offers.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Refused`] when its certificate is not believed or it does
    /// not take a good HELLO.
    pub(super) fn meet(given: Given) -> Result<Self, Error> {
        let mut subject = Self {
            address: given.address.resolve()?,
            host: given.address.host(),
            trust: given.trust,
            any_certificate: given.any_certificate,
            identity: given.identity,
            patience: given.patience,
            hello: ServerHello {
                payload: Vec::new(),
                node_id: String::new(),
                minor: 0,
                capabilities: Vec::new(),
                clock_ahead: 0,
            },
            echo: Err("it was not looked for".into()),
            stream: Err("it was not looked for".into()),
        };
        subject.trust.tls()?;
        let trial = subject.trial();
        let mut peer = trial.begin(&[ALPN]).map_err(in_words)?;
        if peer.establish().is_err() {
            return Err(unreachable(&subject, &peer));
        }
        let hello = trial
            .greet_on(&mut peer, &trial.hello().frame(trial.signer()))
            .and_then(|()| ServerHello::read(&peer.frames(0)[0].payload));
        subject.hello = hello.map_err(no_handshake)?;
        // What the server requires, it was not offered on this connection.
        let mut named = subject.hello.capabilities.iter();
        if named.any(|(_, required)| *required) {
            peer = subject.trial().greet().map_err(no_handshake)?;
        }
        let echo = find_echo(&mut peer, given.echo);
        let stream = find_stream(&mut peer, given.stream);
        drop(peer);
        (subject.echo, subject.stream) = (echo, stream);
        Ok(subject)
    }

    /// A trial, that begins now.
    pub(super) fn trial(&self) -> Trial<'_> {
        Trial {
            subject: self,
            ends: Instant::now() + self.patience * LONGEST_TRIAL,
        }
    }
}

fn words(stop: Stop) -> String {
    match stop {
        Stop::Failed(words) | Stop::Skipped(words) | Stop::NotApplicable(words) => words,
    }
}

fn no_handshake(stop: Stop) -> Error {
    let words = words(stop);
    Error::Refused(format!(
        "the server does not get through a handshake: {words}"
    ))
}

fn in_words(stop: Stop) -> Error {
    Error::Unreachable(words(stop))
}

/// Why QUIC did not come up.
fn unreachable(subject: &Subject, peer: &Peer) -> Error {
    let at = subject.address;
    if peer.nobody_listens() {
        return Error::Unreachable(format!("nobody listens at {at}"));
    }
    // RFC 9001, 4.8: 0x100 and the TLS alert.
    match (peer.quic().local_error(), peer.quic().peer_error()) {
        (Some(error), _) if !error.is_app && (0x100..0x200).contains(&error.error_code) => {
            Error::Refused(format!(
                "the certificate of {at} is not believed (TLS alert {}); give --ca or --pin",
                error.error_code - 0x100
            ))
        }
        (_, Some(error)) => Error::Unreachable(format!(
            "{at} ends the QUIC handshake with error {:#x}",
            error.error_code
        )),
        _ => Error::Unreachable(format!("{at} does not answer")),
    }
}

fn find_echo(peer: &mut Peer, target: Target) -> Result<Target, String> {
    let name = format!("{}/{}", target.agent, target.operation);
    let text = b"aire probe";
    let answer = peer
        .send(4, &target.invoke(4, text), true)
        .and_then(|()| peer.answer(4));
    match answer {
        Ok(answer) if answer.is_good() && answer.streams.concat() == text => Ok(target),
        Ok(answer) => Err(format!(
            "{name} does not answer with its arguments ({}): name one that does with --echo",
            answer.describe()
        )),
        Err(stop) => Err(format!("{name}: {}", words(stop))),
    }
}

fn find_stream(peer: &mut Peer, target: Target) -> Result<Target, String> {
    let name = format!("{}/{}", target.agent, target.operation);
    let answer = peer
        .send(8, &target.invoke(8, b"3 0"), true)
        .and_then(|()| peer.answer(8));
    match answer {
        Ok(answer) if answer.is_good() && answer.streams.len() == 3 => Ok(target),
        Ok(answer) => Err(format!(
            "{name} does not answer with as many frames as its arguments say ({}): name one that \
             does with --stream",
            answer.describe()
        )),
        Err(stop) => Err(format!("{name}: {}", words(stop))),
    }
}

/// One check of the server, with connections of its own.
pub(super) struct Trial<'a> {
    pub(super) subject: &'a Subject,
    ends: Instant,
}

impl Trial<'_> {
    /// Who the probe is.
    pub(super) fn signer(&self) -> &Ed25519Signer {
        self.subject.identity.signer()
    }

    /// A good HELLO of the probe. It names what the server requires, too.
    pub(super) fn hello(&self) -> HelloDraft {
        self.hello_of(self.signer(), &[])
    }

    /// A good HELLO of `signer` that also names these capabilities.
    pub(super) fn hello_of(&self, signer: &Ed25519Signer, more: &[&str]) -> HelloDraft {
        let required = self.subject.hello.capabilities.iter();
        let required = required.filter(|(_, required)| *required);
        let mut names: Vec<&str> = required.map(|(name, _)| name.as_str()).collect();
        names.push(capability::DEFINED[0]);
        names.push(capability::DEFINED[1]);
        names.extend(more);
        names.sort_unstable();
        names.dedup();
        let entries = names.into_iter().map(|name| Entry::new(name, false));
        HelloDraft::new(signer, entries.collect())
    }

    /// Begins to dial, and offers these protocols.
    pub(super) fn begin(&self, protocols: &[&[u8]]) -> Result<Peer, Stop> {
        let subject = self.subject;
        let mut config = config(&subject.trust, protocols)?;
        let dial = Dial {
            address: subject.address,
            server_name: subject.trust.checks_name().then_some(&*subject.host),
            patience: subject.patience,
            ends: self.ends,
        };
        Peer::dial(&dial, &mut config)
    }

    /// A QUIC connection on which nothing is said yet.
    pub(super) fn connect(&self) -> Result<Peer, Stop> {
        let mut peer = self.begin(&[ALPN])?;
        peer.establish()?;
        Ok(peer)
    }

    /// A connection on which both HELLOs are said.
    pub(super) fn greet(&self) -> Result<Peer, Stop> {
        self.greet_as(self.signer(), &self.hello())
    }

    /// The same, where this HELLO of `signer` is ours.
    pub(super) fn greet_as(
        &self,
        signer: &Ed25519Signer,
        hello: &HelloDraft,
    ) -> Result<Peer, Stop> {
        let mut peer = self.greet_unbound(signer, hello)?;
        self.bind_if_required(&mut peer, signer)?;
        Ok(peer)
    }

    /// The same, but the identity is not bound to the connection, whatever the server requires.
    pub(super) fn greet_unbound(
        &self,
        signer: &Ed25519Signer,
        hello: &HelloDraft,
    ) -> Result<Peer, Stop> {
        let mut peer = self.connect()?;
        hear(&mut peer, &hello.frame(signer))?;
        Ok(peer)
    }

    /// Says this HELLO of the probe, and waits for the server's.
    pub(super) fn greet_on(&self, peer: &mut Peer, hello: &[u8]) -> Result<(), Stop> {
        hear(peer, hello)?;
        self.bind_if_required(peer, self.signer())
    }

    /// Whether the server serves nobody whose identity is not bound to the connection.
    pub(super) fn must_bind(&self) -> bool {
        let mut names = self.subject.hello.capabilities.iter();
        names.any(|(name, required)| *required && name == capability::CHANNEL_BINDING)
    }

    fn bind_if_required(&self, peer: &mut Peer, signer: &Ed25519Signer) -> Result<(), Stop> {
        if !self.must_bind() {
            return Ok(());
        }
        let value = exporter(peer)?;
        peer.send(0, &wire::binding(signer, &value), false)
    }

    /// The server refuses this HELLO with one of `codes`, and closes the connection.
    pub(super) fn refuses(
        &self,
        signer: &Ed25519Signer,
        hello: &HelloDraft,
        codes: &[ErrorCode],
    ) -> Result<(), Stop> {
        self.refuses_bytes(&hello.frame(signer), codes)
    }

    /// The server refuses these bytes on the control stream with one of `codes`, and closes the
    /// connection.
    pub(super) fn refuses_bytes(&self, bytes: &[u8], codes: &[ErrorCode]) -> Result<(), Stop> {
        let mut peer = self.connect()?;
        peer.send(0, bytes, false)?;
        peer.refused(codes)
    }

    /// The server takes this HELLO, and serves an operation.
    pub(super) fn takes(&self, signer: &Ed25519Signer, hello: &HelloDraft) -> Result<(), Stop> {
        let mut peer = self.greet_as(signer, hello)?;
        self.serves(&mut peer, 4)
    }

    /// INVOKE of an operation that ends by itself, whatever the server offers.
    pub(super) fn invoke(&self, op: u64, args: &[u8]) -> Vec<u8> {
        match &self.subject.echo {
            Ok(echo) => echo.invoke(op, args),
            Err(_) => unknown_agent().invoke(op, args),
        }
    }

    /// The server serves operation `op` on this connection: with its echo, or with some answer
    /// where it has none.
    pub(super) fn serves(&self, peer: &mut Peer, op: u64) -> Result<(), Stop> {
        let text = format!("operation {op}");
        peer.send(op, &self.invoke(op, text.as_bytes()), true)?;
        self.served(peer, op, text.as_bytes())
    }

    /// The answer to [`invoke`](Self::invoke) with `args` comes, and is right.
    pub(super) fn served(&self, peer: &mut Peer, op: u64, args: &[u8]) -> Result<(), Stop> {
        let answer = peer.answer(op)?;
        let is_right = answer.is_good() && answer.streams.concat() == args;
        ensure(is_right || self.subject.echo.is_err(), || {
            format!(
                "operation {op} should have echoed {} bytes, and came to {}",
                args.len(),
                answer.describe()
            )
        })
    }

    /// The server serves who comes next.
    pub(super) fn is_alive(&self) -> Result<(), Stop> {
        let mut peer = self.greet()?;
        self.serves(&mut peer, 4)
    }

    /// The operation that echoes.
    pub(super) fn echo(&self) -> Result<&Target, Stop> {
        self.subject.echo.as_ref().map_err(skipped)
    }

    /// The operation that streams.
    pub(super) fn stream(&self) -> Result<&Target, Stop> {
        self.subject.stream.as_ref().map_err(skipped)
    }

    /// A connection with operation 4 under way: `count` frames, `pause` milliseconds apart, of
    /// which the first is here.
    pub(super) fn streaming(&self, count: u32, pause: u32) -> Result<Peer, Stop> {
        let mut peer = self.greet()?;
        self.stream_on(&mut peer, 4, count, pause, &[])?;
        peer.until("the first STREAM frame", |peer| {
            peer.count(4, wire::STREAM) > 0 || peer.has_ended(4)
        })?;
        Ok(peer)
    }

    /// Invokes the operation that streams, with these bytes right behind INVOKE. Our side stays
    /// open.
    pub(super) fn stream_on(
        &self,
        peer: &mut Peer,
        op: u64,
        count: u32,
        pause: u32,
        behind: &[u8],
    ) -> Result<(), Stop> {
        let args = format!("{count} {pause}");
        let invoke = self.stream()?.invoke(op, args.as_bytes());
        peer.send(op, &[&invoke, behind].concat(), false)
    }

    /// The key of a verification method.
    pub(super) fn key(&self, method: &str) -> Result<PublicKey, Stop> {
        if method.starts_with("did:key:") {
            return PublicKey::from_did_key_method(method)
                .ok_or_else(|| failed(format!("{method} names no key of its DID")));
        }
        let resolver = Resolver::new(ResolverSettings::default())
            .map_err(|error| skipped(error.to_string()))?;
        resolver.key(method).map_err(|error| {
            skipped(format!(
                "the key {method} cannot be found from here: {error}"
            ))
        })
    }
}

/// Says a HELLO, and waits for the server's.
fn hear(peer: &mut Peer, hello: &[u8]) -> Result<(), Stop> {
    peer.send(0, hello, false)?;
    peer.until("the server's HELLO", |peer| !peer.frames(0).is_empty())?;
    let first = &peer.frames(0)[0];
    ensure(first.kind == HELLO, || {
        let name = first.name();
        format!("the server's first frame is {name}, and no HELLO")
    })
}

/// What identities are bound to on this connection (`GAP-21`).
pub(super) fn exporter(peer: &mut Peer) -> Result<[u8; 32], Stop> {
    peer.exporter()
        .ok_or_else(|| skipped("TLS gives no exporter value"))
}

/// An agent that no node has.
pub(super) fn unknown_agent() -> Target {
    let suffix = u64::from_be_bytes(wire::random());
    Target {
        agent: format!("aire-probe-{suffix:016x}"),
        operation: "nothing".into(),
    }
}

/// QUIC for one connection.
fn config(trust: &Trust, protocols: &[&[u8]]) -> Result<quiche::Config, Stop> {
    let tls = trust.tls().map_err(|error| skipped(error.to_string()))?;
    let no_quic = |error: quiche::Error| skipped(format!("QUIC cannot be set up: {error}"));
    let version = quiche::PROTOCOL_VERSION;
    let mut config = quiche::Config::with_boring_ssl_ctx_builder(version, tls).map_err(no_quic)?;
    config.set_application_protos(protocols).map_err(no_quic)?;
    config.set_max_idle_timeout(60_000);
    config.set_initial_max_data(16 << 20);
    config.set_initial_max_stream_data_bidi_local(1 << 20);
    config.set_initial_max_stream_data_bidi_remote(1 << 20);
    config.set_initial_max_streams_bidi(16);
    config.set_initial_max_streams_uni(4);
    config.set_initial_max_stream_data_uni(1 << 16);
    config.set_max_recv_udp_payload_size(1350);
    config.set_max_send_udp_payload_size(1350);
    config.enable_pacing(false);
    Ok(config)
}

/// How many times as long as one wait a whole trial may take.
const LONGEST_TRIAL: u32 = 6;

/// The verdict of something that is good when nothing stopped it.
pub(super) fn good(done: Result<(), Stop>) -> Verdict {
    done.map(|()| None)
}
