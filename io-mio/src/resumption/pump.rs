//! Answers a RESUME: sends on the new stream what the store has of the operation, and gets.

use std::sync::Arc;
use std::time::Duration;

use aire_proto::{CancelReason, ErrorCode, UnixMillis};
use tracing::{debug, warn};

use super::keeper::Keeper;
use super::kept::{Kept, Tokens};
use crate::driver::unix_now;
use crate::mailbox::Command;
use crate::metrics::count;
use crate::operation::{Failure, Operation, Received};
use crate::store::{Batch, ClaimError, Claimed, StoreError, TOKEN_LEN, Terminal, Word};

/// So long it waits for the store before it looks what the initiator says.
const PATIENCE: Duration = Duration::from_millis(100);

/// One RESUME.
pub(crate) struct Pump {
    pub(crate) keeper: Arc<Keeper>,
    /// The new stream.
    pub(crate) operation: Operation,
    pub(crate) token: Vec<u8>,
    pub(crate) last_recv: u64,
}

impl Pump {
    /// Answers it, on a thread of its own.
    pub(crate) fn run(mut self) {
        let owner = self.operation.peer().to_owned();
        let owner = (!self.keeper.anyone).then_some(owner.as_str());
        let now = unix_now();
        let claimed = self
            .keeper
            .store
            .claim(&self.token, owner, self.last_recv, now);
        match claimed {
            Ok(claimed) => self.attend(&claimed),
            Err(refusal) => self.refuse(&refusal),
        }
    }

    fn refuse(&mut self, refusal: &ClaimError) {
        let (_, mailbox) = self.operation.parts();
        count(&mailbox.counters.resumes_refused);
        // What is wrong with the store is nobody's business but ours.
        let detail = match refusal {
            ClaimError::Store(error) => {
                warn!(%error, "an operation could not be resumed");
                "the resume store failed".into()
            }
            other => other.to_string(),
        };
        debug!(%refusal, "not resumed");
        self.fail(refusal.code(), detail);
    }

    fn fail(&mut self, code: ErrorCode, detail: impl Into<String>) {
        self.operation.fail(&Failure::Failed {
            code,
            detail: detail.into(),
            data: Vec::new(),
        });
    }

    fn attend(mut self, claimed: &Claimed) {
        let (shared, mailbox) = self.operation.parts();
        let how = self.keeper.agent(&claimed.record.agent).unwrap_or_default();
        let place = shared.place();
        let tokens = Arc::new(Tokens::new(
            claimed.key,
            how,
            shared.clone(),
            mailbox.clone(),
        ));
        tokens.sent(self.last_recv);
        let Some(before) = self.keeper.attend(&tokens) else {
            return self.fail(ErrorCode::Refused, "the node stops");
        };
        if let Some(before) = before {
            // The initiator has left that stream, whether its end was noticed or not.
            before.shared.failed(Failure::Lost);
            before
                .mailbox
                .operation(before.shared.place(), Command::Abort);
        }
        count(&mailbox.counters.resumed);
        let worker = self.keeper.worker(&claimed.key);
        if let Some(kept) = &worker {
            kept.leave_stream(kept.shared().pumped(self.last_recv, Some(place)));
            let ledger = kept.shared().ledger().clone();
            mailbox.operation(place, Command::Adopt(ledger));
        }
        let mut tending = Tending {
            worker,
            taken: self.last_recv,
            told: None,
            waiting: None,
            input_finished: false,
            cancelled: false,
            lost: false,
            tokens,
            pump: self,
        };
        tending.run();
        tending.leave();
    }
}

/// A RESUME whose token was good.
struct Tending {
    pump: Pump,
    tokens: Arc<Tokens>,
    /// The handler, when it is on this node.
    worker: Option<Arc<Kept>>,
    /// The last frame that was taken from the store.
    taken: u64,
    /// What another node was told of that.
    told: Option<(u64, UnixMillis)>,
    /// A word of the initiator that there was no room for yet.
    waiting: Option<Word>,
    input_finished: bool,
    cancelled: bool,
    /// The connection is lost.
    lost: bool,
}

/// Whether to go on.
type GoesOn = bool;

