//! Operations in the memory of this process, and the rules that every store follows: the window,
//! the tokens, the words, and when an operation is forgotten.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aire_proto::UnixMillis;

use super::{
    BATCH_BYTES, Batch, ClaimError, Claimed, MAX_WORD_BYTES, MAX_WORDS, OperationKey, Record,
    ResumeStore, StoreError, TOKEN_LEN, Terminal, TokenHash, Word, hash_of, later,
};

/// Resumable operations in the memory of this process: the default. They survive the loss of a
/// connection, and nothing worse.
///
/// It takes at most `max_operations` times the retained window of each, and as many words as may
/// wait.
pub struct MemoryStore {
    max_operations: usize,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    operations: HashMap<OperationKey, Operation>,
    /// Of each operation, at most the two that it lists.
    tokens: HashMap<TokenHash, OperationKey>,
}

/// A token that was issued and not spent.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    pub(super) hash: TokenHash,
    /// The last moment at which it is good.
    pub(super) expires: UnixMillis,
    /// Until then, it is known to be expired; after that, it is unknown.
    pub(super) buried: UnixMillis,
}

/// One operation as it is kept.
pub(super) struct Operation {
    pub(super) record: Record,
    /// Without a gap, `first` at the front. The core's `Window` takes all of its memory at the
    /// start; most answers are much smaller than theirs, and readers share these frames.
    pub(super) frames: VecDeque<Arc<[u8]>>,
    pub(super) first: u64,
    bytes: usize,
    pub(super) terminal: Option<Terminal>,
    /// The newest last.
    pub(super) tickets: Vec<Ticket>,
    worked_until: UnixMillis,
    kept_until: UnixMillis,
    /// It is forgotten, but for its tokens, which are known to be expired.
    emptied: bool,
    words: BTreeMap<u64, Word>,
    word_bytes: usize,
    words_said: u64,
    /// Frames, the end or words came, or it is forgotten.
    changed: Arc<Condvar>,
}

/// What a sweep took away.
#[derive(Default)]
pub(super) struct Swept {
    /// Only their tokens are left.
    pub(super) emptied: Vec<OperationKey>,
    /// Nothing is left.
    pub(super) removed: Vec<OperationKey>,
}

impl Operation {
    pub(super) fn new(record: Record) -> Self {
        Self {
            record,
            frames: VecDeque::new(),
            first: 1,
            bytes: 0,
            terminal: None,
            tickets: Vec::new(),
            worked_until: UnixMillis::default(),
            kept_until: UnixMillis::default(),
            emptied: false,
            words: BTreeMap::new(),
            word_bytes: 0,
            words_said: 0,
            changed: Arc::default(),
        }
    }

