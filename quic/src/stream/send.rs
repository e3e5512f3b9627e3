//! The sending half of a stream (RFC 9000 §3.1).
//!
//! The ring holds what is not acknowledged yet. Everything in it is acknowledged, lost, in flight or
//! unsent; the first two are kept in a few spans, and what does not fit there is sent once more.

use super::frames::Stream;
use super::ring;
use super::spans::{Span, Spans};
use crate::carried::{Kind, Piece};

#[derive(Debug)]
pub(super) struct Send {
    /// Everything below is acknowledged: where the ring's window begins.
    base: u64,
    /// How much the peer allows on this stream.
    limit: u64,
    /// The error code of a RESET_STREAM.
    code: u64,
    /// What is acknowledged behind the first byte that is not.
    acked: Spans,
    /// What is to be sent again, unless it was acknowledged meanwhile.
    lost: Spans,
    /// Where in the ring the window begins.
    head: u32,
    /// How much the ring holds.
    written: u32,
    /// How much of it was sent.
    sent: u32,
    state: State,
    /// The application waits for room.
    starved: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The stream ends behind what was written; FIN is there or not.
    Ending(Delivery),
    /// RESET_STREAM is there or not.
    Reset(Delivery),
    /// The peer has everything, or knows of the reset.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    Due,
    Sent,
    Acked,
}

/// What an acknowledgement brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Nothing,
    /// The application waited for the room that there is now.
    Room,
    /// The peer has everything.
    Finished,
}

impl Send {
    pub(super) const fn new(limit: u64) -> Self {
        Self {
            base: 0,
            limit,
            code: 0,
            acked: Spans::new(),
            lost: Spans::new(),
            head: 0,
            written: 0,
            sent: 0,
            state: State::Open,
            starved: false,
        }
    }

