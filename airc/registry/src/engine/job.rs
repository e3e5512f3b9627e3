//! What is done in a transaction, and who waits for it.

use std::sync::Arc;

use airc_core::registry::{Answer, Call, Registry};
use airc_core::store::{Store, Stored};
use airc_core::time::Time;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::EngineError;

/// What one transaction does for somebody, alone or among others.
pub(super) trait Job: Send {
    /// Does it. A transaction that is tried again does it again.
    fn run(&mut self, now: Time, store: &mut dyn Store) -> Stored<()>;

    /// Says what came of it: `Ok` is only said when it is durable.
    fn finish(self: Box<Self>, outcome: Result<(), EngineError>);

    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;
}

/// Who waits for the result of a job, and the job's place among those that may wait.
pub(super) struct Waiting<T> {
    reply: oneshot::Sender<Result<T, EngineError>>,
    place: OwnedSemaphorePermit,
}

impl<T> Waiting<T> {
    pub(super) fn new(
        place: OwnedSemaphorePermit,
    ) -> (Self, oneshot::Receiver<Result<T, EngineError>>) {
        let (reply, result) = oneshot::channel();
        (Self { reply, place }, result)
    }

    fn finish(self, outcome: Result<(), EngineError>, result: Option<T>) {
        let result = outcome.and_then(|()| result.ok_or(EngineError::Failed));
        // Whoever hears of it finds the place free. Whoever asked may be gone.
        drop(self.place);
        let _nobody = self.reply.send(result);
    }
}

/// A call of the registry.
pub(super) struct CallJob {
    pub(super) registry: Arc<Registry>,
    pub(super) call: Call,
    pub(super) answer: Option<Answer>,
    pub(super) waiting: Waiting<Answer>,
}

impl Job for CallJob {
    fn run(&mut self, now: Time, store: &mut dyn Store) -> Stored<()> {
        self.answer = Some(self.registry.apply(&self.call, now, store)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), EngineError>) {
        self.waiting.finish(outcome, self.answer);
    }

    fn is_abandoned(&self) -> bool {
        self.waiting.reply.is_closed()
    }
}

/// Something else that needs the store.
pub(super) struct TaskJob<T, F> {
    pub(super) task: F,
    pub(super) result: Option<T>,
    pub(super) waiting: Waiting<T>,
}

impl<T, F> Job for TaskJob<T, F>
where
    T: Send,
    F: FnMut(&mut dyn Store) -> Stored<T> + Send,
{
    fn run(&mut self, _now: Time, store: &mut dyn Store) -> Stored<()> {
        self.result = Some((self.task)(store)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), EngineError>) {
        self.waiting.finish(outcome, self.result);
    }

    fn is_abandoned(&self) -> bool {
        self.waiting.reply.is_closed()
    }
}
