//! Protection is taken off a packet, in place (RFC 9001 §5.3, §5.4).

use super::{PHASE, masked_bits, number, reserved_bits};
use crate::crypto::{Keys, OneRtt, SAMPLE_LEN};
use crate::error::{Code, Fault, fault};
use crate::time::{Instant, Micros};

/// The mask is made from what lies so far behind the packet number's beginning.
const SAMPLE_AT: usize = 4;

/// A packet whose protection still stands.
#[derive(Debug)]
pub(crate) struct Sealed<'a> {
    packet: &'a mut [u8],
    number_at: usize,
}

/// A packet that is authentic. It has a payload, and its reserved bits are 0.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened<'a> {
    pub(crate) number: u64,
    /// At least one byte of frames.
    pub(crate) payload: &'a [u8],
    /// Its keys are older than those that packets are written with now; what
    /// [`OneRtt::on_acked`] wants to know. Only of a 1-RTT packet.
    pub(crate) behind: bool,
}

/// A header without protection.
struct Header {
    first: u8,
    number: u64,
    len: usize,
}

impl<'a> Sealed<'a> {
    /// `None` when the packet is too short for a sample.
    pub(super) fn new(packet: &'a mut [u8], number_at: usize) -> Option<Self> {
        let sealed = Self { packet, number_at };
        sealed.sample().is_some().then_some(sealed)
    }

    fn sample(&self) -> Option<&[u8; SAMPLE_LEN]> {
        let at = self.number_at.checked_add(SAMPLE_AT)?;
        self.packet.get(at..)?.first_chunk()
    }

    /// Opens an Initial or Handshake packet; `largest` is the largest number that was opened in its
    /// space. `None` when it is not authentic.
    ///
    /// # Errors
    /// `PROTOCOL_VIOLATION` when reserved bits are set or there is no frame in it.
    pub(crate) fn open(
        mut self,
        keys: &Keys,
        largest: Option<u64>,
    ) -> Result<Option<Opened<'a>>, Fault> {
        let mask = self.sample().map(|sample| keys.mask(sample));
        let Some(header) = mask.and_then(|mask| self.unmask(mask, largest)) else {
            return Ok(None);
        };
        let Some((head, body)) = self.packet.split_at_mut_checked(header.len) else {
            return Ok(None);
        };
        match keys.open(header.number, head, body) {
            Some(len) => header.opened(body, len, false),
            None => Ok(None),
        }
    }

    /// Opens a 1-RTT packet; `largest` is the largest number that was opened in its space. The rest
    /// is as in [`OneRtt::open`]. `None` when it is not authentic.
    ///
    /// # Errors
    /// As [`OneRtt::open`], and `PROTOCOL_VIOLATION` when reserved bits are set or there is no frame
    /// in it.
    pub(crate) fn open_one_rtt(
        mut self,
        keys: &mut OneRtt,
        largest: Option<u64>,
        now: Instant,
        pto: Micros,
    ) -> Result<Option<Opened<'a>>, Fault> {
        let mask = self.sample().map(|sample| keys.read_mask(sample));
        let Some(header) = mask.and_then(|mask| self.unmask(mask, largest)) else {
            return Ok(None);
        };
        let Some((head, body)) = self.packet.split_at_mut_checked(header.len) else {
            return Ok(None);
        };
        let phase = header.first & PHASE != 0;
        match keys.open(header.number, phase, head, body, now, pto)? {
            Some(read) => header.opened(body, read.len, read.behind),
            None => Ok(None),
        }
    }

    fn unmask(&mut self, mask: [u8; 5], largest: Option<u64>) -> Option<Header> {
        let [first_mask, number_mask @ ..] = mask;
        let first = self.packet.first_mut()?;
        *first ^= first_mask & masked_bits(*first);
        let first = *first;
        let number_len = usize::from(first & 3).saturating_add(1);
        let len = self.number_at.checked_add(number_len)?;
        let mut cut = 0;
        let number = self.packet.get_mut(self.number_at..len)?;
        for (byte, mask) in number.iter_mut().zip(number_mask) {
            *byte ^= mask;
            cut = cut << 8 | u32::from(*byte);
        }
        Some(Header {
            first,
            number: number::complete(largest, cut, number_len),
            len,
        })
    }
}

