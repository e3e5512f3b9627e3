//! One connection: quiche below, the protocol above, the application's queues between.

mod reading;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aire_proto::identity::{GrowingReplayGuard, KeyResolver};
use aire_proto::{Connection, Now, Role, StreamId, Transmit};
use quiche::Shutdown;
use tracing::{Span, debug, debug_span, trace};

use super::handover::{apply, go_on_with_fins, write};
use super::limit::{Limiter, Source};
use super::outbox::{Calls, Queued, Stream};
use super::ping::Ping;
use super::sent::{Quic, UnderWay};
use super::tables::{SharedLedger, Tables};
use super::tally::Tally;
use super::{Closed, ConnectionKey, Event};
use crate::identity::Identity;
use crate::metrics::Counters;
use crate::policy::Policy;
use crate::settings::Settings;

type Protocol = aire_proto::Event<'static>;

/// What all connections of a driver share.
pub(super) struct Shared {
    pub(super) identity: Identity,
    pub(super) settings: Settings,
    pub(super) replay: GrowingReplayGuard,
    /// Knows the keys of DIDs, or that they must be fetched.
    pub(super) keys: Box<dyn KeyResolver + Send>,
    /// Whether certificates must be for the host dialled.
    pub(super) checks_name: bool,
    /// Where the transport's bytes go, and the protocol reads them.
    pub(super) buffer: Vec<u8>,
    pub(super) counters: Arc<Counters>,
    /// Who may begin connections.
    pub(super) limiter: Limiter,
    /// Who is wanted.
    pub(super) policy: Option<Policy>,
}

/// Whom events are told.
pub(super) type Tell<'a> = &'a mut dyn FnMut(ConnectionKey, Event<'_>, &mut Calls<'_>);

pub(super) struct Link {
    pub(super) key: ConnectionKey,
    pub(super) quic: Quic,
    pub(super) proto: Option<Connection<Tables>>,
    pub(super) role: Role,
    pub(super) streams: HashMap<StreamId, Stream>,
    /// Operations with something new in their queue.
    pub(super) touched: Vec<StreamId>,
    /// Operations that the application reads again.
    pub(super) resumed: Vec<StreamId>,
    /// Streams whose FIN waits for acknowledgements.
    fins_waiting: HashSet<StreamId>,
    /// The control stream's bytes that wait for a key to be fetched, or for operations that go
    /// first.
    control_unread: Vec<u8>,
    /// Whether its FIN follows them.
    control_unread_fin: bool,
    /// Of what was written on streams that are no operation's.
    control_under_way: UnderWay,
    /// Where quiche sees the peer.
    pub(super) peer_address: SocketAddr,
    /// Where the peer's packets come from: behind a NAT that forgot it, another port.
    pub(super) heard_from: SocketAddr,
    /// The ids that packets for it are addressed to.
    pub(super) ids: Vec<quiche::ConnectionId<'static>>,
    /// The deadline that the driver has noted for it.
    pub(super) scheduled: Option<Instant>,
    pub(super) last_heard: Instant,
    pub(super) last_ping: Instant,
    /// Who waits for the peer's answer to a PING.
    pub(super) waiting: Vec<Ping>,
    /// A packet that the socket did not take.
    pub(super) unsent: Option<(Vec<u8>, SocketAddr)>,
    /// How long the QUIC handshake of a client may take.
    pub(super) handshake_deadline: Option<Instant>,
    /// After how long without a packet to send a PING.
    pub(super) ping_interval: Option<Duration>,
    /// CONNECTION_CLOSE with this code is due then.
    closing: Option<(u64, Instant)>,
    pub(super) told_closed: bool,
    /// Both HELLOs were good, and the application was told so.
    pub(super) told_connected: bool,
    /// Whose limit the connection counts against until then.
    pub(super) charged: Option<Source>,
    pub(super) since: SystemTime,
    pub(super) tally: Tally,
    pub(super) span: Span,
}

