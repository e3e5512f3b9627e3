//! Operations in one file on this machine's disk, written before anything is said.
//!
//! The file is a log of the memory store beside it: every change goes to the file first, in one
//! transaction with whatever else waits, and to memory when it is safe. So reading, waiting and
//! all the rules are the memory store's, and the file is read once, when it is opened.
//!
//! Rows are bytes to bytes in one table. A row's key is the operation's name, then what the row
//! holds, then the number of the frame, so that an operation's rows lie together, frames in order.
//!
//! What initiators say and who works on what is not in the file: both end with the process.

use std::fs::OpenOptions;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use aire_proto::UnixMillis;
use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition, TableHandle,
};

use super::memory::{MemoryStore, Operation, Swept, Ticket};
use super::{
    Batch, ClaimError, Claimed, OperationKey, Record, ResumeStore, StoreError, TOKEN_LEN, Terminal,
    TokenHash, Word, coding,
};

/// What the file is.
const ABOUT: TableDefinition<'_, &str, &str> = TableDefinition::new("about");
const FORMAT: &str = "format";
const FORMAT_1: &str = "aire-resume-store/1";

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// What a row holds. The order is that in which the rows of an operation are read back.
const RECORD: u8 = 0;
const TICKETS: u8 = 1;
const FRAME: u8 = 2;
const TERMINAL: u8 = 3;
const END: u8 = 4;

/// Memory that the file's pages may take. It is read only when it is opened.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// So many changes go into one transaction at most.
const BATCH_CHANGES: usize = 256;

/// Resumable operations in a file: they survive a crash of the process, and are kept in memory
/// beside it, as many as [`MemoryStore`] would.
///
/// A call that changes something returns when the change is on the disk: the process may be killed
/// at any moment after that, and loses nothing. The same holds when the machine loses power, if
/// disk and file system keep what they were told to flush. Changes of many threads at once share a
/// flush. The file keeps the size of the most that it ever held; what is forgotten makes room in it.
///
/// After a crash, nobody works on the operations in the file: [`Batch::worked_until`] is long
/// past. What they had sent can be had, and their end if they had come to it.
pub struct DurableStore {
    memory: MemoryStore,
    /// Changes are decided on and sent to the writer under this lock, so that the file sees them
    /// in the order of memory. `None` while the store is being dropped.
    changes: Mutex<Option<Sender<Change>>>,
    writer: Option<JoinHandle<()>>,
}

enum Step {
    Put(Vec<u8>, Vec<u8>),
    Remove(Range<Vec<u8>>),
}

struct Change {
    steps: Vec<Step>,
    done: SyncSender<Result<(), StoreError>>,
}

impl DurableStore {
    /// The store in the file at `path`, which is made when there is none, and which no other
    /// process may have open. It takes at most `max_operations` at a time; those that the file
    /// holds are all there, even if they are more.
    ///
    /// # Errors
    /// [`StoreError::Content`] when the file is something else, or damaged;
    /// [`StoreError::Failed`] when it cannot be opened.
    pub fn open(path: impl AsRef<Path>, max_operations: usize) -> Result<Self, StoreError> {
        let file = ResumeFile {
            path: path.as_ref().into(),
        };
        let database = file.open()?;
        let memory = MemoryStore::new(max_operations);
        file.load(&database, &memory)?;
        let (changes, queue) = std::sync::mpsc::channel();
        let writer = std::thread::Builder::new()
            .name("aire-store".into())
            .spawn(move || write_all(&database, &queue))
            .map_err(failed)?;
        Ok(Self {
            memory,
            changes: Mutex::new(Some(changes)),
            writer: Some(writer),
        })
    }

