//! Resumption over stores that outlive a node, that several nodes share, and that fail
//! (`RES-8`, `RES-11`).
#![cfg(all(feature = "durable", feature = "redis"))]

mod support;

use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use aire_mio::store::{DurableStore, MemoryStore, RedisStore, ResumeStore};
use aire_mio::store::{Limits, OperationKey, Record, new_token};
use aire_mio::{
    CancelReason, Certificate, Client, ErrorCode, Failure, Identity, Node, Operation, Resumable,
    Trust,
};
use aire_proto::UnixMillis;
use aire_proto::budget::Charge;
use aire_proto::resume::Ticket;
use aire_proto::wire::Budget;
use support::faulty::Faulty;
use support::redis::RedisServer;
use support::stage::{Gate, Stage, counting, next, numbers, quick, ticket};
use support::{PATIENCE, any_port, builder, certificate, collect, end_of, eventually, uri};

const SEED: [u8; 32] = [9; 32];

fn node(
    certificate: &Certificate,
    store: impl ResumeStore + 'static,
    agent: impl Fn(&mut Operation) -> Result<(), Failure> + Send + Sync + 'static,
) -> Node {
    builder(certificate)
        .settings(quick())
        .resume_store(store)
        .resumable_agent("it", agent, Resumable::default())
        .expect("a free name")
        .listen(any_port())
        .expect("a free port")
}

fn client(node: &Node, certificate: &Certificate) -> Client {
    Client::builder(Identity::from_seed(SEED), Trust::pinned(certificate.pin()))
        .settings(quick())
        .connect(&uri(node.address()))
        .expect("the node answers")
}

/// Leaves the operation, and its connection; the ticket to go on with.
fn left(client: Client, operation: Operation) -> Vec<u8> {
    ticket(&operation);
    let ticket = operation.leave().expect("it can be resumed");
    client.abandon();
    ticket
}

fn now() -> UnixMillis {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixMillis(now.expect("after 1970").as_millis() as i64)
}

#[test]
fn what_a_node_acknowledged_survives_its_crash_and_its_end_too() {
    let dir = support::Dir::new("resume-durable");
    let file = dir.0.join("operations");
    let (certificate, gate) = (certificate(), Gate::default());
    let store = Faulty::over(DurableStore::open(&file, 100).expect("a file"));
    let crashed = node(&certificate, store.clone(), counting(&gate));
    let live = client(&crashed, &certificate);
    let mut done = live.invoke("it", "", "5").expect("invoked");
    gate.open(5);
    assert_eq!(next(&mut done), "1");
    ticket(&done);
    let mut cut_short = live.invoke("it", "", "20").expect("invoked");
    gate.open(7);
    for n in 1..=7 {
        assert_eq!(next(&mut cut_short), n.to_string());
    }
    ticket(&cut_short);
    let done = done.leave().expect("a ticket");
    let cut_short = cut_short.leave().expect("a ticket");
    live.abandon();
    // Nothing reaches the file any more.
    store.fail();
    drop((crashed, store));
    gate.open(13);
    let mut again = None;
    eventually("the file is closed", || {
        again = DurableStore::open(&file, 100).ok();
        again.is_some()
    });
    let restarted = node(&certificate, again.expect("opened"), counting(&gate));
    let live = client(&restarted, &certificate);
    let mut done = live.resume(&done).expect("resumed");
    assert_eq!(numbers(&mut done), [2, 3, 4, 5]);
    let back = Ticket::decode(&cut_short).expect("a ticket");
    let earlier = Ticket {
        received: 4,
        ..back
    };
    let mut bytes = [0; Ticket::MAX_LEN];
    let earlier = earlier.encode(&mut bytes).expect("it fits");
    let mut cut_short = live.resume(earlier).expect("resumed");
    for n in 5..=7 {
        assert_eq!(next(&mut cut_short), n.to_string());
    }
    let Err(Failure::Failed { code, detail, .. }) = cut_short.recv() else {
        panic!("nobody works on it any more");
    };
    assert_eq!(code, ErrorCode::Application);
    assert!(detail.contains("is gone"), "{detail}");
}

