//! A bug put in on purpose is found: so the invariants see what they are there for.

use aire_sim::{Fault, Invariant, play};

/// How many seeds a bug may survive.
const MOST_SEEDS: u64 = 400;

/// Plays until an invariant fails, and checks that it is one of those that `fault` breaks.
fn is_found(fault: Fault, breaks: &[Invariant]) {
    let failure =
        (1..=MOST_SEEDS).find_map(|seed| Some((seed, play(seed, Some(fault), false).failure?)));
    let Some((seed, failure)) = failure else {
        panic!("{fault:?} survived {MOST_SEEDS} seeds");
    };
    println!("{fault:?} is found by seed {seed}: {failure}");
    assert!(breaks.contains(&failure.invariant), "{fault:?}: {failure}");
}

#[test]
fn a_replay_that_begins_one_frame_too_early_is_found() {
    is_found(Fault::ReplayFromLastRecv, &[Invariant::OrderKept]);
}

#[test]
fn a_replay_that_begins_one_frame_too_late_is_found() {
    let breaks = [
        Invariant::OrderKept,
        Invariant::NoStreamLost,
        Invariant::ComesToRest,
    ];
    is_found(Fault::SkipAtResume, &breaks);
}

#[test]
fn a_spent_token_that_is_taken_is_found() {
    is_found(Fault::TakeSpentTokens, &[Invariant::TokensWorkOnce]);
}

#[test]
fn a_foreign_token_that_is_taken_is_found() {
    is_found(Fault::TakeForeignTokens, &[Invariant::TokensWorkOnce]);
}

#[test]
fn a_share_that_is_not_set_aside_is_found() {
    is_found(Fault::ShareNotCommitted, &[Invariant::WithinBudget]);
}

#[test]
fn a_cancel_that_is_not_passed_on_is_found() {
    is_found(Fault::CancelNotPassedOn, &[Invariant::CancelReachesLeaves]);
}

#[test]
fn work_past_its_deadline_is_found() {
    is_found(Fault::IgnoreDeadline, &[Invariant::WithinDeadline]);
}

#[test]
fn work_that_nobody_pays_for_is_found() {
    is_found(Fault::WorkUnpaid, &[Invariant::WithinBudget]);
}

#[test]
fn a_frame_that_is_never_sent_is_found() {
    let breaks = [Invariant::OrderKept, Invariant::NoStreamLost];
    is_found(Fault::LoseFrame, &breaks);
}

#[test]
fn retention_without_end_is_found() {
    is_found(Fault::RetainForever, &[Invariant::TablesBounded]);
}

#[test]
fn an_answer_whose_stream_never_ends_is_found() {
    is_found(Fault::ForgetFin, &[Invariant::ComesToRest]);
}

#[test]
fn timers_that_nobody_looks_at_are_found() {
    let breaks = [
        Invariant::WithinDeadline,
        Invariant::ComesToRest,
        Invariant::CancelReachesLeaves,
    ];
    is_found(Fault::IgnoreTimers, &breaks);
}
