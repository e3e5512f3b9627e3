//! The time of day: awaited before the first connection, and kept right from then on.

use core::cell::RefCell;
use core::future::poll_fn;
use core::task::Poll;

use embassy_net::Stack;

use crate::engine::Engine;
use crate::error::Closed;

/// Waits until the time of day is known.
pub(crate) async fn know(engine: &RefCell<Engine>, stack: Stack<'static>) -> Result<(), Closed> {
    #[cfg(feature = "sntp")]
    asking::know(engine, stack).await?;
    let _not_asked = stack;
    poll_fn(|cx| {
        let mut engine = engine.borrow_mut();
        engine.register_runner(cx.waker());
        if engine.clock.is_set() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    Ok(())
}

/// Keeps the time of day right, for ever.
pub(crate) async fn keep(engine: &RefCell<Engine>, stack: Stack<'static>) {
    #[cfg(feature = "sntp")]
    asking::keep(engine, stack).await;
    let _not_asked = (engine, stack);
    core::future::pending::<()>().await;
}

#[cfg(feature = "sntp")]
mod asking {
    use core::cell::RefCell;

    use embassy_net::Stack;
    use embassy_time::{Duration, Instant, Timer};

    use crate::engine::Engine;
    use crate::error::Closed;
    use crate::log::debug;
    use crate::options::TimeSource;
    use crate::{lookup, sntp};

    /// How soon a time server that did not answer is asked again.
    const AGAIN: Duration = Duration::from_secs(60);

    /// Asks where that is due.
    pub(super) async fn know(
        engine: &RefCell<Engine>,
        stack: Stack<'static>,
    ) -> Result<(), Closed> {
        let due = due(engine).is_some_and(|due| due <= Instant::now());
        // An older time will do where there is one.
        if due && !ask(engine, stack).await && !engine.borrow().clock.is_set() {
            return Err(Closed::NoTime);
        }
        Ok(())
    }

    /// Asks again and again, where there is a time server.
    pub(super) async fn keep(engine: &RefCell<Engine>, stack: Stack<'static>) {
        while let Some(due) = due(engine) {
            Timer::at(due).await;
            if !ask(engine, stack).await {
                Timer::after(AGAIN).await;
            }
        }
    }

    /// When the time server is to be asked next; `None` where there is none.
    fn due(engine: &RefCell<Engine>) -> Option<Instant> {
        let engine = engine.borrow();
        let TimeSource::Sntp { every, .. } = engine.options.time else {
            return None;
        };
        let heard = engine.clock.set_at();
        Some(heard.map_or(Instant::MIN, |at| {
            at.checked_add(every).unwrap_or(Instant::MAX)
        }))
    }

    async fn ask(engine: &RefCell<Engine>, stack: Stack<'static>) -> bool {
        let TimeSource::Sntp { server, .. } = engine.borrow().options.time else {
            return false;
        };
        let Some(server) = lookup::endpoint(stack, server).await else {
            return false;
        };
        let Some((unix, at)) = sntp::ask(stack, server).await else {
            debug!("the time server does not answer");
            return false;
        };
        debug!("the time server says {} ms", unix.0);
        engine.borrow_mut().clock.set(unix, at);
        true
    }
}
