//! Connections before a server that keeps to no rule.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

mod crypto;
mod ending;
mod frames;
mod handshake;
mod ids;
mod keys;
mod packets;
mod parameters;
mod properties;
mod retry;
mod timing;
mod upkeep;

use std::vec::Vec;

use super::hostile::frames as make;
use super::hostile::{Heard, Memory, START, Server, Stage, World, play};
use crate::error::Code;
use crate::event::{CloseReason, Event};
use crate::frame::Frame;
use crate::recovery::Space;
use crate::time::Micros;

/// What a server is told for sending `payload` in `space` at `stage`: the code, and the type of
/// the frame that is to blame. `None`: it is told nothing, and the connection lives.
fn told(stage: Stage, space: Space, payload: &[u8]) -> Option<(Code, u64)> {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, stage);
    let heard = world.server.heard.len();
    let datagrams = world.send(space, payload);
    verdict(&mut world, stage, heard, datagrams)
}

/// The same after the client said all that it had to say behind the first `heard` packets, in
/// `datagrams` datagrams. An end is checked to be a proper one: one datagram with CONNECTION_CLOSE
/// at each level that the server may be able to read, one event, and silence.
fn verdict(
    world: &mut World<'_>,
    stage: Stage,
    heard: usize,
    datagrams: usize,
) -> Option<(Code, u64)> {
    let end = world.end()?;
    let CloseReason::Violation(error) = end else {
        panic!("it ended otherwise: {end:?}");
    };
    assert_eq!(datagrams, 1);
    let farewells = world.farewells(heard);
    let spaces: Vec<Space> = farewells.iter().map(|(space, ..)| *space).collect();
    assert_eq!(spaces, stage.farewells());
    let frame_type = farewells[0].3;
    for (_, application, code, its_type) in farewells {
        assert_eq!(
            (application, code, its_type),
            (false, error.code.0, frame_type)
        );
    }
    for packet in &world.server.heard[heard..] {
        assert_eq!(packet.frames().len(), 1);
    }
    let ends = |event: &&Event| matches!(event, Event::Closed(_));
    assert_eq!(world.events.iter().filter(ends).count(), 1);
    world.bury();
    Some((error.code, frame_type))
}

/// Frames of the packets behind the first `heard`, as `pick` wants them.
fn picked<T>(world: &World<'_>, heard: usize, pick: impl Fn(&Frame<'_>) -> Option<T>) -> Vec<T> {
    world.server.heard[heard..]
        .iter()
        .flat_map(|packet: &Heard| packet.frames().iter().filter_map(&pick).collect::<Vec<T>>())
        .collect()
}
