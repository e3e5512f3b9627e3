//! One QUIC variable-length integer (RFC 9000 §16), both ways (`WIRE-4` to `WIRE-6`).
//!
//! The two top bits of the first byte give the length, 1, 2, 4 or 8 bytes; the rest is the value,
//! big-endian. Encoding is always minimal; decoding accepts longer forms.

/// The largest value that a varint can hold: 2^62 - 1.
pub const MAX: u64 = (1 << 62) - 1;

/// The most bytes that a varint takes on the wire.
pub const MAX_LEN: usize = 8;

/// How many bytes the shortest encoding of `value` takes: 1, 2, 4 or 8, or `None` over [`MAX`].
#[inline]
#[must_use]
pub const fn encoded_len(value: u64) -> Option<usize> {
    match value {
        0..=0x3f => Some(1),
        0x40..=0x3fff => Some(2),
        0x4000..=0x3fff_ffff => Some(4),
        0x4000_0000..=MAX => Some(8),
        _ => None,
    }
}

/// Writes the shortest encoding of `value` to the front of `out`; returns its length.
///
/// `None`, and `out` untouched, when `value` is over [`MAX`] or `out` is too short.
#[inline]
pub fn encode(value: u64, out: &mut [u8]) -> Option<usize> {
    match value {
        0..=0x3f => {
            *out.first_mut()? = value as u8;
            Some(1)
        }
        0x40..=0x3fff => {
            *out.first_chunk_mut()? = (value as u16 | 0x4000).to_be_bytes();
            Some(2)
        }
        0x4000..=0x3fff_ffff => {
            *out.first_chunk_mut()? = (value as u32 | 0x8000_0000).to_be_bytes();
            Some(4)
        }
        0x4000_0000..=MAX => {
            *out.first_chunk_mut()? = (value | 0xc000_0000_0000_0000).to_be_bytes();
            Some(8)
        }
        _ => None,
    }
}

/// How many bytes the varint takes that begins with `first`: 1, 2, 4 or 8.
#[inline]
#[must_use]
pub const fn len_from_first(first: u8) -> usize {
    1 << (first >> 6)
}

/// Reads one varint from the front of `input`: the value, and how many bytes it took.
///
/// `None` when `input` ends before the varint does. Longer-than-minimal forms are accepted
/// (`WIRE-6`).
#[inline]
#[must_use]
pub fn decode(input: &[u8]) -> Option<(u64, usize)> {
    let first = *input.first()?;
    match first >> 6 {
        0 => Some((u64::from(first), 1)),
        1 => Some((
            u64::from(u16::from_be_bytes(*input.first_chunk()?) & 0x3fff),
            2,
        )),
        2 => Some((
            u64::from(u32::from_be_bytes(*input.first_chunk()?) & 0x3fff_ffff),
            4,
        )),
        _ => Some((u64::from_be_bytes(*input.first_chunk()?) & MAX, 8)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn every_length_round_trips_at_its_boundaries() {
        for (value, len) in [
            (0, 1),
            (63, 1),
            (64, 2),
            (16_383, 2),
            (16_384, 4),
            ((1 << 30) - 1, 4),
            (1 << 30, 8),
            (MAX, 8),
        ] {
            let mut out = [0; 8];
            assert_eq!(encode(value, &mut out), Some(len));
            assert_eq!(encoded_len(value), Some(len));
            assert_eq!(len_from_first(out[0]), len);
            assert_eq!(decode(&out[..len]), Some((value, len)));
            for cut in 0..len {
                assert_eq!(decode(&out[..cut]), None, "{value} cut at {cut}");
                assert_eq!(encode(value, &mut [0; 8][..cut]), None);
            }
        }
    }

    #[test]
    fn a_value_past_62_bits_has_no_encoding() {
        assert_eq!(encoded_len(MAX + 1), None);
        assert_eq!(encode(MAX + 1, &mut [0; 8]), None);
    }

    #[test]
    fn longer_than_minimal_encodings_are_accepted() {
        assert_eq!(decode(&[0x40, 0x05]), Some((5, 2)));
        assert_eq!(decode(&[0x80, 0, 0, 5]), Some((5, 4)));
        assert_eq!(decode(&[0xc0, 0, 0, 0, 0, 0, 0, 5]), Some((5, 8)));
    }
}
