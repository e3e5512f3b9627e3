//! The channel binding (`GAP-21`): whoever shows a HELLO also proves that its key sits at the other
//! end of this very connection.
#![cfg(feature = "ed25519")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use aire_proto::capability::CHANNEL_BINDING;
use aire_proto::connection::{CallError, CloseReason, Signatures};
use aire_proto::handshake::HandshakeError;
use aire_proto::identity::Signer;
use aire_proto::wire::{Capability, FrameType, SignatureBlock};
use aire_proto::{Config, ErrorCode, Role, StreamId};
use support::hello::{Block, HelloFrame, binding};
use support::lone::{Lone, PEER_SEED, closed, frame, frames, invoke};
use support::quick::{QuickSigner, QuickVerifier};
use support::{End, Pair, Small, UNIX_START, stream};

const EXPORTER: [u8; 32] = [0x5a; 32];
/// A [`Lone`]'s.
const OUR_SEED: [u8; 32] = [42; 32];
const BAD: ErrorCode = ErrorCode::BadSignature;

fn capability(required: bool) -> Capability<'static> {
    Capability {
        name: CHANNEL_BINDING,
        version: 0,
        required,
    }
}

fn config() -> Config {
    Config {
        signatures: Some(Signatures(&QuickVerifier)),
        ..Config::default()
    }
}

/// Makes this end bind itself to the session that exports `exporter`.
fn bind(end: &mut End<Small>, exporter: [u8; 32]) {
    end.capabilities.push(capability(false));
    end.exporter = Some(exporter);
}

/// Two ends of the same session, which both bind.
fn pair() -> Pair<Small, Small> {
    let mut pair = Pair::silent(config());
    bind(&mut pair.client, EXPORTER);
    bind(&mut pair.server, EXPORTER);
    pair
}

fn start<S: aire_proto::storage::Storage>(pair: &mut Pair<S, S>) {
    pair.client.start(pair.now());
    pair.server.start(pair.now());
    pair.pump();
}

/// One end that waits for the binding of a scripted peer.
fn waiting(role: Role) -> Lone<Small> {
    let mut lone = Lone::unstarted(role, config());
    bind(&mut lone.end, EXPORTER);
    lone.end.start(lone.now());
    lone.arrives(StreamId::CONTROL, &hello().encode());
    assert_eq!(lone.end.told(), ["hello", "binding awaited"]);
    assert!(!lone.end.connection.is_open());
    lone
}

fn hello() -> HelloFrame {
    let hello = HelloFrame::signed(PEER_SEED, [5; 16], UNIX_START);
    hello.with(|hello| hello.capabilities.push(capability(false)))
}

fn good_block() -> Block {
    Block::by(PEER_SEED, [6; 16], UNIX_START)
}

fn good_binding() -> Vec<u8> {
    binding(&EXPORTER, &good_block(), PEER_SEED)
}

fn is_bound(lone: &Lone<Small>) -> bool {
    lone.end.connection.is_open()
        && lone
            .end
            .connection
            .agreement()
            .is_some_and(|agreement| agreement.channel_bound)
}

/// Asserts that the peer was refused, as someone in between would be.
fn assert_refused(lone: &mut Lone<Small>, context: &str) {
    assert_eq!(lone.end.closed_with, Some(BAD.to_wire()), "{context}");
    assert_eq!(lone.errors(StreamId::CONTROL), [BAD.to_wire()], "{context}");
    let reason = CloseReason::Handshake(HandshakeError::ChannelNotBound);
    assert_eq!(lone.end.told(), [closed(reason)], "{context}");
    assert!(!is_bound(lone));
}

// ---- both, one, none ----

#[test]
fn two_nodes_that_know_it_are_both_bound() {
    for chunk in [usize::MAX, 1] {
        let mut pair = pair();
        pair.client.chunk = chunk;
        pair.server.chunk = chunk;
        start(&mut pair);
        for end in [&mut pair.client, &mut pair.server] {
            let expected = ["hello", "binding awaited", "channel bound"];
            assert_eq!(end.told(), expected);
            let agreement = end.connection.agreement().unwrap();
            assert!(agreement.channel_bound && agreement.active.channel_binding());
            assert!(end.connection.is_open());
        }
        pair.client.invoke("a", "b", b"");
        pair.pump();
        assert_eq!(pair.server.told(), ["4 invoked 4 a/b args 0"]);
    }
}

