//! One operation, beside what the protocol knows of it: where it stands between its stream and the
//! application.

use aire_proto::connection::{CallError, Outcome, Side};
use aire_proto::resume::Progress;
use aire_proto::wire::Budget;
use aire_proto::{CancelReason, ErrorCode, StreamId, UnixMillis};
use embassy_sync::waitqueue::WakerRegistration;

use crate::Error;

/// The longest text that is kept of a peer's names and details, in bytes.
pub const NAME_LEN: usize = 48;

/// A text of a peer's, of bounded length.
pub type Name = heapless::String<NAME_LEN>;

/// Whose a slot is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nobody's.
    #[default]
    Free,
    /// The node opened a stream; what it asks is still to come. `begun` once bytes came.
    Opening { begun: bool },
    /// The node asks for an agent here, and waits for it to be taken.
    Offered,
    /// The application has it.
    Held,
    /// The application let go of it; its end is still to come.
    Orphan,
}

/// A piece of a payload that the protocol has read, and that still lies in QUIC's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Whether it is of the arguments, and not of a STREAM frame.
    pub(crate) args: bool,
    pub(crate) len: usize,
    /// How many bytes of the frame follow behind it.
    pub(crate) remaining: u64,
}

impl Piece {
    /// How many bytes of the frame are still to be handed out.
    pub(crate) fn left(&self) -> u64 {
        self.remaining.saturating_add(self.len as u64)
    }
}

/// A frame that is read in pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Partial {
    /// Bytes that the application has.
    pub(crate) given: u64,
    /// Bytes that it has not.
    pub(crate) left: u64,
}

/// News for [`Operation::event`](crate::Operation::event).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News {
    pub(crate) budget: Option<Budget>,
    pub(crate) delegated: bool,
    pub(crate) resumable: bool,
}

#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) stage: Stage,
    /// The stream it is on; `None` once the protocol has forgotten it, and between connections.
    pub(crate) stream: Option<StreamId>,
    /// The node asked for it.
    pub(crate) served: bool,
    /// Which of the local agents was asked.
    pub(crate) agent: &'static str,
    /// Served: the operation's name. Else: where it was delegated to, or a detail.
    pub(crate) text: Name,

    pub(crate) front: Option<Piece>,
    pub(crate) partial: Partial,
    pub(crate) args_left: u64,
    /// The peer sends no more input.
    pub(crate) input_finished: bool,
    /// The application wants no input.
    pub(crate) ignores_input: bool,

    /// The frame being written: how much of it the transport has not taken.
    pub(crate) unwritten: usize,
    /// Which of the operation's connections that frame was begun on.
    pub(crate) frame_on: u32,
    /// Its envelope has left, so its payload may.
    pub(crate) payload_next: bool,
    /// The application said its last.
    pub(crate) finished: bool,
    /// The peer takes nothing more.
    pub(crate) stopped: bool,

    pub(crate) cancelled: Option<CancelReason>,
    /// The application cancelled it.
    pub(crate) cancels: Option<CancelReason>,
    /// The words of the ERROR or CANCEL that ended it are in `text`.
    pub(crate) end: Option<Result<(), Error>>,
    /// How often a BUDGET came.
    pub(crate) budgets: u32,
    pub(crate) news: News,

    pub(crate) progress: Progress,
    /// Its connection is lost, and it waits for another one.
    pub(crate) suspended: bool,
    /// How often it was resumed.
    pub(crate) resumed: u32,
    /// Bytes of the next frame that the application has already.
    pub(crate) skip: u64,

    pub(crate) reader: WakerRegistration,
    pub(crate) writer: WakerRegistration,
}

impl Slot {
    pub(crate) fn is_free(&self) -> bool {
        self.stage == Stage::Free
    }

    /// Wakes whoever waits for anything about it.
    pub(crate) fn wake(&mut self) {
        self.reader.wake();
        self.writer.wake();
    }

    /// Keeps as much of `text` as there is room for.
    pub(crate) fn keep_text(&mut self, text: &str) {
        self.text.clear();
        let _all_of_it_fits = self.text.push_str(cut(text, NAME_LEN));
    }

    /// Nobody reads it, so its payloads are dropped.
    pub(crate) fn drops_input(&self) -> bool {
        self.ignores_input || self.stage == Stage::Orphan
    }

    /// Why it must not go on; `None` while it may.
    pub(crate) fn trouble(&self) -> Option<Error> {
        match (self.cancelled, self.end) {
            (Some(reason), _) => Some(Error::Cancelled(reason)),
            (None, Some(Ok(()))) => Some(Error::Ended),
            (None, Some(Err(error))) => Some(error),
            (None, None) => None,
        }
    }

    /// Whether anything can be sent.
    pub(crate) fn may_send(&self) -> Result<(), Error> {
        if let Some(error) = self.trouble() {
            return Err(error);
        }
        if self.finished || self.stopped || self.cancels.is_some() {
            return Err(Error::Call(CallError::SendingEnded));
        }
        Ok(())
    }

    /// Whether it can go on over another connection, having ended like this with this one.
    pub(crate) fn may_resume(&self, outcome: Outcome, by: Side, now: UnixMillis) -> bool {
        // A cancel that was never answered is said again.
        let unanswered = matches!(outcome, Outcome::Cancelled(_)) && by == Side::Local;
        !self.served
            && self.end.is_none()
            && (outcome == Outcome::Lost || unanswered)
            && self.has_token(now)
    }

    /// Whether there is a token whose time is not over.
    pub(crate) fn has_token(&self, now: UnixMillis) -> bool {
        self.progress.expires().is_some_and(|expires| now < expires)
    }

    /// A stream is gone, and what lay in it.
    pub(crate) fn detach(&mut self) {
        self.stream = None;
        self.front = None;
        self.unwritten = 0;
        self.payload_next = false;
    }
}

/// What an operation came to, for its holder, who may have heard before the protocol that the peer
/// `cancelled` it.
pub(crate) fn result(outcome: Outcome, cancelled: Option<CancelReason>) -> Result<(), Error> {
    match (outcome, cancelled) {
        (Outcome::Failed(ErrorCode::Cancelled), Some(reason)) => Err(Error::Cancelled(reason)),
        (outcome, _) => plain(outcome),
    }
}

fn plain(outcome: Outcome) -> Result<(), Error> {
    match outcome {
        Outcome::Completed => Ok(()),
        Outcome::Failed(code) => Err(Error::Failed(code)),
        Outcome::Cancelled(reason) => Err(Error::Cancelled(reason)),
        Outcome::Reset(code) => Err(Error::Reset(code)),
        Outcome::Lost => Err(Error::Lost),
    }
}

/// The token's time was over before it could be used.
pub(crate) const EXPIRED: Result<(), Error> = Err(Error::Failed(ErrorCode::ResumeExpired));

/// The longest beginning of `text` that has at most `most` bytes.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}
