//! The one type that an adapter drives: a connection to a server, without a socket.
//!
//! Each concern is a small machine of its own: TLS, packets' keys, what was sent and received,
//! streams, connection ids, the path. This module ties them together.

mod books;
mod close;
mod crypto_stream;
mod frames;
mod handshake;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod hostile;
mod input;
mod output;
mod path;
#[cfg(test)]
mod tests;
mod timer;

use crate::cid::{LOCAL_LEN, Local, Remote};
use crate::config::{Config, Trust};
use crate::crypto::{OneRtt, Pair, Seed};
use crate::event::{CloseReason, Event};
use crate::packet::{ConnectionId, Retry};
use crate::recovery::{Received, Recovery, Space};
use crate::storage::Storage;
use crate::stream::{OpenError, Peek, Slot, StreamId, Streams};
use crate::time::{Instant, Micros};
use crate::tls::{self, Level};
use close::Farewell;
use crypto_stream::{Incoming, Outgoing};
use path::Path;

/// Datagrams are never longer than what every path takes (RFC 9000 §14.1): there is no probing for
/// more.
const DATAGRAM: usize = 1200;

/// A Retry is checked where it lies, for which the id that it answers must not be too long.
const DESTINATION_LEN: usize = 8;
const _: () = assert!(DESTINATION_LEN <= Retry::MAX_ORIGINAL);

/// The longest token that is kept, of a Retry or for the next connection.
pub const TOKEN_MAX: usize = 256;

/// The longest session ticket that is kept.
pub const TICKET_MAX: usize = tls::TICKET_MAX;

/// Room for tickets on their way in.
const LATE_CRYPTO: usize = 768;

/// Room for the last message of the handshake: an empty Certificate and Finished.
const FLIGHT_MAX: usize = 64;

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Handshaking,
    Connected,
    /// We closed: what still comes is answered with CONNECTION_CLOSE.
    Closing,
    /// The server closed: nothing is said any more.
    Draining,
    /// Over.
    Drained,
}

/// What the application has still to hear.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    connected: bool,
    ticket: bool,
    token: bool,
    told_closed: bool,
}

/// One packet number space.
#[derive(Debug)]
struct PacketSpace {
    received: Received,
    /// The next packet number.
    next: u64,
}

/// All three of them.
#[derive(Debug)]
struct Spaces([PacketSpace; 3]);

impl Spaces {
    const fn new() -> Self {
        Self([
            PacketSpace::new(true),
            PacketSpace::new(true),
            PacketSpace::new(false),
        ])
    }

    fn get(&self, space: Space) -> &PacketSpace {
        let [initial, handshake, application] = &self.0;
        match space {
            Space::Initial => initial,
            Space::Handshake => handshake,
            Space::Application => application,
        }
    }

    fn get_mut(&mut self, space: Space) -> &mut PacketSpace {
        let [initial, handshake, application] = &mut self.0;
        match space {
            Space::Initial => initial,
            Space::Handshake => handshake,
            Space::Application => application,
        }
    }
}

/// Why a connection cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ConfigError {
    /// The application protocol's name is empty, or over 255 bytes.
    Alpn,
    /// The server's name is empty, or over 255 bytes.
    ServerName,
    /// No pin and no authority to trust, so that no server could be believed.
    NoTrust,
    /// No cipher suite, or no group.
    NothingOffered,
    /// More streams for the server than there is memory for.
    PeerStreams,
    /// Datagrams of less than 1200 bytes.
    MaxDatagram,
    /// The first message does not fit into the memory for streams.
    TooLittleMemory,
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Alpn => "the application protocol's name must have 1 to 255 bytes",
            Self::ServerName => "the server's name must have 1 to 255 bytes",
            Self::NoTrust => "no pin and no authority is trusted",
            Self::NothingOffered => "no cipher suite, or no group, is offered",
            Self::PeerStreams => "the server is given more streams than there are",
            Self::MaxDatagram => "datagrams must be allowed at least 1200 bytes",
            Self::TooLittleMemory => "the first message does not fit into the memory",
        })
    }
}

