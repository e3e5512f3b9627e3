//! Packets are begun, filled with frames, and sealed where they are (RFC 9000 §17, RFC 9001 §5).

use super::{ConnectionId, FIXED, LONG, Long, PHASE, VERSION, masked_bits, number};
use crate::coding::Writer;
use crate::crypto::{Keys, OneRtt, SAMPLE_LEN, TAG_LEN};
use crate::error::{Code, Fault, fault};

/// So many bytes of packet number and payload a packet has at least, for its mask to be made of
/// what is behind them (RFC 9001 §5.4.2).
const MIN_SEALED: usize = 4;

/// The Length field has two bytes: a datagram is never so long that it would not fit.
const LENGTH_LEN: usize = 2;

/// A packet that was begun at the end of what `out` has. Write frames through [`Self::frames`], then
/// finish it, or give it up.
#[derive(Debug)]
pub(crate) struct Draft {
    number: u64,
    /// Where in `out` the packet begins, its packet number begins, and its payload begins.
    start: usize,
    number_at: usize,
    payload_at: usize,
}

impl Draft {
    /// Begins an Initial or Handshake packet; `token` is for Initial packets. `largest_acked` is the
    /// largest number of this space that the peer acknowledged. `None`, and nothing was written,
    /// when there is no room.
    pub(crate) fn long(
        out: &mut Writer<'_>,
        kind: Long,
        destination: &ConnectionId,
        source: &ConnectionId,
        token: &[u8],
        number: u64,
        largest_acked: Option<u64>,
    ) -> Option<Self> {
        let start = out.len();
        let number_len = number::len(number, largest_acked);
        let draft = write_long(out, kind, destination, source, token, number_len)
            .and_then(|()| Self::numbered(out, start, number, number_len));
        if draft.is_none() {
            out.truncate(start);
        }
        draft
    }

    /// Begins a 1-RTT packet. The spin bit is not used: it stays 0.
    pub(crate) fn short(
        out: &mut Writer<'_>,
        destination: &ConnectionId,
        number: u64,
        largest_acked: Option<u64>,
    ) -> Option<Self> {
        let start = out.len();
        let number_len = number::len(number, largest_acked);
        let draft = out
            .u8(FIXED | length_bits(number_len))
            .and_then(|()| out.bytes(destination.as_slice()))
            .and_then(|()| Self::numbered(out, start, number, number_len));
        if draft.is_none() {
            out.truncate(start);
        }
        draft
    }

    fn numbered(out: &mut Writer<'_>, start: usize, number: u64, len: usize) -> Option<Self> {
        let number_at = out.len();
        let bytes = number.to_be_bytes();
        out.bytes(bytes.get(bytes.len().checked_sub(len)?..)?)?;
        (out.room() >= TAG_LEN.saturating_add(MIN_SEALED)).then_some(Self {
            number,
            start,
            number_at,
            payload_at: out.len(),
        })
    }

    /// Where the packet's frames go. Each call begins anew.
    pub(crate) fn frames<'b>(&self, out: &'b mut Writer<'_>) -> Writer<'b> {
        out.truncate(self.payload_at);
        let room = out.room().saturating_sub(TAG_LEN);
        Writer::new(out.reserve(room).unwrap_or_default())
    }

    /// Takes the packet away again.
    pub(crate) const fn abandon(self, out: &mut Writer<'_>) {
        out.truncate(self.start);
    }

    /// Seals an Initial or Handshake packet whose first `frames` bytes of payload were written, and
    /// says how long it is. PADDING follows the frames until `out` has `pad_to` bytes in all.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when `out` has no room for that.
    pub(crate) fn finish(
        self,
        out: &mut Writer<'_>,
        frames: usize,
        pad_to: usize,
        keys: &Keys,
    ) -> Result<usize, Fault> {
        let (head, body) = self.close(out, frames, pad_to).ok_or(NO_ROOM)?;
        let number_len = head.len().saturating_sub(self.number_offset());
        let len = number_len.saturating_add(body.len()) as u16;
        if let Some(length) = self
            .number_offset()
            .checked_sub(LENGTH_LEN)
            .and_then(|at| head.get_mut(at..)?.first_chunk_mut())
        {
            *length = (len | 0x4000).to_be_bytes();
        }
        keys.seal(self.number, head, body).ok_or(NO_ROOM)?;
        let sample = self.sample(out).ok_or(NO_ROOM)?;
        let mask = keys.mask(sample);
        self.mask(out, mask).ok_or(NO_ROOM)
    }

    /// Seals a 1-RTT packet, as [`Self::finish`] does others.
    ///
    /// # Errors
    /// As [`Self::finish`] and [`OneRtt::seal`].
    pub(crate) fn finish_one_rtt(
        self,
        out: &mut Writer<'_>,
        frames: usize,
        pad_to: usize,
        keys: &mut OneRtt,
    ) -> Result<usize, Fault> {
        let (head, body) = self.close(out, frames, pad_to).ok_or(NO_ROOM)?;
        if let Some(first) = head.first_mut()
            && keys.phase()
        {
            *first |= PHASE;
        }
        keys.seal(self.number, head, body)?;
        let sample = self.sample(out).ok_or(NO_ROOM)?;
        let mask = keys.write_mask(sample);
        self.mask(out, mask).ok_or(NO_ROOM)
    }

