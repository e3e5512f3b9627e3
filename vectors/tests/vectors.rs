//! The vector files are what they claim to be: complete, unchanged, and true to
//! their own fields.

use std::collections::BTreeSet;

use aire_vectors::{
    Body, Closes, Decoded, ErrorCode, FRAME_LIMIT, Frame, FrameVector, Place, Vector, all, own,
    upstream,
};
use sha2::{Digest, Sha256};

/// The published files with their SHA-256.
const PUBLISHED: [(&[u8], &str); 4] = [
    (
        include_bytes!("../upstream/v0.1.json"),
        "d18bdf8b7bed076d7bc34fe096e3f5bc0e562f3827f14b1e67b5a132ca48916c",
    ),
    (
        include_bytes!("../upstream/v0.2.json"),
        "d4d88ac80fac45b43b0e84e55310f3c32b4d9c723da19b41df005feeb0727607",
    ),
    (
        include_bytes!("../upstream/v0.3.json"),
        "d185864bf90acfb359f7958cd0b392aa8500f14c6a30353d2c6e06226c251bc9",
    ),
    (
        include_bytes!("../upstream/v0.4.json"),
        "75c1d32d9787dd3e714bb8a680d416131d9cfbb1c094098f9b7f55a25f548b8b",
    ),
];

/// The largest value of each varint length, and the smallest of the next one.
const VARINT_BOUNDARIES: [u64; 8] = [
    0,
    63,
    64,
    16383,
    16384,
    (1 << 30) - 1,
    1 << 30,
    (1 << 62) - 1,
];

fn frames(vectors: &[Vector]) -> impl Iterator<Item = (&str, &FrameVector)> {
    vectors
        .iter()
        .filter_map(|vector| Some((vector.id.as_str(), vector.as_frame()?)))
}

/// Reads a varint off the front: its value, its length, and what follows.
fn varint(bytes: &[u8]) -> (u64, usize, &[u8]) {
    let length = 1 << (bytes[0] >> 6);
    let (number, rest) = bytes.split_at(length);
    let value = number
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte));
    (value & !(3 << (8 * length - 2)), length, rest)
}

/// The length of a value's shortest varint.
fn shortest(value: u64) -> usize {
    match value {
        0..=63 => 1,
        64..=16383 => 2,
        16384..=0x3FFF_FFFF => 4,
        _ => 8,
    }
}

/// Reads a frame off the front: the frame, whether its varints are the shortest,
/// and what follows.
fn frame(bytes: &[u8]) -> (Frame, bool, &[u8]) {
    let (op_id, op_length, rest) = varint(&bytes[2..]);
    let (length, length_length, rest) = varint(rest);
    let (payload, rest) = rest.split_at(usize::try_from(length).expect("it fits"));
    let frame = Frame {
        kind: bytes[0],
        flags: bytes[1],
        op_id,
        payload: payload.to_vec(),
    };
    let minimal = op_length == shortest(op_id) && length_length == shortest(length);
    (frame, minimal, rest)
}

