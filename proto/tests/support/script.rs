//! Random bytes, read as a script for one connection: what arrives on which stream, what the
//! application calls, how time passes. However the arriving bytes are cut, the story is the same.

use std::collections::BTreeMap;
use std::time::Duration;

use aire_proto::budget::{Cap, Charge, Dimension};
use aire_proto::capability::CHANNEL_BINDING;
use aire_proto::connection::{CallError, Counters, Signatures, Stall};
use aire_proto::storage::Storage;
use aire_proto::wire::{
    Budget, Cancel, Capability, Currency, Delegate, ErrorFrame, Resumable, Resume,
};
use aire_proto::{
    CancelReason, Config, Connection, ErrorCode, Fixed, Now, Role, StreamId, UnixMillis,
};

use super::hello::{Block, HelloFrame, binding, signed_cancel};
use super::lone::{Lone, PEER_SEED, encoded, frame, invoke};
use super::quick::QuickVerifier;
use super::{UNIX_START, stream};

/// Room for every stream of a script: nothing waits for a scratch.
pub type Roomy = Fixed<4, 256, 6, 1024>;

/// Both ends prove themselves to the session that exports [`EXPORTER`].
pub const BINDING: Capability<'static> = Capability {
    name: CHANNEL_BINDING,
    version: 0,
    required: false,
};

pub const EXPORTER: [u8; 32] = [0x5a; 32];

/// Decisions, taken from bytes; zeros when they run out.
pub struct Choices<'a>(pub &'a [u8]);

