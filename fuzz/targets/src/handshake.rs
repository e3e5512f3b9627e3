//! A peer's HELLO in front of a connection.

use aire_proto::identity::{
    DidKeyResolver, Ed25519Verifier, KeyResolver, Resolution, SignatureVerifier, SignedMessage,
};
use aire_proto::wire::{Capability, FrameType, Hello, domain_separator};
use aire_proto::{Config, ErrorCode, Role, StreamId};

use crate::support::UNIX_START;
use crate::support::hello::HelloFrame;
use crate::support::lone::{Lone, PEER_SEED, frame};
use crate::support::script::{Choices, Roomy};

/// A HELLO, raw or signed anew, is admitted exactly when everything about it is good.
pub fn hello(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    if mode & 1 == 0 {
        present(rest, mode & 2 != 0);
    } else {
        present(&built(&mut Choices(rest)), mode & 2 != 0);
    }
}

/// A HELLO with a good signature over odd fields, as far as it is not spoiled.
fn built(choices: &mut Choices<'_>) -> Vec<u8> {
    const NAMES: [&str; 6] = [
        "aire.did-method.key/1",
        "aire.resumable/1",
        "a.test/1",
        "a.test/2",
        "",
        "odd \u{1F980}",
    ];
    const OFFSETS: [i64; 8] = [
        0,
        1,
        300_000,
        -300_000,
        300_001,
        -300_001,
        i64::MAX,
        i64::MIN,
    ];
    let offset = OFFSETS[choices.below(OFFSETS.len())];
    let timestamp = UNIX_START.saturating_add(offset);
    let mut hello = HelloFrame::signed(PEER_SEED, [choices.byte(); 16], timestamp);
    hello.major = u64::from(choices.byte() >> 7);
    hello.minor = u64::from(choices.byte() & 7);
    hello.capabilities.clear();
    for _ in 0..choices.below(5) {
        let bits = choices.byte();
        hello.capabilities.push(Capability {
            name: NAMES[usize::from(bits & 15) % NAMES.len()],
            version: u64::from(bits),
            required: bits >> 6 == 3,
        });
    }
    if choices.byte() & 7 == 7 {
        hello.node_id = String::from_utf8_lossy(choices.bytes(20)).into_owned();
    }
    if let Some(block) = &mut hello.block {
        match choices.byte() & 15 {
            0 => block.algorithm = choices.byte(),
            1 => block
                .method
                .push_str(&String::from_utf8_lossy(choices.bytes(5))),
            2 => block.method.truncate(choices.below(block.method.len())),
            3 => block.spoiled = Some(choices.below(64)),
            4 => block.signature_len = choices.below(65),
            _ => {}
        }
    }
    if choices.byte() & 15 == 15 {
        hello.block = None;
    }
    let trailing = choices.below(40);
    hello.trailing = choices.bytes(trailing).to_vec();
    let mut payload = hello.payload();
    if choices.byte() & 15 == 15 {
        let at = choices.below(payload.len());
        payload[at] ^= choices.byte();
    }
    payload
}

fn present(payload: &[u8], accept_unsigned: bool) {
    let config = Config {
        danger_accept_unsigned_peers: accept_unsigned,
        ..Config::default()
    };
    let wire = frame(0x01, 0, payload);
    let judged = |chunk: usize| {
        let mut lone = Lone::<Roomy>::started(Role::Server, config);
        lone.end.chunk = chunk;
        lone.arrives(StreamId::CONTROL, &wire);
        lone
    };
    let lone = judged(usize::MAX);
    assert_eq!(judged(7).story(), lone.story());
    let connection = &lone.end.connection;
    match lone.end.closed_with {
        Some(code) => {
            lone.assert_closed(code, "a refused HELLO");
            assert!(!connection.is_open());
            let malformed = Hello::decode(payload).is_err() && payload.len() <= 1024;
            if malformed {
                assert_eq!(code, ErrorCode::MalformedFrame.to_wire());
            }
        }
        None if !connection.is_open() => panic!("a whole HELLO is judged"),
        None => admitted(&lone, payload, accept_unsigned),
    }
}

/// The peer is in: was everything good?
fn admitted(lone: &Lone<Roomy>, payload: &[u8], accept_unsigned: bool) {
    let hello = Hello::decode(payload).expect("it was read before");
    let connection = &lone.end.connection;
    let agreement = connection.agreement().expect("it is open");
    assert_eq!(hello.major, 0);
    assert_eq!(agreement.minor, hello.minor.min(4));
    assert_eq!(connection.peer(), Some(hello.node_id));
    assert_eq!(agreement.trailing, hello.trailing);
    let known = |name: &str| lone.end.capabilities.iter().any(|own| own.name == name);
    let mut required = hello.capabilities.iter().filter(|entry| entry.required);
    assert!(required.all(|entry| known(entry.name)));
    if hello.minor < 2 {
        assert!(accept_unsigned && agreement.peer_key.is_none());
        return;
    }
    let block = hello.block.expect("it is signed");
    assert_eq!((block.algorithm, block.did()), (1, hello.node_id));
    assert!(block.timestamp.0.abs_diff(UNIX_START) <= 300_000);
    let Resolution::Key(key) = DidKeyResolver.resolve(block.method) else {
        panic!("the key of {} was found before", block.method);
    };
    assert_eq!(agreement.peer_key, Some(key));
    let message = SignedMessage {
        separator: &domain_separator(FrameType::Hello),
        covered: &payload[..hello.covered],
    };
    let signature = block.signature.try_into().expect("64 bytes");
    assert!(Ed25519Verifier.verify(&key, message, signature));
}
