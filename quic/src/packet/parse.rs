//! What of a datagram can be read without keys (RFC 9000 §12.2, §17; RFC 8999).
//!
//! What makes no sense is dropped without a word, for anybody can send it: nothing here is an error.

use core::mem;

use super::{ConnectionId, FIXED, LONG, Long, Retry, Sealed, VERSION};
use crate::coding::Reader;

/// A packet whose protection, if it has one, still stands.
#[derive(Debug)]
pub(crate) enum Packet<'a> {
    /// Initial or Handshake.
    Long {
        kind: Long,
        destination: ConnectionId,
        source: ConnectionId,
        sealed: Sealed<'a>,
    },
    /// 1-RTT, or a stateless reset that looks like it.
    Short {
        destination: ConnectionId,
        sealed: Sealed<'a>,
    },
    /// The server wants to see its token before it does anything.
    Retry(Retry<'a>),
    /// The server does not speak our version.
    Versions(Versions<'a>),
}

/// A Version Negotiation packet (RFC 9000 §17.2.1).
#[derive(Debug)]
pub(crate) struct Versions<'a> {
    pub(crate) destination: ConnectionId,
    pub(crate) source: ConnectionId,
    versions: &'a [u8],
}

impl Versions<'_> {
    /// Whether the server claims to speak `version`.
    pub(crate) fn contains(&self, version: u32) -> bool {
        let (versions, _) = self.versions.as_chunks();
        versions.contains(&version.to_be_bytes())
    }
}

/// Splits a datagram into its packets. From the first that makes no sense, the rest is dropped: its
/// end cannot be told.
#[derive(Debug)]
pub(crate) struct Datagram<'a> {
    rest: &'a mut [u8],
    id_len: usize,
    destination: Option<ConnectionId>,
}

impl<'a> Datagram<'a> {
    /// `id_len` is the length of all connection ids that this end gave to the peer.
    pub(crate) fn new(bytes: &'a mut [u8], id_len: usize) -> Self {
        Self {
            rest: bytes,
            id_len,
            destination: None,
        }
    }

    /// Whether a packet to `destination` may be here: all packets of a datagram have the same.
    fn belongs(&mut self, destination: ConnectionId) -> bool {
        *self.destination.get_or_insert(destination) == destination
    }

    fn short(&mut self, bytes: &'a mut [u8]) -> Option<Packet<'a>> {
        let id_end = self.id_len.checked_add(1)?;
        let destination = ConnectionId::new(bytes.get(1..id_end)?)?;
        if !self.belongs(destination) {
            return None;
        }
        let sealed = Sealed::new(bytes, id_end)?;
        Some(Packet::Short {
            destination,
            sealed,
        })
    }

    /// The packet in front of `bytes`, unless it is of no use. `rest` is what follows it where its
    /// end can be told.
    fn long(&mut self, bytes: &'a mut [u8]) -> Option<Packet<'a>> {
        let total = bytes.len();
        let mut reader = Reader::new(bytes);
        let first = reader.u8()?;
        let version = reader.u32()?;
        let destination = ConnectionId::new(reader.u8_bytes()?)?;
        let source = ConnectionId::new(reader.u8_bytes()?)?;
        if !self.belongs(destination) {
            return None;
        }
        let at = total.saturating_sub(reader.len());
        if version == 0 {
            return versions(bytes.get(at..)?, destination, source);
        }
        if version != VERSION || first & FIXED == 0 {
            return None;
        }
        let kind = match first >> 4 & 3 {
            // A server has no token to show.
            0 => reader.varint_bytes()?.is_empty().then_some(Long::Initial),
            // 0-RTT goes to servers only.
            1 => None,
            2 => Some(Long::Handshake),
            _ => return Retry::new(bytes, at, destination, source).map(Packet::Retry),
        };
        let len = usize::try_from(reader.varint()?).ok()?;
        let number_at = total.saturating_sub(reader.len());
        let (packet, rest) = bytes.split_at_mut_checked(number_at.checked_add(len)?)?;
        self.rest = rest;
        let (kind, sealed) = (kind?, Sealed::new(packet, number_at)?);
        Some(Packet::Long {
            kind,
            destination,
            source,
            sealed,
        })
    }
}

impl<'a> Iterator for Datagram<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        loop {
            let bytes = mem::take(&mut self.rest);
            let first = *bytes.first()?;
            if first & LONG != 0 {
                if let Some(packet) = self.long(bytes) {
                    return Some(packet);
                }
            } else if first & FIXED != 0 {
                return self.short(bytes);
            } else {
                return None;
            }
        }
    }
}

