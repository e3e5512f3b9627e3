//! Transport parameters (RFC 9000 §18): ours as they are sent, the server's as they are believed.

use crate::coding::{Reader, Writer};
use crate::error::{Code, Fault, fault};
use crate::packet::ConnectionId;
use crate::time::Micros;
use crate::varint;

mod id {
    pub(super) const ORIGINAL_DESTINATION: u64 = 0x00;
    pub(super) const MAX_IDLE_TIMEOUT: u64 = 0x01;
    pub(super) const STATELESS_RESET_TOKEN: u64 = 0x02;
    pub(super) const MAX_UDP_PAYLOAD_SIZE: u64 = 0x03;
    pub(super) const INITIAL_MAX_DATA: u64 = 0x04;
    pub(super) const INITIAL_MAX_STREAM_DATA_BIDI_LOCAL: u64 = 0x05;
    pub(super) const INITIAL_MAX_STREAM_DATA_BIDI_REMOTE: u64 = 0x06;
    pub(super) const INITIAL_MAX_STREAMS_BIDI: u64 = 0x08;
    pub(super) const INITIAL_MAX_STREAMS_UNI: u64 = 0x09;
    pub(super) const ACK_DELAY_EXPONENT: u64 = 0x0a;
    pub(super) const MAX_ACK_DELAY: u64 = 0x0b;
    pub(super) const DISABLE_ACTIVE_MIGRATION: u64 = 0x0c;
    pub(super) const PREFERRED_ADDRESS: u64 = 0x0d;
    pub(super) const ACTIVE_CONNECTION_ID_LIMIT: u64 = 0x0e;
    pub(super) const INITIAL_SOURCE: u64 = 0x0f;
    pub(super) const RETRY_SOURCE: u64 = 0x10;
    /// The highest that this list knows.
    pub(super) const LAST: u64 = RETRY_SOURCE;
}

/// Room for [`Ours::write`].
pub(crate) const OURS_MAX: usize = 96;

/// What this end tells the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ours<'a> {
    pub(crate) idle_timeout: Micros,
    pub(crate) max_datagram: u16,
    pub(crate) max_data: u64,
    pub(crate) max_stream_data: u64,
    pub(crate) max_streams_bidi: u64,
    pub(crate) active_connection_id_limit: u64,
    pub(crate) initial_source: &'a [u8],
}

impl Ours<'_> {
    /// The parameters in bytes. `None` without room: [`OURS_MAX`] is enough.
    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Option<()> {
        for (id, value) in [
            (id::MAX_IDLE_TIMEOUT, self.idle_timeout.as_millis()),
            (id::MAX_UDP_PAYLOAD_SIZE, u64::from(self.max_datagram)),
            (id::INITIAL_MAX_DATA, self.max_data),
            (id::INITIAL_MAX_STREAM_DATA_BIDI_LOCAL, self.max_stream_data),
            (
                id::INITIAL_MAX_STREAM_DATA_BIDI_REMOTE,
                self.max_stream_data,
            ),
            (id::INITIAL_MAX_STREAMS_BIDI, self.max_streams_bidi),
            (
                id::ACTIVE_CONNECTION_ID_LIMIT,
                self.active_connection_id_limit,
            ),
        ] {
            let value = value.min(varint::MAX);
            out.varint(id)?;
            out.u8(varint::len(value) as u8)?;
            out.varint(value)?;
        }
        out.varint(id::INITIAL_SOURCE)?;
        out.u8(self.initial_source.len() as u8)?;
        out.bytes(self.initial_source)
    }
}

/// What the server tells. Absent numbers have the RFC's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Theirs {
    pub(crate) original_destination: Option<ConnectionId>,
    pub(crate) initial_source: Option<ConnectionId>,
    pub(crate) retry_source: Option<ConnectionId>,
    pub(crate) reset_token: Option<[u8; 16]>,
    /// Zero when there is no limit.
    pub(crate) idle_timeout: Micros,
    pub(crate) max_udp_payload: u64,
    pub(crate) max_data: u64,
    /// For streams that the server opens.
    pub(crate) max_stream_data_bidi_local: u64,
    /// For streams that this end opens.
    pub(crate) max_stream_data_bidi_remote: u64,
    pub(crate) max_streams_bidi: u64,
    pub(crate) ack_delay_exponent: u8,
    pub(crate) max_ack_delay: Micros,
    pub(crate) may_migrate: bool,
    pub(crate) active_connection_id_limit: u64,
    /// Of the preferred address, the connection id and its reset token.
    pub(crate) preferred: Option<(ConnectionId, [u8; 16])>,
}

