//! The ledger never spends past a snapshot or past the local policy (`BUD-3`, `BUD-5`, `BUD-6`,
//! `BUD-10`).
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use std::time::Duration;

use aire_proto::budget::{Cap, Charge, ChargeError, CurrencyMismatch, Dimension};
use aire_proto::wire::{Budget, Currency};
use aire_proto::{ErrorCode, Ledger, UnixMillis, varint};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const NOW: UnixMillis = UnixMillis(0);

fn tokens(tokens: u64) -> Budget {
    Budget {
        tokens: Some(tokens),
        ..Budget::default()
    }
}

fn currency(letters: &[u8; 3]) -> Currency {
    Currency::new(*letters).unwrap()
}

fn cost(microunits: u64, letters: &[u8; 3]) -> Budget {
    Budget {
        cost_microunits: Some(microunits),
        currency: Some(currency(letters)),
        ..Budget::default()
    }
}

fn money(microunits: u64, letters: &[u8; 3]) -> Charge {
    Charge::default().with_cost(microunits, currency(letters))
}

fn with(budget: &Budget) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.update(budget).unwrap();
    ledger
}

const OUT_OF_TOKENS: Result<(), ChargeError> = Err(ChargeError::Exhausted(Dimension::Tokens));
const OUT_OF_MONEY: Result<(), ChargeError> = Err(ChargeError::Exhausted(Dimension::Cost));
const TOO_LATE: Result<(), ChargeError> = Err(ChargeError::Exhausted(Dimension::Deadline));

#[test]
fn bud_3_a_missing_field_limits_nothing() {
    let much = Charge::tokens(u64::MAX - 1).with_cost(u64::MAX - 1, Currency::USD);
    let mut ledger = Ledger::default();
    assert_eq!(ledger.charge(&much, UnixMillis(i64::MAX - 1)), Ok(()));
    assert_eq!(ledger.exhausted(NOW), None);
    assert_eq!(
        with(&tokens(5)).charge(&money(u64::MAX, b"CHF"), NOW),
        Ok(())
    );

    let mut ledger = with(&tokens(0));
    assert_eq!(ledger.charge(&Charge::tokens(1), NOW), OUT_OF_TOKENS);
    ledger.update(&Budget::default()).unwrap();
    assert_eq!(ledger.charge(&Charge::tokens(1), NOW), Ok(()));
}

#[test]
fn bud_5_the_latest_snapshot_counts_from_its_arrival_up_or_down() {
    let mut ledger = with(&tokens(10));
    ledger.charge(&Charge::tokens(8), NOW).unwrap();
    ledger.update(&tokens(5)).unwrap();
    assert_eq!(ledger.remaining(), tokens(5));
    ledger.charge(&Charge::tokens(5), NOW).unwrap();
    assert_eq!(ledger.charge(&Charge::tokens(1), NOW), OUT_OF_TOKENS);
    ledger.update(&tokens(100)).unwrap();
    ledger.update(&tokens(3)).unwrap();
    assert_eq!(ledger.charge(&Charge::tokens(4), NOW), OUT_OF_TOKENS);
    assert_eq!(ledger.spent(), Charge::tokens(13));
}

#[test]
fn bud_6_a_charge_is_spent_whole_or_not_at_all() {
    let mut ledger = with(&Budget {
        tokens: Some(10),
        ..cost(10, b"USD")
    });
    let before = ledger;
    let pay = |tokens, microunits| Charge::tokens(tokens).with_cost(microunits, Currency::USD);
    assert_eq!(ledger.charge(&pay(10, 11), NOW), OUT_OF_MONEY);
    assert_eq!(ledger.charge(&pay(11, 10), NOW), OUT_OF_TOKENS);
    assert_eq!(ledger.commit(&pay(11, 10), NOW), OUT_OF_TOKENS);
    assert_eq!(ledger, before);
    assert_eq!(ledger.charge(&pay(10, 10), NOW), Ok(()));
    assert_eq!(ledger.exhausted(NOW), Some(Dimension::Tokens));
}

#[test]
fn bud_6_nothing_is_spent_at_the_deadline_or_after() {
    let mut ledger = with(&Budget {
        deadline: Some(UnixMillis(5)),
        ..Budget::default()
    });
    assert_eq!(ledger.charge(&Charge::tokens(1), UnixMillis(4)), Ok(()));
    assert_eq!(ledger.charge(&Charge::tokens(1), UnixMillis(5)), TOO_LATE);
    assert_eq!(ledger.exhausted(UnixMillis(5)), Some(Dimension::Deadline));
    assert_eq!(Dimension::Deadline.code(), ErrorCode::DeadlineExceeded);
    assert_eq!(Dimension::Tokens.code(), ErrorCode::BudgetExceeded);
    assert_eq!(Dimension::Cost.code(), ErrorCode::BudgetExceeded);
}

