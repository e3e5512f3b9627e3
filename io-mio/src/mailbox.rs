//! The way into the event loop, and the news that come back out of it.

use std::sync::mpsc::{RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aire_proto::wire::Budget;
use aire_proto::{CancelReason, ErrorCode, StreamId};
use mio::Waker;

use crate::Error;
use crate::driver::{Closed, ConnectionKey};
use crate::operation::Operation;

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
}

/// A wish to open an operation, and where the answer goes.
pub(crate) struct Opening {
    pub(crate) connection: ConnectionKey,
    pub(crate) agent: String,
    pub(crate) operation: String,
    pub(crate) args: Vec<u8>,
    /// Nobody waits for it any longer than this.
    pub(crate) until: Option<Instant>,
    pub(crate) reply: SyncSender<Result<Operation, Error>>,
}

pub(crate) enum Message {
    Operation(ConnectionKey, StreamId, Command),
    Open(Opening),
    Stop,
}

/// The way into the loop.
#[derive(Clone)]
pub(crate) struct Mailbox {
    pub(crate) sender: Sender<Message>,
    pub(crate) waker: Arc<Waker>,
}

impl Mailbox {
    fn send(&self, message: Message) -> bool {
        // A loop that has ended takes nothing more; its operations were told so.
        self.sender.send(message).is_ok() && self.waker.wake().is_ok()
    }

    pub(crate) fn operation(&self, connection: ConnectionKey, stream: StreamId, command: Command) {
        self.send(Message::Operation(connection, stream, command));
    }

    /// Opens an operation. Waits for a free stream.
    pub(crate) fn open(
        &self,
        connection: ConnectionKey,
        agent: &str,
        operation: &str,
        args: Vec<u8>,
        patience: Duration,
    ) -> Result<Operation, Error> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        let gone = || Error::Closed(Closed::Protocol(aire_proto::connection::CloseReason::Done));
        let sent = self.send(Message::Open(Opening {
            connection,
            agent: agent.into(),
            operation: operation.into(),
            args,
            until: Instant::now().checked_add(patience),
            reply,
        }));
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

    pub(crate) fn stop(&self) {
        self.send(Message::Stop);
    }
}

/// How a connection that this side dialled fares.
#[derive(Default)]
pub(crate) struct Dialled {
    state: Mutex<DialState>,
    changed: Condvar,
}

#[derive(Clone, Default)]
pub(crate) enum DialState {
    #[default]
    Trying,
    Connected {
        peer: String,
        minor: u64,
    },
    Closed(Closed),
}

impl Dialled {
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
