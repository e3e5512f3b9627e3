//! Random bytes, read as a walk of two connected nodes: calls of both applications, a link that
//! carries when and how much it likes, time that passes. At the end everything comes to rest, and
//! nothing may be lost, told twice, or left behind.

use std::collections::BTreeMap;
use std::time::Duration;

use aire_proto::connection::{Counters, Signatures};
use aire_proto::storage::Storage;
use aire_proto::wire::{Capability, Resumable};
use aire_proto::{CancelReason, Config, ErrorCode, StreamId};

use super::quick::QuickVerifier;
use super::script::{BINDING, Choices, EXPORTER, budget, by_stream, spend};
use super::{End, Pair, carry, carry_stream};

const MAX_OPERATIONS: usize = 4;

/// What one application did and is to find at the other end.
#[derive(Default)]
struct Diary {
    invoked: Vec<StreamId>,
    args: BTreeMap<StreamId, Vec<u8>>,
    /// STREAM payloads by stream, in order.
    sent: BTreeMap<StreamId, Vec<Vec<u8>>>,
}

/// What two nodes told, and what they counted.
#[derive(Debug, PartialEq, Eq)]
pub struct Tale {
    pub logs: [Vec<String>; 2],
    pub closed_with: [Option<u64>; 2],
    pub counters: [Counters; 2],
}

/// Walks as `bytes` say.
pub fn walk<C: Storage, V: Storage>(bytes: &[u8]) -> Tale {
    let choices = &mut Choices(bytes);
    let setup = choices.byte();
    let config = Config {
        max_operations: MAX_OPERATIONS,
        cancel_timeout: Duration::from_millis(if setup & 1 == 0 { 5000 } else { 0 }),
        drain_timeout: Duration::from_secs(if setup & 2 == 0 { 30 } else { 1 }),
        signatures: Some(Signatures(&QuickVerifier)),
        ..Config::default()
    };
    let mut pair = Pair::<C, V>::silent(config);
    if setup & 4 != 0 {
        let resumable = Capability {
            name: "aire.resumable/1",
            version: 1,
            required: false,
        };
        pair.client.capabilities.push(resumable);
        pair.server.capabilities.push(resumable);
    }
    if setup & 16 != 0 {
        pair.client.capabilities.push(BINDING);
        pair.client.exporter = Some(EXPORTER);
    }
    if setup & 48 == 48 {
        pair.server.capabilities.push(BINDING);
        pair.server.exporter = Some(EXPORTER);
    }
    pair.client.exact = true;
    pair.server.exact = true;
    pair.client.start(pair.now());
    pair.server.start(pair.now());
    if setup & 8 == 0 {
        pair.pump();
    }
    let mut diaries = [Diary::default(), Diary::default()];
    for _ in 0..200 {
        if choices.is_over() {
            break;
        }
        step(&mut pair, &mut diaries, choices);
        for live in [
            pair.client.connection.live_operations(),
            pair.server.connection.live_operations(),
        ] {
            assert!(live <= MAX_OPERATIONS, "{live} operations");
        }
    }
    come_to_rest(&mut pair, &diaries);
    for stream in diaries.iter().flat_map(|diary| &diary.invoked) {
        assert_eq!(pair.client.connection.ledger(*stream), None);
        assert_eq!(pair.server.connection.ledger(*stream), None);
    }
    check(&pair.client, &diaries[0], &diaries[1]);
    check(&pair.server, &diaries[1], &diaries[0]);
    Tale {
        logs: [pair.client.told(), pair.server.told()],
        closed_with: [pair.client.closed_with, pair.server.closed_with],
        counters: [
            pair.client.connection.counters(),
            pair.server.connection.counters(),
        ],
    }
}