#[test]
fn published_files_are_unchanged() {
    for (bytes, expected) in PUBLISHED {
        let digest = Sha256::digest(bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }
}

#[test]
fn every_published_vector_is_read() {
    let vectors = upstream();
    assert_eq!(vectors.len(), 7 + 1 + 4 + 2);
    assert_eq!(frames(&vectors).count(), vectors.len());
    let decoded = frames(&vectors).filter(|(_, frame)| frame.decoded.is_some());
    assert_eq!(decoded.count(), 4 + 2);
    let signed = frames(&vectors).filter(|(_, frame)| frame.signing.is_some());
    assert_eq!(signed.count(), 1);
}

#[test]
fn there_are_at_least_eighty_of_our_own() {
    assert!(own().len() >= 80, "{}", own().len());
}

#[test]
fn ids_are_unique() {
    let vectors = all();
    let ids: BTreeSet<&str> = vectors.iter().map(|vector| vector.id.as_str()).collect();
    assert_eq!(ids.len(), vectors.len());
}

#[test]
fn every_frame_type_is_covered_both_well_formed_and_not() {
    let vectors = own();
    let good: BTreeSet<u8> = frames(&vectors)
        .map(|(_, frame)| frame.frame.kind)
        .collect();
    let mut bad = BTreeSet::new();
    for malformed in vectors.iter().filter_map(Vector::as_malformed) {
        bad.insert(malformed.encoded[0]);
    }
    for kind in [
        0x01, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x80,
    ] {
        assert!(good.contains(&kind), "{kind:#04x}");
        assert!(bad.contains(&kind), "{kind:#04x}");
    }
    assert!(bad.contains(&0x02));
}

#[test]
fn every_varint_length_is_covered_at_both_ends_and_longer_than_needed() {
    let vectors = own();
    let mut seen = BTreeSet::new();
    for vector in vectors.iter().filter_map(Vector::as_varint) {
        assert_eq!(
            varint(&vector.encoded),
            (vector.value, vector.encoded.len(), &[][..])
        );
        assert_eq!(
            vector.minimal,
            vector.encoded.len() == shortest(vector.value)
        );
        seen.insert((vector.value, vector.encoded.len()));
    }
    for value in VARINT_BOUNDARIES {
        for length in [1, 2, 4, 8] {
            assert_eq!(
                seen.contains(&(value, length)),
                length >= shortest(value),
                "{value} in {length}"
            );
        }
    }
}

#[test]
fn every_payload_boundary_is_covered() {
    let vectors = own();
    let lengths: BTreeSet<usize> = frames(&vectors)
        .map(|(_, frame)| frame.frame.payload.len())
        .collect();
    for length in [0, 1, 63, 64, 16383, 16384, 65535, 65536] {
        assert!(lengths.contains(&length), "{length}");
    }
}

#[test]
fn every_flag_bit_is_covered() {
    let vectors = own();
    for bit in 0..8 {
        assert!(frames(&vectors).any(|(_, frame)| frame.frame.flags == 1 << bit));
    }
}

#[test]
fn envelopes_say_what_the_bytes_say() {
    for (id, vector) in frames(&all()) {
        let (read, minimal, rest) = frame(&vector.encoded);
        assert_eq!(read, vector.frame, "{id}");
        assert_eq!(minimal, vector.envelope_minimal, "{id}");
        assert!(rest.is_empty(), "{id}");
    }
}

#[test]
fn concatenations_are_their_frames() {
    for vector in &own() {
        let Body::Concat(concat) = &vector.body else {
            continue;
        };
        let mut rest = concat.encoded.as_slice();
        for expected in &concat.frames {
            let (read, _, after) = frame(rest);
            assert_eq!(&read, expected, "{}", vector.id);
            rest = after;
        }
        assert!(rest.is_empty(), "{}", vector.id);
    }
}

#[test]
fn a_canonical_form_is_minimal_and_another() {
    for (id, vector) in frames(&own()) {
        let canonical = vector.canonical.expect("own frames say so");
        if canonical {
            assert!(vector.envelope_minimal && vector.frame.flags == 0, "{id}");
            assert_eq!(vector.canonical_encoded, None, "{id}");
        }
        if let Some(encoded) = &vector.canonical_encoded {
            assert_ne!(encoded, &vector.encoded, "{id}");
            let (read, minimal, rest) = frame(encoded);
            assert!(minimal && rest.is_empty() && read.flags == 0, "{id}");
            assert_eq!(
                (read.kind, read.op_id),
                (vector.frame.kind, vector.frame.op_id)
            );
        }
    }
}

#[test]
fn types_with_a_layout_are_decoded() {
    for (id, vector) in frames(&own()) {
        let expected = match &vector.decoded {
            Some(Decoded::Hello(_)) => vec![0x01],
            Some(Decoded::Invoke(_)) => vec![0x03],
            Some(Decoded::Cancel(_)) => vec![0x05],
            Some(Decoded::Budget(_)) => vec![0x06],
            Some(Decoded::Delegate(_)) => vec![0x07],
            Some(Decoded::Error(_)) => vec![0x08],
            Some(Decoded::Resumable(_)) => vec![0x0A],
            Some(Decoded::Resume(_)) => vec![0x0B],
            None => vec![0x04, 0x09, 0x0C, 0x7F, 0x80, 0xFF],
        };
        assert!(expected.contains(&vector.frame.kind), "{id}");
        assert_eq!(vector.accepted.is_some(), vector.frame.kind == 0x01, "{id}");
    }
}

#[test]
fn signed_frames_hold_what_was_signed() {
    for (id, vector) in frames(&all()) {
        let Some(signing) = &vector.signing else {
            continue;
        };
        let covered = signing
            .signed_message
            .strip_prefix(signing.domain_separator.as_slice())
            .expect("the separator comes first");
        assert!(covered.starts_with(&signing.inner_payload), "{id}");
        assert!(vector.frame.payload.starts_with(covered), "{id}");
        assert_eq!(signing.domain_separator.len(), 13, "{id}");
        assert_eq!(signing.domain_separator[12], vector.frame.kind, "{id}");
        let (_, _, after) = varint(&vector.frame.payload[covered.len()..]);
        assert!(after.starts_with(&signing.signature), "{id}");
        assert_eq!(signing.signature.len(), 64, "{id}");
        assert!(signing.inputs.vmid.starts_with(&signing.inputs.did), "{id}");
        let block = match &vector.decoded {
            Some(Decoded::Hello(hello)) => hello.signature_block.as_ref(),
            Some(Decoded::Cancel(cancel)) => cancel.signature_block.as_ref(),
            _ => None,
        };
        if let Some(block) = block {
            assert_eq!(block.vmid, signing.inputs.vmid, "{id}");
            assert_eq!(block.nonce, signing.inputs.nonce, "{id}");
            assert_eq!(block.timestamp_ms, signing.inputs.timestamp_ms, "{id}");
            assert_eq!(block.signature, signing.signature, "{id}");
        }
    }
}

#[test]
fn bindings_sign_the_exporters_value_and_do_not_send_it() {
    let vectors = own();
    let (mut good, mut bad) = (0, 0);
    for vector in &vectors {
        let (id, Some(binding)) = (&vector.id, vector.as_binding()) else {
            continue;
        };
        let (envelope, _, rest) = frame(&binding.encoded);
        assert_eq!((envelope.kind, envelope.op_id), (0x80, 0), "{id}");
        assert!(rest.is_empty(), "{id}");
        let Some(signing) = &binding.signing else {
            assert_eq!(binding.code, Some(ErrorCode::BadSignature), "{id}");
            bad += 1;
            continue;
        };
        good += 1;
        assert_eq!(binding.code, None, "{id}");
        assert_eq!(signing.inputs.seed, binding.peer_seed, "{id}");
        assert_eq!(signing.inputs.did, binding.peer_did, "{id}");
        assert_eq!(signing.domain_separator.last(), Some(&0x80), "{id}");
        let expected = [&signing.domain_separator[..], &binding.exporter].concat();
        let block = signing
            .signed_message
            .strip_prefix(&expected[..])
            .expect("the separator and the value come first");
        assert!(envelope.payload.starts_with(block), "{id}");
        let (_, _, after) = varint(&envelope.payload[block.len()..]);
        assert!(after.starts_with(&signing.signature), "{id}");
        let sent = binding.encoded.windows(32);
        assert!(!sent.into_iter().any(|bytes| bytes == binding.exporter));
    }
    assert!(good >= 8 && bad >= 30, "{good} and {bad}");
}

#[test]
fn paths_of_up_to_sixteen_hops_are_read_and_longer_ones_refused() {
    let vectors = own();
    let mut lengths = BTreeSet::new();
    let mut faults = BTreeSet::new();
    for vector in &vectors {
        let (id, Some(path)) = (&vector.id, vector.as_path()) else {
            continue;
        };
        let (envelope, minimal, rest) = frame(&path.encoded);
        assert_eq!((envelope.kind, envelope.op_id, minimal), (0x81, 4, true));
        assert!(rest.is_empty(), "{id}");
        assert_eq!(path.hops.is_none(), path.refused.is_some(), "{id}");
        lengths.extend(path.hops.as_ref().map(Vec::len));
        faults.extend(path.refused.map(|fault| fault as u8));
    }
    assert!(lengths.is_superset(&BTreeSet::from([0, 1, 2, 3, 16])));
    assert_eq!(lengths.last(), Some(&16));
    assert_eq!(faults.len(), 2);
}

#[test]
fn addresses_of_every_kind_are_covered_both_good_and_refused() {
    let mut seen = BTreeSet::new();
    for vector in &own() {
        let kind_and_good = match &vector.body {
            Body::Uri(uri) => ("uri", uri.parts.is_some()),
            Body::Handle(handle) => ("handle", handle.parts.is_some()),
            Body::DidWeb(did_web) => ("did-web", did_web.parts.is_some()),
            _ => continue,
        };
        let bad = format!("{}-bad-", kind_and_good.0);
        assert_eq!(
            vector.id.starts_with(&bad),
            !kind_and_good.1,
            "{}",
            vector.id
        );
        seen.insert(kind_and_good);
    }
    assert_eq!(seen.len(), 3 * 2);
}

#[test]
fn what_is_refused_although_well_formed_says_why() {
    let vectors = own();
    let mut codes = BTreeSet::new();
    for vector in &vectors {
        let (id, Some(frame)) = (&vector.id, vector.as_frame()) else {
            continue;
        };
        assert_eq!(
            frame.replays_from.is_some(),
            frame.resumption.is_some() && frame.expect.is_empty(),
            "{id}"
        );
        if !frame.expect.is_empty() {
            assert!(vector.note.is_some(), "{id}");
            codes.extend(frame.expect.iter().map(|code| code.number()));
        }
    }
    let expected = BTreeSet::from([0x0D, 0x0E, 0x0F, 0x10, 0x40]);
    assert_eq!(codes, expected);
}

#[test]
fn the_published_hello_came_out_of_our_generator_too() {
    let vectors = all();
    let find = |id: &str| {
        let vector = vectors.iter().find(|vector| vector.id == id);
        vector.and_then(Vector::as_frame).expect("it is there")
    };
    let (published, ours) = (find("signed-hello-didkey"), find("hello-as-published"));
    assert_eq!(published.encoded, ours.encoded);
    assert_eq!(published.frame, ours.frame);
    assert_eq!(published.signing, ours.signing);
}

#[test]
fn malformed_input_is_covered_everywhere_and_closes_by_the_rules() {
    let vectors = own();
    let mut seen = BTreeSet::new();
    for vector in &vectors {
        let Some(bad) = vector.as_malformed() else {
            continue;
        };
        seen.insert((bad.on as u8, bad.closes as u8));
        let control = matches!(bad.on, Place::ControlFirst | Place::Control);
        if control || bad.fin && bad.code == ErrorCode::MalformedFrame && is_cut(&bad.encoded) {
            assert_eq!(bad.closes, Closes::Connection, "{}", vector.id);
        } else {
            // No signature but a CANCEL's stands on an operation, and that costs it alone.
            let expected = match bad.code {
                ErrorCode::ProtocolViolation => Closes::Connection,
                _ => Closes::Operation,
            };
            assert_eq!(bad.closes, expected, "{}", vector.id);
        }
    }
    assert_eq!(seen.len(), 2 + 3 * 2);
}

/// Whether the bytes end inside a frame.
fn is_cut(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let mut at = 2;
        for _ in 0..2 {
            let Some(first) = bytes.get(at) else {
                return true;
            };
            at += 1 << (first >> 6);
        }
        if at > bytes.len() {
            return true;
        }
        let (length, _, _) = varint(varint(&bytes[2..]).2);
        let Ok(length) = usize::try_from(length) else {
            return true;
        };
        match bytes.get(at.saturating_add(length)..) {
            Some(rest) => bytes = rest,
            None => return true,
        }
    }
    false
}

#[test]
fn whole_frames_go_to_a_receiver_that_waits_for_no_fin() {
    for vector in &own() {
        let Some(bad) = vector.as_malformed() else {
            continue;
        };
        if !bad.fin && bad.code != ErrorCode::FrameTooLarge {
            assert!(!is_cut(&bad.encoded), "{}", vector.id);
        }
    }
}

#[test]
fn oversized_frames_are_over_the_limit() {
    for vector in &own() {
        let Some(bad) = vector.as_malformed() else {
            continue;
        };
        if bad.code == ErrorCode::FrameTooLarge {
            let (_, _, rest) = varint(&bad.encoded[2..]);
            let (length, _, after) = varint(rest);
            assert!(length > FRAME_LIMIT && after.is_empty(), "{}", vector.id);
        }
    }
}

#[test]
fn every_error_of_the_handshake_is_provoked() {
    let vectors = own();
    let codes: BTreeSet<u64> = vectors
        .iter()
        .filter_map(Vector::as_malformed)
        .map(|bad| bad.code.number())
        .collect();
    // A replay takes two connections, so no single run of bytes can provoke 0x07.
    let expected = BTreeSet::from([0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x09, 0x40]);
    assert_eq!(codes, expected);
}