#[test]
fn where_one_does_not_know_it_the_connection_is_plain() {
    for (client, server) in [(true, false), (false, true), (false, false)] {
        let mut pair = Pair::<Small, Small>::silent(config());
        if client {
            bind(&mut pair.client, EXPORTER);
        }
        if server {
            bind(&mut pair.server, EXPORTER);
        }
        pair.shake_hands();
        for end in [&pair.client, &pair.server] {
            assert!(end.connection.is_open());
            assert!(!end.connection.agreement().unwrap().channel_bound);
            assert_eq!(end.connection.counters().skipped_frames, 0);
        }
    }
}

#[test]
fn whoever_requires_it_refuses_a_peer_that_lacks_it() {
    let mut pair = Pair::<Small, Small>::silent(config());
    pair.client.capabilities.push(capability(true));
    pair.client.exporter = Some(EXPORTER);
    start(&mut pair);
    let code = ErrorCode::MissingRequiredCapability;
    for end in [&pair.client, &pair.server] {
        assert!(end.connection.is_closed(), "{:?}", end.log);
    }
    assert!(pair.client.told().contains(&format!("refused {code}")));
    assert_eq!(pair.client.closed_with, Some(code.to_wire()));
}

#[test]
fn what_is_sent_is_the_block_alone_and_signs_the_exporters_value() {
    let lone = waiting(Role::Client);
    let sent = lone.frames(StreamId::CONTROL);
    let types: Vec<FrameType> = sent.iter().map(|(header, _)| header.frame_type).collect();
    assert_eq!(types, [FrameType::Hello, FrameType::Vendor(0x80)]);
    let (header, payload) = &sent[1];
    assert_eq!(header.op_id, 0);
    let (block, _) = SignatureBlock::decode(payload).unwrap();
    assert_eq!(block.method, lone.end.signer.method());
    let block = Block::by(OUR_SEED, *block.nonce, block.timestamp.0);
    let expected = block.behind(&[], FrameType::Vendor(0x80), &EXPORTER, OUR_SEED);
    assert_eq!(payload, &expected);
    let exporter_sent = payload.windows(32).any(|window| window == EXPORTER);
    assert!(!exporter_sent);
}

// ---- those in between ----

#[test]
fn a_hello_that_is_relayed_into_another_session_does_not_get_bound() {
    // Someone in between talks to each end in a session of its own, and carries all bytes over.
    let mut pair = pair();
    pair.server.exporter = Some([0xa5; 32]);
    start(&mut pair);
    let reason = CloseReason::Handshake(HandshakeError::ChannelNotBound);
    let refused = [&mut pair.client, &mut pair.server]
        .into_iter()
        .filter(|end| {
            assert!(end.connection.is_closed());
            assert!(!end.log.contains(&"channel bound".to_owned()));
            end.log.contains(&closed(reason))
        })
        .count();
    assert!(refused > 0, "one of them found out, and told the other");
}

#[test]
fn ones_own_binding_sent_back_is_refused() {
    for role in [Role::Client, Role::Server] {
        let mut lone = waiting(role);
        let sent = frames(&lone.end.pipes[&StreamId::CONTROL].bytes);
        let own = frame(0x80, 0, &sent[1].1);
        lone.arrives(StreamId::CONTROL, &own);
        assert_refused(&mut lone, "reflected");
    }
}

#[test]
fn a_binding_with_any_fault_is_refused() {
    type Change = fn(&mut Block);
    let faults: [(&str, Change); 6] = [
        ("algorithm", |block| block.algorithm = 2),
        ("identity", |block| {
            block.method = QuickSigner::from_seed([3; 32]).method().to_owned();
        }),
        ("old", |block| block.timestamp -= 300_001),
        ("early", |block| block.timestamp += 300_001),
        ("short", |block| block.signature_len = 63),
        ("unsigned", |block| block.signature_len = 0),
    ];
    for (fault, change) in faults {
        let mut block = good_block();
        change(&mut block);
        let mut lone = waiting(Role::Server);
        lone.arrives(StreamId::CONTROL, &binding(&EXPORTER, &block, PEER_SEED));
        assert_refused(&mut lone, fault);
    }
    let mut other = waiting(Role::Server);
    let by_other = Block::by([3; 32], [6; 16], UNIX_START);
    other.arrives(StreamId::CONTROL, &binding(&EXPORTER, &by_other, [3; 32]));
    assert_refused(&mut other, "another DID, signed well");
    let mut forged = waiting(Role::Server);
    forged.arrives(
        StreamId::CONTROL,
        &binding(&EXPORTER, &good_block(), [3; 32]),
    );
    assert_refused(&mut forged, "the peer's DID, another key");
    let mut hello_type = waiting(Role::Server);
    let block = good_block().behind(&[], FrameType::Hello, &EXPORTER, PEER_SEED);
    hello_type.arrives(StreamId::CONTROL, &frame(0x80, 0, &block));
    assert_refused(&mut hello_type, "signed as another type of frame");
    let mut empty = waiting(Role::Server);
    empty.arrives(StreamId::CONTROL, &frame(0x80, 0, b""));
    assert_refused(&mut empty, "empty");
}

