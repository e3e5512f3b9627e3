//! Cursors over borrowed bytes: reading fields, and writing them while counting what they take.

use super::{EncodeError, Malformed};
use crate::varint;

/// Reads fields from the front of a payload.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `payload`.
    #[must_use]
    pub const fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// What has not been read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// One varint.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let (value, len) = varint::decode(self.rest).ok_or(Malformed::Truncated)?;
        self.bytes(len)?;
        Ok(value)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| *byte)
    }

    /// Eight bytes, a big-endian signed number.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(|bytes| i64::from_be_bytes(*bytes))
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(array)
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A varint length and that many bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn prefixed(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.varint()?;
        self.bytes(usize::try_from(len).map_err(|_| Malformed::Truncated)?)
    }

    /// A varint length and that many bytes of UTF-8 (`WIRE-16`).
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::NotUtf8`].
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        core::str::from_utf8(self.prefixed()?).map_err(|_| Malformed::NotUtf8)
    }
}

/// Writes fields to the front of a slice. Past the slice's end it only counts, so one pass says
/// how long the whole is; the first number that no varint can hold is remembered.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
    number_too_large: bool,
}

impl<'a> Writer<'a> {
    /// A writer at the start of `out`.
    #[must_use]
    pub const fn new(out: &'a mut [u8]) -> Self {
        Self {
            out,
            len: 0,
            number_too_large: false,
        }
    }

    /// One varint, in its shortest form (`WIRE-5`).
    #[inline]
    pub fn varint(&mut self, value: u64) {
        let room = self.out.get_mut(self.len..).unwrap_or_default();
        let written = varint::encode(value, room).or_else(|| varint::encoded_len(value));
        match written {
            Some(len) => self.len = self.len.saturating_add(len),
            None => self.number_too_large = true,
        }
    }

    /// One byte.
    pub fn u8(&mut self, byte: u8) {
        self.bytes(&[byte]);
    }

    /// These bytes.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(room) = self.out.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
        }
        self.len = end;
    }

    /// A varint length and these bytes.
    pub fn prefixed(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.bytes(bytes);
    }

    /// How many bytes the fields take so far, written or only counted.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no field was written yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The length of what was written.
    ///
    /// # Errors
    /// [`EncodeError`] when it did not fit, or had no encoding.
    pub const fn finish(self) -> Result<usize, EncodeError> {
        if self.number_too_large {
            Err(EncodeError::NumberTooLarge)
        } else if self.len > self.out.len() {
            Err(EncodeError::BufferTooSmall { needed: self.len })
        } else {
            Ok(self.len)
        }
    }
}
