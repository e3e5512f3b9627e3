//! Who may be a peer: a node's policy decides on the proven DID (`TR-5`), and a source address has
//! only so many connections whose peers have not said who they are (`TR-4`).

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aire_mio::{
    AccessList, Client, Closed, Error, ErrorCode, Identity, Node, Operation, Rate, Settings, Trust,
};
use aire_proto::connection::CloseReason;
use support::raw::{self, Raw, hello_of, hello_with};
use support::{
    PATIENCE, any_port, builder, certificate, collect, connect, echo, end_of, eventually,
    short_drain, uri,
};

const REFUSED: Closed = Closed::Protocol(CloseReason::Peer(ErrorCode::Refused));

/// A node that wants nobody but the identity with this seed, and how many operations it served.
fn exclusive(seed: [u8; 32]) -> (Node, aire_mio::Certificate, Arc<AtomicUsize>) {
    let certificate = certificate();
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    let mut list = AccessList::default();
    list.allow(Identity::from_seed(seed).did()).expect("a DID");
    let node = builder(&certificate)
        .settings(short_drain())
        .admit(move |peer| list.admits(peer))
        .agent("it", move |operation: &mut Operation| {
            count.fetch_add(1, Ordering::SeqCst);
            operation.send("served")
        })
        .expect("a free name")
        .listen(any_port())
        .expect("a free port");
    (node, certificate, served)
}

#[test]
fn a_peer_that_the_policy_does_not_want_is_refused_and_one_that_it_wants_is_served() {
    let (node, certificate, served) = exclusive([1; 32]);
    let trust = Trust::pinned(certificate.pin());
    let wanted = Client::builder(Identity::from_seed([1; 32]), trust.clone())
        .connect(&uri(node.address()))
        .expect("it is wanted");
    let mut operation = wanted.invoke("it", "", "").expect("invoked");
    assert_eq!(collect(&mut operation), Ok(vec![b"served".to_vec()]));
    // The node's HELLO is good, so for a moment the client may believe that all is well.
    match Client::builder(Identity::from_seed([2; 32]), trust).connect(&uri(node.address())) {
        Err(Error::Closed(closed)) => assert_eq!(closed, REFUSED),
        Err(other) => panic!("{other}"),
        Ok(client) => {
            if let Ok(mut operation) = client.invoke("it", "", "") {
                end_of(&mut operation).expect_err("nobody serves it");
            }
            assert_eq!(client.wait_closed(PATIENCE), Some(REFUSED));
        }
    }
    eventually("the refusal is counted", || {
        node.metrics().handshakes_failed.refused == 1
    });
    assert_eq!(node.peers(), [Identity::from_seed([1; 32]).did()]);
    assert_eq!(served.load(Ordering::SeqCst), 1);
    assert_eq!(node.metrics().served, 1);
    let mut again = wanted.invoke("it", "", "").expect("invoked");
    end_of(&mut again).expect("who is wanted goes on");
}

#[test]
fn what_an_unwanted_peer_sent_along_with_its_hello_is_never_served() {
    let (node, _, served) = exclusive([1; 32]);
    // With a proof of the channel still to come, and without.
    for capabilities in [
        &["aire.did-method.key/1"][..],
        &["aire.did-method.key/1", "x-aire-rs.channel-binding/0"],
    ] {
        let mut raw = Raw::connect(node.address());
        for op in [4, 8, 12] {
            raw.say(op, &raw::invoke(op, "it", b"now"), true);
        }
        raw.say(0, &hello_with([3; 32], capabilities), false);
        if capabilities.len() == 1 {
            raw.is_told(ErrorCode::Refused);
        } else {
            raw.linger(Duration::from_millis(300));
        }
        for op in [4, 8, 12] {
            assert_eq!(raw.frames(op), [], "nobody answers");
        }
    }
    assert_eq!(served.load(Ordering::SeqCst), 0);
    assert_eq!(node.metrics().served, 0);
    assert!(node.peers().is_empty());
}

#[test]
fn the_policy_is_asked_with_the_proven_did_and_the_address() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = asked.clone();
    let certificate = certificate();
    let node = builder(&certificate)
        .admit(move |peer| {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            let proven = (peer.authenticated, peer.channel_bound);
            notes.push((peer.did.to_owned(), peer.address, proven));
            true
        })
        .listen(any_port())
        .expect("a free port");
    // A HELLO whose signature is wrong names somebody, and proves nothing.
    let mut forged = hello_of([5; 32]);
    *forged.last_mut().expect("a signature") ^= 1;
    let mut raw = Raw::connect(node.address());
    raw.say(0, &forged, false);
    raw.is_told(ErrorCode::BadSignature);
    let client = connect(&node, &certificate);
    assert_eq!(echo(&client, "hello"), "hello");
    let asked = asked.lock().expect("nobody panics with it");
    let [(did, address, proven)] = asked.as_slice() else {
        panic!("asked once: {asked:?}");
    };
    assert_eq!(node.peers(), std::slice::from_ref(did));
    let connections = node.connections();
    assert_eq!(connections.first().map(|it| it.address), Some(*address));
    assert_eq!(*proven, (true, true));
}

