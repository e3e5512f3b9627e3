//! What an operation used, as its terminal frame may say (A.1, `BUD-11`). The protocol never
//! depends on it.
//!
//! It rides in an ERROR's data, or as the payload of the last STREAM: the four bytes `ACC1`, and
//! then in postcard's encoding `tokens_in`, `tokens_out`, `cost`, `duration_ms`. The four bytes
//! tell it from other data.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::budget::{Charge, Ledger};
use crate::wire::Currency;

/// What an accounting begins with.
pub const MAGIC: [u8; 4] = *b"ACC1";

/// The most bytes that an accounting takes: the four, four numbers of at most ten, and the
/// currency behind the byte that says whether there is a cost.
pub const MAX_LEN: usize = 48;

/// Money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cost {
    /// Millionths of the currency's unit.
    pub amount: u64,
    /// ISO 4217: three ASCII letters.
    pub currency: [u8; 3],
}

/// What an operation used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Accounting {
    /// Tokens that were read.
    pub tokens_in: u64,
    /// Tokens that were produced.
    pub tokens_out: u64,
    /// Missing when nothing was paid.
    pub cost: Option<Cost>,
    /// Milliseconds from the operation's beginning to its end.
    pub duration_ms: u64,
}

/// The slice is too short for the accounting. [`MAX_LEN`] always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BufferTooSmall;

impl core::fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "the buffer is too small: an accounting takes up to {MAX_LEN} bytes"
        )
    }
}

impl core::error::Error for BufferTooSmall {}

impl Accounting {
    /// What `ledger` counted. It counts tokens of both directions: those that were not read,
    /// `tokens_in`, were produced.
    #[must_use]
    pub fn from_ledger(ledger: &Ledger, tokens_in: u64, duration: Duration) -> Self {
        let spent = ledger.spent();
        let currency = spent.currency.unwrap_or(Currency::USD);
        Self {
            tokens_in,
            tokens_out: spent.tokens.saturating_sub(tokens_in),
            cost: (spent.cost_microunits > 0).then_some(Cost {
                amount: spent.cost_microunits,
                currency: *currency.letters(),
            }),
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// What it comes to, for whoever set the budget.
    #[must_use]
    pub fn spent(&self) -> Charge {
        Charge {
            tokens: self.tokens_in.saturating_add(self.tokens_out),
            cost_microunits: self.cost.map_or(0, |cost| cost.amount),
            currency: self.cost.and_then(|cost| Currency::new(cost.currency)),
        }
    }

    /// Writes it to the front of `out`; gives back what was written.
    ///
    /// # Errors
    /// [`BufferTooSmall`]; what is in `out` is of no use then.
    pub fn encode<'a>(&self, out: &'a mut [u8]) -> Result<&'a mut [u8], BufferTooSmall> {
        let (magic, fields) = out.split_first_chunk_mut().ok_or(BufferTooSmall)?;
        *magic = MAGIC;
        let written = postcard::to_slice(self, fields).map_err(|_| BufferTooSmall)?;
        let len = MAGIC.len().saturating_add(written.len());
        out.get_mut(..len).ok_or(BufferTooSmall)
    }

    /// Reads an accounting; `None` when the bytes are something else. Bytes that follow are a
    /// later version's, and ignored.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let fields = bytes.strip_prefix(&MAGIC)?;
        let (accounting, _later) = postcard::take_from_bytes::<Self>(fields).ok()?;
        match accounting.cost {
            Some(cost) => Currency::new(cost.currency).map(|_| accounting),
            None => Some(accounting),
        }
    }
}