    /// Decides on a change, and waits until it is on the disk.
    fn change<T, E: From<StoreError>>(
        &self,
        decide: impl FnOnce(&MemoryStore) -> Result<(T, Vec<Step>), E>,
    ) -> Result<T, E> {
        let ended = || StoreError::Failed("its writer has ended".into());
        let (done, outcome) = sync_channel(1);
        let value = {
            let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            let (value, steps) = decide(&self.memory)?;
            if steps.is_empty() {
                return Ok(value);
            }
            let writer = changes.as_ref().ok_or_else(ended)?;
            let sent = writer.send(Change { steps, done });
            sent.map_err(|_| ended())?;
            value
        };
        outcome.recv().map_err(|_| ended())??;
        Ok(value)
    }
}

impl Drop for DurableStore {
    fn drop(&mut self) {
        let changes = self.changes.get_mut();
        *changes.unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(writer) = self.writer.take() {
            // The file is closed when the writer is gone, and can be opened again.
            let _panicked = writer.join();
        }
    }
}

/// Writes changes until nobody can send one any more.
fn write_all(database: &Database, queue: &Receiver<Change>) {
    while let Ok(first) = queue.recv() {
        let mut changes = vec![first];
        changes.extend(queue.try_iter().take(BATCH_CHANGES - 1));
        let outcome = write(database, &changes).map_err(failed);
        for change in changes {
            // Whoever waited may have panicked.
            let _gone = change.done.send(outcome.clone());
        }
    }
}

/// One transaction; it is on the disk when this returns, which is redb's default durability.
fn write(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut rows = transaction.open_table(ROWS)?;
        for step in changes.iter().flat_map(|change| &change.steps) {
            match step {
                Step::Put(key, value) => {
                    rows.insert(key.as_slice(), value.as_slice())?;
                }
                Step::Remove(keys) => {
                    rows.retain_in(keys.start.as_slice()..keys.end.as_slice(), |_, _| false)?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

/// The file as it is opened.
struct ResumeFile {
    path: PathBuf,
}

impl ResumeFile {
    fn content(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::Content(format!(
            "{}: {what}; move the file away, or give another path",
            self.path.display()
        ))
    }

    fn failed(&self, error: impl std::fmt::Display) -> StoreError {
        StoreError::Failed(format!("{}: {error}", self.path.display()))
    }

    fn open(&self) -> Result<Database, StoreError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // What agents say is nobody else's business.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&self.path).map_err(|e| self.failed(e))?;
        let backend = FileBackend::new(file).map_err(|e| self.database(&e))?;
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        // It is read from end to end anyway; and damage is an error then, and no panic.
        builder.set_check_integrity_on_open(true);
        let database = builder
            .create_with_backend(backend)
            .map_err(|e| self.database(&e))?;
        self.identify(&database)?;
        Ok(database)
    }

    fn database(&self, error: &DatabaseError) -> StoreError {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                self.failed("another process, or another store, has it open")
            }
            DatabaseError::Storage(StorageError::Io(e))
                if e.kind() != std::io::ErrorKind::InvalidData
                    && e.kind() != std::io::ErrorKind::UnexpectedEof =>
            {
                self.failed(e)
            }
            other => self.content(format!("no resume store, or a damaged one ({other})")),
        }
    }

    /// Makes a new file ours, and sees that an old one is.
    fn identify(&self, database: &Database) -> Result<(), StoreError> {
        let failed = |e: redb::Error| self.failed(e);
        let transaction = database.begin_write().map_err(|e| failed(e.into()))?;
        let tables = transaction.list_tables().map_err(|e| failed(e.into()))?;
        let names: Vec<String> = tables.map(|table| table.name().to_owned()).collect();
        if !names.is_empty() && !names.iter().any(|name| name == ABOUT.name()) {
            return Err(self.content("a database of another program"));
        }
        {
            let mut about = transaction.open_table(ABOUT).map_err(|e| self.content(e))?;
            let format = about.get(FORMAT).map_err(|e| failed(e.into()))?;
            let format = format.map(|format| format.value().to_owned());
            match format.as_deref() {
                Some(FORMAT_1) => return Ok(()),
                Some(other) => return Err(self.content(format!("of the format {other:?}"))),
                None => {}
            }
            about
                .insert(FORMAT, FORMAT_1)
                .map_err(|e| failed(e.into()))?;
            transaction.open_table(ROWS).map_err(|e| self.content(e))?;
        }
        transaction.commit().map_err(|e| failed(e.into()))
    }

    /// Reads every operation into `memory`.
    fn load(&self, database: &Database, memory: &MemoryStore) -> Result<(), StoreError> {
        let transaction = database.begin_read().map_err(|e| self.failed(e))?;
        let rows = transaction.open_table(ROWS).map_err(|e| self.content(e))?;
        let mut current: Option<(OperationKey, Operation)> = None;
        for row in rows.iter().map_err(|e| self.failed(e))? {
            let (key, value) = row.map_err(|e| self.failed(e))?;
            let row = RowKey::read(key.value()).ok_or_else(|| self.content("a row without key"))?;
            if row.kind == RECORD {
                let record = coding::read_record(value.value()).map_err(|e| self.content(e))?;
                let before = current.replace((row.operation, Operation::new(record)));
                restore(memory, before);
                continue;
            }
            match &mut current {
                Some((key, operation)) if *key == row.operation => {
                    take(operation, &row, value.value()).map_err(|e| self.content(e))?;
                }
                _ => return Err(self.content("a row without its operation")),
            }
        }
        restore(memory, current);
        Ok(())
    }
}

fn restore(memory: &MemoryStore, operation: Option<(OperationKey, Operation)>) {
    if let Some((key, operation)) = operation {
        memory.restore(key, operation);
    }
}

/// Gives an operation what a row of its holds.
fn take(operation: &mut Operation, row: &RowKey, value: &[u8]) -> Result<(), StoreError> {
    match row.kind {
        TICKETS => operation.tickets = read_tickets(value)?,
        FRAME => {
            if operation.frames.is_empty() {
                operation.first = row.seq;
            }
            operation.append(row.seq, Arc::from(value))?;
        }
        TERMINAL => operation.terminal = Some(coding::read_terminal(value)?),
        _ => return Err(StoreError::Content("a row of an unknown kind".into())),
    }
    Ok(())
}

/// Where a row lies.
struct RowKey {
    operation: OperationKey,
    kind: u8,
    seq: u64,
}

impl RowKey {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (operation, rest) = bytes.split_first_chunk()?;
        let (kind, seq) = rest.split_first()?;
        Some(Self {
            operation: OperationKey::from_bytes(*operation),
            kind: *kind,
            seq: u64::from_be_bytes(seq.try_into().ok()?),
        })
    }
}

