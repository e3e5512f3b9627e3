//! Frames as they come from the server (RFC 9000 §19).

use crate::coding::{Reader, Writer};
use crate::error::{Code, Fault, fault};
use crate::recovery::Ack;
use crate::stream::StreamId;

/// Frame types that are written, or named in errors.
pub(crate) mod kind {
    pub(crate) const PADDING: u8 = 0x00;
    pub(crate) const PING: u8 = 0x01;
    pub(crate) const ACK: u8 = 0x02;
    pub(crate) const ACK_ECN: u8 = 0x03;
    pub(crate) const RESET_STREAM: u8 = 0x04;
    pub(crate) const STOP_SENDING: u8 = 0x05;
    pub(crate) const CRYPTO: u8 = 0x06;
    pub(crate) const NEW_TOKEN: u8 = 0x07;
    pub(crate) const STREAM: u8 = 0x08;
    pub(crate) const STREAM_MAX: u8 = 0x0f;
    pub(crate) const MAX_DATA: u8 = 0x10;
    pub(crate) const MAX_STREAM_DATA: u8 = 0x11;
    pub(crate) const MAX_STREAMS_BIDI: u8 = 0x12;
    pub(crate) const MAX_STREAMS_UNI: u8 = 0x13;
    pub(crate) const DATA_BLOCKED: u8 = 0x14;
    pub(crate) const STREAM_DATA_BLOCKED: u8 = 0x15;
    pub(crate) const STREAMS_BLOCKED_BIDI: u8 = 0x16;
    pub(crate) const STREAMS_BLOCKED_UNI: u8 = 0x17;
    pub(crate) const NEW_CONNECTION_ID: u8 = 0x18;
    pub(crate) const RETIRE_CONNECTION_ID: u8 = 0x19;
    pub(crate) const PATH_CHALLENGE: u8 = 0x1a;
    pub(crate) const PATH_RESPONSE: u8 = 0x1b;
    pub(crate) const CONNECTION_CLOSE: u8 = 0x1c;
    pub(crate) const APPLICATION_CLOSE: u8 = 0x1d;
    pub(crate) const HANDSHAKE_DONE: u8 = 0x1e;
}

/// The bits of a STREAM frame's type.
pub(crate) const STREAM_FIN: u8 = 0x01;
pub(crate) const STREAM_LEN: u8 = 0x02;
pub(crate) const STREAM_OFF: u8 = 0x04;

/// The largest number that a count of streams may be (RFC 9000 §4.6).
const MAX_STREAM_COUNT: u64 = 1 << 60;

/// Writes a frame that is a type and varints; false, and nothing written, when there is no room.
pub(crate) fn write(out: &mut Writer<'_>, kind: u8, fields: &[u64]) -> bool {
    let start = out.len();
    let written = out.u8(kind).is_some() && fields.iter().all(|&field| out.varint(field).is_some());
    if !written {
        out.truncate(start);
    }
    written
}

