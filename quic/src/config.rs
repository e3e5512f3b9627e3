//! What a connection is made with.

use crate::time::Micros;

/// Whom a connection believes to be the server that it dialled.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// A server whose key's SHA-256, over the certificate's whole SubjectPublicKeyInfo, is one of
    /// these. Names, dates and signers of the certificate do not matter then.
    Pins(&'a [[u8; 32]]),
    /// A server whose certificate chain ends at one of these authorities (certificates in DER),
    /// names the server that was dialled, and is valid at [`Config::unix_time`].
    #[cfg(feature = "authority")]
    Authorities(&'a [&'a [u8]]),
}

/// A cipher suite (RFC 8446 §B.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Suite {
    /// TLS_AES_128_GCM_SHA256.
    Aes128Gcm,
    /// TLS_CHACHA20_POLY1305_SHA256.
    #[cfg(feature = "chacha20")]
    ChaCha20Poly1305,
}

/// A group for the key exchange (RFC 8446 §4.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Group {
    /// Curve25519.
    X25519,
    /// NIST's P-256.
    #[cfg(feature = "p256")]
    P256,
}

/// What a connection is made with. What it borrows lives as long as the connection. Begin with
/// [`Config::new`], and change what is to be otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// The application protocol (RFC 7301); the server must choose it.
    pub alpn: &'a [u8],
    /// The server's name: a DNS name, or an IP address in text. A DNS name is sent as SNI.
    pub server_name: &'a str,
    /// Whom to believe.
    pub trust: Trust<'a>,
    /// Seconds since 1970, for the dates in certificates and the lifetime of tickets. Without it,
    /// no authority can be trusted and no ticket is used.
    pub unix_time: Option<u64>,
    /// Cipher suites, best first.
    pub suites: &'a [Suite],
    /// Groups, best first. A share of the first is sent at once; another costs a round trip more
    /// (HelloRetryRequest).
    pub groups: &'a [Group],
    /// How many of the storage's streams are for streams that the server opens.
    pub peer_streams: u8,
    /// Without a packet for so long, the connection is over (RFC 9000 §10.1). The server's own
    /// limit counts where it is shorter.
    pub idle_timeout: Micros,
    /// The handshake must be done within so long.
    pub handshake_timeout: Micros,
    /// The largest datagram that the caller can receive: at least 1200 bytes of UDP payload.
    pub max_datagram: u16,
    /// The ticket that the connection offers: it is the connection that keeps it.
    pub(crate) ticket: Option<&'a [u8]>,
}

impl<'a> Config<'a> {
    /// The cipher suites that were compiled in, the faster on a small machine first.
    pub const SUITES: &'static [Suite] = &[
        #[cfg(feature = "chacha20")]
        Suite::ChaCha20Poly1305,
        Suite::Aes128Gcm,
    ];

    /// The groups that were compiled in.
    pub const GROUPS: &'static [Group] = &[
        Group::X25519,
        #[cfg(feature = "p256")]
        Group::P256,
    ];

    /// Usual values: everything that was compiled in, half a minute of silence, 10 s for the
    /// handshake, one stream for the server, datagrams of an Ethernet's size.
    #[must_use]
    pub const fn new(server_name: &'a str, alpn: &'a [u8], trust: Trust<'a>) -> Self {
        Self {
            alpn,
            server_name,
            trust,
            unix_time: None,
            suites: Self::SUITES,
            groups: Self::GROUPS,
            peer_streams: 1,
            idle_timeout: Micros::from_secs(30),
            handshake_timeout: Micros::from_secs(10),
            max_datagram: 1472,
            ticket: None,
        }
    }
}
