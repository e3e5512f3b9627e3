//! How far an initiator has come with an operation (`RES-2` to `RES-4`).

use core::fmt;

use heapless::Vec;

#[cfg(feature = "postcard")]
use super::Ticket;
use crate::time::UnixMillis;
use crate::wire::{Resumable, Resume};

/// The longest token that a [`Progress`] holds, in bytes.
pub const MAX_TOKEN_LEN: usize = 256;

/// The token is longer than [`MAX_TOKEN_LEN`]: this side cannot resume the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TokenTooLong;

impl fmt::Display for TokenTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the token is longer than {MAX_TOKEN_LEN} bytes")
    }
}

impl core::error::Error for TokenTooLong {}

/// What an initiator has received of an operation, and the token to go on with.
///
/// It outlives the connection: after a RESUME the same one counts on. A frame of which only a part
/// came is not counted; it comes again from its start, and so may whole ones (`RES-7`).
#[derive(Clone, Default)]
pub struct Progress {
    received: u64,
    /// Empty while there is none.
    token: Vec<u8, MAX_TOKEN_LEN>,
    expires: UnixMillis,
}

impl Progress {
    /// Nothing received, and no token yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            received: 0,
            token: Vec::new(),
            expires: UnixMillis(0),
        }
    }

    /// Goes on where `ticket` was written.
    ///
    /// # Errors
    /// [`TokenTooLong`].
    #[cfg(feature = "postcard")]
    pub fn from_ticket(ticket: &Ticket<'_>) -> Result<Self, TokenTooLong> {
        Ok(Self {
            received: ticket.received,
            token: Vec::from_slice(ticket.token).map_err(|_| TokenTooLong)?,
            expires: ticket.expires,
        })
    }

    /// Counts a STREAM frame that has arrived to its last byte (`RES-4`).
    pub fn stream_received(&mut self) {
        self.received = self.received.saturating_add(1);
    }

    /// Takes the token of a RESUMABLE, in place of the one before (`RES-2`).
    ///
    /// # Errors
    /// [`TokenTooLong`]; the one before is gone all the same, since it need not be good any more.
    pub fn resumable(
        &mut self,
        resumable: &Resumable<'_>,
        now: UnixMillis,
    ) -> Result<(), TokenTooLong> {
        self.token.clear();
        self.token
            .extend_from_slice(resumable.token)
            .map_err(|_| TokenTooLong)?;
        let ttl = i64::try_from(resumable.ttl_secs.saturating_mul(1000)).unwrap_or(i64::MAX);
        self.expires = UnixMillis(now.0.saturating_add(ttl));
        Ok(())
    }

    /// How many STREAM frames have been received.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// When the token's time is over, by the initiator's clock; `None` without a token.
    #[must_use]
    pub fn expires(&self) -> Option<UnixMillis> {
        (!self.token.is_empty()).then_some(self.expires)
    }

    /// The RESUME to go on with, first on a new stream (`RES-3`); `None` without a token.
    #[must_use]
    pub fn resume(&self) -> Option<Resume<'_>> {
        (!self.token.is_empty()).then_some(Resume {
            token: &self.token,
            last_recv: self.received,
        })
    }

    /// What to write down to resume from another process; `None` without a token. See [`Ticket`]
    /// for the three strings.
    #[cfg(feature = "postcard")]
    #[must_use]
    pub fn ticket<'a>(
        &'a self,
        address: &'a str,
        agent: &'a str,
        operation: &'a str,
    ) -> Option<Ticket<'a>> {
        (!self.token.is_empty()).then_some(Ticket {
            address,
            agent,
            operation,
            token: &self.token,
            received: self.received,
            expires: self.expires,
        })
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token stays out of logs.
        f.debug_struct("Progress")
            .field("received", &self.received)
            .field("expires", &self.expires())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Progress {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "Progress {{ received: {}, expires: {} }}",
            self.received,
            self.expires()
        );
    }
}
