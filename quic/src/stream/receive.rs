//! The receiving half of a stream (RFC 9000 §3.2).
//!
//! Bytes go to their place in the ring at once; which of them are there behind the first gap is
//! kept in a few spans. More gaps than that are answered by not taking the frame, so that the peer
//! sends it again: the bytes at the first gap always find room, so the stream moves on.

use super::Peek;
use super::flow::{self, Inbound};
use super::ring;
use super::spans::{Span, Spans};
use crate::error::{Code, Fault, fault};
use crate::varint;

#[derive(Debug)]
pub(super) struct Receive {
    /// How much was consumed: where the ring's window begins.
    read: u64,
    /// How much the peer may send on this stream, as it was told.
    limit: u64,
    /// The stream's final size, when that is `known`.
    end: u64,
    /// The error code of a STOP_SENDING to send or of the RESET_STREAM that came.
    code: u64,
    /// What has arrived behind the first gap.
    beyond: Spans,
    /// Where in the ring the window begins.
    head: u32,
    /// How many bytes can be read.
    ready: u32,
    /// How far behind `read` the highest byte lies that the peer sent.
    highest: u32,
    state: State,
    /// The last MAX_STREAM_DATA was lost.
    window_lost: bool,
    /// The stream's final size is known.
    known: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The application wants no more, for which STOP_SENDING is to be sent, and the final size is
    /// not known yet: until then, what comes counts against the connection's window.
    StopDue,
    /// The same, and STOP_SENDING was sent.
    Stopping,
    /// The end was read, or reading was given up by either end and the final size is known.
    Done,
}

/// What a frame did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Nothing,
    /// There is more to tell the application than before.
    News,
    /// There are too many gaps: the frame must come again.
    NoRoom,
}

impl Receive {
    pub(super) const fn new(window: u64) -> Self {
        Self {
            read: 0,
            limit: window,
            end: 0,
            code: 0,
            beyond: Spans::new(),
            head: 0,
            ready: 0,
            highest: 0,
            state: State::Open,
            window_lost: false,
            known: false,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The code of the peer's RESET_STREAM, once that is known.
    pub(super) const fn code(&self) -> u64 {
        self.code
    }

    /// Whether the stream ends `count` bytes behind what was consumed.
    const fn is_end(&self, count: u64) -> bool {
        self.known && self.end == self.read.saturating_add(count)
    }

    /// Whether everything up to the final size is there to be read.
    const fn is_complete(&self) -> bool {
        self.is_end(self.ready as u64)
    }

    /// Whether there are bytes, or the end, to be read.
    pub(super) fn is_readable(&self) -> bool {
        self.state == State::Open && (self.ready > 0 || self.is_complete())
    }

    /// The stream reaches up to `end` at least, or exactly there when it is `last`.
    fn extend(&mut self, flow: &mut Inbound, end: u64, last: bool) -> Result<(), Fault> {
        let highest = self.read.saturating_add(u64::from(self.highest));
        let changed = if !self.known {
            last && end < highest
        } else {
            end > self.end || last && end != self.end
        };
        if changed {
            return Err(fault!(
                Code::FINAL_SIZE_ERROR,
                "a stream's final size changed or lies below its data"
            ));
        }
        if end > self.limit {
            return Err(fault!(
                Code::FLOW_CONTROL_ERROR,
                "more data than a stream allows"
            ));
        }
        if end > highest {
            flow.receive(end.saturating_sub(highest))?;
            // At most the window, which is as long as the ring.
            self.highest = end.saturating_sub(self.read) as u32;
        }
        if last {
            self.end = end;
            self.known = true;
        }
        Ok(())
    }

    /// Takes what a STREAM frame carries.
    pub(super) fn on_data(
        &mut self,
        flow: &mut Inbound,
        ring: &mut [u8],
        offset: u64,
        data: &[u8],
        fin: bool,
    ) -> Result<Outcome, Fault> {
        let end = offset.saturating_add(data.len() as u64);
        if end > varint::MAX {
            return Err(fault!(
                Code::FRAME_ENCODING_ERROR,
                "a stream longer than 2^62 - 1"
            ));
        }
        let before = (self.ready, self.is_complete());
        self.extend(flow, end, fin)?;
        match self.state {
            State::Open => {}
            State::StopDue | State::Stopping => {
                self.discard(flow);
                return Ok(Outcome::Nothing);
            }
            State::Done => return Ok(Outcome::Nothing),
        }
        if !self.store(ring, offset, data) {
            return Ok(Outcome::NoRoom);
        }
        Ok(if before == (self.ready, self.is_complete()) {
            Outcome::Nothing
        } else {
            Outcome::News
        })
    }

    /// Copies what is new of `data` into the ring; false when there is no room for another gap.
    fn store(&mut self, ring: &mut [u8], offset: u64, data: &[u8]) -> bool {
        let first_missing = self.read.saturating_add(u64::from(self.ready));
        let known = first_missing.saturating_sub(offset);
        let Some(data) = usize::try_from(known)
            .ok()
            .and_then(|known| data.get(known..))
        else {
            return true;
        };
        // The limit was checked, so both are within the ring.
        let start = offset.max(first_missing).saturating_sub(self.read) as u32;
        let end = start.saturating_add(data.len() as u32);
        if start > self.ready {
            if self.beyond.insert(Span::new(start, end)).is_err() {
                return false;
            }
        } else {
            self.ready = self.beyond.absorb(end);
        }
        ring::store(ring, self.head, start, data);
        true
    }

    /// The peer gave up sending. True when the application is to hear of it: a stream that is
    /// there completely is read to its end (RFC 9000 §3.2).
    pub(super) fn on_reset(
        &mut self,
        flow: &mut Inbound,
        code: u64,
        size: u64,
    ) -> Result<bool, Fault> {
        let complete = self.is_complete();
        self.extend(flow, size, true)?;
        if self.state == State::Done || (self.state == State::Open && complete) {
            return Ok(false);
        }
        let open = self.state == State::Open;
        if open {
            self.code = code;
        }
        self.discard(flow);
        Ok(open)
    }

    /// Gives everything that was received back to the connection's window, unread.
    fn discard(&mut self, flow: &mut Inbound) {
        flow.consume(u64::from(self.highest));
        self.read = self.read.saturating_add(u64::from(self.highest));
        self.highest = 0;
        self.ready = 0;
        self.beyond.clear();
        if self.known {
            self.state = State::Done;
        }
    }

    /// The application wants no more.
    pub(super) fn stop(&mut self, flow: &mut Inbound, code: u64) {
        if self.state == State::Open {
            self.code = code;
            self.state = State::StopDue;
            self.discard(flow);
        }
    }

    pub(super) fn peek<'a>(&self, ring: &'a [u8]) -> Peek<'a> {
        if self.state != State::Open {
            return Peek::default();
        }
        let bytes = ring::straight(ring, self.head, 0, self.ready);
        Peek {
            bytes,
            fin: self.is_end(bytes.len() as u64),
        }
    }

