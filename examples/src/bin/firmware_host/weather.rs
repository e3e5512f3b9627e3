//! A way to the node with bad weather: a UDP relay that loses datagrams, and takes its time.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How bad it is, each way.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    /// Of 1,000 datagrams so many are lost.
    pub(crate) lost: u32,
    /// How long one takes.
    pub(crate) delay: Duration,
}

/// A relay, as long as the process lives.
pub(crate) struct Relay {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    passed: AtomicU32,
    lost: AtomicU32,
}

impl Relay {
    pub(crate) fn start(node: SocketAddr, weather: Weather) -> io::Result<Self> {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0")?);
        let back = Arc::new(UdpSocket::bind("127.0.0.1:0")?);
        let address = front.local_addr()?;
        let counts = Arc::<Counts>::default();
        let board = Arc::new(Mutex::new(None));
        let way = |seed, from: &Arc<UdpSocket>, to: &Arc<UdpSocket>| Way {
            from: from.clone(),
            later: later(to.clone()),
            weather,
            counts: counts.clone(),
            chance: seed,
        };
        let (mut there, mut here) = (way(1, &front, &back), way(2, &back, &front));
        let seen = board.clone();
        thread::spawn(move || {
            there.pass(|from| {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
                Some(node)
            });
        });
        thread::spawn(move || {
            here.pass(|_| *board.lock().unwrap_or_else(PoisonError::into_inner));
        });
        Ok(Self { address, counts })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many datagrams it let pass, and how many it lost.
    pub(crate) fn counts(&self) -> (u32, u32) {
        let read = |count: &AtomicU32| count.load(Ordering::Relaxed);
        (read(&self.counts.passed), read(&self.counts.lost))
    }
}

/// One direction.
struct Way {
    from: Arc<UdpSocket>,
    later: Sender<(Instant, SocketAddr, Vec<u8>)>,
    weather: Weather,
    counts: Arc<Counts>,
    chance: u64,
}

impl Way {
    fn pass(&mut self, mut to: impl FnMut(SocketAddr) -> Option<SocketAddr>) {
        let mut datagram = [0; 2048];
        loop {
            // Errors tell of datagrams that did not arrive, which is QUIC's to mend.
            let Ok((len, from)) = self.from.recv_from(&mut datagram) else {
                continue;
            };
            let Some(to) = to(from) else {
                continue;
            };
            if self.is_lost() {
                self.counts.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            self.counts.passed.fetch_add(1, Ordering::Relaxed);
            let due = Instant::now() + self.weather.delay;
            let datagram = datagram.get(..len).unwrap_or_default().to_vec();
            // The other thread lives as long as this one.
            let _gone = self.later.send((due, to, datagram));
        }
    }

    /// The same datagrams of each run, as far as the run is the same (xorshift).
    fn is_lost(&mut self) -> bool {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32 & 0xffff_ffff
            < u64::from(self.weather.lost) * (1 << 32) / 1000
    }
}

/// Sends each datagram when it is due: all take the same time, so the first to come is the first to
/// go.
fn later(to: Arc<UdpSocket>) -> Sender<(Instant, SocketAddr, Vec<u8>)> {
    let (sender, due) = channel::<(Instant, SocketAddr, Vec<u8>)>();
    thread::spawn(move || {
        for (at, address, datagram) in due {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            let _lost = to.send_to(&datagram, address);
        }
    });
    sender
}
