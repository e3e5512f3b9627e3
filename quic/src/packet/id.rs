//! Connection ids (RFC 9000 §5.1).

use core::fmt;

/// A connection id of version 1: 0 to 20 bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(align(4))]
pub(crate) struct ConnectionId {
    len: u8,
    /// Zeros behind the id, so that equal ids are equal here.
    bytes: [u8; Self::MAX],
}

impl ConnectionId {
    /// The longest, in bytes.
    pub(crate) const MAX: usize = 20;

    /// `None` when there are too many bytes.
    pub(crate) fn new(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self {
            len: id.len() as u8,
            bytes,
        })
    }

    #[inline(never)]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_up_to_20_bytes_are_kept_and_longer_ones_refused() {
        let bytes = [9; 21];
        for len in 0..=20 {
            assert_eq!(
                ConnectionId::new(&bytes[..len]).unwrap().as_slice(),
                &bytes[..len]
            );
        }
        assert_eq!(ConnectionId::new(&bytes), None);
    }

    #[test]
    fn an_id_differs_from_the_same_with_a_zero_behind() {
        assert_ne!(ConnectionId::new(&[1]), ConnectionId::new(&[1, 0]));
    }
}
