//! A tree of operations never spends more than its root may, whatever is on its way.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::collections::VecDeque;

use aire_proto::budget::{Charge, ChargeError, Dimension};
use aire_proto::delegation::{Share, ShareError, Shares};
use aire_proto::wire::{Budget, Currency, Payload};
use aire_proto::{Ledger, UnixMillis};
use proptest::collection::vec;
use proptest::prelude::*;

const NOW: UnixMillis = UnixMillis(0);

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

fn tokens(tokens: u64) -> Budget {
    Budget {
        tokens: Some(tokens),
        ..Budget::default()
    }
}

fn report(spent: u64, remaining: u64) -> Budget {
    Budget {
        tokens_spent: Some(spent),
        ..tokens(remaining)
    }
}

/// A ledger with so many tokens, and children 1, 2, ... that got these of them.
fn parent(remaining: u64, shares: &[u64]) -> (Ledger, Shares<4>) {
    let mut ledger = Ledger::default();
    ledger.update(&tokens(remaining)).unwrap();
    let mut books = Shares::new();
    for (child, share) in (1..).zip(shares) {
        let share = Share::Amount(Charge::tokens(*share));
        books.open(&mut ledger, child, share, NOW).unwrap();
    }
    (ledger, books)
}

fn sent(books: &mut Shares<4>, ledger: &mut Ledger) -> Vec<(u64, Option<u64>)> {
    let mut sent = Vec::new();
    while let Some((child, budget)) = books.poll(ledger, NOW) {
        sent.push((child, budget.tokens));
        assert!(sent.len() < 100, "it never ends: {sent:?}");
    }
    sent
}

#[test]
fn equal_parts_of_what_is_free_leave_nothing_over_what_there_is() {
    let mut ledger = Ledger::default();
    ledger.update(&tokens(100)).unwrap();
    let mut books = Shares::<3>::new();
    let mut part = |child, of| books.open(&mut ledger, child, Share::Part { of }, NOW);
    assert_eq!(part(1, 4), Ok(tokens(25)));
    assert_eq!(part(1, 1), Err(ShareError::Duplicate));
    assert_eq!(part(2, 0), Ok(tokens(75)));
    assert_eq!(part(3, 1), Ok(tokens(0)));
    assert_eq!(part(4, 1), Err(ShareError::Full));
    assert_eq!(ledger.committed(), Charge::tokens(100));
}

#[test]
fn a_share_that_is_not_free_is_refused_and_changes_nothing() {
    let (mut ledger, mut books) = parent(10, &[6]);
    let before = ledger;
    let mut open = |amount| books.open(&mut ledger, 2, Share::Amount(amount), NOW);
    let over = ShareError::Charge(ChargeError::Exhausted(Dimension::Tokens));
    assert_eq!(open(Charge::tokens(5)), Err(over));
    assert_eq!(books.len(), 1);
    assert_eq!(ledger, before);
}

#[test]
fn the_deadline_is_passed_on_and_a_passed_one_opens_nothing() {
    let mut ledger = Ledger::default();
    let deadline = Some(UnixMillis(50));
    ledger
        .update(&Budget {
            deadline,
            ..Budget::default()
        })
        .unwrap();
    let mut books = Shares::<2>::new();
    let mut open = |child, now| {
        let share = Share::Part { of: 2 };
        books.open(&mut ledger, child, share, UnixMillis(now))
    };
    assert_eq!(open(1, 49).unwrap().deadline, deadline);
    assert_eq!(open(1, 49), Err(ShareError::Duplicate));
    let late = ShareError::Charge(ChargeError::Exhausted(Dimension::Deadline));
    assert_eq!(open(2, 50), Err(late));
}

#[test]
fn a_snapshot_without_any_limit_can_be_sent_all_the_same() {
    let mut ledger = Ledger::default();
    let mut books = Shares::<1>::new();
    let budget = books
        .open(&mut ledger, 1, Share::Part { of: 2 }, NOW)
        .unwrap();
    let mut out = [0; 64];
    let len = budget.encode(&mut out).unwrap();
    let read = Budget::decode(&out[..len]).unwrap();
    assert_eq!((read.tokens, read.cost_microunits), (None, None));
}

