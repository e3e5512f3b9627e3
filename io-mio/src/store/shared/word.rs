//! What this store alone writes: the words that the working node is told, and operations' names
//! in tokens.

use aire_proto::wire::{Budget, Malformed, Payload};
use aire_proto::{CancelReason, UnixMillis};

use crate::store::coding::{whole, written};
use crate::store::{OperationKey, StoreError, Word};

const CANCEL: u8 = 0;
const BUDGET: u8 = 1;
const INPUT: u8 = 2;
const INPUT_FINISHED: u8 = 3;
const ATTENDED: u8 = 4;
const UNATTENDED: u8 = 5;

pub(super) fn word(word: &Word) -> Result<Vec<u8>, StoreError> {
    written(|out| match word {
        Word::Cancel { reason, detail } => {
            out.u8(CANCEL);
            out.varint(reason.to_wire());
            out.prefixed(detail.as_bytes());
        }
        Word::Budget(budget) => {
            out.u8(BUDGET);
            budget.write(out);
        }
        Word::Input(payload) => {
            out.u8(INPUT);
            out.prefixed(payload);
        }
        Word::InputFinished => out.u8(INPUT_FINISHED),
        Word::Attended { taken, until } => {
            out.u8(ATTENDED);
            out.varint(*taken);
            out.bytes(&until.0.to_be_bytes());
        }
        Word::Unattended => out.u8(UNATTENDED),
    })
}

pub(super) fn read_word(bytes: &[u8]) -> Result<Word, StoreError> {
    whole(bytes, |from| match from.u8()? {
        CANCEL => Ok(Word::Cancel {
            reason: CancelReason::from_wire(from.varint()?),
            detail: from.string()?.into(),
        }),
        BUDGET => {
            let payload = from.bytes(from.rest().len())?;
            match Budget::decode(payload) {
                // A BUDGET of nothing but fields that this version does not know.
                Err(Malformed::NoBudgetEntry) => Ok(Word::Budget(Budget::default())),
                decoded => decoded.map(Word::Budget),
            }
        }
        INPUT => Ok(Word::Input(from.prefixed()?.into())),
        INPUT_FINISHED => Ok(Word::InputFinished),
        ATTENDED => Ok(Word::Attended {
            taken: from.varint()?,
            until: UnixMillis(from.i64()?),
        }),
        UNATTENDED => Ok(Word::Unattended),
        _ => Err(Malformed::TrailingBytes),
    })
}

/// The operation whose name [`hex`] wrote.
pub(super) fn read_key(digits: &[u8]) -> Result<OperationKey, StoreError> {
    let text = std::str::from_utf8(digits).ok();
    let number = text
        .filter(|text| text.len() == 32)
        .and_then(|text| u128::from_str_radix(text, 16).ok())
        .ok_or_else(|| StoreError::Content("an operation's name is no name".into()))?;
    Ok(OperationKey::from_bytes(number.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::coding::tests::survives;
    use crate::store::hex;

    #[test]
    fn every_word_survives() {
        survives(&Word::Input(vec![1, 2, 3]), word, read_word);
        survives(&Word::InputFinished, word, read_word);
        survives(&Word::Unattended, word, read_word);
        let attended = Word::Attended {
            taken: 300,
            until: UnixMillis(-1),
        };
        survives(&attended, word, read_word);
        let cancel = Word::Cancel {
            reason: CancelReason::Internal,
            detail: "no".into(),
        };
        survives(&cancel, word, read_word);
        let budget = Budget {
            tokens: Some(9),
            deadline: Some(UnixMillis(-1)),
            ..Budget::default()
        };
        // The frame's own encoding does not say where it ends: the entry does.
        let bytes = word(&Word::Budget(budget)).unwrap();
        assert_eq!(read_word(&bytes), Ok(Word::Budget(budget)));
        let empty = word(&Word::Budget(Budget::default())).unwrap();
        assert_eq!(read_word(&empty), Ok(Word::Budget(Budget::default())));
    }

    #[test]
    fn a_name_is_read_from_its_digits_only() {
        let key = OperationKey::from_bytes(*b"0123456789abcdef");
        assert_eq!(read_key(hex(key.as_bytes()).as_bytes()), Ok(key));
        for wrong in [
            &b""[..],
            b"00",
            b"zz112233445566778899aabbccddeeff",
            &[b'0'; 33],
        ] {
            assert!(read_key(wrong).is_err());
        }
    }
}
