//! What the runner and the application's tasks work on: QUIC below, the protocol above, and for
//! each operation a slot between. Nothing in here waits.
//!
//! Payloads are never copied in between: what arrives lies in QUIC's buffer until an operation
//! reads it, and what an operation sends goes from its own slice into QUIC's.

mod link;
mod opening;
mod reading;
mod sending;

pub(crate) use link::Fresh;

use aire_proto::identity::ReplayGuard;
use aire_proto::{Now, StreamId};
use embassy_sync::waitqueue::{MultiWakerRegistration, WakerRegistration};
use embassy_time::Instant;

use crate::clock::Clock;
use crate::error::Closed;
use crate::options::Options;
use crate::protocol::Protocol;
use crate::slot::{Slot, Stage};

/// Where the way to a connection leads just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Status {
    /// The application has disconnected.
    Off,
    /// The network has no address yet.
    Network,
    /// The time of day is awaited.
    Time,
    /// The node's name is looked up.
    Name,
    /// QUIC's handshake.
    Connecting,
    /// HELLO.
    Greeting,
    /// Operations can be opened.
    Connected,
    /// The next attempt is awaited.
    Waiting,
}

/// How many tasks can wait for the connection without waking each other needlessly.
const WAITERS: usize = 8;

pub(crate) struct Engine {
    pub(crate) quic: &'static mut aire_quic::Connection<'static>,
    pub(crate) proto: &'static mut (dyn Protocol + Send),
    pub(crate) slots: &'static mut [Slot],
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) status: Status,
    /// The application wants a connection.
    pub(crate) wanted: bool,
    /// The last reason why there was none.
    pub(crate) why: Option<Closed>,
    /// The reason of this attempt's end is known.
    pub(crate) told_why: bool,
    /// The interface has another address.
    pub(crate) moved: bool,
    replay: &'static mut (dyn ReplayGuard + Send),
    /// The protocol's connection is the one over this QUIC connection.
    up: bool,
    /// Fresh random bytes: HELLO's nonce, and that of the channel binding.
    nonces: ([u8; 16], [u8; 16]),
    /// CONNECTION_CLOSE with this code is due then.
    closing: Option<(u64, Instant)>,
    /// QUIC is over, for this reason, and what it brought can be read until then.
    gone: Option<(aire_quic::CloseReason, Instant)>,
    last_heard: Instant,
    last_ping: Instant,
    runner: WakerRegistration,
    /// Tasks that wait for a connection, a slot, or an operation of the node's.
    waiters: MultiWakerRegistration<WAITERS>,
}

impl Engine {
    pub(crate) fn new(
        quic: &'static mut aire_quic::Connection<'static>,
        proto: &'static mut (dyn Protocol + Send),
        slots: &'static mut [Slot],
        replay: &'static mut (dyn ReplayGuard + Send),
        options: Options,
    ) -> Self {
        Self {
            quic,
            proto,
            slots,
            options,
            clock: Clock::default(),
            status: Status::Network,
            wanted: true,
            why: None,
            told_why: false,
            moved: false,
            replay,
            up: false,
            nonces: ([0; 16], [0; 16]),
            closing: None,
            gone: None,
            last_heard: Instant::MIN,
            last_ping: Instant::MIN,
            runner: WakerRegistration::new(),
            waiters: MultiWakerRegistration::new(),
        }
    }

    /// Whether operations may be opened and read.
    pub(crate) fn is_open(&self) -> bool {
        self.up && self.proto.is_open()
    }

    pub(crate) fn set_status(&mut self, status: Status) {
        if self.status != status {
            self.status = status;
            self.waiters.wake();
        }
    }

    /// Has the runner look at what there is to do.
    pub(crate) fn wake_runner(&mut self) {
        self.runner.wake();
    }

    pub(crate) fn register_runner(&mut self, waker: &core::task::Waker) {
        self.runner.register(waker);
    }

    pub(crate) fn register_waiter(&mut self, waker: &core::task::Waker) {
        self.waiters.register(waker);
    }

    /// Does all that can be done without a socket. The runner's call.
    #[inline(never)]
    pub(crate) fn service(&mut self, at: Instant) {
        let now = self.clock.at(at);
        self.keep_time(at, now);
        self.take_quic_events(now, at);
        if !self.up {
            return;
        }
        // HELLO comes first, and until it is judged no other stream is read (GAP-12). From then on
        // the control stream comes last: a GOODBYE must not overtake operations that came with it.
        if !self.is_open() {
            self.read_control(now);
        }
        if self.is_open() {
            for index in 0..self.slots.len() {
                self.read(index, now);
            }
            self.read_control(now);
            self.resume_suspended(now);
        }
        self.advance(at, now);
        self.end_if_read(at, now);
        self.sweep();
    }

    /// Tells what the protocol has to tell, and hands over what it has to send, until neither is
    /// left. Anybody's call.
    #[inline(never)]
    pub(crate) fn advance(&mut self, at: Instant, now: Now) {
        if !self.up {
            return;
        }
        loop {
            self.take_events(now);
            if !self.transmit(at, now) {
                break;
            }
        }
        self.wake_runner();
    }

    /// Frees the slots of streams that ended before they were operations.
    fn sweep(&mut self) {
        for slot in self.slots.iter_mut() {
            let gone = slot.stage == (Stage::Opening { begun: true })
                && slot
                    .stream
                    .is_none_or(|stream| self.proto.op_id(stream).is_none());
            if gone {
                *slot = Slot::default();
            }
        }
    }

    pub(crate) fn slot_of(&self, stream: StreamId) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| slot.stream == Some(stream))
    }

    /// A slot is nobody's any more.
    #[inline(never)]
    pub(crate) fn free(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Slot::default();
            self.waiters.wake();
        }
    }
}

/// The same stream to QUIC.
pub(crate) fn quic_id(stream: StreamId) -> Option<aire_quic::StreamId> {
    aire_quic::StreamId::new(stream.get())
}
