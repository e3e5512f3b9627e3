//! A small QUIC: packets that may be lost, doubled and late carry streams that may not.
//!
//! Streams are reliable and in order, each for itself; a lost packet holds up only its own streams.
//! Each has a flow-control window. What is left out is what AIRE cannot see: encryption, congestion
//! control, path changes.

use std::collections::{BTreeMap, BTreeSet};

use crate::scenario::Timing;

/// The most payload bytes of one packet.
const PACKET: usize = 1200;

/// After so many losses of the same frames the network has mercy: so delays are bounded.
pub(crate) const MOST_LOSSES: u32 = 4;

/// What a packet carries.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    Ping,
    Ack(Vec<u64>),
    Data {
        stream: u64,
        offset: u64,
        bytes: Vec<u8>,
        fin: bool,
    },
    Credit {
        stream: u64,
        limit: u64,
    },
    Reset {
        stream: u64,
        code: u64,
    },
    Stop {
        stream: u64,
        code: u64,
    },
    /// CONNECTION_CLOSE.
    Close {
        code: u64,
    },
    /// The stateless reset of a node that knows nothing of the connection.
    Unknown,
}

impl Frame {
    const fn elicits_ack(&self) -> bool {
        !matches!(self, Self::Ack(_) | Self::Close { .. } | Self::Unknown)
    }
}

/// What travels between nodes.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) connection: u64,
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The sender's incarnation, and the receiver's once the sender knows it: keys would do this.
    pub(crate) from_epoch: u64,
    pub(crate) to_epoch: Option<u64>,
    pub(crate) number: u64,
    /// How often these frames were lost already.
    pub(crate) losses: u32,
    pub(crate) frames: Vec<Frame>,
}

#[derive(Debug)]
struct Sent {
    frames: Vec<Frame>,
    at: u64,
    losses: u32,
}

impl Sent {
    /// When it is sent again. Where nothing comes through at all, that becomes rare.
    const fn due(&self, rto: u64) -> u64 {
        let patience = if self.losses > MOST_LOSSES { 8 } else { 1 };
        self.at + patience * rto
    }
}

/// Both directions of one stream.
#[derive(Debug, Default)]
struct Flow {
    written: u64,
    credit: u64,
    finished: bool,
    pieces: BTreeMap<u64, Vec<u8>>,
    ready: Vec<u8>,
    /// How many bytes were put in order, and how many of them read.
    ordered: u64,
    read: u64,
    granted: u64,
    fin_at: Option<u64>,
    fin_read: bool,
    reset: Option<u64>,
    stop: Option<u64>,
    reset_heard: bool,
    stop_heard: bool,
    deaf: bool,
}

/// What there is to tell of a stream.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) reset: Option<u64>,
    pub(crate) stop: Option<u64>,
    /// Bytes in order that were not read, and whether the stream ends behind them.
    pub(crate) ready: usize,
    pub(crate) fin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// We close: what is queued goes first.
    Closing {
        code: u64,
        at: u64,
    },
    /// The peer closed, with this code, or is lost.
    Over(Option<u64>),
}

/// One end of a QUIC connection.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) connection: u64,
    pub(crate) local: usize,
    pub(crate) peer: usize,
    pub(crate) client: bool,
    pub(crate) epoch: u64,
    pub(crate) peer_epoch: Option<u64>,
    /// Each end knows that the other is there.
    pub(crate) confirmed: bool,
    pub(crate) state: State,
    timing: Timing,
    next_number: u64,
    unacked: BTreeMap<u64, Sent>,
    acks: Vec<u64>,
    out: Vec<Frame>,
    resend: Vec<Sent>,
    flows: BTreeMap<u64, Flow>,
    /// Streams that have something to read, and streams that can take more.
    news: BTreeSet<u64>,
    writable: BTreeSet<u64>,
    heard_at: u64,
    sent_at: u64,
}

impl Endpoint {
    pub(crate) fn new(
        ends: (u64, usize, usize),
        client: bool,
        epoch: u64,
        timing: Timing,
        now: u64,
    ) -> Self {
        let (connection, local, peer) = ends;
        Self {
            connection,
            local,
            peer,
            client,
            epoch,
            peer_epoch: None,
            confirmed: false,
            state: State::Open,
            timing,
            next_number: 0,
            unacked: BTreeMap::new(),
            acks: Vec::new(),
            out: if client {
                vec![Frame::Ping]
            } else {
                Vec::new()
            },
            resend: Vec::new(),
            flows: BTreeMap::new(),
            news: BTreeSet::new(),
            writable: BTreeSet::new(),
            heard_at: now,
            sent_at: now,
        }
    }

    fn flow(&mut self, stream: u64) -> &mut Flow {
        let window = self.timing.window;
        self.flows.entry(stream).or_insert_with(|| Flow {
            credit: window,
            granted: window,
            ..Flow::default()
        })
    }

