//! What a node says of itself: every metric is moved by what it counts, the text is one that
//! Prometheus reads, and who looks on sees connections and operations as they are.

mod support;

use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

use aire_mio::driver::{Calls, Event};
use aire_mio::{
    CancelReason, Client, ErrorCode, Failure, Frames, Metrics, Node, Operation, OperationsEnded,
    Settings, Trust,
};
use aire_proto::budget::{Cap, Charge};
use aire_proto::wire::Budget;
use support::exposition::Exposition;
use support::raw::{self, Raw, hello_of};
use support::{
    any_port, builder, certificate, collect, connect, echo, end_of, eventually, identity,
    short_drain, uri, with_agent,
};

/// An agent that does what the operation's name says.
fn obedient(operation: &mut Operation) -> Result<(), Failure> {
    match operation.operation() {
        "fail" => Err(Failure::application("as asked")),
        "wait" => operation.sleep(Duration::from_secs(600)),
        "spend" => loop {
            operation.charge(&Charge::tokens(1))?;
        },
        _ => operation.send(operation.args().to_vec()),
    }
}

fn ended(metrics: &Metrics) -> OperationsEnded {
    metrics.operations_ended
}

#[test]
fn operations_are_counted_by_how_they_end() {
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("it", obedient)
        .expect("a free name")
        .agent("soon", obedient)
        .expect("a free name")
        .cap(|_, agent| Cap {
            tokens: Some(5),
            time: (agent == "soon").then_some(Duration::from_millis(50)),
            ..Cap::default()
        })
        .listen(any_port())
        .expect("a free port");
    let client = connect(&node, &certificate);
    let run = |agent, what| {
        let mut operation = client.invoke(agent, what, "").expect("invoked");
        end_of(&mut operation)
    };
    run("it", "echo").expect("it ends well");
    eventually("an end is counted", || {
        ended(&node.metrics()).completed == 1
    });
    run("it", "fail").expect_err("it fails");
    eventually("a failure is counted", || {
        ended(&node.metrics()).failed == 1
    });
    run("it", "spend").expect_err("there are five tokens");
    eventually("a budget is counted", || {
        ended(&node.metrics()).budget_exceeded == 1
    });
    run("soon", "wait").expect_err("there is no time");
    eventually("a deadline is counted", || {
        ended(&node.metrics()).deadline_exceeded == 1
    });
    run("nobody", "").expect_err("there is no such agent");
    eventually("a refusal is counted", || {
        ended(&node.metrics()).refused == 1
    });
    let mut operation = client.invoke("it", "wait", "").expect("invoked");
    operation.cancel(CancelReason::UserCancelled, "enough");
    eventually("a cancel is counted", || {
        ended(&node.metrics()).cancelled == 1
    });
    let last = client.invoke("it", "wait", "").expect("invoked");
    eventually("it is live", || node.metrics().operations_live == 1);
    client.abandon();
    eventually("a loss is counted", || ended(&node.metrics()).lost == 1);
    drop(last);
    let metrics = node.metrics();
    assert_eq!(metrics.served, 7);
    assert_eq!(ended(&metrics).total(), 7, "each ended once");
    eventually("nothing is live", || node.metrics().operations_live == 0);
}

#[test]
fn an_operation_that_there_is_no_room_for_is_counted_as_refused() {
    let mut settings = short_drain();
    settings.protocol.max_operations = 1;
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("it", obedient)
        .expect("a free name")
        .settings(settings)
        .listen(any_port())
        .expect("a free port");
    let mut raw = Raw::greet(node.address());
    let waits = [
        raw::number(2),
        b"it".to_vec(),
        raw::number(4),
        b"wait".to_vec(),
    ];
    raw.say(4, &raw::frame(raw::INVOKE, 4, &waits.concat()), false);
    eventually("it is served", || {
        raw.turn();
        node.metrics().served == 1
    });
    raw.say(8, &raw::invoke(8, "it", b""), false);
    eventually("it is refused", || {
        raw.turn();
        ended(&node.metrics()).refused == 1
    });
    assert_eq!(node.metrics().served, 1);
}

#[test]
fn connections_are_counted_by_who_began_them_and_while_there_are_any() {
    let certificate = certificate();
    let node = builder(&certificate)
        .settings(short_drain())
        .listen(any_port())
        .expect("a free port");
    let client = connect(&node, &certificate);
    let other = connect(&node, &certificate);
    eventually("two are open", || node.metrics().connections_open == 2);
    let metrics = node.metrics();
    assert_eq!(
        (metrics.connections_accepted, metrics.connections_dialled),
        (2, 0)
    );
    let metrics = client.metrics();
    assert_eq!(
        (metrics.connections_accepted, metrics.connections_dialled),
        (0, 1)
    );
    drop((client, other));
    eventually("none is open", || node.metrics().connections_open == 0);
    assert_eq!(node.metrics().connections_accepted, 2);
    assert_eq!(node.metrics().handshakes_failed.total(), 0);
}

