//! A resumable operation, written down by its initiator.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::time::UnixMillis;
use crate::wire::Resume;

/// All that it takes to resume an operation from another process, later.
///
/// In bytes it is a version byte, then the fields in their order, in postcard's encoding. Whoever
/// has it may be able to resume the operation: it belongs where secrets are kept. The responder
/// asks for the initiator's identity besides (`GAP-17`), which is not in it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket<'a> {
    /// Where the operation runs: an `aire://` URI.
    pub address: &'a str,
    /// The agent that works on it.
    pub agent: &'a str,
    /// The operation's name, for the person who finds the ticket.
    pub operation: &'a str,
    /// The token of the last RESUMABLE (`RES-2`).
    pub token: &'a [u8],
    /// How many whole STREAM frames were received (`RES-4`).
    pub received: u64,
    /// When the token's time is over, by the initiator's clock.
    #[serde(with = "unix_millis")]
    pub expires: UnixMillis,
}

/// Why a ticket could not be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TicketError {
    /// It is of another version, or no ticket.
    Version(u8),
    /// It ends too early, or a field cannot be what it says.
    Malformed,
    /// Bytes follow it.
    TrailingBytes,
    /// A string is over [`Ticket::MAX_STRING_LEN`], or the token over [`Ticket::MAX_TOKEN_LEN`].
    TooLong,
    /// The slice to write to is too short. [`Ticket::MAX_LEN`] bytes always do.
    BufferTooSmall,
}

impl fmt::Display for TicketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "a ticket of the unknown version {version}"),
            Self::Malformed => f.write_str("not a ticket"),
            Self::TrailingBytes => f.write_str("bytes follow the ticket"),
            Self::TooLong => f.write_str("a string or the token is too long for a ticket"),
            Self::BufferTooSmall => f.write_str("the buffer is too small for the ticket"),
        }
    }
}

impl core::error::Error for TicketError {}

impl<'a> Ticket<'a> {
    /// The version that this crate writes, and the only one that it reads.
    pub const VERSION: u8 = 1;

    /// The longest address, agent or operation, in bytes.
    pub const MAX_STRING_LEN: usize = 1024;

    /// The longest token, in bytes.
    pub const MAX_TOKEN_LEN: usize = 4096;

    /// The most bytes that a ticket takes: the version, three strings and the token with two bytes
    /// for the length of each, and two numbers of up to ten bytes.
    pub const MAX_LEN: usize = 1 + 3 * (2 + Self::MAX_STRING_LEN) + (2 + Self::MAX_TOKEN_LEN) + 20;

    /// Writes the ticket to the front of `out`; returns what was written.
    ///
    /// # Errors
    /// [`TicketError::TooLong`], [`TicketError::BufferTooSmall`].
    pub fn encode<'b>(&self, out: &'b mut [u8]) -> Result<&'b mut [u8], TicketError> {
        self.check_lengths()?;
        let (version, fields) = out.split_first_mut().ok_or(TicketError::BufferTooSmall)?;
        *version = Self::VERSION;
        let len = postcard::to_slice(self, fields)
            .map_err(|_| TicketError::BufferTooSmall)?
            .len();
        out.get_mut(..len.saturating_add(1))
            .ok_or(TicketError::BufferTooSmall)
    }

    /// Reads a ticket, which is all of `bytes`.
    ///
    /// # Errors
    /// [`TicketError`], any but [`BufferTooSmall`](TicketError::BufferTooSmall).
    pub fn decode(bytes: &'a [u8]) -> Result<Self, TicketError> {
        let (&version, fields) = bytes.split_first().ok_or(TicketError::Malformed)?;
        if version != Self::VERSION {
            return Err(TicketError::Version(version));
        }
        let (ticket, rest): (Self, _) =
            postcard::take_from_bytes(fields).map_err(|_| TicketError::Malformed)?;
        if !rest.is_empty() {
            return Err(TicketError::TrailingBytes);
        }
        ticket.check_lengths()?;
        Ok(ticket)
    }

    /// The RESUME to go on with, first on a new stream (`RES-3`).
    #[must_use]
    pub const fn resume(&self) -> Resume<'a> {
        Resume {
            token: self.token,
            last_recv: self.received,
        }
    }

    /// Whether the token's time is over.
    #[must_use]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        now >= self.expires
    }

    fn check_lengths(&self) -> Result<(), TicketError> {
        let strings = [self.address, self.agent, self.operation];
        if strings.iter().any(|text| text.len() > Self::MAX_STRING_LEN)
            || self.token.len() > Self::MAX_TOKEN_LEN
        {
            return Err(TicketError::TooLong);
        }
        Ok(())
    }
}

