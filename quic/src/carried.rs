//! What a packet carried, remembered until it is acknowledged or lost.

/// At most this many frames about a stream, or of the handshake, go into one packet.
pub(crate) const MAX_PIECES: usize = 3;

/// Frames that are sent again from current state, so that one bit each is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    /// MAX_DATA.
    pub(crate) const MAX_DATA: Self = Self(1);
    /// MAX_STREAMS for bidirectional streams.
    pub(crate) const MAX_STREAMS: Self = Self(1 << 1);

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What one piece was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The piece is empty.
    #[default]
    Nothing,
    /// CRYPTO; `stream` says nothing.
    Crypto,
    /// STREAM without FIN.
    Stream,
    /// STREAM with FIN; `len` may be 0.
    StreamFin,
    /// RESET_STREAM.
    Reset,
    /// STOP_SENDING.
    Stop,
    /// MAX_STREAM_DATA.
    MaxStreamData,
    /// NEW_CONNECTION_ID; `offset` is its number.
    NewId,
    /// RETIRE_CONNECTION_ID; `offset` is its number.
    RetireId,
}

/// One frame about a stream or of the handshake. A device moves less than 4 GiB within any window,
/// so the low 32 bits of an offset and of a stream id are enough to know which is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) kind: Kind,
    pub(crate) stream: u32,
    pub(crate) offset: u32,
    pub(crate) len: u16,
}

/// What one packet carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// The largest packet number of its ACK frame, plus one; 0 when it had none. Once this packet
    /// is acknowledged, the peer needs not hear of those again (RFC 9000 §13.2.4).
    pub(crate) acked_below: u64,
    pub(crate) flags: Flags,
    pieces: [Piece; MAX_PIECES],
}

impl Carried {
    /// Whether another piece fits. Ask before writing its frame.
    pub(crate) fn has_room(&self) -> bool {
        self.pieces.iter().any(|piece| piece.kind == Kind::Nothing)
    }

    /// Remembers `piece`; without room nothing happens.
    pub(crate) fn push(&mut self, piece: Piece) {
        if let Some(free) = self
            .pieces
            .iter_mut()
            .find(|piece| piece.kind == Kind::Nothing)
        {
            *free = piece;
        }
    }

    pub(crate) fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.pieces
            .iter()
            .filter(|piece| piece.kind != Kind::Nothing)
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The peer has it.
    Acked,
    /// It is taken for lost, or is to be repeated in a probe: what it carried is sent again.
    Lost,
}