impl Tending {
    fn run(&mut self) {
        // A fresh token at once, for those before are spent (RES-6, RES-10).
        if let Err(error) = self.renew() {
            return self.store_failed(&error);
        }
        let (shared, mailbox) = self.pump.operation.parts();
        mailbox.operation(shared.place(), Command::Resume);
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return,
                Err(StoreError::Evicted { .. }) => {
                    let code = ErrorCode::ResumeUnavailable;
                    let detail = "frames went out of the retained window before they were sent";
                    return self.pump.fail(code, detail);
                }
                Err(error) => return self.store_failed(&error),
            }
        }
    }

    fn store_failed(&mut self, error: &StoreError) {
        warn!(%error, "a resumed operation cannot go on");
        let (_, mailbox) = self.pump.operation.parts();
        count(&mailbox.counters.store_failures);
        let detail = "the resume store failed";
        self.pump.fail(ErrorCode::Refused, detail);
    }

    fn step(&mut self) -> Result<GoesOn, StoreError> {
        if !self.forward()? {
            return Ok(false);
        }
        self.say_attended()?;
        let store = self.pump.keeper.store.clone();
        let batch = store.read(&self.tokens.key, self.taken.saturating_add(1), PATIENCE)?;
        if batch.frames.is_empty() && batch.terminal.is_none() && self.is_deserted(&batch) {
            let detail = "the node that worked on it is gone; all that it had sent was sent again";
            self.pump.fail(ErrorCode::Application, detail);
            return Ok(false);
        }
        for (seq, payload) in batch.frames {
            // Once it is cancelled, only its end is of interest.
            if !self.cancelled && self.pump.operation.send(payload).is_err() {
                // The reason is there, or about to come.
                let _reason = self.pump.operation.sleep(PATIENCE);
                return Ok(true);
            }
            self.took(seq);
        }
        let Some(terminal) = batch.terminal else {
            return Ok(true);
        };
        match terminal {
            Terminal::Finished => self.pump.operation.finish(),
            Terminal::Failed { code, detail, data } => {
                let failure = Failure::Failed { code, detail, data };
                self.pump.operation.fail(&failure);
            }
        }
        Ok(false)
    }

    /// Whether nobody works on the operation any more.
    fn is_deserted(&mut self, batch: &Batch) -> bool {
        let here = self.pump.keeper.worker(&self.tokens.key).is_some();
        !here && unix_now() > batch.worked_until
    }

    fn took(&mut self, seq: u64) {
        self.taken = seq;
        self.tokens.sent(seq);
        if let Some(kept) = &self.worker {
            kept.shared().pumped(seq, None);
        }
    }

    fn renew(&mut self) -> Result<(), StoreError> {
        let until = self.tokens.renew(&*self.pump.keeper.store)?;
        if let Some(kept) = &self.worker {
            kept.wanted_until(until);
        }
        Ok(())
    }

    /// Tells the node that works on the operation that somebody is there, and how far he is.
    fn say_attended(&mut self) -> Result<(), StoreError> {
        let now = (self.taken, self.tokens.good_until());
        if self.worker.is_some() || self.told == Some(now) {
            return Ok(());
        }
        let (taken, until) = now;
        if self.tell(&Word::Attended { taken, until })? {
            self.told = Some(now);
        }
        Ok(())
    }

    /// Whether there was room for a word.
    fn tell(&self, word: &Word) -> Result<bool, StoreError> {
        match self.pump.keeper.store.tell(&self.tokens.key, word) {
            Ok(()) => Ok(true),
            Err(StoreError::Full) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Hands on what the initiator said on the new stream, to wherever the handler is.
    fn forward(&mut self) -> Result<GoesOn, StoreError> {
        loop {
            if let Some(word) = self.waiting.take()
                && !self.hand_on(&word)?
            {
                self.waiting = Some(word);
                return Ok(true);
            }
            match self.pump.operation.recv_frame_within(Duration::ZERO) {
                Ok(Some(Received::Stream(payload))) => self.waiting = Some(Word::Input(payload)),
                Ok(Some(Received::Budget(budget))) if !budget.is_report() => {
                    self.waiting = Some(Word::Budget(budget));
                }
                Ok(Some(_)) | Err(Failure::Ended) => {}
                Ok(None) if self.input_finished => return Ok(!self.pump.operation.is_over()),
                Ok(None) => {
                    self.input_finished = true;
                    self.waiting = Some(Word::InputFinished);
                }
                Err(Failure::TimedOut) => return Ok(true),
                Err(Failure::Lost) => {
                    self.lost = true;
                    return Ok(false);
                }
                Err(failure) => return self.stop_work(failure),
            }
        }
    }

    /// The initiator wants the operation to end, or broke a rule of it.
    fn stop_work(&mut self, failure: Failure) -> Result<GoesOn, StoreError> {
        if !self.cancelled {
            let (reason, detail) = match &failure {
                Failure::Cancelled { reason, detail } => (*reason, detail.clone()),
                other => (CancelReason::Internal, other.to_string()),
            };
            self.cancelled = match &self.worker {
                Some(kept) => {
                    kept.shared().failed(failure);
                    true
                }
                None => self.tell(&Word::Cancel { reason, detail })?,
            };
        }
        Ok(!self.cancelled || !self.pump.operation.is_over())
    }

    /// Whether there was room for it.
    fn hand_on(&mut self, word: &Word) -> Result<bool, StoreError> {
        let Some(kept) = &self.worker else {
            return self.tell(word);
        };
        let shared = kept.shared();
        match word {
            Word::Input(_) if shared.is_full() => return Ok(false),
            Word::Input(payload) => {
                shared.notice(Received::Stream(payload.clone()));
            }
            Word::Budget(budget) => {
                // The new stream counts in the handler's ledger, which has it already.
                shared.budget_changed();
                shared.notice(Received::Budget(*budget));
            }
            Word::InputFinished => shared.finished(),
            Word::Cancel { .. } | Word::Attended { .. } | Word::Unattended => {}
        }
        Ok(true)
    }

    /// Makes the token that was shown good again, beside the fresh one: the connection was lost so
    /// soon that the fresh one need not have arrived, and the operation would be lost with it.
    fn restore_token(&self) {
        let Ok(token) = <[u8; TOKEN_LEN]>::try_from(self.pump.token.as_slice()) else {
            return;
        };
        if self.tokens.told() > 1 {
            return;
        }
        match self.tokens.issue(&*self.pump.keeper.store, &token) {
            Ok(until) => {
                if let Some(kept) = &self.worker {
                    kept.wanted_until(until);
                }
            }
            Err(error) => debug!(%error, "only the fresh token is good"),
        }
    }

    /// Nobody speaks with the initiator any more.
    fn leave(&self) {
        if !self.pump.keeper.leave(&self.tokens) {
            return;
        }
        if self.lost {
            self.restore_token();
            let (_, mailbox) = self.pump.operation.parts();
            count(&mailbox.counters.detached);
        }
        match &self.worker {
            Some(kept) => {
                kept.shared().detach();
            }
            None => {
                if let Err(error) = self.tell(&Word::Unattended) {
                    debug!(%error, "the node that works on the operation is not told");
                }
            }
        }
    }
}