#[test]
fn another_node_honours_the_token_while_the_first_one_works_on() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let store = || RedisStore::connect(&redis.url()).expect("it answers");
    let (certificate, gate) = (certificate(), Gate::default());
    let held = gate.clone();
    let first = node(&certificate, store(), move |operation: &mut Operation| {
        operation.set_budget_patience(PATIENCE);
        operation.send("begun")?;
        // Input, budget and cancel come by way of the other node.
        let input = operation.recv()?.unwrap_or_default();
        operation.send(input)?;
        operation.charge(&Charge {
            tokens: 7,
            ..Charge::default()
        })?;
        for n in 0..300_u32 {
            operation.send(vec![(n % 251) as u8; 20_000])?;
        }
        held.step();
        operation.sleep(Duration::MAX)
    });
    let second = node(&certificate, store(), |_| Ok(()));
    let began = client(&first, &certificate);
    let mut operation = began.invoke("it", "", "").expect("invoked");
    assert_eq!(next(&mut operation), "begun");
    operation.send_budget(Budget {
        tokens: Some(1),
        ..Budget::default()
    });
    std::thread::sleep(Duration::from_millis(100));
    let ticket = left(began, operation);
    let goes_on = client(&second, &certificate);
    let mut operation = goes_on.resume(&ticket).expect("resumed");
    operation.send("input").expect("sent");
    assert_eq!(next(&mut operation), "input");
    operation.send_budget(Budget {
        tokens: Some(10),
        ..Budget::default()
    });
    // More than the window holds: the handler waits for the other node's pump.
    for n in 0..300_u32 {
        assert_eq!(operation.recv(), Ok(Some(vec![(n % 251) as u8; 20_000])));
    }
    gate.open(1);
    operation.cancel(CancelReason::UserCancelled, "enough");
    assert!(end_of(&mut operation).is_err());
    assert_eq!(second.metrics().resumed, 1);
    assert_eq!(first.metrics().detached, 1);
}

#[test]
fn another_node_says_so_when_the_first_one_was_stopped_or_is_dead() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let store = || RedisStore::connect(&redis.url()).expect("it answers");
    let (certificate, gate) = (certificate(), Gate::default());
    let first = node(&certificate, store(), counting(&gate));
    let second = node(&certificate, store(), |_| Ok(()));
    let began = client(&first, &certificate);
    let mut operation = began.invoke("it", "", "5").expect("invoked");
    gate.open(3);
    assert_eq!(next(&mut operation), "1");
    let ticket = left(began, operation);
    eventually("it is detached", || first.metrics().detached == 1);
    first.stop();
    gate.open(2);
    let goes_on = client(&second, &certificate);
    let mut operation = goes_on.resume(&ticket).expect("resumed");
    assert_eq!(next(&mut operation), "2");
    assert_eq!(next(&mut operation), "3");
    let Err(Failure::Failed { code, detail, .. }) = end_of(&mut operation) else {
        panic!("it has stopped");
    };
    assert_eq!(code, ErrorCode::Application);
    assert!(detail.contains("was stopped"), "{detail}");

    // A node that dies says nothing more: this is what it leaves behind.
    let (key, token) = (OperationKey::random().unwrap(), new_token().unwrap());
    let record = Record {
        owner: Identity::from_seed(SEED).did().into(),
        agent: "it".into(),
        operation: String::new(),
        node: "did:key:dead".into(),
        limits: Limits {
            max_bytes: 1000,
            max_frames: 10,
        },
    };
    let lease = Duration::from_millis(300);
    let store = store();
    store.open(&key, &record, lease, now()).expect("room");
    let ttl = Duration::from_secs(60);
    store.issue(&key, &token, ttl, now()).expect("issued");
    store.append(&key, 1, b"its last").expect("kept");
    let ticket = Ticket {
        address: "aire://localhost",
        agent: "it",
        operation: "",
        token: &token,
        received: 0,
        expires: UnixMillis(now().0 + 60_000),
    };
    let mut bytes = [0; Ticket::MAX_LEN];
    let ticket = ticket.encode(&mut bytes).expect("it fits");
    let mut operation = goes_on.resume(ticket).expect("resumed");
    assert_eq!(next(&mut operation), "its last");
    let Err(Failure::Failed { detail, .. }) = end_of(&mut operation) else {
        panic!("it is dead");
    };
    assert!(detail.contains("is gone"), "{detail}");
}

