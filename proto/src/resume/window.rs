//! The last frames that a responder sent, in a ring of bounded size (`RES-4`, `GAP-18`).

use core::fmt;

use crate::varint;
use crate::wire::Payload;

/// A payload in the ring: what stands before the end of the memory, and what goes on at its
/// start. The second is mostly empty.
pub type Halves<'a> = (&'a [u8], &'a [u8]);

/// The payloads of the latest STREAM frames, numbered from 1 (`RES-4`), over memory of the
/// caller's: an array, a slice, or a vector.
///
/// It is bounded in bytes by the memory's length, and in frames; the oldest go first (`GAP-18`).
/// What is retained is always a tail without holes: `first()..=last()`. Each frame takes its
/// payload's length as a varint besides the payload, so 1 byte more up to 63 bytes, 2 up to
/// 16,383, 4 beyond.
///
/// The memory's length must not change while the window has it.
pub struct Window<M> {
    memory: M,
    max_frames: u32,
    /// The number of the oldest frame, or of the next when there is none.
    first: u64,
    frames: u32,
    /// Where in the memory the oldest record begins.
    start: usize,
    /// How many bytes the records take.
    used: usize,
    /// How many bytes the terminal record takes, which stands in one piece behind the others.
    sealed: usize,
    /// How many bytes ever left at the front. Places are counted from there, so they outlive it.
    dropped: u64,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct Pushed {
    /// Its number.
    pub seq: u64,
    /// Whether it can be replayed: `false` when it is larger than the whole window.
    pub retained: bool,
}

/// Where a replay stands in a [`Window`]. It stays good while frames come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Place {
    seq: u64,
    at: u64,
}

impl<M: AsRef<[u8]> + AsMut<[u8]>> Window<M> {
    /// An empty window whose first frame is 1, of `memory.len()` bytes and at most `max_frames`.
    #[must_use]
    pub const fn new(memory: M, max_frames: u32) -> Self {
        Self {
            memory,
            max_frames,
            first: 1,
            frames: 0,
            start: 0,
            used: 0,
            sealed: 0,
            dropped: 0,
        }
    }

    /// As it is, but empty and numbering on behind frame `seq`: for an operation whose earlier
    /// frames are no longer here. Numbers over 2^62 - 1 do not exist.
    #[must_use]
    pub fn starting_after(mut self, seq: u64) -> Self {
        self.clear(seq.min(varint::MAX).saturating_add(1));
        self
    }