fn row(key: &OperationKey, kind: u8, seq: u64) -> Vec<u8> {
    let mut bytes = key.as_bytes().to_vec();
    bytes.push(kind);
    bytes.extend(seq.to_be_bytes());
    bytes
}

fn remove(key: &OperationKey, kinds: Range<u8>) -> Step {
    Step::Remove(row(key, kinds.start, 0)..row(key, kinds.end, 0))
}

fn put_tickets(key: &OperationKey, tickets: &[Ticket]) -> Step {
    let mut value = Vec::new();
    for ticket in tickets {
        value.extend(ticket.hash);
        value.extend(ticket.expires.0.to_be_bytes());
        value.extend(ticket.buried.0.to_be_bytes());
    }
    Step::Put(row(key, TICKETS, 0), value)
}

fn read_tickets(mut value: &[u8]) -> Result<Vec<Ticket>, StoreError> {
    let mut tickets = Vec::new();
    while !value.is_empty() {
        let (ticket, rest) =
            read_ticket(value).ok_or_else(|| StoreError::Content("a token that is none".into()))?;
        tickets.push(ticket);
        value = rest;
    }
    Ok(tickets)
}

fn read_ticket(value: &[u8]) -> Option<(Ticket, &[u8])> {
    let (hash, rest) = value.split_first_chunk::<{ size_of::<TokenHash>() }>()?;
    let (expires, rest) = rest.split_first_chunk()?;
    let (buried, rest) = rest.split_first_chunk()?;
    let ticket = Ticket {
        hash: *hash,
        expires: UnixMillis(i64::from_be_bytes(*expires)),
        buried: UnixMillis(i64::from_be_bytes(*buried)),
    };
    Some((ticket, rest))
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

impl ResumeStore for DurableStore {
    fn open(
        &self,
        key: &OperationKey,
        record: &Record,
        lease: Duration,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let bytes = coding::record(record)?;
        let opened = self.change(|memory| {
            let gone = memory.admit(key, record, lease, now)?;
            let put = Step::Put(row(key, RECORD, 0), bytes);
            let gone = gone.iter().map(|key| remove(key, RECORD..END));
            Ok(((), gone.chain([put]).collect()))
        });
        if let Err(StoreError::Failed(_)) = opened {
            // No row may come into the file without this first one.
            self.memory.forget(key)?;
        }
        opened
    }

    fn issue(
        &self,
        key: &OperationKey,
        token: &[u8; TOKEN_LEN],
        ttl: Duration,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.change(|memory| {
            memory.issue(key, token, ttl, now)?;
            Ok(((), vec![put_tickets(key, &memory.tickets(key))]))
        })
    }

    fn append(&self, key: &OperationKey, seq: u64, payload: &[u8]) -> Result<(), StoreError> {
        self.change(|memory| {
            let (before, after) = memory.would_keep(key, seq, payload.len())?;
            let mut steps = vec![Step::Put(row(key, FRAME, seq), payload.to_vec())];
            if before < after {
                let gone = row(key, FRAME, before)..row(key, FRAME, after);
                steps.push(Step::Remove(gone));
            }
            Ok::<_, StoreError>(((), steps))
        })?;
        self.memory.append(key, seq, payload)
    }

    fn finish(&self, key: &OperationKey, terminal: &Terminal) -> Result<(), StoreError> {
        let bytes = coding::terminal(terminal)?;
        self.change(|memory| {
            memory.would_finish(key)?;
            Ok::<_, StoreError>(((), vec![Step::Put(row(key, TERMINAL, 0), bytes)]))
        })?;
        self.memory.finish(key, terminal)
    }

    fn claim(
        &self,
        token: &[u8],
        owner: Option<&str>,
        last_recv: u64,
        now: UnixMillis,
    ) -> Result<Claimed, ClaimError> {
        self.change(|memory| {
            let claimed = memory.claim(token, owner, last_recv, now)?;
            let spent = put_tickets(&claimed.key, &[]);
            Ok((claimed, vec![spent]))
        })
    }

    fn read(&self, key: &OperationKey, from: u64, patience: Duration) -> Result<Batch, StoreError> {
        self.memory.read(key, from, patience)
    }

    fn tell(&self, key: &OperationKey, word: &Word) -> Result<(), StoreError> {
        self.memory.tell(key, word)
    }

    fn words(
        &self,
        key: &OperationKey,
        after: u64,
        patience: Duration,
    ) -> Result<Vec<(u64, Word)>, StoreError> {
        self.memory.words(key, after, patience)
    }

    fn beat(&self, key: &OperationKey, lease: Duration, now: UnixMillis) -> Result<(), StoreError> {
        self.memory.beat(key, lease, now)
    }

    fn sweep(&self, now: UnixMillis) -> Result<(), StoreError> {
        self.change(|memory| {
            let Swept { emptied, removed } = memory.sweep_out(now);
            let emptied = emptied.iter().map(|key| remove(key, FRAME..END));
            let removed = removed.iter().map(|key| remove(key, RECORD..END));
            Ok(((), emptied.chain(removed).collect()))
        })
    }

    fn forget(&self, key: &OperationKey) -> Result<(), StoreError> {
        self.change(|memory| {
            memory.forget(key)?;
            Ok(((), vec![remove(key, RECORD..END)]))
        })
    }
}
