//! The socket, and the one buffer that datagrams pass through.
//!
//! A datagram is copied once each way: embassy-net lends a received one only to be read, while QUIC
//! decrypts in place, and to build one in the socket's own memory that would have to hold two.

use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};

use embassy_net::IpEndpoint;
use embassy_net::udp::UdpSocket;
use embassy_time::{Duration, Instant, Timer, with_timeout};

use crate::clock::quic_instant;
use crate::engine::Engine;
use crate::error::Closed;

/// How many datagrams are read before what they bring is dealt with, and other tasks get their
/// turn.
const AT_ONCE: usize = 8;

/// How long CONNECTION_CLOSE may take to leave the device.
const FLUSH: Duration = Duration::from_millis(200);

pub(crate) struct Wire {
    socket: UdpSocket<'static>,
    datagram: &'static mut [u8],
    /// So many bytes of `datagram` wait for room in the socket.
    unsent: usize,
}

impl Wire {
    pub(crate) const fn new(socket: UdpSocket<'static>, datagram: &'static mut [u8]) -> Self {
        Self {
            socket,
            datagram,
            unsent: 0,
        }
    }

    /// The largest datagram that can be received.
    pub(crate) fn longest(&self) -> u16 {
        u16::try_from(self.datagram.len()).unwrap_or(u16::MAX)
    }

    /// Takes a port.
    pub(crate) fn open(&mut self) -> Result<(), Closed> {
        self.unsent = 0;
        // Port 0 is any that is free: this fails on no socket that is closed.
        self.socket.bind(0).map_err(|_| Closed::NoAddress)
    }

    /// Gives the port back, once what was sent has left.
    pub(crate) async fn close(&mut self) {
        let _what_does_not_leave_is_lost = with_timeout(FLUSH, self.socket.flush()).await;
        self.socket.close();
    }

    /// Drives the connection to `peer` to its end.
    pub(crate) async fn drive(&mut self, engine: &RefCell<Engine>, peer: IpEndpoint) {
        poll_fn(|cx| self.turn(&mut engine.borrow_mut(), peer, cx)).await;
    }

    /// Reads, works, sends, and sees to being woken. Ready when the connection is over.
    fn turn(&mut self, engine: &mut Engine, peer: IpEndpoint, cx: &mut Context<'_>) -> Poll<()> {
        let at = Instant::now();
        engine.register_runner(cx.waker());
        let more_waits = self.receive(engine, peer, at, cx);
        if engine.rebinds(at) {
            self.socket.close();
            self.unsent = 0;
            let _any_port = self.socket.bind(0);
        }
        engine.service(at);
        let mut all_sent = self.transmit(engine, peer, at, cx);
        if all_sent && engine.close_if_due(at) {
            engine.service(at);
            all_sent = self.transmit(engine, peer, at, cx);
        }
        if all_sent && engine.is_over() {
            return Poll::Ready(());
        }
        let due = engine.deadline().is_some_and(|due| {
            // The timer queue remembers the waker.
            Pin::new(&mut Timer::at(due)).poll(cx).is_ready()
        });
        if more_waits || due {
            // Other tasks first.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Reads what has come. Whether more may have.
    fn receive(
        &mut self,
        engine: &mut Engine,
        peer: IpEndpoint,
        at: Instant,
        cx: &mut Context<'_>,
    ) -> bool {
        // The buffer is in use until the socket takes what is in it.
        if self.unsent > 0 {
            return false;
        }
        for _ in 0..AT_ONCE {
            match self.socket.poll_recv_from(self.datagram, cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok((len, from))) if from.endpoint == peer => {
                    if let Some(datagram) = self.datagram.get_mut(..len) {
                        engine.receive(datagram, at);
                    }
                }
                // A stranger's, or too long for any that was asked for.
                Poll::Ready(_) => {}
            }
        }
        true
    }

    /// Sends what there is to send. Whether the socket took all.
    fn transmit(
        &mut self,
        engine: &mut Engine,
        peer: IpEndpoint,
        at: Instant,
        cx: &mut Context<'_>,
    ) -> bool {
        loop {
            if self.unsent == 0 {
                match engine.quic.poll_transmit(self.datagram, quic_instant(at)) {
                    Some(len) => self.unsent = len,
                    None => return true,
                }
            }
            let datagram = self.datagram.get(..self.unsent).unwrap_or_default();
            match self.socket.poll_send_to(datagram, peer, cx) {
                Poll::Pending => return false,
                // One that has no way to go is lost, as datagrams may be.
                Poll::Ready(_) => self.unsent = 0,
            }
        }
    }
}