    /// The number of the oldest frame retained; `last() + 1` when there is none.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The number of the latest frame, retained or not; 0 before the first.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.next().saturating_sub(1)
    }

    /// How many frames are retained.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.frames as usize
    }

    /// Whether no frame is retained.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// How many bytes of the memory are taken, the lengths of the frames included.
    #[must_use]
    pub const fn bytes_used(&self) -> usize {
        self.used.saturating_add(self.sealed)
    }

    /// Numbers the next frame and copies its payload in; the oldest frames make room.
    ///
    /// A frame that is larger than the whole window is numbered, but not retained; nor is
    /// anything before it then, since a replay has no holes.
    pub fn push(&mut self, payload: &[u8]) -> Pushed {
        let seq = self.next();
        let retained = self.append(payload).is_some();
        if !retained {
            self.clear(seq.saturating_add(1));
        }
        Pushed { seq, retained }
    }

    /// The payload of frame `seq`, if it is retained. Walks from the oldest: to read more than
    /// one, see [`iter_from`](Self::iter_from) and [`read`](Self::read).
    #[must_use]
    pub fn get(&self, seq: u64) -> Option<Halves<'_>> {
        let mut place = self.place(seq);
        let (found, payload) = self.read(&mut place)?;
        (found == seq).then_some(payload)
    }

    /// The retained frames from `seq` on, oldest first, with their numbers. When `seq` itself is
    /// gone it begins with the oldest.
    #[must_use]
    pub fn iter_from(&self, seq: u64) -> Iter<'_, M> {
        Iter {
            place: self.place(seq),
            window: self,
        }
    }

    /// The place of frame `seq`: the oldest's when that is gone, the end when it is yet to come.
    #[must_use]
    pub fn place(&self, seq: u64) -> Place {
        let mut place = self.front();
        while place.seq < seq && self.read(&mut place).is_some() {}
        place
    }

    /// The frame at `place` with its number, and moves `place` on to the next. `None` at the end,
    /// until there is a further one.
    ///
    /// For a replay that waits for its receiver while the window goes on. Such a replay can fall
    /// behind the window: it then goes on with the oldest frame retained, and the number shows
    /// what was skipped. A place is good in the window that it is from.
    pub fn read(&self, place: &mut Place) -> Option<(u64, Halves<'_>)> {
        if place.seq < self.first {
            *place = self.front();
        }
        if place.seq >= self.next() {
            return None;
        }
        let offset = usize::try_from(place.at.wrapping_sub(self.dropped)).ok()?;
        let (payload, len) = self.record(offset)?;
        let seq = place.seq;
        *place = Place {
            seq: seq.saturating_add(1),
            at: place.at.wrapping_add(len as u64),
        };
        Some((seq, payload))
    }

    /// Forgets the frames up to and with `seq`. The numbering goes on as it was.
    pub fn discard_through(&mut self, seq: u64) {
        while self.frames > 0 && self.first <= seq {
            self.drop_oldest();
        }
    }

    /// Puts `payload` behind the frames, in one piece; the oldest frames make room. `None`, and
    /// nothing changed, when it is larger than the whole window. Nothing may be pushed after it.
    pub(super) fn seal(&mut self, payload: &impl Payload) -> Option<()> {
        let needed = payload.encoded_len().ok()?;
        let capacity = self.capacity();
        if needed > capacity {
            return None;
        }
        self.make_room(needed, u32::MAX);
        let free = capacity.saturating_sub(self.used);
        if free.min(capacity.saturating_sub(self.wrap(self.used))) < needed {
            // The room is there, but in two pieces. An operation ends once, so it may cost a move.
            let start = self.start.min(capacity);
            self.memory.as_mut().rotate_left(start);
            self.start = 0;
        }
        let at = self.wrap(self.used);
        let room = self.memory.as_mut().get_mut(at..)?;
        self.sealed = payload.encode(room.get_mut(..needed)?).ok()?;
        Some(())
    }

    /// What [`seal`](Self::seal) put there.
    pub(super) fn sealed(&self) -> Option<&[u8]> {
        let at = self.wrap(self.used);
        self.memory.as_ref().get(at..)?.get(..self.sealed)
    }

    const fn next(&self) -> u64 {
        self.first.saturating_add(self.frames as u64)
    }

    const fn front(&self) -> Place {
        Place {
            seq: self.first,
            at: self.dropped,
        }
    }

    fn capacity(&self) -> usize {
        self.memory.as_ref().len()
    }

    /// Where in the memory the byte is that is `offset` behind the start.
    fn wrap(&self, offset: usize) -> usize {
        let at = self.start.saturating_add(offset);
        at.checked_sub(self.capacity()).unwrap_or(at)
    }

    /// Copies a record in. `None` when it does not fit into an empty window.
    fn append(&mut self, payload: &[u8]) -> Option<()> {
        let mut header = [0; varint::MAX_LEN];
        let header_len = varint::encode(payload.len() as u64, &mut header)?;
        let needed = header_len.checked_add(payload.len())?;
        let others = self.max_frames.checked_sub(1)?;
        if needed > self.capacity() {
            return None;
        }
        self.make_room(needed, others);
        self.put(header.get(..header_len)?)?;
        self.put(payload)?;
        self.frames = self.frames.saturating_add(1);
        Some(())
    }

    /// Drops the oldest until `needed` bytes are free and at most `frames` are left.
    fn make_room(&mut self, needed: usize, frames: u32) {
        while self.frames > 0
            && (self.frames > frames || self.capacity().saturating_sub(self.used) < needed)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let len = self.record(0).map_or(self.used, |(_, len)| len);
        self.start = self.wrap(len);
        self.used = self.used.saturating_sub(len);
        self.dropped = self.dropped.wrapping_add(len as u64);
        self.frames = self.frames.saturating_sub(1);
        self.first = self.first.saturating_add(1);
    }

    /// Forgets all frames; the next one is `next`.
    fn clear(&mut self, next: u64) {
        self.dropped = self.dropped.wrapping_add(self.used as u64);
        self.first = next;
        self.frames = 0;
        self.start = 0;
        self.used = 0;
    }

    /// Copies bytes in, for which there is room.
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let at = self.wrap(self.used);
        let memory = self.memory.as_mut();
        let (front, back) = bytes.split_at(bytes.len().min(memory.len().saturating_sub(at)));
        memory
            .get_mut(at..)?
            .get_mut(..front.len())?
            .copy_from_slice(front);
        memory.get_mut(..back.len())?.copy_from_slice(back);
        self.used = self.used.saturating_add(bytes.len());
        Some(())
    }

    /// The record that is `offset` bytes behind the start: its payload, and how many bytes the
    /// record takes.
    fn record(&self, offset: usize) -> Option<(Halves<'_>, usize)> {
        let most = self.used.checked_sub(offset)?.min(varint::MAX_LEN);
        let header = self.halves(offset, most)?;
        let (len, header_len) = varint::decode(header.0).or_else(|| decode_cut(header))?;
        let len = usize::try_from(len).ok()?;
        let payload = self.halves(offset.checked_add(header_len)?, len)?;
        Some((payload, header_len.checked_add(len)?))
    }

    /// `len` bytes of the records, `offset` behind the start.
    fn halves(&self, offset: usize, len: usize) -> Option<Halves<'_>> {
        if offset.checked_add(len)? > self.used {
            return None;
        }
        let memory = self.memory.as_ref();
        let from = memory.get(self.wrap(offset)..)?;
        match from.get(..len) {
            Some(whole) => Some((whole, &[])),
            None => Some((from, memory.get(..len.checked_sub(from.len())?)?)),
        }
    }
}

/// A varint that the end of the memory cuts in two.
#[cold]
fn decode_cut((front, back): Halves<'_>) -> Option<(u64, usize)> {
    let mut whole = [0; varint::MAX_LEN];
    let bytes = front.iter().chain(back);
    let len = bytes.clone().count();
    for (to, from) in whole.iter_mut().zip(bytes) {
        *to = *from;
    }
    varint::decode(whole.get(..len)?)
}

impl<M: AsRef<[u8]> + AsMut<[u8]>> fmt::Debug for Window<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The payloads are the application's, and may be secret.
        f.debug_struct("Window")
            .field("first", &self.first())
            .field("last", &self.last())
            .field("bytes_used", &self.bytes_used())
            .finish_non_exhaustive()
    }
}

/// The frames of a [`Window`] from some place on, with their numbers.
#[derive(Debug)]
pub struct Iter<'a, M: AsRef<[u8]> + AsMut<[u8]>> {
    window: &'a Window<M>,
    place: Place,
}

impl<'a, M: AsRef<[u8]> + AsMut<[u8]>> Iterator for Iter<'a, M> {
    type Item = (u64, Halves<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.window.read(&mut self.place)
    }
}
