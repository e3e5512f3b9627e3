//! A node and its clients over real QUIC on this machine.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use aire_mio::{
    CancelReason, Client, Error, ErrorCode, Failure, Identity, Operation, Settings, Trust,
};
use support::{any_port, builder, certificate, collect, connect, identity, with_agent};

fn uri(node: &aire_mio::Node) -> String {
    support::uri(node.address())
}

#[test]
fn an_echo_comes_back_and_both_ends_know_each_other() {
    let (told, heard) = mpsc::channel();
    let (node, client) = with_agent(move |operation| {
        told.send(operation.peer().to_owned())
            .expect("the test listens");
        operation.send(operation.args().to_vec())
    });
    assert_eq!(client.peer().as_deref(), Some(node.did()));
    assert_eq!(client.minor(), Some(4));
    let mut operation = client.invoke("it", "say", "hello").expect("invoked");
    assert_eq!(operation.id().get(), 4);
    assert_eq!(collect(&mut operation), Ok(vec![b"hello".to_vec()]));
    assert!(heard.recv().expect("served").starts_with("did:key:z6Mk"));
    node.stop();
}

#[test]
fn a_node_asks_who_has_connected_to_it() {
    let certificate = certificate();
    let node = builder(&certificate).listen(any_port()).expect("listens");
    let me = identity();
    let did = me.did().to_owned();
    let nobody = node.invoke(&did, "it", "", "").expect_err("too early");
    assert!(matches!(nobody, Error::NotConnected(_)), "{nobody}");
    let trust = Trust::pinned(certificate.pin());
    let client = Client::builder(me, trust).connect(&uri(&node));
    let client = client.expect("connected");
    support::eventually("the node knows its peer", || node.peers() == [did.clone()]);
    // A client of this crate serves no agents, and says so.
    let mut operation = node.invoke(&did, "it", "", "hello").expect("invoked");
    assert_eq!(operation.id().get() % 4, 1, "a stream of the server's");
    let failed = support::end_of(&mut operation).expect_err("nobody is there");
    let not_found =
        matches!(&failed, Failure::Failed { code, .. } if *code == ErrorCode::AgentNotFound);
    assert!(not_found, "{failed}");
    drop(client);
    support::eventually("the peer has left", || node.peers().is_empty());
}

#[test]
fn arguments_and_answers_of_a_mebibyte_pass() {
    let (_node, client) = with_agent(|operation| {
        let args = operation.args().to_vec();
        operation.send(args.clone())?;
        operation.send(args)
    });
    let args: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut operation = client.invoke("it", "", args.clone()).expect("invoked");
    let frames = collect(&mut operation).expect("it ends well");
    assert!(frames.len() == 2 && frames.iter().all(|frame| *frame == args));
}

#[test]
fn operations_run_side_by_side_and_each_stays_in_order() {
    let (_node, client) = with_agent(|operation| {
        for n in 0..50_u8 {
            operation.send([n])?;
            operation.sleep(Duration::from_millis(1))?;
        }
        Ok(())
    });
    let mut operations: Vec<Operation> = (0..10)
        .map(|_| client.invoke("it", "", "").expect("invoked"))
        .collect();
    let expected: Vec<Vec<u8>> = (0..50).map(|n| vec![n]).collect();
    for operation in &mut operations {
        assert_eq!(collect(operation).as_ref(), Ok(&expected));
    }
}

