//! How many signed messages an engine takes, and how long each waits for its answer. HTTP is left
//! out: a body is read, checked, applied and durable.
//!
//! ```sh
//! cargo run --release -p airc-registry --example engine_load
//! ```

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use airc_core::registry::Registry;
use airc_registry::engine::{Engine, EngineSettings};
use airc_registry::store::Database;
use clap::Parser;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

#[path = "../tests/support/agents.rs"]
mod agents;

use agents::Agent;

/// Load on an engine: signed messages between agents that have accepted each other.
#[derive(Parser)]
struct Arguments {
    /// `sqlite:PATH` or `postgres://...`; a file in a scratch directory of the working directory if
    /// none is named.
    #[arg(long)]
    database: Option<Database>,
    /// How many agents send and receive.
    #[arg(long, default_value_t = 500)]
    agents: usize,
    /// How many messages are sent, all signed before the first.
    #[arg(long, default_value_t = 60_000)]
    messages: usize,
    /// How many are waited for at once.
    #[arg(long, default_value_t = 100)]
    concurrency: usize,
    /// How many threads check signatures and read; the engine's default if none.
    #[arg(long)]
    workers: Option<usize>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let scratch = tempfile::tempdir_in(".")?;
    let file = scratch.path().join("airc.db");
    println!("fdatasync here: {:.2} ms", sync_time(scratch.path())?);
    let database = arguments.database.unwrap_or(Database::Sqlite(file));

    let registry = Arc::new(Registry::new(agents::settings()));
    let mut settings = EngineSettings::default();
    settings.workers = arguments.workers.unwrap_or(settings.workers);
    let opening = (database.clone(), Arc::clone(&registry));
    let engine = tokio::task::spawn_blocking(move || Engine::open(&opening.0, opening.1, settings))
        .await??;

    let names = (0..arguments.agents).map(|n| format!("agent_{n}"));
    let agents: Arc<Vec<_>> = Arc::new(names.map(|name| Agent::new(&name)).collect());
    let registered = Arc::clone(&agents);
    engine
        .write(move |store| agents::register(store, &registered))
        .await?;
    let bodies = Arc::new(sign(&agents, arguments.messages, &engine));
    println!(
        "{database}: {} agents, {} messages",
        agents.len(),
        bodies.len()
    );

    let began = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = JoinSet::new();
    for _ in 0..arguments.concurrency {
        let (engine, bodies, next) = (engine.clone(), Arc::clone(&bodies), Arc::clone(&next));
        senders.spawn(async move { send(&engine, &bodies, &next).await });
    }
    let mut latencies = new_histogram();
    for sender in senders.join_all().await {
        latencies.add(sender)?;
    }
    let took = began.elapsed();
    let stats = engine.stats();
    engine.stop().await;

    let ms = |us: u64| us as f64 / 1000.0;
    println!(
        "accepted {:.0}/s   latency p50 {:.1} ms   p99 {:.1} ms   p99.9 {:.1} ms   max {:.1} ms",
        latencies.len() as f64 / took.as_secs_f64(),
        ms(latencies.value_at_quantile(0.5)),
        ms(latencies.value_at_quantile(0.99)),
        ms(latencies.value_at_quantile(0.999)),
        ms(latencies.max()),
    );
    println!(
        "{} transactions, {:.1} calls in each, {:.1} ms each",
        stats.batches,
        stats.batched as f64 / stats.batches as f64,
        ms(stats.transaction_time_us) / stats.batches as f64,
    );
    Ok(())
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are possible")
}

/// The bodies of messages, each from an agent to one that has accepted it.
fn sign(agents: &[Agent], count: usize, engine: &Engine) -> Vec<String> {
    let now = engine.clock().now();
    let message = |n: usize| {
        // Not one after the other: those that a transaction is about have nothing in common.
        let from = n.wrapping_mul(7919) % agents.len();
        let (from, to) = (&agents[from], &agents[(from + 1) % agents.len()]);
        from.message(&to.handle, &format!("msg_{}_{n}", now.0), now)
    };
    (0..count).map(message).collect()
}

/// Sends what is left until nothing is. How long each took, in microseconds.
async fn send(engine: &Engine, bodies: &[String], next: &AtomicUsize) -> Histogram<u64> {
    let mut latencies = new_histogram();
    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
        let began = Instant::now();
        let call = agents::post(engine.registry(), "/messages", body);
        let answer = engine.call(call).await.expect("an answer");
        answer.result.expect("it is taken");
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        latencies.record(took).expect("it grows as it must");
    }
    latencies
}

/// What it costs to make 16 KiB durable, in milliseconds: the floor of every transaction.
fn sync_time(directory: &Path) -> std::io::Result<f64> {
    const TIMES: u32 = 50;
    let mut file = File::create(directory.join("sync"))?;
    let mut took = Duration::ZERO;
    for _ in 0..TIMES {
        file.write_all(&[7; 16 * 1024])?;
        let began = Instant::now();
        file.sync_data()?;
        took += began.elapsed();
    }
    Ok(took.as_secs_f64() * 1000.0 / f64::from(TIMES))
}
