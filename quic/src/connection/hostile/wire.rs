//! Packets as the server makes and reads them. It shares the ciphers with the client, and nothing
//! else: headers are written and read anew.

use std::vec;
use std::vec::Vec;

use super::frames::varint;
use crate::coding::Reader;
use crate::crypto::Keys;
use crate::recovery::Space;

/// A packet, each part of which may be wrong.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) space: Space,
    /// Set in the first byte, beside what belongs there: reserved bits, the phase.
    pub(crate) bits: u8,
    pub(crate) version: u32,
    pub(crate) destination: Vec<u8>,
    pub(crate) source: Vec<u8>,
    pub(crate) token: Vec<u8>,
    pub(crate) number: u64,
    pub(crate) payload: Vec<u8>,
}

impl Wire {
    /// The packet as it travels. Its number takes four bytes.
    pub(crate) fn seal(&self, keys: &Keys, header_keys: &Keys) -> Vec<u8> {
        let kind = match self.space {
            Space::Initial => 0xc3,
            Space::Handshake => 0xe3,
            Space::Application => 0x43,
        };
        let mut packet = vec![kind | self.bits];
        if self.space == Space::Application {
            packet.extend(&self.destination);
        } else {
            packet.extend(self.version.to_be_bytes());
            for id in [&self.destination, &self.source] {
                packet.push(id.len() as u8);
                packet.extend(id);
            }
            if self.space == Space::Initial {
                packet.extend(varint(self.token.len() as u64));
                packet.extend(&self.token);
            }
            packet.extend(((self.payload.len() as u16 + 20) | 0x4000).to_be_bytes());
        }
        let number_at = packet.len();
        packet.extend((self.number as u32).to_be_bytes());
        let mut body = self.payload.clone();
        body.extend([0; 16]);
        keys.seal(self.number, &packet, &mut body).unwrap();
        packet.extend(body);
        let mask = header_keys.mask(packet[number_at + 4..].first_chunk().unwrap());
        packet[0] ^= mask[0] & masked(packet[0]);
        for (byte, mask) in packet[number_at..].iter_mut().take(4).zip(&mask[1..]) {
            *byte ^= mask;
        }
        packet
    }
}

const fn masked(first: u8) -> u8 {
    if first & 0x80 == 0 { 0x1f } else { 0x0f }
}

/// One of a client's packets, still sealed.
pub(super) struct Sealed {
    pub(super) space: Space,
    pub(super) source: Vec<u8>,
    pub(super) token: Vec<u8>,
    bytes: Vec<u8>,
    /// Where it goes to, and where its number begins. A short header does not say how long the id
    /// is: there may be several that fit.
    ends: Vec<(Vec<u8>, usize)>,
}

/// A client's packet.
pub(super) struct Opened {
    pub(super) destination: Vec<u8>,
    pub(super) number: u64,
    pub(super) phase: bool,
    pub(super) payload: Vec<u8>,
}

/// Takes a client's datagram apart. `ids` are the server's.
pub(super) fn split(mut datagram: &[u8], ids: &[Vec<u8>]) -> Vec<Sealed> {
    let mut all = vec![];
    while !datagram.is_empty() {
        let mut reader = Reader::new(datagram);
        let first = reader.u8().unwrap();
        assert!(first & 0x40 != 0, "no fixed bit");
        let (mut source, mut token) = (vec![], vec![]);
        let (space, end, ends);
        if first & 0x80 == 0 {
            let fitting = ids.iter().filter(|id| reader.rest().starts_with(id));
            ends = fitting.map(|id| (id.clone(), 1 + id.len())).collect();
            (space, end) = (Space::Application, datagram.len());
        } else {
            assert_eq!(reader.u32(), Some(1));
            let destination = reader.u8_bytes().unwrap().to_vec();
            source = reader.u8_bytes().unwrap().to_vec();
            space = match first >> 4 & 3 {
                0 => {
                    token = reader.varint_bytes().unwrap().to_vec();
                    Space::Initial
                }
                2 => Space::Handshake,
                other => panic!("a client sends no packet of type {other}"),
            };
            let len = reader.varint().unwrap() as usize;
            let number_at = datagram.len() - reader.len();
            end = number_at + len;
            ends = vec![(destination, number_at)];
        }
        all.push(Sealed {
            space,
            source,
            token,
            bytes: datagram[..end].to_vec(),
            ends,
        });
        datagram = &datagram[end..];
    }
    all
}

impl Sealed {
    /// Where a long header goes to.
    pub(super) fn destination(&self) -> &[u8] {
        &self.ends[0].0
    }

    /// Opens it by whichever of `keys` does that; the first hide the header.
    pub(super) fn open(&self, keys: &[&Keys]) -> Option<Opened> {
        let opened = |(destination, number_at): &(Vec<u8>, usize)| {
            let (number, phase, payload) = self.open_at(*number_at, keys)?;
            Some(Opened {
                destination: destination.clone(),
                number,
                phase,
                payload,
            })
        };
        self.ends.iter().find_map(opened)
    }

    /// Number, phase bit and payload. Clients do not send so many packets that their numbers wrap
    /// more than a few times.
    fn open_at(&self, number_at: usize, keys: &[&Keys]) -> Option<(u64, bool, Vec<u8>)> {
        let mut packet = self.bytes.clone();
        let mask = keys[0].mask(packet.get(number_at + 4..)?.first_chunk()?);
        packet[0] ^= mask[0] & masked(packet[0]);
        let number_len = usize::from(packet[0] & 3) + 1;
        let mut cut = 0;
        for (byte, mask) in packet[number_at..]
            .iter_mut()
            .take(number_len)
            .zip(&mask[1..])
        {
            *byte ^= mask;
            cut = cut << 8 | u64::from(*byte);
        }
        let reserved = if packet[0] & 0x80 == 0 { 0x18 } else { 0x0c };
        let (head, body) = packet.split_at(number_at + number_len);
        let window = 1_u64 << (8 * number_len);
        for key in keys {
            for round in 0..8 {
                let number = cut + round * window;
                let mut body = body.to_vec();
                if let Some(len) = key.open(number, head, &mut body) {
                    assert_eq!(head[0] & reserved, 0, "reserved bits");
                    body.truncate(len);
                    return Some((number, head[0] & 4 != 0, body));
                }
            }
        }
        None
    }
}
