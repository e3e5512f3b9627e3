//! A store that a test breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aire_mio::store::{
    Batch, ClaimError, Claimed, OperationKey, Record, ResumeStore, StoreError, TOKEN_LEN, Terminal,
    Word,
};
use aire_proto::UnixMillis;

/// Passes all on to another store, until it is broken.
#[derive(Clone)]
pub struct Faulty {
    inner: Arc<dyn ResumeStore>,
    broken: Arc<AtomicBool>,
}

impl Faulty {
    pub fn over(inner: impl ResumeStore + 'static) -> Self {
        Self {
            inner: Arc::new(inner),
            broken: Arc::default(),
        }
    }

    /// From now on every call fails: as if the process had been killed.
    pub fn fail(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    fn there(&self) -> Result<&dyn ResumeStore, StoreError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::Failed("a test broke it".into()));
        }
        Ok(&*self.inner)
    }
}

impl ResumeStore for Faulty {
    fn open(
        &self,
        key: &OperationKey,
        record: &Record,
        lease: Duration,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.there()?.open(key, record, lease, now)
    }

    fn issue(
        &self,
        key: &OperationKey,
        token: &[u8; TOKEN_LEN],
        ttl: Duration,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.there()?.issue(key, token, ttl, now)
    }

    fn append(&self, key: &OperationKey, seq: u64, payload: &[u8]) -> Result<(), StoreError> {
        self.there()?.append(key, seq, payload)
    }

    fn finish(&self, key: &OperationKey, terminal: &Terminal) -> Result<(), StoreError> {
        self.there()?.finish(key, terminal)
    }

    fn claim(
        &self,
        token: &[u8],
        owner: Option<&str>,
        last_recv: u64,
        now: UnixMillis,
    ) -> Result<Claimed, ClaimError> {
        self.there()?.claim(token, owner, last_recv, now)
    }

    fn read(&self, key: &OperationKey, from: u64, patience: Duration) -> Result<Batch, StoreError> {
        self.there()?.read(key, from, patience)
    }

    fn tell(&self, key: &OperationKey, word: &Word) -> Result<(), StoreError> {
        self.there()?.tell(key, word)
    }

    fn words(
        &self,
        key: &OperationKey,
        after: u64,
        patience: Duration,
    ) -> Result<Vec<(u64, Word)>, StoreError> {
        self.there()?.words(key, after, patience)
    }

    fn beat(&self, key: &OperationKey, lease: Duration, now: UnixMillis) -> Result<(), StoreError> {
        self.there()?.beat(key, lease, now)
    }

    fn sweep(&self, now: UnixMillis) -> Result<(), StoreError> {
        self.there()?.sweep(now)
    }

    fn forget(&self, key: &OperationKey) -> Result<(), StoreError> {
        self.there()?.forget(key)
    }
}
