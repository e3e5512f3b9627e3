//! A wire between two embassy-net stacks, with weather that comes again with its seed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use embassy_time::{Duration, Instant, Timer};

use super::Rng;

/// The longest IP packet.
const MTU: usize = 1500;

/// Where an IPv4 packet says what is in it, and what it says of UDP.
const IPV4_PROTOCOL: usize = 9;
const UDP: u8 = 17;

/// What happens on the way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// How many packets of a thousand are lost.
    pub lost: u64,
    /// How many come twice.
    pub doubled: u64,
    /// How many have a bit flipped.
    pub damaged: u64,
    /// How long a packet takes.
    pub delay: Duration,
    /// How much longer it may take, by chance: packets overtake each other.
    pub jitter: Duration,
    /// Nothing comes through.
    pub cut: bool,
}

#[derive(Default)]
struct Pipe {
    packets: BTreeMap<(Instant, u64), Vec<u8>>,
    reader: Option<Waker>,
    /// Packets that were put in.
    count: u64,
    /// UDP datagrams among them.
    datagrams: u64,
}

/// The wire.
pub struct Link {
    pub weather: Weather,
    rng: Rng,
    pipes: [Pipe; 2],
}

impl Link {
    pub fn new(weather: Weather, seed: u64) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            weather,
            rng: Rng::new(seed),
            pipes: Default::default(),
        }))
    }

    /// How many UDP datagrams went each way. What the stack says by itself, ICMP, does not count.
    pub fn datagrams(&self) -> [u64; 2] {
        [self.pipes[0].datagrams, self.pipes[1].datagrams]
    }

    fn happens(&mut self, of_a_thousand: u64) -> bool {
        self.rng.below(1000) < of_a_thousand
    }

    fn send(&mut self, to: usize, mut packet: Vec<u8>) {
        let weather = self.weather;
        self.pipes[to].count += 1;
        self.pipes[to].datagrams += u64::from(packet[IPV4_PROTOCOL] == UDP);
        if weather.cut || self.happens(weather.lost) {
            return;
        }
        if self.happens(weather.damaged) {
            let bit = self.rng.below(packet.len() as u64 * 8);
            packet[bit as usize / 8] ^= 1 << (bit % 8);
        }
        let times = 1 + u64::from(self.happens(weather.doubled));
        for _ in 0..times {
            let jitter = self.rng.below(weather.jitter.as_micros() + 1);
            let due = Instant::now() + weather.delay + Duration::from_micros(jitter);
            let pipe = &mut self.pipes[to];
            let key = (due, pipe.count + pipe.packets.len() as u64);
            pipe.packets.insert(key, packet.clone());
            if let Some(reader) = pipe.reader.take() {
                reader.wake();
            }
        }
    }
}

/// One end of the wire, as a driver.
pub struct End {
    pub link: Rc<RefCell<Link>>,
    /// Which of the pipes it reads.
    pub side: usize,
}

pub struct Rx(Vec<u8>);

pub struct Tx(Rc<RefCell<Link>>, usize);

impl embassy_net_driver::RxToken for Rx {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

impl embassy_net_driver::TxToken for Tx {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        self.0.borrow_mut().send(self.1, packet);
        result
    }
}

impl Driver for End {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Rx, Tx)> {
        let mut link = self.link.borrow_mut();
        let pipe = &mut link.pipes[self.side];
        if let Some(first) = pipe.packets.first_entry() {
            let due = first.key().0;
            if due <= Instant::now() {
                let packet = first.remove();
                return Some((Rx(packet), Tx(self.link.clone(), 1 - self.side)));
            }
            let _woken_then = Pin::new(&mut Timer::at(due)).poll(cx);
        }
        pipe.reader = Some(cx.waker().clone());
        None
    }

    fn transmit(&mut self, _cx: &mut Context<'_>) -> Option<Tx> {
        Some(Tx(self.link.clone(), 1 - self.side))
    }

    fn link_state(&mut self, _cx: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = MTU;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ip
    }
}