impl fmt::Debug for Ticket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token stays out of logs.
        f.debug_struct("Ticket")
            .field("address", &self.address)
            .field("agent", &self.agent)
            .field("operation", &self.operation)
            .field("received", &self.received)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Ticket<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "Ticket {{ address: {}, agent: {}, operation: {}, received: {}, expires: {} }}",
            self.address,
            self.agent,
            self.operation,
            self.received,
            self.expires
        );
    }
}

/// [`UnixMillis`] as its number.
mod unix_millis {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::time::UnixMillis;

    pub(super) fn serialize<S: Serializer>(
        time: &UnixMillis,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(time.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<UnixMillis, D::Error> {
        i64::deserialize(deserializer).map(UnixMillis)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::resume::{MAX_TOKEN_LEN, Progress, TokenTooLong};
    use crate::wire::Resumable;

    const TICKET: Ticket<'_> = Ticket {
        address: "aire://node.example:4242",
        agent: "writer",
        operation: "the long report",
        token: &[0xab; 32],
        received: 300,
        expires: UnixMillis(-1),
    };

    fn encoded(ticket: &Ticket<'_>) -> Vec<u8> {
        let mut out = vec![0; Ticket::MAX_LEN];
        ticket.encode(&mut out).unwrap().to_vec()
    }

    #[test]
    fn a_ticket_comes_back_as_it_was_written_and_its_bytes_do_not_change() {
        let bytes = encoded(&TICKET);
        assert_eq!(Ticket::decode(&bytes), Ok(TICKET));
        let mut expected = vec![Ticket::VERSION];
        for field in [
            &b"aire://node.example:4242"[..],
            b"writer",
            b"the long report",
            &[0xab; 32],
        ] {
            expected.push(field.len() as u8);
            expected.extend(field);
        }
        // 300 in groups of seven bits, lowest first; -1 in zigzag.
        expected.extend([0xac, 0x02, 0x01]);
        assert_eq!(bytes, expected);
        assert_eq!(TICKET.resume().token, [0xab; 32]);
        assert_eq!(TICKET.resume().last_recv, 300);
    }

    #[test]
    fn a_cut_ticket_is_malformed_and_one_byte_more_is_trailing() {
        let mut bytes = encoded(&TICKET);
        for cut in 0..bytes.len() {
            assert_eq!(
                Ticket::decode(&bytes[..cut]),
                Err(TicketError::Malformed),
                "{cut}"
            );
        }
        bytes.push(0);
        assert_eq!(Ticket::decode(&bytes), Err(TicketError::TrailingBytes));
    }

    #[test]
    fn a_ticket_of_another_version_is_refused_as_such() {
        let mut bytes = encoded(&TICKET);
        for version in [0, 2, 255] {
            bytes[0] = version;
            assert_eq!(Ticket::decode(&bytes), Err(TicketError::Version(version)));
        }
    }

    #[test]
    fn text_that_is_not_utf_8_is_malformed() {
        let mut bytes = encoded(&TICKET);
        bytes[2] = 0xff;
        assert_eq!(Ticket::decode(&bytes), Err(TicketError::Malformed));
    }

    #[test]
    fn the_largest_ticket_fits_its_bound_and_a_larger_one_is_refused_both_ways() {
        let text = "x".repeat(Ticket::MAX_STRING_LEN);
        let token = [1; Ticket::MAX_TOKEN_LEN];
        let largest = Ticket {
            address: &text,
            agent: &text,
            operation: &text,
            token: &token,
            received: u64::MAX,
            expires: UnixMillis(i64::MIN),
        };
        let bytes = encoded(&largest);
        assert_eq!(bytes.len(), Ticket::MAX_LEN);
        assert_eq!(Ticket::decode(&bytes), Ok(largest));
        let long_text = "x".repeat(Ticket::MAX_STRING_LEN + 1);
        let long_token = [1; Ticket::MAX_TOKEN_LEN + 1];
        let too_long = [
            Ticket {
                address: &long_text,
                ..TICKET
            },
            Ticket {
                agent: &long_text,
                ..TICKET
            },
            Ticket {
                operation: &long_text,
                ..TICKET
            },
            Ticket {
                token: &long_token,
                ..TICKET
            },
        ];
        for ticket in too_long {
            let mut out = vec![0; 2 * Ticket::MAX_LEN];
            assert_eq!(ticket.encode(&mut out), Err(TicketError::TooLong));
            let forged = [&[Ticket::VERSION][..], &plain(&ticket)].concat();
            assert_eq!(Ticket::decode(&forged), Err(TicketError::TooLong));
        }
    }

    /// The fields as [`Ticket::encode`] writes them, whatever their lengths.
    fn plain(ticket: &Ticket<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for field in [
            ticket.address.as_bytes(),
            ticket.agent.as_bytes(),
            ticket.operation.as_bytes(),
            ticket.token,
        ] {
            let len = field.len();
            if len >= 0x80 {
                out.push(len as u8 | 0x80);
                out.push((len >> 7) as u8);
            } else {
                out.push(len as u8);
            }
            out.extend(field);
        }
        out.extend([0, 0]);
        out
    }

    #[test]
    fn a_slice_too_short_is_reported() {
        let len = encoded(&TICKET).len();
        for room in 0..len {
            let mut out = vec![0; room];
            assert_eq!(
                TICKET.encode(&mut out),
                Err(TicketError::BufferTooSmall),
                "{room}"
            );
        }
        assert_eq!(TICKET.encode(&mut vec![0; len]).unwrap().len(), len);
    }

    #[test]
    fn a_ticket_knows_when_it_is_over_and_shows_no_token() {
        let ticket = Ticket {
            expires: UnixMillis(1000),
            ..TICKET
        };
        assert!(!ticket.is_expired(UnixMillis(999)));
        assert!(ticket.is_expired(UnixMillis(1000)));
        let shown = format!("{ticket:?}");
        assert!(
            shown.contains("writer") && !shown.contains("171"),
            "{shown}"
        );
    }

    #[test]
    fn another_process_goes_on_where_the_ticket_was_written() {
        let mut progress = Progress::new();
        assert_eq!(progress.ticket("aire://a", "b", "c"), None);
        let resumable = Resumable {
            ttl_secs: 60,
            token: b"token",
            last_seq: 0,
        };
        progress.resumable(&resumable, UnixMillis(7)).unwrap();
        progress.stream_received();
        let bytes = encoded(&progress.ticket("aire://a", "b", "c").unwrap());
        let ticket = Ticket::decode(&bytes).unwrap();
        assert_eq!(
            (ticket.address, ticket.agent, ticket.operation),
            ("aire://a", "b", "c")
        );
        let mut later = Progress::from_ticket(&ticket).unwrap();
        assert_eq!(later.resume(), progress.resume());
        assert_eq!(later.expires(), Some(UnixMillis(60_007)));
        later.stream_received();
        assert_eq!(later.received(), 2);
        let long = [1; MAX_TOKEN_LEN + 1];
        let long = Ticket {
            token: &long,
            ..TICKET
        };
        assert_eq!(Progress::from_ticket(&long).err(), Some(TokenTooLong));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(400)
        })]

        #[test]
        fn any_bytes_are_a_ticket_within_its_bounds_or_an_error(
            mut bytes in vec(any::<u8>(), 0..200),
            versioned in any::<bool>(),
        ) {
            if let (true, Some(first)) = (versioned, bytes.first_mut()) {
                *first = Ticket::VERSION;
            }
            if let Ok(ticket) = Ticket::decode(&bytes) {
                let again = encoded(&ticket);
                prop_assert_eq!(Ticket::decode(&again), Ok(ticket));
            }
        }
    }
}
