//! What goes wrong, in types, and in sentences for people.

use core::fmt;

use aire_proto::connection::CallError;
use aire_proto::resume::TicketError;
use aire_proto::wire::EncodeError;
use aire_proto::{CancelReason, ErrorCode};

/// Why a call on a [`Handle`](crate::Handle) or an [`Operation`](crate::Operation) failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error {
    /// The application said [`disconnect`](crate::Handle::disconnect).
    Off,
    /// As many operations as there is room for are held by the application.
    Busy,
    /// One of the two ends cancelled the operation.
    Cancelled(CancelReason),
    /// An ERROR ended the operation, the peer's or our own.
    Failed(ErrorCode),
    /// A stream reset ended the operation, with this code.
    Reset(u64),
    /// The connection was lost under the operation, and it could not be resumed.
    Lost,
    /// The operation is over, and ended well.
    Ended,
    /// A frame that was begun must be written to its end before this can be done.
    FrameUnfinished,
    /// More was written than the frame was announced to have.
    FrameOverrun,
    /// The connection was lost in the middle of a frame that is written in pieces: send it again.
    FrameCut,
    /// A whole frame of so many bytes did not fit the buffer, and was skipped.
    FrameTooLong(u64),
    /// After a resumption the peer sent another frame in place of the one that was half read.
    OtherFrame,
    /// The protocol does not allow it.
    Call(CallError),
    /// The responder has not said how the operation can be resumed, or its word has expired.
    NoToken,
    /// The token is longer than this side can keep.
    TokenTooLong,
    /// The ticket cannot be read or written.
    Ticket(TicketError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "the application has disconnected",
            Self::Busy => "as many operations as there is room for are held",
            Self::Cancelled(reason) => return write!(f, "the operation was cancelled: {reason}"),
            Self::Failed(code) => return write!(f, "the operation failed: {code}"),
            Self::Reset(code) => {
                return write!(f, "the operation's stream was reset: code {code:#x}");
            }
            Self::Lost => "the connection was lost under the operation",
            Self::Ended => "the operation is over",
            Self::FrameUnfinished => "a frame that was begun is not written to its end",
            Self::FrameOverrun => "more was written than the frame was announced to have",
            Self::FrameCut => "the connection was lost in the middle of a frame",
            Self::FrameTooLong(len) => {
                return write!(f, "a frame of {len} bytes did not fit the buffer");
            }
            Self::OtherFrame => "the resumed operation sent another frame than the one half read",
            Self::Call(error) => return error.fmt(f),
            Self::NoToken => "the operation cannot be resumed",
            Self::TokenTooLong => "the resumption token is too long to be kept",
            Self::Ticket(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for Error {}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<TicketError> for Error {
    fn from(error: TicketError) -> Self {
        Self::Ticket(error)
    }
}

/// Why a connection, or an attempt at one, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Closed {
    /// What AIRE says.
    Protocol(aire_proto::connection::CloseReason),
    /// What QUIC or TLS says.
    Transport(aire_quic::CloseReason),
    /// The node's name has no address, or the name server does not answer.
    NoAddress,
    /// The time server does not answer.
    NoTime,
    /// The options do not make a QUIC connection.
    Config(aire_quic::ConfigError),
    /// Our own HELLO does not fit its buffer.
    Hello(EncodeError),
    /// The node's HELLO was signed by another key than the one expected.
    OtherNode,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(reason) => reason.fmt(f),
            Self::Transport(reason) => reason.fmt(f),
            Self::NoAddress => f.write_str("the node's name has no address"),
            Self::NoTime => f.write_str("the time server does not answer"),
            Self::Config(error) => write!(f, "the options make no connection: {error}"),
            Self::Hello(error) => write!(f, "our HELLO cannot be written: {error}"),
            Self::OtherNode => f.write_str("another node than the expected one answers"),
        }
    }
}

impl core::error::Error for Closed {}
