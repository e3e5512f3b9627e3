//! Connection ids, both ends' (RFC 9000 §5.1): which are good, which are to be retired.

use subtle::ConstantTimeEq;

use crate::error::{Code, Fault, fault};
use crate::frame::NewConnectionId;
use crate::packet::ConnectionId;

/// The length of the ids that this end gives itself.
pub(crate) const LOCAL_LEN: usize = 8;

/// How many of the server's ids are kept, and how many of ours are good at one time.
pub(crate) const LIMIT: usize = 3;

/// How many retired ids of the server may wait for their RETIRE_CONNECTION_ID to arrive.
const MAX_RETIRING: usize = 8;

/// Where a stateless reset's token is as long as this (RFC 9000 §10.3).
pub(crate) const RESET_TOKEN_LEN: usize = 16;

/// One of the server's ids.
#[derive(Clone, Copy, Debug)]
struct Entry {
    sequence: u64,
    id: ConnectionId,
    /// The first id has one only when the transport parameters gave it.
    reset_token: Option<[u8; RESET_TOKEN_LEN]>,
}

/// The server's ids: the first is in use, the others are spare.
#[derive(Debug)]
pub(crate) struct Remote {
    entries: heapless::Vec<Entry, LIMIT>,
    retire_prior_to: u64,
    /// Until the server acknowledged that they were retired.
    retiring: heapless::Vec<Numbered, MAX_RETIRING>,
}

/// A number that the server is to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbered {
    sequence: u64,
    /// It is in a packet under way, or arrived.
    told: bool,
}

impl Remote {
    /// Begins with the id that this end made up for its first packet.
    pub(crate) fn new(id: ConnectionId) -> Self {
        let mut entries = heapless::Vec::new();
        let first = Entry {
            sequence: 0,
            id,
            reset_token: None,
        };
        // An empty vector of LIMIT takes one.
        let _pushed = entries.push(first);
        Self {
            entries,
            retire_prior_to: 0,
            retiring: heapless::Vec::new(),
        }
    }

    /// The id to send to.
    pub(crate) fn active(&self) -> &[u8] {
        self.entries
            .first()
            .map_or(&[], |entry| entry.id.as_slice())
    }

    /// The server chose its first id itself, or by a Retry.
    pub(crate) fn replace_first(&mut self, id: ConnectionId) {
        if let Some(first) = self.entries.first_mut() {
            first.id = id;
        }
    }

    /// The transport parameters' token for the first id.
    pub(crate) fn set_reset_token(&mut self, token: [u8; RESET_TOKEN_LEN]) {
        if let Some(first) = self.entries.iter_mut().find(|entry| entry.sequence == 0) {
            first.reset_token = Some(token);
        }
    }

    /// Whether `token`, the end of a datagram that nothing opens, ends this connection. Every
    /// token takes the same time.
    pub(crate) fn is_reset(&self, token: &[u8; RESET_TOKEN_LEN]) -> bool {
        let mut found = subtle::Choice::from(0);
        for entry in &self.entries {
            if let Some(known) = &entry.reset_token {
                found |= known.ct_eq(token);
            }
        }
        found.into()
    }

    /// Takes a NEW_CONNECTION_ID (RFC 9000 §19.15).
    pub(crate) fn on_new(&mut self, frame: &NewConnectionId<'_>) -> Result<(), Fault> {
        if self.active().is_empty() {
            return Err(fault!(
                Code::PROTOCOL_VIOLATION,
                "a connection id for a server that uses none"
            ));
        }
        let id = ConnectionId::new(frame.id).ok_or(fault!(
            Code::FRAME_ENCODING_ERROR,
            "a connection id that is too long"
        ))?;
        let known = self
            .entries
            .iter()
            .find(|entry| entry.sequence == frame.sequence || entry.id == id);
        if let Some(known) = known {
            // The first id may have come without a token; a repeated frame must say the same.
            let same = known.sequence == frame.sequence
                && known.id == id
                && known.reset_token == Some(frame.reset_token);
            if !same {
                return Err(fault!(
                    Code::PROTOCOL_VIOLATION,
                    "a connection id was given twice"
                ));
            }
        }
        let is_new = known.is_none()
            && !self
                .retiring
                .iter()
                .any(|retired| retired.sequence == frame.sequence);
        let bound = self.retire_prior_to.max(frame.retire_prior_to);
        self.check_room(bound, is_new.then_some(frame.sequence))?;
        self.retire_prior_to = bound;
        while let Some(index) = self.entries.iter().position(|entry| entry.sequence < bound) {
            let entry = self.entries.remove(index);
            self.retire(entry.sequence);
        }
        if is_new && frame.sequence < bound {
            self.retire(frame.sequence);
        } else if is_new {
            let entry = Entry {
                sequence: frame.sequence,
                id,
                reset_token: Some(frame.reset_token),
            };
            // There is room: that was checked.
            let _pushed = self.entries.push(entry);
        }
        Ok(())
    }

