//! What an operation used, in bytes (`BUD-11`).
#![cfg(feature = "postcard")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aire_proto::accounting::{Accounting, BufferTooSmall, Cost, MAGIC, MAX_LEN};
use aire_proto::budget::Charge;
use aire_proto::wire::Currency;
use aire_proto::{Ledger, UnixMillis};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

#[test]
fn an_accounting_keeps_its_bytes() {
    let accounting = Accounting {
        tokens_in: 300,
        tokens_out: 1,
        cost: Some(Cost {
            amount: 128,
            currency: *b"EUR",
        }),
        duration_ms: 5,
    };
    let mut out = [0; MAX_LEN];
    let bytes = b"ACC1\xac\x02\x01\x01\x80\x01EUR\x05";
    assert_eq!(accounting.encode(&mut out).unwrap(), bytes);
    assert_eq!(Accounting::decode(bytes), Some(accounting));
    assert_eq!(
        Accounting::decode(b"ACC1\x01\x02\x00\x03later")
            .unwrap()
            .duration_ms,
        3
    );
}

#[test]
fn other_data_is_no_accounting() {
    for other in [
        &b""[..],
        b"ACC",
        b"ACC1",
        b"ACC2\x01\x02\x00\x03",
        b"ACC1\x01\x02\x00",
        b"ACC1\x01\x02\x02\x03",
        b"ACC1\x01\x02\x01\x04U5D\x03",
        b"ACC1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x02\x00\x03",
    ] {
        assert_eq!(Accounting::decode(other), None, "{other:?}");
    }
}

#[test]
fn the_ledger_says_what_was_spent_and_the_accounting_says_it_again() {
    let mut ledger = Ledger::default();
    let euros = Currency::new(*b"EUR").unwrap();
    let charge = Charge::tokens(100).with_cost(7, euros);
    ledger.charge(&charge, UnixMillis(0)).unwrap();
    let accounting = Accounting::from_ledger(&ledger, 30, Duration::from_micros(2_500));
    assert_eq!((accounting.tokens_in, accounting.tokens_out), (30, 70));
    assert_eq!(accounting.duration_ms, 2);
    assert_eq!(accounting.spent(), charge);

    let free = Accounting::from_ledger(&Ledger::default(), 0, Duration::MAX);
    assert_eq!(free.cost, None);
    assert_eq!(free.duration_ms, u64::MAX);
    assert_eq!(free.spent(), Charge::default());
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(1_000)
    })]

    #[test]
    fn accountings_go_both_ways_within_their_limit(
        tokens_in: u64,
        tokens_out: u64,
        cost in option::of((any::<u64>(), Just(*b"usd"))),
        duration_ms: u64,
        room in 0..=MAX_LEN,
    ) {
        let cost = cost.map(|(amount, currency)| Cost { amount, currency });
        let accounting = Accounting { tokens_in, tokens_out, cost, duration_ms };
        let mut out = [0; MAX_LEN];
        let written = accounting.encode(&mut out).unwrap();
        prop_assert_eq!(Accounting::decode(written), Some(accounting));
        let len = written.len();
        let (_, cut) = written.split_last().unwrap();
        prop_assert_eq!(Accounting::decode(cut), None);
        let mut short = vec![0; room];
        let fits = accounting.encode(&mut short).map(|written| written.len());
        prop_assert_eq!(fits, if room < len { Err(BufferTooSmall) } else { Ok(len) });
    }

    #[test]
    fn any_bytes_are_an_accounting_or_none(
        magic: bool,
        bytes in vec(any::<u8>(), 0..64),
    ) {
        let all = [if magic { &MAGIC[..] } else { &[] }, &bytes].concat();
        if let Some(accounting) = Accounting::decode(&all) {
            let mut out = [0; MAX_LEN];
            let written = accounting.encode(&mut out).unwrap();
            prop_assert_eq!(Accounting::decode(written), Some(accounting));
        }
    }
}
