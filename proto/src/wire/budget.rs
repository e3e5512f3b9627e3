//! BUDGET: `NumEntry:varint`, then entries `FieldID:u8, Length:varint, Value` (`BUD-1`, `BUD-2`).

use core::fmt;

use super::{FrameType, Malformed, Payload, Reader, Writer};
use crate::time::UnixMillis;
use crate::varint;

const TOKENS: u8 = 0x01;
const COST: u8 = 0x02;
const CURRENCY: u8 = 0x03;
const DEADLINE: u8 = 0x04;
/// Ours: what was spent so far. Other implementations skip them (`BUD-1`).
const TOKENS_SPENT: u8 = 0x81;
const COST_SPENT: u8 = 0x82;

/// An ISO 4217 code: three ASCII letters, kept as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Currency([u8; 3]);

impl Currency {
    /// What a cost without a currency is in.
    pub const USD: Self = Self(*b"USD");

    /// The currency `letters`; `None` when they are not ASCII letters.
    #[must_use]
    pub fn new(letters: [u8; 3]) -> Option<Self> {
        letters
            .iter()
            .all(u8::is_ascii_alphabetic)
            .then_some(Self(letters))
    }

    /// Whether both are the same currency, in letters of either case.
    #[must_use]
    pub const fn matches(&self, other: Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }

    /// The three letters.
    #[must_use]
    pub const fn letters(&self) -> &[u8; 3] {
        &self.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.0).unwrap_or("???"))
    }
}

/// What an operation may still spend: absolute, and the latest one counts (`BUD-5`). A field that
/// is missing sets no limit (`BUD-3`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Budget {
    /// Tokens.
    pub tokens: Option<u64>,
    /// Millionths of the currency's unit.
    pub cost_microunits: Option<u64>,
    /// What the cost is in; US dollars when missing.
    pub currency: Option<Currency>,
    /// The moment at which work must have ended.
    pub deadline: Option<UnixMillis>,
    /// Tokens that the responder has spent so far. With this or the next field the frame is a
    /// report: it informs the initiator, and limits nobody. A field of ours (0x81).
    pub tokens_spent: Option<u64>,
    /// Millionths of the currency's unit that the responder has spent so far. A field of ours
    /// (0x82).
    pub cost_microunits_spent: Option<u64>,
}

impl Budget {
    /// Whether this reports what was spent, rather than sets what may be.
    #[must_use]
    pub const fn is_report(&self) -> bool {
        self.tokens_spent.is_some() || self.cost_microunits_spent.is_some()
    }

    /// Reads a payload; unknown fields are skipped.
    ///
    /// # Errors
    /// [`Malformed`]: no entry, a field twice, a value of the wrong length, a bad currency.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let entries = reader.varint()?;
        if entries == 0 {
            return Err(Malformed::NoBudgetEntry);
        }
        let mut budget = Self::default();
        let mut seen = [false; 256];
        for _ in 0..entries {
            let field = reader.u8()?;
            let value = reader.prefixed()?;
            let slot = seen
                .get_mut(usize::from(field))
                .ok_or(Malformed::Truncated)?;
            if core::mem::replace(slot, true) {
                return Err(Malformed::DuplicateBudgetField);
            }
            budget.set(field, value)?;
        }
        Ok(budget)
    }

    fn set(&mut self, field: u8, value: &[u8]) -> Result<(), Malformed> {
        match field {
            TOKENS => self.tokens = Some(whole_varint(value)?),
            COST => self.cost_microunits = Some(whole_varint(value)?),
            CURRENCY => {
                let letters = value.try_into().map_err(|_| Malformed::Currency)?;
                self.currency = Some(Currency::new(letters).ok_or(Malformed::Currency)?);
            }
            DEADLINE => {
                let bytes = value.try_into().map_err(|_| Malformed::BudgetValueLength)?;
                self.deadline = Some(UnixMillis(i64::from_be_bytes(bytes)));
            }
            TOKENS_SPENT => self.tokens_spent = Some(whole_varint(value)?),
            COST_SPENT => self.cost_microunits_spent = Some(whole_varint(value)?),
            _ => {}
        }
        Ok(())
    }
}

/// A varint that fills its value exactly.
fn whole_varint(value: &[u8]) -> Result<u64, Malformed> {
    match varint::decode(value) {
        Some((number, len)) if len == value.len() => Ok(number),
        _ => Err(Malformed::BudgetValueLength),
    }
}

impl Payload for Budget {
    const TYPE: FrameType = FrameType::Budget;
    const SINCE_MINOR: u64 = 3;

    fn write(&self, out: &mut Writer<'_>) {
        let entries = [
            self.tokens.is_some(),
            self.cost_microunits.is_some(),
            self.currency.is_some(),
            self.deadline.is_some(),
            self.tokens_spent.is_some(),
            self.cost_microunits_spent.is_some(),
        ];
        out.varint(entries.iter().filter(|present| **present).count() as u64);
        write_number(out, TOKENS, self.tokens);
        write_number(out, COST, self.cost_microunits);
        if let Some(currency) = &self.currency {
            out.u8(CURRENCY);
            out.prefixed(currency.letters());
        }
        if let Some(deadline) = self.deadline {
            out.u8(DEADLINE);
            out.prefixed(&deadline.0.to_be_bytes());
        }
        write_number(out, TOKENS_SPENT, self.tokens_spent);
        write_number(out, COST_SPENT, self.cost_microunits_spent);
    }
}

fn write_number(out: &mut Writer<'_>, field: u8, number: Option<u64>) {
    if let Some(number) = number {
        out.u8(field);
        out.varint(varint::encoded_len(number).unwrap_or(0) as u64);
        out.varint(number);
    }
}