/// One frame. Payloads are slices of the packet.
#[derive(Clone, Debug)]
pub(crate) enum Frame<'a> {
    Padding,
    Ping,
    Ack(Ack<'a>),
    ResetStream {
        stream: StreamId,
        code: u64,
        final_size: u64,
    },
    StopSending {
        stream: StreamId,
        code: u64,
    },
    Crypto {
        offset: u64,
        data: &'a [u8],
    },
    NewToken(&'a [u8]),
    Stream {
        stream: StreamId,
        offset: u64,
        data: &'a [u8],
        fin: bool,
    },
    MaxData(u64),
    MaxStreamData {
        stream: StreamId,
        max: u64,
    },
    MaxStreams {
        bidirectional: bool,
        max: u64,
    },
    /// DATA_BLOCKED and STREAMS_BLOCKED: they ask for nothing that consuming does not bring anyway.
    Blocked,
    StreamDataBlocked {
        stream: StreamId,
    },
    NewConnectionId(NewConnectionId<'a>),
    RetireConnectionId(u64),
    PathChallenge([u8; 8]),
    PathResponse([u8; 8]),
    Close {
        application: bool,
        code: u64,
        frame_type: u64,
    },
    HandshakeDone,
}

/// NEW_CONNECTION_ID (RFC 9000 §19.15).
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewConnectionId<'a> {
    pub(crate) sequence: u64,
    pub(crate) retire_prior_to: u64,
    pub(crate) id: &'a [u8],
    pub(crate) reset_token: [u8; 16],
}

impl<'a> Frame<'a> {
    /// Reads the frame at the front. Its type is in `frame_type` even when the rest fails: 0 for
    /// one that does not fit into a byte.
    pub(crate) fn read(reader: &mut Reader<'a>, frame_type: &mut u8) -> Result<Self, Fault> {
        let malformed = fault!(Code::FRAME_ENCODING_ERROR, "a frame does not parse");
        *frame_type = reader.u8().ok_or(malformed)?;
        if *frame_type > kind::HANDSHAKE_DONE {
            // From 0x40 on, it is but the beginning of a type: 0 is to say that it is unknown.
            if *frame_type >= 0x40 {
                *frame_type = 0;
            }
            return Err(fault!(
                Code::FRAME_ENCODING_ERROR,
                "a frame of an unknown type"
            ));
        }
        Self::body(*frame_type, reader).ok_or(malformed)
    }

    fn body(frame_type: u8, reader: &mut Reader<'a>) -> Option<Self> {
        Some(match frame_type {
            kind::PADDING => Self::Padding,
            kind::PING => Self::Ping,
            kind::ACK | kind::ACK_ECN => {
                Self::Ack(Ack::parse(reader, frame_type == kind::ACK_ECN).ok()?)
            }
            kind::RESET_STREAM => Self::ResetStream {
                stream: stream_id(reader)?,
                code: reader.varint()?,
                final_size: reader.varint()?,
            },
            kind::STOP_SENDING => Self::StopSending {
                stream: stream_id(reader)?,
                code: reader.varint()?,
            },
            kind::CRYPTO => Self::crypto(reader)?,
            kind::NEW_TOKEN => {
                let token = reader.varint_bytes()?;
                if token.is_empty() {
                    return None;
                }
                Self::NewToken(token)
            }
            kind::STREAM..=kind::STREAM_MAX => Self::stream(frame_type, reader)?,
            kind::MAX_DATA => Self::MaxData(reader.varint()?),
            kind::MAX_STREAM_DATA => Self::MaxStreamData {
                stream: stream_id(reader)?,
                max: reader.varint()?,
            },
            kind::MAX_STREAMS_BIDI | kind::MAX_STREAMS_UNI => Self::MaxStreams {
                bidirectional: frame_type == kind::MAX_STREAMS_BIDI,
                max: stream_count(reader)?,
            },
            kind::DATA_BLOCKED => {
                reader.varint()?;
                Self::Blocked
            }
            kind::STREAM_DATA_BLOCKED => {
                let stream = stream_id(reader)?;
                reader.varint()?;
                Self::StreamDataBlocked { stream }
            }
            kind::STREAMS_BLOCKED_BIDI | kind::STREAMS_BLOCKED_UNI => {
                stream_count(reader)?;
                Self::Blocked
            }
            kind::NEW_CONNECTION_ID => Self::new_connection_id(reader)?,
            kind::RETIRE_CONNECTION_ID => Self::RetireConnectionId(reader.varint()?),
            kind::PATH_CHALLENGE => Self::PathChallenge(reader.array()?),
            kind::PATH_RESPONSE => Self::PathResponse(reader.array()?),
            kind::CONNECTION_CLOSE | kind::APPLICATION_CLOSE => {
                Self::close(frame_type == kind::APPLICATION_CLOSE, reader)?
            }
            kind::HANDSHAKE_DONE => Self::HandshakeDone,
            _ => return None,
        })
    }

    fn crypto(reader: &mut Reader<'a>) -> Option<Self> {
        let offset = reader.varint()?;
        let data = reader.varint_bytes()?;
        fits(offset, data)?;
        Some(Self::Crypto { offset, data })
    }

    fn stream(frame_type: u8, reader: &mut Reader<'a>) -> Option<Self> {
        let stream = stream_id(reader)?;
        let offset = if frame_type & STREAM_OFF != 0 {
            reader.varint()?
        } else {
            0
        };
        let data = if frame_type & STREAM_LEN != 0 {
            reader.varint_bytes()?
        } else {
            reader.bytes(reader.len())?
        };
        fits(offset, data)?;
        Some(Self::Stream {
            stream,
            offset,
            data,
            fin: frame_type & STREAM_FIN != 0,
        })
    }

    fn new_connection_id(reader: &mut Reader<'a>) -> Option<Self> {
        let sequence = reader.varint()?;
        let retire_prior_to = reader.varint()?;
        let id = reader.u8_bytes()?;
        let reset_token = reader.array()?;
        if retire_prior_to > sequence || !(1..=20).contains(&id.len()) {
            return None;
        }
        Some(Self::NewConnectionId(NewConnectionId {
            sequence,
            retire_prior_to,
            id,
            reset_token,
        }))
    }

    fn close(application: bool, reader: &mut Reader<'a>) -> Option<Self> {
        let code = reader.varint()?;
        let frame_type = if application { 0 } else { reader.varint()? };
        reader.varint_bytes()?;
        Some(Self::Close {
            application,
            code,
            frame_type,
        })
    }

    /// Whether a packet with this frame must be acknowledged (RFC 9000 §13.2).
    pub(crate) const fn is_ack_eliciting(&self) -> bool {
        !matches!(self, Self::Padding | Self::Ack(_) | Self::Close { .. })
    }

    /// Whether it may come in Initial and Handshake packets (RFC 9000 §12.4).
    pub(crate) const fn may_come_in_the_handshake(&self) -> bool {
        matches!(
            self,
            Self::Padding
                | Self::Ping
                | Self::Ack(_)
                | Self::Crypto { .. }
                | Self::Close {
                    application: false,
                    ..
                }
        )
    }
}

/// No stream goes past 2^62 - 1 bytes.
fn fits(offset: u64, data: &[u8]) -> Option<()> {
    let end = offset.checked_add(u64::try_from(data.len()).ok()?)?;
    (end <= crate::varint::MAX).then_some(())
}

fn stream_id(reader: &mut Reader<'_>) -> Option<StreamId> {
    reader.varint().and_then(StreamId::new)
}

fn stream_count(reader: &mut Reader<'_>) -> Option<u64> {
    reader.varint().filter(|&count| count <= MAX_STREAM_COUNT)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Frame<'_>, Fault> {
        Frame::read(&mut Reader::new(bytes), &mut 0)
    }

    fn refused(bytes: &[u8]) -> bool {
        read(bytes).is_err_and(|error| error.code == Code::FRAME_ENCODING_ERROR)
    }

    #[test]
    fn a_stream_frame_without_length_goes_to_the_end_of_the_packet() {
        let Ok(Frame::Stream {
            stream,
            offset,
            data,
            fin,
        }) = read(&[0x0d, 4, 9, 1, 2, 3])
        else {
            panic!("no STREAM");
        };
        assert_eq!(stream.get(), 4);
        assert_eq!((offset, data, fin), (9, &[1, 2, 3][..], true));
    }

    #[test]
    fn frames_that_are_cut_are_refused() {
        for whole in [
            &[0x02, 5, 0, 0, 2][..],
            &[0x03, 5, 0, 0, 2, 1, 1, 1],
            &[0x04, 4, 7, 9],
            &[0x05, 4, 7],
            &[0x06, 0, 2, 1, 1],
            &[0x07, 1, 9],
            &[0x0e, 4, 1, 2, 1, 1],
            &[0x10, 4],
            &[0x11, 4, 4],
            &[0x12, 4],
            &[0x14, 4],
            &[0x15, 4, 4],
            &[0x16, 4],
            &[0x19, 4],
            &[0x1a, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x1c, 1, 2, 1, b'x'],
            &[0x1d, 1, 1, b'x'],
        ] {
            assert!(read(whole).is_ok(), "{whole:x?}");
            for cut in 1..whole.len() {
                assert!(refused(&whole[..cut]), "{whole:x?} cut at {cut}");
            }
        }
    }

    #[test]
    fn an_unknown_type_a_long_type_and_an_empty_token_are_refused() {
        assert!(refused(&[0x1f]));
        assert!(refused(&[0x40, 0x01]));
        assert!(refused(&[0x07, 0]));
        assert!(refused(&[]));
    }

    #[test]
    fn a_stream_beyond_the_last_offset_and_too_many_streams_are_refused() {
        let mut frame = [0xff; 11];
        frame[0] = 0x06;
        frame[9] = 1;
        assert!(refused(&frame));
        let mut frame = [0xff; 9];
        frame[0] = 0x12;
        assert!(refused(&frame));
    }

    #[test]
    fn a_connection_id_of_no_or_over_20_bytes_or_that_retires_itself_is_refused() {
        let frame = |sequence, retire, len: u8| {
            let mut bytes = std::vec![0x18, sequence, retire, len];
            bytes.extend(std::iter::repeat_n(7, usize::from(len) + 16));
            bytes
        };
        assert!(read(&frame(3, 3, 8)).is_ok());
        assert!(refused(&frame(3, 4, 8)));
        assert!(refused(&frame(3, 3, 0)));
        assert!(refused(&frame(3, 3, 21)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            while !reader.is_empty() {
                let before = reader.len();
                match Frame::read(&mut reader, &mut 0) {
                    Ok(_) => prop_assert!(reader.len() < before),
                    Err(_) => break,
                }
            }
        }
    }
}
