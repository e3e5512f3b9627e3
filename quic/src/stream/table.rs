//! The table of streams: which exist, what the peer says about them, what the application does.

use super::flow::{Inbound, Outbound};
use super::receive::Receive;
use super::send::Send;
use super::{Event, StreamId};

/// There are never more streams of a type than this (RFC 9000 §4.6).
pub(crate) const MAX_STREAMS: u64 = 1 << 60;

/// The longest ring: offsets within are told from 32 bits, with room on both sides.
const MAX_RING: usize = 1 << 30;

/// A place for one stream.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(super) id: StreamId,
    pub(super) receive: Receive,
    pub(super) send: Send,
    /// What the application is to be told.
    pub(super) events: Events,
    pub(super) used: bool,
}

const _: () = assert!(
    size_of::<Slot>() <= 200,
    "a slot takes more RAM than planned"
);

impl Slot {
    /// A free place.
    pub(crate) const fn new() -> Self {
        let mut slot = Self::with(StreamId::local(0), Receive::new(0), Send::new(0));
        slot.used = false;
        slot
    }

    /// The place of stream `id`.
    pub(super) const fn with(id: StreamId, receive: Receive, send: Send) -> Self {
        Self {
            id,
            receive,
            send,
            events: Events(0),
            used: true,
        }
    }

    fn pop_event(&mut self) -> Option<Event> {
        let stream = self.id;
        loop {
            return Some(match self.events.pop()? {
                Events::OPENED => Event::Opened(stream),
                // It may have been read meanwhile.
                Events::READABLE if !self.receive.is_readable() => continue,
                Events::READABLE => Event::Readable(stream),
                Events::RESET => Event::Reset {
                    stream,
                    code: self.receive.code(),
                },
                Events::WRITABLE if !self.send.is_open() => continue,
                Events::WRITABLE => Event::Writable(stream),
                Events::STOPPED => Event::Stopped {
                    stream,
                    code: self.send.code(),
                },
                _ => Event::Finished(stream),
            });
        }
    }
}

/// A set of events about one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Events(u8);

impl Events {
    pub(super) const OPENED: u8 = 1;
    pub(super) const READABLE: u8 = 1 << 1;
    pub(super) const RESET: u8 = 1 << 2;
    pub(super) const WRITABLE: u8 = 1 << 3;
    pub(super) const STOPPED: u8 = 1 << 4;
    pub(super) const FINISHED: u8 = 1 << 5;

    pub(super) const fn insert(&mut self, event: u8) {
        self.0 |= event;
    }

    /// Takes the first event out.
    const fn pop(&mut self) -> Option<u8> {
        let first = self.0 & self.0.wrapping_neg();
        self.0 &= !first;
        if first == 0 { None } else { Some(first) }
    }
}

/// What the peer's transport parameters allow this end at first (RFC 9000 §18.2).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// initial_max_data.
    pub(crate) max_data: u64,
    /// For streams that this end opens: the peer's initial_max_stream_data_bidi_remote.
    pub(crate) max_stream_data_bidi_local: u64,
    /// For streams that the peer opens: its initial_max_stream_data_bidi_local.
    pub(crate) max_stream_data_bidi_remote: u64,
    /// initial_max_streams_bidi.
    pub(crate) max_streams_bidi: u64,
}

/// All streams of a connection.
#[derive(Debug)]
pub(crate) struct Streams<'m> {
    /// First those for streams that the peer opens, then those for this end's.
    pub(super) slots: &'m mut [Slot],
    pub(super) rx: &'m mut [u8],
    pub(super) tx: &'m mut [u8],
    pub(super) rx_ring: usize,
    pub(super) tx_ring: usize,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    /// What a new stream may send: one that this end opened, and one that the peer opened.
    pub(super) initial: (u64, u64),
    /// How many streams this end opened, and how many it may open.
    pub(super) opened: u64,
    pub(super) max_opened: u64,
    /// The same for the peer, as it was told; and what it is to be told.
    pub(super) accepted: u64,
    pub(super) max_accepted: u64,
    pub(super) next_max_accepted: u64,
    /// The last MAX_STREAMS was lost.
    pub(super) max_streams_lost: bool,
    /// Whose turn it is to send data.
    pub(super) turn: usize,
    /// `open` could not succeed and now may: the application is to be told.
    pub(super) available: bool,
    pub(super) peer_slots: usize,
}

