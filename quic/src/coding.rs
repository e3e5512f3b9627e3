//! Cursors over borrowed bytes: everything on the wire is read and written through them.

use crate::varint;

/// Reads from the front of a slice. `None` means that it ended too early; the cursor is then where
/// the failed read began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Option<u32> {
        self.array()
            .map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A varint of any length form (RFC 9000 §16).
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let first = *self.rest.first()?;
        match first >> 6 {
            0 => self.u8().map(u64::from),
            1 => self.u16().map(|value| u64::from(value & 0x3fff)),
            2 => self.u32().map(|value| u64::from(value & 0x3fff_ffff)),
            _ => self
                .array()
                .map(|bytes| u64::from_be_bytes(bytes) & varint::MAX),
        }
    }

    /// Bytes behind a varint with their length.
    pub(crate) fn varint_bytes(&mut self) -> Option<&'a [u8]> {
        let mut probe = *self;
        let count = usize::try_from(probe.varint()?).ok()?;
        let bytes = probe.bytes(count)?;
        *self = probe;
        Some(bytes)
    }

    /// Bytes behind a length of one byte, as TLS has them.
    pub(crate) fn u8_bytes(&mut self) -> Option<&'a [u8]> {
        let mut probe = *self;
        let count = usize::from(probe.u8()?);
        let bytes = probe.bytes(count)?;
        *self = probe;
        Some(bytes)
    }

    /// Bytes behind a length of two bytes.
    pub(crate) fn u16_bytes(&mut self) -> Option<&'a [u8]> {
        let mut probe = *self;
        let count = usize::from(probe.u16()?);
        let bytes = probe.bytes(count)?;
        *self = probe;
        Some(bytes)
    }

    /// Bytes behind a length of three bytes.
    pub(crate) fn u24_bytes(&mut self) -> Option<&'a [u8]> {
        let mut probe = *self;
        let count = usize::try_from(probe.u24()?).ok()?;
        let bytes = probe.bytes(count)?;
        *self = probe;
        Some(bytes)
    }
}

/// Writes to the front of a slice. `None` means that there is no room; nothing was written then.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(out: &'a mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    /// How much has been written.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// How much more there is room for.
    pub(crate) const fn room(&self) -> usize {
        self.out.len().saturating_sub(self.len)
    }

    /// What has been written.
    pub(crate) fn written(&self) -> &[u8] {
        self.out.get(..self.len).unwrap_or_default()
    }

    /// What has been written, to be changed in place.
    pub(crate) fn written_mut(&mut self) -> &mut [u8] {
        self.out.get_mut(..self.len).unwrap_or_default()
    }

    /// Forgets what was written behind the first `len` bytes.
    pub(crate) const fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
        }
    }

    /// The next `count` bytes, for the caller to fill.
    pub(crate) fn reserve(&mut self, count: usize) -> Option<&mut [u8]> {
        let end = self.len.checked_add(count)?;
        let taken = self.out.get_mut(self.len..end)?;
        self.len = end;
        Some(taken)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.reserve(bytes.len())?.copy_from_slice(bytes);
        Some(())
    }

    pub(crate) fn u8(&mut self, value: u8) -> Option<()> {
        self.bytes(&[value])
    }

    pub(crate) fn u16(&mut self, value: u16) -> Option<()> {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> Option<()> {
        self.bytes(&value.to_be_bytes())
    }

    /// The shortest varint of `value`, which is at most [`varint::MAX`].
    pub(crate) fn varint(&mut self, value: u64) -> Option<()> {
        match varint::len(value) {
            1 => self.u8(value as u8),
            2 => self.u16(value as u16 | 0x4000),
            4 => self.u32(value as u32 | 0x8000_0000),
            _ => self.bytes(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_at_every_boundary_and_a_cut_one_is_none() {
        for (value, len) in [
            (0, 1),
            (63, 1),
            (64, 2),
            (16_383, 2),
            (16_384, 4),
            ((1 << 30) - 1, 4),
            (1 << 30, 8),
            (varint::MAX, 8),
        ] {
            let mut out = [0; 8];
            let mut writer = Writer::new(&mut out);
            writer.varint(value).unwrap();
            assert_eq!(writer.len(), len);
            assert_eq!(Reader::new(&out[..len]).varint(), Some(value));
            for cut in 0..len {
                assert_eq!(Reader::new(&out[..cut]).varint(), None);
                assert!(Writer::new(&mut [0; 8][..cut]).varint(value).is_none());
            }
        }
    }

    #[test]
    fn the_examples_of_rfc_9000_appendix_a_decode() {
        let long = [0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c];
        assert_eq!(Reader::new(&long).varint(), Some(151_288_809_941_952_652));
        assert_eq!(
            Reader::new(&[0x9d, 0x7f, 0x3e, 0x7d]).varint(),
            Some(494_878_333)
        );
        assert_eq!(Reader::new(&[0x7b, 0xbd]).varint(), Some(15_293));
        assert_eq!(Reader::new(&[0x40, 0x25]).varint(), Some(37));
    }

    #[test]
    fn a_read_that_fails_moves_nothing() {
        let mut reader = Reader::new(&[0, 5, 1, 2]);
        assert_eq!(reader.u16_bytes(), None);
        assert_eq!(reader.len(), 4);
        let mut out = [0; 3];
        let mut writer = Writer::new(&mut out);
        assert!(writer.u32(1).is_none());
        assert_eq!((writer.len(), writer.room()), (0, 3));
    }
}
