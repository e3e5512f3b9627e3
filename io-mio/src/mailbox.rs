//! The way into the event loop, and the news that come back out of it.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aire_proto::budget::Dimension;
use aire_proto::resume::{Progress, Ticket};
use aire_proto::wire::Budget;
use aire_proto::{CancelReason, ErrorCode};
use mio::Waker;

use crate::Error;
use crate::driver::{Closed, ConnectionKey, Driver, SharedLedger};
use crate::metrics::Counters;
use crate::operation::{Membership, Operation, Place};
use crate::status::ConnectionInfo;

/// What an operation's thread asks of the loop.
pub(crate) enum Command {
    Send(Vec<u8>),
    Budget(Budget),
    Finish,
    Fail {
        code: ErrorCode,
        detail: String,
        data: Vec<u8>,
    },
    Cancel {
        reason: CancelReason,
        detail: String,
    },
    Resume,
    OutOfBudget {
        what: Dimension,
        patience: Duration,
    },
    WithinBudget,
    Delegate {
        target: String,
        target_did: String,
        sub_op: u64,
    },
    Resumable {
        ttl_secs: u64,
        token: Vec<u8>,
        last_seq: u64,
    },
    /// Gives the operation up without a word: it goes on elsewhere.
    Abort,
    /// Counts in the ledger of the operation that this one goes on with.
    Adopt(SharedLedger),
}

/// On whose behalf an operation is opened, and what it may spend.
pub(crate) struct Via {
    /// Through whom the delegator's own operation came, as it came.
    pub(crate) path: Option<Vec<u8>>,
    /// The delegator.
    pub(crate) did: String,
    pub(crate) agent: String,
    pub(crate) membership: Membership,
    /// The snapshot that it begins with.
    pub(crate) budget: Budget,
}

/// A wish to open an operation, and where the answer goes.
pub(crate) struct Opening {
    pub(crate) connection: ConnectionKey,
    pub(crate) agent: String,
    pub(crate) operation: String,
    pub(crate) args: Vec<u8>,
    pub(crate) via: Option<Via>,
    /// Of an operation that is to be resumed: how far it is.
    pub(crate) progress: Option<Box<Progress>>,
    /// Nobody waits for it any longer than this.
    pub(crate) until: Option<Instant>,
    pub(crate) reply: SyncSender<Result<Operation, Error>>,
}

/// What is asked of the driver in its thread.
pub(crate) type Question = Box<dyn FnOnce(&mut Driver, ConnectionKey) + Send>;

pub(crate) enum Message {
    Operation(Place, Command),
    Open(Opening),
    /// The key that a connection's HELLO waits for, or why there is none.
    #[cfg(feature = "discovery")]
    KeyFetched(
        ConnectionKey,
        Result<aire_proto::identity::PublicKey, crate::ResolveError>,
    ),
    /// Asks something about a connection, or the one that came in its place.
    Ask(ConnectionKey, Question),
    /// Lists the connections.
    List(SyncSender<Vec<ConnectionInfo>>),
    Stop,
    /// Drops all connections without a word.
    Abandon,
}

/// The way into the loop.
#[derive(Clone)]
pub(crate) struct Mailbox {
    pub(crate) sender: Sender<Message>,
    pub(crate) waker: Arc<Waker>,
    pub(crate) counters: Arc<Counters>,
}

impl Mailbox {
    fn send(&self, message: Message) -> bool {
        // A loop that has ended takes nothing more; its operations were told so.
        self.sender.send(message).is_ok() && self.waker.wake().is_ok()
    }

    pub(crate) fn operation(&self, place: Place, command: Command) {
        self.send(Message::Operation(place, command));
    }

    /// Opens an operation. Waits for a free stream.
    pub(crate) fn open(
        &self,
        connection: ConnectionKey,
        agent: &str,
        operation: &str,
        args: Vec<u8>,
        via: Option<Via>,
        patience: Duration,
    ) -> Result<Operation, Error> {
        self.answered(patience, |reply, until| Opening {
            connection,
            agent: agent.into(),
            operation: operation.into(),
            args,
            via,
            progress: None,
            until,
            reply,
        })
    }

    /// Goes on with the operation of a ticket. Waits for a free stream.
    pub(crate) fn reopen(
        &self,
        connection: ConnectionKey,
        ticket: &Ticket<'_>,
        progress: Progress,
        patience: Duration,
    ) -> Result<Operation, Error> {
        self.answered(patience, |reply, until| Opening {
            connection,
            agent: ticket.agent.into(),
            operation: ticket.operation.into(),
            args: Vec::new(),
            via: None,
            progress: Some(Box::new(progress)),
            until,
            reply,
        })
    }