    /// Takes a packet of this connection.
    pub(crate) fn receive(&mut self, packet: Packet, now: u64) {
        if packet
            .frames
            .iter()
            .any(|frame| matches!(frame, Frame::Unknown))
        {
            self.state = State::Over(None);
            return;
        }
        let stranger = packet.to_epoch.is_some_and(|epoch| epoch != self.epoch)
            || self
                .peer_epoch
                .is_some_and(|epoch| epoch != packet.from_epoch);
        if stranger || matches!(self.state, State::Over(_)) {
            return;
        }
        self.peer_epoch = Some(packet.from_epoch);
        self.confirmed |= self.client || packet.to_epoch.is_some();
        self.heard_at = now;
        if packet.frames.iter().any(Frame::elicits_ack) {
            self.acks.push(packet.number);
        }
        for frame in packet.frames {
            self.take(frame);
        }
    }

    fn take(&mut self, frame: Frame) {
        match frame {
            Frame::Ping | Frame::Unknown => {}
            Frame::Ack(numbers) => {
                for number in numbers {
                    self.unacked.remove(&number);
                }
            }
            Frame::Data {
                stream,
                offset,
                bytes,
                fin,
            } => self.take_data(stream, offset, bytes, fin),
            Frame::Credit { stream, limit } => {
                let flow = self.flow(stream);
                if limit > flow.credit {
                    flow.credit = limit;
                    self.writable.insert(stream);
                }
            }
            Frame::Reset { stream, code } => {
                let flow = self.flow(stream);
                if !flow.fin_read && flow.reset.is_none() {
                    flow.reset = Some(code);
                    flow.ready.clear();
                    flow.pieces.clear();
                    self.news.insert(stream);
                }
            }
            Frame::Stop { stream, code } => {
                let flow = self.flow(stream);
                if flow.stop.is_none() {
                    flow.stop = Some(code);
                    self.news.insert(stream);
                }
            }
            Frame::Close { code } => self.state = State::Over(Some(code)),
        }
    }

    fn take_data(&mut self, stream: u64, offset: u64, bytes: Vec<u8>, fin: bool) {
        let flow = self.flow(stream);
        if flow.deaf || flow.reset.is_some() {
            return;
        }
        if fin {
            flow.fin_at = Some(offset + bytes.len() as u64);
        }
        if !bytes.is_empty() && offset >= flow.ordered {
            flow.pieces.insert(offset, bytes);
        }
        // A piece is always sent again as it was cut at first, so pieces never overlap.
        while let Some(piece) = flow.pieces.remove(&flow.ordered) {
            flow.ordered += piece.len() as u64;
            flow.ready.extend_from_slice(&piece);
        }
        self.news.insert(stream);
    }

    /// Streams with something to read.
    pub(crate) fn streams_with_news(&self) -> Vec<u64> {
        self.news.iter().copied().collect()
    }

    /// STOP_SENDING on `stream` was told to somebody who knows the stream.
    pub(crate) fn stop_heard(&mut self, stream: u64) {
        self.flow(stream).stop_heard = true;
    }

    /// What there is to tell of `stream`. A reset is told once.
    pub(crate) fn news(&mut self, stream: u64) -> News {
        let flow = self.flow(stream);
        let reset = flow.reset.filter(|_| !flow.reset_heard && !flow.deaf);
        flow.reset_heard |= reset.is_some();
        News {
            reset,
            stop: flow.stop.filter(|_| !flow.stop_heard),
            ready: flow.ready.len(),
            fin: flow.fin_at == Some(flow.ordered) && !flow.fin_read,
        }
    }

    /// The first `len` bytes that can be read.
    pub(crate) fn peek(&mut self, stream: u64, len: usize) -> Vec<u8> {
        self.flow(stream).ready[..len].to_vec()
    }

    /// `len` bytes were read, and the end of the stream when `fin`: its window opens again.
    pub(crate) fn consume(&mut self, stream: u64, len: usize, fin: bool) {
        let window = self.timing.window;
        let flow = self.flow(stream);
        let len = len.min(flow.ready.len());
        flow.ready.drain(..len);
        flow.read += len as u64;
        flow.fin_read |= fin;
        let limit = flow.read + window;
        if limit >= flow.granted + window / 2 && flow.fin_at.is_none() {
            flow.granted = limit;
            self.out.push(Frame::Credit { stream, limit });
        }
    }

    /// Nothing more can be read of `stream` for now.
    pub(crate) fn no_news(&mut self, stream: u64) {
        self.news.remove(&stream);
    }

    /// Takes as much as flow control allows: how many bytes, and whether FIN went with them.
    pub(crate) fn write(&mut self, stream: u64, bytes: &[u8], fin: bool) -> (usize, bool) {
        let flow = self.flow(stream);
        if flow.finished {
            return (bytes.len(), fin);
        }
        let room = usize::try_from(flow.credit.saturating_sub(flow.written)).unwrap_or(usize::MAX);
        let taken = bytes.len().min(room);
        let fin = fin && taken == bytes.len();
        let mut offset = flow.written;
        flow.written += taken as u64;
        flow.finished |= fin;
        for chunk in bytes[..taken].chunks(PACKET) {
            self.out.push(Frame::Data {
                stream,
                offset,
                bytes: chunk.to_vec(),
                fin: false,
            });
            offset += chunk.len() as u64;
        }
        if fin {
            self.out.push(Frame::Data {
                stream,
                offset,
                bytes: Vec::new(),
                fin: true,
            });
        }
        (taken, fin)
    }

