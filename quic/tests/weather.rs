//! Bytes both ways through a link that loses, delays, overtakes, repeats, spoils and cuts.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use aire_quic::{Event, Micros, StreamId};
use support::link::{Random, Weather};
use support::server::{Identity, Options, Server};
use support::{Memory, World, config};

/// How many seeds: `WEATHER_SEEDS` says otherwise.
fn seeds() -> u64 {
    std::env::var("WEATHER_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1000)
}

fn weather(random: &mut Random) -> Weather {
    Weather {
        delay: Micros::from_millis(1 + random.below(60)),
        jitter: Micros::from_millis(random.below(30)),
        lost: random.below(21),
        repeated: random.below(10),
        spoiled: random.below(5),
        mtu: if random.chance(50) { 1200 } else { 1500 },
    }
}

fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.next() as u8).collect()
}

/// One world: up to three streams of ours and one of the server's, all echoed.
fn play(seed: u64, identity: &Identity) -> Result<(), String> {
    let mut random = Random::new(seed);
    let pins = [identity.pin];
    let mut config = config(&pins);
    // With a fifth of all datagrams lost each way, a handshake may need several attempts.
    config.handshake_timeout = Micros::from_secs(120);
    let mut memory = Memory::new();
    let weather = weather(&mut random);
    let server = Server::new(identity);
    let mut world = World::new(&mut memory, &config, server, weather, seed);
    let story = |world: &World<'_>, what: &str| {
        Err(format!(
            "seed {seed}: {what}; {weather:?} {:?} {:?} {:?}",
            world.events,
            world.server.log,
            world.client.stats()
        ))
    };
    if !world.run_until(Micros::from_secs(130), |world| world.client.is_connected()) {
        return story(&world, "no connection");
    }
    let count = 1 + random.below(3) as usize;
    let texts: Vec<Vec<u8>> = (0..count)
        .map(|n| pattern(seed ^ n as u64, random.below(12_000) as usize))
        .collect();
    let streams: Vec<StreamId> = texts.iter().map(|_| world.client.open().unwrap()).collect();
    let mut sent = vec![0; count];
    let mut finished = vec![false; count];
    world.server.open(b"a stream of the server's");
    let mut answered = false;
    let done = world.run_until(Micros::from_secs(300), |world| {
        for n in 0..count {
            sent[n] += world.client.write(streams[n], &texts[n][sent[n]..]);
            if sent[n] == texts[n].len() && !finished[n] {
                finished[n] = true;
                world.client.finish(streams[n]);
            }
        }
        let opened = world.events.iter().find_map(|event| match event {
            Event::Opened(stream) => Some(*stream),
            _ => None,
        });
        if let Some(stream) = opened
            && !answered
        {
            answered = true;
            world.client.finish(stream);
        }
        world.client.is_closed()
            || (opened.is_some_and(|stream| world.whole(stream).is_some())
                && streams.iter().all(|stream| world.whole(*stream).is_some()))
    });
    if !done || world.client.is_closed() {
        return story(&world, "not all came");
    }
    for (stream, text) in streams.iter().zip(&texts) {
        if world.whole(*stream) != Some(text) {
            return story(&world, "other bytes came");
        }
    }
    // All slots and windows are free again: a later stream is like the first.
    let again = world.run_until(Micros::from_secs(60), |world| world.client.can_open());
    if !again {
        return story(&world, "no further stream");
    }
    world.client.close(0, "done", world.now);
    let drained = world.run_until(Micros::from_secs(120), |world| world.client.is_drained());
    if !drained {
        return story(&world, "not drained");
    }
    Ok(())
}

#[test]
fn everything_arrives_once_and_in_order_whatever_the_link_does() {
    let identity = Identity::new(&Options::default());
    let failures: Vec<String> = (0..seeds())
        .filter_map(|seed| play(seed, &identity).err())
        .collect();
    assert!(
        failures.is_empty(),
        "{} failed, the first: {}",
        failures.len(),
        failures[0]
    );
}
