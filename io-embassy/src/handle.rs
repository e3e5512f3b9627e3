//! What the application's tasks hold of the client.

use core::cell::RefCell;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;

use aire_proto::UnixMillis;
use aire_proto::identity::PublicKey;
use embassy_time::Instant;

use crate::engine::{Engine, Status};
use crate::error::{Closed, Error};
use crate::operation::Operation;

/// The client, for any number of tasks of the executor that runs its
/// [`Runner`](crate::Runner): copy it freely.
#[derive(Clone, Copy)]
pub struct Handle {
    engine: &'static RefCell<Engine>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("status", &self.status())
            .finish()
    }
}

impl Handle {
    pub(crate) const fn new(engine: &'static RefCell<Engine>) -> Self {
        Self { engine }
    }

    /// Says what time of day it is, in milliseconds since 1970. Signatures carry it (`SIG-9`), so
    /// nothing is dialled before it is known.
    pub fn set_unix_time(&self, now: UnixMillis) {
        let mut engine = self.engine.borrow_mut();
        engine.clock.set(now, Instant::now());
        engine.wake_runner();
    }

    /// The time of day, once it is known.
    #[must_use]
    pub fn unix_time(&self) -> Option<UnixMillis> {
        let engine = self.engine.borrow();
        engine.clock.is_set().then(|| engine.clock.now().unix)
    }

    /// Waits until operations can be opened: both HELLOs are good.
    pub async fn connected(&self) {
        poll_fn(|cx| {
            let mut engine = self.engine.borrow_mut();
            if engine.is_open() {
                return Poll::Ready(());
            }
            engine.register_waiter(cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// Where the way to a connection leads just now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.engine.borrow().status
    }

    /// Why the last connection, or attempt at one, ended.
    #[must_use]
    pub fn why(&self) -> Option<Closed> {
        self.engine.borrow().why
    }

    /// The key that the node's HELLO was signed with. `None` while there is no connection.
    #[must_use]
    pub fn peer_key(&self) -> Option<PublicKey> {
        let engine = self.engine.borrow();
        let agreement = engine.proto.agreement().filter(|_| engine.is_open());
        agreement.and_then(|agreed| agreed.peer_key)
    }

    /// Whether the node proved that its key sits at the other end of this very connection
    /// (`GAP-21`).
    #[must_use]
    pub fn is_channel_bound(&self) -> bool {
        let engine = self.engine.borrow();
        let agreement = engine.proto.agreement().filter(|_| engine.is_open());
        agreement.is_some_and(|agreed| agreed.channel_bound)
    }

    /// Whether TLS took up an earlier session: no certificate was sent and checked.
    #[must_use]
    pub fn is_tls_resumed(&self) -> bool {
        self.engine.borrow().quic.is_resumed()
    }

    /// Puts the newest TLS session ticket to the front of `out`: how long it is, `None` without one
    /// or without room for it. It is kept in RAM anyway; one that is written down, and
    /// [given back](Self::offer_tls_ticket) after a restart, saves a handshake the certificate. It
    /// is a secret.
    pub fn tls_ticket(&self, out: &mut [u8]) -> Option<usize> {
        let engine = self.engine.borrow();
        let ticket = engine.quic.ticket()?;
        out.get_mut(..ticket.len())?.copy_from_slice(ticket);
        Some(ticket.len())
    }

    /// Gives back what [`tls_ticket`](Self::tls_ticket) gave, for the next handshake.
    pub fn offer_tls_ticket(&self, ticket: &[u8]) {
        self.engine.borrow_mut().quic.offer_ticket(ticket);
    }

    /// What QUIC counted on this connection.
    #[must_use]
    pub fn stats(&self) -> aire_quic::Stats {
        self.engine.borrow().quic.stats()
    }

    /// Opens an operation: INVOKE of `operation` at `agent` with `args`. Waits for a connection
    /// and for the node to allow another stream, for as long as it takes: put a time limit around
    /// it where that matters.
    ///
    /// # Errors
    /// [`Error::Busy`] when the application holds as many operations of its own as there is room
    /// for;
    /// [`Error::Off`]; [`Error::Call`] when the names do not fit the outbox;
    /// what ended the operation while `args` were sent.
    pub async fn invoke(
        &self,
        agent: &str,
        operation: &str,
        args: &[u8],
    ) -> Result<Operation, Error> {
        let index = poll_fn(|cx| {
            let mut engine = self.engine.borrow_mut();
            engine.invoke(agent, operation, args.len(), cx.waker())
        })
        .await?;
        let opened = Operation::new(self.engine, index);
        opened.write(args).await?;
        Ok(opened)
    }

    /// Goes on with an operation of an earlier life, whose [`ticket`](Operation::ticket) was
    /// written down. It waits for a connection by itself, until the token's time is over.
    ///
    /// # Errors
    /// [`Error::Ticket`], [`Error::TokenTooLong`], [`Error::Busy`], [`Error::Off`].
    pub fn resume(&self, ticket: &[u8]) -> Result<Operation, Error> {
        let index = self.engine.borrow_mut().take_up(ticket)?;
        Ok(Operation::new(self.engine, index))
    }

    /// Waits for the next operation that the node asks of an agent here. Several tasks may wait;
    /// each operation goes to one of them.
    pub async fn accept(&self) -> Operation {
        poll_fn(|cx| {
            let mut engine = self.engine.borrow_mut();
            match engine.accept() {
                Some(index) => Poll::Ready(Operation::new(self.engine, index)),
                None => {
                    engine.register_waiter(cx.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Says GOODBYE, lets live operations finish, and closes the connection (`GAP-8`). There is
    /// none from then on, until [`connect`](Self::connect).
    pub async fn disconnect(&self) {
        self.engine.borrow_mut().want(false);
        poll_fn(|cx| {
            let mut engine = self.engine.borrow_mut();
            // Who said `connect` meanwhile waits for nothing.
            if engine.is_off() || engine.wanted {
                return Poll::Ready(());
            }
            engine.register_waiter(cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// Wants a connection again. A client begins so.
    pub fn connect(&self) {
        self.engine.borrow_mut().want(true);
    }

    /// The network interface has another address: QUIC moves the connection there, and
    /// operations notice nothing.
    pub fn address_changed(&self) {
        let mut engine = self.engine.borrow_mut();
        engine.moved = true;
        engine.wake_runner();
    }
}
