//! A thread that waits for an operation and for other things at once, and nodes that are stopped
//! and counted together.

mod support;

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use aire_mio::{Bell, Failure, Metrics, Node, Operation, Received};
use support::{PATIENCE, any_port, builder, certificate, connect, eventually};

fn soon() -> Option<Instant> {
    Instant::now().checked_add(PATIENCE)
}

/// Answers with the frames of its caller, and with what another thread says, as they come.
fn both(operation: &mut Operation) -> Result<(), Failure> {
    let bell = Arc::new(Bell::default());
    operation.rings(&bell);
    let (say, said) = mpsc::channel();
    let ringer = bell.clone();
    let other = thread::spawn(move || {
        say.send("other").expect("somebody listens");
        ringer.ring();
    });
    let mut more = true;
    let mut heard = false;
    while more || !heard {
        assert!(bell.wait(soon()), "nothing rings");
        while let Ok(word) = said.try_recv() {
            heard = true;
            operation.send(word)?;
        }
        while more {
            match operation.recv_frame_within(Duration::ZERO) {
                Ok(Some(Received::Stream(payload))) => operation.send(payload)?,
                Ok(Some(_)) => {}
                Ok(None) => more = false,
                Err(Failure::TimedOut) => break,
                Err(failure) => return Err(failure),
            }
        }
    }
    other.join().expect("it does not panic");
    Ok(())
}

#[test]
fn a_bell_rings_for_the_operation_and_for_whoever_else_rings_it() {
    let certificate = certificate();
    let node = builder(&certificate).agent("both", both).expect("free");
    let node = node.listen(any_port()).expect("a port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("both", "run", "").expect("a stream");
    let mut frames = Vec::new();
    for word in ["one", "two"] {
        operation.send(word).expect("it is open");
        while frames.last().is_none_or(|last| last != word.as_bytes()) {
            match operation.recv_frame_within(PATIENCE).expect("it goes on") {
                Some(Received::Stream(payload)) => frames.push(payload),
                Some(_) => {}
                None => panic!("it ended"),
            }
        }
    }
    operation.finish();
    while let Some(payload) = operation.recv().expect("a good end") {
        frames.push(payload);
    }
    frames.sort();
    assert_eq!(frames, [&b"one"[..], b"other", b"two"]);
}

#[test]
fn rings_that_nobody_waited_for_count_as_one() {
    let bell = Bell::default();
    bell.ring();
    bell.ring();
    assert!(bell.wait(soon()));
    assert!(!bell.wait(Some(Instant::now())));
}

#[test]
fn a_node_that_drains_is_over_once_everybody_has_gone() {
    let certificate = certificate();
    let node = builder(&certificate).agent("both", both).expect("free");
    let node = node.listen(any_port()).expect("a port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("both", "run", "").expect("a stream");
    assert_eq!(operation.recv(), Ok(Some(b"other".to_vec())));
    node.drain();
    assert!(!node.is_over(), "somebody is still there");
    operation.finish();
    assert_eq!(operation.recv(), Ok(None));
    drop(operation);
    drop(client);
    eventually("it is over", || node.is_over());
}

#[test]
fn nodes_are_counted_together() {
    let certificate = certificate();
    let nodes = [(); 2].map(|()| builder(&certificate).listen(any_port()).expect("a port"));
    for node in &nodes {
        let client = connect(node, &certificate);
        let mut operation = client.invoke("echo", "echo", "x").expect("a stream");
        assert_eq!(operation.recv(), Ok(Some(b"x".to_vec())));
    }
    let all: Metrics = nodes.iter().map(Node::metrics).sum();
    assert_eq!((all.served, all.connections_accepted), (2, 2));
    assert_eq!(all.frames_received.invoke, 2);
}
