//! What holds for any bytes, any fields, and any order of events.
#![cfg(feature = "ed25519")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[cfg(feature = "alloc")]
#[path = "support/bounded.rs"]
mod bounded;
mod support;

use aire_proto::capability::{check_local, check_name};
use aire_proto::connection::CloseReason;
use aire_proto::handshake::Local;
use aire_proto::identity::{Did, DidKey, Ed25519Signer, PublicKey, Signer};
use aire_proto::wire::{
    Budget, Cancel, Capability, Currency, Decoder, Delegate, ErrorFrame, FrameHeader, FrameType,
    Hello, Invoke, InvokeTarget, Payload, Piece, Resumable, Resume, TargetProgress,
};
use aire_proto::{
    CancelReason, Config, Connection, ErrorCode, Fixed, Instant, Now, Role, Transmit, UnixMillis,
    varint,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use support::script::{self, Roomy};
use support::walk;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

/// A number that a varint can hold, of every length alike.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 2_u32..64).prop_map(|(bits, shift)| bits >> shift)
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

fn encode<P: Payload>(payload: &P) -> Vec<u8> {
    let mut out = vec![0; payload.encoded_len().unwrap()];
    assert_eq!(payload.encode(&mut out), Ok(out.len()));
    out
}

fn any_budget() -> impl Strategy<Value = Budget> {
    let currency = prop::array::uniform3(prop::char::range('A', 'z'))
        .prop_map(|letters| Currency::new(letters.map(|letter| letter as u8)));
    (
        option::of(number()),
        option::of(number()),
        currency,
        option::of(any::<i64>()),
        option::of((option::of(number()), option::of(number()))),
    )
        .prop_map(|(tokens, cost_microunits, currency, deadline, spent)| {
            let (tokens_spent, cost_microunits_spent) = spent.unwrap_or_default();
            Budget {
                tokens,
                cost_microunits,
                currency,
                deadline: deadline.map(UnixMillis),
                tokens_spent,
                cost_microunits_spent,
            }
        })
}

fn any_capabilities() -> impl Strategy<Value = Vec<(String, (u64, bool))>> {
    let name = "[a-zA-Z][a-z0-9-]{0,9}(\\.[a-z][a-z0-9]{0,5}){0,2}/(0|[1-9][0-9]{0,2})";
    btree_map(name, (number(), any::<bool>()), 0..8)
        .prop_map(|entries| entries.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn the_story_does_not_depend_on_how_the_input_is_cut(
        bytes in bytes(500),
        chunk in 2_usize..40,
    ) {
        let whole = script::run::<Roomy>(&bytes, usize::MAX);
        prop_assert_eq!(&script::run::<Roomy>(&bytes, 1), &whole);
        prop_assert_eq!(&script::run::<Roomy>(&bytes, chunk), &whole);
    }

    #[test]
    fn two_nodes_come_to_rest_whatever_they_do(bytes in bytes(900)) {
        walk::walk::<Roomy, Roomy>(&bytes);
    }

    #[test]
    fn a_device_with_hardly_any_room_comes_to_rest_too(bytes in bytes(900)) {
        walk::walk::<Fixed<1, 64, 1, 400>, Roomy>(&bytes);
    }

    #[test]
    fn random_bytes_end_in_nothing_worse_than_a_violation(
        control in bytes(300),
        operation in bytes(300),
        chunk in 1_usize..20,
    ) {
        let mut lone = support::lone::Lone::<Roomy>::connected(Role::Server, Config::default());
        lone.end.chunk = chunk;
        lone.arrives(support::stream(4), &operation);
        lone.ends(support::stream(8), &operation);
        lone.ends(aire_proto::StreamId::CONTROL, &control);
        lone.wait(60_000);
        lone.assert_not_busy();
        let mut unheard = support::lone::Lone::<Roomy>::started(Role::Client, Config::default());
        unheard.end.chunk = chunk;
        unheard.ends(aire_proto::StreamId::CONTROL, &control);
        unheard.wait(60_000);
        prop_assert!(unheard.end.connection.is_closed());
        prop_assert!(!unheard.end.log.contains(&support::lone::closed(CloseReason::Lost)));
    }
}

#[cfg(feature = "alloc")]
proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn fixed_and_growing_storage_tell_the_same_story(bytes in bytes(700)) {
        prop_assert_eq!(
            script::run::<bounded::Bounded>(&bytes, 5),
            script::run::<Roomy>(&bytes, 5)
        );
        prop_assert_eq!(
            walk::walk::<bounded::Bounded, bounded::Bounded>(&bytes),
            walk::walk::<Roomy, Roomy>(&bytes)
        );
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn varints_and_envelopes_go_both_ways(
        frame_type: u8,
        flags: u8,
        op_id in number(),
        payload_len in number(),
        too_large in varint::MAX + 1..,
    ) {
        let header = FrameHeader {
            frame_type: FrameType::from_wire(frame_type),
            flags,
            op_id,
            payload_len,
        };
        let mut out = [0; 18];
        let len = header.encode(&mut out).unwrap();
        prop_assert_eq!(FrameHeader::decode(&out[..len]), Some((header, len)));
        for number in [op_id, payload_len] {
            let len = varint::encode(number, &mut out).unwrap();
            prop_assert_eq!(varint::encoded_len(number), Some(len));
            prop_assert_eq!(varint::decode(&out[..len]), Some((number, len)));
        }
        prop_assert_eq!(varint::encode(too_large, &mut out), None);
    }

    #[test]
    fn the_decoder_gives_back_what_the_encoder_took_however_it_is_cut(
        frames in vec((any::<u8>(), number(), bytes(40)), 0..6),
        cuts in vec(1_usize..30, 1..10),
    ) {
        let wire: Vec<u8> = frames
            .iter()
            .flat_map(|(frame_type, op, payload)| support::lone::frame(*frame_type, *op, payload))
            .collect();
        let mut decoder = Decoder::new();
        let mut found: Vec<(u8, u64, Vec<u8>)> = Vec::new();
        let mut rest = &wire[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (mut input, behind) = rest.split_at((*cut).min(rest.len()));
            rest = behind;
            while let Some(piece) = decoder.next(&mut input) {
                match piece {
                    Piece::Header(header) => {
                        found.push((header.frame_type.to_wire(), header.op_id, Vec::new()));
                    }
                    Piece::Payload { bytes, .. } => {
                        found.last_mut().unwrap().2.extend_from_slice(bytes);
                    }
                }
            }
        }
        prop_assert!(decoder.at_boundary());
        prop_assert_eq!(found, frames);
    }

    #[test]
    fn invokes_go_both_ways(agent: String, operation: String, args in bytes(60)) {
        let invoke = Invoke { agent: &agent, operation: &operation, args: &args };
        let wire = encode(&invoke);
        prop_assert_eq!(Invoke::decode(&wire), Ok(invoke));
        let target = InvokeTarget { agent: &agent, operation: &operation };
        let names = wire.len() - args.len();
        prop_assert_eq!(
            InvokeTarget::decode(&wire),
            Ok(TargetProgress::Done(target, names))
        );
        for cut in 0..names {
            let needs = matches!(
                InvokeTarget::decode(&wire[..cut]),
                Ok(TargetProgress::Needs(more)) if more > 0 && cut + more <= names
            );
            prop_assert!(needs, "cut at {}", cut);
        }
    }

    #[test]
    fn cancels_and_errors_go_both_ways(code in number(), detail: String, data in bytes(40)) {
        let cancel = Cancel { reason: CancelReason::from_wire(code), detail: &detail };
        let wire = encode(&cancel);
        prop_assert_eq!(Cancel::decode(&wire), Ok(cancel));
        let error = ErrorFrame {
            code: ErrorCode::from_wire(code),
            detail: &detail,
            data: &data,
        };
        let wire = encode(&error);
        prop_assert_eq!(ErrorFrame::decode(&wire), Ok(error));
    }

    #[test]
    fn budgets_go_both_ways(budget in any_budget()) {
        let wire = encode(&budget);
        if budget == Budget::default() {
            prop_assert!(Budget::decode(&wire).is_err(), "no entry, no BUDGET");
        } else {
            prop_assert_eq!(Budget::decode(&wire), Ok(budget));
        }
    }

    #[test]
    fn delegates_and_resumptions_go_both_ways(
        target: String,
        target_did: String,
        numbers in (number(), number()),
        token in bytes(80),
    ) {
        let delegate = Delegate {
            target: &target,
            target_did: &target_did,
            sub_op: numbers.0,
        };
        let wire = encode(&delegate);
        prop_assert_eq!(Delegate::decode(&wire), Ok(delegate));
        let resumable = Resumable {
            ttl_secs: numbers.0,
            token: &token,
            last_seq: numbers.1,
        };
        let wire = encode(&resumable);
        prop_assert_eq!(Resumable::decode(&wire), Ok(resumable));
        let resume = Resume { token: &token, last_recv: numbers.0 };
        let wire = encode(&resume);
        prop_assert_eq!(Resume::decode(&wire), Ok(resume));
    }

    #[test]
    fn a_payload_cut_short_is_never_read_as_a_shorter_one(
        target: String,
        token in bytes(20),
        numbers in (number(), number()),
        budget in any_budget(),
    ) {
        let delegate = encode(&Delegate {
            target: &target,
            target_did: "",
            sub_op: numbers.0,
        });
        let resumable = encode(&Resumable {
            ttl_secs: numbers.0,
            token: &token,
            last_seq: numbers.1,
        });
        let budget = encode(&budget);
        for cut in 0..delegate.len() {
            prop_assert!(Delegate::decode(&delegate[..cut]).is_err());
        }
        for cut in 0..resumable.len() {
            prop_assert!(Resumable::decode(&resumable[..cut]).is_err());
        }
        for cut in 0..budget.len() {
            prop_assert!(Budget::decode(&budget[..cut]).is_err());
        }
    }

    #[test]
    fn our_hello_says_what_we_are(
        seed in prop::array::uniform32(1_u8..),
        nonce in prop::array::uniform16(any::<u8>()),
        unix: i64,
        entries in any_capabilities(),
    ) {
        let capabilities: Vec<Capability<'_>> = entries
            .iter()
            .map(|(name, (version, required))| Capability {
                name,
                version: *version,
                required: *required,
            })
            .collect();
        prop_assume!(check_local(&capabilities).is_ok());
        let signer = Ed25519Signer::from_seed(seed);
        let now = Now { instant: Instant::default(), unix: UnixMillis(unix) };
        let mut connection = Connection::<Roomy>::new(Role::Client, Config::default(), now);
        let local = Local { signer: &signer, capabilities: &capabilities };
        connection.start(&local, &nonce, now).unwrap();
        let Some(Transmit::Data { head, .. }) = connection.poll_transmit() else {
            panic!("there is a HELLO");
        };
        let (header, len) = FrameHeader::decode(head).unwrap();
        prop_assert_eq!(header.payload_len as usize, head.len() - len);
        let hello = Hello::decode(&head[len..]).unwrap();
        prop_assert_eq!((hello.node_id, hello.trailing), (signer.did(), 0));
        let block = hello.block.unwrap();
        prop_assert_eq!((block.method, *block.nonce), (signer.method(), nonce));
        prop_assert_eq!(block.timestamp, UnixMillis(unix));
        let mut sorted = capabilities.clone();
        sorted.sort_by_key(|entry| entry.name);
        prop_assert!(hello.capabilities.iter().eq(sorted));
    }

    #[test]
    fn did_keys_go_both_ways_and_odd_text_is_none(key: [u8; 32], text in "\\PC{0,60}") {
        let did_key = DidKey::new(&PublicKey(key));
        prop_assert_eq!(PublicKey::from_did_key(did_key.did()), Some(PublicKey(key)));
        prop_assert_eq!(PublicKey::from_did_key_method(did_key.method()), Some(PublicKey(key)));
        prop_assert!(Did::parse(did_key.did()).is_ok());
        // Whatever they say of odd text, they say it without a panic.
        let odd = format!("did:key:z{text}");
        prop_assert_eq!(PublicKey::from_did_key(&odd), None);
        let _verdict = (Did::parse(&text), check_name(&text), PublicKey::from_multibase(&text));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused_and_what_is_decoded_encodes_to_the_same(
        payload in bytes(120),
    ) {
        let _hello = Hello::decode(&payload);
        if let Ok(invoke) = Invoke::decode(&payload) {
            let wire = encode(&invoke);
            prop_assert_eq!(Invoke::decode(&wire), Ok(invoke));
        }
        if let Ok(cancel) = Cancel::decode(&payload) {
            let wire = encode(&cancel);
            prop_assert_eq!(Cancel::decode(&wire), Ok(cancel));
        }
        if let Ok(error) = ErrorFrame::decode(&payload) {
            let wire = encode(&error);
            prop_assert_eq!(ErrorFrame::decode(&wire), Ok(error));
        }
        if let Ok(resume) = Resume::decode(&payload) {
            let wire = encode(&resume);
            prop_assert_eq!(Resume::decode(&wire), Ok(resume));
        }
    }
}