impl core::error::Error for ConfigError {}

/// Why the address cannot change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MigrationError {
    /// The handshake is not confirmed by the server, or the connection is over.
    NotReady,
    /// The server forbids it.
    Forbidden,
    /// The server gave no connection id that another path could use.
    NoConnectionId,
}

impl core::fmt::Display for MigrationError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotReady => "the connection is not confirmed",
            Self::Forbidden => "the server forbids migration",
            Self::NoConnectionId => "the server gave no spare connection id",
        })
    }
}

impl core::error::Error for MigrationError {}

/// What has happened so far, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stats {
    /// Datagrams that were sent.
    pub sent_datagrams: u32,
    /// Datagrams that came.
    pub received_datagrams: u32,
    /// Packets that were dropped: not ours, not authentic, or repeated.
    pub dropped_packets: u32,
    /// Packets that are taken for lost.
    pub lost_packets: u32,
    /// The smoothed round trip.
    pub rtt: Micros,
    /// How many bytes may be under way.
    pub congestion_window: u32,
    /// How many bytes are.
    pub in_flight: u32,
}

/// One end of a QUIC connection: the client. See the [crate's first page](crate) for how to drive
/// it.
pub struct Connection<'m> {
    config: Config<'m>,
    seed: Seed,
    state: State,
    /// The server has our last handshake message (RFC 9001 §4.1.2).
    confirmed: bool,
    closed: Option<CloseReason>,
    farewell: Option<Farewell>,
    news: News,

    tls: tls::Client,
    level: Level,
    incoming: Incoming,
    outgoing: Outgoing,
    flight: [u8; FLIGHT_MAX],
    late_crypto: [u8; LATE_CRYPTO],
    tickets_ignored: bool,
    /// How many handshake bytes came at the levels that are done.
    initial_end: u64,
    handshake_end: u64,
    /// The newest ticket, or the one that is offered.
    ticket: [u8; TICKET_MAX],
    ticket_len: usize,
    token: heapless::Vec<u8, TOKEN_MAX>,
    /// The token is a Retry's: it is good for this connection only (RFC 9000 §8.1.3).
    token_of_retry: bool,

    initial: Option<Pair>,
    handshake: Option<Pair>,
    application: Option<OneRtt>,
    spaces: Spaces,
    recovery: Recovery,
    streams: Streams<'m>,

    local_ids: Local,
    remote_ids: Remote,
    /// What the first packet was sent to.
    original_destination: ConnectionId,
    retry_source: Option<ConnectionId>,
    /// A packet of the server was authentic: its connection id is known, and it speaks v1.
    heard_server: bool,
    /// The id that the server chose for itself, which all its long headers carry.
    first_source: ConnectionId,
    /// The id that all our long headers carry.
    first_local_id: [u8; LOCAL_LEN],
    path: Path,
    may_migrate: bool,
    ping: bool,
    /// How many 1-RTT packets that the server must acknowledge were sent since it last did.
    unanswered: u8,

    peer_idle_timeout: Micros,
    idle_deadline: Instant,
    idle_restarted_by_sending: bool,
    handshake_deadline: Instant,
    close_deadline: Instant,
    stats: Stats,
}

impl<'m> Connection<'m> {
    /// A connection to nobody yet: [`connect`](Self::connect) dials.
    pub fn new<const STREAMS: usize, const RX: usize, const TX: usize>(
        storage: &'m mut Storage<STREAMS, RX, TX>,
    ) -> Self {
        Self::with_memory(
            &mut storage.slots,
            storage.rx.as_flattened_mut(),
            storage.tx.as_flattened_mut(),
        )
    }