#[test]
fn handshakes_that_fail_are_counted_by_the_reason() {
    let mut settings = short_drain();
    settings.protocol.handshake_timeout = Duration::from_secs(2);
    let certificate = certificate();
    let node = builder(&certificate)
        .settings(settings)
        .listen(any_port())
        .expect("a free port");
    let failed = || node.metrics().handshakes_failed;
    let say = |bytes: &[u8]| {
        let mut raw = Raw::connect(node.address());
        raw.say(0, bytes, false);
        raw.until("the node closes", |raw| raw.quic.peer_error().is_some());
    };
    let hello = hello_of([7; 32]);
    let mut first = Raw::greet_with(node.address(), &hello);
    say(&hello);
    eventually("a replay is counted", || failed().replayed_nonce == 1);
    let mut forged = hello_of([8; 32]);
    *forged.last_mut().expect("a signature") ^= 1;
    say(&forged);
    eventually("a bad signature is counted", || failed().bad_signature == 1);
    say(&raw::frame(raw::HELLO, 0, &[0]));
    eventually("what does not parse is counted", || {
        failed().malformed_frame == 1
    });
    say(&raw::frame(raw::GOODBYE, 0, &[]));
    eventually("a violation is counted", || {
        failed().protocol_violation == 1
    });
    say(&raw::head(raw::HELLO, 0, 1 << 40));
    eventually("what is too large is counted", || {
        failed().frame_too_large == 1
    });
    let mut mute = Raw::connect(node.address());
    mute.until("the node closes", |raw| raw.quic.peer_error().is_some());
    eventually("silence is counted", || failed().timeout == 1);
    let distrusts = Client::builder(identity(), Trust::system_roots());
    distrusts
        .connect(&uri(node.address()))
        .expect_err("a certificate that nobody signed");
    eventually("what TLS refuses is counted", || failed().transport == 1);
    assert_eq!(failed().total(), 7, "each once: {:?}", failed());
    let text = Exposition::read(&node.metrics().prometheus());
    let by_reason = |reason: &str| {
        text.value(&format!(
            "aire_handshakes_failed_total{{reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(by_reason("replayed_nonce") + by_reason("transport"), 2.0);
    assert_eq!(text.value("aire_replays_rejected_total"), 1.0);
    first.ask(4, "echo", b"still here");
}

#[test]
fn frames_and_bytes_are_counted_at_both_ends_alike() {
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("it", |operation: &mut Operation| {
            for _ in 0..3 {
                let frame = operation.recv()?.expect("three come");
                operation.send(frame)?;
            }
            Err(Failure::application("as asked"))
        })
        .expect("a free name")
        .settings(short_drain())
        .listen(any_port())
        .expect("a free port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("it", "", vec![1; 5000]).expect("invoked");
    operation.send_budget(Budget {
        tokens: Some(7),
        ..Budget::default()
    });
    for len in [0, 1, 100_000] {
        operation.send(vec![2; len]).expect("there is room");
    }
    end_of(&mut operation).expect_err("as asked");
    let mut cancelled = client.invoke("it", "", "").expect("invoked");
    cancelled.cancel(CancelReason::UserCancelled, "");
    end_of(&mut cancelled).expect_err("cancelled");
    eventually("all is counted", || {
        let (here, there) = (client.metrics(), node.metrics());
        // One says as it was asked, the other answers the cancel.
        there.frames_sent.error == 2
            && here.frames_sent == there.frames_received
            && here.frames_received == there.frames_sent
    });
    let metrics = node.metrics();
    let came = metrics.frames_received;
    let each = |frames: Frames| {
        [
            frames.hello,
            frames.invoke,
            frames.stream,
            frames.budget,
            frames.cancel,
            frames.error,
            frames.goodbye,
        ]
    };
    assert_eq!(each(came), [1, 2, 3, 1, 1, 0, 0]);
    let sent = metrics.frames_sent;
    assert_eq!(each(sent), [1, 0, 3, 0, 0, 2, 0]);
    // Either side's proof that its key is at this end of the channel.
    assert_eq!((came.vendor, sent.vendor), (1, 1));
    let traffic = metrics.traffic;
    assert_eq!(traffic.stream_bytes_received, 100_001);
    assert_eq!(traffic.stream_bytes_sent, 100_001);
    assert!(traffic.bytes_received > 105_000 && traffic.bytes_sent > 100_000);
    assert!(traffic.datagrams_received > 70 && traffic.datagrams_sent > 70);
    drop(client);
    eventually("GOODBYE is counted", || {
        node.metrics().frames_received.goodbye == 1
    });
}

#[test]
fn frames_of_unknown_types_are_counted_and_change_nothing() {
    let certificate = certificate();
    let node = builder(&certificate).listen(any_port()).expect("listens");
    let mut raw = Raw::greet(node.address());
    let unknown = [
        raw::frame(0x40, 4, &[1; 2000]),
        raw::frame(0x90, 4, b""),
        raw::invoke(4, "echo", b"all the same"),
    ];
    raw.say(4, &unknown.concat(), true);
    raw.until("the answer is here", |raw| raw.finished(4));
    eventually("they are counted", || {
        let came = node.metrics().frames_received;
        (came.reserved, came.vendor, came.invoke) == (1, 1, 1)
    });
}

#[test]
fn the_text_is_one_that_prometheus_reads_and_says_what_the_numbers_say() {
    let (node, client) = with_agent(obedient);
    let before = Exposition::read(&node.metrics().prometheus());
    assert_eq!(echo(&client, "hello"), "hello");
    eventually("its end is counted", || {
        ended(&node.metrics()).completed == 1
    });
    let metrics = node.metrics();
    let text = Exposition::read(&metrics.prometheus());
    assert_eq!(text.len(), before.len(), "a series is there from the start");
    assert_eq!(text.len(), metrics.samples().len());
    let expected = [
        ("aire_connections_opened_total{side=\"peer\"}", 1.0),
        ("aire_connections_open", 1.0),
        ("aire_operations_served_total", 1.0),
        ("aire_operations_ended_total{outcome=\"completed\"}", 1.0),
        (
            "aire_operations_ended_total{outcome=\"budget_exceeded\"}",
            0.0,
        ),
        (
            "aire_frames_total{direction=\"received\",type=\"invoke\"}",
            1.0,
        ),
        ("aire_frames_total{direction=\"sent\",type=\"stream\"}", 1.0),
        ("aire_stream_payload_bytes_total{direction=\"sent\"}", 5.0),
        ("aire_connections_rate_limited_total", 0.0),
        ("aire_stalls_total{layer=\"budget\"}", 0.0),
        ("aire_stalled_seconds_total{layer=\"transport\"}", 0.0),
        ("aire_operations_resumed_total", 0.0),
        ("aire_resumes_refused_total", 0.0),
    ];
    for (series, value) in expected {
        assert_eq!(text.value(series), value, "{series}");
    }
    let bytes = text.value("aire_udp_bytes_total{direction=\"received\"}");
    assert!(bytes > 1200.0);
}

#[test]
fn a_stall_for_a_budget_is_seconds_in_the_text() {
    let (node, client) = with_agent(|operation: &mut Operation| {
        operation.set_budget_patience(Duration::from_secs(60));
        while !matches!(operation.recv_frame()?, Some(aire_mio::Received::Budget(_))) {}
        operation.charge(&Charge::tokens(2))
    });
    let tokens = |tokens| Budget {
        tokens: Some(tokens),
        ..Budget::default()
    };
    let mut operation = client.invoke("it", "", "").expect("invoked");
    operation.send_budget(tokens(1));
    let report = operation.recv_frame().expect("it waits");
    assert!(matches!(report, Some(aire_mio::Received::Budget(_))));
    operation.send_budget(tokens(2));
    collect(&mut operation).expect("it goes on");
    eventually("the stall is counted", || node.metrics().budget_stalls == 1);
    let text = Exposition::read(&node.metrics().prometheus());
    assert_eq!(text.value("aire_stalls_total{layer=\"budget\"}"), 1.0);
    let seconds = text.value("aire_stalled_seconds_total{layer=\"budget\"}");
    assert!(seconds > 0.0 && seconds < 600.0, "{seconds}");
}

#[test]
fn who_looks_on_sees_connections_and_their_operations() {
    let began = SystemTime::now();
    let (told, hears) = channel();
    let (node, client) = with_agent(move |operation: &mut Operation| {
        let frame = operation.recv()?.expect("one comes");
        operation.charge(&Charge::tokens(3))?;
        operation.send(frame)?;
        operation.send("more")?;
        told.send(()).expect("the test listens");
        operation.sleep(Duration::from_secs(600))
    });
    let mut operation = client.invoke("it", "look", "arguments").expect("invoked");
    operation.send_budget(Budget {
        tokens: Some(10),
        ..Budget::default()
    });
    operation.send("12345").expect("there is room");
    hears.recv().expect("it was served");
    operation.recv().expect("it answers");
    operation.recv().expect("it answers");
    let connections = node.connections();
    let [connection] = connections.as_slice() else {
        panic!("there is one: {connections:?}");
    };
    assert!(connection.peer.starts_with("did:key:z6Mk"));
    assert_eq!(node.peers(), std::slice::from_ref(&connection.peer));
    assert!(connection.address.ip().is_loopback() && connection.address.port() > 0);
    assert!(!connection.dialled);
    assert!(connection.since >= began && connection.since <= SystemTime::now());
    assert!(connection.rtt > Duration::ZERO);
    assert!(connection.bytes_received > 1200 && connection.bytes_sent > 1200);
    assert_eq!(connection.live_operations, 1);
    let [info] = connection.operations.as_slice() else {
        panic!("there is one: {connection:?}");
    };
    assert_eq!(
        (info.agent.as_str(), info.operation.as_str()),
        ("it", "look")
    );
    assert_eq!(info.stream.get(), 4);
    assert!(info.served && info.since >= connection.since);
    assert_eq!((info.received, info.sent), (5, 9));
    assert_eq!((info.budget.tokens, info.spent.tokens), (Some(7), 3));
    assert_eq!(info.budget.deadline, None);
    operation.cancel(CancelReason::UserCancelled, "enough");
    end_of(&mut operation).expect_err("cancelled");
    eventually("it is gone", || {
        node.connections().iter().all(|it| it.operations.is_empty())
    });
    drop(client);
    eventually("nobody is connected", || node.connections().is_empty());
}

#[test]
fn a_peer_that_has_not_said_who_it_is_is_listed_without_a_name() {
    let certificate = certificate();
    let node = builder(&certificate).listen(any_port()).expect("listens");
    let raw = Raw::connect(node.address());
    eventually("it is listed", || node.connections().len() == 1);
    let connections = node.connections();
    assert_eq!(connections.first().expect("one").peer, "");
    drop(raw);
}

#[test]
fn a_list_has_an_end_and_the_oldest_connections_are_on_it() {
    // More operations than a list holds cannot be had over one connection; so many that it shows
    // can, with names of the length that a peer may choose.
    let certificate = certificate();
    let mut settings = Settings {
        max_streams: 5000,
        ..short_drain()
    };
    settings.protocol.max_operations = 5000;
    let node: Node = builder(&certificate)
        .event_agent("it", |_, _: Event<'_>, _: &mut Calls<'_>| {})
        .expect("a free name")
        .settings(settings)
        .listen(any_port())
        .expect("a free port");
    let mut first = Raw::greet(node.address());
    eventually("it is listed", || node.connections().len() == 1);
    let mut second = Raw::greet(node.address());
    for op in (4..4 + 4 * 4100).step_by(4) {
        first.say(op, &raw::invoke(op, "it", b""), false);
    }
    second.say(4, &raw::invoke(4, "it", b""), false);
    eventually("all are there", || {
        first.turn();
        second.turn();
        node.metrics().operations_live == 4101
    });
    let list = node.connections();
    let [one, other] = list.as_slice() else {
        panic!("there are two");
    };
    assert!(one.id < other.id);
    assert_eq!((one.live_operations, one.operations.len()), (4100, 4096));
    assert_eq!((other.live_operations, other.operations.len()), (1, 0));
}

#[test]
fn an_error_in_place_of_a_hello_is_counted_as_a_violation() {
    let certificate = certificate();
    let node = builder(&certificate).listen(any_port()).expect("listens");
    let mut raw = Raw::connect(node.address());
    let refusal = [raw::number(ErrorCode::Refused.to_wire()), raw::number(0)].concat();
    raw.say(0, &raw::frame(raw::ERROR, 0, &refusal), false);
    raw.until("the node closes", |raw| raw.quic.peer_error().is_some());
    eventually("it is a violation before HELLO", || {
        node.metrics().handshakes_failed.protocol_violation == 1
    });
}

#[test]
fn a_client_pings_its_node_and_knows_its_path() {
    let (node, client) = with_agent(obedient);
    for _ in 0..3 {
        let took = client.ping(support::PATIENCE).expect("the node answers");
        assert!(
            took > Duration::ZERO && took < support::PATIENCE,
            "{took:?}"
        );
    }
    let path = client.path_stats().expect("it is connected");
    assert!(
        path.rtt > Duration::ZERO && path.min_rtt.is_some(),
        "{path:?}"
    );
    assert!(
        path.packets_sent > 3 && path.packets_received > 3,
        "{path:?}"
    );
    assert!(
        path.mtu >= 1200 && path.congestion_window >= 2400,
        "{path:?}"
    );
    node.stop();
    client.wait_closed(support::PATIENCE).expect("it is over");
    assert!(client.ping(support::PATIENCE).is_err(), "nobody answers");
    assert_eq!(client.path_stats(), None);
}
