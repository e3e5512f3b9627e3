//! Budgets on a connection, in time and by policy: deadlines, caps, currencies, reports, stalls.
#![cfg(feature = "ed25519")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use std::time::Duration;

use aire_proto::budget::{Cap, Charge, ChargeError, Dimension};
use aire_proto::connection::{CallError, Stall};
use aire_proto::wire::{Budget, Currency, FrameType};
use aire_proto::{Config, ErrorCode, Instant, Now, Role, StreamId, UnixMillis};
use support::hello::HelloFrame;
use support::lone::{Lone, PEER_SEED, encoded, invoke};
use support::purse::*;
use support::script::Roomy;
use support::{CANCELLED, Small, UNIX_START, stream};

// ---- deadlines ----

#[test]
fn a_deadline_fires_from_the_timer() {
    for (mut lone, outcome) in [
        (serving(), "Failed(DeadlineExceeded) by Local"),
        (asking(), "Cancelled(DeadlineExceeded) by Local"),
    ] {
        grants(&mut lone, &until(500));
        lone.end.told();
        assert_eq!(
            lone.end.connection.next_deadline(),
            Some(Instant::from_millis(500))
        );
        lone.wait(499);
        assert_eq!(spend(&mut lone, 1), Ok(()));
        lone.wait(1);
        assert!(lone.end.pipes[&op()].fin);
        lone.ends(op(), b"");
        assert_eq!(lone.end.told(), ended(outcome));
    }
}

#[test]
fn a_deadline_is_the_wall_clocks_also_when_that_is_set() {
    // Back by 10 s: nothing has passed yet when the timer fires, and it fires again.
    let mut lone = serving();
    grants(&mut lone, &until(500));
    at_clocks(&mut lone, 500, -9_500);
    assert_eq!(lone.errors(op()), []);
    assert_eq!(
        lone.end.connection.next_deadline(),
        Some(Instant::from_millis(10_500))
    );
    at_clocks(&mut lone, 10_499, 499);
    assert_eq!(lone.errors(op()), []);
    at_clocks(&mut lone, 10_500, 500);
    assert_eq!(lone.errors(op()), [TOO_LATE.to_wire()]);

    // Ahead: no charge passes at once, and at the latest the timer ends it.
    let mut lone = serving();
    grants(&mut lone, &until(500));
    let ahead = Now {
        instant: Instant::from_millis(1),
        unix: UnixMillis(UNIX_START + 500),
    };
    let charged = lone.end.connection.charge(op(), &Charge::tokens(1), ahead);
    assert_eq!(charged, exhausted(Dimension::Deadline));
    at_clocks(&mut lone, 500, 999);
    assert_eq!(lone.errors(op()), [TOO_LATE.to_wire()]);
}

#[test]
fn a_deadline_that_has_passed_as_it_arrives_ends_the_operation_at_once() {
    for deadline in [i64::MIN, -1, 0] {
        let mut lone = serving();
        let passed = Budget {
            deadline: Some(UnixMillis(UNIX_START.saturating_add(deadline))),
            ..Budget::default()
        };
        grants(&mut lone, &passed);
        assert_eq!(spend(&mut lone, 0), exhausted(Dimension::Deadline));
        lone.wait(0);
        assert_eq!(lone.errors(op()), [TOO_LATE.to_wire()], "{deadline}");
    }
}

#[test]
fn a_deadline_can_be_moved_and_taken_away() {
    let mut lone = serving();
    grants(&mut lone, &until(500));
    grants(&mut lone, &until(900));
    lone.wait(899);
    grants(&mut lone, &tokens(1));
    lone.wait(60_000);
    assert_eq!(lone.errors(op()), []);
    lone.assert_not_busy();
    assert_eq!(lone.end.connection.next_deadline(), None);
}

