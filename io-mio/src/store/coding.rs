//! Records, endings and words as bytes, for stores that are not this process's memory. Each is
//! a sequence of the protocol's own fields: varints, and strings with their length before them.

use aire_proto::varint;
use aire_proto::wire::{Budget, Malformed, Payload, Reader, Writer};
use aire_proto::{CancelReason, ErrorCode};

use super::{Limits, OperationKey, Record, StoreError, Terminal, Word};

const FINISHED: u8 = 0;
const FAILED: u8 = 1;

const CANCEL: u8 = 0;
const BUDGET: u8 = 1;
const INPUT: u8 = 2;
const INPUT_FINISHED: u8 = 3;

pub(super) fn record(record: &Record) -> Result<Vec<u8>, StoreError> {
    written(|out| {
        for text in [
            &record.owner,
            &record.agent,
            &record.operation,
            &record.node,
        ] {
            out.prefixed(text.as_bytes());
        }
        for limit in [record.limits.max_bytes, record.limits.max_frames] {
            // No window comes near what a varint can hold.
            out.varint((limit as u64).min(varint::MAX));
        }
    })
}

pub(super) fn read_record(bytes: &[u8]) -> Result<Record, StoreError> {
    whole(bytes, |from| {
        Ok(Record {
            owner: from.string()?.into(),
            agent: from.string()?.into(),
            operation: from.string()?.into(),
            node: from.string()?.into(),
            limits: Limits {
                max_bytes: size(from)?,
                max_frames: size(from)?,
            },
        })
    })
}

pub(super) fn terminal(terminal: &Terminal) -> Result<Vec<u8>, StoreError> {
    written(|out| match terminal {
        Terminal::Finished => out.u8(FINISHED),
        Terminal::Failed { code, detail, data } => {
            out.u8(FAILED);
            out.varint(code.to_wire());
            out.prefixed(detail.as_bytes());
            out.prefixed(data);
        }
    })
}

pub(super) fn read_terminal(bytes: &[u8]) -> Result<Terminal, StoreError> {
    whole(bytes, |from| match from.u8()? {
        FINISHED => Ok(Terminal::Finished),
        FAILED => Ok(Terminal::Failed {
            code: ErrorCode::from_wire(from.varint()?),
            detail: from.string()?.into(),
            data: from.prefixed()?.into(),
        }),
        _ => Err(Malformed::TrailingBytes),
    })
}

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
        _ => Err(Malformed::TrailingBytes),
    })
}

/// `bytes` as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// The operation whose name [`hex`] wrote.
#[cfg(feature = "redis")]
pub(super) fn read_key(digits: &[u8]) -> Result<OperationKey, StoreError> {
    let text = std::str::from_utf8(digits).ok();
    let number = text
        .filter(|text| text.len() == 32)
        .and_then(|text| u128::from_str_radix(text, 16).ok())
        .ok_or_else(|| StoreError::Content("an operation's name is no name".into()))?;
    Ok(OperationKey::from_bytes(number.to_be_bytes()))
}

/// What `write` writes.
fn written(write: impl Fn(&mut Writer<'_>)) -> Result<Vec<u8>, StoreError> {
    let mut counter = Writer::new(&mut []);
    write(&mut counter);
    let mut bytes = vec![0; counter.len()];
    let mut out = Writer::new(&mut bytes);
    write(&mut out);
    match out.finish() {
        Ok(_) => Ok(bytes),
        Err(error) => Err(StoreError::Content(error.to_string())),
    }
}

/// What `read` reads, if that is all there is.
fn whole<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<T, StoreError> {
    let mut from = Reader::new(bytes);
    let value = read(&mut from).and_then(|value| match from.is_empty() {
        true => Ok(value),
        false => Err(Malformed::TrailingBytes),
    });
    value.map_err(|_| StoreError::Content("an entry is not what this version writes".into()))
}

fn size(from: &mut Reader<'_>) -> Result<usize, Malformed> {
    // A window that another machine could address and this one cannot is as large as it gets.
    Ok(usize::try_from(from.varint()?).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aire_proto::UnixMillis;

    #[test]
    fn every_entry_survives_and_none_is_read_from_less_or_more() {
        let one = Record {
            owner: "did:key:a".into(),
            agent: "agent".into(),
            operation: String::new(),
            node: "did:key:b".into(),
            limits: Limits {
                max_bytes: 1 << 20,
                max_frames: 7,
            },
        };
        survives(&one, record, read_record);
        let failed = Terminal::Failed {
            code: ErrorCode::Other(0x99),
            detail: "too warm".into(),
            data: vec![0, 255],
        };
        survives(&failed, terminal, read_terminal);
        survives(&Terminal::Finished, terminal, read_terminal);
        survives(&Word::Input(vec![1, 2, 3]), word, read_word);
        survives(&Word::InputFinished, word, read_word);
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
        survives(&Word::Budget(budget), word, read_word);
        let empty = word(&Word::Budget(Budget::default())).unwrap();
        assert_eq!(read_word(&empty), Ok(Word::Budget(Budget::default())));
    }

    fn survives<T: PartialEq + std::fmt::Debug>(
        value: &T,
        write: fn(&T) -> Result<Vec<u8>, StoreError>,
        read: fn(&[u8]) -> Result<T, StoreError>,
    ) {
        let mut bytes = write(value).unwrap();
        assert_eq!(read(&bytes).as_ref(), Ok(value));
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "{len} bytes of {value:?}");
        }
        // Bytes after a budget belong to its last field, or are no field at all.
        if !matches!(bytes.as_slice(), [BUDGET, ..]) {
            bytes.push(0);
            assert!(read(&bytes).is_err(), "more than {value:?}");
        }
    }

    #[test]
    fn a_window_without_limits_stays_without() {
        let huge = Record {
            owner: String::new(),
            agent: String::new(),
            operation: String::new(),
            node: String::new(),
            limits: Limits {
                max_bytes: usize::MAX,
                max_frames: usize::MAX,
            },
        };
        let read = read_record(&record(&huge).unwrap()).unwrap();
        assert!(read.limits.max_bytes > usize::MAX / 8);
        assert!(read.limits.max_frames > usize::MAX / 8);
    }

    #[cfg(feature = "redis")]
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
