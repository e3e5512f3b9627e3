//! What the node does for the board.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aire_mio::{Failure, Operation};
use aire_proto::budget::Charge;

/// How `writer` fared.
#[derive(Clone, Default)]
pub(crate) struct Writer(Arc<Mutex<Option<(u64, Failure)>>>);

impl Writer {
    /// How many tokens it spent, and why it ended; `None` while it has not.
    pub(crate) fn ended(&self) -> Option<(u64, Failure)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The agent: a frame for each token, without end. It waits for more tokens, but not for long.
    pub(crate) fn write(&self, operation: &mut Operation) -> Result<(), Failure> {
        operation.set_budget_patience(Duration::from_millis(1500));
        // The budget comes behind the invocation.
        operation.recv()?;
        let failure = loop {
            let paid = operation.charge(&Charge::tokens(1));
            if let Err(failure) = paid.and_then(|()| operation.send("a word")) {
                break failure;
            }
        };
        let spent = operation.ledger().spent().tokens;
        let ended = Some((spent, failure.clone()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ended;
        Err(failure)
    }
}

/// How far `log` is.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<AtomicU32>);

/// The length of an entry.
const ENTRY: usize = 64;

impl Log {
    /// How many frames it has handed over.
    pub(crate) fn sent(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    /// The agent: as many entries as it is asked for, which count from 1. It knows nothing of
    /// connections.
    pub(crate) fn replay(&self, operation: &mut Operation) -> Result<(), Failure> {
        let asked = str::from_utf8(operation.args()).ok();
        let asked = asked.and_then(|text| text.parse::<u32>().ok());
        let count = asked.ok_or_else(|| Failure::application("a number of entries is needed"))?;
        for number in 1..=count {
            let mut entry = [0; ENTRY];
            entry[..4].copy_from_slice(&number.to_le_bytes());
            operation.send(entry)?;
            self.0.store(number, Ordering::SeqCst);
            operation.sleep(Duration::from_millis(5))?;
        }
        Ok(())
    }
}

/// Sends back each frame that it gets.
pub(crate) fn mirror(operation: &mut Operation) -> Result<(), Failure> {
    while let Some(frame) = operation.recv()? {
        operation.send(frame)?;
    }
    Ok(())
}
