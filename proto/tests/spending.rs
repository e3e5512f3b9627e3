//! Budgets on a connection: what a peer allows, what may be charged, and what happens past it.
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

use aire_proto::budget::{Cap, Charge, Dimension};
use aire_proto::connection::{CallError, Stall};
use aire_proto::wire::{Budget, Cancel};
use support::lone::{encoded, frame, invoke};
use support::purse::*;
use support::script::Roomy;
use support::{CANCELLED, Pair, USER, stream};

// ---- snapshots and charges ----

#[test]
fn a_snapshot_replaces_the_one_before_up_or_down_and_counts_from_its_arrival() {
    let mut lone = serving();
    assert_eq!(
        spend(&mut lone, 1_000),
        Ok(()),
        "without a budget it only counts"
    );
    grants(&mut lone, &tokens(10));
    assert_eq!(spend(&mut lone, 11), exhausted(TOKENS));
    assert_eq!(spend(&mut lone, 4), Ok(()));
    grants(&mut lone, &tokens(10));
    assert_eq!(spend(&mut lone, 10), Ok(()), "ten from then, not six");
    assert_eq!(spend(&mut lone, 1), exhausted(TOKENS));
    grants(&mut lone, &tokens(500));
    grants(&mut lone, &tokens(3));
    assert_eq!(spend(&mut lone, 4), exhausted(TOKENS), "the latest counts");
    assert_eq!(spend(&mut lone, 3), Ok(()));
    grants(&mut lone, &money(5, b"EUR"));
    assert_eq!(
        spend(&mut lone, 1 << 40),
        Ok(()),
        "a missing field limits nothing"
    );
    assert_eq!(
        charge(&mut lone, &cost(6, b"EUR")),
        exhausted(Dimension::Cost)
    );
}

#[test]
fn a_charge_is_taken_whole_or_not_at_all() {
    let mut lone = serving();
    let both = Budget {
        tokens: Some(10),
        ..money(5, b"USD")
    };
    grants(&mut lone, &both);
    let mixed = Charge {
        tokens: 10,
        ..cost(6, b"USD")
    };
    assert_eq!(charge(&mut lone, &mixed), exhausted(Dimension::Cost));
    assert_eq!(spend(&mut lone, 10), Ok(()), "no token was taken");
}

#[test]
fn one_operations_budget_is_no_others() {
    let mut lone = serving();
    lone.arrives(stream(8), &invoke(8));
    grants(&mut lone, &tokens(1));
    let now = lone.now();
    let connection = &mut lone.end.connection;
    let much = Charge::tokens(100);
    assert_eq!(connection.charge(op(), &much, now), exhausted(TOKENS));
    assert_eq!(connection.charge(stream(8), &much, now), Ok(()));
    assert_eq!(
        connection.charge(stream(12), &much, now),
        Err(CallError::NoSuchOperation)
    );
}

#[test]
fn ledgers_are_forgotten_with_their_operations() {
    let mut lone = serving();
    grants(&mut lone, &tokens(5));
    spend(&mut lone, 2).unwrap();
    let spent = lone.end.connection.ledger(op()).unwrap().spent();
    assert_eq!(spent.tokens, 2);
    lone.end.connection.finish(op()).unwrap();
    lone.ends(op(), b"");
    assert_eq!(lone.end.connection.live_operations(), 0);
    assert_eq!(lone.end.connection.ledger(op()), None);
    assert_eq!(spend(&mut lone, 1), Err(CallError::NoSuchOperation));
    // As many again as there is room for: none of the old ledgers is in the way.
    for id in (8..200).step_by(4) {
        lone.arrives(stream(id), &invoke(id));
        lone.arrives(stream(id), &encoded(id, &tokens(1)));
        assert!(lone.end.connection.ledger(stream(id)).is_some(), "{id}");
        lone.end.connection.finish(stream(id)).unwrap();
        lone.ends(stream(id), b"");
        assert!(lone.end.connection.ledger(stream(id)).is_none(), "{id}");
    }
}

#[test]
fn a_budget_on_a_finished_operation_changes_nothing() {
    let mut lone = serving();
    grants(&mut lone, &tokens(5));
    lone.end.connection.finish(op()).unwrap();
    lone.settle(lone.now());
    lone.end.told();
    let before = (lone.end.connection.ledger(op()), lone.frames(op()));
    grants(&mut lone, &tokens(0));
    grants(&mut lone, &until(-5));
    at_clocks(&mut lone, 1, 1);
    assert_eq!(
        (lone.end.connection.ledger(op()), lone.frames(op())),
        before
    );
    assert_eq!(lone.end.told(), [""; 0]);
    lone.ends(op(), b"");
    assert_eq!(lone.end.told(), ended("Completed by Local"));

    let mut client = asking();
    client.ends(op(), b"");
    assert_eq!(client.end.told(), ended("Completed by Peer"));
    let now = client.now();
    assert_eq!(
        client.end.connection.send_budget(op(), &tokens(1), now),
        Err(CallError::NoSuchOperation)
    );
}

