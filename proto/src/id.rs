//! Names for streams and operations (`WIRE-3`, `GAP-2`).

use core::fmt;
use core::num::NonZeroU64;

use crate::varint;

/// Which end of the QUIC connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Role {
    /// It dialled: its streams are 0 (control), 4, 8, ...
    Client,
    /// It was dialled: its streams are 1, 5, 9, ...
    Server,
}

/// A bidirectional QUIC stream's id. It also names the operation that lives on the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StreamId(u64);

impl StreamId {
    /// The control stream: the first that the client opens (`HS-1`).
    pub const CONTROL: Self = Self(0);

    /// The stream with QUIC's id `id`; `None` for a unidirectional one, which AIRE does not use,
    /// and for one past 2^62 - 1.
    #[must_use]
    pub const fn new(id: u64) -> Option<Self> {
        if id & 0b10 == 0 && id <= varint::MAX {
            Some(Self(id))
        } else {
            None
        }
    }

    /// QUIC's number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Which end opened it.
    #[must_use]
    pub const fn opener(self) -> Role {
        if self.0 & 1 == 0 {
            Role::Client
        } else {
            Role::Server
        }
    }

    /// The first operation stream that `role` opens (`GAP-16`).
    pub(crate) const fn first_operation(role: Role) -> Self {
        match role {
            Role::Client => Self(4),
            Role::Server => Self(1),
        }
    }

    /// The stream that the same end opens next; `None` after the last one.
    pub(crate) fn next(self) -> Option<Self> {
        self.0.checked_add(4).and_then(Self::new)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An operation's id on the wire: never 0, at most 2^62 - 1 (`WIRE-3`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OpId(NonZeroU64);

impl OpId {
    /// The operation id `id`; `None` for 0 and past 2^62 - 1.
    #[must_use]
    pub const fn new(id: u64) -> Option<Self> {
        match NonZeroU64::new(id) {
            Some(nonzero) if id <= varint::MAX => Some(Self(nonzero)),
            _ => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