fn versions(
    versions: &[u8],
    destination: ConnectionId,
    source: ConnectionId,
) -> Option<Packet<'_>> {
    if versions.is_empty() || !versions.len().is_multiple_of(4) {
        return None;
    }
    Some(Packet::Versions(Versions {
        destination,
        source,
        versions,
    }))
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const TO: &[u8] = &[1, 2, 3, 4];

    /// A long packet with a payload of `len` zeros, counted from the packet number.
    fn long(kind: u8, to: &[u8], len: u8) -> Vec<u8> {
        let mut packet = std::vec![0xc0 | kind << 4, 0, 0, 0, 1, to.len() as u8];
        packet.extend_from_slice(to);
        packet.extend_from_slice(&[2, 8, 9]);
        if kind == 0 {
            packet.push(0);
        }
        packet.extend_from_slice(&[0x40, len]);
        packet.extend(core::iter::repeat_n(0, usize::from(len)));
        packet
    }

    fn short(to: &[u8], len: usize) -> Vec<u8> {
        let mut packet = std::vec![0x40];
        packet.extend_from_slice(to);
        packet.extend(core::iter::repeat_n(0, len));
        packet
    }

    /// What the datagram is split into, one letter a packet.
    fn split(bytes: &mut [u8]) -> std::string::String {
        Datagram::new(bytes, TO.len())
            .map(|packet| match packet {
                Packet::Long {
                    kind: Long::Initial,
                    ..
                } => 'I',
                Packet::Long {
                    kind: Long::Handshake,
                    ..
                } => 'H',
                Packet::Short { .. } => 'S',
                Packet::Retry(_) => 'R',
                Packet::Versions(_) => 'V',
            })
            .collect()
    }

    #[test]
    fn coalesced_packets_are_split_and_know_their_ids() {
        let mut bytes = [long(0, TO, 30), long(2, TO, 20), short(TO, 40)].concat();
        for packet in Datagram::new(&mut bytes, TO.len()) {
            let (destination, source) = match packet {
                Packet::Long {
                    destination,
                    source,
                    ..
                } => (destination, Some(source)),
                Packet::Short { destination, .. } => (destination, None),
                other => panic!("{other:?}"),
            };
            assert_eq!(destination.as_slice(), TO);
            assert!(source.is_none_or(|source| source.as_slice() == [8, 9]));
        }
        assert_eq!(split(&mut bytes), "IHS");
    }

    #[test]
    fn what_follows_a_packet_to_another_id_is_dropped() {
        let mut bytes = [long(0, TO, 30), long(2, &[4, 3, 2, 1], 20), short(TO, 40)].concat();
        assert_eq!(split(&mut bytes), "I");
        let mut bytes = [long(2, TO, 30), short(&[4, 3, 2, 1], 40)].concat();
        assert_eq!(split(&mut bytes), "H");
    }

    #[test]
    fn packets_that_serve_nothing_are_passed_over() {
        let mut with_token = long(0, TO, 30);
        with_token[13] = 1;
        with_token.insert(14, 0xaa);
        let zero_rtt = long(1, TO, 30);
        let too_short = long(2, TO, 19);
        let mut bytes = [with_token, zero_rtt, too_short, long(2, TO, 20)].concat();
        assert_eq!(split(&mut bytes), "H");
    }

    #[test]
    fn a_packet_that_is_cut_is_dropped() {
        for whole in [long(0, TO, 30), long(2, TO, 30)] {
            for cut in 0..whole.len() {
                assert_eq!(split(&mut whole[..cut].to_vec()), "", "{cut}");
            }
        }
        let whole = short(TO, 20);
        assert_eq!(split(&mut whole.clone()), "S");
        for cut in 0..whole.len() {
            assert_eq!(split(&mut whole[..cut].to_vec()), "", "{cut}");
        }
    }

    #[test]
    fn another_version_an_overlong_id_and_a_missing_fixed_bit_end_a_datagram() {
        let mut bytes = long(2, TO, 30);
        bytes[4] = 2;
        assert_eq!(split(&mut bytes), "");
        assert_eq!(split(&mut long(2, &[1; 21], 30)), "");
        assert_eq!(split(&mut long(2, &[1; 20], 30)), "H");
        for mut bytes in [long(2, TO, 30), short(TO, 30)] {
            bytes[0] &= !FIXED;
            assert_eq!(split(&mut bytes), "");
        }
    }

    #[test]
    fn a_version_negotiation_lists_whole_versions() {
        let mut bytes = std::vec![0x80, 0, 0, 0, 0, 4, 1, 2, 3, 4, 1, 7];
        assert_eq!(split(&mut bytes.clone()), "");
        bytes.extend_from_slice(&[0xff, 0, 0, 0x1d, 0, 0, 0, 2]);
        match Datagram::new(&mut bytes.clone(), TO.len()).next() {
            Some(Packet::Versions(versions)) => {
                assert_eq!(versions.destination.as_slice(), TO);
                assert_eq!(versions.source.as_slice(), [7]);
                assert!(versions.contains(2) && versions.contains(0xff00_001d));
                assert!(!versions.contains(VERSION));
            }
            other => panic!("{other:?}"),
        }
        bytes.push(0);
        assert_eq!(split(&mut bytes), "");
    }

    proptest! {
        #[test]
        fn any_bytes_are_split_into_packets_that_lie_within(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            first in any::<u8>(),
            version in 0_u8..3,
            id_len in 0_usize..22,
        ) {
            if let Some(front) = bytes.first_chunk_mut::<5>() {
                *front = [first, 0, 0, 0, version];
            }
            prop_assert!(Datagram::new(&mut bytes, id_len).count() <= 300 / 8);
        }
    }
}
