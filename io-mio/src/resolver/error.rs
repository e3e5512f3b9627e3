//! Why a name, a DID or a key could not be resolved, in sentences that say what to do.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use aire_proto::address::AnswerError;
use aire_proto::identity::PublicKey;

use super::pins::multibase;

/// Why something could not be resolved. A peer learns `UNRESOLVABLE_DID` at most (`SIG-14`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolveError {
    /// A text is no `aire://` URI, no handle and no DID.
    Target {
        /// The text.
        target: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The DID is of a method that is not known here (`ID-2`).
    Method {
        /// The DID.
        did: String,
    },
    /// A name could not be looked up.
    Dns {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A name has no address.
    NoAddress {
        /// The name.
        host: String,
    },
    /// An address is not of the public internet.
    ForbiddenAddress {
        /// The name, or the address itself.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// A server could not be connected to.
    Connect {
        /// What was to be fetched.
        url: String,
        /// Why.
        reason: String,
    },
    /// A server's certificate is not good, or TLS failed otherwise.
    Tls {
        /// What was to be fetched.
        url: String,
        /// Why.
        reason: String,
    },
    /// A server does not speak HTTP as it should.
    Http {
        /// What was to be fetched.
        url: String,
        /// Why.
        reason: String,
    },
    /// A server answered with a redirect. None is followed: it could lead anywhere.
    Redirect {
        /// What was to be fetched.
        url: String,
        /// Where it led to.
        location: String,
    },
    /// A server answered with something else than 200.
    Status {
        /// What was to be fetched.
        url: String,
        /// The status code.
        status: u16,
    },
    /// An answer is too large.
    TooLarge {
        /// What was to be fetched.
        url: String,
        /// The most bytes that it may have.
        limit: usize,
    },
    /// It took too long.
    TimedOut {
        /// What was to be fetched, or looked up.
        what: String,
        /// How long was waited.
        after: Duration,
    },
    /// An answer about a handle is not what it should be (`DISC-4`, `DISC-5`).
    Answer {
        /// The name or URL that gave it.
        from: String,
        /// What is wrong with it.
        error: AnswerError,
    },
    /// A handle can be found neither by DNS nor by HTTPS (`DISC-6`).
    Handle {
        /// The handle.
        handle: String,
        /// Why not by DNS.
        dns: Box<ResolveError>,
        /// Why not by HTTPS.
        https: Box<ResolveError>,
    },
    /// A DID document is not what it should be.
    Document {
        /// The DID.
        did: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A DID document is about another DID.
    OtherDocument {
        /// The DID.
        did: String,
        /// Whose document it is.
        found: String,
    },
    /// A DID document does not hold the verification method (`SIG-2`).
    NoMethod {
        /// The verification method's id.
        method: String,
    },
    /// A verification method's key cannot be used (`SIG-2`).
    Key {
        /// The verification method's id.
        method: String,
        /// Why not.
        reason: String,
    },
    /// A DID document does not claim the handle (`DISC-7`).
    NotAlsoKnownAs {
        /// The handle.
        handle: String,
        /// The DID that the handle led to.
        did: String,
    },
    /// A DID document's service entry breaks a rule (`DISC-1`).
    Service {
        /// The DID.
        did: String,
        /// Which rule.
        reason: String,
    },
    /// A DID says who somebody is, but not where.
    NoEndpoint {
        /// The DID.
        did: String,
    },
    /// The source has asked too often (`DISC-8`).
    RateLimited {
        /// The source.
        source: IpAddr,
    },
    /// Too many wait already.
    Busy,
    /// A DID's key is not the one that was pinned.
    KeyChanged {
        /// The DID.
        did: String,
        /// The key that was found.
        found: PublicKey,
        /// Where it was pinned: file and line, counted from 1. `None` when the program itself
        /// pinned it.
        pinned_at: Option<(PathBuf, usize)>,
    },
    /// The file of pinned keys cannot be used.
    PinFile {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The resolver was asked, from within its own thread, to wait for itself.
    WouldBlock,
    /// The resolver is gone.
    Stopped,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target { target, reason } => write!(
                f,
                "{target:?} cannot be resolved: {reason}; give an aire:// URI, a handle as in \
                 @name@example.com, or a DID"
            ),
            Self::Method { did } => write!(
                f,
                "{did} is of a DID method that is not known here: only did:key and did:web are"
            ),
            Self::Dns { name, reason } => write!(f, "DNS has no answer for {name}: {reason}"),
            Self::NoAddress { host } => write!(f, "{host} has no address"),
            Self::ForbiddenAddress { host, address } => write!(
                f,
                "{host} is at {address}, which is not of the public internet, so it is not \
                 connected to; `danger_allow_private` allows it"
            ),
            Self::Connect { url, reason } => write!(f, "cannot connect for {url}: {reason}"),
            Self::Tls { url, reason } => write!(f, "no secure connection for {url}: {reason}"),
            Self::Http { url, reason } => write!(f, "cannot fetch {url}: {reason}"),
            Self::Redirect { url, location } => write!(
                f,
                "{url} redirects to {location:?}, and redirects are not followed: the document \
                 must be at this very URL"
            ),
            Self::Status { url, status } => {
                write!(
                    f,
                    "{url} answered with status {status} where 200 is expected"
                )
            }
            Self::TooLarge { url, limit } => {
                write!(f, "{url} holds more than {limit} bytes, which is too much")
            }
            Self::TimedOut { what, after } => {
                write!(f, "{what} took longer than {} ms", after.as_millis())
            }
            _ => self.fmt_meaning(f),
        }
    }
}

impl ResolveError {
    /// What is wrong with what was fetched, and not with fetching it.
    fn fmt_meaning(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { from, error } => write!(f, "the answer of {from}: {error}"),
            Self::Handle { handle, dns, https } => write!(
                f,
                "{handle} cannot be found; by DNS: {dns}; by HTTPS: {https}"
            ),
            Self::Document { did, reason } => {
                write!(f, "the document of {did} is not usable: {reason}")
            }
            Self::OtherDocument { did, found } => {
                write!(f, "the document of {did} says that it is that of {found:?}")
            }
            Self::NoMethod { method } => {
                write!(f, "the DID's document has no verification method {method}")
            }
            Self::Key { method, reason } => {
                write!(f, "the key of {method} cannot be used: {reason}")
            }
            Self::NotAlsoKnownAs { handle, did } => write!(
                f,
                "{handle} leads to {did}, whose document does not claim that handle under \
                 alsoKnownAs: either side may be forged"
            ),
            Self::Service { did, reason } => {
                write!(
                    f,
                    "the document of {did} has an unusable AIREv1 service: {reason}"
                )
            }
            Self::NoEndpoint { did } => write!(
                f,
                "{did} says who somebody is, but not where: its document lists no AIREv1 service; \
                 give an aire:// URI"
            ),
            Self::RateLimited { source } => {
                write!(
                    f,
                    "{source} has asked for too many DIDs; it may again in a while"
                )
            }
            Self::Busy => f.write_str("too many wait for DIDs to be resolved; try again later"),
            Self::KeyChanged {
                did,
                found,
                pinned_at: Some((path, line)),
            } => write!(
                f,
                "the key of {did} is not the one that was pinned, but {}: somebody may be \
                 impersonating it. If it was changed on purpose, remove line {line} of {}",
                multibase(found),
                path.display()
            ),
            Self::KeyChanged {
                did,
                found,
                pinned_at: None,
            } => write!(
                f,
                "the key of {did} is not the one that is pinned, but {}: somebody may be \
                 impersonating it. If it was changed on purpose, pin the new one",
                multibase(found)
            ),
            Self::PinFile { path, reason } => {
                write!(f, "the pinned keys in {}: {reason}", path.display())
            }
            Self::WouldBlock => f.write_str(
                "the resolver cannot wait for itself: call it from another thread than the one \
                 that it answers on",
            ),
            _ => f.write_str("the resolver has stopped"),
        }
    }

    /// Whether the same question would soon have the same answer: worth remembering for a while.
    pub(super) const fn is_about_the_did(&self) -> bool {
        !matches!(
            self,
            Self::RateLimited { .. } | Self::Busy | Self::WouldBlock | Self::Stopped
        )
    }
}

impl std::error::Error for ResolveError {}