#[test]
fn no_bit_of_a_binding_can_be_flipped() {
    let good = good_binding();
    let envelope = good.len() - frames(&good)[0].1.len();
    for bit in envelope * 8..good.len() * 8 {
        let mut spoiled = good.clone();
        spoiled[bit / 8] ^= 1 << (bit % 8);
        let mut lone = waiting(Role::Server);
        lone.arrives(StreamId::CONTROL, &spoiled);
        assert!(!is_bound(&lone), "bit {bit}");
        assert!(lone.end.connection.is_closed(), "bit {bit}");
        assert_eq!(lone.end.closed_with, Some(BAD.to_wire()), "bit {bit}");
    }
}

#[test]
fn a_binding_that_names_an_operation_is_none() {
    let payload = good_binding();
    let payload = &frames(&payload)[0].1;
    let mut lone = waiting(Role::Server);
    lone.arrives(StreamId::CONTROL, &frame(0x80, 4, payload));
    assert!(!is_bound(&lone));
}

// ---- pieces, order, time ----

#[test]
fn a_binding_cut_anywhere_is_good_when_it_is_whole_and_not_before() {
    let good = good_binding();
    for cut in 1..good.len() {
        let mut lone = waiting(Role::Client);
        lone.arrives(StreamId::CONTROL, &good[..cut]);
        assert!(!is_bound(&lone), "{cut}");
        assert_eq!(lone.end.told(), [""; 0]);
        lone.arrives(StreamId::CONTROL, &good[cut..]);
        assert!(is_bound(&lone), "{cut}");
        assert_eq!(lone.end.told(), ["channel bound"]);
    }
}

#[test]
fn it_may_come_right_behind_hello_and_later_bytes_may_follow_the_block() {
    for chunk in [usize::MAX, 1, 100] {
        let mut lone = Lone::<Small>::unstarted(Role::Server, config());
        bind(&mut lone.end, EXPORTER);
        lone.end.chunk = chunk;
        lone.end.start(lone.now());
        let block = good_block().behind(&[], FrameType::Vendor(0x80), &EXPORTER, PEER_SEED);
        let longer = frame(0x80, 0, &[&block[..], b"of a later version"].concat());
        let bytes = [hello().encode(), longer].concat();
        lone.arrives(StreamId::CONTROL, &bytes);
        let told = ["hello", "binding awaited", "channel bound"];
        assert_eq!(lone.end.told(), told);
        assert!(is_bound(&lone));
    }
}

#[test]
fn a_half_binding_at_the_end_of_the_control_stream_is_a_violation() {
    let good = good_binding();
    let mut lone = waiting(Role::Server);
    lone.ends(StreamId::CONTROL, &good[..good.len() - 1]);
    assert_eq!(
        lone.end.closed_with,
        Some(ErrorCode::MalformedFrame.to_wire())
    );
}

#[test]
fn operations_of_either_side_wait_until_it_is_bound() {
    let mut lone = waiting(Role::Server);
    let refused = Err(CallError::NotOpen);
    assert_eq!(lone.end.connection.invoke("a", "b", 0), refused);
    assert_eq!(lone.end.connection.may_open(), Err(CallError::NotOpen));
    lone.ends(stream(4), &invoke(4));
    lone.arrives(stream(8), &invoke(8)[..3]);
    assert_eq!(lone.end.told(), [""; 0], "not read yet");
    assert_eq!(lone.end.connection.live_operations(), 0);
    lone.arrives(StreamId::CONTROL, &good_binding());
    assert_eq!(
        lone.end.told(),
        [
            "channel bound",
            "4 invoked 4 echo/say args 0",
            "4 input finished"
        ]
    );
    lone.arrives(stream(8), &invoke(8)[3..]);
    assert_eq!(lone.end.told(), ["8 invoked 8 echo/say args 0"]);
    assert!(lone.end.connection.invoke("a", "b", 0).is_ok());
}