impl Link {
    pub(super) fn new(
        key: ConnectionKey,
        quic: Quic,
        role: Role,
        peer_address: SocketAddr,
        now: Instant,
    ) -> Self {
        let span = debug_span!("connection", key = key.0, ?role, %peer_address, peer = tracing::field::Empty);
        Self {
            key,
            quic,
            proto: None,
            role,
            streams: HashMap::new(),
            touched: Vec::new(),
            resumed: Vec::new(),
            fins_waiting: HashSet::new(),
            control_unread: Vec::new(),
            control_unread_fin: false,
            control_under_way: UnderWay::default(),
            peer_address,
            heard_from: peer_address,
            ids: Vec::new(),
            scheduled: None,
            last_heard: now,
            last_ping: now,
            waiting: Vec::new(),
            unsent: None,
            handshake_deadline: None,
            ping_interval: None,
            closing: None,
            told_closed: false,
            told_connected: false,
            charged: None,
            since: SystemTime::now(),
            tally: Tally::default(),
            span,
        }
    }

    /// As a server, waits no longer than `most` for the QUIC handshake: a client that never ends
    /// it costs little, and must not stay for ever. How long a client waits is its own affair.
    pub(super) fn limit_handshake(&mut self, most: Duration, now: Instant) {
        self.handshake_deadline = now.checked_add(most);
    }

    pub(super) fn protocol(&self) -> Option<&Connection<Tables>> {
        self.proto.as_ref()
    }

    pub(super) fn protocol_mut(&mut self) -> Option<&mut Connection<Tables>> {
        self.proto.as_mut()
    }

    /// Gives quiche a packet.
    ///
    /// A NAT that forgot the peer changes its port. Quiche would take that for a migration, in
    /// which it loses what was under way (cloudflare/quiche#2452), and of which it bears only so
    /// many. So another port of the same address stays the same path: answers go where the latest
    /// authentic packet came from, which is the same host. Another address is validated first, by
    /// quiche.
    pub(super) fn receive(&mut self, packet: &mut [u8], from: SocketAddr, to: SocketAddr) {
        let settled = self.role == Role::Server && self.quic.is_established();
        let rebound = settled && from.ip() == self.peer_address.ip();
        let known_as = if rebound { self.peer_address } else { from };
        let taken = self.quic.stats().recv;
        let info = quiche::RecvInfo { from: known_as, to };
        if let Err(error) = self.quic.recv(packet, info) {
            trace!(parent: &self.span, %error, "a bad packet");
            return;
        }
        self.last_heard = Instant::now();
        if rebound && from != self.heard_from && self.quic.stats().recv > taken {
            debug!(parent: &self.span, %from, "the peer's port changed");
            self.heard_from = from;
        }
    }

    /// Where a packet goes that quiche wants sent to `to`.
    pub(super) fn destination(&self, to: SocketAddr) -> SocketAddr {
        if to == self.peer_address {
            self.heard_from
        } else {
            to
        }
    }

    /// The peer's new address is good.
    pub(super) fn migrated(&mut self, peer: SocketAddr) {
        self.peer_address = peer;
        self.heard_from = peer;
    }

