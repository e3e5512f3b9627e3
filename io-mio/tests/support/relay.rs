//! A UDP relay between one client and a node, with weather of its own.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use super::{Rng, any_port};

/// What happens to datagrams on the way, in percent.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    pub seed: u64,
    pub lost: u64,
    pub twice: u64,
    /// So many come late, and thereby out of order.
    pub late: u64,
}

#[derive(Default)]
struct Control {
    silent: AtomicBool,
    over: AtomicBool,
    /// How often the address that the node sees is to change.
    moves: AtomicUsize,
    moved: AtomicUsize,
    forwarded: AtomicUsize,
    /// Which addresses the node has seen.
    seen: Mutex<Vec<SocketAddr>>,
}

pub struct Relay {
    pub address: SocketAddr,
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    pub fn start(node: SocketAddr, weather: Weather) -> Self {
        let front = UdpSocket::bind(any_port()).expect("a port");
        let address = front.local_addr().expect("bound");
        let control = Arc::new(Control::default());
        let shared = control.clone();
        let thread = std::thread::spawn(move || {
            let ended = run(front, node, weather, &shared);
            ended.expect("the relay works");
        });
        Self {
            address,
            control,
            thread: Some(thread),
        }
    }

    /// Nothing passes any more, either way; or again.
    pub fn silence(&self, silent: bool) {
        self.control.silent.store(silent, Ordering::SeqCst);
    }

    /// From now on the node sees another address: the NAT forgot the old one.
    pub fn rebind(&self) {
        let wanted = self.control.moves.fetch_add(1, Ordering::SeqCst) + 1;
        super::eventually("the relay has moved", || {
            self.control.moved.load(Ordering::SeqCst) >= wanted
        });
    }

    pub fn forwarded(&self) -> usize {
        self.control.forwarded.load(Ordering::SeqCst)
    }

    /// The addresses that the node has seen.
    pub fn seen(&self) -> Vec<SocketAddr> {
        self.control.seen.lock().expect("unharmed").clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.control.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the relay worked");
        }
    }
}

const FRONT: Token = Token(0);
const BACK: Token = Token(1);

fn back_socket(poll: &Poll, control: &Control) -> io::Result<UdpSocket> {
    let mut back = UdpSocket::bind(any_port())?;
    poll.registry()
        .register(&mut back, BACK, Interest::READABLE)?;
    let address = back.local_addr()?;
    control.seen.lock().expect("unharmed").push(address);
    Ok(back)
}

/// Datagrams on their way, in the order in which they are due.
struct Way {
    weather: Weather,
    rng: Rng,
    sent: u64,
    due: BTreeMap<(Instant, u64), (Token, Vec<u8>)>,
}

impl Way {
    fn take(&mut self, from: Token, packet: &[u8]) {
        let Weather {
            lost, twice, late, ..
        } = self.weather;
        if self.rng.percent(lost) {
            return;
        }
        let copies = if self.rng.percent(twice) { 2 } else { 1 };
        for _ in 0..copies {
            let mut at = Instant::now();
            if self.rng.percent(late) {
                at += Duration::from_millis(1 + self.rng.below(20));
            }
            self.sent += 1;
            self.due.insert((at, self.sent), (from, packet.to_vec()));
        }
    }
}

fn run(
    mut front: UdpSocket,
    node: SocketAddr,
    weather: Weather,
    control: &Control,
) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(8);
    poll.registry()
        .register(&mut front, FRONT, Interest::READABLE)?;
    let mut back = back_socket(&poll, control)?;
    let mut client = None;
    let mut way = Way {
        weather,
        rng: Rng(weather.seed),
        sent: 0,
        due: BTreeMap::new(),
    };
    let mut buffer = vec![0; 65_535];
    while !control.over.load(Ordering::SeqCst) {
        let wait = match way.due.keys().next() {
            Some((at, _)) => at.saturating_duration_since(Instant::now()),
            None => Duration::from_millis(10),
        };
        match poll.poll(&mut events, Some(wait.min(Duration::from_millis(10)))) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        if control.moved.load(Ordering::SeqCst) < control.moves.load(Ordering::SeqCst) {
            back = back_socket(&poll, control)?;
            control.moved.fetch_add(1, Ordering::SeqCst);
        }
        let silent = control.silent.load(Ordering::SeqCst);
        for (token, socket) in [(FRONT, &front), (BACK, &back)] {
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                if token == FRONT {
                    client = Some(from);
                }
                if !silent {
                    way.take(token, buffer.get(..len).expect("that much came"));
                }
            }
        }
        let now = Instant::now();
        while let Some(entry) = way.due.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let (from, packet) = entry.remove();
            control.forwarded.fetch_add(1, Ordering::SeqCst);
            // What the socket does not take is lost, as on any way.
            let _sent = match (from, client) {
                (FRONT, _) => back.send_to(&packet, node),
                (_, Some(client)) => front.send_to(&packet, client),
                _ => Ok(0),
            };
        }
    }
    Ok(())
}
