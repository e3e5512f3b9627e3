//! Events that borrow nothing.

use aire_proto::connection::{CloseReason, Outcome, Side};
use aire_proto::wire::Budget;
use aire_proto::{ErrorCode, Event, StreamId};

/// What a connection told.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Hello,
    Bound,
    Via {
        stream: StreamId,
        /// Through whom it comes, by DID.
        hops: Vec<String>,
    },
    Invoked {
        stream: StreamId,
        args_len: u64,
    },
    Args {
        stream: StreamId,
        bytes: Vec<u8>,
        remaining: u64,
    },
    Stream {
        stream: StreamId,
        bytes: Vec<u8>,
        remaining: u64,
    },
    Cancelled {
        stream: StreamId,
        late: bool,
    },
    Budget {
        stream: StreamId,
        budget: Budget,
    },
    Resumable {
        stream: StreamId,
        ttl_secs: u64,
        token: Vec<u8>,
        last_seq: u64,
    },
    Resumed {
        stream: StreamId,
        token: Vec<u8>,
        last_recv: u64,
    },
    Failed {
        stream: StreamId,
        code: ErrorCode,
    },
    InputFinished {
        stream: StreamId,
    },
    Ended {
        stream: StreamId,
        outcome: Outcome,
        by: Side,
    },
    NoRoom {
        stream: StreamId,
    },
    Goodbye,
    Closed(CloseReason),
    /// Nothing that a process here acts on.
    Other,
}

impl From<Event<'_>> for Told {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::HelloReceived => Self::Hello,
            Event::ChannelBound => Self::Bound,
            Event::DelegatedVia { stream, path } => Self::Via {
                stream,
                hops: path.hops().map(|(did, _)| did.to_owned()).collect(),
            },
            Event::Invoked {
                stream, args_len, ..
            } => Self::Invoked { stream, args_len },
            Event::Args {
                stream,
                bytes,
                remaining,
            } => Self::Args {
                stream,
                bytes: bytes.to_vec(),
                remaining,
            },
            Event::Stream {
                stream,
                bytes,
                remaining,
            } => Self::Stream {
                stream,
                bytes: bytes.to_vec(),
                remaining,
            },
            Event::Cancelled { stream, .. } => Self::Cancelled {
                stream,
                late: false,
            },
            Event::CancelledLate { stream, .. } => Self::Cancelled { stream, late: true },
            Event::Budget { stream, budget } => Self::Budget { stream, budget },
            Event::Resumable { stream, resumable } => Self::Resumable {
                stream,
                ttl_secs: resumable.ttl_secs,
                token: resumable.token.to_vec(),
                last_seq: resumable.last_seq,
            },
            Event::Resumed { stream, resume, .. } => Self::Resumed {
                stream,
                token: resume.token.to_vec(),
                last_recv: resume.last_recv,
            },
            Event::Failed { stream, error } => Self::Failed {
                stream,
                code: error.code,
            },
            Event::InputFinished { stream } => Self::InputFinished { stream },
            Event::Ended {
                stream,
                outcome,
                by,
            } => Self::Ended {
                stream,
                outcome,
                by,
            },
            Event::NoRoom { stream } => Self::NoRoom { stream },
            Event::Goodbye => Self::Goodbye,
            Event::Closed(reason) => Self::Closed(reason),
            _ => Self::Other,
        }
    }
}