    /// Whether the application waits for room.
    pub(super) const fn is_starved(&self) -> bool {
        self.starved
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the application may still write.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// The code that the stream was reset with.
    pub(super) const fn code(&self) -> u64 {
        self.code
    }

    /// The peer allows `limit` bytes; a lower limit than before counts for nothing.
    pub(super) fn raise_limit(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    /// Copies as many of `bytes` as there is room for.
    pub(super) fn write(&mut self, ring: &mut [u8], bytes: &[u8]) -> usize {
        if self.state != State::Open || bytes.is_empty() {
            return 0;
        }
        let room = ring.len().saturating_sub(self.written as usize);
        let (taken, left) = bytes.split_at(bytes.len().min(room));
        ring::store(ring, self.head, self.written, taken);
        self.written = self.written.saturating_add(taken.len() as u32);
        self.starved = !left.is_empty();
        taken.len()
    }

    /// The stream ends here.
    pub(super) fn finish(&mut self) {
        if self.state == State::Open {
            self.state = State::Ending(Delivery::Due);
        }
    }

    /// Gives up what the peer does not have. False when that came too late.
    pub(super) fn reset(&mut self, code: u64) -> bool {
        if !matches!(self.state, State::Open | State::Ending(_)) {
            return false;
        }
        self.state = State::Reset(Delivery::Due);
        self.code = code;
        // From here on, `base` is the final size.
        self.base = self.base.saturating_add(u64::from(self.sent));
        self.written = 0;
        self.sent = 0;
        self.acked.clear();
        self.lost.clear();
        true
    }

    /// The fields of the RESET_STREAM that is to be sent: code and final size.
    pub(super) fn reset_due(&self) -> Option<(u64, u64)> {
        (self.state == State::Reset(Delivery::Due)).then_some((self.code, self.base))
    }

    pub(super) const fn on_reset_sent(&mut self) {
        self.state = State::Reset(Delivery::Sent);
    }

    /// The lowest bytes to be sent again.
    pub(super) fn next_lost(&self) -> Option<Span> {
        self.lost.iter().find_map(|mut lost| {
            // Both sets ascend, so one pass cuts off what was acknowledged.
            for acked in self.acked.iter() {
                if acked.start > lost.start {
                    lost.end = lost.end.min(acked.start);
                    break;
                }
                lost.start = lost.start.max(acked.end);
            }
            (!lost.is_empty()).then_some(lost)
        })
    }

    /// The next bytes to be sent for the first time, under this stream's limit and the connection's
    /// `credit`; empty when only FIN is to be sent.
    pub(super) fn next_new(&self, credit: u64) -> Option<Span> {
        let position = self.base.saturating_add(u64::from(self.sent));
        let allowed = self.limit.saturating_sub(position).min(credit);
        let allowed = u32::try_from(allowed).unwrap_or(u32::MAX);
        let unsent = self.written.saturating_sub(self.sent);
        let len = unsent.min(allowed);
        let end_due = unsent == 0 && self.state == State::Ending(Delivery::Due);
        (len > 0 || end_due).then(|| Span::new(self.sent, self.sent.saturating_add(len)))
    }

    /// The frame that carries `span`, for stream `id`.
    pub(super) fn frame(&self, id: u64, span: Span) -> Stream {
        Stream {
            id,
            offset: self.base.saturating_add(u64::from(span.start)),
            len: span.len(),
            fin: span.end == self.written && matches!(self.state, State::Ending(_)),
        }
    }

    /// Copies what `frame` carries to `out`, and takes it for sent. Returns how much of it is new.
    pub(super) fn on_sent(&mut self, frame: &Stream, ring: &[u8], out: &mut [u8]) -> u32 {
        let start = frame.offset.saturating_sub(self.base) as u32;
        ring::load(ring, self.head, start, out);
        let end = start.saturating_add(frame.len);
        // What is sent again is always the lowest that was lost: acknowledged bytes lie before it.
        if start < self.sent {
            self.lost.remove_below(end);
        }
        let new = end.saturating_sub(self.sent);
        self.sent = self.sent.max(end);
        if frame.fin && self.state == State::Ending(Delivery::Due) {
            self.state = State::Ending(Delivery::Sent);
        }
        new
    }

    /// Which bytes of the ring `piece` was about. Its offset is the low half of one that is less
    /// than 2^31 bytes away from `base`.
    fn span(&self, piece: &Piece) -> Span {
        let len = u32::from(piece.len);
        let start = piece.offset.wrapping_sub(self.base as u32);
        let span = if start < 1 << 31 {
            Span::new(start, start.saturating_add(len))
        } else {
            Span::new(0, len.saturating_sub(start.wrapping_neg()))
        };
        Span::new(span.start, span.end.min(self.sent))
    }

    /// The peer has what `piece` was.
    pub(super) fn on_acked(&mut self, piece: &Piece, ring: &[u8]) -> Progress {
        match (self.state, piece.kind) {
            (State::Reset(_), Kind::Reset) => self.state = State::Done,
            (State::Ending(_), Kind::StreamFin) => self.state = State::Ending(Delivery::Acked),
            (State::Open | State::Ending(_), Kind::Stream) => {}
            _ => return Progress::Nothing,
        }
        self.note_acked(self.span(piece), ring);
        if self.state == State::Ending(Delivery::Acked) && self.written == 0 {
            self.state = State::Done;
            return Progress::Finished;
        }
        if self.state == State::Open && self.starved && (self.written as usize) < ring.len() {
            self.starved = false;
            return Progress::Room;
        }
        Progress::Nothing
    }

    fn note_acked(&mut self, acked: Span, ring: &[u8]) {
        if acked.is_empty() {
            return;
        }
        if acked.start > 0 {
            if self.acked.insert(acked).is_err() {
                // It cannot be remembered, so it is sent and acknowledged once more.
                self.lost.insert_widened(acked);
            }
            return;
        }
        let count = self.acked.absorb(acked.end);
        self.base = self.base.saturating_add(u64::from(count));
        self.head = ring::position(ring, self.head, count);
        self.written = self.written.saturating_sub(count);
        self.sent = self.sent.saturating_sub(count);
        self.acked.advance(count);
        self.lost.advance(count);
    }

    /// What `piece` was is to be sent again.
    pub(super) fn on_lost(&mut self, piece: &Piece) {
        match (self.state, piece.kind) {
            (State::Reset(Delivery::Sent), Kind::Reset) => self.state = State::Reset(Delivery::Due),
            (State::Ending(Delivery::Sent), Kind::StreamFin) => {
                self.state = State::Ending(Delivery::Due);
                self.lost.insert_widened(self.span(piece));
            }
            (State::Open | State::Ending(_), Kind::Stream | Kind::StreamFin) => {
                self.lost.insert_widened(self.span(piece));
            }
            _ => {}
        }
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
    use std::vec::Vec;

    struct End {
        send: Send,
        ring: [u8; 64],
    }

    impl End {
        fn new() -> Self {
            Self {
                send: Send::new(1 << 62),
                ring: [0; 64],
            }
        }

        fn write(&mut self, bytes: &[u8]) -> usize {
            self.send.write(&mut self.ring, bytes)
        }

        /// Sends the first `len` bytes of `span`.
        fn take(&mut self, mut span: Span, len: u32) -> (Piece, Vec<u8>) {
            span.end = span.end.min(span.start + len);
            let frame = self.send.frame(4, span);
            let mut out = std::vec![0; frame.len as usize];
            self.send.on_sent(&frame, &self.ring, &mut out);
            let piece = Piece {
                kind: if frame.fin {
                    Kind::StreamFin
                } else {
                    Kind::Stream
                },
                stream: 4,
                offset: frame.offset as u32,
                len: frame.len as u16,
            };
            (piece, out)
        }

        fn new_data(&mut self, len: u32) -> (Piece, Vec<u8>) {
            let span = self.send.next_new(u64::MAX).unwrap();
            self.take(span, len)
        }

        fn lost_data(&mut self, len: u32) -> (Piece, Vec<u8>) {
            let span = self.send.next_lost().unwrap();
            self.take(span, len)
        }

        fn acked(&mut self, piece: &Piece) -> Progress {
            self.send.on_acked(piece, &self.ring)
        }
    }

    #[test]
    fn what_is_lost_is_sent_again_and_only_that() {
        let mut end = End::new();
        end.write(b"abcdefgh");
        let (first, _) = end.new_data(3);
        let (second, _) = end.new_data(3);
        assert_eq!(end.send.next_lost(), None);
        end.send.on_lost(&first);
        assert_eq!(end.acked(&second), Progress::Nothing);
        assert_eq!(end.lost_data(9).1, b"abc");
        assert_eq!(end.send.next_lost(), None);
        assert_eq!(end.new_data(9).1, b"gh");
        assert_eq!(end.send.next_new(u64::MAX), None);
    }

    #[test]
    fn what_was_acknowledged_late_is_not_sent_again() {
        let mut end = End::new();
        end.write(&[1; 30]);
        let pieces: Vec<_> = (0..3).map(|_| end.new_data(10).0).collect();
        for piece in &pieces {
            end.send.on_lost(piece);
        }
        end.acked(&pieces[1]);
        assert_eq!(end.send.next_lost(), Some(Span::new(0, 10)));
        let (again, _) = end.lost_data(10);
        assert_eq!(end.send.next_lost(), Some(Span::new(20, 30)));
        end.acked(&pieces[2]);
        assert_eq!(end.send.next_lost(), None);
        end.acked(&again);
        assert_eq!(end.send.base, 30);
    }

    #[test]
    fn acknowledgements_that_cannot_be_noted_are_asked_for_once_more() {
        let mut end = End::new();
        end.write(&[1; 22]);
        let pieces: Vec<_> = (0..11).map(|_| end.new_data(2).0).collect();
        for piece in pieces.iter().skip(1).step_by(2) {
            end.acked(piece);
        }
        // Four of the five gaps are known; the bytes of the fifth acknowledgement are sent again.
        assert_eq!(end.send.next_lost(), Some(Span::new(18, 20)));
        end.acked(&pieces[0]);
        let (again, _) = end.lost_data(9);
        end.acked(&again);
        for piece in &pieces {
            end.acked(piece);
        }
        assert_eq!((end.send.base, end.send.written), (22, 0));
    }

    #[test]
    fn a_short_write_is_told_of_room_once() {
        let mut end = End::new();
        assert_eq!(end.write(&[0; 60]), 60);
        assert_eq!(end.write(&[1; 10]), 4);
        assert_eq!(end.write(b""), 0);
        let (first, _) = end.new_data(10);
        let (second, _) = end.new_data(10);
        assert_eq!(end.acked(&second), Progress::Nothing);
        assert_eq!(end.acked(&first), Progress::Room);
        assert_eq!(end.write(&[2; 30]), 20);
        assert_eq!(end.acked(&first), Progress::Nothing);
        assert_eq!(end.new_data(64).1.len(), 64);
    }

    #[test]
    fn both_limits_bound_new_data_and_the_end_waits_behind_it() {
        let mut end = End::new();
        end.send = Send::new(6);
        end.write(b"abcdefgh");
        end.send.finish();
        assert_eq!(end.send.next_new(4), Some(Span::new(0, 4)));
        assert_eq!(end.send.next_new(0), None);
        let (first, bytes) = end.new_data(99);
        assert_eq!((first.kind, bytes.len()), (Kind::Stream, 6));
        assert_eq!(end.send.next_new(u64::MAX), None);
        end.send.raise_limit(5);
        end.send.raise_limit(8);
        assert_eq!(end.new_data(99).0.kind, Kind::StreamFin);
        assert_eq!(end.send.next_new(u64::MAX), None);
    }

    #[test]
    fn an_end_alone_needs_no_credit_and_is_sent_until_it_is_acknowledged() {
        let mut end = End::new();
        end.write(b"ab");
        let (data, _) = end.new_data(2);
        end.send.finish();
        assert_eq!(end.write(b"c"), 0);
        assert_eq!(end.send.next_new(0), Some(Span::new(2, 2)));
        let (fin, _) = end.new_data(0);
        assert_eq!((fin.kind, fin.offset), (Kind::StreamFin, 2));
        end.send.on_lost(&fin);
        assert_eq!(end.send.next_new(0), Some(Span::new(2, 2)));
        // The one that was taken for lost arrived after all.
        assert_eq!(end.acked(&fin), Progress::Nothing);
        assert_eq!(end.send.next_new(0), None);
        assert_eq!(end.acked(&data), Progress::Finished);
        assert!(end.send.is_done());
        assert_eq!(end.acked(&data), Progress::Nothing);
    }

    #[test]
    fn a_reset_tells_what_was_sent_and_forgets_the_rest() {
        let mut end = End::new();
        end.write(&[0; 20]);
        let (first, _) = end.new_data(5);
        let (second, _) = end.new_data(5);
        end.acked(&first);
        end.send.on_lost(&second);
        assert!(end.send.reset(3));
        assert!(!end.send.reset(4));
        assert_eq!(end.send.reset_due(), Some((3, 10)));
        assert_eq!((end.send.next_lost(), end.send.next_new(99)), (None, None));
        end.send.on_reset_sent();
        end.acked(&second);
        end.send.on_lost(&second);
        assert_eq!((end.send.next_lost(), end.send.reset_due()), (None, None));
        let reset = Piece {
            kind: Kind::Reset,
            ..second
        };
        end.send.on_lost(&reset);
        assert_eq!(end.send.reset_due(), Some((3, 10)));
        end.acked(&reset);
        assert!(end.send.is_done());
    }

    #[test]
    fn offsets_resolve_where_their_low_half_wraps() {
        let mut end = End::new();
        let base = (7 << 32) - 10;
        end.send.base = base;
        end.write(&[5; 30]);
        let pieces: Vec<_> = (0..3).map(|_| end.new_data(10).0).collect();
        end.send.on_lost(&pieces[1]);
        assert_eq!(end.send.next_lost(), Some(Span::new(10, 20)));
        end.acked(&pieces[0]);
        end.acked(&pieces[2]);
        let (again, _) = end.lost_data(99);
        assert_eq!(again.offset, 0);
        end.acked(&again);
        assert_eq!(end.send.base, base + 30);
        // Old news about bytes that are acknowledged, on both sides of the wrap.
        end.send.on_lost(&pieces[0]);
        end.send.on_lost(&pieces[2]);
        assert_eq!(end.send.next_lost(), None);
    }

    #[test]
    fn a_piece_that_reaches_into_the_window_counts_from_its_beginning() {
        let mut end = End::new();
        end.write(&[5; 30]);
        let (first, _) = end.new_data(20);
        end.send.on_lost(&first);
        let (short, _) = end.lost_data(15);
        end.acked(&short);
        end.acked(&first);
        assert_eq!(end.send.base, 20);
    }
}
