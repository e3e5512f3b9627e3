//! What waits to be sent on one stream, and how far it got.
//!
//! Envelopes and control frames are kept here, in the stream's outbox. A STREAM or INVOKE payload
//! stays with the application: the outbox remembers where between its bytes the payload belongs,
//! so what goes out is `head`, then the application's bytes, then `tail`.

use core::ops::Range;

use crate::storage::Buffer;
use crate::wire::{EncodeError, FrameHeader, MAX_HEADER_LEN, Payload};

/// How a stream's sending side ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fin {
    /// More may come.
    #[default]
    Open,
    /// FIN follows what is in the outbox.
    Queued,
    /// FIN, or a reset, is with the transport.
    Sent,
}

/// The sending side of one stream.
#[derive(Debug, Default)]
pub(super) struct Outgoing<B> {
    bytes: B,
    /// How much of `bytes` is with the transport. The numbers are small, and an operation counts
    /// every byte.
    sent: u32,
    /// Where in `bytes` the application's payload belongs, while there is one.
    payload_at: u32,
    /// How long the application's payload is, and how much of it is still to go.
    payload_len: u32,
    payload_left: u32,
    pub(super) fin: Fin,
    /// The transport took less than it was offered.
    pub(super) blocked: bool,
}

/// The next bytes for the transport, in this order: `head`, `payload`, `tail`, FIN.
pub(super) struct Next<'a> {
    pub(super) head: &'a [u8],
    pub(super) payload: Range<u64>,
    pub(super) tail: &'a [u8],
    pub(super) fin: bool,
}

/// There is no room in the outbox, or a payload is already on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Busy,
    Full { needed: usize },
    Encoding(EncodeError),
}

impl<B: Buffer> Outgoing<B> {
    /// Queues a control frame, whole.
    pub(super) fn push<P: Payload>(&mut self, op_id: u64, frame: &P) -> Result<(), Refused> {
        let payload_len = frame.encoded_len().map_err(Refused::Encoding)?;
        let mut envelope = [0; MAX_HEADER_LEN];
        let envelope_len = FrameHeader::new(P::TYPE, op_id, payload_len as u64)
            .encode(&mut envelope)
            .map_err(Refused::Encoding)?;
        let needed = envelope_len.saturating_add(payload_len);
        let room = self.bytes.grow(needed).ok_or(Refused::Full { needed })?;
        if let Some((head, body)) = room.split_at_mut_checked(envelope_len) {
            head.copy_from_slice(envelope.get(..envelope_len).unwrap_or_default());
            frame.encode(body).map_err(Refused::Encoding)?;
        }
        Ok(())
    }

    /// Queues an envelope, and `front` behind it, for a frame whose other `payload_len` bytes the
    /// application holds.
    pub(super) fn announce(
        &mut self,
        header: FrameHeader,
        front: &impl Payload,
        payload_len: u64,
    ) -> Result<(), Refused> {
        if self.payload_left > 0 {
            return Err(Refused::Busy);
        }
        let mut envelope = [0; MAX_HEADER_LEN];
        let envelope_len = header.encode(&mut envelope).map_err(Refused::Encoding)?;
        let front_len = front.encoded_len().map_err(Refused::Encoding)?;
        let needed = envelope_len.saturating_add(front_len);
        let before = self.bytes.as_slice().len();
        let room = self.bytes.grow(needed).ok_or(Refused::Full { needed })?;
        if let Some((head, body)) = room.split_at_mut_checked(envelope_len) {
            head.copy_from_slice(envelope.get(..envelope_len).unwrap_or_default());
            front.encode(body).map_err(Refused::Encoding)?;
        }
        self.payload_at = small(before.saturating_add(needed));
        self.payload_len = u32::try_from(payload_len).unwrap_or(u32::MAX);
        self.payload_left = self.payload_len;
        Ok(())
    }

    /// The outbox itself, to build a frame in place; it must be empty. `start` is where the
    /// frame begins.
    pub(super) fn build(
        &mut self,
        write: impl FnOnce(&mut B) -> Result<usize, EncodeError>,
    ) -> Result<(), EncodeError> {
        self.bytes.truncate(0);
        self.sent = small(write(&mut self.bytes)?);
        Ok(())
    }

    /// Whether the application's last payload is with the transport, so that it may reuse its
    /// memory and announce another.
    pub(super) const fn payload_done(&self) -> bool {
        self.payload_left == 0
    }

    /// Whether nothing is left for the transport, FIN included.
    pub(super) fn is_flushed(&self) -> bool {
        self.is_drained() && self.fin != Fin::Queued
    }

    /// Whether no byte is left for the transport.
    fn is_drained(&self) -> bool {
        self.payload_left == 0 && self.sent as usize == self.bytes.as_slice().len()
    }

    /// Whether the transport could be offered something now.
    pub(super) fn wants_to_send(&self) -> bool {
        !self.blocked && !self.is_flushed()
    }

    pub(super) fn next(&self) -> Next<'_> {
        let bytes = self.bytes.as_slice();
        let (cut, payload) = if self.payload_left > 0 {
            let begun = self.payload_len.saturating_sub(self.payload_left);
            let payload = u64::from(begun)..u64::from(self.payload_len);
            (self.payload_at as usize, payload)
        } else {
            (bytes.len(), 0..0)
        };
        Next {
            head: bytes
                .get((self.sent as usize).min(cut)..cut)
                .unwrap_or_default(),
            payload,
            tail: bytes.get(cut..).unwrap_or_default(),
            fin: self.fin == Fin::Queued,
        }
    }

    /// Notes that the transport took `count` bytes of what [`next`](Self::next) offered, and FIN
    /// behind them when `fin`.
    pub(super) fn took(&mut self, count: u64, fin: bool) {
        let next = self.next();
        let (head, payload) = (
            next.head.len() as u64,
            next.payload.end.saturating_sub(next.payload.start),
        );
        let total = head
            .saturating_add(payload)
            .saturating_add(next.tail.len() as u64);
        let of_head = count.min(head);
        let of_payload = count.saturating_sub(head).min(payload);
        let of_tail = count.saturating_sub(head).saturating_sub(payload);
        let of_payload = u32::try_from(of_payload).unwrap_or(u32::MAX);
        self.payload_left = self.payload_left.saturating_sub(of_payload);
        let of_bytes = u32::try_from(of_head.saturating_add(of_tail)).unwrap_or(u32::MAX);
        let len = small(self.bytes.as_slice().len());
        self.sent = self.sent.saturating_add(of_bytes).min(len);
        self.blocked = count < total;
        if self.is_drained() {
            self.bytes.truncate(0);
            self.sent = 0;
            if self.fin == Fin::Queued {
                if fin {
                    self.fin = Fin::Sent;
                } else {
                    self.blocked = true;
                }
            }
        }
    }

    /// Drops what was not sent: the stream is reset.
    pub(super) fn abandon(&mut self) {
        self.bytes.truncate(0);
        self.sent = 0;
        self.payload_left = 0;
        self.blocked = false;
        self.fin = Fin::Sent;
    }
}

/// An outbox is far smaller than 4 GiB.
fn small(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