impl<'a> Choices<'a> {
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

/// What left on one stream: the bytes, FIN, reset and stop.
type Sent = (Vec<u8>, bool, Option<u64>, Option<u64>);

/// What a connection did, with payload pieces put together.
#[derive(Debug, PartialEq, Eq)]
pub struct Story {
    /// By stream; what is about the connection stands under 0.
    pub told: BTreeMap<u64, Vec<String>>,
    /// By stream.
    pub sent: BTreeMap<u64, Sent>,
    pub closed_with: Option<u64>,
    pub counters: Counters,
    pub live: usize,
}

impl<S: Storage> Lone<S> {
    pub fn story(&self) -> Story {
        let connection = &self.end.connection;
        Story {
            told: by_stream(&self.end.log),
            sent: self
                .end
                .pipes
                .iter()
                .map(|(stream, pipe)| {
                    let state = (pipe.bytes.clone(), pipe.fin, pipe.reset, pipe.stop);
                    (stream.get(), state)
                })
                .collect(),
            closed_with: self.end.closed_with,
            counters: connection.counters(),
            live: connection.live_operations(),
        }
    }
}

/// Sorts an exact log by stream, and puts the pieces of each frame together.
pub fn by_stream(log: &[String]) -> BTreeMap<u64, Vec<String>> {
    let mut told: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for line in log {
        let words: Vec<&str> = line.split(' ').collect();
        let stream = words[0].parse().unwrap_or(0);
        let lines = told.entry(stream).or_default();
        let piece = match words[..] {
            [_, kind @ ("stream" | "args"), bytes, "left", left] => Some((kind, bytes, left)),
            _ => None,
        };
        let Some((kind, bytes, left)) = piece else {
            lines.push(line.clone());
            continue;
        };
        let unfinished = format!("{kind} unfinished ");
        let before = match lines.last() {
            Some(last) if last.starts_with(&unfinished) => {
                let before = last[unfinished.len()..].to_owned();
                lines.pop();
                before
            }
            _ => String::new(),
        };
        let state = if left == "0" { "whole" } else { "unfinished" };
        lines.push(format!("{kind} {state} {before}{bytes}"));
    }
    told
}

/// Runs the script in `bytes` on a connection that hears in pieces of `chunk` bytes.
pub fn run<S: Storage>(bytes: &[u8], chunk: usize) -> Story {
    let choices = &mut Choices(bytes);
    let setup = choices.byte();
    let role = if setup & 1 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let config = Config {
        vendor_frames: setup & 2 != 0,
        danger_accept_unsigned_peers: setup & 4 != 0,
        max_operations: 4,
        max_payload: 65_536,
        signatures: Some(Signatures(&QuickVerifier)),
        cancel_timeout: Duration::from_millis(if setup & 8 == 0 { 5000 } else { 0 }),
        ..Config::default()
    };
    let resumable = Capability {
        name: "aire.resumable/1",
        version: 1,
        required: false,
    };
    let mut lone = Lone::<S>::unstarted(role, config);
    lone.end.exact = true;
    lone.end.chunk = chunk;
    if setup & 16 != 0 {
        lone.end.capabilities.push(resumable);
    }
    let binds = setup & 128 != 0 && choices.byte() & 1 == 0;
    if binds {
        lone.end.capabilities.push(BINDING);
        lone.end.exporter = Some(EXPORTER);
    }
    if setup & 32 == 0 {
        lone.end.start(lone.now());
    }
    if setup & 64 == 0 {
        let mut hello = HelloFrame::signed(PEER_SEED, [5; 16], UNIX_START);
        hello.capabilities.push(resumable);
        hello.minor = [4, 4, 3, 2, 9][choices.below(5)];
        if binds {
            hello.capabilities.push(BINDING);
        }
        lone.arrives(StreamId::CONTROL, &hello.encode());
        if binds && choices.byte() & 7 != 0 {
            lone.arrives(StreamId::CONTROL, &peers_binding());
        }
    }
    for _ in 0..64 {
        if choices.is_over() {
            break;
        }
        step(&mut lone, choices);
        assert!(lone.end.connection.live_operations() <= 4);
    }
    let story = lone.story();
    check(&lone);
    story
}

/// The binding of the scripted peer.
fn peers_binding() -> Vec<u8> {
    let block = Block::by(PEER_SEED, [6; 16], UNIX_START);
    binding(&EXPORTER, &block, PEER_SEED)
}

const STREAMS: [u64; 5] = [4, 0, 8, 1, 5];

fn step<S: Storage>(lone: &mut Lone<S>, choices: &mut Choices<'_>) {
    let id = STREAMS[choices.below(STREAMS.len())];
    let on = stream(id);
    match choices.below(12) {
        0..=6 => {
            let fin = choices.byte() & 3 == 0;
            let mut bytes = Vec::new();
            for _ in 0..choices.below(4) {
                bytes.extend_from_slice(&arriving(id, choices));
            }
            let ignored = lone
                .end
                .pipes
                .get(&on)
                .is_some_and(|sent| sent.stop.is_some());
            if !ignored && !lone.has_ended(on) {
                lone.deliver(on, &bytes, fin);
            }
        }
        7..=9 => call(lone, on, choices),
        10 if !lone.has_ended(on) => {
            let code = u64::from(choices.byte());
            if code & 1 == 0 {
                lone.forget(on);
                lone.end.connection.stream_reset(on, code);
            } else {
                lone.end.connection.stream_stopped(on, code);
            }
            lone.settle(lone.now());
        }
        _ => {
            let millis = [0, 1, 4999, 5000, 10_000, 30_000][choices.below(6)];
            lone.wait(millis);
            lone.assert_not_busy();
        }
    }
}

/// Bytes as a peer might send them on stream `id`: mostly frames.
fn arriving(id: u64, choices: &mut Choices<'_>) -> Vec<u8> {
    let shape = choices.byte();
    let op = match shape >> 5 {
        0 => 0,
        1 => u64::from(choices.byte()),
        _ => id,
    };
    let text = |choices: &mut Choices<'_>| {
        let len = choices.below(24);
        String::from_utf8_lossy(choices.bytes(len)).into_owned()
    };
    let mut bytes = match shape & 15 {
        6 if shape >> 5 == 7 => {
            let mut block = Block::by(PEER_SEED, [8; 16], UNIX_START);
            block.spoiled = (choices.byte() & 1 == 0).then_some(3);
            signed_cancel(op, &user_cancel(), &block, PEER_SEED)
        }
        0 => return choices.bytes(usize::from(shape >> 4)).to_vec(),
        1 | 2 => invoke(op),
        3 => {
            let len = choices.below(40);
            frame(0x03, op, choices.bytes(len))
        }
        4 | 5 => {
            let len = choices.below(80);
            frame(0x04, op, choices.bytes(len))
        }
        6 => encoded(
            op,
            &Cancel {
                reason: CancelReason::from_wire(u64::from(choices.byte())),
                detail: &text(choices),
            },
        ),
        7 => encoded(op, &budget(choices)),
        8 => encoded(
            op,
            &Delegate {
                target: &text(choices),
                target_did: "",
                sub_op: 0,
            },
        ),
        9 => encoded(
            op,
            &ErrorFrame {
                code: ErrorCode::from_wire(u64::from(choices.byte())),
                detail: &text(choices),
                data: b"data",
            },
        ),
        10 => frame(0x09, op, b""),
        11 => encoded(
            op,
            &Resumable {
                ttl_secs: 1,
                token: b"token",
                last_seq: 2,
            },
        ),
        12 => encoded(
            op,
            &Resume {
                token: b"token",
                last_recv: 2,
            },
        ),
        13 if shape >> 5 == 7 => peers_binding(),
        13 => {
            let mut hello = HelloFrame::signed(PEER_SEED, [6; 16], UNIX_START);
            hello.minor = u64::from(choices.byte() & 7);
            hello.op_id = op;
            hello.encode()
        }
        _ => {
            let frame_type = choices.byte();
            let len = choices.below(32);
            frame(frame_type, op, choices.bytes(len))
        }
    };
    if shape & 16 != 0 {
        // Cut, or with a byte changed.
        let at = choices.below(bytes.len());
        match choices.byte() {
            0..=127 => bytes.truncate(at),
            change => bytes[at] ^= change,
        }
    }
    bytes
}

fn user_cancel() -> Cancel<'static> {
    Cancel {
        reason: CancelReason::UserCancelled,
        detail: "",
    }
}

