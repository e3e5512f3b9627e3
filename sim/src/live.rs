//! A connection of a process: the transport's end, and AIRE's on top of it.

use std::collections::BTreeMap;

use aire_proto::{Connection, ErrorCode, Growing, Now, StreamId, Transmit};

use crate::transport::{Endpoint, State};

/// One end.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) peer: usize,
    pub(crate) endpoint: Endpoint,
    /// From when the transport's handshake is done.
    pub(crate) connection: Option<Connection<Growing>>,
    /// What the application is sending, by stream.
    pub(crate) payloads: BTreeMap<StreamId, Vec<u8>>,
    /// Until when the application is too busy to read.
    pub(crate) stalled_until: u64,
    /// The connection has heard that the transport is over.
    pub(crate) told_over: bool,
}

impl Live {
    pub(crate) const fn new(peer: usize, endpoint: Endpoint) -> Self {
        Self {
            peer,
            endpoint,
            connection: None,
            payloads: BTreeMap::new(),
            stalled_until: 0,
            told_over: false,
        }
    }

    /// Whether an operation can be opened here.
    pub(crate) fn may_open(&self) -> bool {
        self.endpoint.state == State::Open
            && self
                .connection
                .as_ref()
                .is_some_and(|connection| connection.may_open().is_ok())
    }

    /// Whether it is, or may become, a way to the peer.
    pub(crate) fn is_promising(&self) -> bool {
        self.endpoint.state == State::Open
            && self
                .connection
                .as_ref()
                .is_none_or(|connection| !connection.is_closed() && !connection.is_draining())
    }

    /// Hands all that the connection has for the transport over. Whether there was anything.
    pub(crate) fn transmit(&mut self, world: u64, now: Now) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        for stream in self.endpoint.take_writable() {
            if let Some(stream) = StreamId::new(stream) {
                connection.writable(stream);
            }
        }
        let mut progress = false;
        while let Some(transmit) = connection.poll_transmit() {
            match transmit {
                Transmit::Data {
                    stream,
                    head,
                    payload,
                    tail,
                    fin,
                } => {
                    let mut bytes = head.to_vec();
                    let range = payload.start as usize..payload.end as usize;
                    if let Some(payload) = self.payloads.get(&stream) {
                        bytes.extend_from_slice(payload.get(range).unwrap_or_default());
                    }
                    bytes.extend_from_slice(tail);
                    let (taken, fin) = self.endpoint.write(stream.get(), &bytes, fin);
                    progress |= taken > 0 || fin;
                    if connection.wrote(stream, taken, fin, now) {
                        self.payloads.remove(&stream);
                    }
                }
                Transmit::Reset { stream, code } => {
                    progress = true;
                    self.payloads.remove(&stream);
                    self.endpoint.reset(stream.get(), code);
                }
                Transmit::StopSending { stream, code } => {
                    progress = true;
                    self.endpoint.stop(stream.get(), code);
                }
                Transmit::Close { code } => {
                    progress = true;
                    self.endpoint.close(code, world);
                }
            }
        }
        progress
    }

    /// Refuses a stream for which there is no room.
    pub(crate) fn refuse(&mut self, stream: StreamId) {
        let code = ErrorCode::Refused.to_wire();
        self.endpoint.reset(stream.get(), code);
        self.endpoint.stop(stream.get(), code);
    }
}
