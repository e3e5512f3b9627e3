//! One connection whose peer is a script: bytes that no honest implementation would send.

use std::collections::{BTreeMap, BTreeSet};

use aire_proto::connection::CloseReason;
use aire_proto::storage::Storage;
use aire_proto::wire::{Decoder, ErrorFrame, FrameHeader, FrameType, Payload, Piece};
use aire_proto::{Config, Now, Role, StreamId};

use super::hello::HelloFrame;
use super::{End, Pipe, UNIX_START, at};

/// A connection, and the streams that its scripted peer writes.
pub struct Lone<S: Storage> {
    pub end: End<S>,
    incoming: BTreeMap<StreamId, Pipe>,
    /// Streams that the peer has ended or reset.
    ended: BTreeSet<StreamId>,
    pub millis: u64,
}

/// The seed of the scripted peer's key.
pub const PEER_SEED: [u8; 32] = [77; 32];

impl<S: Storage> Lone<S> {
    /// A connection that has neither said HELLO nor heard anything.
    pub fn unstarted(role: Role, config: Config) -> Self {
        Self {
            end: End::new(role, 42, config, at(0)),
            incoming: BTreeMap::new(),
            ended: BTreeSet::new(),
            millis: 0,
        }
    }

    /// A connection that has said HELLO, and heard nothing.
    pub fn started(role: Role, config: Config) -> Self {
        let mut lone = Self::unstarted(role, config);
        lone.end.start(at(0));
        lone
    }

    /// A connection after a good handshake, its log empty.
    pub fn connected(role: Role, config: Config) -> Self {
        let mut lone = Self::started(role, config);
        let hello = HelloFrame::signed(PEER_SEED, [5; 16], UNIX_START);
        lone.arrives(StreamId::CONTROL, &hello.encode());
        assert_eq!(lone.end.told(), ["hello", "connected"]);
        lone
    }

    pub fn now(&self) -> Now {
        at(self.millis)
    }

    /// Delivers `bytes` on `stream` in pieces of [`End::chunk`], and settles.
    pub fn arrives(&mut self, stream: StreamId, bytes: &[u8]) {
        self.deliver(stream, bytes, false);
    }

    /// As [`arrives`](Self::arrives), with FIN behind.
    pub fn ends(&mut self, stream: StreamId, bytes: &[u8]) {
        self.deliver(stream, bytes, true);
    }

    pub fn deliver(&mut self, stream: StreamId, bytes: &[u8], fin: bool) {
        let now = self.now();
        let pipe = self.incoming.entry(stream).or_default();
        pipe.bytes.extend_from_slice(bytes);
        pipe.fin |= fin;
        if fin {
            self.ended.insert(stream);
        }
        self.settle(now);
    }

    /// Whether the peer ended or reset `stream`, so that QUIC lets nothing more come.
    pub fn has_ended(&self, stream: StreamId) -> bool {
        self.ended.contains(&stream)
    }

    /// What came on `stream` and was not read is gone: the peer reset it.
    pub fn forget(&mut self, stream: StreamId) {
        self.incoming.remove(&stream);
        self.ended.insert(stream);
    }

    /// What waits gets read, what is queued leaves, what is to be told is told.
    pub fn settle(&mut self, now: Now) {
        for _ in 0..1000 {
            let mut progress = self.end.transmit(now);
            for (stream, pipe) in &mut self.incoming {
                // The transport drops what comes on a stream that was told to stop.
                if self
                    .end
                    .pipes
                    .get(stream)
                    .is_some_and(|sent| sent.stop.is_some())
                {
                    *pipe = Pipe::default();
                } else {
                    progress |= self.end.receive(*stream, pipe, now);
                }
            }
            progress |= self.end.events();
            if !progress {
                return;
            }
        }
        panic!("the connection never comes to rest");
    }

    /// Lets time pass.
    pub fn wait(&mut self, millis: u64) {
        self.millis += millis;
        let now = self.now();
        self.end.connection.handle_timeout(now);
        self.settle(now);
    }