#[test]
fn a_child_that_is_out_of_budget_gets_an_equal_part_of_what_is_free() {
    let (mut ledger, mut books) = parent(30, &[5, 5]);
    books.reported(&mut ledger, 1, &report(5, 0)).unwrap();
    books.reported(&mut ledger, 2, &report(5, 0)).unwrap();
    assert_eq!(
        sent(&mut books, &mut ledger),
        [(1, Some(10)), (2, Some(10))]
    );
    assert_eq!(ledger.spent(), Charge::tokens(10));
    assert!(!books.starving());
}

#[test]
fn an_old_report_takes_back_nothing_that_was_granted_since() {
    let (mut ledger, mut books) = parent(30, &[5]);
    books.reported(&mut ledger, 1, &report(5, 0)).unwrap();
    assert_eq!(sent(&mut books, &mut ledger), [(1, Some(25))]);
    // It crossed the grant; then a reduction crosses it too.
    books.reported(&mut ledger, 1, &report(5, 0)).unwrap();
    assert_eq!(ledger.committed(), Charge::tokens(25));
    ledger.update(&tokens(10)).unwrap();
    assert_eq!(sent(&mut books, &mut ledger), [(1, Some(0))]);
    books.reported(&mut ledger, 1, &report(5, 0)).unwrap();
    assert_eq!(ledger.committed(), Charge::tokens(25));
    assert_eq!(sent(&mut books, &mut ledger), []);
    assert!(books.starving());
    // This one cannot be older than the grant.
    books.reported(&mut ledger, 1, &report(8, 0)).unwrap();
    assert_eq!(sent(&mut books, &mut ledger), [(1, Some(7))]);
}

#[test]
fn a_child_that_holds_too_little_to_go_on_is_given_more_on_top() {
    let (mut ledger, mut books) = parent(30, &[5]);
    books.reported(&mut ledger, 1, &report(2, 3)).unwrap();
    // Of the 25 that are free: 22 more, if it spends nothing before it arrives.
    assert_eq!(sent(&mut books, &mut ledger), [(1, Some(25))]);
    books.reported(&mut ledger, 1, &report(2, 25)).unwrap();
    assert_eq!(ledger.committed(), Charge::tokens(25));
}

#[test]
fn a_lower_snapshot_halts_those_with_most_outstanding_until_the_rest_fits() {
    let (mut ledger, mut books) = parent(100, &[10, 50, 30]);
    ledger.update(&tokens(45)).unwrap();
    assert_eq!(sent(&mut books, &mut ledger), [(2, Some(0))]);
    books.reported(&mut ledger, 2, &report(20, 0)).unwrap();
    // 45 from the snapshot's arrival on, and the 20 came in later: 25 are left for 40.
    assert_eq!(sent(&mut books, &mut ledger), [(3, Some(0))]);
    books.reported(&mut ledger, 3, &report(0, 0)).unwrap();
    // 10 are with the first child, 15 for the other two.
    assert_eq!(sent(&mut books, &mut ledger), [(2, Some(7)), (3, Some(8))]);
}

#[test]
fn a_new_deadline_reaches_a_running_child_without_granting_twice() {
    let (mut ledger, mut books) = parent(100, &[40]);
    let deadline = Some(UnixMillis(9));
    let with_deadline = Budget {
        deadline,
        ..tokens(100)
    };
    ledger.update(&with_deadline).unwrap();
    let halt = Budget {
        deadline,
        ..tokens(0)
    };
    assert_eq!(books.poll(&mut ledger, NOW), Some((1, halt)));
    assert_eq!(books.poll(&mut ledger, NOW), None);
    books.reported(&mut ledger, 1, &report(4, 0)).unwrap();
    let again = Budget {
        deadline,
        ..tokens(96)
    };
    assert_eq!(books.poll(&mut ledger, NOW), Some((1, again)));
    assert_eq!(books.poll(&mut ledger, UnixMillis(9)), None);
}

