//! Budgets (`BUD`).

use std::time::Duration;

use aire_proto::ErrorCode::{BudgetExceeded, DeadlineExceeded, ProtocolViolation};
use aire_proto::wire::{Budget, Currency};
use aire_proto::{CancelReason, ErrorCode, UnixMillis};

use super::wire::is_malformed;
use crate::commands::probe::peer::Answer;
use crate::commands::probe::trial::{Trial, good};
use crate::commands::probe::verdict::{
    Check, GOOD, Stop, Verdict, check, ensure, failed, hostile, skipped,
};
use crate::commands::probe::wire::{BUDGET, STREAM, encode, frame, number, prefixed, unix_now};

pub(super) const CHECKS: &[Check] = &[
    hostile!(
        budget_empty,
        Must,
        3,
        ["BUD-1"],
        "A BUDGET without an entry is MALFORMED_FRAME."
    ),
    hostile!(
        budget_duplicate,
        Must,
        3,
        ["BUD-1"],
        "A BUDGET with one field twice is MALFORMED_FRAME."
    ),
    check!(
        budget_unknown_field,
        Must,
        3,
        ["BUD-1"],
        "A BUDGET's unknown field is skipped, and the others count."
    ),
    hostile!(
        budget_wrong_lengths,
        Must,
        3,
        ["BUD-2"],
        "A BUDGET's value of the wrong length for its field is MALFORMED_FRAME."
    ),
    hostile!(
        budget_cut,
        Must,
        3,
        ["BUD-1"],
        "A BUDGET that is cut is MALFORMED_FRAME."
    ),
    hostile!(
        budget_op_id_0,
        Must,
        3,
        ["BUD-4", "GAP-15"],
        "A BUDGET with OpID 0 on an operation is PROTOCOL_VIOLATION."
    ),
    hostile!(
        budget_on_control,
        Must,
        3,
        ["BUD-4", "GAP-15"],
        "A BUDGET on the control stream is PROTOCOL_VIOLATION."
    ),
    check!(
        budget_stops,
        Must,
        3,
        ["BUD-6", "BUD-7"],
        "An operation stops where its tokens end, with BUDGET_EXCEEDED."
    ),
    check!(
        budget_top_up,
        Must,
        3,
        ["BUD-8"],
        "More tokens before the end let an exhausted operation go on."
    ),
    check!(
        budget_raised,
        Must,
        3,
        ["BUD-5"],
        "A later BUDGET replaces the one before: upwards."
    ),
    check!(
        budget_lowered,
        Must,
        3,
        ["BUD-5"],
        "A later BUDGET replaces the one before: down to nothing."
    ),
    check!(
        budget_lifted,
        Must,
        3,
        ["BUD-3", "BUD-5"],
        "What a later BUDGET does not name is without limit."
    ),
    check!(
        budget_of_plenty,
        Must,
        3,
        ["BUD-2"],
        "The greatest numbers that a BUDGET can hold stop nothing."
    ),
    check!(
        deadline_stops,
        Must,
        3,
        ["BUD-6", "BUD-7"],
        "An operation stops at its deadline, with DEADLINE_EXCEEDED."
    ),
    check!(
        deadline_past,
        Must,
        3,
        ["BUD-7"],
        "A deadline that is past stops an operation at once, with DEADLINE_EXCEEDED."
    ),
];

/// More than any check waits for.
const MANY: u32 = 2_000;

/// A BUDGET of operation 4 with these entries, as they are.
fn raw(entries: &[(u8, &[u8])]) -> Vec<u8> {
    let mut payload = number(entries.len() as u64);
    for (field, value) in entries {
        payload.push(*field);
        payload.extend(prefixed(value));
    }
    frame(BUDGET, 4, &payload)
}

fn tokens(tokens: u64) -> Budget {
    Budget {
        tokens: Some(tokens),
        ..Budget::default()
    }
}

fn deadline(at: i64) -> Vec<u8> {
    let budget = Budget {
        deadline: Some(UnixMillis(at)),
        ..Budget::default()
    };
    encode(4, &budget)
}

/// The BUDGETs on an operation that runs are malformed, each for itself.
fn malformed(trial: &Trial<'_>, budgets: &[Vec<u8>]) -> Verdict {
    for budget in budgets {
        let mut peer = trial.streaming(MANY, 20)?;
        peer.send(4, budget, false)?;
        is_malformed(&mut peer, 4)?;
    }
    GOOD
}

fn budget_empty(trial: &Trial<'_>) -> Verdict {
    malformed(trial, &[raw(&[])])
}

fn budget_duplicate(trial: &Trial<'_>) -> Verdict {
    let tokens = raw(&[(1, &[50]), (1, &[50])]);
    let unknown = raw(&[(0x7e, b"x"), (1, &[50]), (0x7e, b"y")]);
    malformed(trial, &[tokens, unknown])
}

fn budget_wrong_lengths(trial: &Trial<'_>) -> Verdict {
    malformed(
        trial,
        &[
            // A number of nine bytes, one that is cut, and none.
            raw(&[(1, &[0, 0, 0, 0, 0, 0, 0, 0, 0])]),
            raw(&[(2, &[0x40])]),
            raw(&[(1, &[])]),
            raw(&[(2, &[1]), (3, b"EU")]),
            raw(&[(4, &[0; 4])]),
        ],
    )
}

fn budget_cut(trial: &Trial<'_>) -> Verdict {
    let claims_two = [number(2), vec![1, 1, 50]].concat();
    let claims_nine = [number(1), vec![1, 9, 50]].concat();
    let payloads = [claims_two, claims_nine, Vec::new()];
    malformed(trial, &payloads.map(|payload| frame(BUDGET, 4, &payload)))
}

