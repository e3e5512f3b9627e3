//! The one task that keeps a connection, for as long as the application wants one.

use core::cell::RefCell;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;

use embassy_futures::select::{Either, select};
use embassy_net::{IpEndpoint, Stack};
use embassy_time::{Duration, Instant, Timer};

use crate::daytime;
use crate::engine::{Engine, Fresh, Status};
use crate::error::Closed;
use crate::log::{debug, info};
use crate::lookup;
use crate::random::Random;
use crate::wire::Wire;

/// A connection that stood for so long was a good one: the back-off begins anew. So a node that
/// takes connections and drops them is not dialled twice a second.
const STABLE: Duration = Duration::from_secs(10);

/// Drives the client: one task runs it, and nothing happens while none does.
pub struct Runner<R> {
    engine: &'static RefCell<Engine>,
    stack: Stack<'static>,
    wire: Wire,
    random: R,
    /// How many attempts there were since the last good connection.
    attempts: u32,
}

impl<R> fmt::Debug for Runner<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl<R: Random> Runner<R> {
    pub(crate) const fn new(
        engine: &'static RefCell<Engine>,
        stack: Stack<'static>,
        wire: Wire,
        random: R,
    ) -> Self {
        Self {
            engine,
            stack,
            wire,
            random,
            attempts: 0,
        }
    }

    /// Keeps a connection, for ever: waits for the network, the time and the node's address; dials;
    /// goes on with the operations that outlived the last connection; and once the connection is
    /// lost begins again, after a while.
    pub async fn run(&mut self) -> ! {
        loop {
            self.until(true).await;
            if let Err(closed) = self.attempt().await {
                self.engine.borrow_mut().note_why(closed);
            }
            self.rest().await;
        }
    }

    /// Waits until the application wants a connection, or none.
    async fn until(&self, wanted: bool) {
        poll_fn(|cx| {
            let mut engine = self.engine.borrow_mut();
            engine.register_runner(cx.waker());
            if engine.wanted == wanted {
                return Poll::Ready(());
            }
            if wanted {
                engine.set_status(Status::Off);
            }
            Poll::Pending
        })
        .await;
    }

    /// Waits before the next attempt, unless the application changes its mind.
    async fn rest(&mut self) {
        let mut chance = [0];
        self.random.fill(&mut chance);
        let [chance] = chance;
        let wait = {
            let mut engine = self.engine.borrow_mut();
            if engine.wanted {
                engine.set_status(Status::Waiting);
            }
            engine.options.backoff.wait(self.attempts, chance)
        };
        self.attempts = self.attempts.saturating_add(1);
        debug!("the next attempt is in {} ms", wait.as_millis());
        select(Timer::after(wait), self.until(false)).await;
        self.engine.borrow_mut().drop_expired();
    }

    /// One connection, from nothing to its end.
    async fn attempt(&mut self) -> Result<(), Closed> {
        let Either::First(peer) = select(self.prepare(), self.until(false)).await else {
            return Ok(());
        };
        let peer = peer?;
        let fresh = self.fresh();
        self.wire.open()?;
        let began = Instant::now();
        let dialled = {
            let mut engine = self.engine.borrow_mut();
            engine.set_status(Status::Connecting);
            engine.dial(&fresh, self.wire.longest(), began)
        };
        if dialled.is_ok() {
            info!("dialling");
            let time = daytime::keep(self.engine, self.stack);
            select(self.wire.drive(self.engine, peer), time).await;
            if began.elapsed() >= STABLE {
                self.attempts = 0;
            }
        }
        self.wire.close().await;
        dialled
    }

    /// All that is needed before a node can be dialled: its address, at last.
    async fn prepare(&self) -> Result<IpEndpoint, Closed> {
        self.engine.borrow_mut().begin_attempt();
        self.stack.wait_config_up().await;
        self.engine.borrow_mut().set_status(Status::Time);
        daytime::know(self.engine, self.stack).await?;
        self.engine.borrow_mut().set_status(Status::Name);
        let server = self.engine.borrow().options.server;
        let peer = lookup::endpoint(self.stack, server).await;
        peer.ok_or(Closed::NoAddress)
    }

    fn fresh(&mut self) -> Fresh {
        let mut fresh = Fresh {
            seed: [0; 32],
            nonces: ([0; 16], [0; 16]),
        };
        self.random.fill(&mut fresh.seed);
        self.random.fill(&mut fresh.nonces.0);
        self.random.fill(&mut fresh.nonces.1);
        fresh
    }
}