fn step<C: Storage, V: Storage>(
    pair: &mut Pair<C, V>,
    diaries: &mut [Diary; 2],
    choices: &mut Choices<'_>,
) {
    let first = choices.byte();
    let by_client = first & 1 == 0;
    let now = pair.now();
    let all: Vec<StreamId> = diaries
        .iter()
        .flat_map(|diary| &diary.invoked)
        .copied()
        .collect();
    let on = match all.len() {
        0 => None,
        len => Some(all[choices.below(len)]),
    };
    match first >> 1 & 15 {
        0..=9 => {
            let diary = &mut diaries[usize::from(!by_client)];
            if by_client {
                call(
                    &mut pair.client,
                    diary,
                    on,
                    now.instant.as_millis(),
                    choices,
                );
            } else {
                call(
                    &mut pair.server,
                    diary,
                    on,
                    now.instant.as_millis(),
                    choices,
                );
            }
        }
        10 => pair.pump(),
        11 => {
            let _moved = if by_client {
                pair.client.transmit(now)
            } else {
                pair.server.transmit(now)
            };
        }
        12 => {
            let stream = on.unwrap_or(StreamId::CONTROL);
            let _moved = if by_client {
                carry_stream(stream, &mut pair.client, &mut pair.server, now)
            } else {
                carry_stream(stream, &mut pair.server, &mut pair.client, now)
            };
        }
        13 => {
            let _moved = if by_client {
                carry(&mut pair.client, &mut pair.server, now)
            } else {
                carry(&mut pair.server, &mut pair.client, now)
            };
        }
        14 => {
            let millis = [0, 1, 999, 1000, 5000, 10_000][choices.below(6)];
            pair.millis += millis;
            pass(&mut pair.client, pair.millis);
            pass(&mut pair.server, pair.millis);
        }
        _ => {
            let chunk = choices.byte();
            if by_client {
                set_link(&mut pair.client, chunk);
            } else {
                set_link(&mut pair.server, chunk);
            }
        }
    }
}

fn set_link<S: Storage>(end: &mut End<S>, byte: u8) {
    end.chunk = [usize::MAX, 1, 3, 10][usize::from(byte & 3)];
    end.window = [None, Some(1), Some(7), Some(40)][usize::from(byte >> 2 & 3)];
    end.reads = byte & 16 == 0;
}

/// Does what is due; what is left to do lies in the future.
fn pass<S: Storage>(end: &mut End<S>, millis: u64) {
    let now = super::at(millis);
    for _ in 0..2 {
        end.connection.handle_timeout(now);
    }
    let due = end.connection.next_deadline();
    assert!(
        due.is_none_or(|due| due > now.instant),
        "{due:?} at {millis}"
    );
}

fn call<S: Storage>(
    end: &mut End<S>,
    diary: &mut Diary,
    on: Option<StreamId>,
    millis: u64,
    choices: &mut Choices<'_>,
) {
    let now = super::at(millis);
    let what = choices.below(22);
    // Frames that are sent before the peer's first one came are on no count.
    let sends = (3..=6).contains(&what);
    let on = on.filter(|on| !sends || diary.invoked.contains(on) || has_heard_of(end, *on));
    let Some(on) = on.filter(|_| what > 2) else {
        let args = choices.bytes(what * 9).to_vec();
        if let Ok(stream) = end.connection.invoke("agent", "operation", args.len()) {
            end.payloads.insert(stream, args.clone());
            diary.args.insert(stream, args);
            diary.invoked.push(stream);
        }
        return;
    };
    let connection = &mut end.connection;
    let code = u64::from(choices.byte());
    // Most of it is refused, one time or another.
    let _taken = match what {
        3..=6 => {
            let payload = choices.bytes(code as usize & 63).to_vec();
            let may_send = connection.may_send(on);
            let sent = connection.send(on, payload.len());
            assert!(may_send.is_ok() || sent.is_err());
            if sent.is_ok() {
                end.payloads.insert(on, payload.clone());
                diary.sent.entry(on).or_default().push(payload);
            }
            sent
        }
        7 | 8 => connection.finish(on),
        9 => connection.fail(on, ErrorCode::from_wire(code), "failed", b"data", now),
        10 => connection.cancel(on, CancelReason::from_wire(code), "cancelled", now),
        11 => {
            connection.abort(on, ErrorCode::from_wire(code));
            Ok(())
        }
        12 => connection.send_budget(on, &budget(choices), now),
        13 => {
            let resumable = Resumable {
                ttl_secs: code,
                token: b"token",
                last_seq: 0,
            };
            connection.send_resumable(on, &resumable)
        }
        16..=19 => spend(connection, on, choices, now),
        20 | 21 => {
            let resumed = connection.resume(&[7; 255][..code as usize], code);
            resumed.map(|stream| diary.invoked.push(stream))
        }
        _ => {
            match (what, code) {
                (14, 0..=15) => connection.goodbye(now),
                (15, 0..=7) => connection.close(),
                (15, 8..=15) => {
                    connection.connection_lost(None);
                    // The other end notices.
                    end.closed_with.get_or_insert(0);
                }
                _ => {
                    let _told = end.events();
                }
            }
            Ok(())
        }
    };
}

/// Whether the application was told of the peer's operation on `stream`.
fn has_heard_of<S: Storage>(end: &End<S>, stream: StreamId) -> bool {
    ["invoked", "resumed"].iter().any(|how| {
        let begins = format!("{stream} {how} ");
        end.log.iter().any(|line| line.starts_with(&begins))
    })
}

