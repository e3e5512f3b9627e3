//! A payload there and back: by two connections, and by codecs alone, which is what a connection
//! would cost if it knew nothing of operations, limits, deadlines and flow control.

use std::hint::black_box;

use aire_proto::storage::Storage;

use crate::contender::memcpy;
use crate::link::Link;
use crate::measure::Pages;
use crate::stream::Run;
use crate::{copying, cursor, ours};

/// The payload sizes that are echoed, in bytes.
pub const ECHOES: [usize; 3] = [100, 1024, 65_536];

/// One echo, each time it is called.
pub type Echo = Box<dyn FnMut() -> u64>;

/// By two connections with an operation open: STREAM there, STREAM back.
#[must_use]
pub fn by_connections<S: Storage + 'static>(payload: &[u8]) -> Echo {
    let mut link: Link<S, S> = Link::connected(payload.len() + 64);
    let stream = link.open();
    let payload = payload.to_vec();
    Box::new(move || link.echo(stream, black_box(&payload)).len() as u64)
}

/// Twice: encode with the payload copied into the transport's buffer, decode from there.
fn by_codec(payload: &[u8], encode: fn(&Run, &mut [u8]) -> u64, decode: fn(&[u8]) -> u64) -> Echo {
    let run = Run::one(payload.len());
    let mut wire = Pages::new(run.wire.len());
    Box::new(move || {
        let mut found = 0;
        for _ in 0..2 {
            let wire = wire.as_mut_slice();
            encode(black_box(&run), black_box(wire));
            found += decode(black_box(wire));
        }
        found
    })
}

/// By `aire-proto`'s codec.
#[must_use]
pub fn by_our_codec(payload: &[u8]) -> Echo {
    by_codec(payload, ours::encode_copied, ours::decode)
}

/// By `octets`.
#[must_use]
pub fn by_octets(payload: &[u8]) -> Echo {
    by_codec(payload, cursor::encode_copied, cursor::decode)
}

/// By vectors: one built for each frame that is sent, one for each that is received, and the
/// sent one copied to the transport.
#[must_use]
pub fn by_copying(payload: &[u8]) -> Echo {
    by_codec(
        payload,
        |run, out| {
            let sent = copying::encode(run);
            memcpy(&run.wire, out);
            sent
        },
        copying::decode,
    )
}

/// The payload's bytes moved to the transport's buffer, twice, and nothing else.
#[must_use]
pub fn by_memcpy(payload: &[u8]) -> Echo {
    by_codec(
        payload,
        |run, out| {
            memcpy(&run.payloads, out);
            0
        },
        |_| 0,
    )
}
