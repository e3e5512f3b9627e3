//! Every test vector, published and our own, against the codec and the handshake. What a receiver
//! must refuse is in `malformed.rs`.
#![cfg(feature = "ed25519")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use aire_proto::capability::check_local;
use aire_proto::handshake::Local;
use aire_proto::identity::{
    DidKey, Ed25519Signer, Ed25519Verifier, PublicKey, SignatureVerifier, SignedMessage, Signer,
};
use aire_proto::wire::{
    Budget, Cancel, Capability, Decoder, Delegate, ErrorFrame, FrameHeader, FrameType, Goodbye,
    Hello, Invoke, InvokeTarget, Payload, Piece, Resumable, Resume, SignatureBlock, TargetProgress,
    Writer, domain_separator,
};
use aire_proto::{
    Config, Connection, ErrorCode, Fixed, Instant, Now, Role, StreamId, Transmit, UnixMillis,
    varint,
};
use aire_vectors::{Decoded, Frame, FrameVector, Vector, all};
use support::lone::Lone;

/// Room for a HELLO of 64 KiB.
type Wide = Fixed<4, 128, 2, 65_536>;

/// The frame vectors with their names.
fn frames(vectors: &[Vector]) -> impl Iterator<Item = (&str, &FrameVector)> {
    vectors
        .iter()
        .filter_map(|vector| Some((&*vector.id, vector.as_frame()?)))
}

/// A signer for `seed`; none for the all-zero one, which this crate does not sign with.
fn signer(seed: [u8; 32]) -> Option<Ed25519Signer> {
    (seed != [0; 32]).then(|| Ed25519Signer::from_seed(seed))
}

/// Runs `bytes` through a decoder in chunks of `chunk`: every frame, and whether it ends well.
fn decode(bytes: &[u8], chunk: usize) -> (Vec<Frame>, bool) {
    let mut decoder = Decoder::new();
    let mut found: Vec<Frame> = Vec::new();
    for mut input in bytes.chunks(chunk) {
        while let Some(piece) = decoder.next(&mut input) {
            match piece {
                Piece::Header(header) => found.push(Frame {
                    kind: header.frame_type.to_wire(),
                    flags: header.flags,
                    op_id: header.op_id,
                    payload: Vec::new(),
                }),
                Piece::Payload { bytes, remaining } => {
                    assert!(!bytes.is_empty());
                    assert_eq!(remaining, decoder.remaining());
                    found.last_mut().unwrap().payload.extend_from_slice(bytes);
                }
            }
        }
        assert!(input.is_empty(), "the decoder takes everything");
    }
    (found, decoder.at_boundary())
}

/// Envelope and payload as bytes.
fn assemble(frame: &Frame) -> Vec<u8> {
    let header = FrameHeader {
        frame_type: FrameType::from_wire(frame.kind),
        flags: frame.flags,
        op_id: frame.op_id,
        payload_len: frame.payload.len() as u64,
    };
    let mut bytes = vec![0; 18];
    let len = header.encode(&mut bytes).unwrap();
    bytes.truncate(len);
    bytes.extend_from_slice(&frame.payload);
    bytes
}

