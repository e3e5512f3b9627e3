//! The handshake with an independent server.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use aire_quic::{Event, Group, Micros, Suite};
use support::link::Weather;
use support::server::{Identity, Options, Server};
use support::{Memory, World, config};

/// Connects, sends `bytes` on a stream and gets them back.
fn echo(options: &Options, adjust: impl Fn(&mut aire_quic::Config<'_>), weather: Weather) {
    let identity = Identity::new(options);
    let pins = [identity.pin];
    let mut config = config(&pins);
    adjust(&mut config);
    let mut memory = Memory::new();
    let mut world = World::new(&mut memory, &config, Server::new(&identity), weather, 1);
    assert!(world.connect(), "{:?} {:?}", world.events, world.server.log);
    let stream = world.client.open().unwrap();
    let bytes: Vec<u8> = (0..5000_u32).map(|n| n as u8).collect();
    assert!(world.send_all(stream, &bytes));
    let done = world.run_until(Micros::from_secs(60), |world| world.whole(stream).is_some());
    assert!(done, "{:?}", world.events);
    assert_eq!(world.whole(stream), Some(&bytes[..]));
    assert!(world.run_until(Micros::from_secs(5), |world| world.client.is_confirmed()));
    assert!(world.events.contains(&Event::Connected));
    assert_eq!(world.server.retries, u32::from(options.retry));
    assert!(world.link.longest <= 1500);
}

#[test]
fn bytes_come_back_from_an_independent_server() {
    echo(&Options::default(), |_| {}, Weather::FAIR);
}

#[test]
fn aes_is_spoken_where_the_server_wants_it() {
    let options = Options {
        only_aes: true,
        ..Options::default()
    };
    echo(&options, |_| {}, Weather::FAIR);
    echo(
        &Options::default(),
        |config| config.suites = &[Suite::Aes128Gcm],
        Weather::FAIR,
    );
}

#[test]
fn chacha_is_spoken_where_the_server_wants_it() {
    let options = Options {
        only_chacha: true,
        ..Options::default()
    };
    echo(&options, |_| {}, Weather::FAIR);
}

#[test]
fn a_server_that_wants_p256_gets_it_in_a_second_hello() {
    let options = Options {
        only_p256: true,
        ..Options::default()
    };
    echo(&options, |_| {}, Weather::FAIR);
    echo(
        &options,
        |config| config.groups = &[Group::P256],
        Weather::FAIR,
    );
}

#[test]
fn a_server_with_a_p256_key_is_believed() {
    let options = Options {
        p256_key: true,
        ..Options::default()
    };
    echo(&options, |_| {}, Weather::FAIR);
}

#[test]
fn a_retry_is_followed() {
    let options = Options {
        retry: true,
        ..Options::default()
    };
    echo(&options, |_| {}, Weather::FAIR);
}