#[test]
fn a_store_that_fails_at_first_makes_operations_that_cannot_be_resumed() {
    let (certificate, gate) = (certificate(), Gate::default());
    let store = Faulty::over(MemoryStore::new(10));
    store.fail();
    let node = node(&certificate, store, counting(&gate));
    let client = client(&node, &certificate);
    let mut operation = client.invoke("it", "", "3").expect("invoked");
    gate.open(1);
    assert_eq!(next(&mut operation), "1");
    assert_eq!(operation.ticket(), None);
    gate.open(2);
    assert_eq!(numbers(&mut operation), [2, 3]);
    assert_eq!(node.metrics().store_failures, 1);
}

#[test]
fn a_store_that_fails_later_lets_a_connected_operation_go_on() {
    let gate = Gate::default();
    let store = Faulty::over(MemoryStore::new(10));
    let broken = store.clone();
    let stage = Stage::with(Resumable::default(), counting(&gate), |node| {
        node.resume_store(store)
    });
    let client = stage.connect();
    let mut operation = client.invoke("it", "", "50").expect("invoked");
    gate.open(1);
    assert_eq!(next(&mut operation), "1");
    ticket(&operation);
    broken.fail();
    gate.open(10);
    for n in 2..=11 {
        assert_eq!(next(&mut operation), n.to_string());
    }
    assert_eq!(stage.node.metrics().store_failures, 1);
    // Its token is worth nothing now.
    stage.relay.silence(true);
    eventually("the client notices", || client.peer().is_none());
    stage.relay.silence(false);
    gate.open(39);
    let Err(Failure::Failed { code, detail, .. }) = end_of(&mut operation) else {
        panic!("it cannot be resumed");
    };
    assert_eq!(code, ErrorCode::Refused);
    assert_eq!(detail, "the resume store failed", "no more than that");
}

#[test]
fn a_store_that_fails_while_nobody_is_connected_ends_the_work() {
    let gate = Gate::default();
    let store = Faulty::over(MemoryStore::new(10));
    let broken = store.clone();
    let held = gate.clone();
    let (told, heard) = mpsc::channel();
    let stage = Stage::with(
        Resumable::default(),
        move |operation: &mut Operation| {
            operation.send("begun")?;
            held.step();
            let sent = operation.send("more");
            told.send(sent.clone()).expect("the test listens");
            sent
        },
        |node| node.resume_store(store),
    );
    let client = stage.connect_directly();
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert_eq!(next(&mut operation), "begun");
    left(client, operation);
    eventually("it is detached", || stage.node.metrics().detached == 1);
    broken.fail();
    gate.open(1);
    assert_eq!(heard.recv_timeout(PATIENCE), Ok(Err(Failure::Lost)));
}

#[test]
fn past_the_table_operations_are_served_and_cannot_be_resumed() {
    let gate = Gate::default();
    let stage = Stage::with(Resumable::default(), counting(&gate), |node| {
        node.resume_store(MemoryStore::new(2))
    });
    let client = stage.connect_directly();
    let mut operations: Vec<_> = (0..3)
        .map(|_| {
            let operation = client.invoke("it", "", "1").expect("invoked");
            std::thread::sleep(Duration::from_millis(50));
            operation
        })
        .collect();
    let last = operations.pop().expect("three");
    for operation in &operations {
        ticket(operation);
    }
    assert_eq!(last.ticket(), None);
    operations.push(last);
    gate.open(3);
    for operation in &mut operations {
        assert_eq!(collect(operation), Ok(vec![b"1".to_vec()]));
    }
    assert_eq!(stage.node.metrics().store_failures, 1);
}

#[test]
fn a_frame_larger_than_the_window_makes_an_operation_that_cannot_be_resumed() {
    let how = Resumable::default().window(100, 10);
    let stage = Stage::new(how, |operation: &mut Operation| {
        operation.send(vec![1; 100])?;
        operation.send(vec![2; 101])?;
        operation.send(vec![3; 1])
    });
    let client = stage.connect_directly();
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let lens: Vec<_> = collect(&mut operation)
        .expect("it ends well")
        .iter()
        .map(Vec::len)
        .collect();
    assert_eq!(lens, [100, 101, 1]);
    assert_eq!(stage.node.metrics().store_failures, 1);
}