fn encode<P: Payload>(op_id: u64, payload: &P) -> Vec<u8> {
    let mut bytes = vec![0; 18 + payload.encoded_len().unwrap()];
    let len = payload.encode_frame(op_id, &mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

fn assert_block(id: &str, block: &SignatureBlock<'_>, expected: &aire_vectors::SignatureBlock) {
    assert_eq!(block.algorithm, expected.alg, "{id}");
    assert_eq!(block.method, expected.vmid, "{id}");
    assert_eq!(*block.nonce, expected.nonce, "{id}");
    assert_eq!(block.timestamp.0, expected.timestamp_ms, "{id}");
    assert_eq!(block.signature, expected.signature, "{id}");
}

fn assert_hello(id: &str, payload: &[u8], expected: &aire_vectors::Hello) {
    let hello = Hello::decode(payload).unwrap_or_else(|error| panic!("{id}: {error}"));
    assert_eq!((hello.major, hello.minor), (expected.major, expected.minor));
    assert_eq!(hello.node_id, expected.node_id, "{id}");
    assert_eq!(hello.trailing, expected.trailing, "{id}");
    assert_eq!(hello.capabilities.len(), expected.capabilities.len());
    let entries: Vec<_> = hello.capabilities.iter().collect();
    assert_eq!(entries.len(), expected.capabilities.len(), "{id}");
    for (entry, expected) in entries.iter().zip(&expected.capabilities) {
        assert_eq!(entry.name, expected.name, "{id}");
        assert_eq!(entry.version, expected.version, "{id}");
        assert_eq!(entry.required, expected.required, "{id}");
    }
    match (&hello.block, &expected.signature_block) {
        (Some(block), Some(expected)) => assert_block(id, block, expected),
        (None, None) => {}
        other => panic!("{id}: {other:?}"),
    }
}

fn assert_budget(id: &str, payload: &[u8], expected: &aire_vectors::Budget) -> Budget {
    let budget = Budget::decode(payload).unwrap_or_else(|error| panic!("{id}: {error}"));
    assert_eq!(budget.tokens, expected.tokens_remaining, "{id}");
    let cost = expected.cost_microunits_remaining;
    assert_eq!(budget.cost_microunits, cost, "{id}");
    let currency = budget.currency.map(|currency| currency.to_string());
    assert_eq!(currency, expected.currency, "{id}");
    let deadline = budget.deadline.map(|deadline| deadline.0);
    assert_eq!(deadline, expected.deadline_ms, "{id}");
    assert_eq!(budget.tokens_spent, expected.tokens_spent, "{id}");
    let cost = expected.cost_microunits_spent;
    assert_eq!(budget.cost_microunits_spent, cost, "{id}");
    let reports = expected.tokens_spent.is_some() || cost.is_some();
    assert_eq!(budget.is_report(), reports, "{id}");
    budget
}

/// Checks what `frame` means, and gives what its content encodes to: `None` where encoding takes
/// a signer.
fn reencode(id: &str, frame: &Frame, decoded: &Decoded) -> Option<Vec<u8>> {
    let payload = &*frame.payload;
    let op_id = frame.op_id;
    Some(match decoded {
        Decoded::Hello(expected) => {
            assert_hello(id, payload, expected);
            return None;
        }
        Decoded::Invoke(expected) => {
            let invoke = Invoke::decode(payload).unwrap();
            assert_eq!(invoke.agent, expected.agent, "{id}");
            assert_eq!(invoke.operation, expected.operation, "{id}");
            assert_eq!(invoke.args, expected.args, "{id}");
            let TargetProgress::Done(target, len) = InvokeTarget::decode(payload).unwrap() else {
                panic!("{id}: the names are whole");
            };
            assert_eq!(
                (target.agent, target.operation),
                (invoke.agent, invoke.operation)
            );
            assert_eq!(&payload[len..], invoke.args, "{id}");
            encode(op_id, &invoke)
        }
        Decoded::Cancel(expected) => {
            let (cancel, block) = Cancel::decode_signed(payload).unwrap();
            assert_eq!(cancel.reason.to_wire(), expected.reason, "{id}");
            assert_eq!(cancel.detail, expected.detail, "{id}");
            assert_eq!(Cancel::decode(payload), Ok(cancel), "{id}");
            match (&block, &expected.signature_block) {
                (Some((block, _)), Some(expected)) => {
                    assert_block(id, block, expected);
                    return None;
                }
                (None, None) => encode(op_id, &cancel),
                other => panic!("{id}: {other:?}"),
            }
        }
        Decoded::Budget(expected) => encode(op_id, &assert_budget(id, payload, expected)),
        Decoded::Delegate(expected) => {
            let delegate = Delegate::decode(payload).unwrap();
            assert_eq!(delegate.target, expected.target, "{id}");
            assert_eq!(delegate.target_did, expected.target_did, "{id}");
            assert_eq!(delegate.sub_op, expected.sub_op, "{id}");
            encode(op_id, &delegate)
        }
        Decoded::Error(expected) => {
            let error = ErrorFrame::decode(payload).unwrap();
            assert_eq!(error.code.to_wire(), expected.code, "{id}");
            assert_eq!(error.detail, expected.detail, "{id}");
            assert_eq!(error.data, expected.data, "{id}");
            encode(op_id, &error)
        }
        Decoded::Resumable(expected) => {
            let resumable = Resumable::decode(payload).unwrap();
            assert_eq!(resumable.ttl_secs, expected.ttl_secs, "{id}");
            assert_eq!(resumable.token, expected.token, "{id}");
            assert_eq!(resumable.last_seq, expected.last_seq, "{id}");
            encode(op_id, &resumable)
        }
        Decoded::Resume(expected) => {
            let resume = Resume::decode(payload).unwrap();
            assert_eq!(resume.token, expected.token, "{id}");
            assert_eq!(resume.last_recv, expected.last_recv, "{id}");
            encode(op_id, &resume)
        }
    })
}

#[test]
fn every_frame_vector_is_read_whole_and_in_pieces() {
    for (id, vector) in frames(&all()) {
        let chunks = [1, 2, 3, 7, usize::MAX];
        for chunk in chunks
            .into_iter()
            .filter(|chunk| *chunk > 2 || vector.encoded.len() < 9000)
        {
            let (found, complete) = decode(&vector.encoded, chunk);
            assert_eq!(
                found.as_slice(),
                std::slice::from_ref(&vector.frame),
                "{id}"
            );
            assert!(complete, "{id}");
        }
        let (header, len) = FrameHeader::decode(&vector.encoded).unwrap();
        assert_eq!(
            header.payload_len as usize,
            vector.frame.payload.len(),
            "{id}"
        );
        assert_eq!(&vector.encoded[len..], vector.frame.payload, "{id}");
        for cut in 0..len {
            assert_eq!(
                FrameHeader::decode(&vector.encoded[..cut]),
                None,
                "{id} at {cut}"
            );
        }
    }
}

#[test]
fn every_frame_vector_with_a_minimal_envelope_is_written_again_byte_for_byte() {
    let mut minimal = 0;
    for (id, vector) in frames(&all()) {
        let written = assemble(&vector.frame);
        assert_eq!(written == vector.encoded, vector.envelope_minimal, "{id}");
        minimal += usize::from(vector.envelope_minimal);
    }
    assert!(minimal > 150, "{minimal}");
}

#[test]
fn every_payload_vector_means_what_it_says_and_encodes_canonically() {
    let mut encoded = 0;
    for (id, vector) in frames(&all()) {
        let Some(decoded) = &vector.decoded else {
            continue;
        };
        let Some(again) = reencode(id, &vector.frame, decoded) else {
            continue;
        };
        encoded += 1;
        match (vector.canonical, &vector.canonical_encoded) {
            (Some(true) | None, _) => assert_eq!(again, vector.encoded, "{id}"),
            (Some(false), Some(canonical)) => assert_eq!(again, *canonical, "{id}"),
            (Some(false), None) => assert_ne!(again, vector.encoded, "{id}"),
        }
    }
    assert!(encoded > 120, "{encoded}");
}

#[test]
fn frames_without_a_layout_are_written_again_from_their_payload_with_flags_zero() {
    for (id, vector) in frames(&all()) {
        if vector.decoded.is_some() || vector.signing.is_some() {
            continue;
        }
        let mut plain = vector.frame.clone();
        plain.flags = 0;
        if plain.kind == FrameType::Goodbye.to_wire() {
            plain.payload.clear();
            assert_eq!(encode(plain.op_id, &Goodbye), assemble(&plain), "{id}");
        }
        match (vector.canonical, &vector.canonical_encoded) {
            (Some(true), _) => assert_eq!(assemble(&plain), vector.encoded, "{id}"),
            (Some(false), Some(canonical)) => assert_eq!(assemble(&plain), *canonical, "{id}"),
            _ => {}
        }
    }
}

#[test]
fn an_encoder_says_how_much_room_it_needs_and_takes_no_less() {
    for (id, vector) in frames(&all()) {
        let Some(Decoded::Error(_)) = &vector.decoded else {
            continue;
        };
        let error = ErrorFrame::decode(&vector.frame.payload).unwrap();
        let needed = error.encoded_len().unwrap();
        let mut room = vec![0; needed];
        assert_eq!(error.encode(&mut room), Ok(needed), "{id}");
        assert_eq!(
            error.encode(&mut room[..needed - 1]),
            Err(aire_proto::wire::EncodeError::BufferTooSmall { needed }),
            "{id}"
        );
    }
}

#[test]
fn concatenated_frames_are_told_apart_however_they_are_cut() {
    let vectors = all();
    let concats = vectors
        .iter()
        .filter_map(|vector| Some((&vector.id, vector.as_concat()?)));
    let mut count = 0;
    for (id, concat) in concats {
        count += 1;
        for chunk in 1..=concat.encoded.len() {
            let (found, complete) = decode(&concat.encoded, chunk);
            assert_eq!(found, concat.frames, "{id} in chunks of {chunk}");
            assert!(complete, "{id}");
        }
    }
    assert!(count >= 9, "{count}");
}

#[test]
fn varints_of_every_length_are_read_and_written_in_their_shortest_form() {
    let vectors = all();
    let varints = vectors
        .iter()
        .filter_map(|vector| Some((&vector.id, vector.as_varint()?)));
    let mut count = 0;
    for (id, vector) in varints {
        count += 1;
        let len = vector.encoded.len();
        assert_eq!(
            varint::decode(&vector.encoded),
            Some((vector.value, len)),
            "{id}"
        );
        for cut in 0..len {
            assert_eq!(
                varint::decode(&vector.encoded[..cut]),
                None,
                "{id} at {cut}"
            );
        }
        let mut out = [0; 8];
        let written = varint::encode(vector.value, &mut out).unwrap();
        assert_eq!(out[..written] == vector.encoded, vector.minimal, "{id}");
        assert_eq!(varint::decode(&out), Some((vector.value, written)), "{id}");
    }
    assert!(count >= 25, "{count}");
}

#[test]
fn seeds_public_keys_and_dids_belong_together_both_ways() {
    let vectors = all();
    for (id, vector) in vectors
        .iter()
        .filter_map(|vector| Some((&vector.id, vector.as_did_key()?)))
    {
        let key = PublicKey(vector.public_key);
        if let Some(signer) = signer(vector.seed) {
            assert_eq!(signer.public_key(), key, "{id}");
            assert_eq!(signer.did(), vector.did, "{id}");
            assert_eq!(signer.method(), vector.vmid, "{id}");
        }
        let did_key = DidKey::new(&key);
        assert_eq!(
            (did_key.did(), did_key.method()),
            (&*vector.did, &*vector.vmid)
        );
        assert_eq!(PublicKey::from_did_key(&vector.did), Some(key), "{id}");
        assert_eq!(
            PublicKey::from_did_key_method(&vector.vmid),
            Some(key),
            "{id}"
        );
    }
}

#[test]
fn signatures_cover_separator_inner_payload_and_block_as_published() {
    let mut count = 0;
    for (id, vector) in frames(&all()) {
        let Some(signing) = &vector.signing else {
            continue;
        };
        count += 1;
        let payload = &*vector.frame.payload;
        let (block, covered) = if vector.frame.kind == 1 {
            let hello = Hello::decode(payload).unwrap();
            (hello.block.unwrap(), hello.covered)
        } else {
            Cancel::decode_signed(payload).unwrap().1.unwrap()
        };
        assert_eq!(block.did(), signing.inputs.did, "{id}");
        let separator = domain_separator(FrameType::from_wire(vector.frame.kind));
        assert_eq!(separator[..], signing.domain_separator, "{id}");
        assert_eq!(separator.len(), 13, "{id}");
        let message = [&separator[..], &payload[..covered]].concat();
        assert_eq!(message, signing.signed_message, "{id}");
        assert!(payload.starts_with(&signing.inner_payload), "{id}");

        if let Some(signer) = signer(signing.inputs.seed) {
            assert_eq!(signer.sign(&message)[..], signing.signature, "{id}");
        }
        assert_eq!(block.signature, signing.signature, "{id}");
        let verified = Ed25519Verifier.verify(
            &PublicKey(signing.inputs.public_key),
            SignedMessage {
                separator: &separator,
                covered: &payload[..covered],
            },
            block.signature.try_into().unwrap(),
        );
        assert!(verified, "{id}");
    }
    assert!(count > 30, "{count}");
}

/// The receiver of the vectors, in either role.
fn receiver(role: Role, chunk: usize) -> Lone<Wide> {
    assert_eq!(aire_vectors::CLOCK_MS, support::UNIX_START);
    assert_eq!(
        aire_vectors::RECEIVER_CAPABILITIES,
        [("aire.did-method.key/1", 1)]
    );
    let mut lone = Lone::started(role, Config::default());
    lone.end.chunk = chunk;
    lone
}

#[test]
fn every_hello_vector_is_admitted_or_refused_as_it_says() {
    let (mut admitted, mut refused) = (0, 0);
    for (id, vector) in frames(&all()) {
        if vector.frame.kind != 1 || vector.frame.op_id != 0 {
            continue;
        }
        let published_and_signed = vector.accepted.is_none() && vector.signing.is_some();
        let accepted = vector.accepted.unwrap_or(published_and_signed);
        for (role, chunk) in [
            (Role::Server, usize::MAX),
            (Role::Client, usize::MAX),
            (Role::Server, 1),
        ] {
            let mut lone = receiver(role, chunk);
            lone.arrives(StreamId::CONTROL, &vector.encoded);
            let connection = &lone.end.connection;
            assert_eq!(connection.is_open(), accepted, "{id}: {:?}", lone.end.log);
            let Some(Decoded::Hello(hello)) = &vector.decoded else {
                continue;
            };
            if accepted {
                assert_eq!(connection.peer(), Some(&*hello.node_id), "{id}");
                let agreement = connection.agreement().unwrap();
                assert_eq!(agreement.minor, hello.minor.min(4), "{id}");
                assert_eq!(agreement.trailing, hello.trailing, "{id}");
                let counted = connection.counters().trailing_hello_bytes;
                assert_eq!(counted, hello.trailing as u64, "{id}");
                admitted += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(admitted > 90 && refused > 15, "{admitted} and {refused}");
}

#[test]
fn the_published_hello_verifies_and_no_single_bit_of_what_is_signed_may_change() {
    let vectors = aire_vectors::upstream();
    let (_, vector) = frames(&vectors)
        .find(|(id, _)| *id == "signed-hello-didkey")
        .unwrap();
    let mut lone = receiver(Role::Server, usize::MAX);
    lone.arrives(StreamId::CONTROL, &vector.encoded);
    assert!(lone.end.connection.is_open(), "{:?}", lone.end.log);

    let payload_at = vector.encoded.len() - vector.frame.payload.len();
    let covered = Hello::decode(&vector.frame.payload).unwrap().covered;
    assert_eq!(covered + 66, vector.frame.payload.len());
    // The signature itself may not change either, nor its length.
    for bit in 0..vector.frame.payload.len() * 8 {
        let mut encoded = vector.encoded.clone();
        encoded[payload_at + bit / 8] ^= 1 << (bit % 8);
        let mut lone = receiver(Role::Server, usize::MAX);
        lone.arrives(StreamId::CONTROL, &encoded);
        let context = format!("bit {bit} of {} covered", covered * 8);
        assert!(
            !lone.end.connection.is_open(),
            "{context} changed unnoticed"
        );
        let told = lone.end.closed_with.unwrap();
        lone.assert_closed(told, &context);
        let code = ErrorCode::from_wire(told);
        let plausible = [
            ErrorCode::MalformedFrame,
            ErrorCode::IncompatibleVersion,
            ErrorCode::BadSignature,
            ErrorCode::StaleTimestamp,
            ErrorCode::UnresolvableDid,
            ErrorCode::KeyMismatch,
        ];
        assert!(plausible.contains(&code), "{context}: {code}");
    }
}

#[test]
fn our_own_hello_is_the_vectors_byte_for_byte() {
    let mut equal = 0;
    for (id, vector) in frames(&all()) {
        let (Some(Decoded::Hello(hello)), Some(signing), Some(true)) =
            (&vector.decoded, &vector.signing, vector.canonical)
        else {
            continue;
        };
        let capabilities: Vec<Capability<'_>> = hello
            .capabilities
            .iter()
            .map(|entry| Capability {
                name: &entry.name,
                version: entry.version,
                required: entry.required,
            })
            .collect();
        let Some(signer) = signer(signing.inputs.seed) else {
            continue;
        };
        let signer = signer.with_method(&signing.inputs.vmid).unwrap();
        // What this crate cannot say: another minor, or more than 16 capabilities.
        if hello.minor != 4 || check_local(&capabilities).is_err() {
            continue;
        }
        let now = Now {
            instant: Instant::default(),
            unix: UnixMillis(signing.inputs.timestamp_ms),
        };
        let mut connection = Connection::<Wide>::new(Role::Client, Config::default(), now);
        let local = Local {
            signer: &signer,
            capabilities: &capabilities,
        };
        connection
            .start(&local, &signing.inputs.nonce, now)
            .unwrap();
        let Some(Transmit::Data { head, .. }) = connection.poll_transmit() else {
            panic!("{id}: there is a HELLO to send");
        };
        assert_eq!(head, vector.encoded, "{id}");
        equal += 1;
    }
    assert!(equal >= 10, "{equal}");
}

#[test]
fn the_published_inner_payload_is_what_its_fields_encode_to() {
    let vectors = aire_vectors::upstream();
    let (_, vector) = frames(&vectors)
        .find(|(id, _)| *id == "signed-hello-didkey")
        .unwrap();
    let signing = vector.signing.as_ref().unwrap();
    let mut room = [0; 256];
    let mut out = Writer::new(&mut room);
    out.varint(0);
    out.varint(2);
    out.prefixed(signing.inputs.did.as_bytes());
    out.varint(1);
    out.prefixed(b"aire.did-method.key/1");
    out.varint(1);
    out.u8(1);
    let len = out.finish().unwrap();
    assert_eq!(room[..len], signing.inner_payload);
}
