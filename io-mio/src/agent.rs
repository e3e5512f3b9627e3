//! Agents: what a node does for its callers.

use crate::driver::{Calls, ConnectionKey, Event};
use crate::operation::{Failure, Operation};

/// An agent whose operations each run on a thread of their own, with calls that wait.
///
/// Any `Fn(&mut Operation) -> Result<(), Failure>` is one. `Ok` completes the operation; a
/// [`Failure`] ends it with that ERROR; a panic ends it with `APPLICATION` and hurts no other.
pub trait Agent: Send + Sync + 'static {
    /// Serves one operation.
    ///
    /// # Errors
    /// Whatever the caller should be told.
    fn handle(&self, operation: &mut Operation) -> Result<(), Failure>;
}

impl<F> Agent for F
where
    F: Fn(&mut Operation) -> Result<(), Failure> + Send + Sync + 'static,
{
    fn handle(&self, operation: &mut Operation) -> Result<(), Failure> {
        self(operation)
    }
}

/// An agent that lives in the event loop: it is told what happens, and must not wait.
///
/// Its events are those of its own operations, from
/// [`Invoked`](aire_proto::Event::Invoked) to [`Ended`](aire_proto::Event::Ended). A panic ends
/// the operation with `APPLICATION`.
pub trait EventAgent: Send + 'static {
    /// Takes one event. Payloads are slices of the loop's buffer.
    fn event(&mut self, connection: ConnectionKey, event: Event<'_>, calls: &mut Calls<'_>);
}

impl<F> EventAgent for F
where
    F: FnMut(ConnectionKey, Event<'_>, &mut Calls<'_>) + Send + 'static,
{
    fn event(&mut self, connection: ConnectionKey, event: Event<'_>, calls: &mut Calls<'_>) {
        self(connection, event, calls);
    }
}