#[test]
fn a_limit_that_comes_later_halts_a_child_that_had_none() {
    let mut ledger = Ledger::default();
    let mut books = Shares::<4>::new();
    for child in [1, 2] {
        let share = Share::Part { of: 1 };
        books.open(&mut ledger, child, share, NOW).unwrap();
    }
    ledger.update(&tokens(50)).unwrap();
    assert_eq!(sent(&mut books, &mut ledger), [(1, Some(0)), (2, Some(0))]);
    books.reported(&mut ledger, 1, &report(7, 0)).unwrap();
    assert_eq!(
        sent(&mut books, &mut ledger),
        [],
        "nobody knows what 2 spent"
    );
    books.reported(&mut ledger, 2, &report(3, 0)).unwrap();
    assert_eq!(
        sent(&mut books, &mut ledger),
        [(1, Some(20)), (2, Some(20))]
    );
    ledger.update(&Budget::default()).unwrap();
    assert_eq!(sent(&mut books, &mut ledger), [(1, None), (2, None)]);
    assert_eq!(ledger.committed(), Charge::default());
}

#[test]
fn an_end_with_an_accounting_frees_the_rest_and_one_without_frees_nothing() {
    let (mut ledger, mut books) = parent(100, &[40, 40]);
    let mut close = |child, spent| books.closed(&mut ledger, child, spent);
    assert_eq!(close(1, Some(Charge::tokens(10))), Some(Charge::tokens(10)));
    assert_eq!(close(1, None), None);
    assert_eq!(close(2, None), Some(Charge::tokens(40)));
    assert_eq!(ledger.spent(), Charge::tokens(50));
    assert_eq!(ledger.committed(), Charge::default());
}

#[test]
fn an_accounting_beyond_the_share_counts_as_the_share() {
    let (mut ledger, mut books) = parent(100, &[40]);
    books.reported(&mut ledger, 1, &report(30, 10)).unwrap();
    let spent = Some(Charge::tokens(u64::MAX));
    assert_eq!(
        books.closed(&mut ledger, 1, spent),
        Some(Charge::tokens(40))
    );
    let (mut ledger, mut books) = parent(100, &[40]);
    books.reported(&mut ledger, 1, &report(30, 10)).unwrap();
    let spent = Some(Charge::tokens(0));
    assert_eq!(
        books.closed(&mut ledger, 1, spent),
        Some(Charge::tokens(30))
    );
}

#[test]
fn a_report_in_another_currency_changes_nothing() {
    let mut ledger = Ledger::default();
    let euros = Budget {
        cost_microunits: Some(100),
        currency: Currency::new(*b"EUR"),
        ..tokens(100)
    };
    ledger.update(&euros).unwrap();
    let mut books = Shares::<2>::new();
    books
        .open(&mut ledger, 1, Share::Part { of: 2 }, NOW)
        .unwrap();
    let before = ledger;
    let dollars = Budget {
        cost_microunits_spent: Some(3),
        ..report(1, 49)
    };
    assert!(matches!(
        books.reported(&mut ledger, 1, &dollars),
        Err(ShareError::Charge(ChargeError::Currency(_)))
    ));
    assert_eq!(ledger, before);
    let unknown = books.reported(&mut ledger, 2, &report(0, 0));
    assert_eq!(unknown, Err(ShareError::Unknown));
    let spent = Charge::tokens(1).with_cost(3, Currency::USD);
    let counted = books.closed(&mut ledger, 1, Some(spent)).unwrap();
    assert_eq!((counted.tokens, counted.cost_microunits), (1, 50));
}

