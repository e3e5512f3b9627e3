//! What a connection tells its application.

use core::fmt;

use crate::error::{Code, Error};
use crate::stream::{self, StreamId};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event {
    /// The handshake is done, and the server is who it was to be: streams can be opened.
    Connected,
    /// A ticket for the next connection came:
    /// [`ticket`](crate::Connection::ticket).
    Ticket,
    /// A token for the next connection came: [`token`](crate::Connection::token).
    Token,
    /// [`open`](crate::Connection::open) may succeed again.
    StreamsAvailable,
    /// The server opened a stream.
    Opened(StreamId),
    /// Bytes, or the end, came.
    Readable(StreamId),
    /// There is room again after a write that was cut short.
    Writable(StreamId),
    /// Everything that was written is with the server, its end included.
    Finished(StreamId),
    /// The server gave up sending (RESET_STREAM).
    Reset {
        /// On this stream.
        stream: StreamId,
        /// The application's code.
        code: u64,
    },
    /// The server wants no more (STOP_SENDING); the stream was reset with its code.
    Stopped {
        /// On this stream.
        stream: StreamId,
        /// The application's code.
        code: u64,
    },
    /// The connection is over: said once, last.
    Closed(CloseReason),
}

impl From<stream::Event> for Event {
    fn from(event: stream::Event) -> Self {
        match event {
            stream::Event::StreamsAvailable => Self::StreamsAvailable,
            stream::Event::Opened(stream) => Self::Opened(stream),
            stream::Event::Readable(stream) => Self::Readable(stream),
            stream::Event::Writable(stream) => Self::Writable(stream),
            stream::Event::Finished(stream) => Self::Finished(stream),
            stream::Event::Reset { stream, code } => Self::Reset { stream, code },
            stream::Event::Stopped { stream, code } => Self::Stopped { stream, code },
        }
    }
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CloseReason {
    /// This end closed it.
    Local {
        /// With this code of the application's.
        code: u64,
    },
    /// The server's application closed it.
    Application {
        /// With this code.
        code: u64,
    },
    /// The server's transport closed it.
    Transport {
        /// Why.
        code: Code,
        /// The type of the frame that it blames; 0 when it names none.
        frame_type: u64,
    },
    /// The server broke a rule, or is not who it was to be. It was told the code.
    Violation(Error),
    /// Nothing came for so long that the connection is given up (RFC 9000 §10.1).
    Idle,
    /// The handshake took too long.
    HandshakeTimeout,
    /// The server lost the connection's state (RFC 9000 §10.3).
    StatelessReset,
    /// The server does not speak QUIC v1.
    Version,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { code } => write!(f, "closed with code {code}"),
            Self::Application { code } => write!(f, "the server closed it with code {code}"),
            Self::Transport { code, .. } => write!(f, "the server's transport closed it: {code}"),
            Self::Violation(error) => error.fmt(f),
            Self::Idle => f.write_str("nothing came for too long"),
            Self::HandshakeTimeout => f.write_str("the handshake took too long"),
            Self::StatelessReset => f.write_str("the server lost the connection's state"),
            Self::Version => f.write_str("the server does not speak QUIC v1"),
        }
    }
}

impl core::error::Error for CloseReason {}