    /// Whether all fits once everything below `bound` is retired and `added` is there. It is asked
    /// before anything changes, for the server can be told an error only by an id that is left.
    fn check_room(&self, bound: u64, added: Option<u64>) -> Result<(), Fault> {
        let all = self.entries.iter().map(|entry| entry.sequence).chain(added);
        let old = all.clone().filter(|&sequence| sequence < bound).count();
        let left = all.count().saturating_sub(old);
        if left == 0 {
            Err(fault!(
                Code::PROTOCOL_VIOLATION,
                "all connection ids were retired",
            ))
        } else if left > LIMIT || self.retiring.len().saturating_add(old) > MAX_RETIRING {
            Err(fault!(
                Code::CONNECTION_ID_LIMIT_ERROR,
                "too many connection ids, or too many retired at one time",
            ))
        } else {
            Ok(())
        }
    }

    fn retire(&mut self, sequence: u64) {
        // There is room: that was checked.
        let _pushed = self.retiring.push(Numbered {
            sequence,
            told: false,
        });
    }

    /// Goes over to a spare id, for another path. Without one nothing changes.
    pub(crate) fn rotate(&mut self) -> bool {
        if self.entries.len() < 2 || self.retiring.is_full() {
            return false;
        }
        let old = self.entries.remove(0);
        self.retire(old.sequence);
        true
    }

    /// The next number for a RETIRE_CONNECTION_ID.
    pub(crate) fn to_retire(&self) -> Option<u64> {
        let untold = self.retiring.iter().find(|retired| !retired.told)?;
        Some(untold.sequence)
    }

    /// Whether the RETIRE_CONNECTION_ID of the number with these low bits is under way, or is to
    /// be said again.
    pub(crate) fn set_retire_told(&mut self, low: u32, told: bool) {
        for retired in &mut self.retiring {
            if retired.sequence as u32 == low {
                retired.told = told;
            }
        }
    }

    /// The RETIRE_CONNECTION_ID of the number with these low bits arrived.
    pub(crate) fn on_retire_acked(&mut self, low: u32) {
        self.retiring
            .retain(|retired| retired.sequence as u32 != low);
    }
}

/// Our ids. They follow from the connection's seed and a number, so only the numbers are kept.
#[derive(Debug)]
pub(crate) struct Local {
    /// Those that the server may use.
    entries: heapless::Vec<(Numbered, [u8; LOCAL_LEN]), LIMIT>,
    next: u64,
    limit: usize,
}

impl Local {
    pub(crate) fn new(first: [u8; LOCAL_LEN]) -> Self {
        let mut entries = heapless::Vec::new();
        // An empty vector of LIMIT takes one.
        let number = Numbered {
            sequence: 0,
            told: true,
        };
        let _pushed = entries.push((number, first));
        Self {
            entries,
            next: 1,
            limit: 1,
        }
    }

    pub(crate) fn contains(&self, id: &[u8]) -> bool {
        self.entries.iter().any(|(_, known)| known == id)
    }

