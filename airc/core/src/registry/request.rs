//! What comes in: one HTTP request, without HTTP.

use core::fmt;

/// The methods that a registry serves. Everything else is for the HTTP side to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Does something.
    Post,
}

impl Method {
    /// The method as HTTP writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// The headers that say who asks (AGAP-5), as they were sent.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// `Authorization`.
    pub authorization: Option<&'a str>,
    /// `X-AIRC-Handle`.
    pub handle: Option<&'a str>,
    /// `X-AIRC-Timestamp`.
    pub timestamp: Option<&'a str>,
    /// `X-AIRC-Nonce`.
    pub nonce: Option<&'a str>,
    /// `X-AIRC-Signature`.
    pub signature: Option<&'a str>,
}

/// Secrets stay out of logs.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.authorization.is_some();
        write!(f, "Credentials({:?}, token: {token})", self.handle)
    }
}

/// A request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its method.
    pub method: Method,
    /// Path and query, as they were sent: signed headers cover these bytes.
    pub target: &'a str,
    /// Who asks.
    pub credentials: Credentials<'a>,
    /// The body; empty if there is none.
    pub body: &'a [u8],
    /// Fresh random bytes for this request alone: tokens and ids are made of them.
    pub entropy: [u8; 32],
}

/// Bodies and random bytes stay out of logs.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.body.len();
        let method = self.method.as_str();
        write!(f, "Request({method} {}, {length} bytes)", self.target)
    }
}
