//! The table against the naive end, over a network that loses, repeats, reorders and cuts.

use super::model::{Ending, Frame, Model, Plan, Rng, byte, parse};
use super::*;
use crate::carried::Carried;
use crate::coding::Writer;
use std::collections::BTreeMap;
use std::vec::Vec;

/// A run ends long before; more steps mean that something waits forever.
const STEPS: usize = 500_000;

/// Optimised code runs ten times as many in the same time.
const SEEDS: u64 = if cfg!(debug_assertions) { 400 } else { 4000 };

/// The application on this end: it does something only when an event told it to.
struct App {
    plan: Plan,
    written: u64,
    writable: bool,
    ended: bool,
    finished: bool,
    stopped: Option<u64>,
    read: u64,
    readable: bool,
    at_end: bool,
    reset: Option<u64>,
    gave_up: bool,
}

impl App {
    fn new(plan: Plan) -> Self {
        Self {
            plan,
            written: 0,
            writable: true,
            ended: false,
            finished: false,
            stopped: None,
            read: 0,
            readable: false,
            at_end: false,
            reset: None,
            gave_up: false,
        }
    }

    fn is_over(&self) -> bool {
        let sent = self.finished || self.stopped.is_some() || self.plan.ending != Ending::Finish;
        self.ended && sent && (self.at_end || self.reset.is_some() || self.gave_up)
    }

    fn send(&mut self, id: StreamId, streams: &mut Streams<'_>, rng: &mut Rng) {
        if self.ended || self.stopped.is_some() {
            self.ended = true;
            return;
        }
        if self.written == self.plan.len {
            self.ended = true;
            match self.plan.ending {
                Ending::Finish => streams.finish(id),
                Ending::Reset(code) => streams.reset(id, code),
            }
        } else if self.writable {
            let most = if rng.chance(50) { 8 } else { 100 };
            let len = (1 + rng.below(most)).min(self.plan.len - self.written);
            let range = self.written..self.written + len;
            let bytes: Vec<u8> = range.map(|at| byte(id.get(), at, true)).collect();
            let taken = streams.write(id, &bytes);
            self.written += taken as u64;
            self.writable = taken == bytes.len();
        }
    }

    fn receive(&mut self, id: StreamId, streams: &mut Streams<'_>, rng: &mut Rng) {
        if self.at_end || self.reset.is_some() || self.gave_up {
            assert_eq!(streams.peek(id), Peek::default());
            return;
        }
        if let Some((after, code)) = self.plan.stop
            && self.read >= after
        {
            self.gave_up = true;
            streams.stop_sending(id, code);
        } else if self.readable {
            let peek = streams.peek(id);
            let take = (1 + rng.below(50) as usize).min(peek.bytes.len());
            for (at, &got) in (self.read..).zip(&peek.bytes[..take]) {
                assert_eq!(got, byte(id.get(), at, false), "byte {at} of {id:?}");
            }
            let fin = peek.fin && take == peek.bytes.len();
            self.readable = !fin && take > 0;
            self.read += take as u64;
            self.at_end = fin;
            streams.consume(id, take, fin);
        }
    }
}

struct Sent {
    number: usize,
    carried: Carried,
    delivered: bool,
    said_lost: bool,
}

struct Run<'m> {
    rng: Rng,
    streams: Streams<'m>,
    apps: BTreeMap<StreamId, App>,
    to_open: u64,
    may_open: bool,
    model: Model,
    /// Packets of this end that the network still holds, and what became of all of them.
    out: Vec<(usize, Vec<u8>)>,
    sent: Vec<Sent>,
    next: usize,
    /// The same for the other end.
    back: Vec<(usize, Vec<Frame>)>,
    model_sent: Vec<(usize, Vec<Frame>, bool)>,
    loss: u64,
    burst: u64,
}