impl<'m> Streams<'m> {
    /// Streams over `slots`, with `rx` and `tx` shared equally among them. `peer_streams` of the
    /// slots are for streams that the peer opens.
    pub(crate) fn new(
        slots: &'m mut [Slot],
        rx: &'m mut [u8],
        tx: &'m mut [u8],
        peer_streams: u8,
    ) -> Self {
        for slot in slots.iter_mut() {
            *slot = Slot::new();
        }
        let ring = |memory: &[u8]| {
            memory
                .len()
                .checked_div(slots.len())
                .unwrap_or(0)
                .min(MAX_RING)
        };
        let (rx_ring, tx_ring) = (ring(rx), ring(tx));
        let peer_slots = usize::from(peer_streams).min(slots.len());
        // Twice what all rings hold. Unread bytes are never more than the rings, so half of the
        // window is free whenever a ring has room: no stream waits for another one to be read.
        let window = (rx_ring as u64)
            .saturating_mul(slots.len() as u64)
            .saturating_mul(2);
        Self {
            slots,
            rx,
            tx,
            rx_ring,
            tx_ring,
            inbound: Inbound::new(window),
            outbound: Outbound::default(),
            initial: (0, 0),
            opened: 0,
            max_opened: 0,
            accepted: 0,
            max_accepted: peer_slots as u64,
            next_max_accepted: peer_slots as u64,
            max_streams_lost: false,
            turn: 0,
            available: false,
            peer_slots,
        }
    }

    /// All the memory for what comes and what leaves, for as long as no stream is open.
    pub(crate) const fn memory_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        (self.rx, self.tx)
    }

    /// Forgets all streams, and begins anew in the same memory.
    pub(crate) fn restart(&mut self, peer_streams: u8) {
        *self = Self::new(
            core::mem::take(&mut self.slots),
            core::mem::take(&mut self.rx),
            core::mem::take(&mut self.tx),
            peer_streams,
        );
    }

    /// Whether the application waits for room on a stream: for acknowledgements, that is.
    pub(crate) fn is_starved(&self) -> bool {
        self.slots
            .iter()
            .any(|slot| slot.used && slot.send.is_starved())
    }

    /// How many there can be.
    pub(crate) const fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Takes over the peer's transport parameters.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.outbound.raise(limits.max_data);
        self.max_opened = limits.max_streams_bidi.min(MAX_STREAMS);
        self.initial = (
            limits.max_stream_data_bidi_local,
            limits.max_stream_data_bidi_remote,
        );
    }

    /// This end's initial_max_stream_data_bidi_local and initial_max_stream_data_bidi_remote.
    pub(crate) const fn window(&self) -> u64 {
        self.rx_ring as u64
    }

    /// This end's initial_max_data.
    pub(crate) const fn max_data(&self) -> u64 {
        self.inbound.window()
    }

    /// This end's initial_max_streams_bidi.
    pub(crate) const fn peer_streams(&self) -> u64 {
        self.peer_slots as u64
    }

    pub(super) fn find(&self, id: StreamId) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| slot.used && slot.id == id)
    }

    /// Makes a slot free when its stream is over and the application knows everything about it.
    pub(super) fn release(&mut self, index: usize) {
        let could_open = self.can_open();
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if !slot.used || slot.events.0 != 0 || !slot.receive.is_done() || !slot.send.is_done() {
            return;
        }
        slot.used = false;
        if !slot.id.is_local() {
            self.next_max_accepted = self.next_max_accepted.saturating_add(1).min(MAX_STREAMS);
        }
        self.available |= !could_open && self.can_open();
    }

    /// The stream in slot `index`, with all that its halves work on.
    pub(super) fn parts(&mut self, index: usize) -> Option<Parts<'_>> {
        let slot = self.slots.get_mut(index)?;
        Some(Parts {
            slot,
            inbound: &mut self.inbound,
            outbound: &mut self.outbound,
            rx: ring_mut(self.rx, self.rx_ring, index),
            tx: ring_mut(self.tx, self.tx_ring, index),
        })
    }

    /// The next thing that the application is to know. A stream's slot is free again only when its
    /// events were taken.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        for index in 0..self.slots.len() {
            let event = self.slots.get_mut(index).and_then(Slot::pop_event);
            // Even without an event, since one may have been dropped as out of date.
            self.release(index);
            if event.is_some() {
                return event;
            }
        }
        core::mem::take(&mut self.available).then_some(Event::StreamsAvailable)
    }
}

/// A stream and what its halves work on.
pub(super) struct Parts<'a> {
    pub(super) slot: &'a mut Slot,
    pub(super) inbound: &'a mut Inbound,
    pub(super) outbound: &'a mut Outbound,
    pub(super) rx: &'a mut [u8],
    pub(super) tx: &'a mut [u8],
}

/// The ring of slot `index`.
pub(super) fn ring(memory: &[u8], size: usize, index: usize) -> &[u8] {
    let rest = memory.get(size.saturating_mul(index)..).unwrap_or_default();
    rest.get(..size).unwrap_or_default()
}

fn ring_mut(memory: &mut [u8], size: usize, index: usize) -> &mut [u8] {
    let rest = memory
        .get_mut(size.saturating_mul(index)..)
        .unwrap_or_default();
    rest.get_mut(..size).unwrap_or_default()
}
