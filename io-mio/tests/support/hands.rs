//! Drivers in a loop that the test turns by hand.

use std::time::{Duration, Instant};

use aire_mio::driver::{Calls, Event};
use aire_mio::{Certificate, Closed, ConnectionKey, Driver, Settings, Trust};
use aire_proto::StreamId;
use mio::{Events, Poll, Token};

use super::{PATIENCE, any_port, identity, uri};

/// What a driver told, without what it borrowed.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Connected(String),
    Closed(Closed),
    Invoked(StreamId, String),
    Bytes(StreamId, Vec<u8>),
    Sent(StreamId, usize),
    Goodbye,
    Ended(StreamId, aire_proto::connection::Outcome),
    Other(String),
}

fn note(event: &Event<'_>) -> Told {
    use aire_proto::Event as E;
    match event {
        Event::Connected { peer, .. } => Told::Connected((*peer).into()),
        Event::Closed(closed) => Told::Closed((*closed).clone()),
        Event::Sent { stream, len } => Told::Sent(*stream, *len),
        Event::Protocol(E::Invoked { stream, agent, .. }) => {
            Told::Invoked(*stream, (*agent).into())
        }
        Event::Protocol(E::Args { stream, bytes, .. } | E::Stream { stream, bytes, .. }) => {
            Told::Bytes(*stream, bytes.to_vec())
        }
        Event::Protocol(E::Ended {
            stream, outcome, ..
        }) => Told::Ended(*stream, *outcome),
        Event::Protocol(E::Goodbye) => Told::Goodbye,
        other => Told::Other(format!("{other:?}")),
    }
}

/// A driver, its own readiness loop, and all that it told.
pub struct Hands {
    pub driver: Driver,
    pub told: Vec<(ConnectionKey, Told)>,
    /// How often the driver was driven.
    pub drives: usize,
    poll: Poll,
    events: Events,
}

impl Hands {
    pub fn server(certificate: &Certificate, settings: Settings) -> Self {
        let driver = Driver::server(any_port(), certificate, identity(), settings);
        Self::of(driver.expect("a free port"))
    }

    pub fn client(certificate: &Certificate, settings: Settings) -> Self {
        let trust = Trust::pinned(certificate.pin());
        let driver = Driver::client(any_port(), &trust, identity(), settings);
        Self::of(driver.expect("a free port"))
    }

    pub fn of(mut driver: Driver) -> Self {
        let poll = Poll::new().expect("a poll");
        driver
            .register(poll.registry(), Token(0))
            .expect("registered");
        Self {
            driver,
            told: Vec::new(),
            drives: 0,
            poll,
            events: Events::with_capacity(8),
        }
    }

    pub fn dial(&mut self, other: &Self) -> ConnectionKey {
        let address = uri(other.driver.local_address())
            .parse()
            .expect("an address");
        self.driver.connect(&address).expect("dialled")
    }

    /// One turn of the loop: sleeps as the driver says, but no longer than `most`.
    pub fn turn(&mut self, most: Duration) {
        self.turn_with(most, &mut |_, _, _| {});
    }

    /// As [`turn`](Self::turn), with an application that hears the events first.
    pub fn turn_with(
        &mut self,
        most: Duration,
        application: &mut dyn FnMut(ConnectionKey, &Event<'_>, &mut Calls<'_>),
    ) {
        let told = &mut self.told;
        self.driver
            .drive(&mut |key, event, calls| {
                told.push((key, note(&event)));
                application(key, &event, calls);
            })
            .expect("the socket works");
        self.drives += 1;
        let sleep = self
            .driver
            .timeout()
            .map_or(most, |timeout| timeout.min(most));
        self.poll
            .poll(&mut self.events, Some(sleep))
            .expect("polled");
    }

    pub fn has_told(&self, is_it: impl Fn(&Told) -> bool) -> bool {
        self.told.iter().any(|(_, told)| is_it(told))
    }

    pub fn closed(&self) -> Option<&Closed> {
        self.told.iter().find_map(|(_, told)| match told {
            Told::Closed(closed) => Some(closed),
            _ => None,
        })
    }

    pub fn is_connected(&self) -> bool {
        self.has_told(|told| matches!(told, Told::Connected(_)))
    }
}

/// Turns all of them until it is so.
pub fn turn_until(
    what: &str,
    hands: &mut [&mut Hands],
    mut is_so: impl FnMut(&[&mut Hands]) -> bool,
) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so(hands) {
        assert!(Instant::now() < deadline, "never came to pass: {what}");
        for one in hands.iter_mut() {
            one.turn(Duration::from_millis(1));
        }
    }
}

/// Turns all of them for a while.
pub fn turn_for(time: Duration, hands: &mut [&mut Hands]) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        for one in hands.iter_mut() {
            one.turn(Duration::from_millis(1));
        }
    }
}