    /// The same without the sizes in its type: compiled once.
    fn with_memory(slots: &'m mut [Slot], rx: &'m mut [u8], tx: &'m mut [u8]) -> Self {
        let begin = Instant::from_micros(0);
        let nobody = ConnectionId::default();
        Self {
            config: Config::new("", b"", Trust::Pins(&[])),
            seed: Seed::new([0; 32]),
            state: State::Drained,
            confirmed: false,
            closed: None,
            farewell: None,
            news: News::default(),
            tls: tls::Client::new([0; 32], [0; 32], [0; 32]),
            level: Level::Initial,
            incoming: Incoming::new(),
            outgoing: Outgoing::new(),
            flight: [0; FLIGHT_MAX],
            late_crypto: [0; LATE_CRYPTO],
            tickets_ignored: false,
            initial_end: 0,
            handshake_end: 0,
            ticket: [0; TICKET_MAX],
            ticket_len: 0,
            token: heapless::Vec::new(),
            token_of_retry: false,
            initial: None,
            handshake: None,
            application: None,
            spaces: Spaces::new(),
            recovery: Recovery::new(begin),
            streams: Streams::new(slots, rx, tx, 0),
            local_ids: Local::new([0; LOCAL_LEN]),
            remote_ids: Remote::new(nobody),
            original_destination: nobody,
            retry_source: None,
            heard_server: false,
            first_source: nobody,
            first_local_id: [0; LOCAL_LEN],
            path: Path::new(),
            may_migrate: false,
            ping: false,
            unanswered: 0,
            peer_idle_timeout: Micros::ZERO,
            idle_deadline: begin,
            idle_restarted_by_sending: false,
            handshake_deadline: begin,
            close_deadline: begin,
            stats: Stats::default(),
        }
    }

    /// Dials: drain [`poll_transmit`](Self::poll_transmit) next. A connection that there was before
    /// is forgotten without a word, with all its streams; its memory is used again. The ticket and
    /// the token that it got, or that it was [given](Self::offer_ticket), are offered to the
    /// server; where they are no good any more, the handshake is a full one.
    ///
    /// All that is random in a connection is derived from `seed`: 32 secret bytes that are never
    /// used twice.
    ///
    /// # Errors
    /// [`ConfigError`]: nothing was changed, except by [`ConfigError::TooLittleMemory`].
    pub fn connect(
        &mut self,
        config: &Config<'m>,
        seed: &[u8; 32],
        now: Instant,
    ) -> Result<(), ConfigError> {
        check(config, self.streams.capacity())?;
        self.config = *config;
        self.seed = Seed::new(*seed);
        self.forget(now);
        let random = self.seed.derive(b"destination");
        let destination = random
            .first_chunk::<DESTINATION_LEN>()
            .and_then(|id| ConnectionId::new(id))
            .unwrap_or_default();
        self.tls = tls::Client::new(
            self.seed.derive(b"random"),
            self.seed.derive(b"x25519"),
            self.seed.derive(b"p256"),
        );
        self.initial = Some(Pair::initial(destination.as_slice()));
        self.first_local_id = local_id(&self.seed, 0);
        self.local_ids = Local::new(self.first_local_id);
        self.remote_ids = Remote::new(destination);
        self.original_destination = destination;
        self.begin_handshake().ok_or(ConfigError::TooLittleMemory)?;
        self.state = State::Handshaking;
        Ok(())
    }

    /// Forgets all that a connection before this one has left, but its ticket and token.
    fn forget(&mut self, now: Instant) {
        self.state = State::Drained;
        self.confirmed = false;
        self.closed = None;
        self.farewell = None;
        self.news = News::default();
        self.level = Level::Initial;
        self.incoming = Incoming::new();
        self.outgoing = Outgoing::new();
        self.tickets_ignored = false;
        if core::mem::take(&mut self.token_of_retry) {
            self.token.clear();
        }
        self.handshake = None;
        self.application = None;
        self.spaces = Spaces::new();
        self.recovery = Recovery::new(now);
        self.streams.restart(self.config.peer_streams);
        self.retry_source = None;
        self.heard_server = false;
        self.path = Path::new();
        self.may_migrate = true;
        self.ping = false;
        self.unanswered = 0;
        self.peer_idle_timeout = Micros::ZERO;
        self.idle_deadline = now.after(self.config.idle_timeout);
        self.idle_restarted_by_sending = false;
        self.handshake_deadline = now.after(self.config.handshake_timeout);
        self.stats = Stats::default();
    }

