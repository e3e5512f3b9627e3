//! A peer's HELLO, judged: who is admitted, who is not, and what each is told.
#![cfg(feature = "ed25519")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use std::time::Duration;

use aire_proto::connection::{Authenticated, CloseReason};
use aire_proto::handshake::{HandshakeError, Local, Verifier};
use aire_proto::identity::{
    DidKeyResolver, Ed25519Signer, Ed25519Verifier, KeyResolver, PublicKey, ReplayRefused,
    Resolution, Signer,
};
use aire_proto::wire::{Capability, Goodbye};
use aire_proto::{Config, ErrorCode, Role, StreamId};
use support::hello::HelloFrame;
use support::lone::{Lone, PEER_SEED, closed, encoded, invoke};
use support::{Small, UNIX_START, stream};

const CONTROL: StreamId = StreamId::CONTROL;
const OTHER_SEED: [u8; 32] = [78; 32];

fn good() -> HelloFrame {
    HelloFrame::signed(PEER_SEED, [5; 16], UNIX_START)
}

fn capability(name: &'static str, version: u64, required: bool) -> Capability<'static> {
    Capability {
        name,
        version,
        required,
    }
}

fn server() -> Lone<Small> {
    Lone::started(Role::Server, Config::default())
}

/// A server whose replay guard is the one of `earlier`.
fn sharing_the_guard_of(earlier: &mut Lone<Small>) -> Lone<Small> {
    let mut later = server();
    later.millis = earlier.millis;
    std::mem::swap(&mut later.end.replay, &mut earlier.end.replay);
    later
}

/// What a server tells the sender of `hello`: the code, or `None` when it is admitted.
fn judged(mut server: Lone<Small>, hello: &HelloFrame) -> (Option<ErrorCode>, Lone<Small>) {
    server.arrives(CONTROL, &hello.encode());
    let code = server.end.closed_with.map(ErrorCode::from_wire);
    assert_eq!(code.is_none(), server.end.connection.is_open());
    if let Some(code) = code {
        server.assert_closed(code.to_wire(), "a refused HELLO");
    }
    (code, server)
}

fn verdict(hello: &HelloFrame) -> Option<ErrorCode> {
    judged(server(), hello).0
}

#[test]
fn of_several_faults_the_first_in_the_order_of_checks_is_told() {
    let other = Ed25519Signer::from_seed(OTHER_SEED);
    // From the last check to the first: each fault joins those behind it.
    type Fault = Box<dyn Fn(HelloFrame) -> HelloFrame>;
    let other_method = other.method().to_owned();
    let faults: [(ErrorCode, Fault); 10] = [
        (
            ErrorCode::MissingRequiredCapability,
            Box::new(|hello| {
                hello.with(|hello| hello.capabilities.push(capability("b.test/1", 1, true)))
            }),
        ),
        (
            ErrorCode::ReplayedNonce,
            Box::new(|hello| hello.with_block(|block| block.nonce = [6; 16])),
        ),
        (
            ErrorCode::BadSignature,
            Box::new(|hello| hello.with_block(|block| block.spoiled = Some(40))),
        ),
        (
            ErrorCode::UnresolvableDid,
            Box::new(|hello| hello.with_block(|block| block.method.push('x'))),
        ),
        (
            ErrorCode::StaleTimestamp,
            Box::new(|hello| hello.with_block(|block| block.timestamp -= 300_001)),
        ),
        (
            ErrorCode::BadSignature,
            Box::new(|hello| hello.with_block(|block| block.algorithm = 2)),
        ),
        (
            ErrorCode::KeyMismatch,
            Box::new(move |hello| hello.with_block(|block| block.method.clone_from(&other_method))),
        ),
        (
            ErrorCode::MalformedFrame,
            Box::new(|hello| hello.with(|hello| hello.node_id = "node-1".to_owned())),
        ),
        (
            ErrorCode::IncompatibleVersion,
            Box::new(|hello| hello.with(|hello| hello.major = 1)),
        ),
        (
            ErrorCode::MalformedFrame,
            Box::new(|hello| hello.with(|hello| hello.capabilities.push(hello.capabilities[0]))),
        ),
    ];
    let mut hello = good();
    for (expected, add) in faults {
        hello = add(hello);
        // Somebody was admitted with the nonce that the second fault repeats.
        let seen = good().with_block(|block| block.nonce = [6; 16]);
        let (admitted, mut earlier) = judged(server(), &seen);
        assert_eq!(admitted, None);
        let (code, _) = judged(sharing_the_guard_of(&mut earlier), &hello);
        assert_eq!(code, Some(expected));
    }
}

#[test]
fn the_did_is_looked_at_before_the_block_and_the_block_before_the_capabilities() {
    let no_block = |node_id: &str| {
        HelloFrame::unsigned(4, node_id)
            .with(|hello| hello.capabilities.push(capability("b.test/1", 1, true)))
    };
    let did = good().node_id;
    assert_eq!(
        verdict(&no_block("node-1")),
        Some(ErrorCode::MalformedFrame)
    );
    assert_eq!(verdict(&no_block(&did)), Some(ErrorCode::BadSignature));
    let other_major = no_block("node-1").with(|hello| hello.major = 7);
    assert_eq!(verdict(&other_major), Some(ErrorCode::IncompatibleVersion));
}

#[test]
fn the_same_hello_is_admitted_once_by_all_connections_of_a_node() {
    let hello = good();
    let (code, mut first) = judged(server(), &hello);
    assert_eq!(code, None);
    let (code, mut second) = judged(sharing_the_guard_of(&mut first), &hello);
    assert_eq!(code, Some(ErrorCode::ReplayedNonce));
    // Neither a later clock nor a newer timestamp makes a nonce new.
    second.millis = 200_000;
    let newer = good().with_block(|block| block.timestamp += 200_000);
    let (code, mut third) = judged(sharing_the_guard_of(&mut second), &newer);
    assert_eq!(code, Some(ErrorCode::ReplayedNonce));
    // Another nonce, or another identity's, is new.
    let fresh = good().with_block(|block| block.nonce = [7; 16]);
    let (code, mut fourth) = judged(sharing_the_guard_of(&mut third), &fresh);
    assert_eq!(code, None);
    let other = HelloFrame::signed(OTHER_SEED, [5; 16], UNIX_START);
    let (code, _) = judged(sharing_the_guard_of(&mut fourth), &other);
    assert_eq!(code, None);
}

#[test]
fn a_hello_dated_ahead_is_a_replay_for_as_long_as_it_is_fresh() {
    let ahead = good().with_block(|block| block.timestamp += 300_000);
    let (code, mut earlier) = judged(server(), &ahead);
    assert_eq!(code, None);
    for millis in [0, 300_000, 600_000] {
        earlier.millis = millis;
        let (code, later) = judged(sharing_the_guard_of(&mut earlier), &ahead);
        assert_eq!(code, Some(ErrorCode::ReplayedNonce), "after {millis} ms");
        earlier = later;
    }
    earlier.millis = 600_001;
    let (code, _) = judged(sharing_the_guard_of(&mut earlier), &ahead);
    assert_eq!(code, Some(ErrorCode::StaleTimestamp));
}

#[test]
fn a_nonce_is_remembered_only_when_its_signature_was_good() {
    let forged = good().with_block(|block| block.spoiled = Some(0));
    let mut earlier = server();
    for _ in 0..20 {
        let (code, later) = judged(sharing_the_guard_of(&mut earlier), &forged);
        assert_eq!(code, Some(ErrorCode::BadSignature));
        earlier = later;
    }
    let (code, mut earlier) = judged(sharing_the_guard_of(&mut earlier), &good());
    assert_eq!(code, None, "a forger used nothing up");
    // A good signature whose capabilities are not good enough was used all the same.
    let required = good()
        .with_block(|block| block.nonce = [8; 16])
        .with(|hello| hello.capabilities[0] = capability("b.test/1", 1, true));
    for expected in [
        ErrorCode::MissingRequiredCapability,
        ErrorCode::ReplayedNonce,
    ] {
        let (code, later) = judged(sharing_the_guard_of(&mut earlier), &required);
        assert_eq!(code, Some(expected));
        earlier = later;
    }
}

#[test]
fn a_full_guard_refuses_new_hellos_with_replayed_nonce_until_the_old_ones_expire() {
    // The test node's guard takes 16 nonces of one identity, 64 in all.
    let mut node = server();
    for nonce in 0..16 {
        let hello = good().with_block(|block| block.nonce = [nonce; 16]);
        let (code, later) = judged(sharing_the_guard_of(&mut node), &hello);
        assert_eq!(code, None);
        node = later;
    }
    let one_more = good().with_block(|block| block.nonce = [99; 16]);
    let (code, node) = judged(sharing_the_guard_of(&mut node), &one_more);
    assert_eq!(code, Some(ErrorCode::ReplayedNonce));
    let refused = HandshakeError::Replayed(ReplayRefused::IdentityFull);
    assert_eq!(
        node.end.log.last().unwrap(),
        &closed(CloseReason::Handshake(refused))
    );

    let mut node = node;
    for seed in 1..4 {
        for nonce in 0..16 {
            let hello = HelloFrame::signed([seed; 32], [nonce; 16], UNIX_START);
            let (code, later) = judged(sharing_the_guard_of(&mut node), &hello);
            assert_eq!(code, None, "another identity's {nonce}");
            node = later;
        }
    }
    let stranger = HelloFrame::signed([9; 32], [1; 16], UNIX_START);
    let (code, mut node) = judged(sharing_the_guard_of(&mut node), &stranger);
    assert_eq!(code, Some(ErrorCode::ReplayedNonce), "the guard is full");

    node.millis = 600_001;
    let later = HelloFrame::signed([9; 32], [1; 16], UNIX_START + 600_001);
    let (code, _) = judged(sharing_the_guard_of(&mut node), &later);
    assert_eq!(code, None);
}

// ---- keys that have to be fetched ----

const WEB_METHOD: &str = "did:web:example.com:agents#key-1";

/// Fetches what is not a `did:key`.
struct Fetching;

impl KeyResolver for Fetching {
    fn resolve(&self, method: &str) -> Resolution {
        match DidKeyResolver.resolve(method) {
            Resolution::Failed => Resolution::Fetch,
            found => found,
        }
    }
}

fn web_hello() -> HelloFrame {
    good()
        .with(|hello| hello.node_id = "did:web:example.com:agents".to_owned())
        .with_block(|block| block.method = WEB_METHOD.to_owned())
}

/// A server that waits for the key of [`WEB_METHOD`].
fn awaiting() -> Lone<Small> {
    let mut lone = server();
    lone.end.resolver = Box::new(Fetching);
    lone.arrives(CONTROL, &web_hello().encode());
    assert_eq!(
        lone.end.told(),
        ["hello", &format!("key awaited {WEB_METHOD}")]
    );
    assert_eq!(lone.end.connection.awaited_key(), Some(WEB_METHOD));
    lone
}

fn key_fetched(
    lone: &mut Lone<Small>,
    key: Option<PublicKey>,
) -> Result<Authenticated, HandshakeError> {
    let now = lone.now();
    let end = &mut lone.end;
    let local = Local {
        signer: &end.signer,
        capabilities: &end.capabilities,
    };
    let mut verifier = Verifier {
        keys: &*end.resolver,
        signatures: &Ed25519Verifier,
        replay: &mut end.replay,
    };
    let result = end.connection.key_fetched(key, &local, &mut verifier, now);
    lone.settle(now);
    result
}

#[test]
fn a_key_is_fetched_and_the_handshake_goes_on_where_it_stood() {
    let mut lone = awaiting();
    // Whatever comes in the meantime waits, on every stream.
    lone.arrives(CONTROL, &encoded(0, &Goodbye));
    lone.arrives(stream(4), &invoke(4));
    assert_eq!(lone.end.told(), [""; 0]);
    assert!(!lone.end.connection.is_open());
    assert_eq!(lone.end.connection.peer(), None);

    let key = Ed25519Signer::from_seed(PEER_SEED).public_key();
    assert_eq!(
        key_fetched(&mut lone, Some(key)),
        Ok(Authenticated::Connected)
    );
    assert_eq!(lone.end.connection.awaited_key(), None);
    assert_eq!(
        lone.end.connection.peer(),
        Some("did:web:example.com:agents")
    );
    assert_eq!(lone.end.connection.agreement().unwrap().peer_key, Some(key));
    assert_eq!(lone.end.told()[0], "goodbye");
    // A second answer changes nothing.
    assert_eq!(key_fetched(&mut lone, None), Ok(Authenticated::Connected));
}

#[test]
fn a_key_that_cannot_be_fetched_is_unresolvable_and_a_wrong_one_verifies_nothing() {
    let mut lone = awaiting();
    assert_eq!(
        key_fetched(&mut lone, None),
        Err(HandshakeError::UnresolvableDid)
    );
    lone.assert_closed(ErrorCode::UnresolvableDid.to_wire(), "no key");
    assert_eq!(lone.end.connection.awaited_key(), None);

    let mut lone = awaiting();
    let wrong = Ed25519Signer::from_seed(OTHER_SEED).public_key();
    assert_eq!(
        key_fetched(&mut lone, Some(wrong)),
        Err(HandshakeError::BadSignature)
    );
    lone.assert_closed(ErrorCode::BadSignature.to_wire(), "another key");
}

#[test]
fn a_key_that_comes_after_the_handshake_timeout_comes_too_late() {
    let mut lone = awaiting();
    lone.wait(9_999);
    assert!(!lone.end.connection.is_closed());
    lone.wait(1);
    lone.assert_closed(ErrorCode::Refused.to_wire(), "the timeout");
    let key = Ed25519Signer::from_seed(PEER_SEED).public_key();
    assert!(key_fetched(&mut lone, Some(key)).is_err());
    assert!(!lone.end.connection.is_open());
    assert_eq!(lone.end.closed_with, Some(ErrorCode::Refused.to_wire()));
}

// ---- unsigned peers, windows, versions ----

#[test]
fn unsigned_peers_are_refused_unless_the_dangerous_option_admits_them() {
    for minor in [0, 1] {
        let hello = HelloFrame::unsigned(minor, "node-1");
        assert_eq!(verdict(&hello), Some(ErrorCode::BadSignature));

        let config = Config {
            danger_accept_unsigned_peers: true,
            ..Config::default()
        };
        let mut lone = Lone::<Small>::started(Role::Server, config);
        lone.arrives(CONTROL, &hello.encode());
        assert_eq!(lone.end.told(), ["hello", "connected"]);
        let agreement = lone.end.connection.agreement().unwrap();
        assert_eq!((agreement.minor, agreement.peer_key), (minor, None));
        assert_eq!(
            lone.end.connection.peer(),
            Some("node-1"),
            "claimed, not proven"
        );

        // From minor 2 on there is no such thing as an unsigned peer.
        let mut lone = Lone::<Small>::started(Role::Server, config);
        let unsigned = HelloFrame::unsigned(2, &good().node_id);
        lone.arrives(CONTROL, &unsigned.encode());
        lone.assert_closed(ErrorCode::BadSignature.to_wire(), "minor 2 without a block");
    }
}

#[test]
fn timestamps_may_be_off_by_the_window_and_no_millisecond_more() {
    let admits = |window: u64, offset: i64| {
        let config = Config {
            timestamp_window: Duration::from_secs(window),
            ..Config::default()
        };
        let mut lone = Lone::<Small>::started(Role::Server, config);
        let hello = good().with_block(|block| block.timestamp += offset);
        lone.arrives(CONTROL, &hello.encode());
        match lone.end.closed_with {
            None => lone.end.connection.is_open(),
            Some(code) => {
                assert_eq!(code, ErrorCode::StaleTimestamp.to_wire());
                false
            }
        }
    };
    // A window may be shortened, never widened.
    for (configured, window) in [(300, 300_000), (30, 30_000), (0, 0), (3600, 300_000)] {
        for sign in [1, -1] {
            assert!(admits(configured, sign * window), "{configured} s");
            assert!(!admits(configured, sign * (window + 1)), "{configured} s");
        }
    }
    assert!(!admits(300, i64::MAX - UNIX_START));
    assert!(!admits(300, -UNIX_START));
}

#[test]
fn the_lower_minor_rules_and_another_major_is_incompatible() {
    for (minor, agreed) in [(2, 2), (3, 3), (4, 4), (5, 4), (1 << 40, 4)] {
        let (code, lone) = judged(server(), &good().with(|hello| hello.minor = minor));
        assert_eq!(code, None);
        assert_eq!(lone.end.connection.agreement().unwrap().minor, agreed);
    }
    let other_major = good().with(|hello| hello.major = 1);
    assert_eq!(verdict(&other_major), Some(ErrorCode::IncompatibleVersion));
}

#[test]
fn a_peer_that_the_local_policy_refuses_is_told_so_and_nothing_of_it_is_read() {
    let mut lone = Lone::<Small>::connected(Role::Server, Config::default());
    lone.end.connection.refuse_peer();
    lone.arrives(stream(4), &invoke(4));
    lone.assert_closed(ErrorCode::Refused.to_wire(), "the policy");
    let reason = CloseReason::Handshake(HandshakeError::Refused);
    assert_eq!(lone.end.told(), [closed(reason)]);
}
