//! What becomes of a packet's content once the packet is acknowledged or lost.

use super::crypto_stream::Outgoing;
use crate::carried::{Carried, Fate, Kind};
use crate::cid::{Local, Remote};
use crate::recovery::Received;
use crate::stream::Streams;

/// All that hears of a packet's fate.
pub(super) struct Books<'a, 'm> {
    pub(super) streams: &'a mut Streams<'m>,
    pub(super) outgoing: &'a mut Outgoing,
    pub(super) local_ids: &'a mut Local,
    pub(super) remote_ids: &'a mut Remote,
    /// Of the packet's space.
    pub(super) received: &'a mut Received,
}

impl Books<'_, '_> {
    pub(super) fn settle(&mut self, fate: Fate, carried: &Carried) {
        match fate {
            Fate::Acked => self.acked(carried),
            Fate::Lost => self.lost(carried),
        }
    }

    fn acked(&mut self, carried: &Carried) {
        if carried.acked_below > 0 {
            self.received.on_ack_acked(carried.acked_below);
        }
        for piece in carried.pieces() {
            if piece.kind == Kind::RetireId {
                self.remote_ids.on_retire_acked(piece.offset);
            }
        }
        self.streams.on_acked(carried);
    }

    fn lost(&mut self, carried: &Carried) {
        for piece in carried.pieces() {
            match piece.kind {
                Kind::Crypto => self.outgoing.on_lost(piece),
                Kind::NewId => self.local_ids.set_told(piece.offset, false),
                Kind::RetireId => self.remote_ids.set_retire_told(piece.offset, false),
                _ => {}
            }
        }
        self.streams.on_lost(carried);
    }
}