    /// Asserts that what is due is in the future, so that nobody waits in circles.
    pub fn assert_not_busy(&mut self) {
        let now = self.now();
        for _ in 0..2 {
            self.end.connection.handle_timeout(now);
        }
        let due = self.end.connection.next_deadline();
        assert!(
            due.is_none_or(|due| due > now.instant),
            "{due:?} at {now:?}"
        );
        self.settle(now);
    }

    /// The frames that left on `stream`.
    pub fn frames(&self, stream: StreamId) -> Vec<(FrameHeader, Vec<u8>)> {
        match self.end.pipes.get(&stream) {
            Some(pipe) => frames(&pipe.bytes),
            None => Vec::new(),
        }
    }

    /// The codes of the ERROR frames that left on `stream`, which carry nothing else (SIG-14).
    pub fn errors(&self, stream: StreamId) -> Vec<u64> {
        let frames = self.frames(stream);
        let errors = frames
            .iter()
            .filter(|(header, _)| header.frame_type == FrameType::Error);
        errors
            .map(|(_, payload)| {
                let error = ErrorFrame::decode(payload).expect("our own frames decode");
                assert_eq!((error.detail, error.data), ("", &[][..]));
                error.code.to_wire()
            })
            .collect()
    }

    /// Asserts that the connection closed with `code`, and that the peer is told so twice: by
    /// ERROR behind our HELLO, and by CONNECTION_CLOSE.
    pub fn assert_closed(&self, code: u64, context: &str) {
        assert!(self.end.connection.is_closed(), "{context}: still open");
        assert_eq!(self.end.closed_with, Some(code), "{context}: the close");
        let frames = self.frames(StreamId::CONTROL);
        let types: Vec<FrameType> = frames.iter().map(|(header, _)| header.frame_type).collect();
        assert_eq!(types, [FrameType::Hello, FrameType::Error], "{context}");
        assert!(frames.iter().all(|(header, _)| header.op_id == 0));
        assert_eq!(
            self.errors(StreamId::CONTROL),
            [code],
            "{context}: the ERROR"
        );
        assert!(
            self.end
                .log
                .last()
                .is_some_and(|line| line.starts_with("closed ")),
            "{context}: the close is told last: {:?}",
            self.end.log
        );
        assert_eq!(self.end.connection.live_operations(), 0, "{context}");
        assert_eq!(self.end.connection.next_deadline(), None, "{context}");
    }
}

/// Splits what left on a stream into frames.
pub fn frames(bytes: &[u8]) -> Vec<(FrameHeader, Vec<u8>)> {
    let mut decoder = Decoder::new();
    let mut rest = bytes;
    let mut found: Vec<(FrameHeader, Vec<u8>)> = Vec::new();
    while let Some(piece) = decoder.next(&mut rest) {
        match piece {
            Piece::Header(header) => found.push((header, Vec::new())),
            Piece::Payload { bytes, .. } => {
                let last = found.last_mut().expect("a header came first");
                last.1.extend_from_slice(bytes);
            }
        }
    }
    assert!(decoder.at_boundary(), "whole frames only");
    found
}

/// A frame with this payload.
pub fn frame(frame_type: u8, op_id: u64, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader::new(
        FrameType::from_wire(frame_type),
        op_id,
        payload.len() as u64,
    );
    let mut bytes = vec![0; 18];
    let len = header.encode(&mut bytes).expect("it fits");
    bytes.truncate(len);
    bytes.extend_from_slice(payload);
    bytes
}

/// A payload as a frame of operation `op_id`.
pub fn encoded<P: Payload>(op_id: u64, payload: &P) -> Vec<u8> {
    let mut bytes = vec![0; 18 + payload.encoded_len().expect("its numbers fit")];
    let len = payload.encode_frame(op_id, &mut bytes).expect("it fits");
    bytes.truncate(len);
    bytes
}

/// INVOKE of `echo/say` without arguments.
pub fn invoke(op_id: u64) -> Vec<u8> {
    frame(0x03, op_id, b"\x04echo\x03say")
}

/// How a line of the log tells of `reason`.
pub fn closed(reason: CloseReason) -> String {
    format!("closed {reason:?}")
}
