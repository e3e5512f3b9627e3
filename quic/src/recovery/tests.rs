#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::vec::Vec;

use super::congestion::{INITIAL_WINDOW, MAX_DATAGRAM, MINIMUM_WINDOW};
use super::sent::MAX_SENT;
use super::*;
use crate::carried::{Kind, Piece};
use crate::coding::{Reader, Writer};
use crate::ranges::{Range, RangeSet};
use Space::{Application, Handshake, Initial};

pub(super) fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

/// What was reported, by the packet's number.
pub(super) type Reports = Vec<(Space, Fate, u64)>;

/// A report that is remembered; packets carry their number as a stream's id.
pub(super) fn note(reports: &mut Reports) -> impl FnMut(Space, Fate, &Carried) + '_ {
    |space, fate, carried| {
        let number = carried.pieces().next().unwrap().stream;
        reports.push((space, fate, u64::from(number)));
    }
}

pub(super) fn packet(number: u64, size: u16, ack_eliciting: bool, now: Instant) -> Sent {
    let mut carried = Carried::default();
    carried.push(Piece {
        kind: Kind::Stream,
        stream: number as u32,
        ..Piece::default()
    });
    Sent {
        number,
        time: now,
        size,
        ack_eliciting,
        in_flight: true,
        carried,
    }
}

pub(super) fn acknowledge(
    recovery: &mut Recovery,
    space: Space,
    numbers: &[u64],
    delay: u64,
    now: Instant,
) -> Result<(Option<NewlyAcked>, Reports), Fault> {
    let mut set = RangeSet::<64>::new();
    for &number in numbers {
        set.insert(Range::new(number, number + 1)).unwrap();
    }
    let mut out = [0; 400];
    let mut writer = Writer::new(&mut out);
    ack::encode(&mut writer, set.as_slice(), delay).unwrap();
    let frame = Ack::parse(&mut Reader::new(&writer.written()[1..]), false).unwrap();
    let mut reports = Reports::new();
    let newly = recovery.on_ack(space, &frame, now, &mut note(&mut reports))?;
    Ok((newly, reports))
}

/// A connection's recovery with packets numbered by itself and a clock in whole milliseconds.
struct Bench {
    recovery: Recovery,
    next: [u64; 3],
}

impl Bench {
    fn new() -> Self {
        Self {
            recovery: Recovery::new(at(0)),
            next: [0; 3],
        }
    }

    /// After the handshake, with one sample of 100 ms, at 100 ms.
    fn confirmed() -> Self {
        let mut bench = Self::new();
        bench.recovery.set_confirmed();
        bench.send(Application, 0);
        bench.ack(Application, &[0], 100);
        bench
    }

    fn send_as(&mut self, space: Space, millis: u64, ack_eliciting: bool) -> u64 {
        let number = self.next[space as usize];
        self.next[space as usize] += 1;
        assert!(self.recovery.may_send(space, 1200));
        let sent = packet(number, 1200, ack_eliciting, at(millis));
        self.recovery.on_sent(space, &sent);
        number
    }

    fn send(&mut self, space: Space, millis: u64) -> u64 {
        self.send_as(space, millis, true)
    }

    fn ack(&mut self, space: Space, numbers: &[u64], millis: u64) -> Reports {
        self.delayed_ack(space, numbers, 0, millis)
    }

    /// `delay` is in ms and goes out with the default exponent.
    fn delayed_ack(&mut self, space: Space, numbers: &[u64], delay: u64, millis: u64) -> Reports {
        acknowledge(&mut self.recovery, space, numbers, delay * 125, at(millis))
            .unwrap()
            .1
    }

    fn timeout(&mut self, millis: u64) -> Reports {
        let mut reports = Reports::new();
        self.recovery
            .on_timeout(at(millis), &mut note(&mut reports));
        reports
    }

    fn deadline(&self) -> Option<u64> {
        self.recovery
            .next_deadline()
            .map(|at| at.as_micros() / 1000)
    }

    fn probes(&self) -> [u8; 3] {
        Space::ALL.map(|space| self.recovery.probes_owed(space))
    }
}

const fn acked(space: Space, number: u64) -> (Space, Fate, u64) {
    (space, Fate::Acked, number)
}

const fn lost(space: Space, number: u64) -> (Space, Fate, u64) {
    (space, Fate::Lost, number)
}

