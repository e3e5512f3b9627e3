//! A link between two ends on a virtual clock.

use aire_quic::{Instant, Micros};

/// What the link does to datagrams, each way. Chances are in percent.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub delay: Micros,
    /// Some take up to so much longer, so that others overtake them.
    pub jitter: Micros,
    pub lost: u64,
    pub repeated: u64,
    pub spoiled: u64,
    /// Longer ones vanish.
    pub mtu: usize,
}

impl Weather {
    pub const FAIR: Self = Self {
        delay: Micros::from_millis(25),
        jitter: Micros::ZERO,
        lost: 0,
        repeated: 0,
        spoiled: 0,
        mtu: 1500,
    };
}

/// A small generator of numbers that nobody has to be unable to guess (xorshift64*).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Debug)]
struct Travelling {
    arrival: Instant,
    order: u64,
    to_server: bool,
    bytes: Vec<u8>,
}

/// The link.
#[derive(Debug)]
pub struct Link {
    pub weather: Weather,
    /// Where the client sends from: another number is another address.
    pub client_port: u16,
    /// Nothing comes through.
    pub cut: bool,
    random: Random,
    travelling: Vec<Travelling>,
    order: u64,
    pub longest: usize,
}

impl Link {
    pub fn new(weather: Weather, seed: u64) -> Self {
        Self {
            weather,
            client_port: 40_000,
            cut: false,
            random: Random::new(seed),
            travelling: Vec::new(),
            order: 0,
            longest: 0,
        }
    }

    pub fn send(&mut self, to_server: bool, bytes: &[u8], now: Instant) {
        self.longest = self.longest.max(bytes.len());
        if self.cut || bytes.len() > self.weather.mtu || self.random.chance(self.weather.lost) {
            return;
        }
        let copies = 1 + u64::from(self.random.chance(self.weather.repeated));
        for _ in 0..copies {
            let late = self.random.below(self.weather.jitter.get() + 1);
            let arrival = now.after(self.weather.delay).after(Micros::new(late));
            let mut bytes = bytes.to_vec();
            if self.random.chance(self.weather.spoiled) {
                let at = self.random.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << self.random.below(8);
            }
            self.order += 1;
            self.travelling.push(Travelling {
                arrival,
                order: self.order,
                to_server,
                bytes,
            });
        }
    }

    /// The next datagram that is there by now, and whether it goes to the server.
    pub fn arrived(&mut self, now: Instant) -> Option<(bool, Vec<u8>)> {
        let index = self
            .travelling
            .iter()
            .enumerate()
            .filter(|(_, travelling)| travelling.arrival <= now)
            .min_by_key(|(_, travelling)| (travelling.arrival, travelling.order))?
            .0;
        let travelling = self.travelling.swap_remove(index);
        Some((travelling.to_server, travelling.bytes))
    }

    pub fn next_arrival(&self) -> Option<Instant> {
        self.travelling
            .iter()
            .map(|travelling| travelling.arrival)
            .min()
    }
}
