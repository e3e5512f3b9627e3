//! The way to a connection: names, the time, trust, and a network that changes under it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use aire_embassy::{Closed, Options, Server, Status, TimeSource};
use aire_proto::identity::PublicKey;
use aire_quic::{CloseReason, Trust};
use embassy_time::{Duration, Timer};
use support::link::Weather;
use support::servers;
use support::world::{World, options};
use support::{any_port, builder, certificate, eventually, run, spawn, unix_now};

#[test]
fn the_time_and_the_address_come_from_the_network() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 1);
        let options = Options {
            server: Server::new("node.example"),
            time: TimeSource::Sntp {
                server: Server {
                    host: "10.1.0.1",
                    port: 123,
                },
                every: Duration::from_millis(300),
            },
            ..options(&certificate)
        };
        let handle = world.timeless(options, 1);
        // Nobody answers there yet.
        eventually("an attempt fails", || handle.why().is_some()).await;
        assert_eq!(handle.why(), Some(Closed::NoTime));
        assert_eq!(handle.unix_time(), None);
        spawn(spawner, servers::time(world.gateway));
        spawn(spawner, servers::names(world.gateway, "other.example"));
        eventually("the time is known", || handle.unix_time().is_some()).await;
        let ahead = handle.unix_time().unwrap().0 - unix_now().0;
        assert!(ahead.abs() < 1000, "{ahead} ms");
        eventually("the name is not known", || {
            handle.why() == Some(Closed::NoAddress)
        })
        .await;
    });
}

#[test]
fn a_node_is_found_by_its_name_and_the_time_is_asked_again_while_it_is_connected() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 2);
        spawn(spawner, servers::names(world.gateway, "node.example"));
        spawn(spawner, servers::time(world.gateway));
        let options = Options {
            server: Server::new("node.example"),
            time: TimeSource::Sntp {
                server: Server {
                    host: "10.1.0.1",
                    port: 123,
                },
                every: Duration::from_millis(200),
            },
            ..options(&certificate)
        };
        let handle = world.timeless(options, 2);
        handle.connected().await;
        // Somebody sets it wrong; the network sets it right.
        handle.set_unix_time(aire_proto::UnixMillis(5));
        eventually("it is asked again", || {
            (handle.unix_time().unwrap().0 - unix_now().0).abs() < 1000
        })
        .await;
        assert_eq!(handle.status(), Status::Connected);
    });
}

#[test]
fn nothing_is_said_before_the_time_is_known() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 3);
        let handle = world.timeless(options(&certificate), 3);
        eventually("it waits for the time", || handle.status() == Status::Time).await;
        Timer::after_millis(100).await;
        assert_eq!(world.link.borrow().datagrams(), [0, 0]);
        handle.set_unix_time(unix_now());
        handle.connected().await;
    });
}

#[test]
fn a_server_with_another_key_is_not_believed() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 4);
        let options = Options {
            trust: Trust::Pins(&[[1; 32]]),
            ..options(&certificate)
        };
        let handle = world.client(options, 4);
        eventually("it is refused", || handle.why().is_some()).await;
        let why = handle.why().unwrap();
        let refused = matches!(why, Closed::Transport(CloseReason::Violation(_)));
        assert!(refused, "{why}");
        assert_ne!(handle.status(), Status::Connected);
    });
}

#[test]
fn a_node_with_another_identity_than_the_expected_one_is_not_talked_to() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 5);
        let wrong = Options {
            expects: Some(PublicKey([9; 32])),
            ..options(&certificate)
        };
        let handle = world.client(wrong, 5);
        eventually("it is refused", || handle.why().is_some()).await;
        assert_eq!(handle.why(), Some(Closed::OtherNode));
        let right = Options {
            expects: PublicKey::from_did_key(node.did()),
            ..options(&certificate)
        };
        world.client(right, 6).connected().await;
    });
}

#[test]
fn a_time_that_is_far_off_is_told_by_its_code() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 7);
        let handle = world.timeless(options(&certificate), 7);
        handle.set_unix_time(aire_proto::UnixMillis(unix_now().0 - 3_600_000));
        eventually("it is refused", || handle.why().is_some()).await;
        let why = handle.why().unwrap().to_string();
        assert!(why.contains("STALE_TIMESTAMP"), "{why}");
        handle.set_unix_time(unix_now());
        handle.connected().await;
    });
}

#[test]
fn an_operation_does_not_notice_that_the_address_changes() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 8);
        let handle = world.client(options(&certificate), 8);
        let operation = handle.invoke("mirror", "it", b"").await.unwrap();
        let mut buffer = [0; 1000];
        for nth in 0..30_u8 {
            // The gateway gives each port of the device another port of its own.
            if nth.is_multiple_of(10) {
                handle.address_changed();
            }
            operation.send(&[nth; 1000]).await.unwrap();
            assert_eq!(operation.recv_frame(&mut buffer).await, Ok(Some(1000)));
            assert_eq!(buffer, [nth; 1000]);
            Timer::after_millis(20).await;
        }
        assert_eq!(operation.times_resumed(), 0);
        assert_eq!(handle.why(), None, "it was one connection");
    });
}

#[test]
fn an_idle_connection_is_kept_alive_by_pings() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 9);
        let options = Options {
            idle_timeout: Duration::from_millis(500),
            ..options(&certificate)
        };
        let handle = world.client(options, 9);
        handle.connected().await;
        Timer::after_millis(1500).await;
        assert_eq!(handle.status(), Status::Connected);
        assert_eq!(handle.why(), None);
    });
}

#[test]
fn without_pings_an_idle_connection_ends_and_another_one_is_made() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 10);
        let options = Options {
            idle_timeout: Duration::from_millis(300),
            keep_alive: None,
            ..options(&certificate)
        };
        let handle = world.client(options, 10);
        handle.connected().await;
        eventually("it ends", || handle.why().is_some()).await;
        assert_eq!(handle.why(), Some(Closed::Transport(CloseReason::Idle)));
        handle.connected().await;
    });
}