#[test]
fn a_child_that_is_out_of_tokens_gives_back_its_money_where_none_can_be_added() {
    let mut ledger = Ledger::default();
    let both = |tokens, cost_microunits| Budget {
        tokens: Some(tokens),
        cost_microunits: Some(cost_microunits),
        currency: Some(Currency::USD),
        ..Budget::default()
    };
    ledger.update(&both(20, 100)).unwrap();
    let mut books = Shares::<2>::new();
    let share = Share::Amount(Charge::tokens(5).with_cost(90, Currency::USD));
    books.open(&mut ledger, 1, share, NOW).unwrap();
    let spent = |tokens, cost, left| Budget {
        tokens_spent: Some(tokens),
        cost_microunits_spent: Some(cost),
        ..both(0, left)
    };
    books.reported(&mut ledger, 1, &spent(5, 10, 80)).unwrap();
    assert_eq!(books.poll(&mut ledger, NOW), Some((1, both(0, 0))));
    assert_eq!(books.poll(&mut ledger, NOW), None);
    books.reported(&mut ledger, 1, &spent(5, 10, 0)).unwrap();
    assert_eq!(books.poll(&mut ledger, NOW), Some((1, both(15, 90))));
}

// ---- A tree whose messages take their time.

/// What a child sends to its parent, in order.
enum Up {
    Report(Budget),
    Closed(Option<Charge>),
}

#[derive(Default)]
struct Node {
    ledger: Ledger,
    shares: Shares<4>,
    /// On its way from the parent, and to it.
    down: VecDeque<Budget>,
    up: VecDeque<Up>,
    started: bool,
    closed: bool,
    hungry: bool,
    reported: Option<Budget>,
    spent: [u64; 2],
}

/// Node 0 is the root, 1 to 3 are its children, 3n + 1 to 3n + 3 those of n.
struct Tree {
    nodes: Vec<Node>,
    /// The most that the root's snapshots ever allowed, and what the latest allows.
    most: [u64; 2],
    latest: [u64; 2],
}

const FAN: usize = 3;
const NODES: usize = 1 + FAN + FAN * FAN;

fn over(node: usize) -> usize {
    (node - 1) / FAN
}

fn amounts(budget: &Budget) -> [u64; 2] {
    [budget.tokens, budget.cost_microunits].map(|left| left.unwrap_or(u64::MAX))
}

impl Tree {
    fn new(budget: &Budget, shares: &[u32]) -> Self {
        let nodes = (0..NODES).map(|_| Node::default()).collect();
        let mut tree = Self {
            nodes,
            most: [0; 2],
            latest: [0; 2],
        };
        tree.nodes[0].started = true;
        tree.root(budget);
        for node in 1..NODES {
            let Node {
                ledger,
                shares: books,
                ..
            } = &mut tree.nodes[over(node)];
            let share = Share::Part {
                of: shares[node - 1],
            };
            let first = books.open(ledger, node as u64, share, NOW).unwrap();
            tree.nodes[node].down.push_back(first);
            // The children of a node open once it knows its budget.
            tree.deliver_down(node);
        }
        tree
    }

    fn total(&self) -> [u64; 2] {
        self.nodes.iter().fold([0; 2], |[t, c], node| {
            [t + node.spent[0], c + node.spent[1]]
        })
    }

    fn root(&mut self, budget: &Budget) {
        let total = self.total();
        let root = &mut self.nodes[0].ledger;
        root.update(budget).unwrap();
        let known = root.spent();
        let known = [known.tokens, known.cost_microunits];
        for (at, left) in amounts(budget).into_iter().enumerate() {
            self.most[at] = self.most[at].max(total[at].saturating_add(left));
            self.latest[at] = known[at].saturating_add(left);
        }
        self.poll(0);
    }

    fn poll(&mut self, at: usize) {
        let mut rounds = 0;
        let node = &mut self.nodes[at];
        let mut out = Vec::new();
        while let Some(next) = node.shares.poll(&mut node.ledger, NOW) {
            out.push(next);
            rounds += 1;
            assert!(rounds < 100, "it never ends: {:?}", out.last());
        }
        if node.hungry || node.shares.starving() {
            let report = node.ledger.report();
            if node.reported.replace(report) != Some(report) {
                node.up.push_back(Up::Report(report));
            }
        }
        for (child, budget) in out {
            self.nodes[child as usize].down.push_back(budget);
        }
    }

