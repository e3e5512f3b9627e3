//! The decoder and the payloads.

use aire_proto::accounting::{Accounting, MAX_LEN};
use aire_proto::capability::check_name;
use aire_proto::delegation::Path;
use aire_proto::identity::{Did, DidKey, PublicKey};
use aire_proto::resume::Ticket;
use aire_proto::varint;
use aire_proto::wire::{
    Budget, Cancel, Decoder, Delegate, ErrorFrame, FrameHeader, Hello, Invoke, InvokeTarget,
    Payload, Piece, Resumable, Resume, TargetProgress,
};

/// Frames as they come out of a decoder, and whether the last one is whole.
type Frames = (Vec<(FrameHeader, Vec<u8>)>, bool);

fn decode(bytes: &[u8], mut cut: impl FnMut() -> usize) -> Frames {
    let mut decoder = Decoder::new();
    let mut found: Vec<(FrameHeader, Vec<u8>)> = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (mut input, behind) = rest.split_at(cut().clamp(1, rest.len()));
        rest = behind;
        while let Some(piece) = decoder.next(&mut input) {
            match piece {
                Piece::Header(header) => {
                    assert_eq!(decoder.remaining(), header.payload_len);
                    found.push((header, Vec::new()));
                }
                Piece::Payload { bytes, remaining } => {
                    assert!(!bytes.is_empty());
                    assert_eq!(decoder.remaining(), remaining);
                    let (header, payload) = found.last_mut().expect("a header comes first");
                    payload.extend_from_slice(bytes);
                    assert_eq!(payload.len() as u64 + remaining, header.payload_len);
                }
            }
        }
        assert!(input.is_empty(), "the decoder takes all that it is given");
    }
    (found, decoder.at_boundary())
}

/// However the bytes of a stream are cut, the same frames come out; and a whole one encodes to
/// something that decodes to the same.
pub fn decoder(data: &[u8]) {
    let Some((&seed, bytes)) = data.split_first() else {
        return;
    };
    let whole = decode(bytes, || usize::MAX);
    assert_eq!(decode(bytes, || 1), whole);
    let mut state = u32::from(seed);
    let random = decode(bytes, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 28) as usize
    });
    assert_eq!(random, whole);
    let (frames, complete) = whole;
    let mut wire = Vec::new();
    for (header, payload) in &frames {
        let mut room = [0; 18];
        let len = header
            .encode(&mut room)
            .expect("what was read can be written");
        assert_eq!(FrameHeader::decode(&room[..len]), Some((*header, len)));
        wire.extend_from_slice(&room[..len]);
        wire.extend_from_slice(payload);
    }
    assert!(
        wire.len() <= bytes.len(),
        "what is written is the shortest form"
    );
    if complete {
        assert_eq!(decode(&wire, || usize::MAX).0, frames);
    }
}

/// Encodes `payload`; the writer has to keep its word about the length.
fn encode<P: Payload>(payload: &P) -> Vec<u8> {
    let len = payload.encoded_len().expect("what was read can be written");
    let mut out = vec![0; len];
    assert_eq!(payload.encode(&mut out), Ok(len));
    if let Some(short) = len.checked_sub(1) {
        assert!(payload.encode(&mut out[..short]).is_err());
    }
    out
}

/// Decodes, encodes and decodes again as the type that `$payload` is.
macro_rules! round_trip {
    ($payload:ident as $($kind:ident),*) => {
        $(if let Ok(first) = $kind::decode($payload) {
            let wire = encode(&first);
            assert_eq!($kind::decode(&wire), Ok(first));
        })*
    };
}

/// Every payload decodes or is refused; what decodes, encodes to the same.
pub fn payloads(payload: &[u8]) {
    round_trip!(
        payload as Invoke,
        Cancel,
        Delegate,
        ErrorFrame,
        Resumable,
        Resume
    );
    match Budget::decode(payload) {
        // Only fields that nobody knows: nothing is left to write.
        Ok(budget) if budget == Budget::default() => {}
        Ok(budget) => assert_eq!(Budget::decode(&encode(&budget)), Ok(budget)),
        Err(_) => {}
    }
    names(payload);
    hello(payload);
    kept(payload);
    if let Ok(path) = Path::decode(payload) {
        assert_eq!(path.hops().count(), path.len());
        assert_eq!(Path::decode(&encode(&path)), Ok(path));
    }
    if let Ok((_, Some((block, covered)))) = Cancel::decode_signed(payload) {
        assert!(covered < payload.len());
        assert!(block.method.starts_with(block.did()));
    }
    if let Some((value, len)) = varint::decode(payload) {
        assert!(value <= varint::MAX && len <= payload.len());
        assert!(varint::encoded_len(value).is_some_and(|shortest| shortest <= len));
    }
    if let Ok(text) = core::str::from_utf8(payload) {
        identities(text);
    }
}

/// What is kept in files and rides in other frames comes from anybody, too.
fn kept(bytes: &[u8]) {
    if let Ok(ticket) = Ticket::decode(bytes) {
        let mut room = vec![0; Ticket::MAX_LEN];
        let again = ticket
            .encode(&mut room)
            .expect("it came out of fewer bytes");
        assert_eq!(Ticket::decode(again), Ok(ticket));
    }
    if let Some(accounting) = Accounting::decode(bytes) {
        let mut room = [0; MAX_LEN];
        let again = accounting.encode(&mut room).expect("the room is the most");
        assert_eq!(Accounting::decode(again), Some(accounting));
    }
}

/// INVOKE's names are found the same, whether the payload is whole or still coming.
fn names(payload: &[u8]) {
    let whole = Invoke::decode(payload);
    let mut have = 0;
    loop {
        match InvokeTarget::decode(&payload[..have]) {
            Ok(TargetProgress::Needs(more)) => {
                assert!(more > 0);
                have += more;
                if have > payload.len() {
                    assert!(whole.is_err());
                    return;
                }
            }
            Ok(TargetProgress::Done(target, len)) => {
                let whole = whole.expect("the names are whole");
                assert_eq!(len, have, "no byte behind the names is asked for");
                assert_eq!(
                    (whole.agent, whole.operation),
                    (target.agent, target.operation)
                );
                assert_eq!(whole.args, &payload[len..]);
                return;
            }
            Err(error) => {
                assert_eq!(whole, Err(error));
                return;
            }
        }
    }
}

fn hello(payload: &[u8]) {
    let Ok(hello) = Hello::decode(payload) else {
        return;
    };
    let entries: Vec<_> = hello.capabilities.iter().collect();
    assert_eq!(entries.len(), hello.capabilities.len());
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    match hello.block {
        Some(block) => {
            assert!(hello.covered + block.signature.len() + hello.trailing < payload.len());
        }
        None => assert_eq!((hello.covered, hello.trailing), (0, 0)),
    }
}

fn identities(text: &str) {
    let _verdict = check_name(text);
    if let Ok(did) = Did::parse(text) {
        let again = format!("did:{}:{}", did.method(), did.identifier());
        assert_eq!(again, text);
    }
    let keys = [
        PublicKey::from_multibase(text),
        PublicKey::from_did_key(text),
        PublicKey::from_did_key_method(text),
    ];
    for key in keys.into_iter().flatten() {
        let did_key = DidKey::new(&key);
        let texts = [
            did_key.did().trim_start_matches("did:key:"),
            did_key.did(),
            did_key.method(),
        ];
        assert!(texts.contains(&text), "one key, one text");
    }
}