impl Default for Theirs {
    fn default() -> Self {
        Self {
            original_destination: None,
            initial_source: None,
            retry_source: None,
            reset_token: None,
            idle_timeout: Micros::ZERO,
            max_udp_payload: 65_527,
            max_data: 0,
            max_stream_data_bidi_local: 0,
            max_stream_data_bidi_remote: 0,
            max_streams_bidi: 0,
            ack_delay_exponent: 3,
            max_ack_delay: Micros::from_millis(25),
            may_migrate: true,
            active_connection_id_limit: 2,
            preferred: None,
        }
    }
}

impl Theirs {
    /// Reads and judges a server's parameters (RFC 9000 §7.4, §18.2).
    ///
    /// # Errors
    /// `TRANSPORT_PARAMETER_ERROR`: they do not parse, one is out of its bounds or came twice.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        Self::parse(bytes).ok_or(fault!(
            Code::TRANSPORT_PARAMETER_ERROR,
            "the transport parameters break a rule"
        ))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut theirs = Self::default();
        let mut reader = Reader::new(bytes);
        let mut seen = 0_u32;
        while !reader.is_empty() {
            let id = reader.varint()?;
            let value = reader.varint_bytes()?;
            if id > id::LAST {
                continue;
            }
            let bit = 1_u32.checked_shl(u32::try_from(id).ok()?)?;
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
            theirs.take(id, value)?;
        }
        Some(theirs)
    }

    fn take(&mut self, id: u64, value: &[u8]) -> Option<()> {
        match id {
            id::ORIGINAL_DESTINATION => {
                self.original_destination = Some(ConnectionId::new(value)?);
            }
            id::INITIAL_SOURCE => self.initial_source = Some(ConnectionId::new(value)?),
            id::RETRY_SOURCE => self.retry_source = Some(ConnectionId::new(value)?),
            id::STATELESS_RESET_TOKEN => self.reset_token = Some(value.try_into().ok()?),
            id::DISABLE_ACTIVE_MIGRATION => {
                self.may_migrate = false;
                return value.is_empty().then_some(());
            }
            id::PREFERRED_ADDRESS => self.preferred = Some(preferred_address(value)?),
            _ => {
                let mut reader = Reader::new(value);
                let number = reader.varint()?;
                if !reader.is_empty() {
                    return None;
                }
                return self.take_number(id, number);
            }
        }
        Some(())
    }

    fn take_number(&mut self, id: u64, number: u64) -> Option<()> {
        match id {
            id::MAX_IDLE_TIMEOUT => self.idle_timeout = Micros::from_millis(number),
            id::MAX_UDP_PAYLOAD_SIZE => self.max_udp_payload = at_least(1200, number)?,
            id::INITIAL_MAX_DATA => self.max_data = number,
            id::INITIAL_MAX_STREAM_DATA_BIDI_LOCAL => self.max_stream_data_bidi_local = number,
            id::INITIAL_MAX_STREAM_DATA_BIDI_REMOTE => self.max_stream_data_bidi_remote = number,
            id::INITIAL_MAX_STREAMS_BIDI => self.max_streams_bidi = at_most(1 << 60, number)?,
            id::INITIAL_MAX_STREAMS_UNI => {
                at_most(1 << 60, number)?;
            }
            id::ACK_DELAY_EXPONENT => self.ack_delay_exponent = at_most(20, number)? as u8,
            id::MAX_ACK_DELAY => {
                self.max_ack_delay = Micros::from_millis(at_most((1 << 14) - 1, number)?);
            }
            id::ACTIVE_CONNECTION_ID_LIMIT => {
                self.active_connection_id_limit = at_least(2, number)?;
            }
            // INITIAL_MAX_STREAM_DATA_UNI: this end opens no such stream.
            _ => {}
        }
        Some(())
    }
}

