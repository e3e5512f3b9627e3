//! All that a responder keeps of one resumable operation (`RES-5` to `RES-10`, `GAP-17`).

use core::fmt;
use core::time::Duration;

use super::{Pushed, Token, Window};
use crate::code::ErrorCode;
use crate::time::Instant;
use crate::varint;
use crate::wire::{ErrorFrame, Resumable};

/// How an operation ended: what follows its last STREAM frame, in a replay as well (`RES-5`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Terminal<'a> {
    /// The end of the stream.
    Finished,
    /// An ERROR.
    Error(ErrorFrame<'a>),
}

/// The operation has ended, so nothing can be added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ended;

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operation has ended")
    }
}

impl core::error::Error for Ended {}

/// Why a RESUME is refused (`RES-5`). That ends the stream that it came on, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ResumeError {
    /// The token is unknown, spent or somebody else's (`GAP-17`), or more was received than was
    /// ever sent.
    Invalid,
    /// The token's time is over.
    Expired,
    /// The first frame to send again is no longer retained.
    Unavailable,
}

impl ResumeError {
    /// The code of the ERROR that answers the RESUME.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Invalid => ErrorCode::ResumeInvalid,
            Self::Expired => ErrorCode::ResumeExpired,
            Self::Unavailable => ErrorCode::ResumeUnavailable,
        }
    }
}

impl fmt::Display for ResumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "the token is not good for this, or the number is from the future",
            Self::Expired => "the token's time is over",
            Self::Unavailable => "the frames asked for are no longer retained",
        })
    }
}

impl core::error::Error for ResumeError {}

/// A token that was sent in a RESUMABLE.
#[derive(Clone, Copy, Debug)]
struct Issued {
    token: Token,
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Open,
    Finished,
    Error(ErrorCode),
}

/// One resumable operation at its responder: the frames that can be sent again, who may ask for
/// them and with which token, and how it ended.
///
/// `O` is who began the operation, by DID or key: nobody else can resume it (`GAP-17`). With `()`
/// the token alone decides.
///
/// It judges, and keeps no time: whoever holds it drops it when [`is_expired`](Self::is_expired)
/// and no stream is attached to the operation, and cancels the work then (`GAP-18`).
#[derive(Debug)]
pub struct Retained<M: AsRef<[u8]> + AsMut<[u8]>, O> {
    window: Window<M>,
    owner: O,
    current: Option<Issued>,
    previous: Option<Issued>,
    kept_until: Option<Instant>,
    end: End,
}

impl<M: AsRef<[u8]> + AsMut<[u8]>, O: PartialEq> Retained<M, O> {
    /// An operation that `owner` began. It cannot be resumed before [`issue`](Self::issue).
    #[must_use]
    pub const fn new(window: Window<M>, owner: O) -> Self {
        Self {
            window,
            owner,
            current: None,
            previous: None,
            kept_until: None,
            end: End::Open,
        }
    }

    /// The frames that can be sent again.
    #[must_use]
    pub const fn window(&self) -> &Window<M> {
        &self.window
    }

    /// Retains a further STREAM frame. See [`Window::push`].
    ///
    /// # Errors
    /// [`Ended`] after [`finish`](Self::finish).
    pub fn push(&mut self, payload: &[u8]) -> Result<Pushed, Ended> {
        match self.end {
            End::Open => Ok(self.window.push(payload)),
            End::Finished | End::Error(_) => Err(Ended),
        }
    }

    /// Forgets the frames up to and with `seq`, which the initiator has for certain.
    pub fn discard_through(&mut self, seq: u64) {
        self.window.discard_through(seq);
    }

