//! Loss detection and congestion control (RFC 9002), and what was received (RFC 9000 §13.2).
//!
//! [`Recovery`] remembers the packets in flight, and says what became of each: acknowledged or
//! lost. It says when a probe has to be sent, and how much may be in flight. Deadlines are computed
//! from the table when they are asked for, so that none can go stale.

mod ack;
mod congestion;
mod received;
mod rtt;
mod sent;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub(crate) use ack::Ack;
pub(crate) use received::Received;
pub(crate) use sent::Sent;

use congestion::NewReno;
use rtt::Rtt;
use sent::Table;

use crate::carried::{Carried, Fate};
use crate::error::{Code, Fault, fault};
use crate::time::{Instant, Micros};

/// A packet is lost when one that was sent so many packets later is acknowledged (§6.1.1).
const PACKET_THRESHOLD: u64 = 3;

/// Persistent congestion is the loss of all that was sent for so many probe timeouts (§7.6.1).
const PERSISTENT_THRESHOLD: u64 = 3;

/// At most this many packets are sent when a probe timeout expires (§6.2.4).
const MAX_PROBES: u8 = 2;

/// The backoff ends here; the connection's idle timeout comes long before.
const MAX_BACKOFF: u8 = 20;

/// A packet number space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Space {
    /// Initial packets.
    Initial,
    /// Handshake packets.
    Handshake,
    /// 1-RTT packets.
    Application,
}

impl Space {
    /// In the order in which their keys come.
    pub(crate) const ALL: [Self; 3] = [Self::Initial, Self::Handshake, Self::Application];
}

/// Hears what became of a packet: its space, its fate, what it carried. A packet is reported as
/// lost once at most, and as acknowledged once at most. The latter may follow the former, for a probe
/// repeats what may have arrived; nothing follows the latter.
pub(crate) type Report<'r> = dyn FnMut(Space, Fate, &Carried) + 'r;

/// What an ACK frame told that was not known before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewlyAcked {
    /// The largest packet in flight that it acknowledged.
    pub(crate) largest: u64,
}

/// What is known of one space.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    /// One more than the largest number sent.
    next: u64,
    /// One more than the largest number that was acknowledged; 0 before.
    acked_below: u64,
    /// Probes that have to be sent.
    probes: u8,
}

impl Numbers {
    const NEW: Self = Self {
        next: 0,
        acked_below: 0,
        probes: 0,
    };
}

/// Loss detection and congestion control of a client's connection.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    table: Table,
    initial: Numbers,
    handshake: Numbers,
    application: Numbers,
    rtt: Rtt,
    congestion: NewReno,
    /// Probe timeouts in a row.
    pto_count: u8,
    /// When something last happened: the probe that keeps the server from waiting is sent so long
    /// after it (§6.2.2.1).
    touched: Instant,
    has_handshake_keys: bool,
    /// The server is known to have validated this end's address, and sends without limit.
    is_validated: bool,
    is_confirmed: bool,
    /// The peer's transport parameters: max_ack_delay in microseconds, and ack_delay_exponent.
    max_ack_delay: u32,
    exponent: u8,
    lost: u32,
}

