//! RESUME from peers that say whatever a test wants, frame by frame (`RES-1` to `RES-10`).

mod support;

use std::thread;
use std::time::Duration;

use aire_mio::{ErrorCode, Resumable};
use aire_proto::varint;
use aire_proto::wire::Resume;
use support::raw::{self, Frame, Raw, STREAM, encode, frame, head, hello_with, invoke, number};
use support::stage::{Gate, Stage, counting, short_lived};

const BOTH: [&str; 2] = ["aire.did-method.key/1", "aire.resumable/1"];

fn connected(stage: &Stage, seed: [u8; 32]) -> Raw {
    Raw::greet_with(stage.node.address(), &hello_with(seed, &BOTH))
}

fn resume(op: u64, token: &[u8], last_recv: u64) -> Vec<u8> {
    encode(op, &Resume { token, last_recv })
}

/// TTL, token and last sequence number of a RESUMABLE.
fn resumable(frame: &Frame) -> Option<(u64, Vec<u8>, u64)> {
    if frame.frame_type != raw::RESUMABLE {
        return None;
    }
    let told = aire_proto::wire::Resumable::decode(&frame.payload).expect("well formed");
    Some((told.ttl_secs, told.token.to_vec(), told.last_seq))
}

fn token(raw: &mut Raw, stream: u64) -> Vec<u8> {
    let mut found = None;
    raw.until("RESUMABLE", |raw| {
        found = raw.frames(stream).iter().rev().find_map(resumable);
        found.is_some()
    });
    found.expect("one came").1
}

fn payloads(raw: &Raw, stream: u64) -> Vec<String> {
    let frames = raw.frames(stream);
    let streams = frames.into_iter().filter(|it| it.frame_type == STREAM);
    streams
        .map(|it| String::from_utf8(it.payload).expect("text"))
        .collect()
}

/// The operation of 10 frames is over; its token.
fn ended(raw: &mut Raw, stage_gate: &Gate) -> Vec<u8> {
    stage_gate.open(10);
    raw.say(4, &invoke(4, "it", b"10"), true);
    raw.until("it is over", |raw| raw.finished(4));
    token(raw, 4)
}

fn refused(raw: &mut Raw, stream: u64, frame: &[u8]) -> ErrorCode {
    raw.say(stream, frame, true);
    raw.until("it is refused", |raw| raw.finished(stream));
    let errors = raw.errors(stream);
    assert_eq!(errors.len(), 1, "and nothing else");
    assert!(raw.quic.peer_error().is_none(), "the stream only");
    *errors.first().expect("one")
}

#[test]
fn resumable_says_how_long_with_a_long_token_and_comes_before_the_answer() {
    let gate = Gate::default();
    let stage = Stage::new(Resumable::default(), counting(&gate));
    let mut raw = connected(&stage, [1; 32]);
    ended(&mut raw, &gate);
    let frames = raw.frames(4);
    let (ttl, token, last) = frames.first().and_then(resumable).expect("it comes first");
    assert_eq!((ttl, token.len(), last), (300, 32, 0));
    let mut other = connected(&stage, [1; 32]);
    assert_ne!(ended(&mut other, &gate), token);
}

#[test]
fn a_replay_begins_after_the_last_frame_received_and_a_fresh_token_comes_first() {
    let gate = Gate::default();
    let stage = Stage::new(Resumable::default(), counting(&gate));
    let mut raw = connected(&stage, [1; 32]);
    let first = ended(&mut raw, &gate);
    raw.say(8, &resume(8, &first, 7), true);
    raw.until("it is over", |raw| raw.finished(8));
    let frames = raw.frames(8);
    let (_, second, last) = frames.first().and_then(resumable).expect("it comes first");
    assert_eq!(last, 7);
    assert_ne!(first, second);
    assert_eq!(payloads(&raw, 8), ["8", "9", "10"]);
    // All of it again, on another connection; then nothing but the end.
    let mut other = connected(&stage, [1; 32]);
    other.say(4, &resume(4, &second, 0), true);
    other.until("it is over", |raw| raw.finished(4));
    assert_eq!(payloads(&other, 4).len(), 10);
    let third = token(&mut other, 4);
    other.say(8, &resume(8, &third, 10), true);
    other.until("it is over", |raw| raw.finished(8));
    assert_eq!(payloads(&other, 8).len(), 0);
    assert_eq!(stage.node.metrics().resumed, 3);
}

