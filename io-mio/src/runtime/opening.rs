//! Operations that this side opens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use aire_proto::StreamId;
use aire_proto::delegation::{Path, PathRef};
use aire_proto::wire::Budget;
use tracing::debug;

use super::resuming::resume;
use super::{Loop, Served, Serving, span_of};
use crate::Error;
use crate::driver::Driver;
use crate::mailbox::{Opening, Via};
use crate::operation::{About, Operation, Place, Shared};
use crate::status::Subject;

impl Loop {
    /// Opens the operations that wait for a stream, as far as there are any.
    pub(super) fn open_waiting(&mut self, driver: &mut Driver) {
        if self.waiting.is_empty() {
            return;
        }
        let (mut still, now) = (VecDeque::new(), Instant::now());
        while let Some(mut opening) = self.waiting.pop_front() {
            if opening.until.is_some_and(|until| until <= now) {
                continue;
            }
            opening.connection = self.current(opening.connection);
            match driver.may_invoke(opening.connection) {
                Err(_) if self.is_redialling() => still.push_back(opening),
                Err(Error::StreamLimit) => still.push_back(opening),
                Err(error) => {
                    let _gone = opening.reply.send(Err(error));
                }
                Ok(()) => self.open(driver, opening),
            }
        }
        self.waiting = still;
    }

    fn open(&mut self, driver: &mut Driver, mut opening: Opening) {
        let args = std::mem::take(&mut opening.args);
        let args_len = args.len();
        let invoked = match &opening.via {
            _ if opening.progress.is_some() => resume(driver, &opening),
            None => driver.invoke(opening.connection, &opening.agent, &opening.operation, args),
            Some(via) => invoke_via(driver, &opening, via, args),
        };
        match invoked {
            Ok(stream) => self.opened(driver, opening, stream, args_len),
            Err(error) => {
                let _gone = opening.reply.send(Err(error));
            }
        }
    }

    fn opened(&mut self, driver: &mut Driver, opening: Opening, stream: StreamId, args_len: usize) {
        let Some(op) = aire_proto::OpId::new(stream.get()) else {
            return;
        };
        let known = self.known.get(&opening.connection);
        let about = About {
            op,
            agent: opening.agent,
            operation: opening.operation,
            args: Vec::new(),
            peer: known.map(|known| known.peer.clone()).unwrap_or_default(),
            address: self.dialled_address(),
            node: self.did.clone(),
            path: None,
            responder: false,
        };
        let span = span_of(&about);
        debug!(parent: &span, "invoked");
        let place = (opening.connection, stream);
        let ledger = driver.ledger(place).unwrap_or_default();
        let shared = Shared::new(place, self.send_queue, args_len, ledger);
        let served = Served {
            serving: Serving::Thread(shared.clone()),
            span,
            asked: Some((about.peer.clone(), about.agent.clone())),
            resumes: false,
            subject: Subject::new(&about),
        };
        self.served.insert(place, served);
        if let Some(progress) = opening.progress {
            shared.goes_on_from(*progress);
        }
        if let Some(via) = opening.via {
            self.join_family(driver, place, &shared, via);
        }
        let operation = Operation::new(shared, self.mailbox.clone(), about);
        // A caller that is gone drops it, which cancels it.
        let _gone = opening.reply.send(Ok(operation));
    }

    /// An operation that was opened on behalf of another: it gets its share.
    fn join_family(&self, driver: &mut Driver, place: Place, shared: &Arc<Shared>, via: Via) {
        let _once = shared.membership.set(via.membership.clone());
        via.membership.join(shared, &self.mailbox);
        let limited = via.budget != Budget::default();
        if let Some(mut calls) = driver.calls(place.0).filter(|_| limited) {
            // It was opened a moment ago.
            let _open = calls.send_budget(place.1, via.budget);
        }
    }
}

/// Opens an operation on behalf of another one.
fn invoke_via(
    driver: &mut Driver,
    opening: &Opening,
    via: &Via,
    args: Vec<u8>,
) -> Result<StreamId, Error> {
    let before = via.path.as_deref().and_then(|path| Path::decode(path).ok());
    let path = PathRef::new(before, &via.did, &via.agent).map_err(|_| Error::TooFar)?;
    let (agent, operation) = (&opening.agent, &opening.operation);
    driver.invoke_via(opening.connection, &path, agent, operation, args)
}
