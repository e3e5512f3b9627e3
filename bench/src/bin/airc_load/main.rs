//! Puts load on an AIRC registry, and checks that nothing is lost: agents that have consented send
//! each other signed messages, all of them signed beforehand, over connections that stay open; then
//! every inbox is read. `scripts/bench-airc.sh` starts a registry for it.
//!
//! It shares no code with the registry but the curve: the canonical JSON is written by hand.

mod agent;
mod http;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use agent::Agent;
use http::Connection;

type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
struct Arguments {
    /// Where the registry listens; it must be open, and without rate limits.
    address: SocketAddr,
    /// How many agents send, each to the next one.
    #[arg(long, default_value_t = 1000)]
    agents: usize,
    /// How many connections send at a time, one request after another on each.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How many messages are sent.
    #[arg(long, default_value_t = 60_000)]
    messages: usize,
    /// How many agents poll their inboxes meanwhile, every three seconds each.
    #[arg(long, default_value_t = 0)]
    polling: usize,
    /// What the row of the table is called.
    #[arg(long, default_value = "registry")]
    name: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    // Futures that are not Send, on the one thread that there is.
    tokio::task::LocalSet::new().run_until(run(arguments)).await
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let count = arguments.agents.max(2);
    let run = agent::now();
    let agents = (0..count).map(|index| Agent::new(index, run)).collect();
    let agents: Rc<Vec<Agent>> = Rc::new(agents);
    let address = arguments.address;

    in_parallel(&arguments, count, {
        let agents = Rc::clone(&agents);
        move |index| vec![agents[index].registration()]
    })
    .await?;
    in_parallel(&arguments, count, {
        let agents = Rc::clone(&agents);
        move |index| {
            let next = &agents[(index + 1) % count];
            vec![
                agents[index].consent("request", next),
                next.consent("accept", &agents[index]),
            ]
        }
    })
    .await?;

    let requests: Vec<Vec<u8>> = (0..arguments.messages)
        .map(|number| {
            let sender = number % count;
            agents[sender].message(number, &agents[(sender + 1) % count])
        })
        .collect();
    let requests = Rc::new(requests);

    let polling = poll_meanwhile(address, &agents, arguments.polling);
    let began = Instant::now();
    let mut senders = JoinSet::new();
    for first in 0..arguments.connections {
        let requests = Rc::clone(&requests);
        let step = arguments.connections;
        senders.spawn_local(async move {
            let mut connection = Connection::open(address).await?;
            let mut latencies = Histogram::<u64>::new(3)?;
            for request in requests.iter().skip(first).step_by(step) {
                let asked = Instant::now();
                let (status, body) = connection.ask(request).await?;
                latencies.record(asked.elapsed().as_micros() as u64)?;
                if status != 200 && status != 202 {
                    return Err(format!("answered {status}: {body}").into());
                }
            }
            Ok::<_, Failure>(latencies)
        });
    }
    let mut latencies = Histogram::<u64>::new(3)?;
    while let Some(done) = senders.join_next().await {
        latencies.add(done??)?;
    }
    let took = began.elapsed();
    let polls = polling.stop().await?;

    check(address, &agents, run, arguments.messages).await?;
    let millis = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    println!(
        "| {} | {} | {} | {} | {:.0} | {:.1} | {:.1} | {:.1} |",
        arguments.name,
        count,
        arguments.connections,
        polls,
        arguments.messages as f64 / took.as_secs_f64(),
        millis(0.5),
        millis(0.99),
        millis(1.0),
    );
    Ok(())
}

/// Sends what `requests` makes for each agent, several agents at a time. All must be taken.
async fn in_parallel(
    arguments: &Arguments,
    count: usize,
    requests: impl Fn(usize) -> Vec<Vec<u8>> + Clone + 'static,
) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    for first in 0..arguments.connections {
        let (address, step) = (arguments.address, arguments.connections);
        let requests = requests.clone();
        tasks.spawn_local(async move {
            let mut connection = Connection::open(address).await?;
            let mut refused = None;
            for index in (first..count).step_by(step) {
                for request in requests(index) {
                    let (status, body) = connection.ask(&request).await?;
                    if status >= 300 && refused.is_none() {
                        refused = Some(format!("{status}: {body}"));
                    }
                }
            }
            Ok::<_, Failure>(refused)
        });
    }
    let mut refused = None;
    while let Some(done) = tasks.join_next().await {
        refused = refused.or(done??);
    }
    refused.map_or(Ok(()), |refused| Err(refused.into()))
}

struct Polling {
    tasks: JoinSet<Result<u64, Failure>>,
    over: Rc<std::cell::Cell<bool>>,
}

impl Polling {
    /// Ends it. How many polls there were.
    async fn stop(mut self) -> Result<u64, Failure> {
        self.over.set(true);
        let mut polls = 0;
        while let Some(done) = self.tasks.join_next().await {
            polls += done??;
        }
        Ok(polls)
    }
}

fn poll_meanwhile(address: SocketAddr, agents: &Rc<Vec<Agent>>, count: usize) -> Polling {
    const PERIOD: Duration = Duration::from_secs(3);
    let over = Rc::new(std::cell::Cell::new(false));
    let mut tasks = JoinSet::new();
    for index in 0..count.min(agents.len()) {
        let (agents, over) = (Rc::clone(agents), Rc::clone(&over));
        tasks.spawn_local(async move {
            let mut connection = Connection::open(address).await?;
            // Not all at once.
            tokio::time::sleep(PERIOD.mul_f64(index as f64 / count as f64)).await;
            let (mut cursor, mut polls) = (None, 0);
            while !over.get() {
                let (status, body) = connection
                    .ask(&agents[index].poll(cursor.as_deref()))
                    .await?;
                if status != 200 {
                    return Err(format!("a poll was answered {status}: {body}").into());
                }
                polls += 1;
                let page: serde_json::Value = serde_json::from_str(&body)?;
                cursor = page["cursor"].as_str().map(str::to_owned);
                if page["hasMore"] != true {
                    tokio::time::sleep(PERIOD).await;
                }
            }
            Ok(polls)
        });
    }
    Polling { tasks, over }
}

/// Reads every inbox: each message is in the right one, once.
async fn check(
    address: SocketAddr,
    agents: &[Agent],
    run: u64,
    sent: usize,
) -> Result<(), Failure> {
    let mut connection = Connection::open(address).await?;
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(sent);
    for (index, agent) in agents.iter().enumerate() {
        let mut cursor = None;
        loop {
            let (status, body) = connection.ask(&agent.poll(cursor.as_deref())).await?;
            if status != 200 {
                return Err(format!("an inbox was answered {status}: {body}").into());
            }
            let page: serde_json::Value = serde_json::from_str(&body)?;
            for message in page["messages"].as_array().into_iter().flatten() {
                let id = message["id"].as_str().unwrap_or_default().to_owned();
                if seen.insert(id.clone(), index).is_some() {
                    return Err(format!("{id} came twice").into());
                }
            }
            cursor = page["cursor"].as_str().map(str::to_owned);
            if page["hasMore"] != true {
                break;
            }
        }
    }
    for number in 0..sent {
        let recipient = (number % agents.len() + 1) % agents.len();
        if seen.get(&agent::message_id(run, number)) != Some(&recipient) {
            return Err(format!("message {number} was accepted, and is not in its inbox").into());
        }
    }
    Ok(())
}
