//! A process: a node with an identity, connections, operations that it works on and operations that
//! it asked for.

use std::collections::BTreeMap;

use aire_proto::capability::{CHANNEL_BINDING, DELEGATION, RESUMABLE};
use aire_proto::connection::Authenticated;
use aire_proto::connection::{CloseReason, Signatures};
use aire_proto::handshake::{HandshakeError, Local, Verifier};
use aire_proto::identity::{DidKeyResolver, GrowingReplayGuard, Signer as _};
use aire_proto::wire::Capability;
use aire_proto::{Config, Connection, Growing, Input, Now, Role, StreamId};
use std::time::Duration;

use crate::audit::Invariant;
use crate::call::Call;
use crate::clock::Clock;
use crate::context::Context;
use crate::identity::{ToySigner, ToyVerifier};
use crate::live::Live;
use crate::rng::mix;
use crate::scenario::{Fault, NONCES, Scenario};
use crate::told::Told;
use crate::transport::{Endpoint, Packet, State};
use crate::work::Work;

/// The place of an operation: a connection, and a stream of it.
pub(crate) type Place = (u64, StreamId);

/// One node.
pub(crate) struct Process {
    pub(crate) node: usize,
    pub(crate) clock: Clock,
    pub(crate) up: bool,
    epoch: u64,
    signer: ToySigner,
    replay: GrowingReplayGuard,
    pub(crate) connections: BTreeMap<u64, Live>,
    /// Operations that this node works on, or retains, by job.
    pub(crate) works: BTreeMap<u64, Work>,
    /// Operations that this node asked for, by job.
    pub(crate) calls: BTreeMap<u64, Call>,
    /// Whose operations stand where.
    pub(crate) work_at: BTreeMap<Place, u64>,
    pub(crate) call_at: BTreeMap<Place, u64>,
    /// Arguments that are arriving.
    arguments: BTreeMap<Place, Vec<u8>>,
    /// Through whom operations come whose INVOKE is still to come, or just came.
    pub(crate) paths: BTreeMap<Place, Vec<String>>,
    /// Tokens that this node resumed with, and where: they must not work again.
    pub(crate) used_tokens: Vec<(usize, Vec<u8>)>,
    /// Tickets, on disk.
    pub(crate) tickets: BTreeMap<u64, (Vec<u8>, usize)>,
}

/// What the nodes of a world can do.
fn capabilities(scenario: &Scenario) -> Vec<Capability<'static>> {
    [
        (RESUMABLE, scenario.resumable),
        (CHANNEL_BINDING, scenario.channel_binding),
        (DELEGATION, scenario.delegation),
    ]
    .into_iter()
    .filter(|(_, can)| *can)
    .map(|(name, _)| Capability {
        name,
        version: 0,
        required: false,
    })
    .collect()
}

fn config(scenario: &Scenario) -> Config {
    Config {
        cancel_timeout: Duration::from_millis(scenario.cancel_timeout),
        drain_timeout: Duration::from_millis(scenario.drain_timeout),
        max_operations: scenario.max_operations,
        signatures: Some(Signatures(&ToyVerifier)),
        ..Config::default()
    }
}

impl Process {
    pub(crate) fn new(node: usize, clock: Clock) -> Self {
        Self {
            node,
            clock,
            up: true,
            epoch: mix(node as u64, 1),
            signer: ToySigner::new(node),
            replay: GrowingReplayGuard::new(NONCES.0, NONCES.1),
            connections: BTreeMap::new(),
            works: BTreeMap::new(),
            calls: BTreeMap::new(),
            work_at: BTreeMap::new(),
            call_at: BTreeMap::new(),
            arguments: BTreeMap::new(),
            paths: BTreeMap::new(),
            used_tokens: Vec::new(),
            tickets: BTreeMap::new(),
        }
    }

    pub(crate) fn now(&self, ctx: &Context) -> Now {
        self.clock.now(ctx.now)
    }

    /// This node's DID.
    pub(crate) fn did(&self) -> String {
        self.signer.did().to_owned()
    }

    /// The connection and the transport's end that `place` is on.
    pub(crate) fn connection(&mut self, place: Place) -> Option<&mut Connection<Growing>> {
        self.connections.get_mut(&place.0)?.connection.as_mut()
    }

