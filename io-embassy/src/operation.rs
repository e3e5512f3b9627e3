//! One operation, in the application's hands.

use core::cell::RefCell;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};

use aire_proto::budget::{Cap, Charge, ChargeError, Dimension};
use aire_proto::connection::{CallError, Stall};
use aire_proto::wire::Budget;
use aire_proto::{CancelReason, ErrorCode, Ledger};
use embassy_time::{Duration, Instant, with_deadline};

use crate::Error;
use crate::clock::span;
use crate::engine::Engine;
use crate::slot::{Name, Slot};

/// A piece of a STREAM frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Chunk {
    /// How many bytes were put to the front of the buffer.
    pub len: usize,
    /// How many more follow in this frame; 0 ends it.
    pub remaining: u64,
}

/// Something that a peer says about an operation besides its payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event {
    /// The responder was told, or reports, what may be spent: see [`Budget::is_report`]. The
    /// ledger has it already (`BUD-5`).
    Budget(Budget),
    /// The responder handed the operation on; [`Operation::detail`] says where to (`GAP-7`).
    Delegated,
    /// The responder gave a new token: a [`ticket`](Operation::ticket) that was written down
    /// before is worth nothing any more.
    Resumable,
}

/// An operation: one that was [`invoked`](crate::Handle::invoke), or one that was
/// [`accepted`](crate::Handle::accept).
///
/// Its calls take `&self`, so that one task can wait for several things at once:
/// `select(operation.cancelled(), work(&operation))`.
///
/// When it is dropped before it is over, it is ended: an invoked one with CANCEL, a served one with
/// ERROR.
pub struct Operation {
    engine: &'static RefCell<Engine>,
    index: usize,
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("served", &self.is_served())
            .field("received", &self.received())
            .finish_non_exhaustive()
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.engine.borrow_mut().release(self.index);
    }
}

impl Operation {
    pub(crate) const fn new(engine: &'static RefCell<Engine>, index: usize) -> Self {
        Self { engine, index }
    }

    fn of_slot<R: Default>(&self, ask: impl FnOnce(&Slot) -> R) -> R {
        let engine = self.engine.borrow();
        engine.slots.get(self.index).map(ask).unwrap_or_default()
    }

