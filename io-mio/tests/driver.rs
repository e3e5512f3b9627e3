//! The low-level driver in a loop that is turned by hand: strangers at the door, bounds, time.

mod support;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use aire_mio::driver::Event;
use aire_mio::{Closed, ConnectionKey, Error, ErrorCode, Settings};
use aire_proto::StreamId;
use aire_proto::connection::{CloseReason, Outcome};
use aire_proto::identity::{KeyResolver, PublicKey, Resolution};
use support::hands::{Hands, Told, turn_for, turn_until};
use support::raw::{self, Raw};
use support::{Rng, any_port, certificate, uri};

fn server(settings: Settings) -> (Hands, aire_mio::Certificate) {
    let certificate = certificate();
    (Hands::server(&certificate, settings), certificate)
}

/// A socket of a stranger, which waits no longer than a moment for an answer.
fn stranger() -> UdpSocket {
    let socket = UdpSocket::bind(any_port()).expect("a port");
    socket
        .set_read_timeout(Some(Duration::from_millis(20)))
        .expect("a timeout");
    socket
}

/// Sends a datagram, lets the server turn, and takes what it answers.
fn answers(server: &mut Hands, stranger: &UdpSocket, datagram: &[u8]) -> Vec<Vec<u8>> {
    stranger
        .send_to(datagram, server.driver.local_address())
        .expect("sent");
    turn_for(Duration::from_millis(20), &mut [server]);
    let mut answers = Vec::new();
    let mut buffer = [0; 2000];
    while let Ok(len) = stranger.recv(&mut buffer) {
        answers.push(buffer.get(..len).expect("that much came").to_vec());
    }
    answers
}

/// The first datagram of a client, as quiche makes it, from a socket that hears no answers.
fn initial(config: &mut quiche::Config, server: &Hands) -> (quiche::Connection, Vec<u8>) {
    let mut id = [0; quiche::MAX_CONN_ID_LEN];
    boring::rand::rand_bytes(&mut id).expect("random");
    let id = quiche::ConnectionId::from_ref(&id);
    let (local, peer) = (any_port(), server.driver.local_address());
    let mut quic = quiche::connect(None, &id, local, peer, config).expect("a connection");
    let mut datagram = vec![0; 1350];
    let (len, _) = quic.send(&mut datagram).expect("the first flight");
    datagram.truncate(len);
    (quic, datagram)
}

fn kind(datagram: &[u8]) -> quiche::Type {
    let mut copy = datagram.to_vec();
    quiche::Header::from_slice(&mut copy, quiche::MAX_CONN_ID_LEN)
        .expect("QUIC")
        .ty
}

/// A connection between two drivers, up.
fn connected(server: &mut Hands, client: &mut Hands) -> ConnectionKey {
    let key = client.dial(server);
    turn_until("both are connected", &mut [server, client], |hands| {
        hands.iter().all(|one| one.is_connected())
    });
    key
}

#[test]
fn a_first_packet_without_a_token_is_answered_with_retry_and_no_state_is_kept() {
    let (mut server, _) = server(Settings::default());
    let stranger = stranger();
    for _ in 0..3 {
        let (_quic, datagram) = initial(&mut raw::config(), &server);
        let answers = answers(&mut server, &stranger, &datagram);
        let [retry] = answers.as_slice() else {
            panic!("{} answers", answers.len());
        };
        assert_eq!(kind(retry), quiche::Type::Retry);
        assert!(retry.len() < 200, "no amplification: {}", retry.len());
        assert_eq!(server.driver.connections(), 0);
        assert_eq!(server.driver.timeout(), None, "nothing to wait for");
    }
}