    /// Loses what is only in memory.
    pub(crate) fn crash(&mut self, ctx: &mut Context) {
        ctx.trace(self.node, format_args!("crash"));
        ctx.stats.crashes += 1;
        self.up = false;
        self.epoch = mix(self.epoch, 2);
        for (_, live) in std::mem::take(&mut self.connections) {
            ctx.audit.disturbed(self.node, live.peer, ctx.now);
        }
        self.replay = GrowingReplayGuard::new(NONCES.0, NONCES.1);
        self.work_at.clear();
        self.call_at.clear();
        self.arguments.clear();
        self.paths.clear();
        let calls = std::mem::take(&mut self.calls);
        for (job, call) in calls {
            ctx.audit.disturbed(self.node, call.target, ctx.now);
            ctx.audit
                .asker_died(job, self.tickets.contains_key(&job), ctx.now);
        }
        self.forget_works(ctx);
    }

    /// Says GOODBYE on one connection.
    pub(crate) fn drain(&mut self, ctx: &mut Context) {
        let now = self.now(ctx);
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        let Some(id) = ctx.rng.pick(&ids) else {
            return;
        };
        ctx.trace(self.node, format_args!("c{id} drains"));
        let live = self.connections.get_mut(&id);
        if let Some(connection) = live.and_then(|live| live.connection.as_mut()) {
            connection.goodbye(now);
        }
    }

    /// Loses one connection without a word, as when a machine in between forgets it.
    pub(crate) fn sever(&mut self, ctx: &mut Context) {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        let Some(id) = ctx.rng.pick(&ids) else {
            return;
        };
        ctx.trace(self.node, format_args!("c{id} is severed"));
        if let Some(live) = self.connections.get_mut(&id) {
            live.endpoint.state = State::Over(None);
        }
    }

    /// Is too busy to read one connection's operations for a while.
    pub(crate) fn stall(&mut self, most: u64, ctx: &mut Context) {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        let Some(id) = ctx.rng.pick(&ids) else {
            return;
        };
        let until = ctx.now + ctx.rng.between(1, most);
        ctx.trace(self.node, format_args!("c{id} is not read until {until}"));
        if let Some(live) = self.connections.get_mut(&id) {
            live.stalled_until = live.stalled_until.max(until);
        }
    }

    /// What is due at `ctx.now`, and whatever follows from it, until nothing moves.
    pub(crate) fn run(&mut self, ctx: &mut Context) {
        let now = self.now(ctx);
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for id in &ids {
            self.on_timer(*id, ctx, now);
        }
        for round in 0_u32.. {
            let mut progress = false;
            for id in &ids {
                progress |= self.read(*id, ctx);
                progress |= self.events(*id, ctx);
            }
            progress |= self.drive_calls(ctx);
            progress |= self.drive_works(ctx);
            let ids: Vec<u64> = self.connections.keys().copied().collect();
            for id in &ids {
                if let Some(live) = self.connections.get_mut(id) {
                    progress |= live.transmit(ctx.now, now);
                }
            }
            if !progress {
                break;
            }
            if round > 100_000 {
                let details = format!("node {} never rests", self.node);
                ctx.audit.fail(Invariant::ComesToRest, details);
                break;
            }
        }
        self.flush(ctx);
        self.check(ctx);
    }

    fn on_timer(&mut self, id: u64, ctx: &mut Context, now: Now) {
        let Some(live) = self.connections.get_mut(&id) else {
            return;
        };
        live.endpoint.on_timer(ctx.now);
        if let Some(connection) = &mut live.connection
            && !ctx.scenario.has(Fault::IgnoreTimers)
        {
            connection.handle_timeout(now);
        }
        if live.endpoint.confirmed && live.connection.is_none() {
            self.begin(id, ctx, now);
        }
        self.hear_loss(id, ctx);
    }

    /// The transport's handshake is done: AIRE's begins.
    fn begin(&mut self, id: u64, ctx: &mut Context, now: Now) {
        let Some(live) = self.connections.get_mut(&id) else {
            return;
        };
        let role = if live.endpoint.client {
            Role::Client
        } else {
            Role::Server
        };
        let mut connection = Connection::new(role, config(&ctx.scenario), now);
        // Both ends know both epochs, as they would know their TLS session.
        let session = mix(live.endpoint.epoch, id) ^ mix(live.endpoint.peer_epoch.unwrap_or(0), id);
        let mut exporter = [7; 32];
        exporter[..8].copy_from_slice(&session.to_le_bytes());
        connection.bind_channel(&exporter, &ctx.rng.bytes());
        let local = Local {
            signer: &self.signer,
            capabilities: &capabilities(&ctx.scenario),
        };
        let started = connection.start(&local, &ctx.rng.bytes(), now);
        if let Err(error) = started {
            let details = format!("HELLO does not fit: {error:?}");
            ctx.audit.fail(Invariant::NobodyBreaksTheProtocol, details);
        }
        live.connection = Some(connection);
        ctx.stats.connections += 1;
        ctx.trace(self.node, format_args!("c{id} begins as {role:?}"));
    }

