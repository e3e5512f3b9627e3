//! Random histories, played to [`Recovery`] and to a plain transcription of RFC 9002's appendix A
//! that never forgets a packet.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::congestion::{INITIAL_WINDOW, MINIMUM_WINDOW};
use super::sent::MAX_SENT;
use super::tests::{Reports, acknowledge, note, packet};
use super::*;
use crate::coding::Reader;

#[derive(Clone, Debug)]
enum Step {
    Send {
        space: Space,
        size: u16,
        ack_eliciting: bool,
        in_flight: bool,
    },
    /// Acknowledges some of the last 64 packets.
    Ack {
        space: Space,
        chosen: u64,
        delay: u64,
    },
    /// An ACK frame of arbitrary bytes.
    Noise {
        space: Space,
        bytes: Vec<u8>,
    },
    Wait {
        micros: u64,
    },
    /// Waits for the deadline, and is late by so much.
    Timeout {
        late: u64,
    },
    Discard {
        space: Space,
    },
    HandshakeKeys,
    Confirmed,
    PathChanged,
}

fn space() -> impl Strategy<Value = Space> {
    prop_oneof![
        1 => Just(Space::Initial),
        1 => Just(Space::Handshake),
        6 => Just(Space::Application),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let send = (
        space(),
        30_u16..1300,
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.9),
    );
    let chosen = prop_oneof![any::<u64>(), Just(1), (0_u64..64).prop_map(|bit| 1 << bit)];
    let delay = prop_oneof![0_u64..10_000, 0_u64..1 << 62];
    let noise = prop::collection::vec(prop_oneof![0_u8..10, any::<u8>()], 4..24);
    prop_oneof![
        40 => send.prop_map(|(space, size, ack_eliciting, padded)| Step::Send {
            space,
            size,
            ack_eliciting,
            in_flight: ack_eliciting || padded,
        }),
        20 => (space(), chosen, delay)
            .prop_map(|(space, chosen, delay)| Step::Ack { space, chosen, delay }),
        4 => (space(), noise).prop_map(|(space, bytes)| Step::Noise { space, bytes }),
        15 => (0_u64..200_000).prop_map(|micros| Step::Wait { micros }),
        12 => (0_u64..5000).prop_map(|late| Step::Timeout { late }),
        1 => space().prop_map(|space| Step::Discard { space }),
        1 => Just(Step::HandshakeKeys),
        1 => Just(Step::Confirmed),
        1 => Just(Step::PathChanged),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    InFlight,
    Acked,
    Lost,
    Forgotten,
}

#[derive(Clone, Debug)]
struct Packet {
    order: usize,
    time: u64,
    size: u64,
    ack_eliciting: bool,
    counted: bool,
    repeated: bool,
    state: State,
}

/// Appendix A in 64-bit microseconds. A congestion window is not part of it.
#[derive(Default)]
struct Model {
    packets: BTreeMap<(Space, u64), Packet>,
    largest_acked: BTreeMap<Space, u64>,
    next: BTreeMap<Space, u64>,
    sample: Option<(u64, u64, u64, u64)>, // latest, smoothed, variation, min
    first_sample: Option<u64>,
    pto_count: u32,
    touched: u64,
    handshake_keys: bool,
    validated: bool,
    confirmed: bool,
    reports: Reports,
    /// Send times of counted packets that the last step lost.
    lost: Vec<(Space, u64, u64)>,
}

impl Model {
    fn in_flight(&self) -> impl Iterator<Item = (&(Space, u64), &Packet)> {
        self.packets
            .iter()
            .filter(|(_, packet)| packet.state == State::InFlight)
    }

    fn bytes_in_flight(&self) -> u64 {
        self.in_flight()
            .filter(|(_, packet)| packet.counted)
            .map(|(_, packet)| packet.size)
            .sum()
    }

    fn probe_timeout(&self) -> u64 {
        let (_, smoothed, variation, _) = self.sample.unwrap_or((0, 333_000, 166_500, 0));
        smoothed + (4 * variation).max(1000)
    }

    fn loss_delay(&self) -> u64 {
        let (latest, smoothed, ..) = self.sample.unwrap_or((0, 333_000, 0, 0));
        let rtt = latest.max(smoothed);
        (rtt + rtt / 8).max(1000)
    }

    fn send(&mut self, space: Space, sent: &Sent) {
        self.next.insert(space, sent.number + 1);
        if !sent.in_flight {
            return;
        }
        let full = self.in_flight().count() == MAX_SENT;
        if full && !sent.ack_eliciting {
            return;
        }
        if full {
            let victim = self
                .packets
                .values_mut()
                .filter(|packet| packet.state == State::InFlight)
                .filter(|packet| packet.repeated || !packet.ack_eliciting)
                .min_by_key(|packet| packet.order)
                .unwrap();
            victim.state = State::Forgotten;
        }
        if sent.ack_eliciting {
            self.touched = sent.time.as_micros();
        }
        let packet = Packet {
            order: self.packets.len(),
            time: sent.time.as_micros(),
            size: u64::from(sent.size),
            ack_eliciting: sent.ack_eliciting,
            counted: true,
            repeated: false,
            state: State::InFlight,
        };
        self.packets.insert((space, sent.number), packet);
    }

    fn ack(&mut self, space: Space, numbers: &[u64], delay: u64, now: u64) {
        let largest = *numbers.iter().max().unwrap();
        let known = self.largest_acked.get(&space).copied();
        let mut news = known.is_none_or(|known| largest > known);
        self.largest_acked
            .insert(space, known.map_or(largest, |known| known.max(largest)));
        self.validated |= space == Space::Handshake;
        let mut ack_eliciting = false;
        let mut newest = None;
        for (&(_, number), packet) in self
            .packets
            .iter_mut()
            .filter(|((its, number), _)| *its == space && numbers.contains(number))
            .filter(|(_, packet)| packet.state == State::InFlight)
        {
            packet.state = State::Acked;
            ack_eliciting |= packet.ack_eliciting;
            newest = Some((number, packet.time, packet.counted));
            self.reports.push((space, Fate::Acked, number));
            news = true;
        }
        if let Some((number, time, true)) = newest
            && number == largest
            && ack_eliciting
        {
            self.sample(space, now - time, delay, now);
        }
        self.detect_lost(space, now);
        if news {
            self.touched = now;
            if self.validated {
                self.pto_count = 0;
            }
        }
    }

    fn sample(&mut self, space: Space, latest: u64, delay: u64, now: u64) {
        // No round trip is taken to be longer than 4.5 minutes.
        let latest = latest.min(1 << 28);
        let Some((_, smoothed, variation, min)) = self.sample else {
            self.sample = Some((latest, latest, latest / 2, latest));
            self.first_sample = Some(now);
            return;
        };
        let mut delay = u128::from(delay) << 3;
        if space == Space::Initial {
            delay = 0;
        }
        if self.confirmed {
            delay = delay.min(25_000);
        }
        let min = min.min(latest);
        let adjusted = if u128::from(latest) >= u128::from(min) + delay {
            latest - delay as u64
        } else {
            latest
        };
        let variation = (3 * variation + smoothed.abs_diff(adjusted)) / 4;
        self.sample = Some((latest, (7 * smoothed + adjusted) / 8, variation, min));
    }

    fn detect_lost(&mut self, space: Space, now: u64) {
        let Some(&largest) = self.largest_acked.get(&space) else {
            return;
        };
        let delay = self.loss_delay();
        for (&(its, number), packet) in &mut self.packets {
            if its != space || packet.state != State::InFlight || number > largest {
                continue;
            }
            if largest >= number + 3 || packet.time + delay <= now {
                packet.state = State::Lost;
                if packet.counted {
                    self.lost.push((space, number, packet.time));
                }
                if !packet.repeated {
                    self.reports.push((space, Fate::Lost, number));
                }
            }
        }
    }

    fn loss_time(&self) -> Option<u64> {
        self.in_flight()
            .filter(|((space, number), _)| {
                self.largest_acked
                    .get(space)
                    .is_some_and(|largest| number < largest)
            })
            .map(|(_, packet)| packet.time + self.loss_delay())
            .min()
    }

    fn probe_time(&self) -> Option<(u64, Space)> {
        let factor = 1 << self.pto_count.min(20);
        let mut times = Vec::new();
        for space in Space::ALL {
            let mut timeout = self.probe_timeout();
            if space == Space::Application {
                timeout += 25_000;
                if !self.confirmed {
                    continue;
                }
            }
            let last = self
                .in_flight()
                .filter(|((its, _), packet)| *its == space && packet.ack_eliciting)
                .map(|(_, packet)| packet.time)
                .max();
            times.extend(last.map(|last| (last + timeout * factor, space)));
        }
        if times.is_empty() && !self.validated {
            let space = if self.handshake_keys {
                Space::Handshake
            } else {
                Space::Initial
            };
            return Some((self.touched + self.probe_timeout() * factor, space));
        }
        times.into_iter().min()
    }

    fn deadline(&self) -> Option<u64> {
        self.loss_time()
            .or_else(|| self.probe_time().map(|(time, _)| time))
    }

    fn timeout(&mut self, now: u64) {
        if let Some(time) = self.loss_time() {
            if time <= now {
                self.touched = now;
                for space in Space::ALL {
                    self.detect_lost(space, now);
                }
            }
            return;
        }
        let Some((_, space)) = self.probe_time().filter(|(time, _)| *time <= now) else {
            return;
        };
        self.pto_count += 1;
        self.touched = now;
        for other in Space::ALL {
            let count = match other {
                _ if other == space => 2,
                Space::Application => 0,
                _ => 1,
            };
            let oldest: Vec<_> = self
                .in_flight()
                .filter(|((its, _), packet)| *its == other && packet.ack_eliciting)
                .filter(|(_, packet)| !packet.repeated)
                .map(|(key, _)| *key)
                .take(count)
                .collect();
            for (its, number) in oldest {
                self.packets.get_mut(&(its, number)).unwrap().repeated = true;
                self.reports.push((its, Fate::Lost, number));
            }
        }
    }

    fn discard(&mut self, space: Space, now: u64) {
        for ((its, _), packet) in &mut self.packets {
            if *its == space && packet.state == State::InFlight {
                packet.state = State::Forgotten;
            }
        }
        self.pto_count = 0;
        self.touched = now;
    }

    fn path_changed(&mut self, now: u64) {
        for packet in self.packets.values_mut() {
            packet.counted = false;
        }
        self.sample = None;
        self.first_sample = None;
        self.pto_count = 0;
        self.touched = now;
    }

    /// Whether what the last step lost proves persistent congestion, by the definition.
    fn is_persistent(&self) -> bool {
        let duration = 3 * (self.probe_timeout() + 25_000);
        let acked_between = |space: Space, first: u64, last: u64| {
            self.packets
                .range((space, first)..(space, last))
                .any(|(_, packet)| packet.state == State::Acked)
        };
        self.lost.iter().any(|&(space, first, start)| {
            self.lost.iter().any(|&(other, last, end)| {
                space == other
                    && end.saturating_sub(start) > duration
                    && self.first_sample.is_some_and(|sample| start > sample)
                    && self.packets[&(space, first)].ack_eliciting
                    && self.packets[&(space, last)].ack_eliciting
                    && !acked_between(space, first, last)
            })
        })
    }
}

/// The system, the model, and what is true of any history.
struct Pair {
    recovery: Recovery,
    model: Model,
    now: u64,
    fates: BTreeMap<(Space, u64), Vec<Fate>>,
}

impl Pair {
    fn new() -> Self {
        Self {
            recovery: Recovery::new(Instant::from_micros(0)),
            model: Model::default(),
            now: 0,
            fates: BTreeMap::new(),
        }
    }

    fn play(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = Instant::from_micros(self.now);
        let window = self.recovery.window();
        let mut reports = Reports::new();
        match *step {
            Step::Send {
                space,
                size,
                ack_eliciting,
                in_flight,
            } => {
                let may_send = self.recovery.may_send(space, usize::from(size));
                if in_flight && !may_send {
                    return Ok(());
                }
                if in_flight && self.recovery.probes_owed(space) == 0 {
                    prop_assert!(self.recovery.in_flight() + u32::from(size) <= window);
                }
                let number = self.model.next.get(&space).copied().unwrap_or(0);
                let mut sent = packet(number, size, ack_eliciting, now);
                sent.in_flight = in_flight;
                self.recovery.on_sent(space, &sent);
                self.model.send(space, &sent);
            }
            Step::Ack {
                space,
                chosen,
                delay,
            } => {
                let next = self.model.next.get(&space).copied().unwrap_or(0);
                let numbers: Vec<_> = (0..64.min(next))
                    .filter(|bit| chosen & 1 << bit != 0)
                    .map(|bit| next - 1 - bit)
                    .collect();
                if numbers.is_empty() {
                    return Ok(());
                }
                let told = acknowledge(&mut self.recovery, space, &numbers, delay, now);
                let (newly, told) = told.unwrap();
                self.model.ack(space, &numbers, delay, self.now);
                let largest = told
                    .iter()
                    .filter(|(_, fate, _)| *fate == Fate::Acked)
                    .map(|(.., number)| *number)
                    .max();
                prop_assert_eq!(newly.map(|newly| newly.largest), largest);
                reports = told;
            }
            Step::Noise { space, ref bytes } => {
                let Ok(ack) = Ack::parse(&mut Reader::new(bytes), false) else {
                    return Ok(());
                };
                let next = self.model.next.get(&space).copied().unwrap_or(0);
                let result = self
                    .recovery
                    .on_ack(space, &ack, now, &mut note(&mut reports));
                prop_assert_eq!(result.is_err(), ack.largest >= next);
                if result.is_ok() {
                    let numbers: Vec<_> = ack.iter().flatten().collect();
                    self.model.ack(space, &numbers, ack.delay, self.now);
                }
            }
            Step::Wait { micros } => self.now += micros,
            Step::Timeout { late } => {
                if let Some(deadline) = self.recovery.next_deadline() {
                    let early = deadline.as_micros().saturating_sub(1);
                    if early > self.now {
                        let early = Instant::from_micros(early);
                        self.recovery.on_timeout(early, &mut note(&mut reports));
                        prop_assert!(reports.is_empty());
                    }
                    self.now = self.now.max(deadline.as_micros()) + late;
                    let now = Instant::from_micros(self.now);
                    let lost = self.recovery.lost();
                    self.recovery.on_timeout(now, &mut note(&mut reports));
                    self.model.timeout(self.now);
                    let probes: u8 = Space::ALL
                        .map(|s| self.recovery.probes_owed(s))
                        .iter()
                        .sum();
                    prop_assert!(probes > 0 || self.recovery.lost() != lost);
                }
            }
            Step::Discard { space } => {
                if space != Space::Application {
                    self.recovery.discard(space, now);
                    self.model.discard(space, self.now);
                }
            }
            Step::HandshakeKeys => {
                self.recovery.set_handshake_keys();
                self.model.handshake_keys = true;
            }
            Step::Confirmed => {
                self.recovery.set_confirmed();
                self.model.confirmed = true;
                self.model.validated = true;
            }
            Step::PathChanged => {
                self.recovery.path_changed(now);
                self.model.path_changed(self.now);
                prop_assert_eq!(self.recovery.window(), INITIAL_WINDOW);
                return self.check(reports, INITIAL_WINDOW);
            }
        }
        self.check(reports, window)
    }

    /// `window` is what the window was before the step.
    fn check(&mut self, mut reports: Reports, window: u32) -> Result<(), TestCaseError> {
        for &(space, fate, number) in &reports {
            let fates = self.fates.entry((space, number)).or_default();
            prop_assert!(!fates.contains(&Fate::Acked) && !fates.contains(&fate));
            fates.push(fate);
        }
        let by_packet = |(space, _, number): &(Space, Fate, u64)| (*space, *number);
        let mut wanted = core::mem::take(&mut self.model.reports);
        reports.sort_by_key(by_packet);
        wanted.sort_by_key(by_packet);
        prop_assert_eq!(reports, wanted);
        prop_assert_eq!(
            u64::from(self.recovery.in_flight()),
            self.model.bytes_in_flight()
        );
        if let Some((latest, _, _, min)) = &mut self.model.sample
            && u64::from(self.recovery.rtt.min()) != *min
        {
            // Only persistent congestion makes the minimum start again.
            prop_assert_eq!(u64::from(self.recovery.rtt.min()), *latest);
            *min = *latest;
            prop_assert!(self.model.is_persistent());
        }
        let deadline = self.recovery.next_deadline().map(Instant::as_micros);
        prop_assert_eq!(deadline, self.model.deadline());
        let is_guarded = self.model.in_flight().any(|((space, _), packet)| {
            packet.ack_eliciting && (self.model.confirmed || *space != Space::Application)
        });
        prop_assert!(deadline.is_some() || !is_guarded);
        for space in Space::ALL {
            // A probe that is owed can be sent, and nothing in flight holds nothing back.
            let free = self.recovery.probes_owed(space) > 0 || self.recovery.in_flight() == 0;
            let has_room = self.model.in_flight().count() < MAX_SENT;
            prop_assert!(!free || !has_room || self.recovery.may_send(space, 1200));
            prop_assert!(
                self.recovery.probes_owed(space) == 0 || self.recovery.may_send(space, 1200)
            );
        }
        let after = self.recovery.window();
        prop_assert!(after >= MINIMUM_WINDOW);
        if after < window {
            prop_assert!(!self.model.lost.is_empty());
            let halved = (window / 2).max(MINIMUM_WINDOW);
            prop_assert!(
                after == halved || (after == MINIMUM_WINDOW && self.model.is_persistent())
            );
        }
        self.model.lost.clear();
        Ok(())
    }
}

proptest! {
    #[test]
    fn any_history_goes_as_the_rfc_s_pseudo_code_says(
        start_confirmed: bool,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut pair = Pair::new();
        if start_confirmed {
            pair.play(&Step::Confirmed)?;
        }
        for step in &steps {
            pair.play(step)?;
        }
    }
}