#[test]
fn what_never_comes_is_not_waited_for_past_the_handshakes_time() {
    let mut lone = waiting(Role::Server);
    lone.arrives(StreamId::CONTROL, &good_binding()[..50]);
    lone.wait(9_999);
    assert!(!lone.end.connection.is_closed());
    lone.wait(1);
    let told = lone.end.told();
    assert_eq!(told, [closed(CloseReason::HandshakeTimeout)]);
    assert_eq!(lone.end.closed_with, Some(ErrorCode::Refused.to_wire()));
}

#[test]
fn without_the_sessions_value_a_peer_that_knows_it_is_refused() {
    let mut lone = Lone::<Small>::unstarted(Role::Server, config());
    lone.end.capabilities.push(capability(false));
    lone.end.start(lone.now());
    lone.arrives(StreamId::CONTROL, &hello().encode());
    let told = lone.end.told();
    assert_eq!(told[..2], ["hello".to_owned(), format!("refused {BAD}")]);
    assert_eq!(lone.end.closed_with, Some(BAD.to_wire()));
}

#[test]
fn without_a_verifier_nothing_gets_bound() {
    let unable = Config {
        signatures: None,
        ..Config::default()
    };
    let mut lone = Lone::<Small>::unstarted(Role::Server, unable);
    bind(&mut lone.end, EXPORTER);
    lone.end.start(lone.now());
    lone.arrives(StreamId::CONTROL, &hello().encode());
    lone.end.told();
    lone.arrives(StreamId::CONTROL, &good_binding());
    assert_refused(&mut lone, "no verifier");
}

#[test]
fn a_hello_that_is_judged_before_ours_is_said_is_bound_behind_ours() {
    for binding_first in [false, true] {
        bound_before_it_started(binding_first);
    }
}

fn bound_before_it_started(binding_first: bool) {
    let mut lone = Lone::<Small>::unstarted(Role::Server, config());
    bind(&mut lone.end, EXPORTER);
    lone.end.connection.bind_channel(&EXPORTER, &[1; 16]);
    lone.arrives(StreamId::CONTROL, &hello().encode());
    assert_eq!(lone.end.told(), ["hello", "binding awaited"]);
    assert_eq!(lone.frames(StreamId::CONTROL), [], "HELLO is first");
    if binding_first {
        lone.arrives(StreamId::CONTROL, &good_binding());
        assert!(is_bound(&lone));
    }
    lone.end.start(lone.now());
    lone.settle(lone.now());
    let sent = lone.frames(StreamId::CONTROL);
    let types: Vec<FrameType> = sent.iter().map(|(header, _)| header.frame_type).collect();
    assert_eq!(types, [FrameType::Hello, FrameType::Vendor(0x80)]);
    if !binding_first {
        lone.arrives(StreamId::CONTROL, &good_binding());
    }
    assert!(is_bound(&lone));
}

// ---- more of them ----

#[test]
fn further_bindings_are_skipped_good_or_not() {
    let mut lone = waiting(Role::Server);
    lone.arrives(StreamId::CONTROL, &good_binding().repeat(2));
    lone.arrives(StreamId::CONTROL, &frame(0x80, 0, b"nonsense"));
    assert_eq!(lone.end.told(), ["channel bound"]);
    assert!(is_bound(&lone));
    assert_eq!(lone.end.connection.counters().skipped_frames, 2);
}

#[test]
fn without_the_capability_the_frame_is_skipped_and_counted() {
    let mut lone = Lone::<Small>::connected(Role::Server, config());
    lone.arrives(StreamId::CONTROL, &good_binding());
    assert_eq!(lone.end.told(), [""; 0]);
    assert!(lone.end.connection.is_open() && !is_bound(&lone));
    assert_eq!(lone.end.connection.counters().skipped_frames, 1);
}

#[test]
fn other_vendor_frames_before_it_are_skipped() {
    let mut lone = waiting(Role::Server);
    lone.arrives(StreamId::CONTROL, &frame(0x81, 0, &[7; 2_000]));
    lone.arrives(StreamId::CONTROL, &good_binding());
    assert!(is_bound(&lone));
    assert_eq!(lone.end.connection.counters().skipped_frames, 1);
}

#[test]
fn a_peer_that_says_it_cannot_go_on_is_believed_while_its_binding_is_awaited() {
    let mut lone = waiting(Role::Client);
    lone.arrives(StreamId::CONTROL, &frame(0x08, 0, &[0x05, 0]));
    let told = lone.end.told();
    assert_eq!(told, [closed(CloseReason::Peer(BAD))]);
}