    /// Where the packet number begins, from the packet's beginning.
    const fn number_offset(&self) -> usize {
        self.number_at.saturating_sub(self.start)
    }

    /// Pads, makes room for the tag, and splits the packet into its header and the rest.
    fn close<'b>(
        &self,
        out: &'b mut Writer<'_>,
        frames: usize,
        pad_to: usize,
    ) -> Option<(&'b mut [u8], &'b mut [u8])> {
        let number_len = self.payload_at.checked_sub(self.number_at)?;
        let payload = pad_to
            .saturating_sub(self.payload_at)
            .saturating_sub(TAG_LEN)
            .max(MIN_SEALED.saturating_sub(number_len))
            .max(frames);
        out.truncate(self.payload_at);
        let body = out.reserve(payload.checked_add(TAG_LEN)?)?;
        body.get_mut(frames..)?.fill(0);
        out.written_mut()
            .get_mut(self.start..)?
            .split_at_mut_checked(self.payload_at.checked_sub(self.start)?)
    }

    /// What the mask of the packet, which is sealed, is made of.
    fn sample<'b>(&self, out: &'b Writer<'_>) -> Option<&'b [u8; SAMPLE_LEN]> {
        let at = self.number_at.checked_add(MIN_SEALED)?;
        out.written().get(at..)?.first_chunk()
    }

    /// Masks the header, and says how long the packet is.
    fn mask(&self, out: &mut Writer<'_>, mask: [u8; 5]) -> Option<usize> {
        let [first_mask, number_mask @ ..] = mask;
        let written = out.written_mut();
        let number = written.get_mut(self.number_at..self.payload_at)?;
        for (byte, mask) in number.iter_mut().zip(number_mask) {
            *byte ^= mask;
        }
        let packet = written.get_mut(self.start..)?;
        let first = packet.first_mut()?;
        *first ^= first_mask & masked_bits(*first);
        Some(packet.len())
    }
}

/// A long header up to its Length, which stays open.
fn write_long(
    out: &mut Writer<'_>,
    kind: Long,
    destination: &ConnectionId,
    source: &ConnectionId,
    token: &[u8],
    number_len: usize,
) -> Option<()> {
    let kind_bits = match kind {
        Long::Initial => 0x00,
        Long::Handshake => 0x20,
    };
    out.u8(LONG | FIXED | kind_bits | length_bits(number_len))?;
    out.u32(VERSION)?;
    for id in [destination.as_slice(), source.as_slice()] {
        out.u8(id.len() as u8)?;
        out.bytes(id)?;
    }
    if kind == Long::Initial {
        out.varint(token.len() as u64)?;
        out.bytes(token)?;
    }
    out.u16(0)
}

const fn length_bits(number_len: usize) -> u8 {
    number_len.saturating_sub(1) as u8
}