#[test]
fn an_initiator_cancels_at_the_deadline_that_it_set() {
    for half_closed in [false, true] {
        let mut lone = asking();
        let now = lone.now();
        let connection = &mut lone.end.connection;
        connection.send_budget(op(), &until(500), now).unwrap();
        if half_closed {
            connection.finish(op()).unwrap();
        }
        lone.settle(now);
        lone.wait(499);
        assert_eq!(lone.end.pipes[&op()].fin, half_closed);
        assert_eq!(lone.end.pipes[&op()].stop, None);
        lone.wait(1);
        let cancels = lone
            .frames(op())
            .iter()
            .filter(|(header, _)| header.frame_type == FrameType::Cancel)
            .count();
        assert_eq!(cancels, usize::from(!half_closed));
        let stop = half_closed.then_some(CANCELLED.to_wire());
        assert_eq!(lone.end.pipes[&op()].stop, stop);
        lone.ends(op(), b"");
        let told = lone.end.told();
        assert_eq!(told, ended("Cancelled(DeadlineExceeded) by Local"));
    }
}

#[test]
fn an_initiators_later_budget_moves_the_deadline_and_a_report_does_not() {
    let mut lone = asking();
    let now = lone.now();
    let connection = &mut lone.end.connection;
    connection.send_budget(op(), &until(500), now).unwrap();
    connection.send_budget(op(), &tokens(1), now).unwrap();
    let report = Budget {
        tokens_spent: Some(1),
        ..until(1)
    };
    connection.send_budget(op(), &report, now).unwrap();
    lone.wait(60_000);
    assert_eq!(lone.end.told(), [""; 0]);
    // A responder's own word binds nobody here.
    let mut server = serving();
    let now = server.now();
    let connection = &mut server.end.connection;
    connection.send_budget(op(), &until(500), now).unwrap();
    server.wait(60_000);
    assert_eq!(server.errors(op()), []);
}

// ---- local policy ----

#[test]
fn a_cap_lowers_what_a_peer_claims_now_and_later() {
    let mut lone = serving();
    let now = lone.now();
    let cap = Cap {
        tokens: Some(10),
        cost_microunits: Some(20),
        currency: Currency::new(*b"EUR"),
        time: Some(Duration::from_millis(700)),
    };
    lone.end.connection.cap(op(), &cap, now).unwrap();
    let generous = Budget {
        tokens: Some(1_000),
        deadline: Some(UnixMillis(i64::MAX - 1)),
        ..money(1_000, b"eur")
    };
    for _ in 0..3 {
        grants(&mut lone, &generous);
        assert_eq!(spend(&mut lone, 11), exhausted(TOKENS));
        assert_eq!(
            charge(&mut lone, &cost(21, b"EUR")),
            exhausted(Dimension::Cost)
        );
    }
    spend(&mut lone, 10).unwrap();
    charge(&mut lone, &cost(20, b"EUR")).unwrap();
    grants(&mut lone, &generous);
    assert_eq!(spend(&mut lone, 1), exhausted(TOKENS), "in all, not again");
    assert_eq!(
        charge(&mut lone, &cost(1, b"EUR")),
        exhausted(Dimension::Cost)
    );
    lone.wait(700);
    assert_eq!(lone.errors(op()), [TOO_LATE.to_wire()]);
}

#[test]
fn money_in_another_currency_than_the_caps_or_what_was_spent_is_refused() {
    type Before = fn(&mut Lone<Roomy>);
    let capped: Before = |lone| {
        let cap = Cap {
            cost_microunits: Some(5),
            ..Cap::default()
        };
        let now = lone.now();
        lone.end.connection.cap(op(), &cap, now).unwrap();
    };
    let spent: Before = |lone| charge(lone, &cost(1, b"USD")).unwrap();
    for before in [capped, spent] {
        for chunk in [usize::MAX, 1] {
            let mut lone = serving();
            lone.end.chunk = chunk;
            before(&mut lone);
            grants(&mut lone, &money(5, b"usd"));
            assert_eq!(
                lone.end.told(),
                ["4 budget None"],
                "the same in small letters"
            );
            grants(&mut lone, &money(5, b"EUR"));
            assert_eq!(lone.errors(op()), [ErrorCode::Refused.to_wire()]);
            lone.ends(op(), b"");
            let told = lone.end.told();
            assert!(told[0].starts_with("4 budget refused: "), "{told:?}");
            assert_eq!(told[1..], ended("Failed(Refused) by Local"));
        }
        let mut lone = asking();
        before(&mut lone);
        grants(&mut lone, &money(5, b"EUR"));
        lone.ends(op(), b"");
        let told = lone.end.told();
        assert!(told[0].starts_with("4 budget refused: "), "{told:?}");
        assert_eq!(told[1..], ended("Cancelled(Internal) by Local"));
    }
}

