//! A way between a client and a node that can change and break: a UDP relay.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

pub(crate) struct Relay(Arc<Way>);

struct Way {
    /// Where the client sends to.
    front: UdpSocket,
    /// From where the node is sent to: one address, and another one. All of 127.0.0.0/8 is this
    /// machine on Linux; elsewhere `ifconfig lo0 alias 127.0.0.2` helps.
    backs: [UdpSocket; 2],
    /// Which of them is in use.
    back: AtomicUsize,
    cut: AtomicBool,
    node: SocketAddr,
    client: Mutex<Option<SocketAddr>>,
    /// How many datagrams the node has sent to the second address.
    answers_elsewhere: AtomicUsize,
}

impl Relay {
    /// Relays as long as the process lives.
    pub(crate) fn start(node: SocketAddr) -> io::Result<Self> {
        let way = Arc::new(Way {
            front: UdpSocket::bind("127.0.0.1:0")?,
            backs: [
                UdpSocket::bind("127.0.0.1:0")?,
                UdpSocket::bind("127.0.0.2:0")?,
            ],
            back: AtomicUsize::new(0),
            cut: AtomicBool::new(false),
            node,
            client: Mutex::new(None),
            answers_elsewhere: AtomicUsize::new(0),
        });
        let there = way.clone();
        thread::spawn(move || there.to_node());
        for back in 0..way.backs.len() {
            let here = way.clone();
            thread::spawn(move || here.to_client(back));
        }
        Ok(Self(way))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        // A bound socket has one.
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        self.0.front.local_addr().unwrap_or(any)
    }

    /// From now on the node sees the client at the second address.
    pub(crate) fn go_elsewhere(&self) {
        self.0.back.store(1, Ordering::SeqCst);
    }

    /// How many datagrams the node has sent to the second address.
    pub(crate) fn answers_elsewhere(&self) -> usize {
        self.0.answers_elsewhere.load(Ordering::SeqCst)
    }

    /// Nothing passes, or everything again.
    pub(crate) fn cut(&self, cut: bool) {
        self.0.cut.store(cut, Ordering::SeqCst);
    }
}

impl Way {
    fn to_node(&self) {
        let mut datagram = [0; 65_535];
        loop {
            // Errors tell of datagrams that did not arrive, which is QUIC's to mend.
            let Ok((len, from)) = self.front.recv_from(&mut datagram) else {
                continue;
            };
            *self.client() = Some(from);
            let back = self.backs.get(self.back.load(Ordering::SeqCst));
            if let (Some(back), Some(datagram)) = (back, datagram.get(..len))
                && !self.cut.load(Ordering::SeqCst)
            {
                let _lost = back.send_to(datagram, self.node);
            }
        }
    }

    fn to_client(&self, index: usize) {
        let Some(back) = self.backs.get(index) else {
            return;
        };
        let mut datagram = [0; 65_535];
        loop {
            let Ok((len, _)) = back.recv_from(&mut datagram) else {
                continue;
            };
            self.answers_elsewhere.fetch_add(index, Ordering::SeqCst);
            let client = *self.client();
            if let (Some(client), Some(datagram)) = (client, datagram.get(..len))
                && !self.cut.load(Ordering::SeqCst)
            {
                let _lost = self.front.send_to(datagram, client);
            }
        }
    }

    fn client(&self) -> std::sync::MutexGuard<'_, Option<SocketAddr>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
