//! The path of a delegation, which grows at each node.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use aire_proto::delegation::{
    MAX_AGENT_LEN, MAX_DID_LEN, MAX_HOPS, PATH_FRAME, Path, PathError, PathRef,
};
use aire_proto::wire::{FrameType, Malformed, Payload, Writer};
use proptest::collection::vec;
use proptest::prelude::*;

fn encoded(path: &PathRef<'_>) -> Vec<u8> {
    let mut out = vec![0; path.encoded_len().unwrap()];
    assert_eq!(path.encode(&mut out), Ok(out.len()));
    out
}

#[test]
fn a_path_grows_by_one_hop_at_each_node_and_is_read_back_from_the_root() {
    assert_eq!(PathRef::TYPE, FrameType::Vendor(PATH_FRAME));
    let first = encoded(&PathRef::new(None, "did:web:a", "écho").unwrap());
    assert_eq!(first, b"\x01\x09did:web:a\x05\xc3\xa9cho");
    let first = Path::decode(&first).unwrap();
    let mut second = encoded(&PathRef::new(Some(first), "did:web:b", "").unwrap());
    second.extend_from_slice(b"of a later version");
    let path = Path::decode(&second).unwrap();
    assert_eq!(
        path.hops().collect::<Vec<_>>(),
        [("did:web:a", "écho"), ("did:web:b", "")]
    );
    assert_eq!((path.len(), path.is_empty()), (2, false));
    assert!(path.contains("did:web:a", "écho") && path.contains("did:web:b", ""));
    assert!(!path.contains("did:web:a", "") && !path.contains("did:web:b", "écho"));
    // What follows was not passed on.
    let third = encoded(&PathRef::new(Some(path), "did:web:c", "x").unwrap());
    assert_eq!(Path::decode(&third).unwrap().len(), 3);
    assert!(third.ends_with(b"\x09did:web:b\x00\x09did:web:c\x01x"));
}

#[test]
fn a_path_has_sixteen_hops_at_most() {
    let mut bytes = vec![0];
    for hop in 0..MAX_HOPS {
        let before = Path::decode(&bytes).unwrap();
        assert_eq!(before.len(), hop);
        let path = encoded(&PathRef::new(Some(before), "did:web:a", "a").unwrap());
        bytes = path;
    }
    let full = Path::decode(&bytes).unwrap();
    let more = PathRef::new(Some(full), "did:web:a", "a");
    assert_eq!(more, Err(PathError::TooManyHops));
    bytes[0] = 17;
    bytes.extend_from_slice(b"\x00\x00");
    assert_eq!(Path::decode(&bytes), Err(PathError::TooManyHops));
}

#[test]
fn names_that_are_too_long_or_no_text_make_no_path() {
    let did = "d".repeat(MAX_DID_LEN + 1);
    let agent = "a".repeat(MAX_AGENT_LEN + 1);
    let (did_fits, agent_fits) = (&did[1..], &agent[1..]);
    assert!(PathRef::new(None, did_fits, agent_fits).is_ok());
    for (did, agent) in [(&*did, agent_fits), (did_fits, &*agent)] {
        let refused = PathRef::new(None, did, agent);
        assert_eq!(refused, Err(PathError::NameTooLong));
        let mut out = [0; 512];
        let mut writer = Writer::new(&mut out);
        writer.varint(1);
        writer.prefixed(did.as_bytes());
        writer.prefixed(agent.as_bytes());
        let len = writer.finish().unwrap();
        assert_eq!(Path::decode(&out[..len]), Err(PathError::NameTooLong));
    }
    let bad = |bytes| Path::decode(bytes).unwrap_err();
    assert_eq!(bad(b"\x01\x01\xff\x00"), Malformed::NotUtf8.into());
    assert_eq!(bad(b"\x01\x00\x01\xff"), Malformed::NotUtf8.into());
    assert_eq!(bad(b"\x02\x00\x00"), Malformed::Truncated.into());
    assert_eq!(bad(b""), Malformed::Truncated.into());
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(2_000)
    })]

    #[test]
    fn any_bytes_are_a_path_that_is_passed_on_as_it_came_or_are_refused(
        bytes in vec(prop_oneof![0_u8..4, any::<u8>()], 0..64),
    ) {
        if let Ok(path) = Path::decode(&bytes) {
            prop_assert_eq!(path.hops().count(), path.len());
            let longer = encoded(&PathRef::new(Some(path), "did:web:me", "i").unwrap());
            let read = Path::decode(&longer).unwrap();
            let expected: Vec<_> = path.hops().chain([("did:web:me", "i")]).collect();
            prop_assert_eq!(read.hops().collect::<Vec<_>>(), expected);
        }
    }
}