    /// The peer closed the transport, or it is lost.
    fn hear_loss(&mut self, id: u64, ctx: &mut Context) {
        let Some(live) = self.connections.get_mut(&id) else {
            return;
        };
        let State::Over(code) = live.endpoint.state else {
            return;
        };
        if live.told_over {
            return;
        }
        live.told_over = true;
        ctx.stats.lost += u64::from(code.is_none());
        ctx.audit.disturbed(self.node, live.peer, ctx.now);
        ctx.trace(self.node, format_args!("c{id} over {code:?}"));
        if let Some(connection) = &mut live.connection {
            connection.connection_lost(code);
        }
    }

    /// A packet for this node.
    pub(crate) fn deliver(&mut self, packet: Packet, ctx: &mut Context) {
        let id = packet.connection;
        if !self.connections.contains_key(&id) {
            if packet.to_epoch.is_some() {
                if ctx.scenario.stateless_resets {
                    self.answer_unknown(&packet, ctx);
                }
                return;
            }
            let ends = (id, self.node, packet.from);
            let timing = ctx.scenario.timing;
            let endpoint = Endpoint::new(ends, false, mix(self.epoch, id), timing, ctx.now);
            self.connections
                .insert(id, Live::new(packet.from, endpoint));
        }
        if let Some(live) = self.connections.get_mut(&id) {
            live.endpoint.receive(packet, ctx.now);
        }
    }

    fn answer_unknown(&self, packet: &Packet, ctx: &mut Context) {
        use crate::transport::Frame;

        let asks = |frame: &Frame| !matches!(frame, Frame::Unknown | Frame::Close { .. });
        if packet.frames.iter().any(asks) {
            ctx.outbox.push(Packet {
                connection: packet.connection,
                from: self.node,
                to: packet.from,
                from_epoch: 0,
                to_epoch: Some(packet.from_epoch),
                number: 0,
                losses: 0,
                frames: vec![Frame::Unknown],
            });
        }
    }

    /// Dials `peer`.
    pub(crate) fn dial(&mut self, peer: usize, ctx: &mut Context) {
        let id = ctx.fresh_id();
        ctx.trace(self.node, format_args!("c{id} dials n{peer}"));
        let ends = (id, self.node, peer);
        let epoch = mix(self.epoch, id ^ 0xd1a1);
        let endpoint = Endpoint::new(ends, true, epoch, ctx.scenario.timing, ctx.now);
        self.connections.insert(id, Live::new(peer, endpoint));
    }

    /// Reads what has come on connection `id`.
    fn read(&mut self, id: u64, ctx: &mut Context) -> bool {
        let mut progress = false;
        let Some(live) = self.connections.get_mut(&id) else {
            return false;
        };
        if live.connection.is_none() {
            return false;
        }
        for number in live.endpoint.streams_with_news() {
            let Some(stream) = StreamId::new(number) else {
                continue;
            };
            progress |= self.read_stream((id, stream), ctx);
        }
        progress
    }

    fn read_stream(&mut self, place: Place, ctx: &mut Context) -> bool {
        let (id, stream) = place;
        let now = self.now(ctx);
        let mut progress = false;
        loop {
            let Some(live) = self.connections.get_mut(&id) else {
                return progress;
            };
            let Some(connection) = &mut live.connection else {
                return progress;
            };
            let news = live.endpoint.news(stream.get());
            if let Some(code) = news.reset {
                connection.stream_reset(stream, code);
                progress = true;
            }
            // It may overtake what opens the operation, and says nothing before that is read.
            if let Some(code) = news.stop
                && connection.op_id(stream).is_some()
            {
                connection.stream_stopped(stream, code);
                live.endpoint.stop_heard(stream.get());
                progress = true;
            }
            if news.ready == 0 && !news.fin {
                live.endpoint.no_news(stream.get());
                return progress;
            }
            if live.stalled_until > ctx.now && stream != StreamId::CONTROL {
                return progress;
            }
            let len = news
                .ready
                .min(ctx.rng.between(1, ctx.scenario.piece) as usize);
            let fin = news.fin && len == news.ready;
            let piece = live.endpoint.peek(stream.get(), len);
            let mut input = Input::new(&piece, fin);
            while let Some(told) = self.poll_input(place, &mut input, now) {
                self.hear(id, told, ctx);
            }
            let taken = len - input.unread().len();
            let fin_taken = fin && input.is_done();
            if let Some(live) = self.connections.get_mut(&id) {
                live.endpoint.consume(stream.get(), taken, fin_taken);
            }
            progress |= taken > 0 || fin_taken;
            if taken < len || (fin && !fin_taken) {
                return progress;
            }
        }
    }

