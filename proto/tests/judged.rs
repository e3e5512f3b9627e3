//! Vectors whose bytes alone decide nothing: who signed a CANCEL, which connection a binding is
//! about, what a responder knows when a RESUME comes, along which path an operation was delegated.
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

use aire_proto::capability::{CHANNEL_BINDING, RESUMABLE};
use aire_proto::delegation::{MAX_HOPS, PATH_FRAME, Path, PathError, PathRef};
use aire_proto::identity::{Ed25519Signer, Signer};
use aire_proto::resume::{Retained, Token, Window};
use aire_proto::storage::Storage;
use aire_proto::wire::{
    Capability, Delegate, FrameHeader, FrameType, Payload, Resume, SignatureBlock, domain_separator,
};
use aire_proto::{Config, ErrorCode, Instant, Role, StreamId};
use aire_vectors::{BindingVector, FrameVector, PathFault, Vector, own};
use support::hello::HelloFrame;
use support::lone::{Lone, PEER_SEED, invoke};
use support::quick::QuickSigner;
use support::{Small, UNIX_START, stream};

const fn capability(name: &'static str) -> Capability<'static> {
    Capability {
        name,
        version: 1,
        required: false,
    }
}

/// A connection whose peer, of the key `seed`, said a good HELLO; both advertise `name`.
fn agreed<S: Storage>(
    role: Role,
    seed: [u8; 32],
    name: &'static str,
    exporter: Option<[u8; 32]>,
) -> Lone<S> {
    let mut lone = Lone::unstarted(role, Config::default());
    lone.end.capabilities.push(capability(name));
    lone.end.exporter = exporter;
    lone.end.start(lone.now());
    let hello = HelloFrame::signed(seed, [5; 16], UNIX_START)
        .with(|hello| hello.capabilities.push(capability(name)));
    lone.arrives(StreamId::CONTROL, &hello.encode());
    lone
}

fn frames(vectors: &[Vector]) -> impl Iterator<Item = (&str, &FrameVector)> {
    vectors
        .iter()
        .filter_map(|vector| Some((&*vector.id, vector.as_frame()?)))
}

fn bindings(vectors: &[Vector]) -> impl Iterator<Item = (&str, &BindingVector)> {
    vectors
        .iter()
        .filter_map(|vector| Some((&*vector.id, vector.as_binding()?)))
}

/// The payload of a frame that is all of `encoded`.
fn payload(encoded: &[u8]) -> (FrameType, &[u8]) {
    let (header, len) = FrameHeader::decode(encoded).unwrap();
    assert_eq!(header.payload_len as usize, encoded.len() - len);
    (header.frame_type, &encoded[len..])
}

#[test]
fn a_signed_cancel_counts_when_the_peer_signed_it() {
    assert_eq!(aire_vectors::PEER_SEED, PEER_SEED);
    let (mut own_word, mut others) = (0, 0);
    for (id, vector) in frames(&own()) {
        let (0x05, Some(signing)) = (vector.frame.kind, &vector.signing) else {
            continue;
        };
        for chunk in [1, usize::MAX] {
            let mut lone = Lone::<Small>::connected(Role::Server, Config::default());
            lone.end.chunk = chunk;
            lone.arrives(stream(4), &invoke(4));
            lone.end.told();
            lone.arrives(stream(4), &vector.encoded);
            let told = lone.end.told();
            if signing.inputs.seed == PEER_SEED {
                assert_eq!(told, ["4 cancelled DEADLINE_EXCEEDED too late"], "{id}");
                own_word += 1;
            } else {
                assert!(!told.iter().any(|line| line.contains("cancelled")), "{id}");
                let mismatch = ErrorCode::KeyMismatch.to_wire();
                assert_eq!(lone.errors(stream(4)), [mismatch], "{id}");
                others += 1;
            }
            assert!(lone.end.connection.is_open(), "{id}");
        }
    }
    assert!(own_word >= 2 && others >= 6, "{own_word} and {others}");
}

#[test]
fn a_binding_is_good_on_its_own_connection_and_by_its_own_key_alone() {
    let (mut good, mut bad) = (0, 0);
    for (id, vector) in bindings(&own()) {
        for (role, chunk) in [
            (Role::Server, usize::MAX),
            (Role::Client, usize::MAX),
            (Role::Server, 1),
        ] {
            let exporter = Some(vector.exporter);
            let mut lone = agreed::<Small>(role, vector.peer_seed, CHANNEL_BINDING, exporter);
            assert_eq!(lone.end.told(), ["hello", "binding awaited"], "{id}");
            assert!(
                !lone.end.connection.is_open(),
                "{id}: HELLO alone is not enough"
            );
            assert_eq!(lone.end.connection.peer(), Some(&*vector.peer_did), "{id}");
            lone.end.chunk = chunk;
            lone.arrives(StreamId::CONTROL, &vector.encoded);
            let bound = lone
                .end
                .connection
                .agreement()
                .is_some_and(|agreed| agreed.channel_bound);
            assert_eq!(bound, vector.code.is_none(), "{id} to a {role:?}");
            match vector.code {
                None => {
                    assert_eq!(lone.end.told(), ["channel bound"], "{id}");
                    assert!(lone.end.connection.is_open(), "{id}");
                    good += 1;
                }
                Some(code) => {
                    assert_eq!(lone.end.closed_with, Some(code.number()), "{id}");
                    assert_eq!(lone.errors(StreamId::CONTROL), [code.number()], "{id}");
                    bad += 1;
                }
            }
        }
    }
    assert!(good >= 24 && bad >= 90, "{good} and {bad}");
}

#[test]
fn a_binding_of_ours_is_the_vectors_byte_for_byte() {
    let mut equal = 0;
    for (id, vector) in bindings(&own()) {
        let Some(signing) = &vector.signing else {
            continue;
        };
        let (frame, payload) = payload(&vector.encoded);
        let (block, covered) = SignatureBlock::decode(payload).unwrap();
        assert_eq!(block.did(), vector.peer_did, "{id}");
        assert_eq!(
            domain_separator(frame)[..],
            signing.domain_separator,
            "{id}"
        );
        let message = [
            &domain_separator(frame)[..],
            &vector.exporter,
            &payload[..covered],
        ]
        .concat();
        assert_eq!(message, signing.signed_message, "{id}");

        // What this crate does not say: another time, longer varints, bytes behind.
        let long = ["varints", "trailing", "timestamp"];
        if long.iter().any(|part| id.contains(part)) {
            continue;
        }
        let mut lone = Lone::<Small>::unstarted(Role::Server, Config::default());
        lone.end.signer = QuickSigner::from_seed(vector.peer_seed);
        lone.end.capabilities.push(capability(CHANNEL_BINDING));
        lone.end.start(lone.now());
        let connection = &mut lone.end.connection;
        connection.bind_channel(&vector.exporter, &signing.inputs.nonce);
        let hello = HelloFrame::signed(PEER_SEED, [5; 16], UNIX_START)
            .with(|hello| hello.capabilities.push(capability(CHANNEL_BINDING)));
        lone.arrives(StreamId::CONTROL, &hello.encode());
        let sent = &lone.end.pipes[&StreamId::CONTROL].bytes;
        assert!(sent.ends_with(&vector.encoded), "{id}");
        equal += 1;
    }
    assert!(equal >= 6, "{equal}");
}

/// What the responder that a RESUME vector describes makes of it.
fn judge(vector: &FrameVector) -> Result<u64, ErrorCode> {
    let known = vector.resumption.as_ref().unwrap();
    let resume = Resume::decode(&vector.frame.payload).unwrap();
    let mut retained = Retained::new(Window::new([0; 256], 16), known.owner_did.as_str());
    for _ in 0..known.sent {
        assert!(retained.push(b"part").unwrap().retained);
    }
    retained.discard_through(known.retained_from - 1);
    let token = Token::new(known.token.as_slice().try_into().unwrap());
    let ttl = Duration::from_secs(known.ttl_secs);
    retained.issue(token, ttl, Instant::from_millis(0));
    if known.spent {
        let owner = known.owner_did.as_str();
        let first = retained.resume(&known.token, known.sent, &owner, Instant::from_millis(0));
        assert_eq!(first, Ok(known.sent + 1));
    }
    retained
        .resume(
            resume.token,
            resume.last_recv,
            &known.asked_by_did.as_str(),
            Instant::from_millis(known.age_ms),
        )
        .map_err(|error| error.code())
}

#[test]
fn a_resume_is_answered_by_what_the_responder_knows() {
    let (mut honoured, mut refused) = (0, 0);
    for (id, vector) in frames(&own()) {
        if vector.resumption.is_none() {
            continue;
        }
        match (judge(vector), vector.replays_from) {
            (Ok(next), Some(expected)) => {
                assert_eq!(next, expected, "{id}");
                honoured += 1;
            }
            (Err(code), None) => {
                // What is refused by its content has that code first.
                assert_eq!(code.to_wire(), vector.expect[0].number(), "{id}");
                refused += 1;
            }
            other => panic!("{id}: {other:?}"),
        }
    }
    assert!(honoured >= 7 && refused >= 15, "{honoured} and {refused}");
}

/// What a server's connection makes of a RESUME, before anybody looks the token up.
fn resume_arrives<S: Storage>(encoded: &[u8], chunk: usize) -> (Vec<String>, Vec<u64>) {
    let mut lone = agreed::<S>(Role::Server, PEER_SEED, RESUMABLE, None);
    assert_eq!(lone.end.told(), ["hello", "connected"]);
    lone.end.chunk = chunk;
    lone.arrives(stream(8), encoded);
    assert!(lone.end.connection.is_open());
    (lone.end.told(), lone.errors(stream(8)))
}

#[test]
fn a_resume_reaches_the_application_or_costs_its_own_stream_alone() {
    let mut too_large = 0;
    for (id, vector) in frames(&own()) {
        let Some(aire_vectors::Decoded::Resume(resume)) = &vector.decoded else {
            continue;
        };
        if vector.frame.op_id != 8 {
            continue;
        }
        for chunk in [1, 999, usize::MAX] {
            let (told, errors) = resume_arrives::<Small>(&vector.encoded, chunk);
            let large = aire_vectors::ErrorCode::FrameTooLarge;
            if vector.expect.contains(&large) {
                assert_eq!(errors, [large.number()], "{id}");
                assert!(told.is_empty(), "{id}: {told:?}");
                too_large += 1;
            } else {
                assert_eq!(errors, [0; 0], "{id}");
                assert_eq!(told, [format!("8 resumed 8 {}", resume.last_recv)], "{id}");
            }
        }
    }
    assert_eq!(too_large, 3);
}

#[test]
fn a_delegation_to_oneself_decodes_and_names_its_sender() {
    let vectors = own();
    let (_, vector) = frames(&vectors)
        .find(|(id, _)| *id == "delegate-to-oneself")
        .unwrap();
    assert_eq!(vector.expect, [aire_vectors::ErrorCode::DelegateFailed]);
    let delegate = Delegate::decode(&vector.frame.payload).unwrap();
    let mut lone = Lone::<Small>::connected(Role::Client, Config::default());
    assert_eq!(lone.end.connection.peer(), Some(delegate.target_did));
    assert_eq!(lone.end.invoke("echo", "say", b""), stream(4));
    lone.settle(lone.now());
    lone.arrives(stream(4), &vector.encoded);
    assert_eq!(
        lone.end.told(),
        [format!("4 delegated {}", delegate.target)]
    );
}

#[test]
fn a_path_is_read_hop_by_hop_or_refused_for_its_reason() {
    let (mut read, mut refused) = (0, 0);
    for vector in &own() {
        let (id, Some(path)) = (&vector.id, vector.as_path()) else {
            continue;
        };
        let (frame, payload) = payload(&path.encoded);
        assert_eq!(frame, FrameType::Vendor(PATH_FRAME), "{id}");
        match (Path::decode(payload), path.refused) {
            (Ok(found), None) => {
                let expected = path.hops.as_ref().unwrap();
                let hops: Vec<_> = found.hops().collect();
                let named: Vec<_> = expected
                    .iter()
                    .map(|hop| (hop.did.as_str(), hop.agent.as_str()))
                    .collect();
                assert_eq!(hops, named, "{id}");
                assert_eq!(found.len(), expected.len(), "{id}");
                read += 1;
            }
            (Err(PathError::TooManyHops), Some(PathFault::TooManyHops))
            | (Err(PathError::Malformed(_)), Some(PathFault::Malformed)) => refused += 1,
            other => panic!("{id}: {other:?}"),
        }
    }
    assert!(read >= 11 && refused >= 18, "{read} and {refused}");
}

#[test]
fn a_path_grows_by_its_sender_to_the_vectors_bytes() {
    let mut written = 0;
    for vector in &own() {
        let Some(path) = vector.as_path().filter(|path| path.canonical) else {
            continue;
        };
        let hops = path.hops.as_ref().unwrap();
        let mut payload_so_far = Vec::new();
        for hop in hops {
            let before =
                (!payload_so_far.is_empty()).then(|| Path::decode(&payload_so_far).unwrap());
            let longer = PathRef::new(before, &hop.did, &hop.agent).unwrap();
            let mut room = vec![0; longer.encoded_len().unwrap()];
            longer.encode(&mut room).unwrap();
            payload_so_far = room;
        }
        assert_eq!(payload_so_far, payload(&path.encoded).1, "{}", vector.id);
        if hops.len() == MAX_HOPS {
            let full = Path::decode(&payload_so_far).unwrap();
            assert_eq!(
                PathRef::new(Some(full), "did:x:y", "z"),
                Err(PathError::TooManyHops)
            );
        }
        written += 1;
    }
    assert!(written >= 7, "{written}");
}

#[test]
fn the_vectors_peer_is_the_scripted_one() {
    let signer = Ed25519Signer::from_seed(aire_vectors::PEER_SEED);
    let lone = Lone::<Small>::connected(Role::Server, Config::default());
    assert_eq!(lone.end.connection.peer(), Some(signer.did()));
}