#[test]
fn more_operations_than_the_peer_allows_wait_for_their_turn() {
    let certificate = certificate();
    let node = builder(&certificate)
        .settings(Settings {
            max_streams: 2,
            ..Settings::default()
        })
        .listen(any_port())
        .expect("a free port");
    let client = Arc::new(connect(&node, &certificate));
    let threads: Vec<_> = (0..20)
        .map(|n: u32| {
            let client = client.clone();
            std::thread::spawn(move || {
                let mut operation = client.invoke("echo", "", n.to_string()).expect("invoked");
                assert_eq!(
                    collect(&mut operation),
                    Ok(vec![n.to_string().into_bytes()])
                );
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("the echo came");
    }
}

#[test]
fn a_handler_learns_of_a_cancel_with_its_reason_while_it_waits_to_send() {
    let (told, heard) = mpsc::channel();
    let (_node, client) = with_agent(move |operation| {
        let failure = loop {
            if let Err(failure) = operation.send(vec![0; 60_000]) {
                break failure;
            }
        };
        told.send(failure.clone()).expect("the test listens");
        Err(failure)
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert!(operation.recv().expect("it runs").is_some());
    operation.cancel(CancelReason::ResourceExhausted, "no room");
    let failure = Failure::Cancelled {
        reason: CancelReason::ResourceExhausted,
        detail: "no room".into(),
    };
    assert_eq!(heard.recv(), Ok(failure));
    let ended = loop {
        match operation.recv() {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(
        matches!(
            ended,
            Err(Failure::Failed {
                code: ErrorCode::Cancelled,
                ..
            })
        ),
        "{ended:?}"
    );
}

#[test]
fn dropping_an_operation_cancels_it_and_spares_the_others() {
    let (told, heard) = mpsc::channel();
    let (_node, client) = with_agent(move |operation| {
        let slept = operation.sleep(Duration::from_secs(60));
        told.send(slept.clone()).expect("the test listens");
        slept
    });
    let dropped = client.invoke("it", "", "").expect("invoked");
    let mut other = client.invoke("echo", "", "x").expect("invoked");
    drop(dropped);
    assert!(matches!(heard.recv(), Ok(Err(Failure::Cancelled { .. }))));
    assert_eq!(collect(&mut other), Ok(vec![b"x".to_vec()]));
}

#[test]
fn an_unknown_agent_is_answered_with_agent_not_found() {
    let (_node, client) = with_agent(|_| Ok(()));
    let mut operation = client.invoke("nobody", "", "").expect("invoked");
    let Err(Failure::Failed { code, detail, .. }) = operation.recv() else {
        panic!("it cannot succeed");
    };
    assert_eq!(code, ErrorCode::AgentNotFound);
    assert!(detail.contains("nobody"));
}

#[test]
fn a_handler_that_panics_or_fails_hurts_nobody_else() {
    let (_node, client) = with_agent(|operation| match operation.operation() {
        "panic" => panic!("on purpose"),
        _ => Err(Failure::application("cannot today")),
    });
    let mut bystander = client.invoke("echo", "", "still here").expect("invoked");
    for (name, words) in [("panic", "panicked"), ("fail", "cannot today")] {
        let mut operation = client.invoke("it", name, "").expect("invoked");
        let Err(Failure::Failed { code, detail, .. }) = operation.recv() else {
            panic!("it cannot succeed");
        };
        assert_eq!(code, ErrorCode::Application);
        assert!(detail.contains(words), "{detail}");
    }
    assert_eq!(collect(&mut bystander), Ok(vec![b"still here".to_vec()]));
}

#[test]
fn a_slow_reader_slows_the_writer_down_and_loses_nothing() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let (_node, client) = with_agent(move |operation| {
        for n in 0..200_u32 {
            let mut payload = n.to_be_bytes().to_vec();
            payload.resize(50_000, 0);
            operation.send(payload)?;
            counted.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    std::thread::sleep(Duration::from_millis(500));
    let ahead = sent.load(Ordering::SeqCst);
    assert!(
        ahead < 60,
        "{ahead} frames of 50,000 bytes were taken from a writer with no reader"
    );
    let frames = collect(&mut operation).expect("it ends well");
    let order: Vec<u32> = frames
        .iter()
        .map(|frame| u32::from_be_bytes(*frame.first_chunk().expect("4 bytes")))
        .collect();
    assert_eq!(order, (0..200).collect::<Vec<_>>());
}

#[test]
fn input_streams_to_the_responder_until_the_initiator_finishes() {
    let (_node, client) = with_agent(|operation| {
        let mut sum = 0_u64;
        while let Some(payload) = operation.recv()? {
            sum += payload.len() as u64;
        }
        operation.send(sum.to_string())
    });
    let mut operation = client.invoke("it", "sum", "").expect("invoked");
    for _ in 0..100 {
        operation.send(vec![1; 10_000]).expect("sent");
    }
    operation.finish();
    assert_eq!(collect(&mut operation), Ok(vec![b"1000000".to_vec()]));
}

#[test]
fn an_agent_in_the_loop_answers_without_a_thread() {
    let certificate = certificate();
    let node = builder(&certificate)
        .event_agent(
            "loop",
            |_: aire_mio::ConnectionKey,
             event: aire_mio::driver::Event<'_>,
             calls: &mut aire_mio::driver::Calls<'_>| {
                use aire_mio::driver::Event::Protocol;
                match event {
                    Protocol(aire_proto::Event::Args {
                        stream,
                        bytes,
                        remaining,
                    }) => {
                        calls.send(stream, bytes.to_vec()).expect("room");
                        if remaining == 0 {
                            calls.finish(stream).expect("open");
                        }
                    }
                    Protocol(aire_proto::Event::Invoked {
                        stream,
                        operation: "panic",
                        ..
                    }) => panic!("on purpose, {stream}"),
                    _ => {}
                }
            },
        )
        .expect("a free name")
        .listen(any_port())
        .expect("a free port");
    let client = connect(&node, &certificate);
    let mut panics = client.invoke("loop", "panic", "").expect("invoked");
    assert!(matches!(
        panics.recv(),
        Err(Failure::Failed {
            code: ErrorCode::Application,
            ..
        })
    ));
    let mut operation = client.invoke("loop", "", "around").expect("invoked");
    assert_eq!(
        collect(&mut operation).map(|frames| frames.concat()),
        Ok(b"around".to_vec())
    );
}

#[test]
fn a_node_that_stops_lets_live_operations_finish_and_says_goodbye() {
    let (node, client) = with_agent(|operation| {
        operation.send("begun")?;
        operation.sleep(Duration::from_millis(300))?;
        operation.send("ended")
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert_eq!(operation.recv(), Ok(Some(b"begun".to_vec())));
    let stopping = std::thread::spawn(move || node.stop());
    assert_eq!(operation.recv(), Ok(Some(b"ended".to_vec())));
    assert_eq!(operation.recv(), Ok(None));
    stopping.join().expect("the node stops");
    let closed = client
        .wait_closed(Duration::from_secs(5))
        .expect("it is closed");
    assert_eq!(closed.to_string(), "the connection was closed");
    assert!(matches!(client.invoke("it", "", ""), Err(Error::Closed(_))));
}

#[test]
fn a_server_that_is_not_the_pinned_one_is_not_believed() {
    let node = builder(&certificate())
        .listen(any_port())
        .expect("a free port");
    let other = certificate();
    for trust in [Trust::pinned(other.pin()), Trust::system_roots()] {
        let error = Client::builder(identity(), trust)
            .connect(&uri(&node))
            .expect_err("it is somebody else");
        assert!(error.to_string().contains("not trusted"), "{error}");
    }
    Client::builder(identity(), Trust::danger_accept_any_certificate())
        .connect(&uri(&node))
        .expect("anybody will do");
}

#[test]
fn a_ca_file_vouches_for_the_names_in_the_certificate_only() {
    let certificate = certificate();
    let dir = std::env::temp_dir().join(format!("aire-ca-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let path = dir.join("ca.pem");
    std::fs::write(&path, certificate.chain_pem().expect("PEM")).expect("written");
    let node = builder(&certificate)
        .listen(any_port())
        .expect("a free port");
    let connect = |host: &str| {
        Client::builder(identity(), Trust::ca_file(&path))
            .connect(&format!("aire://{host}:{}", node.address().port()))
    };
    connect("127.0.0.1").expect("the address is in the certificate");
    connect("localhost").expect("the name is in the certificate");
    std::fs::remove_dir_all(&dir).expect("removed");
}

#[test]
fn nobody_there_is_said_in_time() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("bound");
    let error = Client::builder(identity(), Trust::danger_accept_any_certificate())
        .connect_timeout(Duration::from_millis(300))
        .connect(&format!("aire://{address}"))
        .expect_err("nobody answers");
    assert!(matches!(error, Error::TimedOut), "{error}");
}

#[test]
fn a_port_in_use_is_named_before_anything_starts() {
    let certificate = certificate();
    let node = builder(&certificate)
        .listen(any_port())
        .expect("a free port");
    let error = builder(&certificate)
        .listen(node.address())
        .expect_err("it is taken");
    assert!(error.to_string().contains("another program"), "{error}");
}

#[test]
fn one_identity_connects_again_and_again_since_each_hello_has_a_fresh_nonce() {
    let certificate = certificate();
    let node = builder(&certificate)
        .listen(any_port())
        .expect("a free port");
    let identity = Identity::generate().expect("an identity");
    for _ in 0..5 {
        Client::builder(identity.clone(), Trust::pinned(certificate.pin()))
            .connect(&uri(&node))
            .expect("no HELLO repeats a nonce");
    }
}

#[test]
fn a_capability_that_may_not_be_advertised_is_named_before_anything_starts() {
    use aire_proto::wire::Capability;
    let entry = |name| Capability {
        name,
        version: 1,
        required: false,
    };
    for (name, reason) in [("aire.mine/1", "reserved"), ("no-major", "major")] {
        let error = Identity::generate()
            .expect("an identity")
            .with_capabilities(&[entry(name)])
            .expect_err("it may not");
        let sentence = error.to_string();
        assert!(
            sentence.contains(name) && sentence.contains(reason),
            "{sentence}"
        );
    }
}

#[test]
fn an_identity_is_read_from_a_pkcs8_file_and_anything_else_is_refused() {
    let path = std::env::temp_dir().join(format!("aire-key-{}.pem", std::process::id()));
    // The key of the AIRC specification's test vectors.
    let pem = "-----BEGIN PRIVATE KEY-----\n\
               MC4CAQAwBQYDK2VwBCIEIJD+08LthT5FplB3b8rKUNd7ZqcmODp2KLs3EIhn+Nxs\n\
               -----END PRIVATE KEY-----\n";
    std::fs::write(&path, pem).expect("written");
    let first = Identity::from_pem_file(&path).expect("a good key");
    assert!(first.did().starts_with("did:key:z6Mk"));
    std::fs::write(&path, "nonsense").expect("written");
    let error = Identity::from_pem_file(&path).expect_err("no key");
    assert!(error.to_string().contains("openssl genpkey"), "{error}");
    std::fs::remove_file(&path).expect("removed");
    let error = Identity::from_pem_file(&path).expect_err("no file");
    assert!(error.to_string().contains("check the path"), "{error}");
}

#[test]
fn an_operation_for_which_no_stream_comes_free_is_given_up_in_time() {
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("busy", |operation: &mut Operation| {
            operation.sleep(Duration::from_secs(60))
        })
        .expect("a free name")
        .settings(Settings {
            max_streams: 1,
            ..Settings::default()
        })
        .listen(any_port())
        .expect("a free port");
    let client = Client::builder(identity(), Trust::pinned(certificate.pin()))
        .invoke_timeout(Duration::from_millis(200))
        .connect(&uri(&node))
        .expect("the node answers");
    let busy = client
        .invoke("busy", "", "")
        .expect("one stream is allowed");
    assert!(matches!(
        client.invoke("echo", "", "x"),
        Err(Error::TimedOut)
    ));
    drop(busy);
}
