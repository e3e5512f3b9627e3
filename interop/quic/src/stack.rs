//! The four stacks, and what each cannot do.

/// A QUIC stack that a server is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// Cloudflare's, in Rust, with BoringSSL.
    Quiche,
    /// quinn-rs, in Rust, with rustls.
    Quinn,
    /// quic-go, with Go's own TLS.
    QuicGo,
    /// aiortc's, in Python, with a TLS of its own.
    Aioquic,
}

/// What not every stack can do. All of them do the rest: Retry, Version Negotiation, session
/// tickets, migration, Ed25519 and ECDSA P-256 certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// `--chacha`. BoringSSL and Go let nobody choose the suites of TLS 1.3: there a client that
    /// wants ChaCha20 offers nothing else.
    ForceChaCha,
    /// `--p256`. aioquic ends a handshake that brings no key share it knows.
    HelloRetryRequest,
    /// `keyupdate`. quiche follows an update and never begins one. quic-go cannot be told to, but
    /// begins its first by itself when 100 packets have gone one way.
    KeyUpdate,
}

impl Stack {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Quiche, Self::Quinn, Self::QuicGo, Self::Aioquic];

    /// Can a server on this stack do it?
    #[must_use]
    pub fn can(self, feature: Feature) -> bool {
        match feature {
            Feature::ForceChaCha => matches!(self, Self::Quinn | Self::Aioquic),
            Feature::HelloRetryRequest => !matches!(self, Self::Aioquic),
            Feature::KeyUpdate => matches!(self, Self::Quinn | Self::Aioquic),
        }
    }
}
