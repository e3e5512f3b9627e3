//! What a client is made with.

use aire_proto::capability;
use aire_proto::identity::{
    DidKeyResolver, Ed25519Verifier, KeyResolver, PublicKey, SignatureVerifier, Signer,
};
use aire_proto::wire::Capability;
use aire_quic::{Group, Suite, Trust};
use embassy_time::Duration;

/// The port of a node whose address names none.
pub const DEFAULT_PORT: u16 = 4433;

/// What is advertised by default: operations can be resumed, and identities are bound to the
/// connection (`GAP-21`), with nodes that can do the same.
pub const CAPABILITIES: &[Capability<'static>] = &[
    Capability {
        name: capability::RESUMABLE,
        version: 0,
        required: false,
    },
    Capability {
        name: capability::CHANNEL_BINDING,
        version: 0,
        required: false,
    },
];

/// A host and a UDP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Server {
    /// An IP address in text, or with the feature `dns` a name.
    pub host: &'static str,
    /// The port.
    pub port: u16,
}

impl Server {
    /// `host` at AIRE's default port.
    #[must_use]
    pub const fn new(host: &'static str) -> Self {
        Self {
            host,
            port: DEFAULT_PORT,
        }
    }

    /// Reads `host`, `host:port`, `[v6]:port`, each also behind `aire://`. `None` when it is none
    /// of these.
    #[must_use]
    pub fn parse(text: &'static str) -> Option<Self> {
        let text = text.strip_prefix("aire://").unwrap_or(text);
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, behind) = rest.split_once(']')?;
                let port = match behind {
                    "" => None,
                    behind => Some(behind.strip_prefix(':')?),
                };
                (host, port)
            }
            None => match text.rsplit_once(':') {
                // A bare IPv6 address has more colons.
                Some((host, port)) if !host.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        let usable = !host.is_empty() && !host.contains(['/', '@', '?', '#']);
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        };
        usable.then_some(Self { host, port })
    }
}

/// How long to wait between attempts at a connection: twice as long each time, from `first` to
/// `most`, and each wait is shortened at random by up to half, so that the devices of a node that
/// was away do not all come back at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Backoff {
    /// The first wait; 500 ms by default.
    pub first: Duration,
    /// The longest wait; 60 s by default.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            most: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The wait before attempt `nth`, which counts from 0; `chance` is a random byte.
    pub(crate) fn wait(&self, nth: u32, chance: u8) -> Duration {
        let first = self.first.as_millis().max(1);
        let most = self.most.as_millis().max(first);
        let full = first.saturating_mul(1_u64.checked_shl(nth).unwrap_or(u64::MAX));
        let full = full.min(most);
        let off = full.saturating_mul(u64::from(chance)) / 512;
        Duration::from_millis(full.saturating_sub(off))
    }
}

/// Where the time of day comes from, which signatures carry (`SIG-9`). Nothing is dialled before
/// it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TimeSource {
    /// [`Handle::set_unix_time`](crate::Handle::set_unix_time): a real-time clock, say.
    Application,
    /// A time server.
    #[cfg(feature = "sntp")]
    Sntp {
        /// Which one; the port of SNTP is 123.
        server: Server,
        /// How often it is asked again. The oscillators of small boards drift by seconds a day.
        every: Duration,
    },
}

