//! Copying the log into the file, beside the writer and not in its way.
//!
//! A copy takes as long as tens of commits. A thread with a connection of its own does it while the
//! writer goes on; the log can begin anew only when nothing is left to copy, so the writer copies
//! the little that came in the meantime.

use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use super::open;
use crate::store::{Access, OpenError};

/// Pages that are worth a copy: 32 MiB. Each copy ends with an fsync of the file, which those of the
/// log have to share the disk with; and a page that was written often is copied once.
const WORTH_A_COPY: i64 = 8192;

/// Pages that the writer copies by itself without making anybody wait.
const A_LITTLE: i64 = 1024;

/// Pages after which the log should begin anew: 64 MiB.
const LONG: i64 = 16_384;

/// Pages after which the writer waits for the copy, or the disk would fill: 512 MiB.
const TOO_LONG: i64 = 131_072;

const COPY: &str = "PRAGMA wal_checkpoint(PASSIVE)";
const LOOK: &str = "PRAGMA wal_checkpoint(NOOP)";

/// The thread that copies. Dropping it waits for its end.
#[derive(Debug)]
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(path: &Path) -> Result<Self, OpenError> {
        let connection = open::open(path, Access::Write)?;
        // One wish may wait while another is fulfilled.
        let (wake, wishes) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("airc-checkpoint".to_owned())
            .spawn(move || {
                while wishes.recv() == Ok(()) {
                    checkpoint(&connection, COPY);
                }
            })
            .map_err(|error| OpenError::Failed {
                database: format!("sqlite:{}", path.display()),
                reason: error.to_string(),
            })?;
        Ok(Self {
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Has copied what is to be copied, or does so by itself. For the writer, between transactions.
    pub(super) fn tidy(&self, writer: &Connection) {
        let (pages, copied) = checkpoint(writer, LOOK);
        let left = pages - copied;
        if pages >= TOO_LONG || (pages >= LONG && left <= A_LITTLE) {
            checkpoint(writer, COPY);
        } else if left >= WORTH_A_COPY
            && let Some(wake) = &self.wake
            && let Err(TrySendError::Disconnected(())) = wake.try_send(())
        {
            tracing::error!("the thread that copies the log has ended: the log grows");
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _panicked = thread.join();
        }
    }
}

/// How many pages the log has, and how many of them are in the file. What readers or another process
/// still need stays for the next time.
fn checkpoint(connection: &Connection, sql: &str) -> (i64, i64) {
    let done = connection
        .prepare_cached(sql)
        .and_then(|mut it| it.query_row([], |row| Ok((row.get(1)?, row.get(2)?))));
    done.unwrap_or_else(|error| {
        tracing::warn!(%error, "the log was not copied");
        (0, 0)
    })
}