#[test]
fn a_cap_in_another_currency_than_what_was_spent_ends_the_operation() {
    let mut lone = serving();
    charge(&mut lone, &cost(1, b"EUR")).unwrap();
    let cap = Cap {
        cost_microunits: Some(5),
        ..Cap::default()
    };
    let now = lone.now();
    let capped = lone.end.connection.cap(op(), &cap, now);
    assert!(matches!(
        capped,
        Err(CallError::Budget(ChargeError::Currency(_)))
    ));
    lone.settle(now);
    assert_eq!(lone.errors(op()), [ErrorCode::Refused.to_wire()]);
}

// ---- reports ----

#[test]
fn a_pause_and_nothing_remaining_are_answered_with_a_report() {
    let mut lone = serving();
    let snapshot = Budget {
        tokens: Some(9),
        ..money(70, b"EUR")
    };
    grants(&mut lone, &snapshot);
    spend(&mut lone, 7).unwrap();
    charge(&mut lone, &cost(30, b"EUR")).unwrap();
    assert_eq!(budgets_said(&lone), []);
    pause(&mut lone, 1_000);
    let report = Budget {
        tokens: Some(2),
        tokens_spent: Some(7),
        cost_microunits_spent: Some(30),
        ..money(40, b"EUR")
    };
    assert_eq!(budgets_said(&lone), [report]);
    for nothing in [tokens(0), money(0, b"EUR")] {
        let said = budgets_said(&lone).len();
        grants(&mut lone, &nothing);
        let reports = budgets_said(&lone);
        assert_eq!(reports.len(), said + 1);
        assert_eq!(reports[said].tokens_spent, Some(7));
        assert_eq!(reports[said].tokens, nothing.tokens);
        assert_eq!(reports[said].cost_microunits, nothing.cost_microunits);
    }
}

#[test]
fn a_pause_reports_also_where_nothing_was_counted_yet() {
    let mut lone = serving();
    pause(&mut lone, 1_000);
    let report = Budget {
        tokens_spent: Some(0),
        ..Budget::default()
    };
    assert_eq!(budgets_said(&lone), [report]);
}

#[test]
fn initiators_report_nothing() {
    let mut lone = asking();
    pause(&mut lone, 1_000);
    grants(&mut lone, &tokens(0));
    assert_eq!(budgets_said(&lone), []);
}

#[test]
fn a_report_informs_and_never_limits() {
    let report = Budget {
        tokens_spent: Some(5),
        tokens: Some(0),
        deadline: Some(UnixMillis(0)),
        ..money(0, b"JPY")
    };
    let only_money = Budget {
        tokens_spent: None,
        cost_microunits_spent: Some(1),
        ..report
    };
    for mut lone in [serving(), asking()] {
        for report in [report, only_money] {
            grants(&mut lone, &report);
            assert!(lone.end.told()[0].starts_with("4 report "));
            lone.wait(1_000);
            assert_eq!(spend(&mut lone, 1_000), Ok(()));
            assert_eq!(charge(&mut lone, &cost(9, b"EUR")), Ok(()));
            assert_eq!(lone.errors(op()), []);
            assert_eq!(budgets_said(&lone), [], "and is answered by nothing");
        }
    }
    // A wait is not over with one either.
    let mut lone = serving();
    pause(&mut lone, 1_000);
    let topped = Budget {
        tokens: Some(100),
        ..report
    };
    grants(&mut lone, &topped);
    assert_eq!(lone.end.connection.stall(op()), Some(Stall::Budget));
}

#[test]
fn a_report_waits_for_room_in_the_outbox_and_says_what_is_true_then() {
    let mut lone = Lone::<Small>::connected(Role::Server, Config::default());
    lone.arrives(op(), &invoke(OP));
    lone.end.window = Some(0);
    let now = lone.now();
    let connection = &mut lone.end.connection;
    while connection.send_budget(op(), &tokens(1), now).is_ok() {}
    lone.settle(now);
    lone.arrives(op(), &encoded(OP, &tokens(0)));
    lone.arrives(op(), &encoded(OP, &tokens(50)));
    let connection = &mut lone.end.connection;
    connection.charge(op(), &Charge::tokens(8), now).unwrap();
    lone.end.window = None;
    lone.end.connection.writable(op());
    lone.settle(now);
    let reports: Vec<Budget> = lone
        .frames(op())
        .iter()
        .map(|(_, payload)| Budget::decode(payload).unwrap())
        .filter(Budget::is_report)
        .collect();
    let report = Budget {
        tokens_spent: Some(8),
        ..tokens(42)
    };
    assert_eq!(reports, [report], "one, and it is not too old");
}