    /// Gives back what [`ticket`](Self::ticket) gave, perhaps before a restart of the device: the
    /// next handshake with the same server, under the same trust, then needs no certificate. One
    /// that is too long or damaged is not used.
    pub fn offer_ticket(&mut self, ticket: &[u8]) {
        self.ticket_len = 0;
        if let Some(room) = self.ticket.get_mut(..ticket.len()) {
            room.copy_from_slice(ticket);
            self.ticket_len = ticket.len();
        }
    }

    /// The newest ticket for a next connection to this server. It is a secret.
    #[must_use]
    pub fn ticket(&self) -> Option<&[u8]> {
        self.ticket
            .get(..self.ticket_len)
            .filter(|ticket| !ticket.is_empty())
    }

    /// Gives back what [`token`](Self::token) gave. One that is too long is not used.
    pub fn offer_token(&mut self, token: &[u8]) {
        self.token.clear();
        self.token_of_retry = false;
        // It stays empty then.
        let _kept = self.token.extend_from_slice(token);
    }

    /// The newest token for a next connection to this server, which saves it from having to
    /// validate our address.
    #[must_use]
    pub fn token(&self) -> Option<&[u8]> {
        Some(self.token.as_slice()).filter(|token| !token.is_empty() && !self.token_of_retry)
    }

    /// Whether the handshake is done and the connection not over.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// Whether the server confirmed the handshake: the address may change from now on.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// Whether the connection is over, or has not begun. Events and datagrams may be left.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !matches!(self.state, State::Handshaking | State::Connected)
    }

    /// Whether nothing more will be sent or awaited: the memory can be used again.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.state == State::Drained
    }

    /// Whether the handshake went by a ticket of an earlier connection.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.tls.is_resumed()
    }

    /// What happened next. `None` when all is told.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.news.told_closed {
            return None;
        }
        if core::mem::take(&mut self.news.connected) {
            return Some(Event::Connected);
        }
        if core::mem::take(&mut self.news.ticket) {
            return Some(Event::Ticket);
        }
        if core::mem::take(&mut self.news.token) {
            return Some(Event::Token);
        }
        if let Some(event) = self.streams.poll_event() {
            return Some(event.into());
        }
        let reason = self.closed?;
        self.news.told_closed = true;
        Some(Event::Closed(reason))
    }

    /// Opens a bidirectional stream.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&mut self) -> Result<StreamId, OpenError> {
        match self.state {
            State::Connected => self.streams.open(),
            State::Handshaking => Err(OpenError::NotConnected),
            _ => Err(OpenError::Closed),
        }
    }

    /// Whether [`open`](Self::open) would succeed.
    #[must_use]
    pub fn can_open(&self) -> bool {
        self.state == State::Connected && self.streams.can_open()
    }

    /// What came on `stream` and was not consumed, as far as it lies in one piece.
    #[must_use]
    pub fn peek(&self, stream: StreamId) -> Peek<'_> {
        self.streams.peek(stream)
    }

    /// The first `count` bytes that [`peek`](Self::peek) showed were read; with `fin`, and its
    /// end was seen. The server may send as much more.
    pub fn consume(&mut self, stream: StreamId, count: usize, fin: bool) {
        self.streams.consume(stream, count, fin);
    }

    /// Puts the front of `bytes` behind what was written, and says how much: as far as there is
    /// room. [`Event::Writable`] says when there is more.
    pub fn write(&mut self, stream: StreamId, bytes: &[u8]) -> usize {
        if self.is_closed() {
            return 0;
        }
        self.streams.write(stream, bytes)
    }

    /// Ends `stream` behind what was written.
    pub fn finish(&mut self, stream: StreamId) {
        self.streams.finish(stream);
    }

    /// Gives up sending on `stream`, with a `code` of the application's, at most 2^62 - 1. What
    /// was written and is not with the server is lost.
    pub fn reset(&mut self, stream: StreamId, code: u64) {
        self.streams.reset(stream, code.min(crate::varint::MAX));
    }

    /// Wants no more of `stream`, with a `code` of the application's, at most 2^62 - 1. What came
    /// and what still comes is dropped.
    pub fn stop_sending(&mut self, stream: StreamId, code: u64) {
        self.streams
            .stop_sending(stream, code.min(crate::varint::MAX));
    }

    /// Sends something that the server must answer, so that neither side takes the connection for
    /// idle.
    pub fn ping(&mut self) {
        self.ping = true;
    }

    /// Fills `out` with bytes that only both ends of this very connection can compute (RFC 8446
    /// §7.5). `false`, and `out` untouched, before the handshake is done, or for a label, context
    /// or length that no hash can do.
    pub fn export_keying_material(&self, label: &[u8], context: &[u8], out: &mut [u8]) -> bool {
        self.tls.export(label, context, out)
    }

    /// Begins to use new keys (RFC 9001 §6). `false` while it is too early: the handshake is not
    /// confirmed, or the server has not followed the last change. Where keys wear out, it happens
    /// by itself.
    pub fn update_keys(&mut self, now: Instant) -> bool {
        self.confirmed
            && self.is_connected()
            && self
                .application
                .as_mut()
                .is_some_and(|keys| keys.initiate(now))
    }

    /// This end has another address, or is about to: datagrams leave from it from now on. The
    /// server is challenged to answer there, by a connection id that nobody can link to the old
    /// path (RFC 9000 §9).
    ///
    /// # Errors
    /// [`MigrationError`]; nothing was changed. A new connection is the way out.
    pub fn address_changed(&mut self, now: Instant) -> Result<(), MigrationError> {
        if !self.confirmed || self.state != State::Connected {
            return Err(MigrationError::NotReady);
        }
        if !self.may_migrate {
            return Err(MigrationError::Forbidden);
        }
        if !self.remote_ids.active().is_empty() && !self.remote_ids.rotate() {
            return Err(MigrationError::NoConnectionId);
        }
        self.recovery.path_changed(now);
        self.path.begin(self.recovery.pto(), now);
        Ok(())
    }

    /// Whether a change of address has yet to be confirmed by the server.
    #[must_use]
    pub const fn is_migrating(&self) -> bool {
        self.path.is_unproven()
    }

    /// What happened so far, counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            lost_packets: self.recovery.lost(),
            rtt: self.recovery.rtt(),
            congestion_window: self.recovery.window(),
            in_flight: self.recovery.in_flight(),
            ..self.stats
        }
    }
}