    fn answered(
        &self,
        patience: Duration,
        opening: impl FnOnce(SyncSender<Result<Operation, Error>>, Option<Instant>) -> Opening,
    ) -> Result<Operation, Error> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        let gone = || Error::Closed(Closed::Protocol(aire_proto::connection::CloseReason::Done));
        let until = Instant::now().checked_add(patience);
        let sent = self.send(Message::Open(opening(reply, until)));
        if !sent {
            return Err(gone());
        }
        match answer.recv_timeout(patience) {
            Ok(opened) => opened,
            // Should it be opened after all, nobody takes it, and that cancels it.
            Err(RecvTimeoutError::Timeout) => Err(Error::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }

    #[cfg(feature = "discovery")]
    pub(crate) fn key_fetched(
        &self,
        connection: ConnectionKey,
        answer: Result<aire_proto::identity::PublicKey, crate::ResolveError>,
    ) {
        self.send(Message::KeyFetched(connection, answer));
    }

    /// Asks something about a connection. What is asked keeps the sender for as long as an answer
    /// may come.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        connection: ConnectionKey,
        patience: Duration,
        question: impl FnOnce(&mut Driver, ConnectionKey, SyncSender<T>) + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        let question: Question = Box::new(|driver, key| question(driver, key, reply));
        let gone = || Error::Closed(Closed::Protocol(aire_proto::connection::CloseReason::Done));
        if !self.send(Message::Ask(connection, question)) {
            return Err(gone());
        }
        answer.recv_timeout(patience).map_err(|error| match error {
            RecvTimeoutError::Timeout => Error::TimedOut,
            RecvTimeoutError::Disconnected => gone(),
        })
    }

    /// The connections now; none from a loop that has ended, or does not answer in time.
    pub(crate) fn list(&self, patience: Duration) -> Vec<ConnectionInfo> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        if !self.send(Message::List(reply)) {
            return Vec::new();
        }
        answer.recv_timeout(patience).unwrap_or_default()
    }

    pub(crate) fn stop(&self) {
        self.send(Message::Stop);
    }

    pub(crate) fn abandon(&self) {
        self.send(Message::Abandon);
    }
}

/// How a connection that this side dialled fares.
#[derive(Default)]
pub(crate) struct Dialled {
    /// Who has to answer, where that is known.
    pub(crate) expected: Option<String>,
    state: Mutex<DialState>,
    changed: Condvar,
    /// Why it is over, where this side knows it better than the connection.
    reason: Mutex<Option<Error>>,
}

#[derive(Clone, Default)]
pub(crate) enum DialState {
    #[default]
    Trying,
    Connected {
        peer: String,
        minor: u64,
        channel_bound: bool,
    },
    Closed(Closed),
}

impl Dialled {
    pub(crate) fn expecting(peer: Option<String>) -> Self {
        Self {
            expected: peer,
            ..Self::default()
        }
    }

    /// Notes why the connection is about to be over.
    pub(crate) fn explain(&self, reason: Error) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// The reason that was noted, if one was.
    pub(crate) fn explanation(&self) -> Option<Error> {
        let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.take()
    }

    pub(crate) fn set(&self, state: DialState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.changed.notify_all();
    }

    pub(crate) fn get(&self) -> DialState {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits while `until` holds of the state, but not past `deadline`.
    pub(crate) fn wait(
        &self,
        deadline: Option<Instant>,
        until: impl Fn(&DialState) -> bool,
    ) -> DialState {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !until(&state) {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            match left {
                Some(left) if left.is_zero() => break,
                Some(left) => {
                    let waited = self.changed.wait_timeout(state, left);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    let waited = self.changed.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        state.clone()
    }
}

/// Who is at the other ends.
#[derive(Default)]
pub(crate) struct Peers(Mutex<BTreeMap<ConnectionKey, String>>);

impl Peers {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ConnectionKey, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn came(&self, connection: ConnectionKey, did: &str) {
        self.lock().insert(connection, did.into());
    }

    pub(crate) fn left(&self, connection: ConnectionKey) {
        self.lock().remove(&connection);
    }

    pub(crate) fn all_left(&self) {
        self.lock().clear();
    }

    /// The newest connection of a peer: one that came back may have left an older one behind,
    /// which only this side still believes in.
    pub(crate) fn connection_of(&self, did: &str) -> Option<ConnectionKey> {
        let peers = self.lock();
        let newest = peers.iter().rev().find(|(_, peer)| *peer == did);
        newest.map(|(connection, _)| *connection)
    }

    /// Everybody once.
    pub(crate) fn dids(&self) -> Vec<String> {
        let mut dids: Vec<_> = self.lock().values().cloned().collect();
        dids.sort();
        dids.dedup();
        dids
    }
}
