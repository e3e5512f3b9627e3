//! A doorway for this repository's fuzz targets, with the feature `fuzzing`: not for applications,
//! and free to change. Each function takes any bytes, and panics when something does not hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

use std::boxed::Box;
use std::sync::{LazyLock, Mutex};
use std::vec;
use std::vec::Vec;

use ed25519_compact::{KeyPair, Seed};

use crate::coding::{Reader, Writer};
use crate::config::{Suite, Trust};
use crate::connection::hostile::{Memory, Stage, World, play};
use crate::crypto::{OneRtt, Pair, Secret};
use crate::event::CloseReason;
use crate::frame::Frame;
use crate::packet::{ConnectionId, Datagram, Draft, Long, Packet};
use crate::parameters::Theirs;
use crate::time::{Instant, Micros};
use crate::tls::support::{self, CLIENT_PARAMETERS, conversation, counted};
use crate::tls::{Client, Level, Progress, check_certificates};

const ID: &[u8] = b"eightlen";

/// A datagram is split and each packet opened; and what is sealed as a packet opens to itself.
pub fn packets(data: &[u8]) {
    let id = ConnectionId::new(ID).unwrap();
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    let initial = Pair::initial(ID);
    let secret = Secret::new([7; 32]);
    let mut one_rtt = OneRtt::new(Suite::Aes128Gcm, &secret, &secret);
    if mode & 1 == 0 {
        let mut datagram = rest.to_vec();
        for packet in Datagram::new(&mut datagram, ID.len()) {
            match packet {
                Packet::Long { sealed, .. } => {
                    let _opened = sealed.open(&initial.read, Some(u64::from(mode)));
                }
                Packet::Short { sealed, .. } => {
                    let (now, pto) = (Instant::from_micros(0), Micros::from_millis(1));
                    let _opened = sealed.open_one_rtt(&mut one_rtt, None, now, pto);
                }
                Packet::Retry(retry) => assert!(retry.open(&id).is_none(), "it was guessed"),
                Packet::Versions(versions) => {
                    let _one = versions.contains(1);
                }
            }
        }
        return;
    }
    let payload = &rest[..rest.len().min(1000)];
    let number = u64::from(mode) << (mode & 0x1e);
    let mut bytes = [0xee; 1200];
    let mut out = Writer::new(&mut bytes);
    let largest = number.checked_sub(u64::from(mode) + 1);
    let is_short = mode & 2 == 0;
    let draft = if is_short {
        Draft::short(&mut out, &id, number, largest).unwrap()
    } else {
        Draft::long(&mut out, Long::Initial, &id, &id, &[], number, largest).unwrap()
    };
    draft.frames(&mut out).bytes(payload).unwrap();
    let len = if is_short {
        draft.finish_one_rtt(&mut out, payload.len(), 0, &mut one_rtt)
    } else {
        draft.finish(&mut out, payload.len(), 0, &initial.read)
    };
    let mut sealed = out.written().to_vec();
    assert_eq!(len.unwrap(), sealed.len());
    let packet = Datagram::new(&mut sealed, ID.len()).next().unwrap();
    let opened = match packet {
        Packet::Long { sealed, .. } => sealed.open(&initial.read, largest),
        Packet::Short { sealed, .. } => {
            let (now, pto) = (Instant::from_micros(0), Micros::from_millis(1));
            sealed.open_one_rtt(&mut one_rtt, largest, now, pto)
        }
        _ => panic!("it is another packet now"),
    };
    let opened = opened.unwrap().expect("it opens");
    assert_eq!(opened.number, number);
    assert!(opened.payload.starts_with(payload));
}

/// Frames are read to the end, or to the first that is refused.
pub fn frames(data: &[u8]) {
    let mut reader = Reader::new(data);
    while !reader.is_empty() {
        let before = reader.len();
        let Some(frame) = Frame::read(&mut reader, &mut 0) else {
            return;
        };
        assert!(reader.len() < before);
        if let Frame::Ack(ack) = frame {
            let mut below = ack.largest + 1;
            for range in ack.iter() {
                assert!(*range.end() < below && range.start() <= range.end());
                below = *range.start();
            }
        }
    }
}

/// Transport parameters are within their bounds, or refused.
pub fn parameters(data: &[u8]) {
    if let Ok(theirs) = Theirs::read(data) {
        assert!(theirs.max_udp_payload >= 1200 && theirs.max_streams_bidi <= 1 << 60);
        assert!(theirs.ack_delay_exponent <= 20 && theirs.active_connection_id_limit >= 2);
        assert!(theirs.max_ack_delay < Micros::from_millis(1 << 14));
    }
}

std::thread_local! {
    static CONVERSATION: Vec<(Client, Level, Vec<u8>)> = conversation();
}