    /// RESET_STREAM: what was written and is not there yet may never come.
    pub(crate) fn reset(&mut self, stream: u64, code: u64) {
        let gone = |frame: &Frame| matches!(frame, Frame::Data { stream: of, .. } if *of == stream);
        self.out.retain(|frame| !gone(frame));
        for sent in self.unacked.values_mut().chain(&mut self.resend) {
            sent.frames.retain(|frame| !gone(frame));
        }
        self.flow(stream).finished = true;
        self.out.push(Frame::Reset { stream, code });
    }

    /// STOP_SENDING: nothing more is read.
    pub(crate) fn stop(&mut self, stream: u64, code: u64) {
        let flow = self.flow(stream);
        flow.deaf = true;
        flow.ready.clear();
        flow.pieces.clear();
        self.out.push(Frame::Stop { stream, code });
    }

    /// Streams whose window has opened since the last call.
    pub(crate) fn take_writable(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.writable).into_iter().collect()
    }

    /// Sends what is queued, then CONNECTION_CLOSE.
    pub(crate) fn close(&mut self, code: u64, now: u64) {
        if self.state == State::Open {
            let at = now + 200;
            self.state = State::Closing { code, at };
        }
    }

    /// When [`on_timer`](Self::on_timer) is due next.
    pub(crate) fn next_timer(&self) -> u64 {
        let mut next = self.heard_at + self.timing.idle;
        for sent in self.unacked.values() {
            next = next.min(sent.due(self.timing.rto));
        }
        if let State::Closing { at, .. } = self.state {
            next = next.min(at);
        }
        if self.client && self.state == State::Open {
            next = next.min(self.sent_at + self.timing.idle / 3);
        }
        next
    }

    /// Does what is due: sends again, keeps the connection alive, or gives it up.
    pub(crate) fn on_timer(&mut self, now: u64) {
        if let State::Closing { code, at } = self.state
            && at <= now
        {
            self.out = vec![Frame::Close { code }];
            self.state = State::Over(Some(code));
        } else if self.heard_at + self.timing.idle <= now {
            self.state = State::Over(None);
        }
        let rto = self.timing.rto;
        let late = |sent: &Sent| sent.due(rto) <= now;
        let numbers: Vec<u64> = self
            .unacked
            .iter()
            .filter(|(_, sent)| late(sent))
            .map(|(number, _)| *number)
            .collect();
        for mut sent in numbers
            .iter()
            .filter_map(|number| self.unacked.remove(number))
        {
            sent.losses += 1;
            if !sent.frames.is_empty() {
                self.resend.push(sent);
            }
        }
        if self.client && self.state == State::Open && self.sent_at + self.timing.idle / 3 <= now {
            self.out.push(Frame::Ping);
        }
    }

    /// The packets that leave now.
    pub(crate) fn flush(&mut self, now: u64) -> Vec<Packet> {
        let mut packets = Vec::new();
        for late in std::mem::take(&mut self.resend) {
            packets.push(self.packet(late.frames, late.losses, now));
        }
        let mut batch = Vec::new();
        let mut size = 0;
        for frame in std::mem::take(&mut self.out) {
            if let Frame::Data { bytes, .. } = &frame {
                if size + bytes.len() > PACKET && !batch.is_empty() {
                    packets.push(self.packet(std::mem::take(&mut batch), 0, now));
                    size = 0;
                }
                size += bytes.len();
            }
            batch.push(frame);
        }
        if !batch.is_empty() || !self.acks.is_empty() {
            packets.push(self.packet(batch, 0, now));
        }
        packets
    }

    fn packet(&mut self, mut frames: Vec<Frame>, losses: u32, now: u64) -> Packet {
        let number = self.next_number;
        self.next_number += 1;
        if frames.iter().any(Frame::elicits_ack) {
            self.sent_at = now;
            let sent = Sent {
                frames: frames.clone(),
                at: now,
                losses,
            };
            self.unacked.insert(number, sent);
        }
        if !self.acks.is_empty() {
            frames.push(Frame::Ack(std::mem::take(&mut self.acks)));
        }
        Packet {
            connection: self.connection,
            from: self.local,
            to: self.peer,
            from_epoch: self.epoch,
            to_epoch: self.peer_epoch,
            number,
            losses,
            frames,
        }
    }

    /// Whether all that was sent has arrived, and all that arrived was read.
    pub(crate) fn is_quiet(&self) -> bool {
        let sent = self.unacked.is_empty() && self.out.is_empty() && self.resend.is_empty();
        sent && self.news.is_empty()
    }

    /// The most bytes that wait unread on one stream.
    pub(crate) fn most_unread(&self) -> u64 {
        let unread = |flow: &Flow| flow.ordered - flow.read;
        self.flows
            .values()
            .filter(|flow| !flow.deaf && flow.reset.is_none())
            .map(unread)
            .max()
            .unwrap_or(0)
    }
}
