//! The servers themselves, checked with quinn's client: that a test of another client can rely on
//! them.

mod client;

use std::io::ErrorKind;
use std::net::Ipv4Addr;

use aire_interop_quic::{Credentials, FAILED, Feature, KeyKind, Options, Peer, Stack, pattern};
use client::{Client, SERVERS_STREAMS, ask, ask_text, tap};
use quinn::{Connection, ConnectionError, ReadError};
use rustls::crypto::ring::{self, cipher_suite, kx_group};
use tokio::net::UdpSocket;

/// Longer than any window of a server.
const LONG: usize = 600_000;

/// One test of each check for each stack. Those of servers that cargo does not build run in
/// `make interop`.
macro_rules! on_each_stack {
    ($($check:ident)*) => {
        mod on_quiche { on_each_stack! { @ Quiche [] $($check)* } }
        mod on_quinn { on_each_stack! { @ Quinn [] $($check)* } }
        mod on_quic_go { on_each_stack! { @ QuicGo [#[ignore = "make interop"]] $($check)* } }
        mod on_aioquic { on_each_stack! { @ Aioquic [#[ignore = "make interop"]] $($check)* } }
    };
    (@ $stack:ident $ignore:tt $($check:ident)*) => {
        $(on_each_stack! { @@ $stack $ignore $check })*
    };
    (@@ $stack:ident [$($ignore:tt)*] $check:ident) => {
        #[tokio::test]
        $($ignore)*
        async fn $check() {
            super::in_time(super::$check(aire_interop_quic::Stack::$stack)).await;
        }
    };
}

on_each_stack! {
    every_kind_of_certificate_is_served
    echo_sink_and_source_move_what_no_window_holds
    streams_are_opened_to_the_client_as_far_as_it_allows
    both_directions_of_a_stream_are_reset
    what_is_no_command_resets_its_stream
    the_connection_is_closed_with_a_code
    keys_are_updated_by_either_end
    a_client_is_followed_to_another_address
    a_session_is_resumed
    a_client_is_asked_to_come_back_with_a_token
    an_unknown_version_is_answered_with_those_known
    chacha20_is_all_that_is_spoken
    a_client_is_asked_for_a_key_share_of_p256
    a_client_opens_no_more_streams_than_allowed
    an_idle_connection_ends
    a_server_ends_with_its_standard_input
}

/// A test that waits for what does not come fails, with the server's log.
async fn in_time(check: impl Future<Output = ()>) {
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, check).await.unwrap();
}

fn credentials() -> Credentials {
    Credentials::self_signed(KeyKind::P256).unwrap()
}

/// A server without options, a client, and a connection between the two.
async fn connected(stack: Stack) -> (Peer, Client, Connection) {
    let credentials = credentials();
    let peer = Peer::start(stack, &Options::new(&credentials)).unwrap();
    let client = Client::plain(&credentials);
    let connection = client.connect(peer.address()).await.unwrap();
    (peer, client, connection)
}

async fn every_kind_of_certificate_is_served(stack: Stack) {
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        for credentials in [
            Credentials::self_signed(kind),
            Credentials::issued(kind, 0),
            Credentials::issued(kind, 1),
        ] {
            let credentials = credentials.unwrap();
            let peer = Peer::start(stack, &Options::new(&credentials)).unwrap();
            let client = Client::plain(&credentials);
            let connection = client.connect(peer.address()).await.unwrap();
            assert_eq!(ask(&connection, "echo", b"hello").await, b"hello");
        }
    }
}

async fn echo_sink_and_source_move_what_no_window_holds(stack: Stack) {
    let (_peer, _client, connection) = connected(stack).await;
    let data: Vec<u8> = (0..).map(pattern).take(LONG).collect();
    assert!(ask(&connection, "echo", &data).await == data);
    assert_eq!(ask(&connection, "sink", &data).await, b"600000");
    assert!(ask(&connection, "source 600000", b"").await == data);
    assert_eq!(ask(&connection, "echo", b"").await, b"");
    assert_eq!(ask(&connection, "sink", b"").await, b"0");
    assert_eq!(ask(&connection, "source 0", b"").await, b"");
}

async fn streams_are_opened_to_the_client_as_far_as_it_allows(stack: Stack) {
    let (peer, _client, connection) = connected(stack).await;
    let count = 2 * SERVERS_STREAMS + 1;
    let answer_all = async {
        for number in 0..count {
            let (mut send, mut receive) = connection.accept_bi().await.unwrap();
            let greeting = receive.read_to_end(100).await.unwrap();
            assert_eq!(greeting, format!("hello {number}\n").as_bytes());
            let answer = format!("good day {number}\n");
            send.write_all(answer.as_bytes()).await.unwrap();
            send.finish().unwrap();
        }
    };
    let command = format!("open {count}");
    let (said, ()) = tokio::join!(ask(&connection, &command, b""), answer_all);
    assert_eq!(said, b"done");
    for number in 0..count {
        let answer = format!("answered good day {number}\n");
        while !peer.log().contains(&answer) {
            tokio::task::yield_now().await;
        }
    }
}

async fn both_directions_of_a_stream_are_reset(stack: Stack) {
    let (_peer, _client, connection) = connected(stack).await;
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(b"reset 42\n").await.unwrap();
    let ended = receive.read_to_end(100).await.unwrap_err();
    assert_eq!(ended, ReadError::Reset(42_u32.into()).into());
    assert_eq!(send.stopped().await.unwrap(), Some(42_u32.into()));
}

async fn what_is_no_command_resets_its_stream(stack: Stack) {
    let (_peer, _client, connection) = connected(stack).await;
    for line in ["dance\n", "source much\n", "echo"] {
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(line.as_bytes()).await.unwrap();
        send.finish().unwrap();
        let ended = receive.read_to_end(100).await.unwrap_err();
        assert_eq!(ended, ReadError::Reset(FAILED.into()).into(), "{line}");
    }
    assert_eq!(ask(&connection, "echo", b"goes on").await, b"goes on");
}

async fn the_connection_is_closed_with_a_code(stack: Stack) {
    let (_peer, _client, connection) = connected(stack).await;
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(b"close 4711\n").await.unwrap();
    let ConnectionError::ApplicationClosed(close) = connection.closed().await else {
        panic!("another end");
    };
    assert_eq!(close.error_code, 4711_u32.into());
    assert_eq!(&close.reason[..], b"as told");
}

async fn keys_are_updated_by_either_end(stack: Stack) {
    let (_peer, _client, connection) = connected(stack).await;
    let said = if stack.can(Feature::KeyUpdate) {
        "ok"
    } else {
        "unsupported"
    };
    for _ in 0..3 {
        connection.force_key_update();
        assert_eq!(ask(&connection, "echo", b"ours").await, b"ours");
        assert_eq!(ask_text(&connection, "keyupdate").await, said);
        assert_eq!(ask(&connection, "echo", b"theirs").await, b"theirs");
    }
}

async fn a_client_is_followed_to_another_address(stack: Stack) {
    let (_peer, client, connection) = connected(stack).await;
    let before = client.endpoint.local_addr().unwrap();
    assert_eq!(ask_text(&connection, "peer").await, before.to_string());
    let after = client.move_away();
    // A server may go on with the old address until it has validated the new one.
    while ask_text(&connection, "peer").await != after.to_string() {}
    assert_eq!(ask(&connection, "echo", b"here").await, b"here");
}

async fn a_session_is_resumed(stack: Stack) {
    let (peer, client, connection) = connected(stack).await;
    assert_eq!(ask_text(&connection, "resumed").await, "no");
    let again = client.connect(peer.address()).await.unwrap();
    assert_eq!(ask_text(&again, "resumed").await, "yes");
}

async fn a_client_is_asked_to_come_back_with_a_token(stack: Stack) {
    for retry in [false, true] {
        let credentials = credentials();
        let options = Options {
            retry,
            ..Options::new(&credentials)
        };
        let peer = Peer::start(stack, &options).unwrap();
        let (address, mut seen) = tap(peer.address()).await.unwrap();
        let connection = Client::plain(&credentials).connect(address).await.unwrap();
        assert_eq!(ask(&connection, "echo", b"hello").await, b"hello");
        let first = seen.recv().await.unwrap();
        // A long header's type: RFC 9000, table 5.
        assert_eq!(first & 0b1011_0000 == 0b1011_0000, retry, "{first:#x}");
    }
}

async fn an_unknown_version_is_answered_with_those_known(stack: Stack) {
    let credentials = credentials();
    let peer = Peer::start(stack, &Options::new(&credentials)).unwrap();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut request = vec![0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8];
    request.extend_from_slice(b"to-them!\x04back");
    request.resize(1200, 0);
    socket.send_to(&request, peer.address()).await.unwrap();
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer).await.unwrap();
    // RFC 9000, section 17.2.1.
    let (header, versions) = answer[..length].split_at(19);
    assert_eq!(header[0] & 0x80, 0x80);
    assert_eq!(&header[1..], b"\0\0\0\0\x04back\x08to-them!");
    assert!(versions.chunks(4).any(|version| version == [0, 0, 0, 1]));
}

async fn chacha20_is_all_that_is_spoken(stack: Stack) {
    let credentials = credentials();
    let offering = |suite| {
        let mut provider = ring::default_provider();
        provider.cipher_suites = vec![suite];
        Client::new(&credentials, provider)
    };
    let chacha = offering(cipher_suite::TLS13_CHACHA20_POLY1305_SHA256);
    let aes = offering(cipher_suite::TLS13_AES_128_GCM_SHA256);

    // What the client decides works everywhere.
    let peer = Peer::start(stack, &Options::new(&credentials)).unwrap();
    let connection = chacha.connect(peer.address()).await.unwrap();
    assert_eq!(ask(&connection, "echo", b"hello").await, b"hello");

    let options = Options {
        chacha: true,
        ..Options::new(&credentials)
    };
    let started = Peer::start(stack, &options);
    if !stack.can(Feature::ForceChaCha) {
        assert_eq!(started.unwrap_err().kind(), ErrorKind::Unsupported);
        return;
    }
    let peer = started.unwrap();
    assert!(aes.connect(peer.address()).await.is_err());
    let client = Client::plain(&credentials);
    let connection = client.connect(peer.address()).await.unwrap();
    assert_eq!(ask(&connection, "echo", b"hello").await, b"hello");
}

async fn a_client_is_asked_for_a_key_share_of_p256(stack: Stack) {
    let credentials = credentials();
    // A share is sent of the first group.
    let offering = |groups| {
        let mut provider = ring::default_provider();
        provider.kx_groups = groups;
        Client::new(&credentials, provider)
    };
    let options = Options {
        p256: true,
        ..Options::new(&credentials)
    };
    let started = Peer::start(stack, &options);
    if !stack.can(Feature::HelloRetryRequest) {
        assert_eq!(started.unwrap_err().kind(), ErrorKind::Unsupported);
        return;
    }
    let peer = started.unwrap();
    let client = offering(vec![kx_group::X25519]);
    assert!(client.connect(peer.address()).await.is_err());
    let client = offering(vec![kx_group::X25519, kx_group::SECP256R1]);
    let connection = client.connect(peer.address()).await.unwrap();
    assert_eq!(ask(&connection, "echo", b"hello").await, b"hello");
}

async fn a_client_opens_no_more_streams_than_allowed(stack: Stack) {
    let credentials = credentials();
    let options = Options {
        max_streams: 2,
        ..Options::new(&credentials)
    };
    let peer = Peer::start(stack, &options).unwrap();
    let client = Client::plain(&credentials);
    let connection = client.connect(peer.address()).await.unwrap();
    let (mut first, mut answer) = connection.open_bi().await.unwrap();
    let (mut second, _its_answer) = connection.open_bi().await.unwrap();
    second.write_all(b"sink\n").await.unwrap();
    tokio::select! {
        biased;
        _ = connection.open_bi() => panic!("a third stream"),
        () = std::future::ready(()) => {}
    }
    first.write_all(b"sink\nabc").await.unwrap();
    first.finish().unwrap();
    assert_eq!(answer.read_to_end(100).await.unwrap(), b"3");
    let _third = connection.open_bi().await.unwrap();
}

async fn an_idle_connection_ends(stack: Stack) {
    let credentials = credentials();
    let options = Options {
        idle_ms: 200,
        ..Options::new(&credentials)
    };
    let peer = Peer::start(stack, &options).unwrap();
    let client = Client::plain(&credentials);
    let connection = client.connect(peer.address()).await.unwrap();
    assert_eq!(connection.closed().await, ConnectionError::TimedOut);
}

async fn a_server_ends_with_its_standard_input(stack: Stack) {
    let (mut peer, _client, _connection) = connected(stack).await;
    assert!(!peer.has_ended().unwrap());
    peer.hang_up();
    while !peer.has_ended().unwrap() {
        tokio::task::yield_now().await;
    }
}
