//! How nodes and clients end: idle, in the middle of things, twice, from anywhere.

mod support;

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use aire_mio::driver::{Calls, Event};
use aire_mio::{
    CancelReason, Client, Closed, ConnectionKey, Error, ErrorCode, Failure, Node, Operation,
};
use aire_proto::connection::CloseReason;
use support::raw::{Raw, config, hello};
use support::{
    PATIENCE, any_port, builder, certificate, client, collect, connect, echo, end_of, eventually,
    short_drain, with_agent,
};

#[test]
fn a_node_with_nobody_connected_stops_at_once() {
    let certificate = certificate();
    let node = builder(&certificate).listen(any_port()).expect("a port");
    let address = node.address();
    node.stop();
    // Its port is free again.
    let again = builder(&certificate).listen(address).expect("the port");
    drop(again);
}

#[test]
fn a_node_with_an_idle_connection_says_goodbye_and_stops() {
    let (node, client) = with_agent(|_| Ok(()));
    assert_eq!(echo(&client, "x"), "x");
    node.stop();
    assert_eq!(
        client.wait_closed(PATIENCE),
        Some(Closed::Protocol(CloseReason::Done))
    );
    assert_eq!((client.peer(), client.minor()), (None, None));
}

#[test]
fn past_the_drain_timeout_live_operations_are_lost_and_their_handlers_told() {
    let (told, heard) = mpsc::channel();
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("it", move |operation: &mut Operation| {
            let slept = operation.sleep(Duration::MAX);
            told.send(slept.clone()).expect("the test listens");
            slept
        })
        .expect("a free name")
        .settings(short_drain())
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert_eq!(echo(&client, "x"), "x");
    node.stop();
    assert_eq!(heard.recv_timeout(PATIENCE), Ok(Err(Failure::Lost)));
    assert_eq!(end_of(&mut operation), Err(Failure::Lost));
    assert!(client.wait_closed(PATIENCE).is_some());
}

#[test]
fn a_node_stops_although_a_handshake_is_half_done() {
    let certificate = certificate();
    let node = builder(&certificate).listen(any_port()).expect("a port");
    // QUIC is up, half a HELLO is said.
    let mut half = Raw::connect(node.address());
    let hello = hello();
    half.say(0, &hello[..hello.len() / 2], false);
    half.linger(Duration::from_millis(50));
    // QUIC is not up: the client's first flight after the Retry is the last thing it says.
    let mut dialling = Raw::dial(node.address(), &mut config());
    dialling.flush();
    thread::sleep(Duration::from_millis(50));
    dialling.turn();
    let stopped = thread::spawn(move || node.stop());
    half.until("the node closes", |raw| raw.quic.peer_error().is_some());
    assert_eq!(half.closed_with(), Some(0));
    eventually("the node has stopped", || stopped.is_finished());
}

#[test]
fn operations_opened_while_the_node_stops_are_refused() {
    let (told, heard) = mpsc::channel();
    let (node, client) = with_agent(move |operation| {
        told.send(()).expect("the test listens");
        operation.sleep(Duration::from_millis(500))
    });
    let mut live = client.invoke("it", "", "").expect("invoked");
    heard.recv().expect("it runs");
    let stopping = thread::spawn(move || node.stop());
    eventually("an invoke is refused", || {
        match client.invoke("echo", "", "x") {
            // GOODBYE was on its way yet.
            Ok(mut operation) => {
                let _early = end_of(&mut operation);
                false
            }
            Err(Error::Call(error)) => {
                assert!(error.to_string().contains("no further"), "{error}");
                true
            }
            Err(error) => panic!("{error}"),
        }
    });
    assert_eq!(end_of(&mut live), Ok(()));
    stopping.join().expect("it stops");
}