    fn poll_input(&mut self, place: Place, input: &mut Input<'_>, now: Now) -> Option<Told> {
        let connection = self.connection(place)?;
        connection.poll_input(place.1, input, now).map(Told::from)
    }

    fn events(&mut self, id: u64, ctx: &mut Context) -> bool {
        let mut progress = false;
        loop {
            let told = self
                .connections
                .get_mut(&id)
                .and_then(|live| live.connection.as_mut())
                .and_then(Connection::poll_event)
                .map(Told::from);
            let Some(told) = told else {
                return progress;
            };
            progress = true;
            self.hear(id, told, ctx);
        }
    }

    /// Acts on what a connection told.
    fn hear(&mut self, id: u64, told: Told, ctx: &mut Context) {
        match &told {
            Told::Args { remaining, .. } | Told::Stream { remaining, .. } if *remaining > 0 => {}
            Told::Args { stream, .. } => ctx.trace(self.node, format_args!("c{id} s{stream} args")),
            Told::Stream { stream, .. } => {
                ctx.trace(self.node, format_args!("c{id} s{stream} frame"));
            }
            told => ctx.trace(self.node, format_args!("c{id} {told:?}")),
        }
        match told {
            Told::Hello => self.authenticate(id, ctx),
            Told::Via { stream, hops } => {
                self.paths.insert((id, stream), hops);
            }
            Told::Invoked { stream, args_len } => {
                self.arguments
                    .insert((id, stream), Vec::with_capacity(args_len as usize));
            }
            Told::Args {
                stream,
                bytes,
                remaining,
            } => self.take_arguments((id, stream), &bytes, remaining, ctx),
            Told::NoRoom { stream } => {
                ctx.stats.no_room += 1;
                if let Some(live) = self.connections.get_mut(&id) {
                    live.refuse(stream);
                }
            }
            Told::Goodbye => ctx.stats.drains += 1,
            Told::Closed(reason) => self.closed(id, reason, ctx),
            Told::Bound | Told::Other => {}
            told => self.hear_operation(id, told, ctx),
        }
    }

    fn hear_operation(&mut self, id: u64, told: Told, ctx: &mut Context) {
        let stream = match &told {
            Told::Stream { stream, .. }
            | Told::Cancelled { stream, .. }
            | Told::Budget { stream, .. }
            | Told::Resumable { stream, .. }
            | Told::Resumed { stream, .. }
            | Told::Failed { stream, .. }
            | Told::InputFinished { stream }
            | Told::Ended { stream, .. } => *stream,
            _ => return,
        };
        let place = (id, stream);
        if matches!(told, Told::Ended { .. }) {
            self.arguments.remove(&place);
            self.paths.remove(&place);
        }
        if let Some(job) = self.call_at.get(&place).copied() {
            self.call_hears(job, told, ctx);
        } else {
            self.work_hears(place, told, ctx);
        }
    }

    fn take_arguments(&mut self, place: Place, bytes: &[u8], remaining: u64, ctx: &mut Context) {
        if let Some(arguments) = self.arguments.get_mut(&place) {
            arguments.extend_from_slice(bytes);
        }
        if remaining == 0
            && let Some(arguments) = self.arguments.remove(&place)
        {
            self.start_work(place, &arguments, ctx);
        }
    }