#[test]
fn bud_10_the_local_policy_caps_whatever_a_peer_claims() {
    let cap = Cap {
        tokens: Some(5),
        cost_microunits: Some(6),
        currency: None,
        time: Some(Duration::from_millis(7)),
    };
    let mut ledger = Ledger::default();
    ledger.cap(&cap, UnixMillis(10)).unwrap();
    ledger
        .update(&Budget {
            tokens: Some(varint::MAX),
            deadline: Some(UnixMillis(i64::MAX)),
            ..cost(varint::MAX, b"USD")
        })
        .unwrap();
    assert_eq!(ledger.deadline(), UnixMillis(17));
    assert_eq!(ledger.charge(&Charge::tokens(6), NOW), OUT_OF_TOKENS);
    assert_eq!(ledger.charge(&money(7, b"USD"), NOW), OUT_OF_MONEY);
    ledger.charge(&Charge::tokens(5), NOW).unwrap();
    ledger.update(&tokens(100)).unwrap();
    assert_eq!(ledger.charge(&Charge::tokens(1), NOW), OUT_OF_TOKENS);

    let mut low = with(&tokens(1));
    low.cap(&cap, NOW).unwrap();
    assert_eq!(low.charge(&Charge::tokens(2), NOW), OUT_OF_TOKENS);
    let forever = Cap {
        time: Some(Duration::MAX),
        ..Cap::default()
    };
    low.cap(&forever, NOW).unwrap();
    assert_eq!(low.deadline(), UnixMillis(i64::MAX));
}

#[test]
fn a_currency_is_the_same_in_letters_of_either_case_and_dollars_when_missing() {
    let mut ledger = with(&cost(10, b"uSd"));
    assert_eq!(ledger.charge(&money(1, b"USD"), NOW), Ok(()));
    let unnamed = Charge {
        currency: None,
        ..money(1, b"USD")
    };
    assert_eq!(ledger.charge(&unnamed, NOW), Ok(()));
    assert_eq!(ledger.update(&cost(5, b"usd")), Ok(()));
    assert_eq!(ledger.spent().cost_microunits, 2);
}

#[test]
fn another_currency_is_refused_and_changes_nothing_once_money_was_counted() {
    let mut ledger = with(&cost(10, b"EUR"));
    assert_eq!(ledger.update(&cost(10, b"CHF")), Ok(()), "none was counted");
    let mismatch = |came| CurrencyMismatch {
        counted_in: currency(b"CHF"),
        came: currency(came),
    };
    let before = ledger;
    let refused = ledger.charge(&money(1, b"EUR"), NOW);
    assert_eq!(refused, Err(ChargeError::Currency(mismatch(b"EUR"))));
    assert_eq!(ledger, before);

    ledger.commit(&money(1, b"CHF"), NOW).unwrap();
    let before = ledger;
    let other = Budget {
        tokens: Some(1),
        ..cost(9, b"JPY")
    };
    assert_eq!(ledger.update(&other), Err(mismatch(b"JPY")));
    let cap = Cap {
        tokens: Some(1),
        cost_microunits: Some(1),
        ..Cap::default()
    };
    assert_eq!(ledger.cap(&cap, NOW), Err(mismatch(b"USD")));
    assert_eq!(ledger, before);
}

#[test]
fn the_policy_fixes_the_currency_before_any_money_was_counted() {
    let mut ledger = Ledger::default();
    let cap = Cap {
        cost_microunits: Some(5),
        currency: Some(currency(b"EUR")),
        ..Cap::default()
    };
    ledger.cap(&cap, NOW).unwrap();
    assert!(ledger.update(&cost(1, b"USD")).is_err());
    assert_eq!(ledger.update(&cost(1, b"eur")), Ok(()));
}

#[test]
fn shares_count_against_the_snapshot_until_they_are_settled() {
    let mut ledger = with(&tokens(10));
    ledger.commit(&Charge::tokens(6), NOW).unwrap();
    assert_eq!(ledger.free(), tokens(4));
    assert_eq!(ledger.remaining(), tokens(10));
    ledger.update(&tokens(5)).unwrap();
    assert_eq!(ledger.overcommitted(), Charge::tokens(1));
    assert_eq!(
        ledger.report().tokens,
        Some(6),
        "the share may be spent all the same"
    );
    ledger.settle(&Charge::tokens(6), &Charge::tokens(2));
    assert_eq!(ledger.overcommitted(), Charge::default());
    assert_eq!(ledger.free(), tokens(3));
    assert_eq!(ledger.spent(), Charge::tokens(2));
}