/// The link carries everything, the applications end what they have, and time passes.
fn come_to_rest<C: Storage, V: Storage>(pair: &mut Pair<C, V>, diaries: &[Diary; 2]) {
    set_link(&mut pair.client, 0);
    set_link(&mut pair.server, 0);
    let everything = |pair: &mut Pair<C, V>| {
        pair.client.connection.writable(StreamId::CONTROL);
        pair.server.connection.writable(StreamId::CONTROL);
        for stream in diaries.iter().flat_map(|diary| &diary.invoked) {
            pair.client.connection.writable(*stream);
            pair.server.connection.writable(*stream);
        }
        pair.pump();
    };
    everything(pair);
    for stream in diaries.iter().flat_map(|diary| &diary.invoked) {
        let counts = [
            pair.client.connection.sequence(*stream),
            pair.server.connection.sequence(*stream),
        ];
        if let [Some(client), Some(server)] = counts {
            assert_eq!(client, server, "{stream}: both count the same frames");
        }
        let _ended_before = pair.client.connection.finish(*stream);
        let _ended_before = pair.server.connection.finish(*stream);
    }
    everything(pair);
    for _ in 0..4 {
        pair.millis += 5000;
        pass(&mut pair.client, pair.millis);
        pass(&mut pair.server, pair.millis);
        everything(pair);
    }
    pair.millis += 30_000;
    pass(&mut pair.client, pair.millis);
    pass(&mut pair.server, pair.millis);
    everything(pair);
}

fn check<S: Storage>(end: &End<S>, own: &Diary, others: &Diary) {
    let log = &end.log;
    let connection = &end.connection;
    assert_eq!(connection.live_operations(), 0, "{log:?}");
    if let Some(agreement) = connection.agreement().filter(|_| connection.is_open()) {
        let binds = agreement.active.channel_binding();
        assert_eq!(agreement.channel_bound, binds, "{log:?}");
    }
    assert_eq!(connection.next_deadline(), None, "nothing is due: {log:?}");
    let closed = log
        .iter()
        .filter(|line| line.starts_with("closed "))
        .count();
    assert_eq!(closed, usize::from(connection.is_closed()), "{log:?}");
    if closed > 0 {
        assert!(
            log.last().is_some_and(|line| line.starts_with("closed ")),
            "{log:?}"
        );
        assert!(
            !log.iter().any(|line| line.starts_with("closed Violation")),
            "two good nodes found each other at fault: {log:?}"
        );
    }
    if connection.is_draining() {
        assert!(connection.is_closed(), "a drain comes to its end");
    }

    let mut told = by_stream(log);
    told.remove(&0);
    for stream in &own.invoked {
        let lines = told.remove(&stream.get()).unwrap_or_default();
        check_operation(&lines, stream.get(), true);
        check_payloads(&lines, others.sent.get(stream));
    }
    for (stream, lines) in told {
        if lines == [format!("{stream} no room")] {
            continue;
        }
        check_operation(&lines, stream, false);
        let stream = super::stream(stream);
        check_payloads(&lines, others.sent.get(&stream));
        let args = lines
            .iter()
            .find_map(|line| line.strip_prefix("args whole "));
        if let Some(args) = args {
            assert_eq!(args, hex(&others.args[&stream]), "{lines:?}");
        }
    }
}

fn check_operation(lines: &[String], stream: u64, initiated: bool) {
    let end = format!("{stream} ended ");
    let ends = lines.iter().filter(|line| line.starts_with(&end)).count();
    assert_eq!(ends, 1, "{stream} ends once: {lines:?}");
    assert!(
        lines.last().is_some_and(|line| line.starts_with(&end)),
        "{lines:?}"
    );
    let begins = ["invoked", "resumed"]
        .iter()
        .any(|how| lines[0].starts_with(&format!("{stream} {how} ")));
    assert_eq!(begins, !initiated, "{lines:?}");
    let finished = format!("{stream} input finished");
    let finishes = lines.iter().filter(|line| **line == finished).count();
    assert!(finishes <= usize::from(!initiated), "{lines:?}");
}

/// What arrived is what was sent, in order, up to where the operation ended.
fn check_payloads(lines: &[String], sent: Option<&Vec<Vec<u8>>>) {
    let received: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("stream whole "))
        .collect();
    let sent: Vec<String> = sent.into_iter().flatten().map(|bytes| hex(bytes)).collect();
    assert!(received.len() <= sent.len(), "{lines:?}");
    assert!(received.iter().eq(&sent[..received.len()]), "{lines:?}");
    // An answer that is complete is here as a whole.
    if lines
        .last()
        .is_some_and(|line| line.ends_with("ended Completed by Peer"))
    {
        assert_eq!(received.len(), sent.len(), "{lines:?}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