#[test]
fn a_packet_is_lost_when_the_third_behind_it_is_acknowledged() {
    let mut bench = Bench::confirmed();
    for _ in 0..4 {
        bench.send(Application, 100);
    }
    assert_eq!(bench.ack(Application, &[3], 200), [acked(Application, 3)]);
    assert_eq!(
        bench.ack(Application, &[4], 200),
        [acked(Application, 4), lost(Application, 1)]
    );
    assert_eq!(bench.recovery.in_flight(), 1200);
    assert_eq!(bench.recovery.window(), INITIAL_WINDOW / 2);
    assert_eq!(bench.recovery.lost(), 1);
}

#[test]
fn a_packet_that_was_overtaken_is_lost_after_nine_eighths_of_a_round_trip() {
    let mut bench = Bench::confirmed();
    bench.send(Application, 100);
    bench.send(Application, 120);
    let reports = bench.ack(Application, &[2], 220);
    assert_eq!(reports, [acked(Application, 2), lost(Application, 1)]);
    // An acknowledgement that comes earlier leaves it some time.
    let mut bench = Bench::confirmed();
    bench.send(Application, 100);
    bench.send(Application, 101);
    bench.ack(Application, &[2], 201);
    assert_eq!(
        bench.recovery.next_deadline(),
        Some(Instant::from_micros(212_500))
    );
    assert_eq!(bench.timeout(212), []);
    assert_eq!(bench.timeout(213), [lost(Application, 1)]);
    assert_eq!(bench.deadline(), None);
    assert_eq!(bench.probes(), [0; 3]);
}

#[test]
fn the_first_probe_timeout_is_999_ms_and_each_further_one_twice_as_long() {
    let mut bench = Bench::new();
    bench.send(Initial, 0);
    assert_eq!(bench.deadline(), Some(999));
    assert_eq!(bench.timeout(998), []);
    assert_eq!(bench.timeout(999), [lost(Initial, 0)]);
    assert_eq!(bench.probes(), [1, 0, 0]);
    bench.send(Initial, 999);
    assert_eq!(bench.probes(), [0; 3]);
    assert_eq!(bench.deadline(), Some(999 + 2 * 999));
    assert_eq!(bench.timeout(2997), [lost(Initial, 1)]);
    bench.send(Initial, 2997);
    assert_eq!(bench.deadline(), Some(2997 + 4 * 999));
    // A probe timeout says nothing about congestion, and takes nothing out of flight.
    assert_eq!(bench.recovery.in_flight(), 3600);
    assert_eq!(bench.recovery.window(), INITIAL_WINDOW);
}

#[test]
fn a_packet_that_was_repeated_may_still_be_acknowledged_and_is_not_lost_twice() {
    let mut bench = Bench::confirmed();
    for _ in 0..3 {
        bench.send(Application, 100);
    }
    let deadline = bench.deadline().unwrap();
    // 100 ms + 4 * 50 ms + 25 ms.
    assert_eq!(deadline, 100 + 325);
    assert_eq!(
        bench.timeout(deadline),
        [lost(Application, 1), lost(Application, 2)]
    );
    assert_eq!(bench.probes(), [0, 0, 2]);
    bench.send(Application, 425);
    bench.send(Application, 425);
    assert_eq!(
        bench.ack(Application, &[2, 5], 430),
        [
            acked(Application, 2),
            acked(Application, 5),
            lost(Application, 3)
        ],
    );
    assert_eq!(bench.recovery.lost(), 2);
    assert_eq!(bench.recovery.in_flight(), 1200);
}

#[test]
fn an_acknowledgement_ends_the_backoff_once_the_server_has_validated_the_address() {
    let mut bench = Bench::new();
    bench.send(Initial, 0);
    bench.timeout(999);
    bench.send(Initial, 999);
    bench.ack(Initial, &[1], 1099);
    // 100 ms + 4 * 50 ms, still doubled; nothing is in flight, so it runs from now.
    assert_eq!(bench.deadline(), Some(1099 + 600));
    bench.recovery.set_handshake_keys();
    bench.send(Handshake, 1100);
    bench.ack(Handshake, &[0], 1200);
    bench.send(Handshake, 1200);
    // 100 ms + 4 * 37.5 ms.
    assert_eq!(bench.deadline(), Some(1200 + 250));
}

