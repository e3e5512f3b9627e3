//! What can go wrong outside the protocol, in sentences that say what to do.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why something could not be set up, or a call could not be done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else than it should.
    FileContent {
        /// Which.
        path: PathBuf,
        /// What it should hold, and how to get it.
        expected: &'static str,
    },
    /// The certificate and the private key do not belong together.
    CertificateMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A capability may not be advertised.
    Capability {
        /// Which.
        name: String,
        /// Why not.
        source: aire_proto::capability::CapabilityError,
    },
    /// A DID and a fragment do not make a verification method.
    Did(String),
    /// The address could not be bound.
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A host name has no address.
    Resolve {
        /// Which.
        host: String,
        /// Why.
        source: Option<io::Error>,
    },
    /// A name, a DID or a key cannot be resolved.
    #[cfg(feature = "discovery")]
    Unresolved(crate::ResolveError),
    /// A text is no `aire://` URI.
    Uri {
        /// The text.
        uri: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// TLS refused a setting.
    Tls(String),
    /// QUIC refused something.
    Quic(quiche::Error),
    /// The operating system refused something.
    Io(io::Error),
    /// An agent of that id is there already.
    AgentTaken(String),
    /// The connection is over, or never came to be.
    Closed(crate::Closed),
    /// Somebody else answered than was expected.
    OtherPeer {
        /// The DID that was expected.
        expected: String,
        /// The DID of who answered.
        found: String,
    },
    /// A handle or a DID was to be connected to, without a resolver.
    NoResolver(String),
    /// A target was reached at none of its endpoints.
    Unreachable {
        /// The target.
        target: String,
        /// The endpoints that were tried, and why each was not reached.
        tried: Vec<(String, Error)>,
    },
    /// No peer of this DID is connected.
    NotConnected(String),
    /// The protocol does not allow the call now.
    Call(aire_proto::connection::CallError),
    /// The peer allows no further stream for now.
    StreamLimit,
    /// The operation was delegated through more nodes than may be.
    TooFar,
    /// Nothing came in time.
    TimedOut,
    /// The bytes are no ticket of an operation.
    Ticket(aire_proto::resume::TicketError),
    /// The time in which the ticket's operation could be resumed is over.
    TicketExpired,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, source } => write!(
                f,
                "cannot open {}: {source}; check the path and its permissions",
                path.display()
            ),
            Self::FileContent { path, expected } => {
                write!(f, "{}: this should be {expected}", path.display())
            }
            Self::CertificateMismatch { certificate, key } => write!(
                f,
                "the private key in {} does not belong to the certificate in {}: give the pair \
                 that was issued together",
                key.display(),
                certificate.display()
            ),
            Self::Capability { name, source } => write!(f, "capability {name:?}: {source}"),
            Self::Did(method) => write!(
                f,
                "{method:?} is no verification method: give a DID as in did:web:example.com, and a \
                 fragment as in key-1, of at most 256 and 320 bytes together"
            ),
            Self::Bind { address, source } if source.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "cannot listen on {address}: another program uses that port; stop it, or \
                 choose another port"
            ),
            Self::Bind { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::Resolve {
                host,
                source: Some(source),
            } => {
                write!(f, "cannot find the address of {host}: {source}")
            }
            Self::Resolve { host, source: None } => write!(f, "{host} has no address"),
            #[cfg(feature = "discovery")]
            Self::Unresolved(error) => error.fmt(f),
            Self::Uri { uri, reason } => write!(f, "{uri:?} is no aire:// URI: {reason}"),
            Self::Tls(reason) => write!(f, "TLS: {reason}"),
            Self::Quic(error) => write!(f, "QUIC: {error}"),
            Self::Io(error) => error.fmt(f),
            Self::AgentTaken(id) => write!(f, "an agent {id:?} is registered already"),
            Self::Closed(closed) => closed.fmt(f),
            Self::OtherPeer { expected, found } => write!(
                f,
                "{found} answered where {expected} was expected: the address is wrong, or somebody \
                 is impersonating it"
            ),
            Self::NoResolver(target) => write!(
                f,
                "{target:?} is no aire:// URI, and to look it up takes a resolver: give the builder \
                 one"
            ),
            Self::Unreachable { target, tried } => {
                write!(f, "{target} cannot be reached")?;
                tried
                    .iter()
                    .try_for_each(|(uri, error)| write!(f, "; at {uri}: {error}"))
            }
            Self::NotConnected(peer) => write!(f, "{peer} is not connected to this node"),
            Self::Call(error) => error.fmt(f),
            Self::StreamLimit => {
                f.write_str("the peer allows no further operation until another one ends")
            }
            Self::TooFar => f.write_str("the operation was delegated through too many nodes"),
            Self::TimedOut => f.write_str("nothing came in time"),
            Self::Ticket(error) => write!(f, "the operation cannot be resumed: {error}"),
            Self::TicketExpired => f.write_str(
                "the operation cannot be resumed: the time of its ticket is over; invoke it anew",
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } | Self::Bind { source, .. } | Self::Io(source) => {
                Some(source)
            }
            Self::Quic(error) => Some(error),
            Self::Call(error) => Some(error),
            Self::Capability { source, .. } => Some(source),
            Self::Ticket(error) => Some(error),
            #[cfg(feature = "discovery")]
            Self::Unresolved(error) => Some(error),
            _ => None,
        }
    }
}

impl From<quiche::Error> for Error {
    fn from(error: quiche::Error) -> Self {
        Self::Quic(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<boring::error::ErrorStack> for Error {
    fn from(error: boring::error::ErrorStack) -> Self {
        Self::Tls(error.to_string())
    }
}

impl From<aire_proto::connection::CallError> for Error {
    fn from(error: aire_proto::connection::CallError) -> Self {
        Self::Call(error)
    }
}
