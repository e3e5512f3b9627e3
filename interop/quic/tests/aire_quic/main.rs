//! aire-quic's client against servers on four independent stacks, over sockets.

mod driver;

use std::time::{SystemTime, UNIX_EPOCH};

use aire_interop_quic::{ALPN, Credentials, Feature, KeyKind, NAME, Options, Peer, Stack, pattern};
use aire_quic::{CloseReason, Config, Event, Group, OpenError, StreamId, Suite, Trust};
use boring::sha::sha256;
use driver::{Client, Memory};

/// Longer than a window of the server, and two hundred times ours. aioquic takes 25 ms to acknowledge
/// a kilobyte, which is all that our client can have under way.
const LONG: usize = 200_000;

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
        #[test]
        $($ignore)*
        fn $check() {
            super::$check(aire_interop_quic::Stack::$stack);
        }
    };
}

on_each_stack! {
    pinned_keys_of_both_kinds_are_believed
    chains_of_an_authority_are_believed_and_others_are_not
    bulk_goes_both_ways
    bulk_survives_the_loss_of_a_tenth_of_all_datagrams
    streams_that_the_server_opens_are_answered
    a_stream_is_reset_both_ways
    no_more_streams_are_opened_than_allowed
    the_server_closes_with_a_code
    we_change_keys
    the_server_changes_keys
    aes_alone_is_spoken
    chacha20_alone_is_spoken
    p256_alone_is_spoken
    a_hello_is_said_again_for_a_share_of_p256
    a_retry_is_followed
    a_session_is_resumed
    the_address_changes_and_bytes_go_on
    an_idle_connection_ends
}

fn unix_time() -> Option<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