#[test]
fn without_retry_a_first_packet_makes_a_connection_that_ends_with_the_handshake_timeout() {
    let mut settings = Settings {
        retry: false,
        ..Settings::default()
    };
    settings.protocol.handshake_timeout = Duration::from_millis(200);
    let (mut server, _) = server(settings);
    let stranger = stranger();
    let (_quic, datagram) = initial(&mut raw::config(), &server);
    let answers = answers(&mut server, &stranger, &datagram);
    let sent: usize = answers.iter().map(Vec::len).sum();
    assert!(
        sent > 0 && sent <= 3 * datagram.len(),
        "RFC 9000 §8.1: {sent}"
    );
    assert_eq!(server.driver.connections(), 1);
    // It says something now and then, but never enough: it may not stay for that.
    turn_until("it is forgotten", &mut [&mut server], |hands| {
        let again = stranger.send_to(&datagram, hands[0].driver.local_address());
        again.expect("sent");
        hands[0].closed().is_some()
    });
    assert!(matches!(server.closed(), Some(Closed::Handshake(_))));
}

#[test]
fn garbage_is_ignored() {
    let (mut server, certificate) = server(Settings::default());
    let stranger = stranger();
    let mut rng = Rng(1);
    let address = server.driver.local_address();
    for round in 0..2_000 {
        let len = rng.below(1_500) as usize;
        let mut datagram: Vec<u8> = (0..len).map(|_| rng.next() as u8).collect();
        // Half of it begins as a long header of version 1 does.
        if round % 2 == 0 && len > 5 {
            datagram[0] |= 0xc0;
            datagram[1..5].copy_from_slice(&[0, 0, 0, 1]);
        }
        stranger.send_to(&datagram, address).expect("sent");
        server.turn(Duration::ZERO);
    }
    stranger.send_to(&[], address).expect("sent");
    turn_for(Duration::from_millis(20), &mut [&mut server]);
    assert_eq!(server.driver.connections(), 0);
    assert!(server.told.is_empty());
    let mut client = Hands::client(&certificate, Settings::default());
    connected(&mut server, &mut client);
}

#[test]
fn a_first_packet_cut_short_is_ignored() {
    let (mut server, _) = server(Settings::default());
    let stranger = stranger();
    let (_quic, datagram) = initial(&mut raw::config(), &server);
    for len in [1, 5, 6, 20, 50, 600, 1_199] {
        let cut = datagram.get(..len).expect("a first flight is longer");
        assert!(answers(&mut server, &stranger, cut).is_empty(), "{len}");
    }
    // As long as it should be, but what it says of its ids is cut or too short.
    let mut short_id = datagram.clone();
    short_id.drain(6..22);
    short_id[5] = 4;
    short_id.resize(1_200, 0);
    assert!(answers(&mut server, &stranger, &short_id).is_empty());
    let mut long_id = datagram;
    long_id[5] = 255;
    assert!(answers(&mut server, &stranger, &long_id).is_empty());
    assert_eq!(server.driver.connections(), 0);
}

#[test]
fn a_token_that_is_forged_or_of_another_address_is_ignored() {
    let (mut server, _) = server(Settings::default());
    let (first, second) = (stranger(), stranger());
    // A real token, and the datagram that a client answers the Retry with.
    let (mut quic, datagram) = initial(&mut raw::config(), &server);
    let mut retry = answers(&mut server, &first, &datagram).remove(0);
    let info = quiche::RecvInfo {
        from: server.driver.local_address(),
        to: any_port(),
    };
    quic.recv(&mut retry, info).expect("a good Retry");
    let mut with_token = vec![0; 1350];
    let (len, _) = quic.send(&mut with_token).expect("the second flight");
    with_token.truncate(len);
    let token_at = {
        let mut copy = with_token.clone();
        let header = quiche::Header::from_slice(&mut copy, 20).expect("QUIC");
        let token = header.token.expect("a token").to_vec();
        let mut windows = with_token.windows(token.len());
        windows.position(|window| window == token).expect("inside")
    };
    let mut forged = with_token.clone();
    forged[token_at + 3] ^= 1;
    assert!(answers(&mut server, &first, &forged).is_empty());
    assert_eq!(server.driver.connections(), 0);
    assert!(answers(&mut server, &second, &with_token).is_empty());
    assert_eq!(server.driver.connections(), 0);
    // From its own address it is good.
    assert!(!answers(&mut server, &first, &with_token).is_empty());
    assert_eq!(server.driver.connections(), 1);
}