// ---- out of budget ----

#[test]
fn without_patience_a_responder_ends_with_error_and_an_initiator_with_cancel() {
    for (what, code, reason) in [
        (TOKENS, EXCEEDED, "BudgetExceeded"),
        (Dimension::Cost, EXCEEDED, "BudgetExceeded"),
        (Dimension::Deadline, TOO_LATE, "DeadlineExceeded"),
    ] {
        // A deadline cannot be waited out: patience does not help.
        let patience = Duration::from_secs(u64::from(what == Dimension::Deadline));
        let mut pair = Pair::<Roomy, Roomy>::connected();
        let op = pair.client.invoke("a", "b", b"");
        pair.pump();
        pair.server.told();
        let now = pair.now();
        pair.server
            .connection
            .out_of_budget(op, what, patience, now);
        pair.pump();
        assert_eq!(
            pair.client.told(),
            [
                format!("4 failed {code} "),
                format!("4 ended Failed({code:?}) by Peer")
            ]
        );
        assert_eq!(
            pair.server.told(),
            ended(&format!("Failed({code:?}) by Local"))
        );

        let mut lone = asking();
        let now = lone.now();
        let connection = &mut lone.end.connection;
        connection.out_of_budget(op, what, patience, now);
        lone.settle(now);
        lone.ends(op, b"");
        let outcome = format!("Cancelled({reason}) by Local");
        assert_eq!(lone.end.told(), ended(&outcome));
    }
}

#[test]
fn half_a_frame_is_ended_by_a_reset_with_the_code() {
    let mut lone = serving();
    lone.end.window = Some(4);
    lone.end.send(op(), b"half of this");
    lone.settle(lone.now());
    let now = lone.now();
    lone.end
        .connection
        .out_of_budget(op(), TOKENS, Duration::ZERO, now);
    lone.settle(now);
    assert_eq!(lone.end.pipes[&op()].reset, Some(EXCEEDED.to_wire()));
}

#[test]
fn with_patience_it_waits_and_goes_on_after_a_top_up() {
    let mut lone = serving();
    grants(&mut lone, &tokens(3));
    spend(&mut lone, 3).unwrap();
    assert_eq!(spend(&mut lone, 2), exhausted(TOKENS));
    pause(&mut lone, 1_000);
    assert_eq!(lone.end.connection.stall(op()), Some(Stall::Budget));
    lone.wait(999);
    lone.end.told();
    grants(&mut lone, &tokens(2));
    assert_eq!(lone.end.told(), ["4 budget Some(2)"]);
    assert_eq!(lone.end.connection.stall(op()), None);
    assert_eq!(spend(&mut lone, 2), Ok(()));
    lone.wait(60_000);
    assert_eq!(lone.end.told(), [""; 0], "its patience is no matter now");
    lone.end.send(op(), b"answer");
    lone.end.connection.finish(op()).unwrap();
    lone.ends(op(), b"");
    assert_eq!(lone.end.told(), ended("Completed by Local"));
    assert_eq!(lone.end.connection.counters().budget_stalls, 1);
}

#[test]
fn it_ends_when_patience_is_over_and_not_before() {
    for (mut lone, outcome) in [
        (serving(), "Failed(BudgetExceeded) by Local"),
        (asking(), "Cancelled(BudgetExceeded) by Local"),
    ] {
        pause(&mut lone, 1_000);
        lone.wait(999);
        assert_eq!(lone.end.connection.stall(op()), Some(Stall::Budget));
        assert!(!lone.end.pipes[&op()].fin);
        lone.wait(1);
        assert!(lone.end.pipes[&op()].fin);
        assert_eq!(lone.end.connection.stall(op()), None);
        lone.ends(op(), b"");
        assert_eq!(lone.end.told().last(), ended(outcome).last());
    }
}

#[test]
fn a_top_up_that_leaves_something_exhausted_does_not_end_the_wait() {
    let mut lone = serving();
    pause(&mut lone, 1_000);
    let no_money = Budget {
        tokens: Some(100),
        ..money(0, b"USD")
    };
    grants(&mut lone, &no_money);
    grants(&mut lone, &tokens(0));
    assert_eq!(lone.end.connection.stall(op()), Some(Stall::Budget));
    lone.wait(1_000);
    assert_eq!(lone.errors(op()), [EXCEEDED.to_wire()]);
}

#[test]
fn a_wait_counts_once_however_often_it_is_asked_for() {
    let mut lone = serving();
    pause(&mut lone, 1_000);
    lone.wait(500);
    pause(&mut lone, 1_000);
    assert_eq!(lone.end.connection.counters().budget_stalls, 1);
    lone.wait(500);
    assert_eq!(
        lone.errors(op()),
        [EXCEEDED.to_wire()],
        "the first patience"
    );
}

