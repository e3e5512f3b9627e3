//! A crowd: nothing is lost, nothing comes twice, and what one says comes in the order in which it
//! was said.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Agent, PATIENCE, Stand};

const AGENTS: usize = 1000;

/// How many messages each agent sends to each of those that it sends to.
const EACH: usize = 2;

/// Whom an agent sends to: so many places further on.
const STEPS: [usize; 2] = [1, 7];

const THREADS: usize = 8;

/// An inbox, as far as it was read.
#[derive(Default)]
struct Reader {
    cursor: Option<String>,
    /// Sender and number of each message, as they came.
    got: Vec<(String, usize)>,
}

impl Reader {
    fn poll(&mut self, stand: &Stand, agent: &Agent) {
        let target = match &self.cursor {
            Some(cursor) => format!("/messages?limit=3&since={cursor}"),
            None => "/messages?limit=3".into(),
        };
        let page = stand.get_as(agent, &target).is(200).json();
        for message in page["messages"].as_array().expect("messages") {
            assert_eq!(message["to"], agent.handle.as_str());
            let from = message["from"].as_str().expect("a sender");
            let number = message["payload"]["data"]["number"]
                .as_u64()
                .expect("a number");
            self.got.push((
                from.to_owned(),
                usize::try_from(number).expect("a small one"),
            ));
        }
        self.cursor = page["cursor"].as_str().map(str::to_owned);
    }
}

/// Does `work` for every agent, on several threads.
fn for_each(work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= AGENTS {
                        return;
                    }
                    work(index);
                }
            });
        }
    });
}

fn send(stand: &Stand, from: &Agent, to: &Agent, number: usize) {
    let payload = json!({ "type": "count", "data": { "number": number } });
    let message = from.message(to, json!({ "payload": payload }));
    let reply: Value = stand.post("/messages", &message).is(200).json();
    assert_eq!(reply["consent"], "accepted");
}

#[test]
fn a_thousand_agents_poll_while_others_send_and_nothing_is_lost_or_doubled() {
    let stand = Stand::new();
    let agents: Vec<Agent> = (0..AGENTS)
        .map(|number| Agent::new(&format!("agent_{number}")))
        .collect();
    for_each(|index| {
        let registration = agents[index].registration(json!({}));
        stand.post("/identity", &registration).is(201);
    });
    for_each(|index| {
        for step in STEPS {
            let from = &agents[(index + AGENTS - step) % AGENTS];
            let body = agents[index].signed(json!({
                "from": agents[index].handle,
                "to": from.handle,
            }));
            stand.post("/consent/accept", &body).is(200);
        }
    });

    thread::scope(|scope| {
        let sending = Arc::new(scope.spawn(|| {
            for_each(|index| {
                for number in 0..EACH {
                    for step in STEPS {
                        let to = &agents[(index + step) % AGENTS];
                        send(&stand, &agents[index], to, number);
                    }
                }
            });
        }));
        for first in 0..THREADS {
            let (stand, agents, sending) = (&stand, &agents, Arc::clone(&sending));
            scope.spawn(move || {
                let began = Instant::now();
                let mut readers: Vec<(usize, Reader)> = (first..AGENTS)
                    .step_by(THREADS)
                    .map(|index| (index, Reader::default()))
                    .collect();
                loop {
                    // Whatever was accepted before a poll begins is in it.
                    let all_sent = sending.is_finished();
                    for (index, reader) in &mut readers {
                        let wanted = EACH * STEPS.len();
                        let had = reader.got.len();
                        if had < wanted || all_sent {
                            reader.poll(stand, &agents[*index]);
                        }
                        assert!(reader.got.len() <= wanted, "{:?}", reader.got);
                    }
                    let read_all =
                        |(_, reader): &(usize, Reader)| reader.got.len() == EACH * STEPS.len();
                    if all_sent && readers.iter().all(read_all) {
                        break;
                    }
                    assert!(began.elapsed() < PATIENCE, "something is lost");
                    thread::sleep(Duration::from_millis(20));
                }
                for (index, reader) in &readers {
                    for step in STEPS {
                        let from = &agents[(index + AGENTS - step) % AGENTS].handle;
                        let numbers: Vec<usize> = reader
                            .got
                            .iter()
                            .filter(|(sender, _)| sender == from)
                            .map(|(_, number)| *number)
                            .collect();
                        assert!(numbers.iter().copied().eq(0..EACH), "{from}: {numbers:?}");
                    }
                }
            });
        }
    });
}