fn read(client: &mut Client, level: Level, message: &[u8]) -> Option<bool> {
    let mut out = [0; 2048];
    let mut writer = Writer::new(&mut out);
    let config = support::config();
    let progress = client.read(level, message, &config, CLIENT_PARAMETERS, &mut writer);
    progress
        .ok()
        .map(|progress| matches!(progress, Progress::Done { .. }))
}

/// TLS messages in each state of the handshake: made up, or the true one with some bytes changed,
/// and then no handshake completes.
pub fn messages(data: &[u8]) {
    let Some((&[state, mode], rest)) = data.split_first_chunk() else {
        return;
    };
    CONVERSATION.with(|all| {
        let at = usize::from(state) % all.len();
        let (mut client, level, message) = all[at].clone();
        if mode & 1 == 0 {
            let level = match mode >> 1 & 3 {
                0 => Level::Initial,
                1 => Level::Handshake,
                2 => Level::Application,
                _ => level,
            };
            let raw = if mode & 8 == 0 {
                let (kind, body) = rest.split_first().unwrap_or((&message[0], &[]));
                [&[*kind][..], &counted(3, body)].concat()
            } else {
                rest.to_vec()
            };
            let _read = read(&mut client, level, &raw);
            return;
        }
        let mut changed = message.clone();
        for patch in rest.chunks_exact(3) {
            let place = usize::from(u16::from_be_bytes([patch[0], patch[1]])) % changed.len();
            changed[place] ^= patch[2];
        }
        let mut done = read(&mut client, level, &changed);
        for (_, level, message) in &all[at + 1..] {
            if done != Some(false) {
                break;
            }
            done = read(&mut client, *level, message);
        }
        let is_ticket = at + 1 == all.len();
        assert!(
            changed == message || done != Some(true) || is_ticket,
            "{at}"
        );
        assert!(
            changed != message || done == Some(true) || is_ticket,
            "{at}"
        );
    });
}

/// A Certificate message's list, or a certificate's body that the authority signs whatever it says.
pub fn certificates(data: &[u8]) {
    const AUTHORITY: &[u8] = include_bytes!("../tests/certificates/good/authority.der");
    const SEED: &[u8; 32] = include_bytes!("../tests/certificates/authority.seed");
    /// In 2026, as `make.py` wants it.
    const NOW: u64 = 1_790_000_000;
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    let list = if mode & 1 == 0 {
        rest.to_vec()
    } else {
        let pair = KeyPair::from_seed(Seed::new(*SEED));
        let mut content = rest.to_vec();
        content.extend([0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x41, 0x00]);
        content.extend(pair.sk.sign(rest, None).as_ref());
        let mut certificate = vec![0x30, 0x82];
        certificate.extend(counted(2, &content));
        let mut list = counted(3, &certificate);
        list.extend([0, 0]);
        list
    };
    let authorities = [AUTHORITY];
    for trust in [Trust::Pins(&[[0; 32]]), Trust::Authorities(&authorities)] {
        for name in ["node.example", "192.0.2.1"] {
            let key = check_certificates(Reader::new(&list), &trust, name, Some(NOW));
            if let Ok(key) = key {
                assert!(key.verify(0x0807, b"message", &[0; 64]).is_err());
            }
        }
    }
}

/// One connection at each stage: what is not authentic leaves it as it was, so that it serves again.
static WORLDS: LazyLock<Mutex<Vec<World<'static>>>> = LazyLock::new(|| {
    let world = |stage: &Stage| World::at(Box::leak(Box::new(Memory::new())), *stage);
    Mutex::new(Stage::ALL.iter().map(world).collect())
});

/// A connection at any stage is fed datagrams that are not authentic: it says nothing and goes on.
pub fn datagrams(data: &[u8]) {
    let mut reader = Reader::new(data);
    let Some(first) = reader.u8() else {
        return;
    };
    let at = usize::from(first & 3);
    let mut worlds = WORLDS.lock().unwrap();
    let world = &mut worlds[at];
    let before = world.client.next_deadline();
    while let Some(mode) = reader.u8() {
        let bytes = reader.u8_bytes().unwrap_or_default();
        let id = world.server.client_id.clone();
        let datagram = match mode & 3 {
            0 => bytes.to_vec(),
            1 => [&[mode >> 2][..], &id, bytes].concat(),
            _ => [&[mode | 0x80, 0, 0, 0, 1, 8][..], &id, bytes].concat(),
        };
        assert_eq!(world.give(&datagram), 0);
    }
    match world.end() {
        None => assert_eq!(world.client.next_deadline(), before),
        // Anybody may say that the server speaks other versions, as long as nothing else was heard.
        Some(reason) => {
            assert_eq!(reason, CloseReason::Version);
            world.bury();
            world.dial_again(Stage::ALL[at]);
        }
    }
}

/// A whole conversation with a server that sends authentic packets of any frames.
pub fn script(data: &[u8]) {
    play(data);
}
