//! Documents under way: one fetch per DID at a time, whoever waits for it (`DISC-8`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::cache::Cache;
use super::rate::Buckets;
use super::trace::Step;
use super::{Document, ResolveError};

/// A document, or why there is none.
pub(super) type Known = Result<Arc<Document>, ResolveError>;

/// What came of a fetch, and how.
#[derive(Clone)]
pub(super) struct Landed {
    pub(super) outcome: Known,
    pub(super) steps: Arc<[Step]>,
}

/// What all threads share.
pub(super) struct State {
    pub(super) cache: Cache<Known>,
    pub(super) sources: Buckets,
    /// Who waits for which DID.
    waiting: HashMap<String, Vec<oneshot::Sender<Landed>>>,
    waiting_in_all: usize,
    max_waiting: usize,
}

/// How a document is had.
pub(super) enum Boarded {
    /// It is known, since then.
    Known(Known, Instant),
    /// Somebody fetches it already.
    Wait(oneshot::Receiver<Landed>),
    /// Who asks has to fetch it.
    Fetch(oneshot::Receiver<Landed>),
}

impl State {
    pub(super) fn new(cache: Cache<Known>, sources: Buckets, max_waiting: usize) -> Self {
        Self {
            cache,
            sources,
            waiting: HashMap::new(),
            waiting_in_all: 0,
            max_waiting,
        }
    }

    /// Looks for a document that was stored after `newer_than`, or waits for one.
    pub(super) fn board(
        &mut self,
        did: &str,
        newer_than: Option<Instant>,
        now: Instant,
    ) -> Result<Boarded, ResolveError> {
        if let Some((known, stored)) = self.cache.get(did, now)
            && newer_than.is_none_or(|limit| stored > limit)
        {
            return Ok(Boarded::Known(known, stored));
        }
        if self.waiting_in_all >= self.max_waiting {
            return Err(ResolveError::Busy);
        }
        self.waiting_in_all += 1;
        let (sender, receiver) = oneshot::channel();
        match self.waiting.get_mut(did) {
            Some(others) => {
                others.push(sender);
                Ok(Boarded::Wait(receiver))
            }
            None => {
                self.waiting.insert(did.into(), vec![sender]);
                Ok(Boarded::Fetch(receiver))
            }
        }
    }

    /// Who waited for a document, and now gets it.
    pub(super) fn land(&mut self, did: &str) -> Vec<oneshot::Sender<Landed>> {
        let waited = self.waiting.remove(did).unwrap_or_default();
        self.waiting_in_all = self.waiting_in_all.saturating_sub(waited.len());
        waited
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::resolver::rate::Rate;

    #[test]
    fn one_fetches_and_the_others_wait_but_not_too_many() {
        let rate = Rate {
            burst: 1,
            every: Duration::from_secs(1),
        };
        let mut state = State::new(Cache::new(1), Buckets::new(rate, 1), 3);
        let now = Instant::now();
        assert!(matches!(state.board("a", None, now), Ok(Boarded::Fetch(_))));
        assert!(matches!(state.board("a", None, now), Ok(Boarded::Wait(_))));
        assert!(matches!(state.board("b", None, now), Ok(Boarded::Fetch(_))));
        assert!(matches!(
            state.board("a", None, now),
            Err(ResolveError::Busy)
        ));
        assert_eq!(state.land("a").len(), 2);
        assert!(state.land("a").is_empty());
        assert!(matches!(state.board("a", None, now), Ok(Boarded::Fetch(_))));
    }
}
