//! Plays seeds over all cores until one fails.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use aire_sim::{Report, Stats, play};

const USAGE: &str = "usage: aire-sim [--seeds N] [--from N] | --seed N [--trace]";

/// What was asked for.
struct Arguments {
    from: u64,
    seeds: u64,
    trace: bool,
}

fn arguments() -> Option<Arguments> {
    let mut parsed = Arguments {
        from: 1,
        seeds: 2_000,
        trace: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut number = || arguments.next()?.parse().ok();
        match name.as_str() {
            "--seeds" => parsed.seeds = number()?,
            "--from" => parsed.from = number()?,
            "--seed" => (parsed.from, parsed.seeds) = (number()?, 1),
            "--trace" => parsed.trace = true,
            _ => return None,
        }
    }
    Some(parsed)
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let began = Instant::now();
    let (stats, failed) = play_all(&arguments, began);
    print!("{stats}");
    println!("{:>14.1}  seconds", began.elapsed().as_secs_f64());
    let Some(report) = failed else {
        return ExitCode::SUCCESS;
    };
    if let Some(failure) = &report.failure {
        let seed = report.seed;
        println!("seed {seed} failed: {failure}; replay: make sim SEED={seed}");
    }
    ExitCode::FAILURE
}

/// Plays the seeds, each core the next one; what they come to, and the lowest that failed.
fn play_all(arguments: &Arguments, began: Instant) -> (Stats, Option<Report>) {
    let next = AtomicU64::new(arguments.from);
    // Nothing from here on is played: later seeds say no more than the first that failed.
    let end = AtomicU64::new(arguments.from.saturating_add(arguments.seeds));
    let (sender, reports) = mpsc::channel();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            let sender = sender.clone();
            let (next, end) = (&next, &end);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end.load(Ordering::Relaxed) {
                        return;
                    }
                    let report = play(seed, None, arguments.trace);
                    if report.failure.is_some() {
                        end.fetch_min(seed, Ordering::Relaxed);
                    }
                    if sender.send(report).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        gather(reports, arguments.seeds, began)
    })
}

fn gather(reports: mpsc::Receiver<Report>, seeds: u64, began: Instant) -> (Stats, Option<Report>) {
    let mut stats = Stats::default();
    let mut failed: Option<Report> = None;
    let mut said = began;
    for report in reports {
        stats.add(&report.stats);
        let first = failed.as_ref().is_none_or(|other| report.seed < other.seed);
        if report.failure.is_some() && first {
            failed = Some(report);
        }
        if said.elapsed() > Duration::from_secs(10) {
            said = Instant::now();
            eprintln!("{} of {seeds} seeds", stats.seeds);
        }
    }
    (stats, failed)
}