#[test]
fn a_version_that_nobody_knows_is_answered_with_those_that_are_known() {
    let (mut server, _) = server(Settings::default());
    let stranger = stranger();
    // QUIC v2's first packet has another type in its bits; a made-up version may have any.
    for (version, first) in [
        ([0x6b, 0x33, 0x43, 0xcf], 0xd0),
        ([0x1a; 4], 0xc0),
        ([0xfa; 4], 0xff),
    ] {
        let mut datagram = vec![first];
        datagram.extend_from_slice(&version);
        datagram.extend_from_slice(&[8, 1, 2, 3, 4, 5, 6, 7, 8, 4, 9, 9, 9, 9]);
        assert!(
            answers(&mut server, &stranger, &datagram).is_empty(),
            "too short to be answered"
        );
        datagram.resize(1_200, 0);
        let answers = answers(&mut server, &stranger, &datagram);
        let [answer] = answers.as_slice() else {
            panic!("{} answers to version {version:x?}", answers.len());
        };
        let mut copy = answer.clone();
        let header = quiche::Header::from_slice(&mut copy, 4).expect("QUIC");
        assert_eq!(header.ty, quiche::Type::VersionNegotiation);
        let versions = header.versions.expect("some");
        assert!(
            versions.contains(&quiche::PROTOCOL_VERSION),
            "{versions:x?}"
        );
        assert_eq!(server.driver.connections(), 0);
    }
    // A version negotiation is never answered, or two nodes could talk for ever.
    let mut datagram = vec![0x80, 0, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0];
    datagram.resize(1_200, 0);
    assert!(answers(&mut server, &stranger, &datagram).is_empty());
}

#[test]
fn past_max_connections_newcomers_wait_outside_until_one_leaves() {
    let (mut server, certificate) = server(Settings {
        max_connections: 2,
        ..Settings::default()
    });
    let mut clients: Vec<Hands> = (0..3)
        .map(|_| Hands::client(&certificate, Settings::default()))
        .collect();
    for client in clients.iter_mut().take(2) {
        connected(&mut server, client);
    }
    let [first, _, third] = clients.as_mut_slice() else {
        panic!("three");
    };
    third.dial(&server);
    turn_for(Duration::from_millis(200), &mut [&mut server, third]);
    assert_eq!(server.driver.connections(), 2);
    assert!(!third.is_connected());
    first.driver.goodbye_all();
    turn_until(
        "the third is in",
        &mut [&mut server, first, third],
        |hands| hands[2].is_connected(),
    );
    assert_eq!(server.driver.connections(), 2);
}

#[test]
fn no_more_operations_open_than_the_peer_allows() {
    let (mut server, certificate) = server(Settings {
        max_streams: 3,
        ..Settings::default()
    });
    let mut client = Hands::client(&certificate, Settings::default());
    let key = connected(&mut server, &mut client);
    for _ in 0..3 {
        client
            .driver
            .invoke(key, "it", "", Vec::new())
            .expect("allowed");
    }
    let refused = client.driver.invoke(key, "it", "", Vec::new());
    assert!(matches!(refused, Err(Error::StreamLimit)), "{refused:?}");
    turn_until(
        "all three are there",
        &mut [&mut server, &mut client],
        |hands| {
            let invoked = |(_, told): &&(ConnectionKey, Told)| matches!(told, Told::Invoked(..));
            hands[0].told.iter().filter(invoked).count() == 3
        },
    );
    // The server is allowed as many of its own, by the client.
    let back = *server
        .driver
        .keys()
        .collect::<Vec<_>>()
        .first()
        .expect("one");
    for _ in 0..100 {
        server
            .driver
            .invoke(back, "it", "", Vec::new())
            .expect("allowed");
    }
    let refused = server.driver.invoke(back, "it", "", Vec::new());
    assert!(matches!(refused, Err(Error::StreamLimit)), "{refused:?}");
}