    /// The number of the next frame.
    fn next(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    fn beat(&mut self, lease: Duration, now: UnixMillis) {
        self.worked_until = later(now, lease);
        self.keep(self.worked_until);
    }

    fn keep(&mut self, until: UnixMillis) {
        self.kept_until = self.kept_until.max(until);
    }

    /// The oldest frame that stays when `seq`, of `len` bytes, comes.
    fn first_after(&self, seq: u64, len: usize) -> Result<u64, StoreError> {
        let limits = &self.record.limits;
        if self.terminal.is_some() {
            return Err(StoreError::Finished);
        }
        if seq != self.next() {
            return Err(StoreError::OutOfOrder {
                expected: self.next(),
            });
        }
        if len > limits.max_bytes || limits.max_frames == 0 {
            return Err(StoreError::FrameTooLarge {
                len,
                max_bytes: limits.max_bytes,
            });
        }
        let (mut count, mut bytes) = (self.frames.len() + 1, self.bytes + len);
        let mut first = self.first;
        for oldest in &self.frames {
            if count <= limits.max_frames && bytes <= limits.max_bytes {
                break;
            }
            count -= 1;
            bytes -= oldest.len();
            first += 1;
        }
        Ok(first)
    }

    /// Keeps a frame, under the rules of [`first_after`](Self::first_after).
    pub(super) fn append(&mut self, seq: u64, payload: Arc<[u8]>) -> Result<(), StoreError> {
        let first = self.first_after(seq, payload.len())?;
        while self.first < first {
            self.bytes -= self.frames.pop_front().map_or(0, |frame| frame.len());
            self.first += 1;
        }
        self.bytes += payload.len();
        self.frames.push_back(payload);
        self.changed.notify_all();
        Ok(())
    }

    fn finish(&mut self, terminal: Terminal) -> Result<(), StoreError> {
        if self.terminal.is_some() {
            return Err(StoreError::Finished);
        }
        self.terminal = Some(terminal);
        self.changed.notify_all();
        Ok(())
    }

    /// What is there from `from` on.
    fn look(&self, from: u64) -> Result<Found, StoreError> {
        if from < self.first {
            return Err(StoreError::Evicted { oldest: self.first });
        }
        let skipped = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let mut frames = Vec::new();
        for (seq, frame) in (from..).zip(self.frames.iter().skip(skipped)) {
            bytes += frame.len();
            if bytes > BATCH_BYTES && !frames.is_empty() {
                break;
            }
            frames.push((seq, Arc::clone(frame)));
        }
        let last = frames.last().map_or(from, |(seq, _)| seq + 1);
        Ok(Found {
            terminal: self.terminal.clone().filter(|_| last >= self.next()),
            worked_until: self.worked_until,
            frames,
        })
    }

    fn tell(&mut self, word: Word) -> Result<(), StoreError> {
        if self.words.len() >= MAX_WORDS || self.word_bytes >= MAX_WORD_BYTES {
            return Err(StoreError::Full);
        }
        self.words_said += 1;
        self.word_bytes += size(&word);
        self.words.insert(self.words_said, word);
        self.changed.notify_all();
        Ok(())
    }

    fn heard(&mut self, after: u64) {
        let later = self.words.split_off(&after.saturating_add(1));
        self.word_bytes = later.values().map(size).sum();
        self.words = later;
    }

    fn empty(&mut self) {
        self.frames.clear();
        self.words.clear();
        self.terminal = None;
        self.emptied = true;
        self.changed.notify_all();
    }
}

/// Roughly what a word takes.
fn size(word: &Word) -> usize {
    match word {
        Word::Cancel { detail, .. } => detail.len(),
        Word::Input(payload) => payload.len(),
        Word::Budget(_) | Word::InputFinished | Word::Attended { .. } | Word::Unattended => 0,
    }
}

/// A [`Batch`] whose frames are not copied yet.
struct Found {
    frames: Vec<(u64, Arc<[u8]>)>,
    terminal: Option<Terminal>,
    worked_until: UnixMillis,
}

impl Found {
    fn is_something(&self) -> bool {
        self.terminal.is_some() || !self.frames.is_empty()
    }

    fn into_batch(self) -> Batch {
        let frames = self.frames.into_iter();
        Batch {
            frames: frames.map(|(seq, frame)| (seq, frame.to_vec())).collect(),
            terminal: self.terminal,
            worked_until: self.worked_until,
        }
    }
}

impl Shelf {
    fn live(&mut self, key: &OperationKey) -> Result<&mut Operation, StoreError> {
        let operation = self.operations.get_mut(key);
        operation
            .filter(|operation| !operation.emptied)
            .ok_or(StoreError::Unknown)
    }

    fn forget(&mut self, key: &OperationKey) {
        if let Some(operation) = self.operations.remove(key) {
            for ticket in &operation.tickets {
                self.tokens.remove(&ticket.hash);
            }
            operation.changed.notify_all();
        }
    }

    /// Room for one operation more. One that is forgotten but for its tokens makes it, and is
    /// returned.
    fn make_room(&mut self, max_operations: usize) -> Result<Option<OperationKey>, StoreError> {
        if self.operations.len() < max_operations {
            return Ok(None);
        }
        let emptied = self.operations.iter().find(|(_, other)| other.emptied);
        let key = *emptied.ok_or(StoreError::Full)?.0;
        self.forget(&key);
        Ok(Some(key))
    }