    fn deliver_down(&mut self, at: usize) -> bool {
        let node = &mut self.nodes[at];
        let Some(budget) = node.down.pop_front() else {
            return false;
        };
        if !node.closed {
            node.started = true;
            node.ledger.update(&budget).unwrap();
            node.hungry = amounts(&budget).contains(&0);
            node.reported = None;
            self.poll(at);
        }
        true
    }

    fn deliver_up(&mut self, at: usize) -> bool {
        let Some(message) = self.nodes[at].up.pop_front() else {
            return false;
        };
        if at > 0 {
            let Node { ledger, shares, .. } = &mut self.nodes[over(at)];
            match message {
                Up::Report(report) => shares.reported(ledger, at as u64, &report).unwrap(),
                Up::Closed(spent) => {
                    shares.closed(ledger, at as u64, spent).unwrap();
                }
            }
            self.poll(over(at));
        }
        true
    }

    fn settle(&mut self) {
        let mut left = 20_000;
        while (0..NODES).any(|at| self.deliver_down(at) || self.deliver_up(at)) {
            left -= 1;
            assert!(left > 0, "the tree never comes to rest");
        }
    }

    /// Whether it was within the budget.
    fn spend(&mut self, at: usize, amounts: [u64; 2]) -> bool {
        let node = &mut self.nodes[at];
        if !node.started || node.closed {
            return false;
        }
        let charge = Charge::tokens(amounts[0]).with_cost(amounts[1], Currency::USD);
        let spent = node.ledger.charge(&charge, NOW).is_ok();
        if spent {
            node.spent[0] += amounts[0];
            node.spent[1] += amounts[1];
            // It is not out of budget after all.
            node.hungry = false;
            node.reported = None;
        } else {
            node.hungry = true;
        }
        self.poll(at);
        spent
    }

    fn close(&mut self, at: usize, accounted: bool) {
        let node = &mut self.nodes[at];
        if at == 0 || node.closed || !node.started || !node.shares.is_empty() {
            return;
        }
        node.closed = true;
        let spent = accounted.then(|| node.ledger.spent());
        node.up.push_back(Up::Closed(spent));
    }

    fn close_all(&mut self) {
        for at in (1..NODES).rev() {
            self.close(at, true);
            self.settle();
        }
    }

    fn assert_within(&self) {
        let total = self.total();
        for (total, most) in total.into_iter().zip(self.most) {
            assert!(total <= most, "{total} spent, {most} allowed");
        }
    }