    pub(super) fn calls(&mut self, limit: usize) -> Calls<'_> {
        Calls {
            streams: &mut self.streams,
            touched: &mut self.touched,
            resumed: &mut self.resumed,
            limit,
        }
    }

    /// Notes a new operation of ours, with its arguments.
    pub(super) fn opened(&mut self, stream: StreamId, args: Vec<u8>, now: Now) {
        self.streams.insert(stream, Stream::with_args(args));
        self.share_ledger(stream, now);
    }

    pub(super) fn ledger(&self, stream: StreamId) -> Option<SharedLedger> {
        self.streams.get(&stream).map(|entry| entry.ledger.clone())
    }

    /// Has operations counted in the ledgers that they were given: before anything is read that
    /// those ledgers are to take.
    fn adopt_ledgers(&mut self, now: Now) {
        for index in 0..self.touched.len() {
            let Some(stream) = self.touched.get(index).copied() else {
                return;
            };
            let entry = self.streams.get_mut(&stream);
            if entry.is_some_and(|entry| std::mem::take(&mut entry.adopts_ledger)) {
                self.share_ledger(stream, now);
            }
        }
    }

    /// Has the protocol count in the ledger that the application shares.
    fn share_ledger(&mut self, stream: StreamId, now: Now) {
        if let (Some(proto), Some(entry)) = (&mut self.proto, self.streams.get(&stream)) {
            // Fails only for an operation that is over.
            let _over = proto.keep_ledger(stream, entry.ledger.clone(), now);
        }
    }

    /// When something is due, by either clock.
    pub(super) fn deadline(&self, clock: &super::Clock) -> Option<Instant> {
        let quic = self.quic.timeout_instant();
        let proto = self.proto.as_ref().and_then(Connection::next_deadline);
        let proto = proto.map(|due| clock.instant(due));
        // A full socket is waited for, not the clock.
        let close = self.closing.filter(|_| self.unsent.is_none());
        let close = close.map(|(_, due)| due);
        [quic, proto, self.ping_due(), close, self.handshake_deadline]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does all that can be done without the socket: reads what arrived, tells events, hands over
    /// what is to be sent.
    pub(super) fn service(
        &mut self,
        shared: &mut Shared,
        now: Now,
        clock: Instant,
        tell: Tell<'_>,
    ) {
        let span = self.span.clone();
        let _entered = span.enter();
        if self.handshake_deadline.is_some_and(|due| due <= clock) {
            debug!("the QUIC handshake takes too long");
            self.handshake_deadline = None;
            let _over = self.quic.close(false, CONNECTION_REFUSED, b"");
        }
        self.turn_pings(clock);
        if self.proto.is_none() && self.quic.is_established() && !self.start(shared, now) {
            return;
        }
        self.notice_close();
        if let Some(proto) = &mut self.proto {
            proto.handle_timeout(now);
            self.notice_writable(shared, tell);
            self.adopt_ledgers(now);
            self.read_all(shared, now, tell);
            loop {
                self.tell_events(shared, tell);
                let handed_over = self.apply_calls(now) | self.transmit(shared, now, clock, tell);
                let read_on = self.read_resumed(shared, now, tell);
                if !handed_over && !read_on && self.touched.is_empty() {
                    break;
                }
            }
            self.tell_events(shared, tell);
        } else {
            self.tell_transport_closed(shared, tell);
        }
        self.offer_ids();
    }

    fn is_over(&self) -> bool {
        self.quic.is_closed() || self.quic.is_draining()
    }

    /// Tells of an end that came with what was just sent.
    pub(super) fn notice_end(&mut self, shared: &Shared, tell: Tell<'_>) {
        if self.is_over() && !self.told_closed {
            let span = self.span.clone();
            let _entered = span.enter();
            self.notice_close();
            self.tell_events(shared, tell);
            self.tell_transport_closed(shared, tell);
        }
    }

    /// Tells the protocol when the transport has closed.
    fn notice_close(&mut self) {
        let over = self.is_over();
        if over {
            self.ping_interval = None;
            self.handshake_deadline = None;
        }
        if let Some(proto) = &mut self.proto
            && over
        {
            let code = self.quic.peer_error().filter(|error| error.is_app);
            proto.connection_lost(code.map(|error| error.error_code));
        }
    }

    /// Tells the protocol which streams can take more, and which the peer stopped.
    fn notice_writable(&mut self, shared: &Shared, tell: Tell<'_>) {
        if let Some(proto) = &mut self.proto {
            go_on_with_fins(proto, &self.streams, &mut self.fins_waiting);
        }
        for id in self.quic.writable() {
            let Some(stream) = StreamId::new(id) else {
                continue;
            };
            match self.quic.stream_capacity(id) {
                // Room is not what its FIN waits for.
                Ok(_) if self.fins_waiting.contains(&stream) => {}
                Ok(_) => {
                    if let Some(proto) = &mut self.proto {
                        proto.writable(stream);
                    }
                }
                Err(quiche::Error::StreamStopped(code)) => self.stopped(stream, code, shared, tell),
                Err(_) => {}
            }
        }
    }

    /// The peer takes nothing more on a stream: whoever waits to send on it waits in vain.
    fn stopped(&mut self, stream: StreamId, code: u64, shared: &Shared, tell: Tell<'_>) {
        if let Some(proto) = &mut self.proto {
            proto.stream_stopped(stream, code);
        }
        let dropped = self.streams.get_mut(&stream).map(Stream::give_up);
        for len in dropped.unwrap_or_default() {
            let key = self.key;
            let mut calls = self.calls(shared.settings.send_queue);
            tell(key, Event::Sent { stream, len }, &mut calls);
        }
    }

    fn tell_events(&mut self, shared: &Shared, tell: Tell<'_>) {
        loop {
            let Some(event) = self.proto.as_mut().and_then(Connection::poll_event) else {
                return;
            };
            self.tell_event(event, shared, tell);
        }
    }

    fn tell_event(&mut self, event: Protocol, shared: &Shared, tell: Tell<'_>) {
        if let aire_proto::Event::Ended { stream, .. } = event {
            self.streams.remove(&stream);
            self.tally.forget(stream);
        }
        let (key, limit) = (self.key, shared.settings.send_queue);
        if let aire_proto::Event::Closed(reason) = event {
            debug!(%reason, "closed");
            self.told_closed = true;
            let closed = Closed::of(reason, &mut self.quic);
            self.count_failure(&closed, shared);
            tell(key, Event::Closed(&closed), &mut self.calls(limit));
        } else {
            tell(key, Event::Protocol(event), &mut self.calls(limit));
        }
    }

    fn count_failure(&self, closed: &Closed, shared: &Shared) {
        if !self.told_connected {
            shared.counters.handshake_failed(closed);
        }
    }

    /// The transport ended before the protocol began.
    fn tell_transport_closed(&mut self, shared: &Shared, tell: Tell<'_>) {
        if self.is_over() && !self.told_closed {
            self.told_closed = true;
            let closed = Closed::before_hello(&mut self.quic);
            debug!(%closed, "closed before HELLO");
            self.count_failure(&closed, shared);
            let key = self.key;
            let mut calls = self.calls(shared.settings.send_queue);
            tell(key, Event::Closed(&closed), &mut calls);
        }
    }

    /// Gives the protocol what the application queued. Whether it took anything.
    fn apply_calls(&mut self, now: Now) -> bool {
        let Some(proto) = &mut self.proto else {
            self.touched.clear();
            return false;
        };
        let mut progress = false;
        for stream in std::mem::take(&mut self.touched) {
            if let Some(entry) = self.streams.get_mut(&stream) {
                progress |= apply(proto, stream, entry, now);
            }
        }
        progress
    }

    /// Hands the protocol's transmissions to quiche. Whether there was any.
    fn transmit(&mut self, shared: &Shared, now: Now, clock: Instant, tell: Tell<'_>) -> bool {
        let mut progress = false;
        loop {
            let Some(proto) = &mut self.proto else {
                return progress;
            };
            let Some(transmit) = proto.poll_transmit() else {
                return progress;
            };
            progress = true;
            let (stream, written) = match transmit {
                Transmit::Data {
                    stream,
                    head,
                    payload,
                    tail,
                    fin,
                } => {
                    let entry = self.streams.get(&stream);
                    let bytes = match entry.and_then(|entry| entry.queue.front()) {
                        Some(Queued::Payload { bytes, .. }) => usize::try_from(payload.start)
                            .ok()
                            .zip(usize::try_from(payload.end).ok())
                            .and_then(|(start, end)| bytes.get(start..end))
                            .unwrap_or_default(),
                        _ => &[],
                    };
                    let pieces = [head, bytes, tail];
                    let under_way = entry.map_or(&self.control_under_way, |e| &e.under_way);
                    let written = write(&mut self.quic, stream, pieces, fin, under_way);
                    self.tally.sent(stream, pieces, written.count);
                    if written.fin_waits {
                        self.fins_waiting.insert(stream);
                    }
                    (stream, written)
                }
                Transmit::Reset { stream, code } => {
                    trace!(%stream, code, "RESET_STREAM");
                    // A stream that is gone needs none.
                    let _gone = self
                        .quic
                        .stream_shutdown(stream.get(), Shutdown::Write, code);
                    self.forget_flow(stream);
                    continue;
                }
                Transmit::StopSending { stream, code } => {
                    trace!(%stream, code, "STOP_SENDING");
                    let _gone = self
                        .quic
                        .stream_shutdown(stream.get(), Shutdown::Read, code);
                    self.forget_flow(stream);
                    continue;
                }
                Transmit::Close { code } => {
                    // An ERROR or a GOODBYE that is overtaken by CONNECTION_CLOSE is lost: many
                    // stacks drop what the application has not read by then.
                    let last_words = code != 0 || proto.is_draining();
                    let linger = if last_words {
                        LAST_WORDS
                    } else {
                        Duration::ZERO
                    };
                    self.closing = Some((code, clock + linger));
                    continue;
                }
            };
            let payload_done = proto.wrote(stream, written.count, written.fin, now);
            if written.fin {
                self.forget_flow(stream);
            }
            if let Some(code) = written.stopped {
                self.stopped(stream, code, shared, tell);
            } else if payload_done {
                self.payload_sent(stream, shared, tell);
            }
        }
    }

    /// The front payload of an operation is with the transport.
    fn payload_sent(&mut self, stream: StreamId, shared: &Shared, tell: Tell<'_>) {
        let limit = shared.settings.send_queue;
        let Some(entry) = self.streams.get_mut(&stream) else {
            return;
        };
        let mut sent = None;
        if let Some(Queued::Payload {
            bytes,
            announced: true,
        }) = entry.queue.front()
        {
            sent = Some(bytes.len());
            entry.queued_bytes = entry.queued_bytes.saturating_sub(bytes.len());
            entry.queue.pop_front();
        }
        if !entry.queue.is_empty() {
            self.touched.push(stream);
        }
        if let Some(len) = sent {
            let key = self.key;
            let mut calls = self.calls(limit);
            tell(key, Event::Sent { stream, len }, &mut calls);
        }
    }

    /// Whether the connection is over, and the peer was told so or knows.
    pub(super) fn has_said_all(&self) -> bool {
        (self.is_over() || self.quic.local_error().is_some()) && self.unsent.is_none()
    }

    /// Whether CONNECTION_CLOSE is due, and with which code.
    pub(super) fn take_closing(&mut self, clock: Instant) -> Option<u64> {
        let (code, _) = self.closing.take_if(|(_, due)| *due <= clock)?;
        Some(code)
    }

    fn reset_both(&mut self, stream: StreamId, code: u64) {
        let _gone = self
            .quic
            .stream_shutdown(stream.get(), Shutdown::Read, code);
        let _gone = self
            .quic
            .stream_shutdown(stream.get(), Shutdown::Write, code);
        self.forget_flow(stream);
    }

    /// Gives the peer connection ids to migrate with.
    fn offer_ids(&mut self) {
        while self.quic.is_established() && self.quic.scids_left() > 0 {
            let (mut id, mut token) = ([0; quiche::MAX_CONN_ID_LEN], [0; 16]);
            let random = boring::rand::rand_bytes(&mut id)
                .and_then(|()| boring::rand::rand_bytes(&mut token));
            let id = quiche::ConnectionId::from_ref(&id);
            let token = u128::from_be_bytes(token);
            if random.is_err() || self.quic.new_scid(&id, token, false).is_err() {
                return;
            }
        }
    }
}

/// How long an ERROR or a GOODBYE may take to be read before CONNECTION_CLOSE follows it.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// RFC 9000 §20.1.
const CONNECTION_REFUSED: u64 = 0x2;