    /// Asks the slot until it knows.
    async fn wait_for<R>(&self, mut ask: impl FnMut(&mut Slot) -> Option<R>) -> Result<R, Error> {
        poll_fn(|cx| {
            let mut engine = self.engine.borrow_mut();
            let Some(slot) = engine.slots.get_mut(self.index) else {
                return Poll::Ready(Err(Error::Ended));
            };
            match ask(slot) {
                Some(answer) => Poll::Ready(Ok(answer)),
                None => {
                    slot.reader.register(cx.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Whether the node asked for it, and this side answers.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.of_slot(|slot| slot.served)
    }

    /// Which of the agents here was asked; empty for an invoked one.
    #[must_use]
    pub fn agent(&self) -> &'static str {
        self.of_slot(|slot| slot.agent)
    }

    /// What it was asked to do; empty for an invoked one.
    #[must_use]
    pub fn name(&self) -> Name {
        self.of_slot(|slot| {
            if slot.served {
                slot.text.clone()
            } else {
                Name::new()
            }
        })
    }

    /// An invoked one's latest text, cut to [`NAME_LEN`](crate::NAME_LEN) bytes: where it was
    /// delegated to, or the words of the ERROR that ended it.
    #[must_use]
    pub fn detail(&self) -> Name {
        self.of_slot(|slot| {
            if slot.served {
                Name::new()
            } else {
                slot.text.clone()
            }
        })
    }

    /// How many bytes of the arguments are still to be read.
    #[must_use]
    pub fn args_len(&self) -> u64 {
        self.of_slot(|slot| slot.args_left)
    }

    /// How many STREAM frames were handed out whole, over all connections (`RES-4`).
    #[must_use]
    pub fn received(&self) -> u64 {
        self.of_slot(|slot| slot.progress.received())
    }

    /// How often it went on over another connection.
    #[must_use]
    pub fn times_resumed(&self) -> u32 {
        self.of_slot(|slot| slot.resumed)
    }

    /// Takes from the payload that lies in front: `args`, or a STREAM frame. `None` when there is
    /// no more of it.
    fn poll_take(
        &self,
        cx: &Context<'_>,
        args: bool,
        take: &mut dyn FnMut(&[u8]),
        most: usize,
    ) -> Poll<Result<Option<Chunk>, Error>> {
        let mut engine = self.engine.borrow_mut();
        loop {
            let Some(slot) = engine.slots.get_mut(self.index) else {
                return Poll::Ready(Ok(None));
            };
            let Some(piece) = slot.front else {
                let over = args && slot.args_left == 0;
                return match slot.trouble() {
                    _ if over => Poll::Ready(Ok(None)),
                    Some(Error::Ended) => Poll::Ready(Ok(None)),
                    Some(error) => Poll::Ready(Err(error)),
                    None if slot.input_finished => Poll::Ready(Ok(None)),
                    None => {
                        slot.reader.register(cx.waker());
                        Poll::Pending
                    }
                };
            };
            match (args, piece.args) {
                (true, false) => return Poll::Ready(Ok(None)),
                // Arguments that nobody asked for.
                (false, true) => {
                    engine.hand_out(self.index, piece.len);
                    engine.read_on(self.index);
                }
                _ => {
                    let bytes = engine.front(self.index, most);
                    let len = bytes.len();
                    take(bytes);
                    engine.hand_out(self.index, len);
                    engine.read_on(self.index);
                    let remaining = piece.left().saturating_sub(len as u64);
                    return Poll::Ready(Ok(Some(Chunk { len, remaining })));
                }
            }
        }
    }

    async fn take(&self, args: bool, buffer: &mut [u8]) -> Result<Option<Chunk>, Error> {
        let most = buffer.len();
        let mut copy = |bytes: &[u8]| {
            if let Some(front) = buffer.get_mut(..bytes.len()) {
                front.copy_from_slice(bytes);
            }
        };
        poll_fn(|cx| self.poll_take(cx, args, &mut copy, most)).await
    }

    /// Reads on in the arguments: how many bytes were put to the front of `buffer`; 0 when all are
    /// read. What is not read of them before [`recv`](Self::recv) is called is dropped.
    ///
    /// # Errors
    /// What ended the operation.
    pub async fn read_args(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        Ok(self.take(true, buffer).await?.map_or(0, |chunk| chunk.len))
    }

    /// Receives the next piece of a STREAM frame, of any size up to that of `buffer`. A frame of
    /// 64 KiB passes through 1 KiB. `None` when the peer has said all.
    ///
    /// An invoked operation that can be resumed goes on over the next connection, and nothing
    /// shows here but the time that takes: each byte comes once.
    ///
    /// # Errors
    /// What ended the operation.
    pub async fn recv(&self, buffer: &mut [u8]) -> Result<Option<Chunk>, Error> {
        self.take(false, buffer).await
    }

    /// Receives the next STREAM frame whole: its length; `None` when the peer has said all.
    ///
    /// # Errors
    /// [`Error::FrameTooLong`] for one that `buffer` cannot hold, which is skipped; what ended the
    /// operation. Not to be dropped half way: what was read of the frame is gone then.
    pub async fn recv_frame(&self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        let mut filled = 0_usize;
        let mut total = 0_u64;
        loop {
            let room = buffer.get_mut(filled..).unwrap_or_default();
            let chunk = if room.is_empty() && total > 0 {
                poll_fn(|cx| self.poll_take(cx, false, &mut |_| {}, usize::MAX)).await?
            } else {
                self.recv(room).await?
            };
            let Some(chunk) = chunk else {
                return Ok(None);
            };
            if total == 0 {
                total = chunk.remaining.saturating_add(chunk.len as u64);
            }
            filled = filled.saturating_add(chunk.len).min(buffer.len());
            if chunk.remaining == 0 {
                let fits = total <= buffer.len() as u64;
                return if fits {
                    Ok(Some(filled))
                } else {
                    Err(Error::FrameTooLong(total))
                };
            }
        }
    }

    /// Drops all input from now on. A CANCEL comes in the order of the stream: behind more input
    /// than there is room for it is not seen until that is read or dropped.
    pub fn ignore_input(&self) {
        let mut engine = self.engine.borrow_mut();
        if let Some(slot) = engine.slots.get_mut(self.index) {
            slot.ignores_input = true;
        }
        engine.read_on(self.index);
    }

    /// Sends `payload` as one STREAM frame, as QUIC takes it: from this very slice into its
    /// buffer. Done when QUIC has all of it.
    ///
    /// A frame that the loss of the connection cuts is sent again, whole, once the operation is
    /// resumed. One that was handed over before may be lost with its connection.
    ///
    /// # Errors
    /// What ended the operation; [`Error::Call`]. When this is dropped half way, the frame stays
    /// unfinished: [`write`](Self::write) the rest, or end the operation.
    pub async fn send(&self, payload: &[u8]) -> Result<(), Error> {
        loop {
            self.begin(payload.len()).await?;
            match self.write(payload).await {
                Err(Error::FrameCut) => {}
                done => return done,
            }
        }
    }

    /// Begins a STREAM frame of `len` bytes, at most 1 MiB, which [`write`](Self::write) takes in
    /// pieces.
    ///
    /// # Errors
    /// [`Error::FrameUnfinished`]; what ended the operation; [`Error::Call`].
    pub async fn begin(&self, len: usize) -> Result<(), Error> {
        poll_fn(|cx| self.engine.borrow_mut().begin(self.index, len, cx.waker())).await
    }

    /// Writes the next piece of the frame that was begun. Done when QUIC has all of it.
    ///
    /// # Errors
    /// [`Error::FrameOverrun`], and nothing is written; [`Error::FrameCut`] when the connection was
    /// lost: begin the frame again; what ended the operation.
    pub async fn write(&self, mut piece: &[u8]) -> Result<(), Error> {
        while !piece.is_empty() {
            let count = poll_fn(|cx| {
                self.engine
                    .borrow_mut()
                    .write(self.index, piece, cx.waker())
            })
            .await?;
            piece = piece.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Sends nothing more: the answer is complete, or there is no more input (`GAP-4`).
    ///
    /// # Errors
    /// [`Error::FrameUnfinished`]; what ended the operation; [`Error::Call`].
    pub fn finish(&self) -> Result<(), Error> {
        self.engine.borrow_mut().finish(self.index)
    }

    /// Ends it with ERROR `code`, and words for people, which are cut at 96 bytes.
    ///
    /// # Errors
    /// What ended the operation before.
    pub fn fail(&self, code: ErrorCode, detail: &str) -> Result<(), Error> {
        self.engine.borrow_mut().fail(self.index, code, detail)
    }

    /// Asks the other side to end it, with words for people, which are cut at 96 bytes. What it
    /// says until then can still be received; [`ended`](Self::ended) waits for its end.
    ///
    /// # Errors
    /// What ended the operation before.
    pub fn cancel(&self, reason: CancelReason, detail: &str) -> Result<(), Error> {
        self.engine.borrow_mut().cancel(self.index, reason, detail)
    }

    /// Waits until the operation must not go on, and says why: the peer cancelled it, or it is
    /// over.
    pub async fn cancelled(&self) -> Error {
        let trouble = self.wait_for(|slot| slot.trouble()).await;
        trouble.unwrap_or_else(|error| error)
    }

    /// Waits until it is over on both sides.
    ///
    /// # Errors
    /// How it ended, unless well.
    pub async fn ended(&self) -> Result<(), Error> {
        self.wait_for(|slot| slot.end).await?
    }

    /// Waits for what the peer says besides its payloads. Of several events of a kind only the
    /// latest is told.
    ///
    /// # Errors
    /// What ended the operation.
    pub async fn event(&self) -> Result<Event, Error> {
        self.wait_for(|slot| {
            let news = &mut slot.news;
            if let Some(budget) = news.budget.take() {
                Some(Ok(Event::Budget(budget)))
            } else if core::mem::take(&mut news.delegated) {
                Some(Ok(Event::Delegated))
            } else if core::mem::take(&mut news.resumable) {
                Some(Ok(Event::Resumable))
            } else {
                slot.trouble().map(Err)
            }
        })
        .await?
    }

    /// Tells the peer what the operation may still spend, from when it hears it (`BUD-4`).
    ///
    /// # Errors
    /// What ended the operation; [`Error::Call`].
    pub async fn send_budget(&self, budget: &Budget) -> Result<(), Error> {
        poll_fn(|cx| {
            let mut engine = self.engine.borrow_mut();
            engine.send_budget(self.index, budget, cx.waker())
        })
        .await
    }

    /// Limits what it may spend by local policy, whatever the peer allows (`BUD-10`).
    ///
    /// # Errors
    /// [`Error::Call`] when the peer counts in another currency, which ends the operation.
    pub fn cap(&self, cap: &Cap) -> Result<(), Error> {
        let mut engine = self.engine.borrow_mut();
        let now = engine.clock.now();
        let stream = engine.slots.get(self.index).and_then(|slot| slot.stream);
        let capped = engine.proto.cap(stream.ok_or(Error::Ended)?, cap, now);
        engine.advance_now();
        Ok(capped?)
    }

    /// What it may spend, and has spent.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let mut engine = self.engine.borrow_mut();
        let stream = engine.slots.get(self.index).and_then(|slot| slot.stream);
        stream
            .and_then(|stream| engine.proto.ledger(stream))
            .unwrap_or_default()
    }

    /// Spends from its budget: call it before the work is done (`BUD-6`). Without a budget it only
    /// counts.
    ///
    /// # Errors
    /// [`Error::Call`] with [`CallError::Budget`], and nothing was spent; what ended the
    /// operation.
    pub fn try_charge(&self, charge: &Charge) -> Result<(), Error> {
        let mut engine = self.engine.borrow_mut();
        let now = engine.clock.now();
        let slot = engine.slots.get(self.index).ok_or(Error::Ended)?;
        if let Some(error) = slot.trouble() {
            return Err(error);
        }
        let stream = slot.stream.ok_or(Error::Lost)?;
        Ok(engine.proto.charge(stream, charge, now)?)
    }

    /// As [`try_charge`](Self::try_charge), but where the budget does not suffice it waits for a
    /// top-up, no longer than `patience`, and the peer is told what was spent so far (`BUD-8`).
    /// Comes none, the operation ends with `BUDGET_EXCEEDED` (`BUD-7`).
    ///
    /// # Errors
    /// [`Error::Failed`] when it ended so; [`Error::Call`] when it counts in another currency; what
    /// else ended the operation.
    pub async fn charge(&self, charge: &Charge, patience: Duration) -> Result<(), Error> {
        let now = Instant::now();
        let deadline = now.checked_add(patience).unwrap_or(Instant::MAX);
        let waited = with_deadline(
            deadline,
            poll_fn(|cx| self.poll_charge(cx, charge, deadline)),
        );
        match waited.await {
            Ok(charged) => charged,
            Err(_too_late) => Err(self.over_budget(Dimension::Tokens)),
        }
    }

    fn poll_charge(
        &self,
        cx: &Context<'_>,
        charge: &Charge,
        deadline: Instant,
    ) -> Poll<Result<(), Error>> {
        let what = match self.try_charge(charge) {
            Err(Error::Call(CallError::Budget(ChargeError::Exhausted(what)))) => what,
            done => return Poll::Ready(done),
        };
        let mut engine = self.engine.borrow_mut();
        let at = Instant::now();
        let now = engine.clock.at(at);
        let patience = deadline.saturating_duration_since(at);
        let Some(slot) = engine.slots.get_mut(self.index) else {
            return Poll::Ready(Err(Error::Ended));
        };
        slot.reader.register(cx.waker());
        slot.writer.register(cx.waker());
        let Some(stream) = slot.stream else {
            return Poll::Ready(Err(Error::Lost));
        };
        if engine.proto.stall(stream) != Some(Stall::Budget) {
            engine
                .proto
                .out_of_budget(stream, what, span(patience), now);
            engine.advance(at, now);
        }
        if engine.proto.stall(stream) == Some(Stall::Budget) {
            return Poll::Pending;
        }
        drop(engine);
        Poll::Ready(Err(self.over_budget(what)))
    }

    /// The protocol ends it for want of budget.
    fn over_budget(&self, what: Dimension) -> Error {
        let mut engine = self.engine.borrow_mut();
        let now = engine.clock.now();
        if let Some(slot) = engine.slots.get_mut(self.index) {
            slot.finished = slot.served;
            if let Some(stream) = slot.stream {
                engine
                    .proto
                    .out_of_budget(stream, what, core::time::Duration::ZERO, now);
            }
        }
        engine.advance_now();
        Error::Failed(what.code())
    }

    /// Writes down all that it takes to go on with it after the connection, or the device, was
    /// restarted: what [`Handle::resume`](crate::Handle::resume) takes. `agent` and `operation` say
    /// what it is, to whoever finds it. Whoever has it may be able to go on with the operation: it
    /// belongs where secrets are kept.
    ///
    /// What was received so far is not sent again. So write it down after that was dealt with, and
    /// anew at every [`Event::Resumable`].
    ///
    /// # Errors
    /// [`Error::NoToken`] while the responder has given none, and once the operation is over;
    /// [`Error::Ticket`] when `out` is too small, or a text too long.
    pub fn ticket<'b>(
        &self,
        agent: &str,
        operation: &str,
        out: &'b mut [u8],
    ) -> Result<&'b [u8], Error> {
        use core::fmt::Write;

        let engine = self.engine.borrow();
        let server = engine.options.server;
        let mut address = heapless::String::<MAX_ADDRESS_LEN>::new();
        let fits = match server.host.contains(':') {
            false => write!(address, "aire://{}:{}", server.host, server.port),
            true => write!(address, "aire://[{}]:{}", server.host, server.port),
        };
        let slot = engine.slots.get(self.index).ok_or(Error::NoToken)?;
        if slot.end.is_some() || slot.served {
            return Err(Error::NoToken);
        }
        fits.map_err(|_| aire_proto::resume::TicketError::TooLong)?;
        let ticket = slot.progress.ticket(&address, agent, operation);
        Ok(ticket.ok_or(Error::NoToken)?.encode(out)?)
    }
}

/// The longest address that a ticket names, in bytes: a DNS name has at most 253.
const MAX_ADDRESS_LEN: usize = 272;