#[test]
fn a_policy_that_panics_has_said_no_and_hurts_nobody_else() {
    let certificate = certificate();
    let odd = Identity::from_seed([6; 32]).did().to_owned();
    let node = builder(&certificate)
        .admit(move |peer| {
            assert_ne!(peer.did, odd, "whom this policy cannot judge");
            true
        })
        .listen(any_port())
        .expect("a free port");
    let mut raw = Raw::connect(node.address());
    raw.say(0, &hello_of([6; 32]), false);
    raw.is_told(ErrorCode::Refused);
    assert_eq!(echo(&connect(&node, &certificate), "fine"), "fine");
}

fn with_rate(per_second: u32, burst: u32, retry: bool) -> (Node, aire_mio::Certificate) {
    let certificate = certificate();
    let node = builder(&certificate)
        .settings(Settings {
            inbound_rate: Rate { per_second, burst },
            retry,
            ..short_drain()
        })
        .listen(any_port())
        .expect("a free port");
    (node, certificate)
}

/// Sends Initials of connections that never come to anything, all from one socket.
fn flood(node: SocketAddr, from: [u8; 4], count: usize) {
    let socket = UdpSocket::bind((std::net::Ipv4Addr::from(from), 0)).expect("a port");
    let local = socket.local_addr().expect("bound");
    let (mut config, mut buffer) = (raw::config(), [0; 1350]);
    for _ in 0..count {
        let mut id = [0; quiche::MAX_CONN_ID_LEN];
        boring::rand::rand_bytes(&mut id).expect("random");
        let id = quiche::ConnectionId::from_ref(&id);
        let mut quic = quiche::connect(None, &id, local, node, &mut config).expect("a connection");
        let (len, _) = quic.send(&mut buffer).expect("an Initial");
        let packet = buffer.get(..len).expect("that much");
        socket.send_to(packet, node).expect("loopback takes it");
    }
}

#[test]
fn a_flood_of_initials_from_one_source_is_dropped_and_another_source_is_served() {
    // Without Retry, so that every packet counts.
    let (node, _) = with_rate(1, 8, false);
    let began = Instant::now();
    eventually("the flood is dropped", || {
        flood(node.address(), [127, 0, 0, 2], 20);
        node.metrics().rate_limited > 60
    });
    // Eight at once, and one for each second that this took.
    let accepted = node.metrics().connections_accepted;
    let most = 8 + began.elapsed().as_secs() + 1;
    assert!((8..=most).contains(&accepted), "{accepted} of {most}");
    let mut other = Raw::greet(node.address());
    assert!(!other.ask(4, "echo", b"another source").is_empty());
}

#[test]
fn a_flood_from_addresses_that_nobody_proved_shuts_nobody_out() {
    let (node, certificate) = with_rate(1, 8, true);
    eventually("it has come", || {
        flood(node.address(), [127, 0, 0, 1], 20);
        node.metrics().traffic.datagrams_received >= 200
    });
    // The same address: it is asked for its token, and served.
    assert_eq!(echo(&connect(&node, &certificate), "proven"), "proven");
    let metrics = node.metrics();
    assert_eq!((metrics.connections_accepted, metrics.rate_limited), (1, 0));
}

#[test]
fn who_never_says_who_it_is_is_held_off_and_who_does_is_not() {
    let (node, certificate) = with_rate(1, 4, true);
    for round in 0..12 {
        let text = format!("round {round}");
        assert_eq!(echo(&connect(&node, &certificate), &text), text);
    }
    assert_eq!(node.metrics().rate_limited, 0, "each gave its token back");
    let mute: Vec<_> = (0..4).map(|_| Raw::connect(node.address())).collect();
    let mut late = Raw::dial(node.address(), &mut raw::config());
    eventually("the fifth is held off", || {
        late.turn();
        node.metrics().rate_limited > 0 || late.quic.is_established()
    });
    // Its packets come again, and its time as well.
    late.until("it is let in after all", |raw| raw.quic.is_established());
    drop(mute);
}

#[test]
fn who_is_not_wanted_gets_no_token_back() {
    let certificate = certificate();
    let node = builder(&certificate)
        .settings(Settings {
            inbound_rate: Rate {
                per_second: 1,
                burst: 3,
            },
            ..short_drain()
        })
        .admit(|_| false)
        .listen(any_port())
        .expect("a free port");
    let mut seed = 0;
    eventually("it is held off", || {
        seed += 1;
        // Several side by side, so that they are faster than the rate on the slowest machine.
        let dial = |_| Raw::dial(node.address(), &mut raw::config());
        let mut several: Vec<_> = (0..6).map(dial).collect();
        for raw in &mut several {
            raw.linger(Duration::from_millis(20));
            if raw.quic.is_established() {
                raw.say(0, &hello_of([seed; 32]), false);
                raw.linger(Duration::from_millis(20));
            }
        }
        node.metrics().rate_limited > 0
    });
}