#[test]
fn a_token_is_good_once_for_its_owner_and_for_frames_that_were_sent() {
    let gate = Gate::default();
    let stage = Stage::new(Resumable::default(), counting(&gate));
    let mut raw = connected(&stage, [1; 32]);
    let token = ended(&mut raw, &gate);
    let mut thief = connected(&stage, [2; 32]);
    let stolen = refused(&mut thief, 4, &resume(4, &token, 0));
    assert_eq!(stolen, ErrorCode::ResumeInvalid);
    let early = refused(&mut raw, 8, &resume(8, &token, 11));
    assert_eq!(early, ErrorCode::ResumeInvalid);
    // Neither has spent it.
    raw.say(12, &resume(12, &token, 9), true);
    raw.until("it is over", |raw| raw.finished(12));
    assert_eq!(payloads(&raw, 12), ["10"]);
    let twice = refused(&mut raw, 16, &resume(16, &token, 9));
    assert_eq!(twice, ErrorCode::ResumeInvalid);
    let metrics = stage.node.metrics();
    assert_eq!((metrics.resumed, metrics.resumes_refused), (1, 3));
    // The connection is as good as ever.
    gate.open(1);
    let answer = raw.ask(20, "it", b"1");
    assert!(answer.iter().any(|frame| frame.payload == b"1"));
}

#[test]
fn with_the_option_anybody_may_resume_who_has_the_token() {
    let gate = Gate::default();
    let stage = Stage::with(Resumable::default(), counting(&gate), |node| {
        node.resume_by_anyone()
    });
    let mut raw = connected(&stage, [1; 32]);
    let token = ended(&mut raw, &gate);
    let mut friend = connected(&stage, [2; 32]);
    friend.say(4, &resume(4, &token, 8), true);
    friend.until("it is over", |raw| raw.finished(4));
    assert_eq!(payloads(&friend, 4), ["9", "10"]);
}

#[test]
fn what_cannot_be_a_token_is_invalid_and_what_no_frame_holds_too_large() {
    let gate = Gate::default();
    let stage = Stage::new(Resumable::default(), counting(&gate));
    let mut raw = connected(&stage, [1; 32]);
    for (stream, len) in [(4, 0), (8, 1), (12, 31), (16, 33), (20, 10_000)] {
        let code = refused(&mut raw, stream, &resume(stream, &vec![7; len], 0));
        assert_eq!(code, ErrorCode::ResumeInvalid, "{len} bytes");
    }
    let last = refused(&mut raw, 24, &resume(24, &[7; 32], varint::MAX));
    assert_eq!(last, ErrorCode::ResumeInvalid);
    // The node knows from its head that it takes no such frame, and does not wait for the rest.
    let begun = [number(100_000), vec![7; 1000]].concat();
    let head = head(raw::RESUME, 28, 100_005);
    raw.say(28, &[head, begun].concat(), false);
    raw.until("it is refused", |raw| !raw.errors(28).is_empty());
    assert_eq!(raw.errors(28), [ErrorCode::FrameTooLarge]);
    let cut = [number(32), vec![7; 10]].concat();
    raw.say(32, &frame(raw::RESUME, 32, &cut), true);
    raw.until("it is refused", |raw| !raw.errors(32).is_empty());
    assert_eq!(raw.errors(32), [ErrorCode::MalformedFrame]);
    assert!(raw.quic.peer_error().is_none());
}

#[test]
fn after_its_time_a_token_is_expired() {
    let gate = Gate::default();
    let stage = Stage::new(short_lived(), counting(&gate));
    let mut raw = connected(&stage, [1; 32]);
    let token = ended(&mut raw, &gate);
    thread::sleep(Duration::from_millis(1100));
    // The old connection has been idle for too long.
    let mut raw = connected(&stage, [1; 32]);
    let code = refused(&mut raw, 8, &resume(8, &token, 9));
    assert_eq!(code, ErrorCode::ResumeExpired);
}