#[test]
fn a_report_does_not_fall_into_the_middle_of_a_frame() {
    let mut lone = serving();
    lone.end.window = Some(4);
    lone.end.send(op(), b"a frame in pieces");
    lone.settle(lone.now());
    pause(&mut lone, 1_000);
    lone.end.window = None;
    lone.end.connection.writable(op());
    lone.settle(lone.now());
    let types: Vec<FrameType> = lone
        .frames(op())
        .iter()
        .map(|(header, _)| header.frame_type)
        .collect();
    assert_eq!(types, [FrameType::Stream, FrameType::Budget]);
}

#[test]
fn a_report_of_more_than_a_frame_can_carry_says_the_most_that_it_can() {
    let mut lone = serving();
    spend(&mut lone, u64::MAX).unwrap();
    grants(&mut lone, &tokens(0));
    let report = Budget {
        tokens_spent: Some((1 << 62) - 1),
        ..tokens(0)
    };
    assert_eq!(budgets_said(&lone), [report]);
    assert_eq!(spend(&mut lone, 1), exhausted(TOKENS));
}

#[test]
fn no_report_follows_the_end() {
    let mut lone = serving();
    lone.end.connection.finish(op()).unwrap();
    grants(&mut lone, &tokens(0));
    assert_eq!(budgets_said(&lone), []);
    let mut lone = serving();
    let now = lone.now();
    lone.end
        .connection
        .out_of_budget(op(), TOKENS, Duration::ZERO, now);
    lone.settle(now);
    let types: Vec<FrameType> = lone
        .frames(op())
        .iter()
        .map(|(header, _)| header.frame_type)
        .collect();
    assert_eq!(types, [FrameType::Error]);
}

#[test]
fn peers_under_minor_3_are_limited_but_told_no_report() {
    let mut lone = Lone::<Roomy>::started(Role::Server, Config::default());
    let hello = HelloFrame::signed(PEER_SEED, [5; 16], UNIX_START);
    let hello = hello.with(|hello| hello.minor = 2);
    lone.arrives(StreamId::CONTROL, &hello.encode());
    lone.arrives(op(), &invoke(OP));
    grants(&mut lone, &tokens(0));
    assert_eq!(spend(&mut lone, 1), exhausted(TOKENS));
    pause(&mut lone, 1_000);
    lone.end.send(op(), b"on");
    lone.settle(lone.now());
    assert_eq!(budgets_said(&lone), []);
    lone.wait(1_000);
    assert_eq!(lone.errors(op()), [EXCEEDED.to_wire()]);
}

// ---- telemetry ----

#[test]
fn a_stall_says_which_layer_it_is() {
    let mut lone = serving();
    assert_eq!(lone.end.connection.stall(op()), None);
    assert_eq!(lone.end.connection.stall(stream(8)), None);
    lone.end.window = Some(4);
    lone.end.send(op(), b"more than four");
    lone.settle(lone.now());
    assert_eq!(lone.end.connection.stall(op()), Some(Stall::Transport));
    let counters = lone.end.connection.counters();
    assert_eq!((counters.transport_stalls, counters.budget_stalls), (1, 0));
    pause(&mut lone, 1_000);
    assert_eq!(lone.end.connection.stall(op()), Some(Stall::Budget));
    lone.end.window = None;
    lone.end.connection.writable(op());
    lone.settle(lone.now());
    assert_eq!(lone.end.connection.stall(op()), Some(Stall::Budget));
    grants(&mut lone, &tokens(1));
    assert_eq!(lone.end.connection.stall(op()), None);
    let counters = lone.end.connection.counters();
    assert_eq!((counters.transport_stalls, counters.budget_stalls), (1, 1));
}
