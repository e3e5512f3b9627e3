//! What a connection does after the handshake, with an independent server.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use aire_quic::{
    CloseReason, Code, Config, ConfigError, Connection, Event, Instant, Micros, MigrationError,
    OpenError, StreamId, Trust,
};
use support::link::Weather;
use support::server::{self, Identity, Options, Server};
use support::{Memory, World, config};

fn with_world(options: &Options, play: impl FnOnce(&mut World<'_>)) {
    let identity = Identity::new(options);
    let pins = [identity.pin];
    let config = config(&pins);
    let mut memory = Memory::new();
    let server = Server::new(&identity);
    let mut world = World::new(&mut memory, &config, server, Weather::FAIR, 1);
    assert!(world.connect(), "{:?} {:?}", world.events, world.server.log);
    assert!(world.run_until(Micros::from_secs(5), |world| world.client.is_confirmed()));
    play(&mut world);
}

/// Sends `bytes` on a new stream and waits until they came back.
fn echo(world: &mut World<'_>, bytes: &[u8]) {
    let stream = world.client.open().unwrap();
    assert!(world.send_all(stream, bytes));
    let done = world.run_until(Micros::from_secs(60), |world| world.whole(stream).is_some());
    assert!(done, "{:?} {:?}", world.events, world.server.log);
    assert_eq!(world.whole(stream), Some(bytes));
}

fn closed(world: &World<'_>) -> Option<CloseReason> {
    world.events.iter().find_map(|event| match event {
        Event::Closed(reason) => Some(*reason),
        _ => None,
    })
}

#[test]
fn a_stream_that_the_server_opens_is_heard_and_answered() {
    with_world(&Options::default(), |world| {
        assert!(world.server.open(b"hello"));
        let stream = StreamId::new(1).unwrap();
        assert!(world.run_until(Micros::from_secs(5), |world| {
            world
                .read
                .get(&stream)
                .is_some_and(|(bytes, _)| bytes == b"hello")
        }));
        assert!(world.events.contains(&Event::Opened(stream)));
        assert_eq!(world.client.write(stream, b" to you"), 7);
        world.client.finish(stream);
        assert!(world.run_until(Micros::from_secs(5), |world| world.whole(stream).is_some()));
        assert_eq!(world.whole(stream), Some(&b"hello to you"[..]));
        // One stream at a time is allowed, and the next comes in its place.
        assert!(world.run_until(Micros::from_secs(5), |world| world.server.open(b"again")));
        let next = StreamId::new(5).unwrap();
        assert!(world.run_until(Micros::from_secs(5), |world| {
            world.events.contains(&Event::Opened(next))
        }));
    });
}

#[test]
fn a_hundred_streams_one_after_another_leave_nothing_behind() {
    with_world(&Options::default(), |world| {
        for n in 0..100_u32 {
            echo(world, &n.to_be_bytes());
        }
        echo(world, &[5; 30_000]);
    });
}

#[test]
fn streams_that_nobody_reads_do_not_stop_others() {
    with_world(&Options::default(), |world| {
        world.lazy = true;
        let first = world.client.open().unwrap();
        assert_eq!(world.client.write(first, &[1; 1024]), 1024);
        assert!(world.run_until(Micros::from_secs(5), |world| {
            world.client.peek(first).bytes.len() == 1024
        }));
        world.lazy = false;
        world.events.clear();
        echo(world, &[2; 10_000]);
    });
}

#[test]
fn both_ends_change_keys_and_go_on() {
    with_world(&Options::default(), |world| {
        for _ in 0..3 {
            echo(world, b"before");
            assert!(world.run_until(Micros::from_secs(10), |world| {
                world.client.update_keys(world.now)
            }));
            assert!(
                !world.client.update_keys(world.now),
                "too early for another"
            );
            echo(world, b"after ours");
            world.server.connection().unwrap().force_key_update();
            echo(world, b"after the server's");
        }
    });
}

#[test]
fn the_exporter_agrees_with_the_servers() {
    with_world(&Options::default(), |world| {
        for context in [&b""[..], b"context"] {
            let label = b"EXPORTER-Channel-Binding";
            let (mut ours, mut theirs) = ([0; 32], [1; 32]);
            assert!(
                world
                    .client
                    .export_keying_material(label, context, &mut ours)
            );
            world
                .server
                .connection()
                .unwrap()
                .crypto_session()
                .export_keying_material(&mut theirs, label, context)
                .unwrap();
            assert_eq!(ours, theirs);
        }
    });
}

#[test]
fn a_change_of_address_is_confirmed_and_bytes_go_on() {
    with_world(&Options::default(), |world| {
        let stream = world.client.open().unwrap();
        assert_eq!(world.client.write(stream, b"from the old address"), 20);
        assert!(world.run_until(Micros::from_secs(1), |world| {
            world.read.contains_key(&stream)
        }));
        world.link.client_port += 1;
        world.client.address_changed(world.now).unwrap();
        assert!(world.client.is_migrating());
        assert!(world.run_until(Micros::from_secs(5), |world| !world.client.is_migrating()));
        assert_eq!(world.client.write(stream, b", then the new one"), 18);
        world.client.finish(stream);
        assert!(world.run_until(Micros::from_secs(5), |world| world.whole(stream).is_some()));
        assert_eq!(
            world.whole(stream),
            Some(&b"from the old address, then the new one"[..])
        );
        assert_eq!(world.server.client_ports, [40_000, 40_001]);
    });
}

#[test]
fn a_path_that_never_answers_ends_the_connection() {
    with_world(&Options::default(), |world| {
        world.link.cut = true;
        world.client.address_changed(world.now).unwrap();
        assert!(world.run_until(Micros::from_secs(60), |world| closed(world).is_some()));
        let Some(CloseReason::Violation(error)) = closed(world) else {
            panic!("{:?}", world.events);
        };
        assert_eq!(error.code, Code::NO_VIABLE_PATH);
    });
}

#[test]
fn a_server_that_forbids_migration_is_heeded() {
    let options = Options {
        no_migration: true,
        ..Options::default()
    };
    with_world(&options, |world| {
        assert_eq!(
            world.client.address_changed(world.now),
            Err(MigrationError::Forbidden)
        );
        echo(world, b"as before");
    });
}

#[test]
fn a_closed_connection_says_so_to_the_server_and_drains() {
    with_world(&Options::default(), |world| {
        world.client.close(42, "enough", world.now);
        assert_eq!(world.client.open(), Err(OpenError::Closed));
        assert!(world.run_until(Micros::from_secs(10), |world| world.client.is_drained()));
        assert_eq!(closed(world), Some(CloseReason::Local { code: 42 }));
        let told = world
            .server
            .log
            .iter()
            .any(|line| line.contains("closed by peer: enough"));
        assert!(told, "{:?}", world.server.log);
    });
}

#[test]
fn the_servers_close_is_heard_with_its_code() {
    with_world(&Options::default(), |world| {
        let at = std::time::Instant::now();
        world.server.connection().unwrap().close(
            at,
            quinn_proto::VarInt::from_u32(7),
            "bye".into(),
        );
        assert!(world.run_until(Micros::from_secs(10), |world| world.client.is_drained()));
        assert_eq!(closed(world), Some(CloseReason::Application { code: 7 }));
    });
}

#[test]
fn silence_ends_a_connection_and_pings_keep_it() {
    let options = Options {
        idle: Some(Micros::from_secs(3)),
        ..Options::default()
    };
    with_world(&options, |world| {
        for _ in 0..10 {
            world.client.ping();
            world.run_until(Micros::from_secs(2), |_| false);
            assert!(world.client.is_connected());
        }
        world.run_until(Micros::from_secs(4), |_| false);
        assert_eq!(closed(world), Some(CloseReason::Idle));
        assert!(world.client.is_drained());
    });
}

#[test]
fn a_link_that_is_cut_is_noticed() {
    with_world(&Options::default(), |world| {
        let stream = world.client.open().unwrap();
        world.link.cut = true;
        world.client.write(stream, b"into the void");
        assert!(world.run_until(Micros::from_secs(120), |world| closed(world).is_some()));
        assert_eq!(closed(world), Some(CloseReason::Idle));
    });
}

#[test]
fn a_link_that_comes_back_loses_nothing() {
    with_world(&Options::default(), |world| {
        let stream = world.client.open().unwrap();
        world.link.cut = true;
        world.client.write(stream, b"late, but here");
        world.client.finish(stream);
        world.run_until(Micros::from_secs(8), |_| false);
        world.link.cut = false;
        assert!(world.run_until(Micros::from_secs(20), |world| world.whole(stream).is_some()));
        assert_eq!(world.whole(stream), Some(&b"late, but here"[..]));
    });
}

/// Connects to `first` until a ticket came, then to `second` with it; says whether that resumed.
fn resumes(first: &Identity, second: &Identity, device_restarts: bool) -> bool {
    let pins = [first.pin, second.pin];
    let config = config(&pins);
    let (mut memory, mut other_memory) = (Memory::new(), Memory::new());
    let server = Server::new(first);
    let mut world = World::new(&mut memory, &config, server, Weather::FAIR, 1);
    assert!(world.client.ticket().is_none());
    assert!(world.connect());
    assert!(!world.client.is_resumed());
    assert!(world.run_until(Micros::from_secs(5), |world| {
        world.events.contains(&Event::Ticket)
    }));
    if device_restarts {
        let mut client = Connection::new(&mut other_memory);
        client.offer_ticket(world.client.ticket().unwrap());
        world.client = client;
    }
    world.dial_again(&config, Server::new(second));
    assert!(world.connect(), "{:?} {:?}", world.events, world.server.log);
    echo(&mut world, b"once more");
    world.client.is_resumed()
}

#[test]
fn a_ticket_makes_the_next_handshake_a_resumption_also_after_a_restart_of_the_device() {
    let identity = Identity::new(&Options::default());
    assert!(resumes(&identity, &identity, false));
    assert!(resumes(&identity, &identity, true));
}

#[test]
fn a_ticket_that_the_server_does_not_know_makes_the_handshake_a_full_one() {
    let (first, second) = (
        Identity::new(&Options::default()),
        Identity::new(&Options::default()),
    );
    assert!(!resumes(&first, &second, false));
}

#[test]
fn a_token_saves_the_next_connection_a_retry() {
    let options = Options {
        retry: true,
        ..Options::default()
    };
    let identity = Identity::new(&options);
    let pins = [identity.pin];
    let config = config(&pins);
    let mut memory = Memory::new();
    let server = Server::new(&identity);
    let mut world = World::new(&mut memory, &config, server, Weather::FAIR, 1);
    assert!(world.connect());
    assert_eq!(world.server.retries, 1);
    assert!(world.run_until(Micros::from_secs(5), |world| {
        world.events.contains(&Event::Token)
    }));
    let token = world.client.token().unwrap().to_vec();
    world.dial_again(&config, Server::new(&identity));
    assert_eq!(world.client.token(), Some(&token[..]));
    assert!(world.connect(), "{:?} {:?}", world.events, world.server.log);
    assert_eq!(world.server.retries, 0);
}

#[test]
fn a_connection_can_be_dialled_again_at_any_moment() {
    let identity = Identity::new(&Options::default());
    let pins = [identity.pin];
    let config = config(&pins);
    let mut memory = Memory::new();
    let server = Server::new(&identity);
    let mut world = World::new(&mut memory, &config, server, Weather::FAIR, 1);
    for steps in 0..40 {
        world.run_until(Micros::from_millis(5 * steps), |_| false);
        if world.client.is_connected() {
            let stream = world.client.open().unwrap();
            world.client.write(stream, &[1; 3000]);
        }
        world.dial_again(&config, Server::new(&identity));
    }
    assert!(world.connect());
    echo(&mut world, &[2; 3000]);
}

#[test]
fn a_server_with_another_key_is_not_believed() {
    let identity = Identity::new(&Options::default());
    let pins = [[9; 32]];
    let config = config(&pins);
    let mut memory = Memory::new();
    let server = Server::new(&identity);
    let mut world = World::new(&mut memory, &config, server, Weather::FAIR, 1);
    assert!(!world.connect());
    let Some(CloseReason::Violation(error)) = closed(&world) else {
        panic!("{:?}", world.events);
    };
    assert!(error.code.alert().is_some(), "{error}");
    assert!(world.run_until(Micros::from_secs(20), |world| world.server.lost));
}

#[test]
fn an_application_protocol_that_the_server_does_not_speak_is_told() {
    let identity = Identity::new(&Options::default());
    let pins = [identity.pin];
    let mut config = config(&pins);
    config.alpn = b"something-else";
    let mut memory = Memory::new();
    let server = Server::new(&identity);
    let mut world = World::new(&mut memory, &config, server, Weather::FAIR, 1);
    assert!(!world.connect());
    let Some(CloseReason::Transport { code, .. }) = closed(&world) else {
        panic!("{:?}", world.events);
    };
    assert_eq!(code.alert(), Some(120));
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let identity = Identity::new(&Options::default());
    let pins = [identity.pin];
    let config = config(&pins);
    let mut memory = Memory::new();
    let server = Server::new(&identity);
    let mut world = World::new(&mut memory, &config, server, Weather::FAIR, 1);
    world.link.cut = true;
    assert!(!world.connect());
    assert_eq!(closed(&world), Some(CloseReason::HandshakeTimeout));
    assert!(world.now <= Instant::from_micros(12_000_000));
}

#[test]
fn a_server_of_another_version_is_told_from_a_version_negotiation() {
    let identity = Identity::new(&Options::default());
    let pins = [identity.pin];
    let config = config(&pins);
    for (versions, reason) in [
        (&[0x6b, 0x33, 0x43, 0xcf][..], Some(CloseReason::Version)),
        (&[0x6b, 0x33, 0x43, 0xcf, 0, 0, 0, 1], None),
    ] {
        let mut memory = Memory::new();
        let now = Instant::from_micros(0);
        let mut client = Connection::new(&mut memory);
        client.connect(&config, &[1; 32], now).unwrap();
        let mut first = [0; 1200];
        client.poll_transmit(&mut first, now).unwrap();
        let (server_id, client_id) = (&first[6..14], &first[15..23]);
        let mut answer = vec![0x80, 0, 0, 0, 0, 8];
        answer.extend_from_slice(client_id);
        answer.push(8);
        answer.extend_from_slice(server_id);
        answer.extend_from_slice(versions);
        client.handle_datagram(&mut answer, now);
        let event = client.poll_event();
        assert_eq!(event, reason.map(Event::Closed));
    }
}

#[test]
fn a_stateless_reset_ends_the_connection() {
    with_world(&Options::default(), |world| {
        // The server forgets everything but its keys, and answers what it does not know.
        world.server.forget();
        let stream = world.client.open().unwrap();
        world.client.write(stream, &[0; 500]);
        assert!(world.run_until(Micros::from_secs(20), |world| closed(world).is_some()));
        assert_eq!(closed(world), Some(CloseReason::StatelessReset));
    });
}

#[test]
fn a_configuration_that_could_not_work_is_refused() {
    let mut memory = Memory::new();
    let mut client = Connection::new(&mut memory);
    let mut refused = |spoil: &dyn Fn(&mut Config<'_>)| {
        let mut config = Config::new("localhost", server::ALPN, Trust::Pins(&[[0; 32]]));
        spoil(&mut config);
        client
            .connect(&config, &[0; 32], Instant::from_micros(0))
            .unwrap_err()
    };
    assert_eq!(refused(&|config| config.alpn = b""), ConfigError::Alpn);
    assert_eq!(
        refused(&|config| config.server_name = ""),
        ConfigError::ServerName
    );
    assert_eq!(
        refused(&|config| config.trust = Trust::Pins(&[])),
        ConfigError::NoTrust
    );
    assert_eq!(
        refused(&|config| config.suites = &[]),
        ConfigError::NothingOffered
    );
    assert_eq!(
        refused(&|config| config.groups = &[]),
        ConfigError::NothingOffered
    );
    assert_eq!(
        refused(&|config| config.peer_streams = 5),
        ConfigError::PeerStreams
    );
    assert_eq!(
        refused(&|config| config.max_datagram = 1199),
        ConfigError::MaxDatagram
    );
}

#[test]
fn nothing_is_sent_and_nothing_due_before_a_connection_is_dialled() {
    let mut memory = Memory::new();
    let mut client = Connection::new(&mut memory);
    let now = Instant::from_micros(5);
    client.handle_datagram(&mut [0x40; 1200], now);
    client.handle_timeout(now);
    assert_eq!(client.poll_transmit(&mut [0; 1200], now), None);
    assert_eq!(client.next_deadline(), None);
    assert_eq!(client.poll_event(), None);
    assert!(client.is_closed() && client.is_drained());
    assert_eq!(client.open(), Err(OpenError::Closed));
}