impl Run<'_> {
    fn step(&mut self) {
        // Bursts let many packets be under way at once, and overtake each other.
        let times = if self.rng.chance(20) { self.burst } else { 1 };
        let what = self.rng.below(8);
        for _ in 0..times {
            match what {
                0 => self.send(),
                1 => self.deliver(),
                2 => self.settle(),
                3 => self.send_back(),
                4 => self.deliver_back(),
                5 => self.settle_back(),
                6 => self.act(),
                _ => self.model.act(&mut self.rng),
            }
        }
    }

    fn copies(&mut self) -> usize {
        if self.rng.chance(self.loss) {
            0
        } else {
            1 + usize::from(self.rng.chance(10))
        }
    }

    fn send(&mut self) {
        let mut memory = [0; 200];
        let room = if self.rng.chance(50) {
            200
        } else {
            self.rng.below(200) as usize
        };
        let mut out = Writer::new(&mut memory[..room]);
        let mut carried = Carried::default();
        let wanted = self.streams.wants_to_send();
        self.streams.write_frames(&mut out, &mut carried);
        assert!(wanted || out.len() == 0);
        assert!(!wanted || out.len() > 0 || room < 200);
        if out.len() == 0 {
            return;
        }
        let packet = out.written().to_vec();
        for _ in 0..self.copies() {
            self.out.push((self.next, packet.clone()));
        }
        self.sent.push(Sent {
            number: self.next,
            carried,
            delivered: false,
            said_lost: false,
        });
        self.next += 1;
    }

    fn deliver(&mut self) {
        if let Some((number, packet)) = self.rng.pick(&mut self.out) {
            self.model.receive(&parse(&packet), &mut self.rng);
            if let Some(sent) = self.sent.iter_mut().find(|sent| sent.number == number) {
                sent.delivered = true;
            }
        }
    }

    /// One packet is acknowledged or taken for lost, rightly or not.
    fn settle(&mut self) {
        let Some(mut sent) = self.rng.pick(&mut self.sent) else {
            return;
        };
        if sent.delivered && self.rng.chance(70) {
            self.streams.on_acked(&sent.carried);
            return;
        }
        if !sent.said_lost || self.rng.chance(20) {
            self.streams.on_lost(&sent.carried);
            sent.said_lost = true;
            // What a probe repeats is remembered; what is lost is not.
            if self.rng.chance(50) {
                return;
            }
        }
        self.sent.push(sent);
    }

    fn send_back(&mut self) {
        let frames = self.model.packet(&mut self.rng);
        if frames.is_empty() {
            return;
        }
        for _ in 0..self.copies() {
            self.back.push((self.next, frames.clone()));
        }
        self.model_sent.push((self.next, frames, false));
        self.next += 1;
    }

    fn deliver_back(&mut self) {
        let Some((number, frames)) = self.rng.pick(&mut self.back) else {
            return;
        };
        let mut taken = true;
        for frame in frames {
            taken &= self.frame(&frame) == Taken::Yes;
        }
        let sent = self.model_sent.iter_mut().find(|sent| sent.0 == number);
        if taken && let Some(sent) = sent {
            sent.2 = true;
        }
    }

    fn frame(&mut self, frame: &Frame) -> Taken {
        let streams = &mut self.streams;
        match *frame {
            Frame::Stream {
                id: stream,
                offset,
                len,
                fin,
            } => {
                let range = offset..offset + len;
                let data: Vec<u8> = range.map(|at| byte(stream, at, false)).collect();
                return streams.on_stream(id(stream), offset, &data, fin).unwrap();
            }
            Frame::Reset {
                id: stream,
                code,
                size,
            } => {
                streams.on_reset_stream(id(stream), code, size).unwrap();
            }
            Frame::Stop { id: stream, code } => {
                streams.on_stop_sending(id(stream), code).unwrap();
            }
            Frame::MaxData(limit) => streams.on_max_data(limit),
            Frame::MaxStreamData { id: stream, limit } => {
                streams.on_max_stream_data(id(stream), limit).unwrap();
            }
            Frame::MaxStreams(count) => streams.on_max_streams(count).unwrap(),
            Frame::Blocked { id: stream } => streams.on_stream_data_blocked(id(stream)).unwrap(),
        }
        Taken::Yes
    }

    fn settle_back(&mut self) {
        let Some((_, frames, delivered)) = self.rng.pick(&mut self.model_sent) else {
            return;
        };
        if delivered && self.rng.chance(90) {
            self.model.on_acked(&frames);
        } else {
            self.model.on_lost(&frames);
        }
    }

    fn act(&mut self) {
        if self.rng.chance(70) {
            while let Some(event) = self.streams.poll_event() {
                self.note(event);
            }
        }
        if self.to_open > 0 && self.may_open && self.rng.chance(30) {
            assert_eq!(self.streams.can_open(), {
                let opened = self.streams.open();
                self.may_open = opened.is_ok();
                if let Ok(id) = opened {
                    self.apps.insert(id, App::new(Plan::random(&mut self.rng)));
                    self.to_open -= 1;
                }
                opened.is_ok()
            });
        }
        for (&id, app) in &mut self.apps {
            if self.rng.chance(50) {
                app.send(id, &mut self.streams, &mut self.rng);
            }
            if self.rng.chance(50) {
                app.receive(id, &mut self.streams, &mut self.rng);
            }
        }
    }

    fn app(&mut self, stream: StreamId) -> &mut App {
        self.apps.get_mut(&stream).unwrap()
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::StreamsAvailable => self.may_open = true,
            Event::Opened(stream) => {
                assert!(!stream.is_local());
                let app = App::new(Plan::random(&mut self.rng));
                assert!(self.apps.insert(stream, app).is_none());
            }
            Event::Readable(stream) => self.app(stream).readable = true,
            Event::Reset { stream, code } => {
                let app = self.app(stream);
                // It may have come before the application gave up, and be told only now.
                assert!(app.reset.is_none() && !app.at_end);
                app.reset = Some(code);
            }
            Event::Writable(stream) => self.app(stream).writable = true,
            Event::Stopped { stream, code } => {
                assert!(self.app(stream).stopped.is_none());
                self.app(stream).stopped = Some(code);
            }
            Event::Finished(stream) => {
                assert!(!self.app(stream).finished && self.app(stream).stopped.is_none());
                self.app(stream).finished = true;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.to_open == 0 && self.model.is_over() && self.apps.values().all(App::is_over)
    }

    /// Lets everything arrive that is still under way.
    fn drain(&mut self) {
        self.loss = 0;
        (0..500).for_each(|_| self.step());
        while !self.out.is_empty() || self.streams.wants_to_send() {
            self.send();
            self.deliver();
            self.settle();
        }
        self.act();
        while let Some(event) = self.streams.poll_event() {
            self.note(event);
        }
    }

    fn check_streams(&self) {
        for (id, app) in &self.apps {
            let peer = &self.model.streams[&id.get()];
            if app.finished {
                assert!(peer.is_whole() && peer.size == Some(app.plan.len));
            } else {
                let code = match (app.stopped, app.plan.ending) {
                    (Some(code), _) | (None, Ending::Reset(code)) => code,
                    (None, Ending::Finish) => panic!("{id:?} is neither finished nor stopped"),
                };
                assert_eq!(peer.client_reset, Some(code));
            }
            assert!(app.stopped.is_none() || peer.asked_to_stop);
            if app.at_end {
                assert_eq!(app.read, peer.sent);
            }
            if let Some(code) = app.reset {
                assert_eq!(peer.reset, Some(code));
            }
            assert!(peer.stopped.is_none() || app.gave_up);
        }
    }

    fn check_credit(&self) {
        let (from_model, from_client) = self.model.totals();
        let (received, consumed, _) = self.streams.inbound.counts();
        assert_eq!((received, consumed), (from_model, from_model));
        assert_eq!(self.streams.outbound.sent(), from_client);
        assert!(self.streams.slots.iter().all(|slot| !slot.used));
        let accepted = self.streams.accepted + self.streams.peer_streams();
        assert_eq!(self.streams.max_accepted, accepted);
    }
}

fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let peers = rng.below(4);
    let slots = peers + 1 + rng.below(3);
    let most = if rng.chance(60) { 90 } else { 700 };
    let least = if rng.chance(5) { 1 } else { 24 };
    let (rx, tx) = (least + rng.below(most), least + rng.below(most));
    let chunk = if rng.chance(60) { 40 } else { 6 };
    let mut memory = Memory::new(slots as usize, rx as usize, tx as usize);
    let mut streams = memory.streams(peers as u8);
    let granted = (
        60 + rng.below(2 * most),
        20 + rng.below(most),
        1 + rng.below(4),
    );
    streams.set_limits(Limits {
        max_data: granted.0,
        max_stream_data_bidi_local: granted.1,
        max_stream_data_bidi_remote: granted.1,
        max_streams_bidi: granted.2,
    });
    let client = (streams.max_data(), streams.window(), streams.peer_streams());
    let to_open = if peers == 0 { 0 } else { rng.below(12) };
    let mut run = Run {
        model: Model::new(client, granted, to_open, chunk),
        streams,
        apps: BTreeMap::new(),
        to_open: 1 + rng.below(12),
        may_open: true,
        out: Vec::new(),
        sent: Vec::new(),
        next: 0,
        back: Vec::new(),
        model_sent: Vec::new(),
        loss: rng.below(45),
        burst: 1 + rng.below(12),
        rng,
    };
    let over = (0..STEPS / 32).any(|_| {
        (0..32).for_each(|_| run.step());
        run.is_over()
    });
    if !over {
        std::println!(
            "to_open {} may {} model {:#?}",
            run.to_open,
            run.may_open,
            run.model
                .streams
                .iter()
                .filter(|(_, s)| !s.is_over())
                .collect::<Vec<_>>()
        );
        for (id, a) in &run.apps {
            if !a.is_over() {
                std::println!(
                    "{id:?} {:?} w{} writable{} ended{} fin{} stop{:?} read{} readable{} at_end{} reset{:?} gave{}",
                    a.plan,
                    a.written,
                    a.writable,
                    a.ended,
                    a.finished,
                    a.stopped,
                    a.read,
                    a.readable,
                    a.at_end,
                    a.reset,
                    a.gave_up
                );
            }
        }
        for s in run.streams.slots.iter() {
            if s.used {
                std::println!("{s:?}");
            }
        }
        std::println!(
            "{:?} {:?} {} {} out {} back {} sent {} ms {}",
            run.streams.inbound,
            run.streams.outbound,
            run.streams.opened,
            run.streams.max_opened,
            run.out.len(),
            run.back.len(),
            run.sent.len(),
            run.model_sent.len()
        );
    }
    assert!(over, "seed {seed} waits forever");
    run.drain();
    run.check_streams();
    run.check_credit();
}

#[test]
fn every_byte_and_every_end_arrives_once_and_no_credit_or_slot_is_lost() {
    for seed in 0..SEEDS {
        run(seed);
    }
}
