//! Cursors: opaque texts that say how far somebody has read (section 4.3).
//!
//! A cursor is bound to what it was made for: the inbox of one owner, or their thread with one
//! peer. It is no secret and gives no right; the check in it only tells a cursor that was mangled,
//! or belongs elsewhere, from one that would skip messages.

use alloc::string::String;

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use crate::error::{ErrorCode, Refusal};
use crate::handle::Handle;
use crate::store::Position;

const VERSION: u8 = 1;

/// What is read: an inbox, or a thread.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) owner: &'a Handle,
    pub(super) peer: Option<&'a Handle>,
}

impl Scope<'_> {
    fn check(&self, version: u8, position: [u8; 8]) -> [u8; 8] {
        let mut digest = Sha256::new();
        digest.update(b"airc cursor\0");
        digest.update([version]);
        digest.update(position);
        digest.update(self.owner.as_str().as_bytes());
        // No handle has a zero byte in it.
        digest.update([0]);
        digest.update(self.peer.map_or("", Handle::as_str).as_bytes());
        let digest: [u8; 32] = digest.finalize().into();
        digest.first_chunk().copied().unwrap_or_default()
    }

    /// The cursor behind `position`.
    pub(super) fn write(&self, position: Position) -> String {
        let bytes = position.0.to_be_bytes();
        let mut cursor = [VERSION; 17];
        if let Some(rest) = cursor.last_chunk_mut::<16>() {
            let (first, check) = rest.split_at_mut(8);
            first.copy_from_slice(&bytes);
            check.copy_from_slice(&self.check(VERSION, bytes));
        }
        BASE64URL_NOPAD.encode(&cursor)
    }

    /// The position behind which `cursor` stands; the beginning if there is none.
    pub(super) fn read(&self, cursor: Option<&str>) -> Result<Position, Refusal> {
        let Some(cursor) = cursor else {
            return Ok(Position(0));
        };
        self.position(cursor).ok_or_else(|| {
            Refusal::new(
                ErrorCode::InvalidRequest,
                "since is no cursor of this inbox or thread: give the cursor of an earlier answer \
                 to the same request, or leave it out",
            )
        })
    }

    fn position(&self, cursor: &str) -> Option<Position> {
        // 17 bytes; nothing longer is decoded.
        if cursor.len() != 23 {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
        let (version, rest) = bytes.split_first()?;
        let position: [u8; 8] = rest.first_chunk().copied()?;
        let check: [u8; 8] = rest.last_chunk().copied()?;
        let ours = *version == VERSION && check == self.check(*version, position);
        ours.then(|| Position(u64::from_be_bytes(position)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_only_where_it_was_made() {
        let [owner, other] = ["seth", "alex"].map(|handle| Handle::parse(handle).unwrap());
        let scope = |owner, peer| Scope { owner, peer };
        let inbox = scope(&owner, None);
        let cursor = inbox.write(Position(258));
        assert_eq!(inbox.read(Some(&cursor)), Ok(Position(258)));
        assert_eq!(inbox.read(None), Ok(Position(0)));
        let elsewhere = [
            scope(&other, None),
            scope(&owner, Some(&other)),
            scope(&other, Some(&owner)),
        ];
        for scope in elsewhere {
            let refusal = scope.read(Some(&cursor)).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::InvalidRequest);
        }
    }

    #[test]
    fn a_cursor_with_any_character_changed_or_missing_is_refused() {
        let owner = Handle::parse("seth").unwrap();
        let scope = Scope {
            owner: &owner,
            peer: None,
        };
        let cursor = scope.write(Position(u64::MAX));
        for at in 0..cursor.len() {
            for replacement in ["A", "B", "_", "*", ""] {
                let mut mangled = cursor.clone();
                mangled.replace_range(at..=at, replacement);
                if mangled != cursor {
                    assert!(scope.read(Some(&mangled)).is_err(), "{mangled}");
                }
            }
        }
        for other in ["", "0", "é", &"A".repeat(23), &"A".repeat(1 << 20)] {
            assert!(scope.read(Some(other)).is_err());
        }
    }
}