impl core::fmt::Debug for Connection<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connection")
            .field("state", &self.state)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl PacketSpace {
    const fn new(at_once: bool) -> Self {
        Self {
            received: Received::new(at_once),
            next: 0,
        }
    }
}

/// One of our own connection ids.
fn local_id(seed: &Seed, number: u32) -> [u8; LOCAL_LEN] {
    let [a, b, c, d, e, f, g, h, ..] = seed.derive_n(b"source", number);
    [a, b, c, d, e, f, g, h]
}

fn check(config: &Config<'_>, slots: usize) -> Result<(), ConfigError> {
    let trusts_nobody = match config.trust {
        Trust::Pins(pins) => pins.is_empty(),
        #[cfg(feature = "authority")]
        Trust::Authorities(authorities) => authorities.is_empty(),
    };
    if !(1..=255).contains(&config.alpn.len()) {
        Err(ConfigError::Alpn)
    } else if !(1..=255).contains(&config.server_name.len()) {
        Err(ConfigError::ServerName)
    } else if trusts_nobody {
        Err(ConfigError::NoTrust)
    } else if config.suites.is_empty() || config.groups.is_empty() {
        Err(ConfigError::NothingOffered)
    } else if usize::from(config.peer_streams) > slots {
        Err(ConfigError::PeerStreams)
    } else if usize::from(config.max_datagram) < DATAGRAM {
        Err(ConfigError::MaxDatagram)
    } else {
        Ok(())
    }
}
