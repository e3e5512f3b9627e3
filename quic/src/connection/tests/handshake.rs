//! Whole handshakes: with losses, with detours, with servers that are not who they should be.

use std::vec;
use std::vec::Vec;

use super::*;
use crate::config::{Config, Trust};
use crate::tls::support::{self, Retry};
use crate::{Instant, StreamId};

/// When a server says all of it again.
const PATIENCE: Micros = Micros::from_millis(400);

/// A server that keeps to the rules, on a path that loses chosen datagrams, counted from 0 in the
/// order of sending, both ways together.
struct Lossy<'m> {
    world: World<'m>,
    lost: fn(usize, usize) -> bool,
    nth: usize,
    count: usize,
    answered: usize,
    due: Instant,
}

impl Lossy<'_> {
    fn arrives(&mut self) -> bool {
        let lost = (self.lost)(self.count, self.nth);
        self.count += 1;
        !lost
    }

    /// Takes what the client says. Whether anything came that wants an answer.
    fn listen(&mut self) -> bool {
        for datagram in self.world.take() {
            if self.arrives() {
                self.world.server.hear(&datagram);
            }
        }
        let heard = &self.world.server.heard;
        let news = heard[self.answered..].iter().any(Heard::is_ack_eliciting);
        self.answered = heard.len();
        news
    }

    /// Says everything that the server has to say.
    fn answer(&mut self) {
        let server = &mut self.world.server;
        if server.flight.is_empty() && server.hello(0).is_some() {
            server.set_ids();
            server.answer(0);
        }
        let mut datagrams = vec![];
        let confirmed = server.finish();
        for space in [Space::Initial, Space::Handshake] {
            let flight = server.flight_of(space);
            if confirmed || !server.has_keys(space) {
                continue;
            }
            let mut pieces = flight.chunks(500).enumerate();
            let mut payload = server.ack(space);
            loop {
                if let Some((at, piece)) = pieces.next() {
                    payload.extend(make::crypto(500 * at as u64, piece));
                }
                if payload.is_empty() {
                    break;
                }
                datagrams.push(server.packet(space, &payload));
                payload.clear();
            }
        }
        if confirmed {
            let mut payload = server.ack(Space::Application);
            payload.extend(make::HANDSHAKE_DONE);
            datagrams.push(server.packet(Space::Application, &payload));
        }
        for datagram in datagrams {
            if self.arrives() {
                let mut datagram = datagram;
                let now = self.world.now;
                self.world.client.handle_datagram(&mut datagram, now);
            }
        }
        self.due = self.world.now.after(PATIENCE);
    }

    /// Shakes hands, and has a stream come to its end. Whether that worked.
    fn run(&mut self) -> bool {
        let mut opened = false;
        for _ in 0..200 {
            if self.listen() {
                self.answer();
                continue;
            }
            if self.world.client.is_connected() && !opened {
                let stream = self.world.client.open().unwrap();
                assert_eq!(stream, StreamId::new(0).unwrap());
                assert_eq!(self.world.client.write(stream, &[7; 300]), 300);
                self.world.client.finish(stream);
                opened = true;
                continue;
            }
            let stream = StreamId::new(0).unwrap();
            if self.world.events.contains(&Event::Finished(stream)) {
                return self.world.client.is_confirmed();
            }
            if self.world.has_ended() {
                return false;
            }
            let due = self.world.client.next_deadline().unwrap();
            self.world.now = self.world.now.max(due.min(self.due));
            let now = self.world.now;
            self.world.client.handle_timeout(now);
            if self.due <= now {
                self.answer();
            }
        }
        false
    }
}

/// Whether all goes well where `lost` datagrams are, and how many there were.
fn comes_through(lost: fn(usize, usize) -> bool, nth: usize) -> (bool, usize) {
    let mut memory = Memory::new();
    let mut lossy = Lossy {
        world: World::dial(&mut memory, &support::config(), Server::new()),
        lost,
        nth,
        count: 0,
        answered: 0,
        due: START.after(PATIENCE),
    };
    let went_well = lossy.run();
    (went_well, lossy.count)
}

#[test]
fn the_loss_of_any_one_datagram_delays_a_handshake_and_no_more() {
    let (went_well, count) = comes_through(|_, _| false, 0);
    assert!(went_well);
    assert!(count >= 6);
    for nth in 0..count {
        let (went_well, _) = comes_through(|at, nth| at == nth, nth);
        assert!(went_well, "without datagram {nth}");
    }
}