fn budget_unknown_field(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let budget = raw(&[(0x7e, b"of a later version"), (1, &[2])]);
    trial.stream_on(&mut peer, 4, MANY, 20, &budget)?;
    let answer = peer.answer(4)?;
    exceeded(&answer, BudgetExceeded)?;
    good(at_most(&answer, 3))
}

fn budget_op_id_0(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(MANY, 20)?;
    peer.send(4, &encode(0, &tokens(5)), false)?;
    good(peer.refused(&[ProtocolViolation]))
}

fn budget_on_control(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    peer.send(0, &encode(0, &tokens(5)), false)?;
    good(peer.refused(&[ProtocolViolation]))
}

/// The operation ended since its budget did: by ERROR, or by CANCEL.
fn exceeded(answer: &Answer, code: ErrorCode) -> Result<(), Stop> {
    let reason = match code {
        DeadlineExceeded => CancelReason::DeadlineExceeded,
        _ => CancelReason::BudgetExceeded,
    };
    let by_error = answer.error == Some(code);
    let by_cancel = answer.error.is_none() && answer.cancel == Some(reason.to_wire());
    ensure(by_error || by_cancel, || {
        format!("{code} was expected; it came to {}", answer.describe())
    })
}

fn at_most(answer: &Answer, most: usize) -> Result<(), Stop> {
    let count = answer.streams.len();
    ensure(count <= most, || {
        format!("{count} frames came, and the budget was for {most} at most")
    })
}

fn budget_stops(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    trial.stream_on(&mut peer, 4, MANY, 20, &encode(4, &tokens(3)))?;
    let answer = peer.answer(4)?;
    exceeded(&answer, BudgetExceeded)?;
    // A frame may have gone before the BUDGET, right behind INVOKE, was read.
    at_most(&answer, 4)?;
    good(trial.serves(&mut peer, 8))
}

fn budget_top_up(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    trial.stream_on(&mut peer, 4, 12, 0, &encode(4, &tokens(3)))?;
    peer.until("the first frames", |peer| {
        peer.count(4, STREAM) >= 3 || peer.has_ended(4)
    })?;
    // The server stands still now, or says that it is over.
    peer.linger(Duration::from_millis(300));
    if peer.has_ended(4) {
        exceeded(&peer.answer(4)?, BudgetExceeded)?;
        return Err(skipped("the server does not wait for more tokens"));
    }
    let before = peer.count(4, STREAM);
    ensure(before <= 4, || {
        format!("{before} frames came, and the budget was for four at most")
    })?;
    peer.send(4, &encode(4, &tokens(100)), false)?;
    let answer = peer.answer(4)?;
    goes_on(&answer, 12)
}

/// The operation came to its own end, after so many frames.
fn goes_on(answer: &Answer, count: usize) -> Verdict {
    ensure(answer.is_good() && answer.streams.len() == count, || {
        format!(
            "{count} frames were expected; it came to {}",
            answer.describe()
        )
    })?;
    GOOD
}

fn budget_raised(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let budgets = [encode(4, &tokens(3)), encode(4, &tokens(100))].concat();
    trial.stream_on(&mut peer, 4, 12, 20, &budgets)?;
    goes_on(&peer.answer(4)?, 12)
}

fn budget_lowered(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    trial.stream_on(&mut peer, 4, MANY, 20, &encode(4, &tokens(1_000)))?;
    peer.until("the first frames", |peer| {
        peer.count(4, STREAM) >= 2 || peer.has_ended(4)
    })?;
    peer.send(4, &encode(4, &tokens(0)), false)?;
    let answer = peer.answer(4)?;
    exceeded(&answer, BudgetExceeded)?;
    ensure(answer.streams.len() < 1_000, || {
        "it went on to the end of the first budget".into()
    })?;
    GOOD
}

fn budget_lifted(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let cost = Budget {
        cost_microunits: Some(1_000_000_000),
        currency: Some(Currency::USD),
        ..Budget::default()
    };
    let budgets = [encode(4, &tokens(3)), encode(4, &cost)].concat();
    trial.stream_on(&mut peer, 4, 12, 20, &budgets)?;
    goes_on(&peer.answer(4)?, 12)
}

fn budget_of_plenty(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let most = (1 << 62) - 1;
    let plenty = Budget {
        tokens: Some(most),
        cost_microunits: Some(most),
        currency: None,
        deadline: Some(UnixMillis(i64::MAX)),
        ..Budget::default()
    };
    trial.stream_on(&mut peer, 4, 12, 20, &encode(4, &plenty))?;
    goes_on(&peer.answer(4)?, 12)
}

/// The server's clock, which deadlines are about.
fn server_now(trial: &Trial<'_>) -> i64 {
    unix_now().saturating_add(trial.subject.hello.clock_ahead)
}

fn deadline_stops(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(MANY, 20)?;
    peer.send(4, &deadline(server_now(trial) + 500), false)?;
    let answer = peer.answer(4)?;
    exceeded(&answer, DeadlineExceeded)?;
    good(trial.serves(&mut peer, 8))
}

fn deadline_past(trial: &Trial<'_>) -> Verdict {
    for at in [server_now(trial) - 60_000, i64::MIN] {
        let mut peer = trial.streaming(MANY, 20)?;
        peer.send(4, &deadline(at), false)?;
        exceeded(&peer.answer(4)?, DeadlineExceeded).map_err(|stop| in_case(stop, at))?;
    }
    GOOD
}

fn in_case(stop: Stop, at: i64) -> Stop {
    match stop {
        Stop::Failed(reason) => failed(format!("deadline {at}: {reason}")),
        other => other,
    }
}
