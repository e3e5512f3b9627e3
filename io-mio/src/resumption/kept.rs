//! One resumable operation, on the node that works on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aire_proto::{CancelReason, ErrorCode, UnixMillis};
use tracing::{debug, warn};

use super::keeper::{Keeper, LEASE};
use super::{Resumable, later};
use crate::driver::unix_now;
use crate::mailbox::{Command, Mailbox};
use crate::metrics::count;
use crate::operation::{Failure, Place, Received, Route, Shared};
use crate::store::{OperationKey, ResumeStore, StoreError, TOKEN_LEN, Terminal, Word, new_token};

/// The tokens of one operation, and where they are told.
pub(super) struct Tokens {
    pub(super) key: OperationKey,
    pub(super) how: Resumable,
    /// Of the stream on which RESUMABLE goes.
    pub(super) shared: Arc<Shared>,
    pub(super) mailbox: Mailbox,
    progress: Mutex<Renewal>,
}

struct Renewal {
    /// When the next one is due.
    due: UnixMillis,
    /// Until when the last one is good.
    until: UnixMillis,
    /// The last frame that was sent.
    last_seq: u64,
    /// How many tokens the initiator was told.
    told: u64,
}

impl Tokens {
    pub(super) fn new(
        key: OperationKey,
        how: Resumable,
        shared: Arc<Shared>,
        mailbox: Mailbox,
    ) -> Self {
        Self {
            key,
            how,
            shared,
            mailbox,
            progress: Mutex::new(Renewal {
                due: UnixMillis(i64::MAX),
                until: UnixMillis::default(),
                last_seq: 0,
                told: 0,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Renewal> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frames up to `seq` were sent.
    pub(super) fn sent(&self, seq: u64) {
        self.lock().last_seq = seq;
    }

    /// Until when the last one is good.
    pub(super) fn good_until(&self) -> UnixMillis {
        self.lock().until
    }

    /// Whether it is time for another token: at half of the last one's.
    pub(super) fn is_due(&self, now: UnixMillis) -> bool {
        now >= self.lock().due
    }

    /// Makes a token good, and tells the initiator (`RES-9`, `RES-10`). Until when it is good.
    pub(super) fn renew(&self, store: &dyn ResumeStore) -> Result<UnixMillis, StoreError> {
        let token = new_token()?;
        let until = self.issue(store, &token)?;
        let mut progress = self.lock();
        progress.told = progress.told.saturating_add(1);
        let resumable = Command::Resumable {
            ttl_secs: self.how.ttl_secs(),
            token: token.to_vec(),
            last_seq: progress.last_seq,
        };
        drop(progress);
        self.mailbox.operation(self.shared.place(), resumable);
        Ok(until)
    }

    /// Makes `token` good. Until when it is.
    pub(super) fn issue(
        &self,
        store: &dyn ResumeStore,
        token: &[u8; TOKEN_LEN],
    ) -> Result<UnixMillis, StoreError> {
        let (now, ttl) = (unix_now(), Duration::from_secs(self.how.ttl_secs()));
        store.issue(&self.key, token, ttl, now)?;
        let mut progress = self.lock();
        progress.due = later(now, ttl / 2);
        progress.until = later(now, ttl);
        Ok(progress.until)
    }

    /// How many tokens the initiator was told.
    pub(super) fn told(&self) -> u64 {
        self.lock().told
    }
}

/// A resumable operation that this node works on.
pub(crate) struct Kept {
    tokens: Tokens,
    keeper: Arc<Keeper>,
    times: Mutex<Times>,
}

struct Times {
    /// When the last token's time is over.
    wanted_until: UnixMillis,
    /// When to say again that this node works on it.
    beat_at: UnixMillis,
    /// The last word of the initiator that was heard.
    heard: u64,
}

impl Kept {
    pub(super) fn new(tokens: Tokens, keeper: Arc<Keeper>) -> Arc<Self> {
        Arc::new(Self {
            tokens,
            keeper,
            times: Mutex::new(Times {
                wanted_until: UnixMillis(i64::MAX),
                beat_at: later(unix_now(), LEASE / 3),
                heard: 0,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn key(&self) -> OperationKey {
        self.tokens.key
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.tokens.shared
    }

    /// Makes another token good.
    pub(super) fn renew(&self) -> Result<(), StoreError> {
        let until = self.tokens.renew(&*self.keeper.store)?;
        self.wanted_until(until);
        Ok(())
    }

    /// Somebody may come back for the operation until then.
    pub(super) fn wanted_until(&self, until: UnixMillis) {
        self.lock().wanted_until = until;
    }

    /// Puts a frame into the store. Where the handler is to send it; `None` when a pump does, or
    /// nobody.
    pub(crate) fn append(&self, payload: &[u8]) -> Result<Option<Place>, StoreError> {
        let seq = self.shared().last_kept().saturating_add(1);
        self.keeper.store.append(&self.key(), seq, payload)?;
        let place = self.shared().appended(payload.len());
        if place.is_some() {
            self.tokens.sent(seq);
        }
        Ok(place)
    }

    /// The operation has come to its end. Where the handler is to say so; `None` when a pump does,
    /// or nobody.
    pub(crate) fn finish(&self, terminal: &Terminal) -> Option<Place> {
        let finished = self.keeper.store.finish(&self.key(), terminal);
        match finished {
            // The node stops, and said so to the store.
            Ok(()) | Err(StoreError::Finished) => {}
            Err(error) => self.failed(&error),
        }
        self.keeper.release(&self.key());
        let own = self.shared().route() == Some(Route::Own);
        own.then(|| self.shared().place())
    }

    /// The store failed: its tokens are worth nothing from now on. Whether the operation goes on.
    pub(crate) fn forsake(&self, error: &StoreError) -> bool {
        self.failed(error);
        self.keeper.release(&self.key());
        if let Err(error) = self.keeper.store.forget(&self.key()) {
            debug!(%error, "what the store has of the operation stays there until its time is over");
        }
        self.shared().forsake()
    }

    fn failed(&self, error: &StoreError) {
        warn!(%error, "this operation can no longer be resumed");
        count(&self.tokens.mailbox.counters.store_failures);
    }

    /// The node stops: nobody works on the operation any more.
    pub(super) fn stop(&self) {
        let stopped = Failure::application("the node that worked on it was stopped");
        let (code, detail, data) = stopped.to_error();
        let terminal = Terminal::Failed { code, detail, data };
        if let Err(error) = self.keeper.store.finish(&self.key(), &terminal) {
            debug!(%error, "the end of a resumable operation is not in the store");
        }
        self.shared().failed(Failure::Lost);
    }

    /// Looks after the operation. `here` says whether a pump on this node speaks with the
    /// initiator.
    pub(super) fn tick(&self, here: bool) {
        let Some(route) = self.shared().route() else {
            return;
        };
        let now = unix_now();
        let beats = now >= self.lock().beat_at;
        if beats {
            self.lock().beat_at = later(now, LEASE / 3);
            if let Err(error) = self.keeper.store.beat(&self.key(), LEASE, now) {
                debug!(%error, "the resume store did not hear that the operation is worked on");
            }
        }
        if route == Route::Own {
            if self.tokens.is_due(now)
                && let Err(error) = self.renew()
            {
                self.forsake(&error);
                return;
            }
        } else {
            self.check_times(here, now);
        }
        // Words come from other nodes only; the first of them may come while this one still
        // believes in the connection.
        if !here && (beats || route != Route::Own) {
            self.listen();
        }
    }

    /// Ends work that has no time left, where no connection's timers do.
    fn check_times(&self, here: bool, now: UnixMillis) {
        let deadline = self.shared().ledger().work(|ledger| ledger.deadline());
        if now >= deadline {
            self.shared().failed(Failure::Failed {
                code: ErrorCode::DeadlineExceeded,
                detail: String::new(),
                data: Vec::new(),
            });
        }
        if !here && now > self.lock().wanted_until {
            debug!("nobody came back for the operation");
            self.shared().failed(Failure::Cancelled {
                reason: CancelReason::UserCancelled,
                detail: "nobody came back for the operation in time".into(),
            });
        }
    }

    /// Hears what the initiator says by way of another node.
    fn listen(&self) {
        if self.shared().is_full() {
            return;
        }
        let after = self.lock().heard;
        let words = self.keeper.store.words(&self.key(), after, Duration::ZERO);
        match words {
            Ok(words) => {
                for (number, word) in words {
                    self.lock().heard = number;
                    self.hear(word);
                }
            }
            Err(error) => debug!(%error, "the initiator is not heard"),
        }
    }

    fn hear(&self, word: Word) {
        let shared = self.shared();
        match word {
            Word::Cancel { reason, detail } => shared.failed(Failure::Cancelled { reason, detail }),
            Word::Budget(budget) => {
                if let Err(mismatch) = shared.budget(&budget) {
                    shared.failed(Failure::Currency(mismatch));
                }
            }
            Word::Input(payload) => {
                shared.notice(Received::Stream(payload));
            }
            Word::InputFinished => shared.finished(),
            Word::Attended { taken, until } => {
                self.wanted_until(until);
                self.leave_stream(shared.pumped(taken, None));
            }
            Word::Unattended => {
                shared.detach();
            }
        }
    }

    /// Gives the handler's own stream up without a word: the initiator has gone elsewhere.
    pub(super) fn leave_stream(&self, place: Option<Place>) {
        if let Some(place) = place {
            self.tokens.mailbox.operation(place, Command::Abort);
        }
    }
}