/// IPv4 address and port, IPv6 address and port, a connection id that is not empty, a reset token.
fn preferred_address(value: &[u8]) -> Option<(ConnectionId, [u8; 16])> {
    let mut reader = Reader::new(value);
    reader.bytes(4 + 2 + 16 + 2)?;
    let id = ConnectionId::new(reader.u8_bytes()?).filter(|id| !id.as_slice().is_empty())?;
    let reset_token = reader.array()?;
    reader.is_empty().then_some((id, reset_token))
}

fn at_least(bound: u64, number: u64) -> Option<u64> {
    (number >= bound).then_some(number)
}

fn at_most(bound: u64, number: u64) -> Option<u64> {
    (number <= bound).then_some(number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn parameter(id: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = std::vec![id, value.len() as u8];
        bytes.extend_from_slice(value);
        bytes
    }

    #[test]
    fn our_own_parameters_are_read_back() {
        let ours = Ours {
            idle_timeout: Micros::from_secs(30),
            max_datagram: 1472,
            max_data: 4096,
            max_stream_data: 1024,
            max_streams_bidi: 2,
            active_connection_id_limit: 3,
            initial_source: &[9; 8],
        };
        let mut bytes = [0; OURS_MAX];
        let mut writer = Writer::new(&mut bytes);
        ours.write(&mut writer).unwrap();
        let read = Theirs::read(writer.written()).unwrap();
        assert_eq!(
            read,
            Theirs {
                initial_source: ConnectionId::new(&[9; 8]),
                idle_timeout: Micros::from_secs(30),
                max_udp_payload: 1472,
                max_data: 4096,
                max_stream_data_bidi_local: 1024,
                max_stream_data_bidi_remote: 1024,
                max_streams_bidi: 2,
                active_connection_id_limit: 3,
                ..Theirs::default()
            }
        );
    }

    #[test]
    fn a_parameter_that_came_twice_is_refused() {
        let once = parameter(0x04, &[5]);
        assert!(Theirs::read(&once).is_ok());
        assert!(Theirs::read(&[once.clone(), once].concat()).is_err());
    }

    #[test]
    fn numbers_out_of_their_bounds_are_refused() {
        for (id, good, bad) in [
            (0x03, &[0x44, 0xb0][..], &[0x44, 0xaf][..]),
            (0x0a, &[20], &[21]),
            (0x0b, &[0x7f, 0xff], &[0x80, 0, 0x40, 0]),
            (0x0e, &[2], &[1]),
            (0x0c, &[], &[0]),
            (0x02, &[1; 16], &[1; 15]),
            (0x00, &[1; 20], &[1; 21]),
            (0x04, &[1], &[1, 1]),
        ] {
            assert!(Theirs::read(&parameter(id, good)).is_ok(), "{id}");
            assert!(Theirs::read(&parameter(id, bad)).is_err(), "{id}");
        }
        let mut huge = parameter(0x08, &[0xd0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(Theirs::read(&huge).is_ok());
        huge[9] = 1;
        assert!(Theirs::read(&huge).is_err());
    }

    #[test]
    fn a_preferred_address_is_read_and_not_used() {
        let mut address = std::vec![0; 24];
        address.push(4);
        address.extend([7; 20]);
        assert!(Theirs::read(&parameter(0x0d, &address)).is_ok());
        assert!(Theirs::read(&parameter(0x0d, &address[..address.len() - 1])).is_err());
        address[24] = 0;
        assert!(Theirs::read(&parameter(0x0d, &address)).is_err());
    }

    #[test]
    fn unknown_parameters_are_skipped() {
        let bytes = [0x5a, 0xbc, 3, 1, 2, 3, 0x04, 1, 9];
        assert_eq!(Theirs::read(&bytes).unwrap().max_data, 9);
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _judged = Theirs::read(&bytes);
        }
    }
}
