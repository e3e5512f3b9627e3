//! The invariants hold in every world that is tried, and every world can be seen again.

use aire_sim::{Stats, play};

/// A continuous integration run plays thousands in a release build; this is a taste of them.
const SEEDS: u64 = 200;

/// Plays `seeds` on two threads, as a test program has no more to itself.
fn played(seeds: u64) -> Stats {
    let half = |parity: u64| {
        let mut stats = Stats::default();
        for seed in (1..=seeds).filter(|seed| seed % 2 == parity) {
            let report = play(seed, None, false);
            if let Some(failure) = report.failure {
                panic!("seed {seed} failed: {failure}");
            }
            stats.add(&report.stats);
        }
        stats
    };
    std::thread::scope(|scope| {
        let odd = scope.spawn(move || half(1));
        let mut stats = half(0);
        stats.add(&odd.join().expect("the other half holds as well"));
        stats
    })
}

#[test]
fn every_invariant_holds_and_everything_is_exercised() {
    let stats = played(SEEDS);
    assert_eq!(stats.seeds, SEEDS);
    let exercised = [
        ("losses of packets", stats.dropped),
        ("doubled packets", stats.doubled),
        ("lost connections", stats.lost),
        ("drains", stats.drains),
        ("crashes", stats.crashes),
        ("cuts", stats.cuts),
        ("completed operations", stats.completed),
        ("cancels heard", stats.cancelled),
        ("cancels heard late", stats.late_cancels),
        ("budgets out", stats.exhausted),
        ("top-ups", stats.top_ups),
        ("grants to children", stats.grants),
        ("ends at a deadline", stats.overtime),
        ("delegations", stats.delegations),
        ("resumes answered", stats.resumed),
        ("resumes refused", stats.refused_resumes),
        ("tickets used", stats.restored),
        ("refused HELLOs", stats.refused_hellos),
        ("refused operations", stats.no_room),
    ];
    for (what, count) in exercised {
        assert!(count > 0, "there were no {what}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let mut hashes = Vec::new();
    for seed in 1..=12 {
        let report = play(seed, None, false);
        let again = play(seed, None, false);
        assert_eq!(report.trace_hash, again.trace_hash, "seed {seed}");
        assert_eq!(report.stats, again.stats, "seed {seed}");
        hashes.push(report.trace_hash);
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 12);
}