#[test]
fn endless_patience_never_ends() {
    let mut lone = serving();
    let now = lone.now();
    let patience = Duration::MAX;
    lone.end
        .connection
        .out_of_budget(op(), TOKENS, patience, now);
    lone.wait(1 << 50);
    assert_eq!(lone.end.told(), [""; 0]);
}

#[test]
fn whoever_can_charge_again_waits_no_longer() {
    let mut lone = serving();
    let now = lone.now();
    grants(&mut lone, &tokens(1));
    spend(&mut lone, 1).unwrap();
    assert_eq!(spend(&mut lone, 1), exhausted(TOKENS));
    pause(&mut lone, 1_000);
    spend(&mut lone, 0).unwrap();
    let waits = Some(Stall::Budget);
    assert_eq!(lone.end.connection.stall(op()), waits, "nothing is no sign");
    // The local policy looks at it again, and finds that it can go on.
    let ledger = lone.end.connection.ledger_mut(op()).unwrap();
    ledger.update(&tokens(1)).unwrap();
    let cap = Cap::default();
    lone.end.connection.cap(op(), &cap, now).unwrap();
    assert_eq!(lone.end.connection.stall(op()), None);
    spend(&mut lone, 1).unwrap();
    pause(&mut lone, 1_000);
    // A share came back: the ledger is changed from outside.
    let ledger = lone.end.connection.ledger_mut(op()).unwrap();
    ledger.update(&tokens(2)).unwrap();
    assert_eq!(spend(&mut lone, 2), Ok(()));
    assert_eq!(lone.end.connection.stall(op()), None);
    lone.wait(5_000);
    assert_eq!(lone.errors(op()), []);
}

#[test]
fn nobody_waits_for_a_top_up_that_the_local_policy_makes_useless() {
    let mut lone = serving();
    let now = lone.now();
    let cap = Cap {
        tokens: Some(1),
        ..Cap::default()
    };
    lone.end.connection.cap(op(), &cap, now).unwrap();
    grants(&mut lone, &tokens(100));
    spend(&mut lone, 1).unwrap();
    assert_eq!(spend(&mut lone, 1), exhausted(TOKENS));
    pause(&mut lone, 60_000);
    assert_eq!(lone.errors(op()), [EXCEEDED.to_wire()]);
}

// ---- a wait that something else ends ----

#[test]
fn a_top_up_behind_a_cancel_does_not_stop_the_cancels_clock() {
    let mut lone = serving();
    pause(&mut lone, 60_000);
    let cancel = Cancel {
        reason: USER,
        detail: "",
    };
    lone.arrives(op(), &encoded(OP, &cancel));
    assert_eq!(lone.end.connection.stall(op()), None, "it is to end");
    grants(&mut lone, &tokens(100));
    lone.ends(op(), b"");
    lone.end.told();
    lone.wait(5_000);
    assert_eq!(lone.errors(op()), [CANCELLED.to_wire()]);
    assert_eq!(lone.end.told(), ended("Cancelled(UserCancelled) by Peer"));
}

#[test]
fn an_answer_out_of_a_wait_still_awaits_its_fin_for_no_longer_than_any_other() {
    let mut lone = serving();
    pause(&mut lone, 60_000);
    lone.end.connection.finish(op()).unwrap();
    lone.settle(lone.now());
    assert_eq!(lone.end.connection.stall(op()), None);
    lone.wait(5_000);
    assert_eq!(lone.end.told(), ended("Completed by Local"));
    assert_eq!(lone.end.connection.live_operations(), 0);
}

#[test]
fn an_initiator_whose_answer_is_whole_can_no_longer_run_out() {
    for patience in [0, 1_000] {
        for before in [true, false] {
            let mut lone = asking();
            // What is queued does not leave, so our FIN does not either.
            lone.end.window = Some(lone.end.pipes[&op()].bytes.len());
            let now = lone.now();
            let connection = &mut lone.end.connection;
            connection.send_budget(op(), &tokens(1), now).unwrap();
            lone.settle(now);
            if before {
                pause(&mut lone, 1_000);
            }
            lone.ends(op(), &frame(0x04, OP, b"answer"));
            pause(&mut lone, patience);
            lone.wait(5_000);
            lone.wait(5_000);
            assert_eq!(
                lone.end.told(),
                ["4 stream answer left 0", "4 ended Completed by Peer"],
                "{patience} {before}"
            );
        }
    }
}

#[test]
fn a_reset_ends_the_wait() {
    let mut lone = serving();
    pause(&mut lone, 1_000);
    lone.end.connection.stream_stopped(op(), 7);
    assert_eq!(lone.end.connection.stall(op()), None);
    lone.settle(lone.now());
    lone.wait(1_000);
    assert_eq!(lone.end.told(), ended("Reset(7) by Peer"));
    assert_eq!(lone.errors(op()), []);
}