#[test]
fn a_keep_alive_outlasts_a_short_patience_on_either_side() {
    for (patience_of_server, patience_of_client) in [(300, 30_000), (30_000, 300)] {
        let (mut server, certificate) = server(Settings {
            idle_timeout: Duration::from_millis(patience_of_server),
            ..Settings::default()
        });
        let mut client = Hands::client(
            &certificate,
            Settings {
                idle_timeout: Duration::from_millis(patience_of_client),
                ..Settings::default()
            },
        );
        connected(&mut server, &mut client);
        turn_for(
            Duration::from_millis(1_500),
            &mut [&mut server, &mut client],
        );
        assert_eq!((server.closed(), client.closed()), (None, None));
    }
}

#[test]
fn without_a_keep_alive_an_idle_connection_is_lost_and_forgotten() {
    let (mut server, certificate) = server(Settings {
        idle_timeout: Duration::from_millis(300),
        ..Settings::default()
    });
    let mut client = Hands::client(
        &certificate,
        Settings {
            keep_alive: None,
            ..Settings::default()
        },
    );
    let key = connected(&mut server, &mut client);
    let stream = client.driver.invoke(key, "it", "", Vec::new());
    let stream = stream.expect("invoked");
    turn_until("both gave up", &mut [&mut server, &mut client], |hands| {
        hands.iter().all(|one| one.driver.connections() == 0)
    });
    for one in [&server, &client] {
        assert_eq!(one.closed(), Some(&Closed::Protocol(CloseReason::Lost)));
        assert!(one.has_told(|told| *told == Told::Ended(stream, Outcome::Lost)));
        assert_eq!(one.driver.timeout(), None);
    }
    let late = client.driver.invoke(key, "it", "", Vec::new());
    assert!(matches!(late, Err(Error::Closed(_))), "{late:?}");
    assert!(client.driver.calls(key).is_none());
    client.driver.goodbye(key);
    client.driver.key_fetched(key, None, &mut |_, _, _| {});
}

#[test]
fn a_client_that_never_says_hello_is_closed_and_forgotten() {
    let mut settings = Settings::default();
    settings.protocol.handshake_timeout = Duration::from_millis(300);
    let (mut server, _) = server(settings);
    let mut raw = Raw::dial(server.driver.local_address(), &mut raw::config());
    turn_until("it is told", &mut [&mut server], |_| {
        raw.turn();
        raw.quic.peer_error().is_some()
    });
    assert_eq!(raw.closed_with(), Some(ErrorCode::Refused.to_wire()));
    assert_eq!(
        server.closed(),
        Some(&Closed::Protocol(CloseReason::HandshakeTimeout))
    );
    turn_until("it is forgotten", &mut [&mut server], |hands| {
        hands[0].driver.connections() == 0
    });
    assert_eq!(server.driver.timeout(), None);
}

/// Fetches every key, or none.
struct Fetching;

impl KeyResolver for Fetching {
    fn resolve(&self, _method: &str) -> Resolution {
        Resolution::Fetch
    }
}

#[test]
fn a_key_that_has_to_be_fetched_is_awaited_and_the_answer_decides() {
    for good in [true, false] {
        let (mut server, certificate) = server(Settings::default());
        server.driver.resolve_with(Fetching);
        let mut client = Hands::client(&certificate, Settings::default());
        let key = client.dial(&server);
        let mut awaited = None;
        let deadline = Instant::now() + support::PATIENCE;
        while awaited.is_none() {
            assert!(Instant::now() < deadline, "no key was awaited");
            client.turn(Duration::from_millis(1));
            server.turn_with(Duration::from_millis(1), &mut |key, event, _| {
                if let Event::KeyAwaited { method, .. } = event {
                    awaited = Some((key, (*method).to_owned()));
                }
            });
        }
        let (connection, method) = awaited.expect("it was");
        let fetched = good
            .then(|| PublicKey::from_did_key_method(&method))
            .flatten();
        let told = &mut server.told;
        server
            .driver
            .key_fetched(connection, fetched, &mut |key, event, _| {
                if let Event::Connected { peer, .. } = event {
                    told.push((key, Told::Connected(peer.into())));
                }
            });
        turn_until("it is decided", &mut [&mut server, &mut client], |hands| {
            if good {
                hands.iter().all(|one| one.is_connected())
            } else {
                hands.iter().all(|one| one.closed().is_some())
            }
        });
        // A second answer is nobody's.
        server
            .driver
            .key_fetched(connection, None, &mut |_, event, _| {
                panic!("it was decided already: {event:?}")
            });
        if good {
            let asked = client.driver.invoke(key, "it", "", Vec::new());
            asked.expect("invoked");
            turn_until("it is asked", &mut [&mut server, &mut client], |hands| {
                hands[0].has_told(|told| matches!(told, Told::Invoked(..)))
            });
        } else {
            assert_eq!(
                client.closed(),
                Some(&Closed::Protocol(CloseReason::Peer(
                    ErrorCode::UnresolvableDid
                )))
            );
        }
    }
}