#[test]
fn a_report_says_what_the_money_is_in_even_where_none_is_limited() {
    let mut ledger = Ledger::default();
    ledger.settle(&Charge::default(), &money(3, b"EUR"));
    let report = ledger.report();
    assert!(report.is_report());
    assert_eq!(report.cost_microunits_spent, Some(3));
    assert_eq!(report.currency, Some(currency(b"EUR")));
    assert_eq!((report.tokens, report.tokens_spent), (None, Some(0)));
}

#[derive(Clone, Debug)]
enum Step {
    Update(Option<u64>),
    Cap(Option<u64>),
    Charge(u64),
    Commit(u64),
    /// So many parts of 255 of what is committed, of which so many are spent.
    Settle(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let amount = || {
        prop_oneof![
            0_u64..50,
            Just(varint::MAX),
            Just(u64::MAX - 1),
            Just(u64::MAX),
            any::<u64>(),
        ]
    };
    let frame = prop_oneof![0_u64..50, Just(varint::MAX), 0..=varint::MAX];
    let step = prop_oneof![
        option::weighted(0.9, frame).prop_map(Step::Update),
        option::of(amount()).prop_map(Step::Cap),
        amount().prop_map(Step::Charge),
        amount().prop_map(Step::Commit),
        (any::<u8>(), any::<u8>()).prop_map(|(of, spent)| Step::Settle(of, spent)),
    ];
    vec(step, 0..60)
}

/// One dimension in numbers without end: `None` is no limit.
#[derive(Debug, Default)]
struct Model {
    limit: Option<u128>,
    cap: Option<u128>,
    spent: u128,
    committed: u128,
}

impl Model {
    fn fits(&self, amount: u64) -> bool {
        let bound = [self.limit, self.cap].into_iter().flatten().min();
        let after = self.spent + self.committed + u128::from(amount);
        bound.is_none_or(|bound| after <= bound || amount == 0)
    }
}

fn part(of: u64, parts: u8) -> u64 {
    u64::try_from(u128::from(of) * u128::from(parts) / 255).unwrap()
}

/// Runs the steps against the model, in one dimension or the other.
fn compare(steps: &[Step], money: bool) -> Result<(), TestCaseError> {
    let amount = |amount| match money {
        true => Charge::default().with_cost(amount, Currency::USD),
        false => Charge::tokens(amount),
    };
    let of = |charge: Charge| match money {
        true => charge.cost_microunits,
        false => charge.tokens,
    };
    let snapshot = |left: Option<u64>| Budget {
        tokens: left.filter(|_| !money),
        cost_microunits: left.filter(|_| money),
        ..Budget::default()
    };
    let policy = |most: Option<u64>| Cap {
        tokens: most.filter(|_| !money),
        cost_microunits: most.filter(|_| money),
        ..Cap::default()
    };
    let mut ledger = Ledger::default();
    let mut model = Model::default();
    for step in steps {
        let before = ledger;
        match *step {
            Step::Update(left) => {
                ledger.update(&snapshot(left)).unwrap();
                model.limit = left.map(|left| {
                    // The largest number stands for no limit.
                    (model.spent + u128::from(left)).min(u128::from(u64::MAX - 1))
                });
            }
            Step::Cap(most) => {
                ledger.cap(&policy(most), NOW).unwrap();
                // The largest number stands for no limit.
                model.cap = most.filter(|most| *most != u64::MAX).map(u128::from);
            }
            Step::Charge(n) => {
                let fits = model.fits(n);
                prop_assert_eq!(ledger.charge(&amount(n), NOW).is_ok(), fits);
                prop_assert!(fits || ledger == before);
                model.spent += if fits { u128::from(n) } else { 0 };
            }
            Step::Commit(n) => {
                let fits = model.fits(n);
                prop_assert_eq!(ledger.commit(&amount(n), NOW).is_ok(), fits);
                prop_assert!(fits || ledger == before);
                model.committed += if fits { u128::from(n) } else { 0 };
            }
            Step::Settle(parts, used) => {
                let share = part(of(ledger.committed()), parts);
                let spent = part(share, used);
                ledger.settle(&amount(share), &amount(spent));
                model.committed -= u128::from(share);
                model.spent += u128::from(spent);
            }
        }
        // Past what 64 bits hold the ledger stays at their end, where everything is exhausted.
        if model.spent + model.committed >= u128::from(u64::MAX) {
            return Ok(());
        }
        prop_assert_eq!(u128::from(of(ledger.spent())), model.spent);
        prop_assert_eq!(u128::from(of(ledger.committed())), model.committed);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(1_000)
    })]

    #[test]
    fn a_ledger_spends_what_numbers_without_end_would_allow_and_no_more(steps in steps()) {
        compare(&steps, false)?;
        compare(&steps, true)?;
    }
}
