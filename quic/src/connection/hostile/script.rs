//! A conversation in bytes: what the server sends, what the application does, what gets lost, and
//! how time passes. Any bytes are a script.

use std::vec;
use std::vec::Vec;

use super::frames;
use super::world::{Memory, Stage, World};
use crate::StreamId;
use crate::coding::Reader;
use crate::recovery::Space;
use crate::time::Micros;

/// More steps say nothing new.
const MOST_STEPS: usize = 60;

/// Plays `script`, and then lets the connection come to its end. It panics when the connection does
/// what no connection may.
pub(crate) fn play(script: &[u8]) {
    let mut reader = Reader::new(script);
    let Some(first) = reader.u8() else {
        return;
    };
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::ALL[usize::from(first & 3)]);
    let mut last = vec![];
    for _ in 0..MOST_STEPS {
        if step(&mut world, &mut reader, &mut last).is_none() {
            break;
        }
    }
    if !world.has_ended() {
        world.wait(Micros::from_secs(120));
        assert!(world.has_ended(), "it outlives the silence");
    }
    world.bury();
}

/// One step. `last` is the datagram that was last given. `None` at the script's end.
fn step(world: &mut World<'_>, script: &mut Reader<'_>, last: &mut Vec<u8>) -> Option<()> {
    let (step, argument) = (script.u8()?, script.u8()?);
    let space = space(world, argument);
    match step & 0x0f {
        // Frames, with an acknowledgment in front or not.
        0..=3 => {
            let mut payload = vec![];
            if step & 3 == 0 {
                payload = world.server.ack(space);
            }
            payload.extend(script.u8_bytes().unwrap_or_default());
            if payload.len() < 1150 {
                *last = world.server.packet(space, &payload);
                world.give(last);
            }
        }
        4 => {
            world.wait(Micros::from_millis(u64::from(argument) * 4));
        }
        5 => {
            *last = script.u8_bytes().unwrap_or_default().to_vec();
            world.give(last);
        }
        // What came before, with a byte of it changed, or not.
        6 => {
            let (at, change) = (usize::from(argument), script.u8()?);
            if let Some(byte) = last.get_mut(at) {
                *byte ^= change;
            }
            world.give(last);
        }
        // Two packets change places.
        7 => {
            let first = world
                .server
                .packet(space, script.u8_bytes().unwrap_or(frames::PING));
            *last = world
                .server
                .packet(space, script.u8_bytes().unwrap_or(frames::PING));
            world.give(last);
            world.give(&first);
        }
        8 => {
            let acknowledged = world.server.ack(space);
            if !acknowledged.is_empty() {
                world.send(space, &acknowledged);
            }
        }
        9 => {
            if space == Space::Application && world.server.generation < 20 {
                world.server.update_keys();
            }
        }
        10 => {
            world.client.update_keys(world.now);
            world.client.ping();
        }
        11 => {
            // It may not be the time for it.
            let _changed = world.client.address_changed(world.now);
        }
        // What the client has to say now is lost.
        12 => {
            let _lost = world.take();
        }
        13 => {
            if argument == 0xff {
                world.client.close(9, "the end", world.now);
            }
        }
        14 => {
            if let Ok(stream) = world.client.open() {
                world.client.write(stream, &[argument; 600]);
            }
        }
        _ => application(world, step >> 4, argument),
    }
    // What was lost is not heard, all else is.
    if step & 0x80 != 0 {
        let _lost = world.take();
    }
    world.flush();
    Some(())
}

/// A space that the server has keys for.
fn space(world: &World<'_>, argument: u8) -> Space {
    let wanted = Space::ALL[usize::from(argument % 3)];
    if world.server.has_keys(wanted) {
        wanted
    } else {
        Space::Initial
    }
}

/// The application does something to one of the first streams.
fn application(world: &mut World<'_>, what: u8, argument: u8) {
    let Some(stream) = StreamId::new(u64::from(argument & 0x0f)) else {
        return;
    };
    let count = usize::from(argument >> 4);
    match what & 7 {
        0 => {
            world.client.write(stream, &[argument; 300][..count * 18]);
        }
        1 => world.client.finish(stream),
        2 => world.client.reset(stream, u64::from(argument)),
        3 => world.client.stop_sending(stream, u64::from(argument)),
        4 => {
            let peek = world.client.peek(stream);
            let (len, fin) = (peek.bytes.len(), peek.fin);
            world.client.consume(stream, len, fin);
        }
        5 => world.client.consume(stream, count, argument & 0x10 != 0),
        _ => world.client.ping(),
    }
}
