//! What a metered, retained STREAM costs: the budget check, and the copy into the window.

use std::hint::black_box;

use aire_proto::budget::{Charge, Ledger};
use aire_proto::resume::Window;
use aire_proto::storage::Storage;
use aire_proto::wire::Budget;
use aire_proto::{StreamId, UnixMillis};

use crate::link::Link;

/// How many charges are timed at a time.
pub const CHARGES: u64 = 1000;

/// A budget with a limit in every dimension that no run reaches.
fn budget() -> Budget {
    Budget {
        tokens: Some(1 << 60),
        cost_microunits: Some(1 << 60),
        deadline: Some(UnixMillis(i64::MAX - 1)),
        ..Budget::default()
    }
}

/// One token, and three millionths of a dollar.
fn charge() -> Charge {
    Charge {
        tokens: 1,
        cost_microunits: 3,
        currency: None,
    }
}

/// Charges a ledger.
///
/// # Panics
/// When the budget is refused, which it is not.
pub fn by_ledger() -> impl FnMut() -> u64 {
    let mut ledger = Ledger::default();
    ledger.update(&budget()).expect("one currency");
    let charge = charge();
    move || {
        for _ in 0..CHARGES {
            let charged = ledger.charge(black_box(&charge), black_box(UnixMillis(0)));
            charged.expect("the budget suffices");
        }
        ledger.spent().tokens
    }
}

/// Charges an operation of a connection that has `others` more.
///
/// # Panics
/// When the harness is wrong.
pub fn by_connection<S: Storage>(others: usize) -> impl FnMut() -> u64 {
    let mut link: Link<S, S> = Link::connected(4096);
    let mut stream: StreamId = link.open();
    for _ in 0..others {
        stream = link.open();
    }
    let now = link.now;
    let connection = &mut link.server.connection;
    let cell = connection.ledger_mut(stream).expect("a live operation");
    aire_proto::storage::LedgerCell::with(cell, |ledger| ledger.update(&budget()))
        .expect("one currency");
    let charge = charge();
    move || {
        for _ in 0..CHARGES {
            let charged = link
                .server
                .connection
                .charge(stream, black_box(&charge), now);
            charged.expect("the budget suffices");
        }
        CHARGES
    }
}

/// Keeps frames of `len` bytes in a window that is full, so that each makes the oldest go.
pub fn by_window(len: usize) -> impl FnMut() -> u64 {
    let payload = vec![7; len];
    let mut window = Window::new(vec![0; 256 * 1024], 4096);
    move || {
        for _ in 0..CHARGES {
            let _pushed = black_box(window.push(black_box(&payload)));
        }
        window.last()
    }
}

/// Copies `len` bytes to where a ring would have them, and keeps no books.
pub fn by_memcpy(len: usize) -> impl FnMut() -> u64 {
    let payload = vec![7; len];
    let mut ring = vec![0; 256 * 1024];
    let mut at = 0;
    move || {
        for _ in 0..CHARGES {
            if at + len > ring.len() {
                at = 0;
            }
            ring[at..at + len].copy_from_slice(black_box(&payload));
            at += len;
        }
        black_box(&ring).len() as u64
    }
}