#[test]
fn a_client_probes_until_the_server_may_send_freely() {
    let mut bench = Bench::new();
    bench.send(Initial, 0);
    bench.ack(Initial, &[0], 100);
    assert_eq!(bench.deadline(), Some(400));
    assert_eq!(bench.timeout(400), []);
    assert_eq!(bench.probes(), [1, 0, 0]);
    bench.send(Initial, 400);
    bench.ack(Initial, &[1], 500);
    bench.recovery.set_handshake_keys();
    bench.recovery.discard(Initial, at(500));
    assert_eq!(bench.timeout(bench.deadline().unwrap()), []);
    assert_eq!(bench.probes(), [0, 1, 0]);
    bench.send(Handshake, 800);
    bench.ack(Handshake, &[0], 900);
    assert_eq!(bench.deadline(), None);
}

#[test]
fn early_data_in_flight_does_not_silence_the_client_s_probe() {
    let mut bench = Bench::new();
    bench.recovery.set_handshake_keys();
    bench.send(Application, 10);
    assert_eq!(bench.deadline(), Some(10 + 999));
    assert_eq!(bench.timeout(1009), []);
    assert_eq!(bench.probes(), [0, 1, 0]);
}

#[test]
fn application_data_is_probed_once_the_handshake_is_confirmed() {
    let mut bench = Bench::new();
    bench.recovery.set_peer_ack(Micros::from_millis(40), 3);
    bench.recovery.set_handshake_keys();
    bench.send(Handshake, 0);
    bench.send(Application, 0);
    bench.ack(Handshake, &[0], 100);
    assert_eq!(bench.deadline(), None);
    bench.recovery.set_confirmed();
    // 100 ms + 4 * 50 ms + 40 ms.
    assert_eq!(bench.deadline(), Some(340));
    assert_eq!(bench.timeout(340), [lost(Application, 0)]);
    assert_eq!(bench.deadline(), Some(680));
}

#[test]
fn both_spaces_of_the_handshake_are_probed_in_one_go() {
    let mut bench = Bench::new();
    bench.recovery.set_handshake_keys();
    bench.send(Initial, 0);
    bench.send(Handshake, 10);
    bench.send(Application, 10);
    assert_eq!(bench.timeout(999), [lost(Initial, 0), lost(Handshake, 0)]);
    assert_eq!(bench.probes(), [1, 1, 0]);
}

#[test]
fn discarded_keys_take_their_packets_and_the_backoff_along() {
    let mut bench = Bench::new();
    bench.send(Initial, 0);
    bench.timeout(999);
    bench.recovery.set_handshake_keys();
    bench.send(Handshake, 1000);
    bench.recovery.discard(Initial, at(1000));
    assert_eq!(bench.probes(), [0; 3]);
    assert_eq!(bench.recovery.in_flight(), 1200);
    assert_eq!(bench.deadline(), Some(1000 + 999));
}

#[test]
fn the_peer_s_delay_counts_by_space_and_is_capped_once_the_handshake_is_confirmed() {
    // A second sample of 180 ms of which 60 ms are said to be delay.
    let rtt = |space, is_confirmed| {
        let mut bench = Bench::new();
        bench.send(space, 0);
        bench.ack(space, &[0], 100);
        if is_confirmed {
            bench.recovery.set_confirmed();
        }
        bench.send(space, 100);
        bench.delayed_ack(space, &[1], 60, 280);
        bench.recovery.rtt().get()
    };
    assert_eq!(rtt(Initial, false), (7 * 100_000 + 180_000) / 8);
    assert_eq!(rtt(Handshake, false), (7 * 100_000 + 120_000) / 8);
    assert_eq!(rtt(Application, false), (7 * 100_000 + 120_000) / 8);
    assert_eq!(rtt(Application, true), (7 * 100_000 + 155_000) / 8);
}

#[test]
fn the_delay_is_scaled_by_the_peer_s_exponent_and_never_overflows() {
    let mut bench = Bench::new();
    bench.recovery.set_peer_ack(Micros::from_millis(25), 10);
    bench.send(Application, 0);
    bench.ack(Application, &[0], 100);
    bench.send(Application, 100);
    acknowledge(&mut bench.recovery, Application, &[1], 40, at(280)).unwrap();
    assert_eq!(
        bench.recovery.rtt().get(),
        (7 * 100_000 + 180_000 - 40_960) / 8
    );
    bench.recovery.set_peer_ack(Micros::new(u64::MAX), 255);
    bench.send(Application, 280);
    acknowledge(
        &mut bench.recovery,
        Application,
        &[2],
        (1 << 62) - 1,
        at(380),
    )
    .unwrap();
}