impl Recovery {
    /// Nothing sent yet, on a path that nothing is known about.
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            table: Table::new(),
            initial: Numbers::NEW,
            handshake: Numbers::NEW,
            application: Numbers::NEW,
            rtt: Rtt::new(),
            congestion: NewReno::new(),
            pto_count: 0,
            touched: now,
            has_handshake_keys: false,
            is_validated: false,
            is_confirmed: false,
            max_ack_delay: 25_000,
            exponent: 3,
            lost: 0,
        }
    }

    const fn numbers(&self, space: Space) -> &Numbers {
        match space {
            Space::Initial => &self.initial,
            Space::Handshake => &self.handshake,
            Space::Application => &self.application,
        }
    }

    const fn numbers_mut(&mut self, space: Space) -> &mut Numbers {
        match space {
            Space::Initial => &mut self.initial,
            Space::Handshake => &mut self.handshake,
            Space::Application => &mut self.application,
        }
    }

    /// Whether a packet of `bytes` that will be in flight may be sent in `space`: there is room to
    /// remember it, and the congestion window takes it or it is a probe that is owed. What is not
    /// in flight (an ACK alone, CONNECTION_CLOSE) may always be sent.
    pub(crate) fn may_send(&self, space: Space, bytes: usize) -> bool {
        if self.probes_owed(space) > 0 {
            return self.table.has_room_for_probe();
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.table.has_room() && self.congestion.may_send(bytes)
    }

    /// How many ack-eliciting packets have to be sent in `space` at once, a PING in them when there
    /// is nothing else. The congestion window does not hold them back.
    pub(crate) const fn probes_owed(&self, space: Space) -> u8 {
        self.numbers(space).probes
    }

    /// A packet is sent. Each has to be told, also one that is not in flight; where it is, ask
    /// [`may_send`](Self::may_send) before: what finds no room is not remembered.
    pub(crate) fn on_sent(&mut self, space: Space, packet: &Sent) {
        let numbers = self.numbers_mut(space);
        numbers.next = numbers.next.max(packet.number.saturating_add(1));
        if !packet.in_flight {
            return;
        }
        if packet.ack_eliciting {
            numbers.probes = numbers.probes.saturating_sub(1);
            self.touched = packet.time;
            if !self.table.has_room()
                && let Some(gone) = self.table.evict()
                && gone.is_counted()
            {
                self.congestion.on_gone(u32::from(gone.size));
            }
        }
        if self.table.push(space, packet) {
            self.congestion.on_sent(u32::from(packet.size), packet.time);
        }
    }

    /// An ACK frame came in `space`: its packets are reported as acknowledged, and those that are
    /// now known to be lost as lost. An error for packets that were never sent (RFC 9000 §13.1).
    pub(crate) fn on_ack(
        &mut self,
        space: Space,
        ack: &Ack<'_>,
        now: Instant,
        report: &mut Report<'_>,
    ) -> Result<Option<NewlyAcked>, Fault> {
        let numbers = self.numbers_mut(space);
        let next = numbers.next;
        if ack.largest >= next {
            return Err(fault!(
                Code::PROTOCOL_VIOLATION,
                "ACK of a packet that was never sent"
            ));
        }
        let is_news = ack.largest >= numbers.acked_below;
        numbers.acked_below = numbers.acked_below.max(ack.largest.saturating_add(1));
        self.is_validated |= space == Space::Handshake;

        self.table.mark_acked(space, next, ack);
        let mut newest = None;
        let mut ack_eliciting = false;
        let congestion = &mut self.congestion;
        self.table.sweep(&mut |entry| {
            if !entry.is_acked() {
                return true;
            }
            if entry.is_counted() {
                congestion.on_acked(u32::from(entry.size), entry.time);
            }
            newest = Some((entry.number(next), entry.time, entry.is_counted()));
            ack_eliciting |= entry.is_ack_eliciting();
            report(space, Fate::Acked, &entry.carried);
            false
        });
        if let Some((number, sent, true)) = newest
            && number == ack.largest
            && ack_eliciting
        {
            let delay = self.ack_delay(space, ack.delay);
            self.rtt.on_sample(now.since(sent), delay, now);
        }
        self.detect_lost(space, now, report);
        self.congestion.on_ack_end();
        if is_news || newest.is_some() {
            if self.is_validated {
                self.pto_count = 0;
            }
            self.numbers_mut(space).probes = 0;
            self.touched = now;
        }
        Ok(newest.map(|(largest, ..)| NewlyAcked { largest }))
    }

    /// How much of a round trip was the peer's own delay (§5.3), in microseconds.
    fn ack_delay(&self, space: Space, raw: u64) -> u32 {
        if space == Space::Initial {
            return 0;
        }
        let raw = u32::try_from(raw).unwrap_or(u32::MAX);
        let scale = 1_u32.checked_shl(u32::from(self.exponent)).unwrap_or(0);
        let delay = raw.saturating_mul(scale);
        if self.is_confirmed {
            delay.min(self.max_ack_delay)
        } else {
            delay
        }
    }

    /// Takes out what is lost in `space`: sent long enough before a packet that is acknowledged, by
    /// count or by time (§6.1).
    fn detect_lost(&mut self, space: Space, now: Instant, report: &mut Report<'_>) {
        let Numbers {
            next, acked_below, ..
        } = *self.numbers(space);
        let loss_delay = self.rtt.loss_delay();
        let mut run = LossRun::new(self.rtt.first_sample(), self.persistent_duration());
        let mut newest = None;
        let mut lost = 0_u32;
        let congestion = &mut self.congestion;
        self.table.sweep(&mut |entry| {
            let number = entry.number(next);
            if entry.space != space || number >= acked_below {
                return true;
            }
            let is_lost = number.saturating_add(PACKET_THRESHOLD) < acked_below
                || entry.time.after(loss_delay) <= now;
            run.note(number, entry, is_lost);
            if !is_lost {
                return true;
            }
            lost = lost.saturating_add(1);
            if entry.is_counted() {
                congestion.on_gone(u32::from(entry.size));
                newest = Some(entry.time);
            }
            if !entry.is_repeated() {
                report(space, Fate::Lost, &entry.carried);
            }
            false
        });
        self.lost = self.lost.wrapping_add(lost);
        if let Some(sent) = newest {
            self.congestion.on_lost(sent, now);
        }
        if run.is_persistent {
            self.congestion.collapse();
            self.rtt.restart_min();
        }
    }

    /// When something has to be done if nothing comes before. `None` only when nothing is in
    /// flight that this end has to see through.
    ///
    /// 1-RTT packets are not probed before the handshake is confirmed (§6.2.1). Until then the
    /// server's own timeouts keep things going, once it has acknowledged a Handshake packet.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.loss_deadline()
            .or_else(|| self.probe_deadline().map(|(deadline, _)| deadline))
    }

    /// When the first packet that was overtaken is lost by time. The table is in the order of
    /// sending, so the first found is the first to go.
    fn loss_deadline(&self) -> Option<Instant> {
        self.table
            .iter()
            .find(|entry| {
                let numbers = self.numbers(entry.space);
                entry.number(numbers.next) < numbers.acked_below
            })
            .map(|entry| entry.time.after(self.rtt.loss_delay()))
    }

    /// When the next probe timeout expires, and in which space.
    fn probe_deadline(&self) -> Option<(Instant, Space)> {
        let mut first: Option<(Instant, Space)> = None;
        for space in Space::ALL {
            if space == Space::Application && !self.is_confirmed {
                continue;
            }
            if let Some(sent) = self.table.last_ack_eliciting(space) {
                let deadline = sent.after(self.backed_off(space));
                if first.is_none_or(|(earlier, _)| deadline < earlier) {
                    first = Some((deadline, space));
                }
            }
        }
        if first.is_none() && !self.is_validated {
            // The server may be waiting for more bytes from here before it may send (§6.2.2.1).
            let space = if self.has_handshake_keys {
                Space::Handshake
            } else {
                Space::Initial
            };
            return Some((self.touched.after(self.backed_off(space)), space));
        }
        first
    }

    fn backed_off(&self, space: Space) -> Micros {
        let timeout = if space == Space::Application {
            self.pto()
        } else {
            Micros::new(u64::from(self.rtt.probe_timeout()))
        };
        timeout.times(1 << self.pto_count.min(MAX_BACKOFF))
    }

    /// The deadline has come. What is lost is reported. On a probe timeout, the oldest packets are
    /// reported as lost although they may not be, so that the [probes](Self::probes_owed) carry
    /// what they carried. Before the deadline nothing happens.
    pub(crate) fn on_timeout(&mut self, now: Instant, report: &mut Report<'_>) {
        if let Some(deadline) = self.loss_deadline() {
            if deadline <= now {
                self.touched = now;
                for space in Space::ALL {
                    self.detect_lost(space, now, report);
                }
            }
            return;
        }
        let Some((deadline, space)) = self.probe_deadline() else {
            return;
        };
        if deadline > now {
            return;
        }
        self.pto_count = self.pto_count.saturating_add(1);
        self.touched = now;
        self.probe(space, MAX_PROBES, report);
        // The handshake's two spaces go into one datagram (§6.2.4).
        for other in [Space::Initial, Space::Handshake] {
            if other != space && self.table.last_ack_eliciting(other).is_some() {
                self.probe(other, 1, report);
            }
        }
    }

    /// Has the content of the oldest packets of `space` repeated, `count` of them at the most, and
    /// as many packets sent: at least one.
    fn probe(&mut self, space: Space, count: u8, report: &mut Report<'_>) {
        let mut probes = 0_u8;
        for entry in self.table.iter_mut() {
            if probes == count {
                break;
            }
            if entry.space == space && entry.is_ack_eliciting() && !entry.is_repeated() {
                entry.set_repeated();
                report(space, Fate::Lost, &entry.carried);
                probes = probes.saturating_add(1);
            }
        }
        self.numbers_mut(space).probes = probes.max(1);
    }

    /// The keys of `space` are gone: what is in flight there is forgotten and not reported (§6.4).
    pub(crate) fn discard(&mut self, space: Space, now: Instant) {
        let congestion = &mut self.congestion;
        self.table.sweep(&mut |entry| {
            if entry.space == space && entry.is_counted() {
                congestion.on_gone(u32::from(entry.size));
            }
            entry.space != space
        });
        self.numbers_mut(space).probes = 0;
        self.pto_count = 0;
        self.touched = now;
    }

    /// A Retry came: everything starts again but the packet numbers, and what was sent is reported
    /// as lost. The time since the first packet is a first guess at the round-trip time (§6.2.3).
    pub(crate) fn on_retry(&mut self, now: Instant, report: &mut Report<'_>) {
        if let Some(first) = self.table.iter().next() {
            self.rtt = Rtt::guessed(rtt::bounded(now.since(first.time)));
        }
        self.table.sweep(&mut |entry| {
            if !entry.is_repeated() {
                report(entry.space, Fate::Lost, &entry.carried);
            }
            false
        });
        self.congestion = NewReno::new();
        self.initial.probes = 0;
        self.pto_count = 0;
        self.touched = now;
    }

    /// The path is another one: the round-trip time and the window start again, and what is still
    /// in flight on the old path counts for neither (RFC 9000 §9.4).
    pub(crate) fn path_changed(&mut self, now: Instant) {
        self.table.iter_mut().for_each(sent::Entry::set_uncounted);
        self.rtt = Rtt::new();
        self.congestion = NewReno::new();
        self.pto_count = 0;
        self.touched = now;
    }

    /// There are Handshake keys: from now on, a probe for the server's sake is a Handshake packet.
    pub(crate) const fn set_handshake_keys(&mut self) {
        self.has_handshake_keys = true;
    }

    /// The handshake is confirmed (RFC 9001 §4.1.2): 1-RTT packets have a probe timeout now.
    pub(crate) const fn set_confirmed(&mut self) {
        self.is_confirmed = true;
        self.is_validated = true;
    }

    /// The peer's max_ack_delay and ack_delay_exponent, which was checked to be 20 at most.
    pub(crate) fn set_peer_ack(&mut self, max_ack_delay: Micros, exponent: u8) {
        self.max_ack_delay = rtt::bounded(max_ack_delay);
        self.exponent = exponent;
    }

    /// The probe timeout of 1-RTT packets without backoff: the unit of other timeouts (RFC 9000
    /// §10.2, RFC 9001 §6.5).
    pub(crate) fn pto(&self) -> Micros {
        let timeout = self.rtt.probe_timeout();
        Micros::new(u64::from(timeout.saturating_add(self.max_ack_delay)))
    }

    fn persistent_duration(&self) -> Micros {
        self.pto().times(PERSISTENT_THRESHOLD)
    }

    /// The largest packet number that was acknowledged in `space`.
    pub(crate) const fn largest_acked(&self, space: Space) -> Option<u64> {
        self.numbers(space).acked_below.checked_sub(1)
    }

    /// Bytes in flight.
    pub(crate) const fn in_flight(&self) -> u32 {
        self.congestion.in_flight()
    }

    /// The congestion window in bytes.
    pub(crate) const fn window(&self) -> u32 {
        self.congestion.window()
    }

    /// The round-trip time's average; 333 ms before anything is known.
    pub(crate) const fn rtt(&self) -> Micros {
        Micros::new(self.rtt.smoothed() as u64)
    }

    /// Packets that were declared lost, wrapping.
    pub(crate) const fn lost(&self) -> u32 {
        self.lost
    }
}

/// Looks for persistent congestion among the packets that are declared lost at once (§7.6): two
/// ack-eliciting ones, far apart, and nothing acknowledged between. It sees one space, as §7.6.2
/// allows. A number that is missing from the table may have been acknowledged, and ends a run.
struct LossRun {
    first_sample: Option<Instant>,
    duration: Micros,
    start: Option<Instant>,
    expected: Option<u64>,
    is_persistent: bool,
}

impl LossRun {
    const fn new(first_sample: Option<Instant>, duration: Micros) -> Self {
        Self {
            first_sample,
            duration,
            start: None,
            expected: None,
            is_persistent: false,
        }
    }

    /// Shows it the next packet of the space, lost or not.
    fn note(&mut self, number: u64, entry: &sent::Entry, is_lost: bool) {
        if self.expected != Some(number) {
            self.start = None;
        }
        self.expected = number.checked_add(1);
        let has_sample = self.first_sample.is_some_and(|first| entry.time > first);
        if !is_lost || !has_sample || !entry.is_counted() || !entry.is_ack_eliciting() {
            return;
        }
        let start = *self.start.get_or_insert(entry.time);
        self.is_persistent |= entry.time.since(start) > self.duration;
    }
}