    /// With nothing on its way, nobody can go past the root's latest snapshot.
    fn assert_at_rest(&self) {
        let open = self.nodes.iter().filter(|node| !node.closed);
        let free = open.map(|node| amounts(&node.ledger.free()));
        let free = free.fold([0_u64; 2], |[t, c], [tokens, cost]| {
            [t.saturating_add(tokens), c.saturating_add(cost)]
        });
        let spent = self.total();
        for ((free, spent), latest) in free.into_iter().zip(spent).zip(self.latest) {
            let left = latest.saturating_sub(spent);
            assert!(
                free <= left || latest == u64::MAX,
                "{free} free, {left} left"
            );
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Root(Budget),
    Spend(usize, [u64; 2]),
    Down(usize),
    Up(usize),
    Settle,
    Close(usize, bool),
}

fn limits(unlimited: bool) -> impl Strategy<Value = Budget> {
    let amount = move || {
        (0_u64..600, 0_u8..8).prop_map(move |(n, which)| (which > 0 || !unlimited).then_some(n))
    };
    let deadline = prop_oneof![
        Just(None),
        Just(Some(UnixMillis(1))),
        Just(Some(UnixMillis(2)))
    ];
    (amount(), amount(), deadline).prop_map(|(tokens, cost_microunits, deadline)| Budget {
        tokens,
        cost_microunits,
        deadline,
        ..Budget::default()
    })
}

fn steps(unlimited: bool) -> impl Strategy<Value = Vec<Step>> {
    let node = 0..NODES;
    let amount = || prop_oneof![3 => Just(0_u64), 5 => 1_u64..20, 2 => 20_u64..200];
    let step = prop_oneof![
        2 => limits(unlimited).prop_map(Step::Root),
        20 => (node.clone(), amount(), amount()).prop_map(|(at, t, c)| Step::Spend(at, [t, c])),
        20 => node.clone().prop_map(Step::Down),
        20 => node.clone().prop_map(Step::Up),
        1 => Just(Step::Settle),
        1 => (node, any::<bool>()).prop_map(move |(at, accounted)| {
            // Nobody ever learns what a child without a limit has spent when it does not say so.
            Step::Close(at, accounted || unlimited)
        }),
    ];
    vec(step, 0..400)
}

fn run(tree: &mut Tree, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Root(budget) => tree.root(&budget),
            Step::Spend(at, amounts) => {
                tree.spend(at, amounts);
            }
            Step::Down(at) => {
                tree.deliver_down(at);
            }
            Step::Up(at) => {
                tree.deliver_up(at);
            }
            Step::Settle => {
                tree.settle();
                tree.assert_at_rest();
            }
            Step::Close(at, accounted) => tree.close(at, accounted),
        }
        tree.assert_within();
    }
    tree.settle();
    tree.assert_at_rest();
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn no_tree_spends_more_than_its_root_was_ever_allowed(
        budget in limits(false),
        shares in vec(1_u32..5, NODES - 1),
        steps in steps(false),
    ) {
        let mut tree = Tree::new(&budget, &shares);
        run(&mut tree, steps);
        tree.close_all();
        prop_assert!(tree.nodes.iter().all(|node| node.ledger.committed().tokens == 0));
        prop_assert!(tree.nodes.iter().all(|node| node.ledger.committed().cost_microunits == 0));
    }

    #[test]
    fn limits_that_come_and_go_hold_once_everybody_has_heard_of_them(
        budget in limits(true),
        shares in vec(1_u32..5, NODES - 1),
        steps in steps(true),
        last in limits(false),
    ) {
        let mut tree = Tree::new(&budget, &shares);
        run(&mut tree, steps);
        tree.root(&last);
        tree.settle();
        tree.assert_at_rest();
    }

    #[test]
    fn everything_that_is_free_is_spent_in_the_end_by_whoever_needs_it(
        start in 0_u64..600,
        more in vec(0_u64..300, 0..4),
        shares in vec(1_u32..5, NODES - 1),
        eager in vec(1_usize..NODES, 1..6),
        spends in vec((0..NODES, 1_u64..30), 0..60),
    ) {
        let mut tree = Tree::new(&tokens(start), &shares);
        for (at, amount) in spends {
            tree.spend(at, [amount, 0]);
            tree.deliver_up(at);
        }
        for more in more {
            let known = tree.nodes[0].ledger.remaining().tokens.unwrap();
            tree.root(&tokens(known + more));
            tree.settle();
        }
        // Those that need nothing end; the others go on until nobody can.
        for at in (1..NODES).rev() {
            let needed = eager.iter().any(|&eager| {
                eager == at || over(eager) == at
            });
            if !needed {
                tree.close(at, true);
                tree.settle();
            }
        }
        // Whoever fails asks, and may go on when the answer is there.
        let mut failed = 0;
        while failed < 3 {
            let spends = eager.iter().map(|&at| u32::from(tree.spend(at, [1, 0])));
            failed = if spends.sum::<u32>() > 0 { 0 } else { failed + 1 };
            tree.settle();
        }
        prop_assert_eq!(tree.total()[0], tree.latest[0]);
        tree.close_all();
        prop_assert_eq!(tree.nodes[0].ledger.spent().tokens, tree.total()[0]);
        prop_assert_eq!(tree.nodes[0].ledger.committed().tokens, 0);
    }
}