/// An idle connection costs nothing but its keep-alives.
#[test]
fn an_idle_connection_hardly_wakes_anybody() {
    let (mut server, certificate) = server(Settings::default());
    let mut client = Hands::client(&certificate, Settings::default());
    connected(&mut server, &mut client);
    turn_for(Duration::from_millis(300), &mut [&mut server, &mut client]);
    for one in [&mut server, &mut client] {
        let before = one.drives;
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            one.turn(until.saturating_duration_since(Instant::now()));
        }
        let drives = one.drives - before;
        assert!(drives <= 20, "{drives} drives in two idle seconds");
    }
}

#[test]
fn operations_with_answers_that_nobody_reads_wake_nobody() {
    let (mut server, certificate) = server(Settings::default());
    let mut client = Hands::client(&certificate, Settings::default());
    let key = connected(&mut server, &mut client);
    let asked = client.driver.invoke(key, "it", "", vec![1; 500_000]);
    asked.expect("invoked");
    // The server takes nothing of the arguments: they stop at the stream's window.
    let until = Instant::now() + Duration::from_millis(500);
    while Instant::now() < until {
        client.turn(Duration::from_millis(1));
        server.turn_with(Duration::from_millis(1), &mut |_, event, calls| {
            if let Event::Protocol(aire_proto::Event::Invoked { stream, .. }) = event {
                calls.pause(*stream);
            }
        });
    }
    let taken: usize = server
        .told
        .iter()
        .map(|(_, told)| match told {
            Told::Bytes(_, bytes) => bytes.len(),
            _ => 0,
        })
        .sum();
    assert!(taken < 100_000, "{taken}");
    for one in [&mut server, &mut client] {
        let before = one.drives;
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            one.turn(until.saturating_duration_since(Instant::now()));
        }
        let drives = one.drives - before;
        assert!(drives <= 20, "{drives} drives in an idle second");
    }
    // And it goes on where it stood.
    let paused = StreamId::new(4).expect("an operation");
    let back = *server
        .driver
        .keys()
        .collect::<Vec<_>>()
        .first()
        .expect("one");
    server.driver.calls(back).expect("open").resume(paused);
    turn_until("all came", &mut [&mut server, &mut client], |hands| {
        let bytes = hands[0].told.iter().map(|(_, told)| match told {
            Told::Bytes(_, bytes) => bytes.len(),
            _ => 0,
        });
        bytes.sum::<usize>() == 500_000
    });
}

#[test]
fn a_goodbye_before_quic_is_up_gives_the_dial_up() {
    let (server, certificate) = server(Settings::default());
    let mut client = Hands::client(&certificate, Settings::default());
    let key = client.dial(&server);
    client.turn(Duration::ZERO);
    client.driver.goodbye(key);
    turn_until("it is given up", &mut [&mut client], |hands| {
        hands[0].closed().is_some() && hands[0].driver.connections() == 0
    });
    assert!(client.driver.has_said_all());
}