#[test]
fn a_sample_needs_the_largest_packet_new_and_something_ack_eliciting() {
    let mut bench = Bench::new();
    bench.send(Application, 0);
    bench.send(Application, 0);
    bench.ack(Application, &[1], 100);
    assert_eq!(bench.recovery.rtt(), Micros::from_millis(100));
    // The largest is old news.
    assert_eq!(
        bench.ack(Application, &[0, 1], 110),
        [acked(Application, 0)]
    );
    bench.send(Application, 900);
    bench.send(Application, 900);
    bench.ack(Application, &[3], 1000);
    bench.ack(Application, &[2, 3], 1001);
    assert_eq!(bench.recovery.rtt(), Micros::from_millis(100));
    // Padding alone is acknowledged whenever it suits the peer.
    bench.send_as(Application, 1001, false);
    assert_eq!(bench.ack(Application, &[4], 2000), [acked(Application, 4)]);
    assert_eq!(bench.recovery.rtt(), Micros::from_millis(100));
}

#[test]
fn acknowledging_what_was_never_sent_is_a_violation() {
    let mut bench = Bench::new();
    bench.send(Initial, 0);
    let error = acknowledge(&mut bench.recovery, Initial, &[0, 1], 0, at(1)).unwrap_err();
    assert_eq!(error.code, Code::PROTOCOL_VIOLATION);
    let error = acknowledge(&mut bench.recovery, Handshake, &[0], 0, at(1)).unwrap_err();
    assert_eq!(error.code, Code::PROTOCOL_VIOLATION);
    assert_eq!(bench.recovery.in_flight(), 1200);
}

#[test]
fn a_packet_not_in_flight_is_only_counted() {
    let mut bench = Bench::confirmed();
    let mut alone = packet(1, 40, false, at(100));
    alone.in_flight = false;
    bench.recovery.on_sent(Application, &alone);
    assert_eq!((bench.recovery.in_flight(), bench.deadline()), (0, None));
    assert_eq!(bench.ack(Application, &[1], 200), []);
    assert_eq!(bench.recovery.largest_acked(Application), Some(1));
}

#[test]
fn the_newest_of_what_an_ack_acknowledges_is_told() {
    let mut bench = Bench::confirmed();
    for _ in 0..3 {
        bench.send(Application, 100);
    }
    let newly = |bench: &mut Bench, numbers: &[u64]| {
        acknowledge(&mut bench.recovery, Application, numbers, 0, at(200))
            .unwrap()
            .0
            .map(|newly| newly.largest)
    };
    assert_eq!(newly(&mut bench, &[0, 3]), Some(3));
    assert_eq!(newly(&mut bench, &[1, 3]), Some(1));
    assert_eq!(newly(&mut bench, &[1, 3]), None);
}

/// The example of RFC 9002 §7.6.3, with the packets' numbers as there: probe timeouts of 2 s.
fn persistent_congestion(acknowledged: &[u64]) -> (Reports, u32) {
    let mut bench = Bench::new();
    bench.recovery.set_confirmed();
    // Three samples of 200 ms leave a variation of 56.25 ms: 200 + 225 + 1575 = 2000.
    bench.recovery.set_peer_ack(Micros::from_millis(1575), 3);
    bench.send(Application, 0);
    bench.ack(Application, &[0], 200);
    bench.send(Application, 900);
    bench.send(Application, 1000);
    bench.ack(Application, &[1], 1100);
    for second in [2, 3, 4, 5, 6, 8, 12] {
        bench.send(Application, second * 1000);
    }
    let reports = bench.ack(Application, acknowledged, 12_200);
    assert_eq!(bench.recovery.pto(), Micros::from_millis(2000));
    (reports, bench.recovery.window())
}

#[test]
fn losing_all_for_three_probe_timeouts_is_persistent_congestion() {
    let (reports, window) = persistent_congestion(&[9]);
    let wanted: Vec<_> = core::iter::once(acked(Application, 9))
        .chain((2..9).map(|number| lost(Application, number)))
        .collect();
    assert_eq!(reports, wanted);
    assert_eq!(window, MINIMUM_WINDOW);
}

#[test]
fn after_persistent_congestion_the_shortest_round_trip_is_measured_anew() {
    let mut bench = Bench::confirmed();
    for second in [1, 2, 3, 4] {
        bench.send(Application, second * 1000);
    }
    assert_eq!(bench.recovery.rtt.min(), 100_000);
    bench.ack(Application, &[4], 4150);
    assert_eq!(bench.recovery.window(), MINIMUM_WINDOW);
    assert_eq!(bench.recovery.rtt.min(), 150_000);
}