/// How a client is set up. Start from [`Options::new`].
#[derive(Clone, Copy)]
pub struct Options {
    /// The node that is dialled.
    pub server: Server,
    /// The name that the node's certificate must have, and that TLS asks for; the host's by
    /// default.
    pub server_name: Option<&'static str>,
    /// Whom TLS believes.
    pub trust: Trust<'static>,
    /// Cipher suites, best first; all that were compiled in by default.
    pub suites: &'static [Suite],
    /// Groups for the key exchange, best first; all that were compiled in by default.
    pub groups: &'static [Group],
    /// Who this side is.
    pub signer: &'static (dyn Signer + Sync),
    /// What this side can do: [`CAPABILITIES`] by default. Check others with
    /// [`capability::check_local`].
    pub capabilities: &'static [Capability<'static>],
    /// Knows the keys of DIDs: those of `did:key` by default. One that must fetch is answered
    /// `UNRESOLVABLE_DID`.
    pub keys: &'static (dyn KeyResolver + Sync),
    /// Checks the node's signature: Ed25519 by default.
    pub signatures: &'static (dyn SignatureVerifier + Sync),
    /// The key that the node's HELLO must be signed with; any by default, so that TLS alone says
    /// which node it is.
    pub expects: Option<PublicKey>,
    /// The agents served here. An operation at another one is answered `AGENT_NOT_FOUND`.
    pub agents: &'static [&'static str],
    /// How many operations the node may have open at a time; 1 by default. So much of the room in
    /// the [`Resources`](crate::Resources) is kept for them, and the rest is for operations that
    /// are invoked here. More than there is room for makes no connection.
    pub incoming: u8,
    /// The protocol's own limits and times.
    pub protocol: aire_proto::Config,
    /// How long to wait between attempts.
    pub backoff: Backoff,
    /// After how long without a packet a PING is sent; 10 s by default, `None` for never. Sooner
    /// where `idle_timeout` asks for it.
    pub keep_alive: Option<Duration>,
    /// After how long without a packet the connection is lost; 30 s by default. The node's own
    /// limit counts where it is shorter.
    pub idle_timeout: Duration,
    /// How long QUIC's handshake may take; 10 s by default.
    pub handshake_timeout: Duration,
    /// Where the time of day comes from: the application by default.
    pub time: TimeSource,
}

impl Options {
    /// Usual values for a client of `server`, which TLS recognises by `trust`, in the name of
    /// `signer`.
    #[must_use]
    pub fn new(
        server: Server,
        trust: Trust<'static>,
        signer: &'static (dyn Signer + Sync),
    ) -> Self {
        Self {
            server,
            server_name: None,
            trust,
            suites: aire_quic::Config::SUITES,
            groups: aire_quic::Config::GROUPS,
            signer,
            capabilities: CAPABILITIES,
            keys: &DidKeyResolver,
            signatures: &Ed25519Verifier,
            expects: None,
            agents: &[],
            incoming: 1,
            protocol: aire_proto::Config::default(),
            backoff: Backoff::default(),
            keep_alive: Some(Duration::from_secs(10)),
            idle_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            time: TimeSource::Application,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_a_port_in_every_usual_spelling() {
        for (text, host, port) in [
            ("node.example", "node.example", 4433),
            ("node.example:5000", "node.example", 5000),
            ("aire://10.0.2.2:4434", "10.0.2.2", 4434),
            ("[fe80::1]:7", "fe80::1", 7),
            ("[fe80::1]", "fe80::1", 4433),
            ("fe80::1", "fe80::1", 4433),
        ] {
            assert_eq!(Server::parse(text), Some(Server { host, port }), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_and_port_is_no_server() {
        for text in [
            "", ":1", "a:", "a:0", "a:65536", "a:b", "[a", "[a]b", "http://a", "a/b", "u@a:1",
        ] {
            assert_eq!(Server::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_wait_doubles_up_to_the_longest_and_chance_takes_up_to_half_of_it() {
        let backoff = Backoff::default();
        let millis = |nth, chance| backoff.wait(nth, chance).as_millis();
        assert_eq!(
            [millis(0, 0), millis(1, 0), millis(6, 0)],
            [500, 1000, 32_000]
        );
        assert_eq!(
            [
                millis(7, 0),
                millis(63, 0),
                millis(64, 0),
                millis(u32::MAX, 0)
            ],
            [60_000; 4]
        );
        for nth in 0..10 {
            assert!(millis(nth, 255) >= millis(nth, 0) / 2);
            assert!(millis(nth, 255) < millis(nth, 0) * 51 / 100);
        }
    }
}
