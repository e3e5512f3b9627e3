//! Records and endings as bytes, for stores that are not this process's memory. Each is
//! a sequence of the protocol's own fields: varints, and strings with their length before them.

use aire_proto::ErrorCode;
use aire_proto::varint;
use aire_proto::wire::{Malformed, Reader, Writer};

use super::{Limits, Record, StoreError, Terminal};

const FINISHED: u8 = 0;
const FAILED: u8 = 1;

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

/// What `write` writes.
pub(super) fn written(write: impl Fn(&mut Writer<'_>)) -> Result<Vec<u8>, StoreError> {
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
pub(super) fn whole<T>(
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
pub(super) mod tests {
    use super::*;

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
    }

    pub(in crate::store) fn survives<T: PartialEq + std::fmt::Debug>(
        value: &T,
        write: fn(&T) -> Result<Vec<u8>, StoreError>,
        read: fn(&[u8]) -> Result<T, StoreError>,
    ) {
        let mut bytes = write(value).unwrap();
        assert_eq!(read(&bytes).as_ref(), Ok(value));
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "{len} bytes of {value:?}");
        }
        bytes.push(0);
        assert!(read(&bytes).is_err(), "more than {value:?}");
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
}