    /// The server keeps at most so many of our ids.
    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = usize::try_from(limit).unwrap_or(LIMIT).min(LIMIT);
    }

    /// Fills up to the limit with ids that `make` derives from their number.
    pub(crate) fn fill(&mut self, make: impl Fn(u64) -> [u8; LOCAL_LEN]) {
        while self.entries.len() < self.limit {
            let number = Numbered {
                sequence: self.next,
                told: false,
            };
            if self.entries.push((number, make(self.next))).is_err() {
                return;
            }
            self.next = self.next.saturating_add(1);
        }
    }

    /// The next id for a NEW_CONNECTION_ID, with its number.
    pub(crate) fn to_tell(&self) -> Option<(u64, [u8; LOCAL_LEN])> {
        let (number, id) = self.entries.iter().find(|(number, _)| !number.told)?;
        Some((number.sequence, *id))
    }

    /// Whether the NEW_CONNECTION_ID of the number with these low bits is under way, or is to be
    /// said again.
    pub(crate) fn set_told(&mut self, low: u32, told: bool) {
        for (number, _) in &mut self.entries {
            if number.sequence as u32 == low {
                number.told = told;
            }
        }
    }

    /// Takes a RETIRE_CONNECTION_ID (RFC 9000 §19.16). `used` is the id that the packet came to.
    pub(crate) fn on_retire(&mut self, sequence: u64, used: &[u8]) -> Result<(), Fault> {
        if sequence >= self.next {
            return Err(fault!(
                Code::PROTOCOL_VIOLATION,
                "a connection id was retired that was not given"
            ));
        }
        let Some(index) = self
            .entries
            .iter()
            .position(|(number, _)| number.sequence == sequence)
        else {
            return Ok(());
        };
        if self.entries.get(index).is_some_and(|(_, id)| id == used) {
            return Err(fault!(
                Code::PROTOCOL_VIOLATION,
                "a connection id was retired by a packet that came to it"
            ));
        }
        self.entries.remove(index);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn remote() -> Remote {
        Remote::new(ConnectionId::new(&[0; 8]).unwrap())
    }

    fn given(sequence: u64, retire_prior_to: u64, id: &[u8]) -> NewConnectionId<'_> {
        NewConnectionId {
            sequence,
            retire_prior_to,
            id,
            reset_token: [id[0]; 16],
        }
    }

    #[test]
    fn a_spare_id_is_used_after_the_first_is_retired_and_that_is_told() {
        let mut remote = remote();
        remote.on_new(&given(1, 0, &[1; 8])).unwrap();
        assert_eq!(remote.active(), [0; 8]);
        remote.on_new(&given(2, 1, &[2; 8])).unwrap();
        assert_eq!(remote.active(), [1; 8]);
        assert_eq!(remote.to_retire(), Some(0));
        remote.set_retire_told(0, true);
        assert_eq!(remote.to_retire(), None);
        remote.set_retire_told(0, false);
        assert_eq!(remote.to_retire(), Some(0));
        remote.on_retire_acked(0);
        assert_eq!(remote.to_retire(), None);
    }

    #[test]
    fn a_repeated_frame_changes_nothing_and_a_contradiction_is_refused() {
        let mut remote = remote();
        remote.on_new(&given(1, 0, &[1; 8])).unwrap();
        remote.on_new(&given(1, 0, &[1; 8])).unwrap();
        for wrong in [given(1, 0, &[3; 8]), given(2, 0, &[1; 8])] {
            assert_eq!(
                remote.on_new(&wrong).unwrap_err().code,
                Code::PROTOCOL_VIOLATION
            );
        }
    }

    #[test]
    fn more_ids_than_the_limit_and_more_retirements_than_are_kept_are_refused() {
        let mut remote = remote();
        remote.on_new(&given(1, 0, &[1; 8])).unwrap();
        remote.on_new(&given(2, 0, &[2; 8])).unwrap();
        assert_eq!(
            remote.on_new(&given(3, 0, &[3; 8])).unwrap_err().code,
            Code::CONNECTION_ID_LIMIT_ERROR
        );
        let mut remote = self::remote();
        let refused = (1..20_u8)
            .find(|&n| {
                remote
                    .on_new(&given(u64::from(n), u64::from(n), &[n; 8]))
                    .is_err()
            })
            .unwrap();
        assert_eq!(usize::from(refused), MAX_RETIRING + 1);
    }

    #[test]
    fn an_id_that_comes_after_it_was_retired_is_retired_at_once() {
        let mut remote = remote();
        remote.on_new(&given(2, 2, &[2; 8])).unwrap();
        remote.on_new(&given(1, 0, &[1; 8])).unwrap();
        assert_eq!(remote.active(), [2; 8]);
        assert_eq!(remote.retiring.len(), 2);
        remote.on_new(&given(1, 0, &[1; 8])).unwrap();
        assert_eq!(remote.retiring.len(), 2);
    }

    #[test]
    fn a_stateless_reset_is_known_by_every_token_that_was_given() {
        let mut remote = remote();
        assert!(!remote.is_reset(&[0; 16]));
        remote.set_reset_token([9; 16]);
        remote.on_new(&given(1, 0, &[1; 8])).unwrap();
        assert!(remote.is_reset(&[9; 16]) && remote.is_reset(&[1; 16]));
        assert!(!remote.is_reset(&[2; 16]));
    }

    #[test]
    fn our_ids_are_filled_up_told_and_retired() {
        let mut local = Local::new([0; 8]);
        let make = |number: u64| [number as u8; 8];
        local.set_limit(9);
        local.fill(make);
        assert_eq!(local.to_tell(), Some((1, [1; 8])));
        local.set_told(1, true);
        local.set_told(2, true);
        assert_eq!(local.to_tell(), None);
        local.set_told(1, false);
        assert_eq!(local.to_tell(), Some((1, [1; 8])));
        assert!(local.on_retire(3, &[0; 8]).is_err());
        assert!(local.on_retire(0, &[0; 8]).is_err());
        local.on_retire(0, &[1; 8]).unwrap();
        local.on_retire(0, &[1; 8]).unwrap();
        assert!(!local.contains(&[0; 8]));
        local.fill(make);
        assert!(local.contains(&[3; 8]));
    }
}