pub fn budget(choices: &mut Choices<'_>) -> Budget {
    let fields = choices.byte();
    let number = u64::from(choices.byte()) << (choices.byte() & 53);
    Budget {
        tokens: (fields & 1 != 0 || fields & 6 == 0).then_some(number),
        cost_microunits: (fields & 2 != 0).then_some(number),
        currency: (fields & 32 != 0).then(euros),
        deadline: (fields & 4 != 0).then(|| deadline(choices)),
        tokens_spent: (fields & 8 != 0).then_some(number),
        cost_microunits_spent: (fields & 16 != 0).then_some(number),
    }
}

/// In the past, or some seconds after the script begins.
fn deadline(choices: &mut Choices<'_>) -> UnixMillis {
    UnixMillis(UNIX_START - 500 + i64::from(choices.byte()) * 100)
}

fn euros() -> Currency {
    Currency::new(*b"EUR").expect("three letters")
}

/// What an application does about budgets: every call that there is.
pub fn spend<S: Storage>(
    connection: &mut Connection<S>,
    on: StreamId,
    choices: &mut Choices<'_>,
    now: Now,
) -> Result<(), CallError> {
    let number = u64::from(choices.byte());
    match choices.below(6) {
        0 | 1 => connection.charge(on, &Charge::tokens(number), now),
        2 => {
            let charge = Charge::tokens(number).with_cost(number, euros());
            connection.charge(on, &charge, now)
        }
        3 => {
            let cap = Cap {
                tokens: (number & 1 == 0).then_some(number),
                cost_microunits: (number & 2 == 0).then_some(number),
                currency: (number & 4 == 0).then(euros),
                time: (number & 8 == 0).then(|| Duration::from_millis(number * 10)),
            };
            connection.cap(on, &cap, now)
        }
        _ => {
            let what = [Dimension::Tokens, Dimension::Cost, Dimension::Deadline];
            let what = what[choices.below(8) % 3];
            let patience = Duration::from_millis(number / 64 * 2_000);
            let was_waiting = connection.stall(on) == Some(Stall::Budget);
            let stalls = connection.counters().budget_stalls;
            connection.out_of_budget(on, what, patience, now);
            let waits = connection.stall(on) == Some(Stall::Budget);
            let began = connection.counters().budget_stalls - stalls;
            assert_eq!(began, u64::from(waits && !was_waiting));
            Ok(())
        }
    }
}

/// The application does something, allowed or not.
fn call<S: Storage>(lone: &mut Lone<S>, on: StreamId, choices: &mut Choices<'_>) {
    let now = lone.now();
    let what = choices.below(19);
    let code = u64::from(choices.byte());
    let end = &mut lone.end;
    let connection = &mut end.connection;
    // Most of it is refused, one time or another.
    let _taken = match what {
        0 | 1 => {
            let args = choices.bytes(code as usize & 31);
            let invoked = connection.invoke("a", "b", args.len());
            invoked.map(|stream| drop(end.payloads.insert(stream, args.to_vec())))
        }
        2 | 3 => {
            let payload = choices.bytes(code as usize & 31);
            let sent = connection.send(on, payload.len());
            sent.map(|()| drop(end.payloads.insert(on, payload.to_vec())))
        }
        4 | 5 => connection.finish(on),
        6 => {
            let data = choices.bytes(code as usize);
            connection.fail(on, ErrorCode::from_wire(code), "", data, now)
        }
        7 => connection.cancel(on, CancelReason::from_wire(code), "c", now),
        8 => {
            connection.abort(on, ErrorCode::from_wire(code));
            Ok(())
        }
        9 => connection.send_budget(on, &budget(choices), now),
        10 => {
            let delegate = Delegate {
                target: "aire://b",
                target_did: "",
                sub_op: code,
            };
            connection.send_delegate(on, &delegate)
        }
        11 => {
            let resumable = Resumable {
                ttl_secs: code,
                token: b"token",
                last_seq: 0,
            };
            connection.send_resumable(on, &resumable)
        }
        14..=17 => spend(connection, on, choices, now),
        18 => connection
            .resume(&[7; 255][..code as usize], code)
            .map(drop),
        _ => {
            match code & 15 {
                0 => connection.goodbye(now),
                1 => connection.close(),
                2 => connection.connection_lost(None),
                3 => end.start(now),
                4 if !connection.is_closed() => end.authenticate(now),
                _ => connection.writable(on),
            }
            Ok(())
        }
    };
    lone.settle(now);
}

/// What holds of every log.
fn check<S: Storage>(lone: &Lone<S>) {
    let log = &lone.end.log;
    if let Some(at) = log.iter().position(|line| line.starts_with("closed ")) {
        assert!(lone.end.connection.is_closed());
        assert_eq!(
            at,
            log.len() - 1,
            "nothing is told behind the close: {log:?}"
        );
        assert_eq!(lone.end.connection.live_operations(), 0);
        assert_eq!(lone.end.connection.next_deadline(), None);
    }
    for (stream, lines) in by_stream(log) {
        let end = format!("{stream} ended ");
        if let Some(at) = lines.iter().position(|line| line.starts_with(&end)) {
            assert_eq!(at, lines.len() - 1, "{stream}: behind its end: {lines:?}");
        }
    }
}
