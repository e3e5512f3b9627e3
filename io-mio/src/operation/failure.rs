//! How an operation fails, and what comes on one.

use std::fmt;

use aire_proto::budget::{ChargeError, CurrencyMismatch};
use aire_proto::wire::Budget;
use aire_proto::{CancelReason, ErrorCode};

use super::shared::FRAME_COST;

/// Why an operation did not come to a good end, or cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// An ERROR ended it.
    Failed {
        /// The code.
        code: ErrorCode,
        /// What happened, in the words of who sent it.
        detail: String,
        /// Whatever the agent added, at most 60 KiB: more is left out.
        data: Vec<u8>,
    },
    /// It was cancelled, by either side.
    Cancelled {
        /// Why.
        reason: CancelReason,
        /// Why, in the words of who cancelled.
        detail: String,
    },
    /// Its stream was reset, with this code.
    Reset(u64),
    /// The connection was lost, or closed, under it.
    Lost,
    /// Nothing more can be sent: this side has ended.
    Ended,
    /// Nothing came in time. The operation goes on.
    TimedOut,
    /// An amount of money is in another currency than the operation is counted in. Nothing is ever
    /// converted.
    Currency(CurrencyMismatch),
    /// The payload is longer than a frame may be, and was not sent (`WIRE-13`). The operation goes
    /// on.
    TooLong,
}

impl Failure {
    /// An agent's own failure: `APPLICATION`, with words for the caller.
    pub fn application(detail: impl fmt::Display) -> Self {
        Self::Failed {
            code: ErrorCode::Application,
            detail: detail.to_string(),
            data: Vec::new(),
        }
    }

    /// What a charge that was refused makes of the operation (`BUD-7`).
    pub(crate) fn over_budget(error: ChargeError) -> Self {
        match error {
            ChargeError::Exhausted(what) => Self::Failed {
                code: what.code(),
                detail: error.to_string(),
                data: Vec::new(),
            },
            ChargeError::Currency(mismatch) => Self::Currency(mismatch),
        }
    }

    /// What the peer is told, and in which words.
    pub(crate) fn to_error(&self) -> (ErrorCode, String, Vec<u8>) {
        match self {
            Self::Failed { code, detail, data } => (*code, detail.clone(), data.clone()),
            Self::Cancelled { .. } | Self::Reset(_) | Self::Lost => {
                (ErrorCode::Cancelled, String::new(), Vec::new())
            }
            Self::Currency(mismatch) => (ErrorCode::Refused, mismatch.to_string(), Vec::new()),
            other => (ErrorCode::Application, other.to_string(), Vec::new()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { code, detail, .. } if detail.is_empty() => code.fmt(f),
            Self::Failed { code, detail, .. } => write!(f, "{code}: {detail}"),
            Self::Cancelled { reason, detail } if detail.is_empty() => {
                write!(f, "cancelled: {reason}")
            }
            Self::Cancelled { reason, detail } => write!(f, "cancelled: {reason}: {detail}"),
            Self::Reset(code) => {
                write!(f, "the stream was reset: {}", ErrorCode::from_wire(*code))
            }
            Self::Lost => f.write_str("the connection was lost"),
            Self::Ended => f.write_str("nothing more can be sent on this operation"),
            Self::TimedOut => f.write_str("nothing came in time"),
            Self::Currency(mismatch) => mismatch.fmt(f),
            Self::TooLong => f.write_str("a payload is at most 1,048,576 bytes"),
        }
    }
}

impl std::error::Error for Failure {}

/// Something that came on an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// A STREAM frame's payload.
    Stream(Vec<u8>),
    /// From an initiator: what the operation may still spend, which its ledger has already. From a
    /// responder: a report of what it has spent; see [`Budget::is_report`].
    Budget(Budget),
    /// The responder handed the operation on.
    Delegated {
        /// Where to.
        target: String,
        /// The DID there; empty when unknown.
        target_did: String,
        /// The operation's id there; 0 when unknown.
        sub_op: u64,
    },
}

impl Received {
    /// What it counts while it waits: also those without payload count, so that they are bounded.
    pub(super) fn cost(&self) -> usize {
        let held = match self {
            Self::Stream(payload) => payload.len(),
            Self::Delegated {
                target, target_did, ..
            } => target.len() + target_did.len(),
            Self::Budget(_) => 0,
        };
        held + FRAME_COST
    }
}
