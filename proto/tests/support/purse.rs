//! What the tests about budgets share: two roles, amounts, and what was said of them.

use std::time::Duration;

use aire_proto::budget::{Charge, ChargeError, Dimension};
use aire_proto::connection::CallError;
use aire_proto::wire::{Budget, Currency, FrameType};
use aire_proto::{Config, ErrorCode, Instant, Now, Role, StreamId, UnixMillis};

use super::lone::{Lone, encoded, invoke};
use super::script::Roomy;
use super::{UNIX_START, stream};

pub const OP: u64 = 4;
pub const EXCEEDED: ErrorCode = ErrorCode::BudgetExceeded;
pub const TOO_LATE: ErrorCode = ErrorCode::DeadlineExceeded;
pub const TOKENS: Dimension = Dimension::Tokens;

pub fn op() -> StreamId {
    stream(OP)
}

/// A responder with an operation of its peer's.
pub fn serving() -> Lone<Roomy> {
    let mut lone = Lone::connected(Role::Server, Config::default());
    lone.arrives(op(), &invoke(OP));
    lone.end.told();
    lone
}

/// An initiator with an operation of its own.
pub fn asking() -> Lone<Roomy> {
    let mut lone = Lone::connected(Role::Client, Config::default());
    lone.end.invoke("a", "b", b"");
    lone.settle(lone.now());
    lone
}

pub fn tokens(tokens: u64) -> Budget {
    Budget {
        tokens: Some(tokens),
        ..Budget::default()
    }
}

pub fn money(microunits: u64, currency: &[u8; 3]) -> Budget {
    Budget {
        cost_microunits: Some(microunits),
        currency: Currency::new(*currency),
        ..Budget::default()
    }
}

/// A deadline, so many milliseconds after the test began.
pub fn until(millis: i64) -> Budget {
    Budget {
        deadline: Some(UnixMillis(UNIX_START + millis)),
        ..Budget::default()
    }
}

pub fn cost(microunits: u64, currency: &[u8; 3]) -> Charge {
    Charge::tokens(0).with_cost(microunits, Currency::new(*currency).unwrap())
}

/// The peer sends a BUDGET.
pub fn grants(lone: &mut Lone<Roomy>, budget: &Budget) {
    lone.arrives(op(), &encoded(OP, budget));
}

pub fn charge(lone: &mut Lone<Roomy>, charge: &Charge) -> Result<(), CallError> {
    let now = lone.now();
    lone.end.connection.charge(op(), charge, now)
}

pub fn spend(lone: &mut Lone<Roomy>, count: u64) -> Result<(), CallError> {
    charge(lone, &Charge::tokens(count))
}

pub fn exhausted<T>(what: Dimension) -> Result<T, CallError> {
    Err(CallError::Budget(ChargeError::Exhausted(what)))
}

/// The operation is out of tokens, and waits.
pub fn pause(lone: &mut Lone<Roomy>, patience_ms: u64) {
    let now = lone.now();
    let patience = Duration::from_millis(patience_ms);
    lone.end
        .connection
        .out_of_budget(op(), TOKENS, patience, now);
    lone.settle(now);
}

/// The BUDGET frames that left.
pub fn budgets_said(lone: &Lone<Roomy>) -> Vec<Budget> {
    lone.frames(op())
        .iter()
        .filter(|(header, _)| header.frame_type == FrameType::Budget)
        .map(|(_, payload)| Budget::decode(payload).unwrap())
        .collect()
}

/// Does what is due when both clocks stand there.
pub fn at_clocks(lone: &mut Lone<Roomy>, millis: u64, wall: i64) {
    let now = Now {
        instant: Instant::from_millis(millis),
        unix: UnixMillis(UNIX_START + wall),
    };
    lone.end.connection.handle_timeout(now);
    lone.settle(now);
    let due = lone.end.connection.next_deadline();
    assert!(
        due.is_none_or(|due| due > now.instant),
        "nobody waits in circles"
    );
}

pub fn ended(outcome: &str) -> Vec<String> {
    vec![format!("4 ended {outcome}")]
}
