//! The other end: a naive, unbounded one that keeps every byte, and asserts that it is not wronged.

use crate::coding::Reader;
use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

/// A small generator of numbers that are the same in every run (xorshift64*).
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        let index = self.below(from.len() as u64) as usize;
        Some(from.swap_remove(index))
    }
}

/// The byte at `offset` of stream `stream`, in one direction.
pub(super) fn byte(stream: u64, offset: u64, from_client: bool) -> u8 {
    (stream * 31 + offset * 7 + (offset >> 6) + u64::from(from_client) * 101) as u8
}

/// How an application ends what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Finish,
    Reset(u64),
}

/// What an application does with a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) len: u64,
    pub(super) ending: Ending,
    /// Reads so much, then asks the peer to stop with this code.
    pub(super) stop: Option<(u64, u64)>,
}

impl Plan {
    pub(super) fn random(rng: &mut Rng) -> Self {
        let most = if rng.chance(30) { 600 } else { 150 };
        let len = if rng.chance(20) { 0 } else { rng.below(most) };
        let ending = if rng.chance(25) {
            Ending::Reset(rng.below(1000))
        } else {
            Ending::Finish
        };
        let stop = rng.chance(25).then(|| (rng.below(120), rng.below(1000)));
        Self { len, ending, stop }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Frame {
    Stream {
        id: u64,
        offset: u64,
        len: u64,
        fin: bool,
    },
    Reset {
        id: u64,
        code: u64,
        size: u64,
    },
    Stop {
        id: u64,
        code: u64,
    },
    MaxData(u64),
    MaxStreamData {
        id: u64,
        limit: u64,
    },
    MaxStreams(u64),
    Blocked {
        id: u64,
    },
}

/// Parses what the client wrote; the bytes of STREAM frames are compared with what they must be.
pub(super) fn parse(packet: &[u8]) -> Vec<Frame> {
    let mut reader = Reader::new(packet);
    let mut frames = Vec::new();
    while let Some(kind) = reader.u8() {
        let mut field = || reader.varint().unwrap();
        frames.push(match kind {
            0x04 => Frame::Reset {
                id: field(),
                code: field(),
                size: field(),
            },
            0x05 => Frame::Stop {
                id: field(),
                code: field(),
            },
            0x10 => Frame::MaxData(field()),
            0x11 => Frame::MaxStreamData {
                id: field(),
                limit: field(),
            },
            0x12 => Frame::MaxStreams(field()),
            0x0a | 0x0b | 0x0e | 0x0f => {
                let id = field();
                let offset = if kind & 4 == 0 { 0 } else { field() };
                let data = reader.varint_bytes().unwrap();
                for (at, &got) in (offset..).zip(data) {
                    assert_eq!(got, byte(id, at, true), "byte {at} of stream {id}");
                }
                let len = data.len() as u64;
                Frame::Stream {
                    id,
                    offset,
                    len,
                    fin: kind & 1 == 1,
                }
            }
            other => panic!("frame {other:x}"),
        });
    }
    frames
}

#[derive(Debug)]
pub(super) struct Stream {
    plan: Plan,
    // Sending.
    limit: u64,
    /// Which bytes are to be sent, again or at last; never what is behind `sent`.
    pending: BTreeSet<u64>,
    pub(super) sent: u64,
    acked: BTreeSet<u64>,
    fin_due: bool,
    fin_acked: bool,
    pub(super) reset: Option<u64>,
    reset_acked: bool,
    /// The client asked to stop.
    pub(super) stopped: Option<u64>,
    // Receiving.
    got: BTreeSet<u64>,
    highest: u64,
    granted: u64,
    pub(super) size: Option<u64>,
    pub(super) client_reset: Option<u64>,
    pub(super) asked_to_stop: bool,
}

impl Stream {
    fn new(plan: Plan, limit: u64, granted: u64) -> Self {
        Self {
            plan,
            limit,
            pending: BTreeSet::new(),
            sent: 0,
            acked: BTreeSet::new(),
            fin_due: plan.ending == Ending::Finish,
            fin_acked: false,
            reset: None,
            reset_acked: false,
            stopped: None,
            got: BTreeSet::new(),
            highest: 0,
            granted,
            size: None,
            client_reset: None,
            asked_to_stop: false,
        }
    }

    /// Everything the client sent has arrived.
    pub(super) fn is_whole(&self) -> bool {
        self.size == Some(self.got.len() as u64)
    }

    pub(super) fn is_received(&self) -> bool {
        self.is_whole() || self.client_reset.is_some()
    }

    pub(super) fn is_sent(&self) -> bool {
        self.reset_acked || self.fin_acked && self.acked.len() as u64 == self.plan.len
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_received() && self.is_sent()
    }

    /// Which bytes and whether the end goes into the next STREAM frame.
    fn next(&mut self, rng: &mut Rng, most: u64, credit: &mut u64) -> Option<(u64, u64, bool)> {
        if self.reset.is_some() {
            return None;
        }
        let most = 1 + rng.below(most);
        let (offset, mut len) = if let Some(&first) = self.pending.first() {
            let count = (first..)
                .zip(&self.pending)
                .take_while(|(at, have)| at == *have);
            (first, (count.count() as u64).min(most))
        } else {
            let allowed = self.limit.min(self.plan.len).saturating_sub(self.sent);
            let len = allowed.min(*credit).min(most);
            *credit -= len;
            (self.sent, len)
        };
        for at in offset..offset + len {
            self.pending.remove(&at);
        }
        if rng.chance(10) && offset > 0 {
            // Splits differently the second time: reaches back into what was sent.
            let back = 1 + rng.below(offset.min(20));
            self.sent = self.sent.max(offset + len);
            return Some((offset - back, len + back, false));
        }
        self.sent = self.sent.max(offset + len);
        let at_end = self.plan.ending == Ending::Finish && offset + len == self.plan.len;
        let fin = at_end && (self.fin_due || len > 0);
        if fin {
            self.fin_due = false;
        }
        if len == 0 && !fin {
            len = 0;
            return rng.chance(1).then_some((offset, len, false));
        }
        Some((offset, len, fin))
    }
}

pub(super) struct Model {
    pub(super) streams: BTreeMap<u64, Stream>,
    // What the client grants.
    max_data: u64,
    max_stream_data: u64,
    max_streams: u64,
    opened: u64,
    /// How many streams it is going to open.
    to_open: u64,
    // What it grants to the client.
    granted_data: u64,
    pub(super) granted_streams: u64,
    window: u64,
    stream_window: u64,
    stream_count: u64,
    control: Vec<Frame>,
    /// The longest data of a frame.
    chunk: u64,
}

impl Model {
    pub(super) fn new(
        client: (u64, u64, u64),
        (window, stream_window, stream_count): (u64, u64, u64),
        to_open: u64,
        chunk: u64,
    ) -> Self {
        Self {
            streams: BTreeMap::new(),
            max_data: client.0,
            max_stream_data: client.1,
            max_streams: client.2,
            opened: 0,
            to_open,
            granted_data: window,
            granted_streams: stream_count,
            window,
            stream_window,
            stream_count,
            control: Vec::new(),
            chunk,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.opened == self.to_open && self.streams.values().all(Stream::is_over)
    }

    /// The sum of what it sent, and of what the client sent.
    pub(super) fn totals(&self) -> (u64, u64) {
        let streams = self.streams.values();
        streams.fold((0, 0), |sum, stream| {
            (sum.0 + stream.sent, sum.1 + stream.highest)
        })
    }

    fn add(&mut self, id: u64, rng: &mut Rng) {
        let stream = Stream::new(Plan::random(rng), self.max_stream_data, self.stream_window);
        self.streams.insert(id, stream);
        if rng.chance(20) {
            self.control.push(Frame::Blocked { id });
        }
    }

    /// The application of the peer does something.
    pub(super) fn act(&mut self, rng: &mut Rng) {
        if self.opened < self.to_open.min(self.max_streams) && rng.chance(10) {
            self.add(self.opened * 4 + 1, rng);
            self.opened += 1;
        }
        if rng.chance(30) {
            self.grant();
        }
        for (&id, stream) in &mut self.streams {
            let Ending::Reset(code) = stream.plan.ending else {
                continue;
            };
            if stream.reset.is_none() && stream.sent == stream.plan.len && rng.chance(20) {
                Self::give_up(&mut self.control, id, stream, code);
            }
        }
        for (&id, stream) in &mut self.streams {
            if let Some((after, code)) = stream.plan.stop
                && stream.got.len() as u64 >= after
                && !stream.asked_to_stop
                && !stream.is_received()
            {
                stream.asked_to_stop = true;
                self.control.push(Frame::Stop { id, code });
            }
        }
    }

    fn give_up(control: &mut Vec<Frame>, id: u64, stream: &mut Stream, code: u64) {
        stream.reset = Some(code);
        stream.pending.clear();
        control.push(Frame::Reset {
            id,
            code,
            size: stream.sent,
        });
    }

    /// The frames of the next packet.
    pub(super) fn packet(&mut self, rng: &mut Rng) -> Vec<Frame> {
        let mut frames = Vec::new();
        while frames.len() < 3 && rng.chance(80) {
            if rng.chance(50)
                && let Some(frame) = rng.pick(&mut self.control)
            {
                frames.push(frame);
                continue;
            }
            let mut credit = self.max_data - self.totals().0;
            let which = rng.below(self.streams.len().max(1) as u64) as usize;
            let Some((&id, stream)) = self.streams.iter_mut().nth(which) else {
                break;
            };
            if let Some((offset, len, fin)) = stream.next(rng, self.chunk, &mut credit) {
                frames.push(Frame::Stream {
                    id,
                    offset,
                    len,
                    fin,
                });
            }
        }
        frames
    }

    /// The client took a packet.
    pub(super) fn on_acked(&mut self, frames: &[Frame]) {
        for frame in frames {
            match *frame {
                Frame::Stream {
                    id,
                    offset,
                    len,
                    fin,
                } => {
                    let stream = self.streams.get_mut(&id).unwrap();
                    stream.acked.extend(offset..offset + len);
                    stream.fin_acked |= fin;
                }
                Frame::Reset { id, .. } => self.streams.get_mut(&id).unwrap().reset_acked = true,
                _ => {}
            }
        }
    }

    /// A packet did not arrive, or it seems so.
    pub(super) fn on_lost(&mut self, frames: &[Frame]) {
        for frame in frames {
            if let Frame::Stream {
                id,
                offset,
                len,
                fin,
            } = *frame
            {
                let stream = self.streams.get_mut(&id).unwrap();
                if stream.reset.is_none() {
                    stream
                        .pending
                        .extend((offset..offset + len).filter(|at| !stream.acked.contains(at)));
                    stream.fin_due |= fin && !stream.fin_acked;
                }
            } else {
                self.control.push(frame.clone());
            }
        }
    }

    /// A packet of the client arrives.
    pub(super) fn receive(&mut self, frames: &[Frame], rng: &mut Rng) {
        for frame in frames {
            match *frame {
                Frame::Stream {
                    id,
                    offset,
                    len,
                    fin,
                } => {
                    self.extend(id, offset + len, fin, rng);
                    let stream = self.streams.get_mut(&id).unwrap();
                    stream.got.extend(offset..offset + len);
                }
                Frame::Reset { id, code, size } => {
                    self.extend(id, size, true, rng);
                    let stream = self.streams.get_mut(&id).unwrap();
                    assert!(stream.client_reset.is_none_or(|before| before == code));
                    stream.client_reset = Some(code);
                }
                Frame::Stop { id, code } => {
                    self.open_for_client(id, rng);
                    let stream = self.streams.get_mut(&id).unwrap();
                    assert!(stream.stopped.is_none_or(|before| before == code));
                    stream.stopped = Some(code);
                    if stream.reset.is_none() && !stream.is_sent() {
                        Self::give_up(&mut self.control, id, stream, code);
                    }
                }
                Frame::MaxData(limit) => self.max_data = self.max_data.max(limit),
                Frame::MaxStreamData { id, limit } => {
                    self.open_for_client(id, rng);
                    let stream = self.streams.get_mut(&id).unwrap();
                    stream.limit = stream.limit.max(limit);
                }
                Frame::MaxStreams(count) => self.max_streams = self.max_streams.max(count),
                Frame::Blocked { .. } => panic!("not sent by the client"),
            }
        }
    }

    fn open_for_client(&mut self, id: u64, rng: &mut Rng) {
        if id & 3 == 0 {
            assert!(
                id / 4 < self.granted_streams,
                "stream {id} is over the limit"
            );
            if !self.streams.contains_key(&id) {
                self.add(id, rng);
            }
        }
        assert!(
            self.streams.contains_key(&id),
            "stream {id} was never opened"
        );
    }

    fn extend(&mut self, id: u64, end: u64, last: bool, rng: &mut Rng) {
        self.open_for_client(id, rng);
        let stream = self.streams.get_mut(&id).unwrap();
        assert!(end <= stream.granted, "stream {id} is over its limit");
        if let Some(size) = stream.size {
            assert!(
                end <= size && (!last || end == size),
                "the size of {id} changed"
            );
        } else if last {
            assert!(end >= stream.highest, "stream {id} ends below its data");
            stream.size = Some(end);
        }
        stream.highest = stream.highest.max(end);
        assert!(
            self.totals().1 <= self.granted_data,
            "the connection is over its limit"
        );
    }

    /// Grants more where half is used.
    fn grant(&mut self) {
        let total = self.totals().1;
        if self.granted_data - total < self.window / 2 {
            self.granted_data = total + self.window;
            self.control.push(Frame::MaxData(self.granted_data));
        }
        for (&id, stream) in &mut self.streams {
            if stream.size.is_none() && stream.granted - stream.highest < self.stream_window / 2 {
                stream.granted = stream.highest + self.stream_window;
                let limit = stream.granted;
                self.control.push(Frame::MaxStreamData { id, limit });
            }
        }
        let over = self
            .streams
            .iter()
            .filter(|(id, stream)| *id & 3 == 0 && stream.is_received());
        let count = over.count() as u64 + self.stream_count;
        if count > self.granted_streams {
            self.granted_streams = count;
            self.control.push(Frame::MaxStreams(count));
        }
    }
}
