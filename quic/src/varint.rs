//! QUIC's variable-length integers (RFC 9000 §16).

/// The largest value that a varint can hold: 2^62 - 1.
pub(crate) const MAX: u64 = (1 << 62) - 1;

/// How many bytes the shortest encoding of `value` takes; values over [`MAX`] take 8 and lose their
/// top bits.
#[must_use]
pub(crate) const fn len(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}