#[test]
fn the_loss_of_any_two_datagrams_or_of_every_fourth_does_neither() {
    let (_, count) = comes_through(|_, _| false, 0);
    assert!(count < 100);
    for (first, second) in
        (0..count).flat_map(|first| (first..count + 4).map(move |at| (first, at)))
    {
        // Both are packed into one number.
        let lost = |at, packed| at == packed / 100 || at == packed % 100;
        let (went_well, _) = comes_through(lost, first * 100 + second);
        assert!(went_well, "without datagrams {first} and {second}");
    }
    // Flights have three datagrams, so that it is another one each time.
    for phase in 0..4 {
        let (went_well, _) = comes_through(|at, phase| at % 4 == phase, phase);
        assert!(went_well, "{phase}");
    }
}

#[test]
fn the_server_may_ask_for_a_second_hello() {
    let mut memory = Memory::new();
    let mut server = Server::new();
    server.tls.retry = Some(Retry {
        group: None,
        cookie: vec![7; 500],
    });
    let mut world = World::dial(&mut memory, &support::config(), server);
    world.flush();
    let first = world.server.hello(0).unwrap();
    world.server.set_ids();
    world.server.answer(0);
    let retry = world.server.flight_of(Space::Initial);
    world.send(Space::Initial, &make::crypto(0, &retry));
    world.server.answer(first.len());
    let hello = world.server.flight_of(Space::Initial);
    let rest = make::crypto(retry.len() as u64, &hello[retry.len()..]);
    // The first hello may be reported lost late: it is not said again.
    world.wait(Micros::from_secs(2));
    world.send(Space::Initial, &rest);
    let flight = world.server.flight_of(Space::Handshake);
    world.send(Space::Handshake, &make::crypto(0, &flight));
    assert!(world.client.is_connected());
    assert!(world.server.finish());
}

#[test]
fn a_server_with_the_wrong_key_is_told_by_an_alert() {
    let config = Config {
        trust: Trust::Pins(&[[0; 32]]),
        ..support::config()
    };
    let mut memory = Memory::new();
    let mut world = World::dial(&mut memory, &config, Server::new());
    world.advance_to(Stage::Shaking);
    let heard = world.server.heard.len();
    let flight = world.server.flight_of(Space::Handshake);
    let datagrams = world.send(Space::Handshake, &make::crypto(0, &flight));
    let verdict = verdict(&mut world, Stage::Shaking, heard, datagrams);
    assert_eq!(verdict, Some((Code::crypto(46), 6)));
    assert!(!world.events.contains(&Event::Connected));
}

#[test]
fn a_spoiled_message_of_any_kind_ends_the_handshake() {
    fn spoil(body: &mut Vec<u8>) {
        *body.last_mut().unwrap() ^= 1;
    }
    for kind in [8, 11, 15, 20] {
        let mut memory = Memory::new();
        let mut server = Server::new();
        server.tls.spoil = Some((kind, spoil));
        let mut world = World::dial(&mut memory, &support::config(), server);
        world.advance_to(Stage::Shaking);
        let heard = world.server.heard.len();
        let flight = world.server.flight_of(Space::Handshake);
        let datagrams = world.send(Space::Handshake, &make::crypto(0, &flight));
        let verdict = verdict(&mut world, Stage::Shaking, heard, datagrams);
        let (code, frame_type) = verdict.expect("it ends");
        assert!(code.alert().is_some() || kind == 8, "{kind}: {code}");
        assert_eq!(frame_type, 6);
    }
}

#[test]
fn a_server_hello_that_the_client_cannot_take_is_answered_in_an_initial_packet() {
    fn spoil(body: &mut Vec<u8>) {
        body[0] = 9;
    }
    let mut memory = Memory::new();
    let mut server = Server::new();
    server.tls.spoil = Some((2, spoil));
    let mut world = World::dial(&mut memory, &support::config(), server);
    world.flush();
    world.server.set_ids();
    world.server.answer(0);
    let heard = world.server.heard.len();
    let hello = world.server.flight_of(Space::Initial);
    let datagrams = world.send(Space::Initial, &make::crypto(0, &hello));
    let verdict = verdict(&mut world, Stage::Hello, heard, datagrams);
    assert!(verdict.is_some_and(|(code, _)| code.alert().is_some()));
    assert_eq!(world.server.heard[heard].datagram_len, 1200);
}
