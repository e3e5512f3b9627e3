//! Retry packets (RFC 9000 §17.2.5, RFC 9001 §5.8).

use super::ConnectionId;
use crate::crypto::{TAG_LEN, is_retry_authentic};

/// A Retry packet, not yet known to be authentic.
#[derive(Debug)]
pub(crate) struct Retry<'a> {
    pub(crate) destination: ConnectionId,
    /// What the next Initial packets go to.
    pub(crate) source: ConnectionId,
    packet: &'a mut [u8],
    token_at: usize,
}

impl<'a> Retry<'a> {
    /// The longest connection id that [`Self::open`] can check against.
    pub(crate) const MAX_ORIGINAL: usize = TAG_LEN - 1;

    /// `None` when there is no token, which a client must not take.
    pub(super) fn new(
        packet: &'a mut [u8],
        token_at: usize,
        destination: ConnectionId,
        source: ConnectionId,
    ) -> Option<Self> {
        if packet.len() <= token_at.saturating_add(TAG_LEN) {
            return None;
        }
        Some(Self {
            destination,
            source,
            packet,
            token_at,
        })
    }

    /// The token, when the packet answers an Initial packet that went to `original`. `None` when it
    /// is not authentic.
    ///
    /// The tag covers `original` and then the packet, in one piece: the packet is moved over its own
    /// tag to make room. So `original` has at most [`Self::MAX_ORIGINAL`] bytes.
    pub(crate) fn open(self, original: &ConnectionId) -> Option<&'a [u8]> {
        let original = original.as_slice();
        let (covered, tag) = self.packet.split_last_chunk::<TAG_LEN>()?;
        let tag = *tag;
        let covered_len = covered.len();
        let shift = original.len().checked_add(1)?;
        let end = covered_len.checked_add(shift)?;
        let pseudo = self.packet.get_mut(..end)?;
        pseudo.copy_within(..covered_len, shift);
        let (id_len, rest) = pseudo.split_first_mut()?;
        *id_len = original.len() as u8;
        rest.get_mut(..original.len())?.copy_from_slice(original);
        if !is_retry_authentic(pseudo, &tag) {
            return None;
        }
        let pseudo: &'a [u8] = pseudo;
        pseudo.get(self.token_at.checked_add(shift)?..)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;
    use crate::packet::rfc9001::*;
    use crate::packet::{Datagram, Packet};

    fn id(digits: &str) -> ConnectionId {
        ConnectionId::new(&hex(digits)).unwrap()
    }

    fn token(packet: &mut [u8], original: &ConnectionId) -> Option<std::vec::Vec<u8>> {
        match Datagram::new(packet, 0).next() {
            Some(Packet::Retry(retry)) => {
                assert_eq!(retry.source, id(SERVER_SOURCE));
                assert_eq!(retry.destination, id(""));
                Some(retry.open(original)?.to_vec())
            }
            _ => None,
        }
    }

    #[test]
    fn the_retry_of_rfc_9001_gives_its_token() {
        assert_eq!(
            token(&mut hex(RETRY), &id(CLIENT_DESTINATION)).unwrap(),
            b"token"
        );
    }

    #[test]
    fn a_retry_that_answers_another_packet_is_not_authentic() {
        assert_eq!(token(&mut hex(RETRY), &id("8394c8f03e515709")), None);
        assert_eq!(token(&mut hex(RETRY), &id("8394c8f03e5157")), None);
    }

    #[test]
    fn a_retry_with_any_bit_flipped_gives_nothing() {
        let packet = hex(RETRY);
        for bit in 0..packet.len() * 8 {
            let mut packet = packet.clone();
            packet[bit / 8] ^= 1 << (bit % 8);
            let opened = match Datagram::new(&mut packet, 0).next() {
                Some(Packet::Retry(retry)) => retry.open(&id(CLIENT_DESTINATION)).is_some(),
                _ => false,
            };
            assert!(!opened, "bit {bit}");
        }
    }

    #[test]
    fn a_retry_without_a_token_is_dropped() {
        let packet = hex(RETRY);
        let mut without = [&packet[..15], &packet[20..]].concat();
        assert!(Datagram::new(&mut without, 0).next().is_none());
    }

    #[test]
    fn an_original_id_that_leaves_no_room_gives_nothing() {
        let long = ConnectionId::new(&[1; Retry::MAX_ORIGINAL + 1]).unwrap();
        assert_eq!(token(&mut hex(RETRY), &long), None);
    }
}
