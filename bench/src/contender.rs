//! The contenders' names, as the tables show them, and the one that is no codec at all.

use std::hint::black_box;

use crate::stream::Run;

/// `aire-proto`.
pub const OURS: &str = "aire-proto";
/// Cloudflare's cursor.
pub const OCTETS: &str = "octets";
/// Header fields, then a fresh vector.
pub const COPYING: &str = "allocate and copy";
/// The bytes moved, and nothing understood.
pub const MEMCPY: &str = "memcpy";

/// Copies every payload of `run` to the front of `out`, one after the other. That is no decoding:
/// it is what the copy alone costs that a decoder without copies saves, with the place of every
/// payload known beforehand.
#[inline(never)]
pub fn memcpy_payloads(run: &Run, out: &mut [u8]) {
    for frame in &run.frames {
        let Some(payload) = run.payloads.get(frame.payload.clone()) else {
            break;
        };
        memcpy(payload, out);
    }
}

/// Copies `bytes` to the front of `out`.
#[inline(always)]
pub fn memcpy(bytes: &[u8], out: &mut [u8]) {
    if let Some(place) = out.get_mut(..bytes.len()) {
        place.copy_from_slice(bytes);
        // Somebody may look at it now, so it has to be there.
        black_box(place);
    }
}