#[test]
fn many_connections_come_and_go_and_nothing_stays() {
    let (mut server, certificate) = server(Settings::default());
    let mut client = Hands::client(&certificate, Settings::default());
    for _ in 0..3 {
        let mut keys = Vec::new();
        for _ in 0..20 {
            keys.push(client.dial(&server));
        }
        let before = client.told.len();
        turn_until("all are up", &mut [&mut server, &mut client], |hands| {
            let connected = |(_, told): &&(ConnectionKey, Told)| matches!(told, Told::Connected(_));
            hands[1].told[before..].iter().filter(connected).count() == 20
        });
        assert_eq!(server.driver.connections(), 20);
        for key in keys {
            client.driver.goodbye(key);
        }
        turn_until("all are gone", &mut [&mut server, &mut client], |hands| {
            hands.iter().all(|one| one.driver.connections() == 0)
        });
        assert_eq!(
            (server.driver.timeout(), client.driver.timeout()),
            (None, None)
        );
    }
}

#[test]
fn a_server_without_trust_does_not_dial_and_a_client_takes_nobody() {
    let (mut server, certificate) = server(Settings::default());
    let mut client = Hands::client(&certificate, Settings::default());
    let address = uri(client.driver.local_address())
        .parse()
        .expect("an address");
    let error = server.driver.connect(&address).expect_err("whom to trust?");
    assert!(error.to_string().contains("whom it trusts"), "{error}");
    let stranger = stranger();
    let (_quic, datagram) = initial(&mut raw::config(), &client);
    assert!(answers(&mut client, &stranger, &datagram).is_empty());
    assert_eq!(client.driver.connections(), 0);
}

#[test]
fn the_widest_settings_are_no_reason_to_panic() {
    let settings = Settings {
        max_streams: u64::MAX,
        stream_window: u64::MAX,
        connection_window: u64::MAX,
        idle_timeout: Duration::MAX,
        keep_alive: Some(Duration::MAX),
        send_queue: usize::MAX,
        ..Settings::default()
    };
    let mut settings = settings;
    settings.protocol.handshake_timeout = Duration::MAX;
    settings.protocol.drain_timeout = Duration::MAX;
    settings.protocol.cancel_timeout = Duration::MAX;
    let (mut server, certificate) = server(settings.clone());
    let mut client = Hands::client(&certificate, settings);
    let key = connected(&mut server, &mut client);
    let asked = client.driver.invoke(key, "it", "", vec![1; 10]);
    asked.expect("invoked");
    turn_until("it is asked", &mut [&mut server, &mut client], |hands| {
        hands[0].has_told(|told| matches!(told, Told::Invoked(..)))
    });
}

#[test]
fn a_driver_says_which_layer_stalls_an_operation() {
    use aire_proto::Event as E;
    use aire_proto::budget::Dimension;
    use aire_proto::connection::Stall;

    let (mut server, certificate) = server(Settings::default());
    let mut client = Hands::client(&certificate, Settings::default());
    let key = client.dial(&server);
    turn_until("it is up", &mut [&mut server, &mut client], |hands| {
        hands[1].is_connected()
    });
    let invoked = client.driver.invoke(key, "it", "", Vec::new());
    let stream = invoked.expect("invoked");
    let mut served = None;
    let deadline = Instant::now() + support::PATIENCE;
    while served.is_none_or(|at| server.driver.stall(at, stream).is_none()) {
        assert!(Instant::now() < deadline, "it never stalls");
        client.turn(Duration::from_millis(1));
        server.turn_with(Duration::from_millis(1), &mut |at, event, calls| {
            if let Event::Protocol(E::Invoked { stream, .. }) = event {
                served = Some(at);
                let patience = Duration::from_secs(60);
                let told = calls.out_of_budget(*stream, Dimension::Tokens, patience);
                assert_eq!(told, Ok(()));
            }
        });
    }
    let at = served.expect("invoked");
    assert_eq!(server.driver.stall(at, stream), Some(Stall::Budget));
    let mut calls = server.driver.calls(at).expect("connected");
    // More than the peer takes ahead, as nobody reads it.
    assert_eq!(calls.within_budget(stream), Ok(()));
    for _ in 0..8 {
        let _full = calls.send(stream, vec![0; 200_000]);
    }
    client.driver.calls(key).expect("connected").pause(stream);
    turn_until("it stalls", &mut [&mut server, &mut client], |hands| {
        hands[0].driver.stall(at, stream) == Some(Stall::Transport)
    });
}