#[test]
fn an_acknowledged_packet_between_refutes_persistent_congestion() {
    let (reports, window) = persistent_congestion(&[5, 9]);
    assert_eq!(reports.len(), 8);
    assert_eq!(window, INITIAL_WINDOW / 2);
}

#[test]
fn without_an_earlier_sample_there_is_no_persistent_congestion() {
    let mut bench = Bench::new();
    for number in 0..6 {
        bench.send(Application, number * 10_000);
    }
    bench.ack(Application, &[5], 50_001);
    assert_eq!(bench.recovery.lost(), 5);
    assert_eq!(bench.recovery.window(), INITIAL_WINDOW / 2);
}

#[test]
fn the_window_holds_back_everything_but_probes() {
    let mut bench = Bench::confirmed();
    for _ in 0..10 {
        bench.send(Application, 100);
    }
    assert!(!bench.recovery.may_send(Application, 1));
    bench.timeout(bench.deadline().unwrap());
    assert_eq!(bench.probes(), [0, 0, 2]);
    assert!(!bench.recovery.may_send(Handshake, 1));
    bench.send(Application, 500);
    bench.send(Application, 500);
    assert!(!bench.recovery.may_send(Application, 1));
    assert_eq!(bench.recovery.in_flight(), 12 * MAX_DATAGRAM);
}

#[test]
fn a_full_table_holds_back_everything_but_probes() {
    let mut bench = Bench::confirmed();
    for number in 1..=MAX_SENT as u64 {
        assert!(bench.recovery.may_send(Application, 100));
        let sent = packet(number, 100, true, at(100));
        bench.recovery.on_sent(Application, &sent);
    }
    bench.next[Application as usize] = 33;
    assert!(!bench.recovery.may_send(Application, 100));
    bench.timeout(bench.deadline().unwrap());
    bench.send(Application, 500);
    bench.send(Application, 500);
    // The two that were repeated have made room.
    assert_eq!(bench.recovery.in_flight(), 30 * 100 + 2400);
    assert!(!bench.recovery.may_send(Application, 100));
    assert!(bench.deadline().is_some());
    let reports = bench.ack(Application, &[1, 34], 600);
    assert_eq!(reports[0], acked(Application, 34));
}

#[test]
fn another_path_starts_again_and_owes_nothing_to_the_old_one() {
    let mut bench = Bench::confirmed();
    for _ in 0..5 {
        bench.send(Application, 100);
    }
    bench.ack(Application, &[4], 200);
    assert!(bench.recovery.window() < INITIAL_WINDOW);
    bench.recovery.path_changed(at(300));
    let fresh = |bench: &Bench| {
        assert_eq!(bench.recovery.rtt(), Micros::from_millis(333));
        assert_eq!(bench.recovery.window(), INITIAL_WINDOW);
    };
    assert_eq!(bench.recovery.in_flight(), 0);
    fresh(&bench);
    // Neither a loss nor an acknowledgement of the old path's packets changes the new path.
    assert_eq!(
        bench.timeout(100 + 375),
        [lost(Application, 2), lost(Application, 3)]
    );
    bench.ack(Application, &[5], 1000);
    fresh(&bench);
    bench.send(Application, 1000);
    assert_eq!(bench.recovery.in_flight(), 1200);
    bench.ack(Application, &[6], 1050);
    assert_eq!(bench.recovery.rtt(), Micros::from_millis(50));
}

#[test]
fn a_retry_gives_the_first_flight_back_and_a_guess_at_the_round_trip() {
    let mut bench = Bench::new();
    bench.send(Initial, 0);
    let mut reports = Reports::new();
    bench.recovery.on_retry(at(80), &mut note(&mut reports));
    assert_eq!(reports, [lost(Initial, 0)]);
    assert_eq!(
        (bench.recovery.in_flight(), bench.recovery.rtt()),
        (0, Micros::from_millis(80))
    );
    bench.send(Initial, 80);
    assert_eq!(bench.deadline(), Some(80 + 240));
    // A guess is not a sample: the first one replaces it.
    bench.ack(Initial, &[1], 120);
    assert_eq!(bench.recovery.rtt(), Micros::from_millis(40));
}

#[test]
fn a_short_silence_after_probes_were_answered_leaves_nothing_owed() {
    let mut bench = Bench::confirmed();
    bench.send(Application, 100);
    bench.timeout(bench.deadline().unwrap());
    assert_eq!(bench.probes(), [0, 0, 1]);
    assert_eq!(bench.ack(Application, &[1], 430), [acked(Application, 1)]);
    assert_eq!((bench.probes(), bench.deadline()), ([0; 3], None));
}