const NO_ROOM: Fault = fault!(Code::INTERNAL_ERROR, "no room for a packet");

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;
    use crate::config::Suite;
    use crate::crypto::{Pair, Secret};
    use crate::packet::rfc9001::*;

    fn id(digits: &str) -> ConnectionId {
        ConnectionId::new(&hex(digits)).unwrap()
    }

    fn initial(out: &mut Writer<'_>, number: u64) -> Option<Draft> {
        let (to, from) = (id("0102030405060708"), id("aabb"));
        Draft::long(out, Long::Initial, &to, &from, b"token", number, None)
    }

    /// An Initial packet whose number takes `number_len` bytes, whatever was acknowledged.
    fn sealed(
        to: &str,
        from: &str,
        number: u64,
        number_len: usize,
        frames: &[u8],
        pad_to: usize,
        keys: &Keys,
    ) -> std::vec::Vec<u8> {
        let mut bytes = [0xee; 1200];
        let mut out = Writer::new(&mut bytes);
        write_long(&mut out, Long::Initial, &id(to), &id(from), &[], number_len).unwrap();
        let draft = Draft::numbered(&mut out, 0, number, number_len).unwrap();
        draft.frames(&mut out).bytes(frames).unwrap();
        let len = draft.finish(&mut out, frames.len(), pad_to, keys).unwrap();
        assert_eq!(len, out.len());
        out.written().to_vec()
    }

    #[test]
    fn the_initial_packets_of_rfc_9001_are_made_byte_for_byte() {
        let pair = Pair::initial(&hex(CLIENT_DESTINATION));
        let (client, server) = (hex(CLIENT_FRAMES), hex(SERVER_FRAMES));
        assert_eq!(
            sealed(CLIENT_DESTINATION, "", 2, 4, &client, 1200, &pair.write),
            hex(CLIENT_INITIAL)
        );
        assert_eq!(
            sealed("", SERVER_SOURCE, 1, 2, &server, 0, &pair.read),
            hex(SERVER_INITIAL)
        );
    }

    #[cfg(feature = "chacha20")]
    #[test]
    fn the_short_packet_of_rfc_9001_is_made_byte_for_byte() {
        let secret = Secret::new(hex(SHORT_SECRET).try_into().unwrap());
        let mut keys = OneRtt::new(Suite::ChaCha20Poly1305, &secret, &Secret::ZERO);
        let mut bytes = [0xee; 64];
        let mut out = Writer::new(&mut bytes);
        let acked = Some(SHORT_NUMBER - 40_000);
        let draft = Draft::short(&mut out, &id(""), SHORT_NUMBER, acked).unwrap();
        draft.frames(&mut out).u8(1).unwrap();
        draft.finish_one_rtt(&mut out, 1, 0, &mut keys).unwrap();
        assert_eq!(out.written(), hex(SHORT));
    }

    #[test]
    fn a_packet_has_at_least_what_its_mask_is_made_of() {
        let pair = Pair::initial(&[1]);
        let mut bytes = [0; 100];
        let mut out = Writer::new(&mut bytes);
        let draft = initial(&mut out, 0).unwrap();
        let payload_at = draft.payload_at;
        draft.finish(&mut out, 0, 0, &pair.write).unwrap();
        assert_eq!(out.len(), payload_at + 3 + TAG_LEN);
    }

    #[test]
    fn padding_is_counted_from_the_datagram_s_beginning() {
        let pair = Pair::initial(&[1]);
        let mut bytes = [0; 1300];
        let mut out = Writer::new(&mut bytes);
        for pad_to in [300, 1200] {
            let before = out.len();
            let draft = initial(&mut out, 7).unwrap();
            let len = draft.finish(&mut out, 0, pad_to, &pair.write).unwrap();
            assert_eq!((out.len(), len), (pad_to, pad_to - before));
        }
    }

    #[test]
    fn frames_leave_room_for_the_tag() {
        let pair = Pair::initial(&[1]);
        let mut bytes = [0; 80];
        let mut out = Writer::new(&mut bytes);
        let draft = initial(&mut out, 0).unwrap();
        let room = draft.frames(&mut out).room();
        draft.finish(&mut out, room, 0, &pair.write).unwrap();
        assert_eq!(out.room(), 0);
    }

    #[test]
    fn without_room_nothing_is_written() {
        let mut bytes = [0; 80];
        for len in 0..=80 {
            let mut out = Writer::new(&mut bytes[..len]);
            let header = 1 + 4 + 9 + 3 + 6 + 2 + 1;
            let fits = len >= header + MIN_SEALED + TAG_LEN;
            assert_eq!(initial(&mut out, 0).is_some(), fits);
            assert_eq!(out.len(), if fits { header } else { 0 });
            let mut out = Writer::new(&mut bytes[..len]);
            let fits = len >= 1 + 2 + 1 + MIN_SEALED + TAG_LEN;
            let draft = Draft::short(&mut out, &id("aabb"), 0, None);
            assert_eq!(draft.is_some(), fits);
            assert_eq!(out.len(), if fits { 4 } else { 0 });
        }
    }

    #[test]
    fn padding_beyond_the_buffer_is_an_error() {
        let pair = Pair::initial(&[1]);
        let mut bytes = [0; 100];
        let mut out = Writer::new(&mut bytes);
        let draft = initial(&mut out, 0).unwrap();
        assert_eq!(draft.finish(&mut out, 0, 101, &pair.write), Err(NO_ROOM));
    }

    #[test]
    fn a_packet_that_is_given_up_leaves_nothing() {
        let mut bytes = [0; 100];
        let mut out = Writer::new(&mut bytes);
        out.u8(9).unwrap();
        let draft = initial(&mut out, 0).unwrap();
        draft.frames(&mut out).bytes(&[1; 9]).unwrap();
        draft.abandon(&mut out);
        assert_eq!(out.written(), [9]);
    }

    #[test]
    fn a_packet_after_an_update_has_the_other_phase() {
        let mut keys = OneRtt::new(
            Suite::Aes128Gcm,
            &Secret::new([1; 32]),
            &Secret::new([2; 32]),
        );
        let mut bytes = [0; 100];
        let mut first_bytes = std::vec::Vec::new();
        for number in 0..2 {
            let mut out = Writer::new(&mut bytes);
            let draft = Draft::short(&mut out, &id(""), number, None).unwrap();
            draft.finish_one_rtt(&mut out, 0, 0, &mut keys).unwrap();
            let packet = out.written();
            let mask = keys.write_mask(packet[5..].first_chunk().unwrap());
            first_bytes.push(packet[0] ^ mask[0] & 0x1f);
            keys.on_acked(number, false).unwrap();
            assert_eq!(keys.initiate(crate::Instant::default()), number == 0);
        }
        assert_eq!(first_bytes, [0x40, 0x44]);
    }
}