#[test]
fn below_the_window_frames_are_unavailable_and_at_its_edge_they_are_there() {
    let gate = Gate::default();
    let how = Resumable::default().window(1000, 4);
    let stage = Stage::new(how, counting(&gate));
    let mut raw = connected(&stage, [1; 32]);
    let token = ended(&mut raw, &gate);
    let code = refused(&mut raw, 8, &resume(8, &token, 5));
    assert_eq!(code, ErrorCode::ResumeUnavailable);
    raw.say(12, &resume(12, &token, 6), true);
    raw.until("it is over", |raw| raw.finished(12));
    assert_eq!(payloads(&raw, 12), ["7", "8", "9", "10"]);
}

#[test]
fn who_resumes_a_live_operation_takes_it_over_from_its_own_stream() {
    let gate = Gate::default();
    let stage = Stage::new(Resumable::default(), counting(&gate));
    let mut raw = connected(&stage, [1; 32]);
    gate.open(2);
    raw.say(4, &invoke(4, "it", b"6"), true);
    raw.until("two are here", |raw| payloads(raw, 4).len() == 2);
    let first = token(&mut raw, 4);
    // The node does not know yet that this peer means another connection.
    let mut other = connected(&stage, [1; 32]);
    other.say(4, &resume(4, &first, 1), true);
    other.until("one is here again", |raw| payloads(raw, 4).len() == 1);
    raw.until("the old stream is reset", |raw| {
        raw.came.get(&4).is_some_and(|came| came.reset.is_some())
    });
    let second = token(&mut other, 4);
    gate.open(1);
    other.until("the third", |raw| payloads(raw, 4).len() == 2);
    // And once more, from a pump to another one.
    other.say(8, &resume(8, &second, 3), true);
    other.until("the old stream is reset", |raw| {
        raw.came.get(&4).is_some_and(|came| came.reset.is_some())
    });
    gate.open(3);
    other.until("it is over", |raw| raw.finished(8));
    assert_eq!(payloads(&other, 8), ["4", "5", "6"]);
    assert_eq!(payloads(&raw, 4), ["1", "2"]);
}

#[test]
fn resume_from_a_peer_without_the_capability_is_a_violation() {
    let gate = Gate::default();
    let stage = Stage::new(Resumable::default(), counting(&gate));
    let mut raw = Raw::greet(stage.node.address());
    gate.open(1);
    // It is not told how to resume either.
    let answer = raw.ask(4, "it", b"1");
    assert!(answer.iter().all(|frame| frame.frame_type == STREAM));
    raw.say(8, &resume(8, &[7; 32], 0), true);
    raw.is_told(ErrorCode::ProtocolViolation);
}

#[test]
fn a_node_without_resumable_agents_does_not_offer_it() {
    let certificate = support::certificate();
    let node = support::builder(&certificate)
        .listen(support::any_port())
        .expect("a port");
    let mut raw = Raw::greet_with(node.address(), &hello_with([1; 32], &BOTH));
    raw.say(4, &resume(4, &[7; 32], 0), true);
    raw.is_told(ErrorCode::ProtocolViolation);
}

#[test]
fn past_the_workers_resume_is_refused_and_the_token_not_spent() {
    let gate = Gate::default();
    let stage = Stage::with(Resumable::default(), counting(&gate), |node| {
        node.max_workers(1)
    });
    let mut raw = connected(&stage, [1; 32]);
    gate.open(1);
    raw.say(4, &invoke(4, "it", b"2"), true);
    raw.until("one is here", |raw| payloads(raw, 4).len() == 1);
    let token = token(&mut raw, 4);
    let code = refused(&mut raw, 8, &resume(8, &token, 1));
    assert_eq!(code, ErrorCode::Refused);
    gate.open(1);
    raw.until("it is over", |raw| raw.finished(4));
    assert_eq!(payloads(&raw, 4), ["1", "2"]);
    support::eventually("the worker is free", || {
        let mut asked = connected(&stage, [1; 32]);
        asked.say(4, &resume(4, &token, 1), true);
        asked.until("it is over", |raw| raw.finished(4));
        payloads(&asked, 4) == ["2"]
    });
}