    /// A RESUMABLE with a new token, good for the whole seconds of `ttl` from `now` on
    /// (`RES-10`). At any time: after a RESUME as well (`RES-6`), and after the end.
    ///
    /// The token before it stays good for its own time, because this RESUMABLE can be lost with
    /// its connection. Older ones are gone.
    pub fn issue(&mut self, token: Token, ttl: Duration, now: Instant) -> Resumable<'_> {
        let ttl_secs = ttl.as_secs().min(varint::MAX);
        let until = now.after(Duration::from_secs(ttl_secs));
        self.kept_until = self.kept_until.max(Some(until));
        self.previous = self.current.take();
        let last_seq = self.window.last();
        let issued = self.current.insert(Issued { token, until });
        Resumable {
            ttl_secs,
            token: issued.token.as_bytes(),
            last_seq,
        }
    }

    /// Whether `token` is one of this operation's: what finds the operation that a RESUME is for.
    #[must_use]
    pub fn knows(&self, token: &[u8]) -> bool {
        self.find(token).is_some()
    }

    /// Judges a RESUME (`RES-5`): the number of the first frame to send again, which is that of
    /// the next frame when the initiator has them all. Behind the frames follows
    /// [`terminal`](Self::terminal).
    ///
    /// That spends the tokens: this one, and the other that may be good beside it (`RES-10`).
    /// A refusal spends nothing, so that nobody can take the operation from its owner by trying.
    ///
    /// # Errors
    /// [`ResumeError`], the first that applies, in the order of its variants; a `last_recv` from
    /// the future comes after [`Expired`](ResumeError::Expired).
    pub fn resume(
        &mut self,
        token: &[u8],
        last_recv: u64,
        owner: &O,
        now: Instant,
    ) -> Result<u64, ResumeError> {
        let issued = self.find(token).ok_or(ResumeError::Invalid)?;
        if self.owner != *owner {
            return Err(ResumeError::Invalid);
        }
        if now >= issued.until {
            return Err(ResumeError::Expired);
        }
        if last_recv > self.window.last() {
            return Err(ResumeError::Invalid);
        }
        let next = last_recv.saturating_add(1);
        if next < self.window.first() {
            return Err(ResumeError::Unavailable);
        }
        self.current = None;
        self.previous = None;
        Ok(next)
    }

    /// Ends the operation. An ERROR is kept in the window's memory, where the oldest frames make
    /// room for it; when it is larger than all of that, only its code is kept.
    ///
    /// # Errors
    /// [`Ended`] when it has ended already: the first end stays.
    pub fn finish(&mut self, terminal: Terminal<'_>) -> Result<(), Ended> {
        let End::Open = self.end else {
            return Err(Ended);
        };
        self.end = match terminal {
            Terminal::Finished => End::Finished,
            Terminal::Error(error) => {
                // Without room the code is what is left.
                let _ = self.window.seal(&error);
                End::Error(error.code)
            }
        };
        Ok(())
    }

    /// How the operation ended; `None` while it goes on.
    #[must_use]
    pub fn terminal(&self) -> Option<Terminal<'_>> {
        match self.end {
            End::Open => None,
            End::Finished => Some(Terminal::Finished),
            End::Error(code) => {
                let whole = self.window.sealed().map(ErrorFrame::decode);
                let code_alone = ErrorFrame {
                    code,
                    detail: "",
                    data: &[],
                };
                Some(Terminal::Error(
                    whole.and_then(Result::ok).unwrap_or(code_alone),
                ))
            }
        }
    }

    /// Until when all of this is kept at least, also after the end: as long as any RESUMABLE
    /// promised (`RES-8`). `None` before the first.
    #[must_use]
    pub const fn kept_until(&self) -> Option<Instant> {
        self.kept_until
    }

    /// Whether the time that any RESUMABLE promised is over. `false` before the first.
    #[must_use]
    pub fn is_expired(&self, now: Instant) -> bool {
        self.kept_until.is_some_and(|until| now >= until)
    }

    fn find(&self, token: &[u8]) -> Option<Issued> {
        [self.current, self.previous]
            .into_iter()
            .flatten()
            .find(|issued| issued.token.matches(token))
    }
}