impl Header {
    /// An authentic packet of this header, whose payload is the first `len` bytes of `body`.
    fn opened(self, body: &[u8], len: usize, behind: bool) -> Result<Option<Opened<'_>>, Fault> {
        let payload = body.get(..len).unwrap_or_default();
        if self.first & reserved_bits(self.first) != 0 {
            return Err(fault!(
                Code::PROTOCOL_VIOLATION,
                "a packet's reserved bits are set"
            ));
        }
        if payload.is_empty() {
            return Err(fault!(Code::PROTOCOL_VIOLATION, "a packet without frames"));
        }
        Ok(Some(Opened {
            number: self.number,
            payload,
            behind,
        }))
    }
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
    use crate::coding::Writer;
    use crate::config::{Config, Suite};
    use crate::crypto::{Pair, Secret};
    use crate::packet::rfc9001::*;
    use crate::packet::{ConnectionId, Datagram, Draft, Long, Packet};

    const NOW: Instant = Instant::from_micros(0);
    const PTO: Micros = Micros::from_secs(1);

    fn only(bytes: &mut [u8]) -> Sealed<'_> {
        match Datagram::new(bytes, 0).next() {
            Some(Packet::Long { sealed, .. } | Packet::Short { sealed, .. }) => sealed,
            other => panic!("{other:?}"),
        }
    }

    /// A client's and a server's keys.
    fn ends(suite: Suite) -> (OneRtt, OneRtt) {
        let (client, server) = (Secret::new([1; 32]), Secret::new([2; 32]));
        (
            OneRtt::new(suite, &client, &server),
            OneRtt::new(suite, &server, &client),
        )
    }

    /// A 1-RTT packet with `first` as its bare first byte.
    fn short(first: u8, number: u64, text: &[u8], keys: &mut OneRtt) -> Vec<u8> {
        let mut packet = [&[first, number as u8], text, &[0; 16]].concat();
        let (head, body) = packet.split_at_mut(2);
        keys.seal(number, head, body).unwrap();
        let mask = keys.write_mask(packet[5..].first_chunk().unwrap());
        packet[0] ^= mask[0] & 0x1f;
        packet[1] ^= mask[1];
        packet
    }

    #[test]
    fn the_initial_packets_of_rfc_9001_open() {
        let pair = Pair::initial(&hex(CLIENT_DESTINATION));
        let mut bytes = hex(CLIENT_INITIAL);
        let opened = only(&mut bytes).open(&pair.write, None).unwrap().unwrap();
        let frames = hex(CLIENT_FRAMES);
        assert_eq!((opened.number, opened.payload.len()), (2, 1162));
        assert_eq!(opened.payload[..frames.len()], frames);
        assert!(opened.payload[frames.len()..].iter().all(|byte| *byte == 0));

        let mut bytes = hex(SERVER_INITIAL);
        let opened = only(&mut bytes).open(&pair.read, None).unwrap().unwrap();
        assert_eq!(
            (opened.number, opened.payload),
            (1, &hex(SERVER_FRAMES)[..])
        );
        let mut bytes = hex(SERVER_INITIAL);
        assert_eq!(only(&mut bytes).open(&pair.write, None), Ok(None));
    }

    #[cfg(feature = "chacha20")]
    #[test]
    fn the_short_packet_of_rfc_9001_opens() {
        let secret = Secret::new(hex(SHORT_SECRET).try_into().unwrap());
        let mut keys = OneRtt::new(Suite::ChaCha20Poly1305, &Secret::ZERO, &secret);
        let mut bytes = hex(SHORT);
        let opened = only(&mut bytes)
            .open_one_rtt(&mut keys, Some(SHORT_NUMBER - 9), NOW, PTO)
            .unwrap()
            .unwrap();
        assert_eq!((opened.number, opened.payload), (SHORT_NUMBER, &[1][..]));
    }

    #[test]
    fn reserved_bits_are_a_violation_in_an_authentic_packet_only() {
        let (mut client, mut server) = ends(Suite::Aes128Gcm);
        for first in [0x48, 0x50, 0x58] {
            let mut packet = short(first, 0, b"frames", &mut server);
            let mut broken = packet.clone();
            *broken.last_mut().unwrap() ^= 1;
            let opened = only(&mut broken).open_one_rtt(&mut client, None, NOW, PTO);
            assert_eq!(opened, Ok(None));
            let opened = only(&mut packet).open_one_rtt(&mut client, None, NOW, PTO);
            assert_eq!(opened.unwrap_err().code, Code::PROTOCOL_VIOLATION);
        }
    }

    #[test]
    fn an_authentic_packet_without_frames_is_a_violation() {
        let (mut client, mut server) = ends(Suite::Aes128Gcm);
        // Three bytes of number too many make up for the payload.
        let mut packet = [&[0x43, 0, 0, 0, 0][..], &[0; 16]].concat();
        let (head, body) = packet.split_at_mut(5);
        server.seal(0, head, body).unwrap();
        let mask = server.write_mask(packet[5..].first_chunk().unwrap());
        packet[0] ^= mask[0] & 0x1f;
        for at in 1..5 {
            packet[at] ^= mask[at];
        }
        let opened = only(&mut packet).open_one_rtt(&mut client, None, NOW, PTO);
        assert_eq!(opened.unwrap_err().code, Code::PROTOCOL_VIOLATION);
    }

    proptest! {
        #[test]
        fn any_bytes_open_to_nothing(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            first in prop::sample::select(&[0x40_u8, 0xc0, 0xe0, 0xf0][..]),
            id_len in 0_usize..21,
            largest in proptest::option::of(any::<u64>()),
        ) {
            if let Some(front) = bytes.first_chunk_mut::<5>() {
                *front = [first, 0, 0, 0, 1];
            }
            let pair = Pair::initial(&[1]);
            let (mut client, _) = ends(Suite::Aes128Gcm);
            for packet in Datagram::new(&mut bytes, id_len) {
                match packet {
                    Packet::Long { sealed, .. } => {
                        prop_assert_eq!(sealed.open(&pair.read, largest), Ok(None));
                    }
                    Packet::Short { sealed, .. } => {
                        let opened = sealed.open_one_rtt(&mut client, largest, NOW, PTO);
                        prop_assert_eq!(opened, Ok(None));
                    }
                    Packet::Retry(retry) => {
                        prop_assert_eq!(retry.open(&ConnectionId::default()), None);
                    }
                    Packet::Versions(_) => {}
                }
            }
        }

        #[test]
        fn a_packet_opens_as_it_was_made_and_not_with_a_bit_flipped(
            number in 0_u64..1 << 40,
            acked in proptest::option::of(0_u64..100),
            text in proptest::collection::vec(any::<u8>(), 1..200),
            flipped in any::<proptest::sample::Index>(),
        ) {
            let largest = acked.map(|acked| number.saturating_sub(acked + 1));
            for suite in Config::SUITES {
                let (mut client, mut server) = ends(*suite);
                let pair = Pair::new(*suite, &Secret::new([1; 32]), &Secret::new([2; 32]));
                let mut bytes = [0xee; 300];
                let id = ConnectionId::default();

                let mut out = Writer::new(&mut bytes);
                let draft = Draft::long(&mut out, Long::Handshake, &id, &id, &[], number, largest);
                let draft = draft.unwrap();
                draft.frames(&mut out).bytes(&text).unwrap();
                draft.finish(&mut out, text.len(), 0, &pair.read).unwrap();
                let long_len = out.len();
                let draft = Draft::short(&mut out, &id, number, largest).unwrap();
                draft.frames(&mut out).bytes(&text[..50.min(text.len())]).unwrap();
                draft.finish_one_rtt(&mut out, 50.min(text.len()), 0, &mut server).unwrap();

                let written = out.written().to_vec();
                let (long, short) = written.split_at(long_len);
                // Four bytes are not enough for a large number to begin with.
                let known = largest.is_some() || number < 1 << 32;

                let mut copy = long.to_vec();
                let opened = only(&mut copy).open(&pair.read, largest).unwrap();
                prop_assert_eq!(opened.is_some(), known);
                if let Some(opened) = opened {
                    prop_assert_eq!(opened.number, number);
                    prop_assert!(opened.payload.starts_with(&text));
                }
                let mut copy = short.to_vec();
                let opened = only(&mut copy).open_one_rtt(&mut client, largest, NOW, PTO).unwrap();
                prop_assert_eq!(opened.is_some(), known);

                let mut copy = written.clone();
                let bit = flipped.index(copy.len() * 8);
                copy[bit / 8] ^= 1 << (bit % 8);
                let mut opened = 0;
                for packet in Datagram::new(&mut copy, 0) {
                    opened += usize::from(match packet {
                        Packet::Long { sealed, .. } => {
                            sealed.open(&pair.read, largest).unwrap().is_some()
                        }
                        Packet::Short { sealed, .. } => sealed
                            .open_one_rtt(&mut client, largest, NOW, PTO)
                            .unwrap()
                            .is_some(),
                        _ => false,
                    });
                }
                prop_assert!(opened < 2);
            }
        }
    }
}