    /// The application read `count` bytes, and the end behind them when `fin`.
    pub(super) fn consume(&mut self, flow: &mut Inbound, ring: &[u8], count: usize, fin: bool) {
        if self.state != State::Open {
            return;
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(self.ready);
        flow.consume(u64::from(count));
        self.head = ring::position(ring, self.head, count);
        self.read = self.read.saturating_add(u64::from(count));
        self.ready = self.ready.saturating_sub(count);
        self.highest = self.highest.saturating_sub(count);
        self.beyond.advance(count);
        if fin && self.is_end(0) {
            self.state = State::Done;
        }
    }

    pub(super) fn is_stop_due(&self) -> bool {
        self.state == State::StopDue
    }

    pub(super) fn on_stop_sent(&mut self) {
        if self.state == State::StopDue {
            self.state = State::Stopping;
        }
    }

    pub(super) fn on_stop_lost(&mut self) {
        if self.state == State::Stopping {
            self.state = State::StopDue;
        }
    }

    /// The value for MAX_STREAM_DATA.
    pub(super) fn next_limit(&self, window: u64) -> u64 {
        self.read.saturating_add(window).min(varint::MAX)
    }

    /// Whether MAX_STREAM_DATA is to be sent; needless once the final size is known.
    pub(super) fn is_limit_due(&self, window: u64) -> bool {
        self.state == State::Open
            && !self.known
            && (self.window_lost || flow::is_due(self.next_limit(window), self.limit, window))
    }

    /// MAX_STREAM_DATA with [`Self::next_limit`] was sent.
    pub(super) fn on_limit_sent(&mut self, window: u64) {
        self.limit = self.next_limit(window);
        self.window_lost = false;
    }

    pub(super) const fn on_limit_lost(&mut self) {
        self.window_lost = true;
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    const WINDOW: usize = 16;

    struct End {
        receive: Receive,
        flow: Inbound,
        ring: [u8; WINDOW],
    }

    impl End {
        fn new() -> Self {
            Self {
                receive: Receive::new(WINDOW as u64),
                flow: Inbound::new(64),
                ring: [0; WINDOW],
            }
        }

        fn data(&mut self, offset: u64, data: &[u8], fin: bool) -> Result<Outcome, Code> {
            self.receive
                .on_data(&mut self.flow, &mut self.ring, offset, data, fin)
                .map_err(|error| error.code)
        }

        fn reset(&mut self, size: u64) -> Result<bool, Code> {
            self.receive
                .on_reset(&mut self.flow, 7, size)
                .map_err(|error| error.code)
        }

        fn peek(&self) -> (&[u8], bool) {
            let peek = self.receive.peek(&self.ring);
            (peek.bytes, peek.fin)
        }

        fn consume(&mut self, count: usize, fin: bool) {
            self.receive.consume(&mut self.flow, &self.ring, count, fin);
        }

        fn is_balanced(&self) -> bool {
            let (received, consumed, _) = self.flow.counts();
            received == consumed
        }
    }

    #[test]
    fn bytes_out_of_order_are_read_in_order_and_once() {
        let mut end = End::new();
        assert_eq!(end.data(3, b"def", true), Ok(Outcome::Nothing));
        assert_eq!(end.peek(), (&b""[..], false));
        assert_eq!(end.data(0, b"abcd", false), Ok(Outcome::News));
        assert_eq!(end.data(0, b"abc", false), Ok(Outcome::Nothing));
        assert_eq!(end.peek(), (&b"abcdef"[..], true));
        end.consume(2, false);
        assert_eq!(end.data(0, b"abcdef", true), Ok(Outcome::Nothing));
        assert_eq!(end.peek(), (&b"cdef"[..], true));
        end.consume(4, true);
        assert!(end.receive.is_done());
        assert!(end.is_balanced());
    }

    #[test]
    fn the_end_alone_is_news_once_and_is_read_alone() {
        let mut end = End::new();
        end.data(0, b"a", false).unwrap();
        end.consume(1, false);
        assert!(!end.receive.is_readable());
        assert_eq!(end.data(1, b"", true), Ok(Outcome::News));
        assert_eq!(end.data(1, b"", true), Ok(Outcome::Nothing));
        assert!(end.receive.is_readable());
        assert_eq!(end.peek(), (&b""[..], true));
        end.consume(0, false);
        assert!(!end.receive.is_done());
        end.consume(0, true);
        assert!(end.receive.is_done());
    }

    #[test]
    fn an_end_is_not_read_before_the_bytes_before_it() {
        let mut end = End::new();
        end.data(0, b"ab", true).unwrap();
        end.consume(1, true);
        assert!(!end.receive.is_done());
        assert_eq!(end.peek(), (&b"b"[..], true));
    }

    #[test]
    fn a_window_that_wraps_is_read_in_two_pieces() {
        let mut end = End::new();
        end.data(0, &[0; 12], false).unwrap();
        end.consume(12, false);
        end.receive.on_limit_sent(WINDOW as u64);
        end.data(12, b"abcdefgh", true).unwrap();
        assert_eq!(end.peek(), (&b"abcd"[..], false));
        end.consume(4, false);
        assert_eq!(end.peek(), (&b"efgh"[..], true));
    }

    #[test]
    fn too_many_gaps_refuse_a_frame_until_the_first_gap_closes() {
        let mut end = End::new();
        for offset in [2, 4, 6, 8] {
            assert_eq!(end.data(offset, b"x", false), Ok(Outcome::Nothing));
        }
        assert_eq!(end.data(10, b"x", true), Ok(Outcome::NoRoom));
        assert_eq!(end.data(0, b"xx", false), Ok(Outcome::News));
        assert_eq!(end.data(10, b"x", true), Ok(Outcome::Nothing));
        assert_eq!(end.peek(), (&b"xxx"[..], false));
    }

    #[test]
    fn data_behind_the_end_is_a_final_size_error() {
        let mut end = End::new();
        end.data(0, b"abc", true).unwrap();
        assert_eq!(end.data(3, b"d", false), Err(Code::FINAL_SIZE_ERROR));
        assert_eq!(end.data(0, b"abcd", true), Err(Code::FINAL_SIZE_ERROR));
        assert_eq!(end.data(0, b"ab", true), Err(Code::FINAL_SIZE_ERROR));
        assert_eq!(end.reset(2), Err(Code::FINAL_SIZE_ERROR));
        assert_eq!(end.reset(4), Err(Code::FINAL_SIZE_ERROR));
        assert_eq!(end.reset(3), Ok(false));
    }

    #[test]
    fn an_end_below_what_was_sent_is_a_final_size_error() {
        let mut end = End::new();
        end.data(4, b"ab", false).unwrap();
        assert_eq!(end.data(0, b"abcde", true), Err(Code::FINAL_SIZE_ERROR));
        assert_eq!(end.reset(5), Err(Code::FINAL_SIZE_ERROR));
        assert_eq!(end.data(0, b"abcde", false), Ok(Outcome::News));
        assert_eq!(end.reset(6), Ok(true));
    }

    #[test]
    fn a_final_size_is_checked_after_a_stop_and_a_reset_too() {
        let mut end = End::new();
        end.data(0, b"abc", false).unwrap();
        end.receive.stop(&mut end.flow, 1);
        assert_eq!(end.data(1, b"", true), Err(Code::FINAL_SIZE_ERROR));
        end.reset(5).unwrap();
        assert_eq!(end.data(5, b"x", false), Err(Code::FINAL_SIZE_ERROR));
        assert_eq!(end.reset(6), Err(Code::FINAL_SIZE_ERROR));
    }

    #[test]
    fn more_than_the_stream_allows_is_a_flow_control_error() {
        let mut end = End::new();
        assert_eq!(end.data(16, b"x", false), Err(Code::FLOW_CONTROL_ERROR));
        assert_eq!(end.data(17, b"", true), Err(Code::FLOW_CONTROL_ERROR));
        assert_eq!(end.reset(17), Err(Code::FLOW_CONTROL_ERROR));
        assert_eq!(end.data(15, b"x", false), Ok(Outcome::Nothing));
        end.receive.stop(&mut end.flow, 1);
        assert_eq!(end.data(16, b"x", false), Err(Code::FLOW_CONTROL_ERROR));
    }

    #[test]
    fn more_than_the_connection_allows_is_a_flow_control_error() {
        let mut end = End::new();
        end.flow = Inbound::new(3);
        assert_eq!(end.data(2, b"xy", false), Err(Code::FLOW_CONTROL_ERROR));
        assert_eq!(end.reset(4), Err(Code::FLOW_CONTROL_ERROR));
        assert_eq!(end.data(2, b"x", false), Ok(Outcome::Nothing));
    }

    #[test]
    fn a_stream_past_what_a_varint_holds_is_a_frame_encoding_error() {
        let mut end = End::new();
        assert_eq!(
            end.data(varint::MAX, b"x", false),
            Err(Code::FRAME_ENCODING_ERROR)
        );
        assert_eq!(
            end.data(u64::MAX, b"x", true),
            Err(Code::FRAME_ENCODING_ERROR)
        );
        assert_eq!(
            end.data(varint::MAX, b"", false),
            Err(Code::FLOW_CONTROL_ERROR)
        );
    }

    #[test]
    fn a_reset_throws_away_what_was_not_read_but_not_a_stream_that_is_whole() {
        let mut end = End::new();
        end.data(0, b"abc", false).unwrap();
        assert_eq!(end.reset(9), Ok(true));
        assert_eq!(end.reset(9), Ok(false));
        assert_eq!(end.peek(), (&b""[..], false));
        assert!(end.receive.is_done() && end.is_balanced());
        assert_eq!(end.receive.code(), 7);

        let mut end = End::new();
        end.data(0, b"abc", true).unwrap();
        assert_eq!(end.reset(3), Ok(false));
        assert_eq!(end.peek(), (&b"abc"[..], true));
    }

    #[test]
    fn a_stopped_stream_counts_until_its_final_size_is_known() {
        let mut end = End::new();
        end.data(2, b"abc", false).unwrap();
        end.receive.stop(&mut end.flow, 9);
        assert!(end.receive.is_stop_due() && end.is_balanced());
        end.receive.on_stop_sent();
        assert!(!end.receive.is_stop_due());
        end.receive.on_stop_lost();
        assert!(end.receive.is_stop_due());
        assert_eq!(end.data(0, b"abcdefg", false), Ok(Outcome::Nothing));
        assert!(end.is_balanced() && !end.receive.is_done());
        assert_eq!(end.reset(12), Ok(false));
        assert!(end.is_balanced() && end.receive.is_done() && !end.receive.is_stop_due());
        assert_eq!(end.flow.counts().0, 12);
    }

    #[test]
    fn a_stop_behind_the_end_needs_no_frame() {
        let mut end = End::new();
        end.data(3, b"", true).unwrap();
        end.receive.stop(&mut end.flow, 9);
        assert!(end.receive.is_done() && end.is_balanced());
        assert!(!end.receive.is_stop_due());
    }

    #[test]
    fn the_window_opens_at_half_and_not_behind_the_end() {
        let window = WINDOW as u64;
        let mut end = End::new();
        end.data(0, &[0; 9], false).unwrap();
        end.consume(7, false);
        assert!(!end.receive.is_limit_due(window));
        end.consume(1, false);
        assert!(end.receive.is_limit_due(window));
        assert_eq!(end.receive.next_limit(window), 24);
        assert_eq!(end.data(16, b"x", false), Err(Code::FLOW_CONTROL_ERROR));
        end.receive.on_limit_sent(window);
        assert!(!end.receive.is_limit_due(window));
        assert_eq!(end.data(23, b"x", false), Ok(Outcome::Nothing));
        end.receive.on_limit_lost();
        assert!(end.receive.is_limit_due(window));
        end.data(24, b"", true).unwrap();
        assert!(!end.receive.is_limit_due(window));
    }
}