    fn claim(
        &mut self,
        hash: &TokenHash,
        owner: Option<&str>,
        last_recv: u64,
        now: UnixMillis,
    ) -> Result<Claimed, ClaimError> {
        let key = *self.tokens.get(hash).ok_or(ClaimError::Invalid)?;
        let operation = self.operations.get_mut(&key).ok_or(ClaimError::Invalid)?;
        if owner.is_some_and(|owner| owner != operation.record.owner) {
            return Err(ClaimError::Invalid);
        }
        let ticket = operation.tickets.iter().find(|it| it.hash == *hash);
        if now > ticket.ok_or(ClaimError::Invalid)?.expires || operation.emptied {
            return Err(ClaimError::Expired);
        }
        if last_recv >= operation.next() {
            return Err(ClaimError::Invalid);
        }
        if last_recv.saturating_add(1) < operation.first {
            return Err(ClaimError::Unavailable);
        }
        for spent in operation.tickets.drain(..) {
            self.tokens.remove(&spent.hash);
        }
        Ok(Claimed {
            key,
            record: operation.record.clone(),
        })
    }
}

impl MemoryStore {
    /// An empty store for at most `max_operations` at a time.
    #[must_use]
    pub fn new(max_operations: usize) -> Self {
        Self {
            max_operations,
            shelf: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens an operation; returns the one that made room for it.
    pub(super) fn admit(
        &self,
        key: &OperationKey,
        record: &Record,
        lease: Duration,
        now: UnixMillis,
    ) -> Result<Option<OperationKey>, StoreError> {
        let mut shelf = self.lock();
        if shelf.operations.contains_key(key) {
            return Err(StoreError::Exists);
        }
        let gone = shelf.make_room(self.max_operations)?;
        let mut operation = Operation::new(record.clone());
        operation.beat(lease, now);
        shelf.operations.insert(*key, operation);
        Ok(gone)
    }

    /// Puts back what another store kept. Nobody works on it.
    #[cfg(feature = "durable")]
    pub(super) fn restore(&self, key: OperationKey, mut operation: Operation) {
        let mut shelf = self.lock();
        for ticket in operation.tickets.clone() {
            operation.keep(ticket.expires);
            shelf.tokens.insert(ticket.hash, key);
        }
        shelf.operations.insert(key, operation);
    }

    /// The oldest frames before and after frame `seq`, of `len` bytes, would be kept.
    #[cfg(feature = "durable")]
    pub(super) fn would_keep(
        &self,
        key: &OperationKey,
        seq: u64,
        len: usize,
    ) -> Result<(u64, u64), StoreError> {
        let mut shelf = self.lock();
        let operation = shelf.live(key)?;
        Ok((operation.first, operation.first_after(seq, len)?))
    }

    /// Whether the end may be kept.
    #[cfg(feature = "durable")]
    pub(super) fn would_finish(&self, key: &OperationKey) -> Result<(), StoreError> {
        match self.lock().live(key)?.terminal {
            Some(_) => Err(StoreError::Finished),
            None => Ok(()),
        }
    }

    /// The tokens of an operation that are good, or known to be expired.
    #[cfg(feature = "durable")]
    pub(super) fn tickets(&self, key: &OperationKey) -> Vec<Ticket> {
        let shelf = self.lock();
        let operation = shelf.operations.get(key);
        operation.map_or_else(Vec::new, |operation| operation.tickets.clone())
    }

    pub(super) fn sweep_out(&self, now: UnixMillis) -> Swept {
        let mut shelf = self.lock();
        let mut swept = Swept::default();
        for (key, operation) in &mut shelf.operations {
            if now <= operation.kept_until {
                continue;
            }
            if operation.tickets.iter().all(|ticket| now > ticket.buried) {
                swept.removed.push(*key);
            } else if !operation.emptied {
                operation.empty();
                swept.emptied.push(*key);
            }
        }
        for key in &swept.removed {
            shelf.forget(key);
        }
        swept
    }

    /// Looks at an operation until there is something, or `patience` has passed. `look` says
    /// whether what it found is something.
    fn wait<T>(
        &self,
        key: &OperationKey,
        patience: Duration,
        mut look: impl FnMut(&mut Operation) -> Result<(bool, T), StoreError>,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now().checked_add(patience);
        let mut shelf = self.lock();
        loop {
            let operation = shelf.live(key)?;
            let (something, found) = look(operation)?;
            let left = deadline.map_or(Duration::MAX, |at| {
                at.saturating_duration_since(Instant::now())
            });
            if something || left.is_zero() {
                return Ok(found);
            }
            let changed = Arc::clone(&operation.changed);
            let waited = changed.wait_timeout(shelf, left);
            shelf = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl ResumeStore for MemoryStore {
    fn open(
        &self,
        key: &OperationKey,
        record: &Record,
        lease: Duration,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.admit(key, record, lease, now).map(|_gone| ())
    }

    fn issue(
        &self,
        key: &OperationKey,
        token: &[u8; TOKEN_LEN],
        ttl: Duration,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let hash = boring::sha::sha256(token);
        let mut shelf = self.lock();
        let operation = shelf.live(key)?;
        let expires = later(now, ttl);
        operation.keep(expires);
        let spent = match operation.tickets.len() {
            0 | 1 => None,
            _ => Some(operation.tickets.remove(0)),
        };
        operation.tickets.push(Ticket {
            hash,
            expires,
            buried: later(expires, ttl),
        });
        if let Some(spent) = spent {
            shelf.tokens.remove(&spent.hash);
        }
        shelf.tokens.insert(hash, *key);
        Ok(())
    }

    fn append(&self, key: &OperationKey, seq: u64, payload: &[u8]) -> Result<(), StoreError> {
        let payload = Arc::from(payload);
        self.lock().live(key)?.append(seq, payload)
    }

    fn finish(&self, key: &OperationKey, terminal: &Terminal) -> Result<(), StoreError> {
        self.lock().live(key)?.finish(terminal.clone())
    }

    fn claim(
        &self,
        token: &[u8],
        owner: Option<&str>,
        last_recv: u64,
        now: UnixMillis,
    ) -> Result<Claimed, ClaimError> {
        let hash = hash_of(token).ok_or(ClaimError::Invalid)?;
        self.lock().claim(&hash, owner, last_recv, now)
    }

    fn read(&self, key: &OperationKey, from: u64, patience: Duration) -> Result<Batch, StoreError> {
        let from = from.max(1);
        let found = self.wait(key, patience, |operation| {
            let found = operation.look(from)?;
            Ok((found.is_something(), found))
        })?;
        Ok(found.into_batch())
    }

    fn tell(&self, key: &OperationKey, word: &Word) -> Result<(), StoreError> {
        self.lock().live(key)?.tell(word.clone())
    }

    fn words(
        &self,
        key: &OperationKey,
        after: u64,
        patience: Duration,
    ) -> Result<Vec<(u64, Word)>, StoreError> {
        self.wait(key, patience, |operation| {
            operation.heard(after);
            let words = operation.words.iter();
            let words: Vec<_> = words
                .map(|(number, word)| (*number, word.clone()))
                .collect();
            Ok((!words.is_empty(), words))
        })
    }

    fn beat(&self, key: &OperationKey, lease: Duration, now: UnixMillis) -> Result<(), StoreError> {
        self.lock().live(key)?.beat(lease, now);
        Ok(())
    }

    fn sweep(&self, now: UnixMillis) -> Result<(), StoreError> {
        self.sweep_out(now);
        Ok(())
    }

    fn forget(&self, key: &OperationKey) -> Result<(), StoreError> {
        self.lock().forget(key);
        Ok(())
    }
}
