//! One call, from the open operation to its end.

use std::time::{Duration, Instant};

use aire_mio::{CancelReason, Client, Failure, Operation};
use aire_proto::wire::Budget;
use signal_hook::consts::SIGINT;

use super::feed::Feed;
use super::show::Show;
use super::ticket::TicketFile;
use crate::common::interrupt::Interrupts;
use crate::{Error, Output};

/// One call.
pub(super) struct Session {
    operation: Operation,
    interrupts: Interrupts,
    show: Show,
    feed: Option<Feed>,
    ticket: Option<TicketFile>,
    cancelled: bool,
}

/// Why the loop ended.
enum End {
    Over(Result<(), Failure>),
    /// The process is to go, and another one to go on.
    Leave,
}

impl Session {
    pub(super) fn new(
        operation: Operation,
        interrupts: Interrupts,
        show: Show,
        feed: Option<Feed>,
        ticket: Option<TicketFile>,
    ) -> Self {
        operation.rings(interrupts.bell());
        interrupts.at_the_end(show.farewell());
        interrupts.listen();
        Self {
            operation,
            interrupts,
            show,
            feed,
            ticket,
            cancelled: false,
        }
    }

    /// Tells the agent what it may spend.
    pub(super) fn limit(&mut self, budget: Budget) {
        self.operation.send_budget(budget);
    }

    /// Tells the agent that no further input comes.
    pub(super) fn end_input(&mut self) {
        self.operation.finish();
    }

    /// Works on it until it is over.
    pub(super) fn run(mut self, client: Client, out: &mut Output) -> Result<(), Error> {
        match self.work(out) {
            Ok(End::Over(how)) => self.over(how, out),
            Ok(End::Leave) => self.leave(client, out),
            Err(error) => {
                // Cancels it: the client would let it run on until then.
                drop(self);
                Err(error)
            }
        }
    }

    fn work(&mut self, out: &mut Output) -> Result<End, Error> {
        loop {
            if self.heed_signals(out) {
                return Ok(End::Leave);
            }
            if let Some(how) = self.take_frames(out)? {
                return Ok(End::Over(how));
            }
            if let Some(feed) = &mut self.feed
                && !feed.send(&mut self.operation)?
            {
                self.feed = None;
            }
            let ticket = self.ticket.as_mut();
            let save = ticket.map_or(Ok(None), |ticket| ticket.note(&self.operation))?;
            let progress = self.show.progress();
            let next = [save, progress].into_iter().flatten().min();
            self.interrupts.bell().wait(next);
        }
    }

    /// Ctrl-C cancels. Whether the process is to go, and the operation to go on without it.
    fn heed_signals(&mut self, out: &Output) -> bool {
        let Some(signal) = self.interrupts.signal() else {
            return false;
        };
        if signal != SIGINT && self.ticket.is_some() && self.operation.ticket().is_some() {
            return true;
        }
        if !self.cancelled {
            self.cancelled = true;
            self.feed = None;
            self.show.clear();
            out.note("cancelling; Ctrl-C again does not wait for the agent");
            self.operation.cancel(CancelReason::UserCancelled, "");
        }
        false
    }

    /// Prints what came. How the operation ended, if it did.
    fn take_frames(&mut self, out: &mut Output) -> Result<Option<Result<(), Failure>>, Error> {
        let began = Instant::now();
        let end = loop {
            match self.operation.recv_frame_within(Duration::ZERO) {
                Ok(Some(received)) => self.show.received(received, out)?,
                Ok(None) => break Some(Ok(())),
                Err(Failure::TimedOut) => break None,
                Err(failure) => break Some(Err(failure)),
            }
            // Signals are heeded, and tickets written, also when frames never cease.
            if began.elapsed() > TURN {
                self.interrupts.bell().ring();
                break None;
            }
        };
        out.flush()?;
        Ok(end)
    }

    fn over(mut self, how: Result<(), Failure>, out: &mut Output) -> Result<(), Error> {
        self.show.ended(&how, out)?;
        if let Some(ticket) = &mut self.ticket
            && ticket.ended(&how, self.show.frames())?
        {
            out.note("the operation may still be there: the same command goes on with it");
        }
        match how {
            _ if self.cancelled => Err(Error::Interrupted),
            Ok(()) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    fn leave(self, client: Client, out: &mut Output) -> Result<(), Error> {
        let Self {
            operation,
            mut ticket,
            mut show,
            ..
        } = self;
        show.clear();
        let left = operation.leave();
        client.abandon();
        if let (Some(file), Some(left)) = (&mut ticket, left) {
            file.left(left)?;
            out.note("the operation is left to itself: the same command goes on with it");
        }
        Err(Error::Interrupted)
    }
}

/// How long frames are printed before other things get their turn.
const TURN: Duration = Duration::from_millis(50);