/// A server with `options`, and a client that knows it by its key.
fn with_server(
    stack: Stack,
    kind: KeyKind,
    options: impl Fn(&mut Options),
    configure: impl Fn(&mut Config<'_>),
    play: impl FnOnce(&mut Client<'_>, &Peer),
) {
    let credentials = Credentials::self_signed(kind).unwrap();
    let mut server = Options::new(&credentials);
    options(&mut server);
    let peer = Peer::start(stack, &server).unwrap();
    let pins = [sha256(credentials.spki())];
    let mut config = Config::new(NAME, ALPN, Trust::Pins(&pins));
    config.unix_time = unix_time();
    configure(&mut config);
    let mut memory = Memory::new();
    let mut client = Client::dial(&mut memory, &config, peer.address());
    client.connected();
    play(&mut client, &peer);
}

fn plain(stack: Stack, play: impl FnOnce(&mut Client<'_>, &Peer)) {
    with_server(stack, KeyKind::Ed25519, |_| {}, |_| {}, play);
}

fn data(len: usize) -> Vec<u8> {
    (0..).map(pattern).take(len).collect()
}

fn pinned_keys_of_both_kinds_are_believed(stack: Stack) {
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        with_server(
            stack,
            kind,
            |_| {},
            |_| {},
            |client, _| {
                assert_eq!(client.ask("echo", b"hello"), b"hello");
            },
        );
    }
}

fn chains_of_an_authority_are_believed_and_others_are_not(stack: Stack) {
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        for intermediates in [0, 1] {
            let credentials = Credentials::issued(kind, intermediates).unwrap();
            let stranger = Credentials::issued(kind, 0).unwrap();
            let peer = Peer::start(stack, &Options::new(&credentials)).unwrap();
            for (anchor, name, good) in [
                (credentials.anchor(), NAME, true),
                (credentials.anchor(), "elsewhere.example", false),
                (stranger.anchor(), NAME, false),
            ] {
                let anchors = [anchor];
                let mut config = Config::new(name, ALPN, Trust::Authorities(&anchors));
                config.unix_time = unix_time();
                let mut memory = Memory::new();
                let mut client = Client::dial(&mut memory, &config, peer.address());
                client.until("a verdict", |client| {
                    client.connection.is_connected() || client.closed().is_some()
                });
                assert_eq!(
                    client.connection.is_connected(),
                    good,
                    "{:?}",
                    client.events
                );
                if good {
                    assert_eq!(client.ask("echo", b"hello"), b"hello");
                }
            }
        }
    }
}

fn bulk_goes_both_ways(stack: Stack) {
    plain(stack, |client, _| {
        let data = data(LONG);
        assert!(client.ask("echo", &data) == data);
        assert_eq!(client.ask("sink", &data), b"200000");
        assert!(client.ask("source 200000", b"") == data);
        assert_eq!(client.ask("source 0", b""), b"");
    });
}

fn bulk_survives_the_loss_of_a_tenth_of_all_datagrams(stack: Stack) {
    plain(stack, |client, _| {
        client.lost = 10;
        let data = data(60_000);
        assert!(client.ask("echo", &data) == data);
        assert!(client.connection.stats().lost_packets > 0);
    });
}

fn streams_that_the_server_opens_are_answered(stack: Stack) {
    // More than may be open at one time.
    const COUNT: u64 = 5;
    plain(stack, |client, peer| {
        let stream = client.open();
        client.send(stream, format!("open {COUNT}\n").as_bytes());
        for number in 0..COUNT {
            let opened = StreamId::new(4 * number + 1).unwrap();
            client.until("a stream of the server's", |client| {
                client.streams.get(&opened).is_some_and(|got| got.ended)
            });
            let greeting = format!("hello {number}\n");
            assert_eq!(client.streams[&opened].bytes, greeting.as_bytes());
            client.send(opened, format!("good day {number}\n").as_bytes());
        }
        client.until("the end", |client| {
            client.streams.get(&stream).is_some_and(|got| got.ended)
        });
        assert_eq!(client.streams[&stream].bytes, b"done");
        for number in 0..COUNT {
            let answer = format!("answered good day {number}\n");
            client.until(&answer, |_| peer.log().contains(&answer));
        }
    });
}

fn a_stream_is_reset_both_ways(stack: Stack) {
    plain(stack, |client, _| {
        let stream = client.open();
        assert_eq!(client.connection.write(stream, b"reset 42\n"), 9);
        client.until("both resets", |client| {
            client
                .streams
                .get(&stream)
                .is_some_and(|got| got.reset == Some(42) && got.stopped == Some(42))
        });
        // We give up a stream too, in the middle of an answer that we do not read.
        let stream = client.open();
        assert_eq!(client.connection.write(stream, b"source 600000\n"), 14);
        client.until("the first bytes", |client| {
            client.streams.contains_key(&stream)
        });
        client.connection.reset(stream, 7);
        client.connection.stop_sending(stream, 7);
        assert_eq!(client.ask("echo", b"goes on"), b"goes on");
    });
}

fn no_more_streams_are_opened_than_allowed(stack: Stack) {
    with_server(
        stack,
        KeyKind::Ed25519,
        |options| options.max_streams = 2,
        |_| {},
        |client, _| {
            let (first, second) = (client.open(), client.open());
            assert_eq!(client.connection.open(), Err(OpenError::PeerLimit));
            client.send(first, b"echo\none");
            client.send(second, b"echo\ntwo");
            for _ in 0..5 {
                assert_eq!(client.ask("echo", b"more"), b"more");
            }
        },
    );
}

fn the_server_closes_with_a_code(stack: Stack) {
    plain(stack, |client, _| {
        let stream = client.open();
        client.send(stream, b"close 77\n");
        client.until("the close", |client| client.closed().is_some());
        assert_eq!(client.closed(), Some(CloseReason::Application { code: 77 }));
    });
}

fn we_change_keys(stack: Stack) {
    plain(stack, |client, _| {
        for _ in 0..3 {
            client.until("an update", |client| {
                let now = client.now();
                client.connection.ping();
                client.connection.update_keys(now)
            });
            let data = data(20_000);
            assert!(client.ask("echo", &data) == data);
        }
    });
}

fn the_server_changes_keys(stack: Stack) {
    plain(stack, |client, _| {
        if stack.can(Feature::KeyUpdate) {
            for _ in 0..3 {
                assert_eq!(client.ask("keyupdate", b""), b"ok");
                let data = data(20_000);
                assert!(client.ask("echo", &data) == data);
            }
        } else {
            // quic-go updates by itself when packets enough have gone.
            assert_eq!(client.ask("keyupdate", b""), b"unsupported");
            let data = data(LONG);
            assert!(client.ask("echo", &data) == data);
        }
    });
}

fn with_suite(stack: Stack, suites: &'static [Suite], force: bool) {
    with_server(
        stack,
        KeyKind::P256,
        |options| options.chacha = force,
        |config| config.suites = suites,
        |client, _| {
            let data = data(50_000);
            assert!(client.ask("echo", &data) == data);
        },
    );
}

fn aes_alone_is_spoken(stack: Stack) {
    with_suite(stack, &[Suite::Aes128Gcm], false);
}

fn chacha20_alone_is_spoken(stack: Stack) {
    with_suite(stack, &[Suite::ChaCha20Poly1305], false);
    if stack.can(Feature::ForceChaCha) {
        with_suite(stack, &[Suite::Aes128Gcm, Suite::ChaCha20Poly1305], true);
    }
}

fn p256_alone_is_spoken(stack: Stack) {
    with_server(
        stack,
        KeyKind::P256,
        |options| options.p256 = stack.can(Feature::HelloRetryRequest),
        |config| config.groups = &[Group::P256],
        |client, _| assert_eq!(client.ask("echo", b"P-256"), b"P-256"),
    );
}

fn a_hello_is_said_again_for_a_share_of_p256(stack: Stack) {
    if !stack.can(Feature::HelloRetryRequest) {
        return;
    }
    with_server(
        stack,
        KeyKind::P256,
        |options| options.p256 = true,
        |_| {},
        |client, _| assert_eq!(client.ask("echo", b"twice"), b"twice"),
    );
}

fn a_retry_is_followed(stack: Stack) {
    with_server(
        stack,
        KeyKind::Ed25519,
        |options| options.retry = true,
        |_| {},
        |client, _| assert_eq!(client.ask("echo", b"validated"), b"validated"),
    );
}

fn a_session_is_resumed(stack: Stack) {
    let credentials = Credentials::self_signed(KeyKind::Ed25519).unwrap();
    let peer = Peer::start(stack, &Options::new(&credentials)).unwrap();
    let pins = [sha256(credentials.spki())];
    let mut config = Config::new(NAME, ALPN, Trust::Pins(&pins));
    config.unix_time = unix_time();
    let mut memory = Memory::new();
    let mut client = Client::dial(&mut memory, &config, peer.address());
    client.connected();
    assert_eq!(client.ask("resumed", b""), b"no");
    client.until("a ticket", |client| client.events.contains(&Event::Ticket));
    for _ in 0..2 {
        client.dial_again(&config, peer.address());
        client.connected();
        assert!(client.connection.is_resumed());
        assert_eq!(client.ask("resumed", b""), b"yes");
    }
}

fn the_address_changes_and_bytes_go_on(stack: Stack) {
    plain(stack, |client, _| {
        let address = |answer: Vec<u8>| String::from_utf8(answer).unwrap();
        let before = address(client.ask("peer", b""));
        client.change_address();
        client.until("the server's word", |client| {
            !client.connection.is_migrating()
        });
        let data = data(20_000);
        assert!(client.ask("echo", &data) == data);
        // The server may be a packet behind.
        while address(client.ask("peer", b"")) == before {}
    });
}

fn an_idle_connection_ends(stack: Stack) {
    with_server(
        stack,
        KeyKind::Ed25519,
        |options| options.idle_ms = 1000,
        |_| {},
        |client, _| {
            client.until("the end", |client| client.closed().is_some());
            // The server may say so first.
            assert!(matches!(
                client.closed(),
                Some(CloseReason::Idle | CloseReason::Transport { .. })
            ));
        },
    );
}