    fn authenticate(&mut self, id: u64, ctx: &mut Context) {
        let now = self.now(ctx);
        let capabilities = capabilities(&ctx.scenario);
        let Some(live) = self.connections.get_mut(&id) else {
            return;
        };
        let Some(connection) = &mut live.connection else {
            return;
        };
        let local = Local {
            signer: &self.signer,
            capabilities: &capabilities,
        };
        let mut verifier = Verifier {
            keys: &DidKeyResolver,
            signatures: &ToyVerifier,
            replay: &mut self.replay,
        };
        let judged = connection.authenticate(&local, &mut verifier, now);
        let peer = live.peer;
        ctx.trace(self.node, format_args!("c{id} judges n{peer}: {judged:?}"));
        let apart = self.skew_to(peer, ctx).unsigned_abs();
        let wrong = match judged {
            Ok(Authenticated::KeyAwaited) => Some("asks for the key of a did:key".to_owned()),
            Ok(_) => (apart > 300_000 + 20_000).then(|| format!("meets n{peer}, {apart} ms off")),
            // What may be wrong with an honest peer: too many nonces. Clocks are judged earlier.
            Err(HandshakeError::Replayed(_)) => None,
            Err(error) => Some(format!("refuses n{peer}: {error}")),
        };
        if let Some(wrong) = wrong {
            let details = format!("n{} {wrong}", self.node);
            ctx.audit.fail(Invariant::ClocksJudged, details);
        }
    }

    /// By how many milliseconds the peer's wall clock is ahead.
    fn skew_to(&self, peer: usize, ctx: &Context) -> i64 {
        let peer = ctx.scenario.clocks[peer].now(ctx.now).unix.0;
        peer - self.clock.now(ctx.now).unix.0
    }

    fn closed(&mut self, id: u64, reason: CloseReason, ctx: &mut Context) {
        let Some(live) = self.connections.get(&id) else {
            return;
        };
        ctx.audit.disturbed(self.node, live.peer, ctx.now);
        let honest = match reason {
            CloseReason::Violation { .. } => false,
            CloseReason::Handshake(HandshakeError::StaleTimestamp { .. }) => {
                self.skew_to(live.peer, ctx).unsigned_abs() > 300_000 - 20_000
            }
            CloseReason::Handshake(error) => matches!(error, HandshakeError::Replayed(_)),
            CloseReason::Peer(code) => {
                use aire_proto::ErrorCode as Code;
                matches!(
                    code,
                    Code::StaleTimestamp | Code::ReplayedNonce | Code::Refused
                )
            }
            CloseReason::Done | CloseReason::HandshakeTimeout | CloseReason::Lost => true,
        };
        ctx.stats.refused_hellos += u64::from(matches!(reason, CloseReason::Handshake(_)));
        if !honest {
            let details = format!("n{} c{id} closed: {reason}", self.node);
            ctx.audit.fail(Invariant::NobodyBreaksTheProtocol, details);
        }
    }

    /// Hands packets to the network, and forgets connections that are over.
    fn flush(&mut self, ctx: &mut Context) {
        for live in self.connections.values_mut() {
            ctx.outbox.extend(live.endpoint.flush(ctx.now));
        }
        self.connections.retain(|_, live| {
            let told = live.connection.as_ref().is_none_or(Connection::is_closed);
            !matches!(live.endpoint.state, State::Over(_)) || !told
        });
    }

    /// When [`run`](Self::run) is due next.
    pub(crate) fn next_wake(&self, ctx: &Context) -> u64 {
        let mut next = u64::MAX;
        for live in self.connections.values() {
            next = next.min(live.endpoint.next_timer());
            if live.stalled_until > ctx.now {
                next = next.min(live.stalled_until);
            }
            let deadline = live.connection.as_ref().and_then(Connection::next_deadline);
            if let Some(deadline) = deadline
                && !ctx.scenario.has(Fault::IgnoreTimers)
            {
                next = next.min(self.clock.world_of(deadline));
            }
        }
        next.min(self.next_call(ctx)).min(self.next_work(ctx))
    }

    /// The bounds that hold after every step.
    fn check(&mut self, ctx: &mut Context) {
        let window = ctx.scenario.timing.window;
        for (id, live) in &self.connections {
            let operations = live
                .connection
                .as_ref()
                .map_or(0, Connection::live_operations);
            if operations > ctx.scenario.max_operations || live.endpoint.most_unread() > window {
                let details = format!("n{} c{id}: {operations} operations", self.node);
                ctx.audit.fail(Invariant::TablesBounded, details);
            }
        }
        if self.replay.len() > NONCES.0 {
            let details = format!("n{} remembers {} nonces", self.node, self.replay.len());
            ctx.audit.fail(Invariant::TablesBounded, details);
        }
        self.check_works(ctx);
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process")
            .field("node", &self.node)
            .field("connections", &self.connections)
            .field("works", &self.works)
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}