#[test]
fn a_client_that_is_dropped_before_its_operations_lets_them_finish() {
    let (node, client) = with_agent(|operation| {
        operation.sleep(Duration::from_millis(200))?;
        operation.send("done")
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let taken = thread::spawn(move || collect(&mut operation));
    drop(client);
    let frames = taken.join().expect("no panic");
    assert_eq!(frames, Ok(vec![b"done".to_vec()]));
    node.stop();
}

#[test]
fn an_operation_that_outlives_its_client_and_its_loop_only_fails() {
    let (told, heard) = mpsc::channel();
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("it", move |operation: &mut Operation| {
            told.send(()).expect("the test listens");
            operation.sleep(Duration::MAX)
        })
        .expect("a free name")
        .settings(short_drain())
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("it", "", "").expect("invoked");
    heard.recv().expect("it runs");
    let kept = thread::spawn(move || {
        let ended = end_of(&mut operation);
        // The loop is gone: none of these may hang or panic.
        let sent = operation.send("late");
        operation.finish();
        operation.cancel(CancelReason::UserCancelled, "late");
        operation.send_budget(aire_proto::wire::Budget::default());
        (ended, sent)
    });
    let canceller = client.invoke("echo", "", "x").expect("invoked");
    drop(canceller);
    drop(node);
    drop(client);
    let (ended, sent) = kept.join().expect("no panic");
    assert_eq!(ended, Err(Failure::Lost));
    assert_eq!(sent, Err(Failure::Lost));
}

#[test]
fn a_client_whose_node_is_gone_for_good_is_dropped_in_time() {
    let certificate = certificate();
    let node = builder(&certificate).listen(any_port()).expect("a port");
    let relay = support::relay::Relay::start(node.address(), Default::default());
    let client = client(&certificate)
        .connect(&support::uri(relay.address))
        .expect("through the relay");
    relay.silence(true);
    let before = Instant::now();
    drop(client);
    assert!(before.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_node_dropped_by_its_own_agents_neither_hangs_nor_aborts() {
    // From the loop's own thread, where nobody can wait for the loop's end.
    let slot: Arc<Mutex<Option<Node>>> = Arc::default();
    let inside = slot.clone();
    let certificate = certificate();
    let node = builder(&certificate)
        .event_agent(
            "loop",
            move |_: ConnectionKey, event: Event<'_>, calls: &mut Calls<'_>| {
                if let Event::Protocol(aire_proto::Event::Invoked { stream, .. }) = event {
                    drop(inside.lock().expect("unharmed").take());
                    calls.finish(stream).expect("open");
                }
            },
        )
        .expect("a free name")
        .settings(short_drain())
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, &certificate);
    *slot.lock().expect("unharmed") = Some(node);
    let mut operation = client.invoke("loop", "", "").expect("invoked");
    assert_eq!(end_of(&mut operation), Ok(()));
    assert!(client.wait_closed(PATIENCE).is_some());
}

#[test]
fn a_node_dropped_by_a_handler_ends_with_the_drain_timeout() {
    let slot: Arc<Mutex<Option<Node>>> = Arc::default();
    let inside = slot.clone();
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("it", move |_: &mut Operation| {
            drop(inside.lock().expect("unharmed").take());
            Ok(())
        })
        .expect("a free name")
        .settings(short_drain())
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, &certificate);
    *slot.lock().expect("unharmed") = Some(node);
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert_eq!(end_of(&mut operation), Err(Failure::Lost));
    assert!(client.wait_closed(PATIENCE).is_some());
}

#[test]
fn a_client_may_be_dropped_by_a_handler_of_another_node() {
    let (_first, client) = with_agent(|_| Ok(()));
    let client = Mutex::new(Some(client));
    let (_second, caller) = with_agent(move |operation| {
        let client: Option<Client> = client.lock().expect("unharmed").take();
        let client = client.expect("asked once");
        let answer = echo(&client, "through");
        drop(client);
        operation.send(answer)
    });
    let mut operation = caller.invoke("it", "", "").expect("invoked");
    assert_eq!(collect(&mut operation), Ok(vec![b"through".to_vec()]));
}

#[test]
fn every_way_to_wait_ends_when_the_connection_is_lost() {
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("it", |operation: &mut Operation| {
            operation.sleep(Duration::MAX)
        })
        .expect("a free name")
        .settings(short_drain())
        .listen(any_port())
        .expect("a port");
    let client = Arc::new(connect(&node, &certificate));
    let waits: Vec<_> = (0..3)
        .map(|which| {
            let client = client.clone();
            let mut operation = client.invoke("it", "", "").expect("invoked");
            thread::spawn(move || match which {
                0 => operation.recv().map(|_| ()),
                1 => operation.sleep(Duration::MAX),
                _ => loop {
                    if let Err(failure) = operation.send(vec![0; 100_000]) {
                        break Err(failure);
                    }
                },
            })
        })
        .collect();
    let waiter = thread::spawn(move || client.wait_closed(PATIENCE));
    thread::sleep(Duration::from_millis(100));
    node.stop();
    let ends = waits.into_iter().map(|wait| wait.join().expect("no panic"));
    for end in ends {
        assert!(end.is_err(), "{end:?}");
    }
    assert!(waiter.join().expect("no panic").is_some());
}

#[test]
fn a_node_without_threads_to_spare_refuses_and_serves_on() {
    let certificate = certificate();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let node = builder(&certificate)
        .agent("it", move |_: &mut Operation| {
            let _gone = wait.lock().expect("one at a time").recv();
            Ok(())
        })
        .expect("a free name")
        .max_workers(1)
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, &certificate);
    let mut busy = client.invoke("it", "", "").expect("invoked");
    eventually("the only thread is taken", || {
        let mut refused = client.invoke("it", "", vec![1; 100_000]).expect("invoked");
        match refused.recv_frame_within(Duration::from_millis(200)) {
            Err(Failure::Failed { code, detail, .. }) => {
                assert_eq!(code, ErrorCode::Refused);
                assert!(detail.contains("as many operations"), "{detail}");
                true
            }
            Err(Failure::TimedOut) => false,
            other => panic!("{other:?}"),
        }
    });
    drop(go);
    assert_eq!(end_of(&mut busy), Ok(()));
    eventually("the thread is free again", || {
        let mut operation = client.invoke("echo", "", "x").expect("invoked");
        end_of(&mut operation).is_ok()
    });
}
