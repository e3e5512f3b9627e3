//! What a seed stands for: how many nodes, what network, which clocks, what is asked of whom.

use crate::clock::Clock;
use crate::rng::{Rng, mix};
use crate::transport::MOST_LOSSES;

/// A bug that is put in on purpose, to see that an invariant catches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A replay begins with the frame that was received last.
    ReplayFromLastRecv,
    /// A replay leaves out its first frame.
    SkipAtResume,
    /// A spent token is taken again.
    TakeSpentTokens,
    /// Anybody's token is taken.
    TakeForeignTokens,
    /// A child's share is not set aside in the parent's ledger.
    ShareNotCommitted,
    /// A cancelled operation leaves those that it was delegated to alone.
    CancelNotPassedOn,
    /// Work goes on past its deadline.
    IgnoreDeadline,
    /// Work is not charged once its budget is used up.
    WorkUnpaid,
    /// A STREAM frame in the middle is never sent.
    LoseFrame,
    /// What was retained is never forgotten.
    RetainForever,
    /// An answer is complete, but its stream does not end.
    ForgetFin,
    /// A node does not look at its timers.
    IgnoreTimers,
}

/// The times and sizes of the transport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// After so much silence a connection is lost, in milliseconds.
    pub(crate) idle: u64,
    /// After so long without an acknowledgement a packet's frames are sent again.
    pub(crate) rto: u64,
    /// How many bytes a stream takes before its receiver reads.
    pub(crate) window: u64,
}

/// One world.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) fault: Option<Fault>,
    pub(crate) nodes: usize,
    pub(crate) clocks: Vec<Clock>,
    pub(crate) timing: Timing,
    pub(crate) min_delay: u64,
    pub(crate) max_delay: u64,
    /// In percent of all packets.
    pub(crate) loss: u64,
    pub(crate) duplicates: u64,
    /// A packet that takes much longer than others.
    pub(crate) late: u64,
    /// How long things are done to the world, in milliseconds.
    pub(crate) active: u64,
    /// The longest pause between two things that are done.
    pub(crate) pause: u64,
    /// Whether retained windows and their work outlive a crash.
    pub(crate) durable: bool,
    pub(crate) resumable: bool,
    pub(crate) channel_binding: bool,
    pub(crate) delegation: bool,
    /// Whether a node answers packets of connections that it does not know.
    pub(crate) stateless_resets: bool,
    pub(crate) cuts: bool,
    pub(crate) crashes: bool,
    pub(crate) severs: bool,
    pub(crate) drains: bool,
    pub(crate) stalls: bool,
    pub(crate) max_operations: usize,
    /// The most windows that a node retains, and the bytes and frames of each.
    pub(crate) max_retained: usize,
    pub(crate) window_bytes: usize,
    pub(crate) window_frames: u32,
    pub(crate) ttl_secs: u64,
    pub(crate) cancel_timeout: u64,
    pub(crate) drain_timeout: u64,
    /// The longest piece in which received bytes are handed over.
    pub(crate) piece: u64,
}

/// How long a process may be too busy to read, in milliseconds.
pub(crate) const MOST_STALL: u64 = 3_000;

/// The most nonces that a node remembers, in all and of one identity.
pub(crate) const NONCES: (usize, usize) = (512, 128);

impl Scenario {
    /// The world of `seed`, with `fault` put in.
    #[must_use]
    pub(crate) fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut rng = Rng::new(mix(seed, 0xabc));
        let nodes = rng.between(2, 5) as usize;
        let clocks = (0..nodes).map(|_| clock(&mut rng)).collect();
        let max_delay = rng.pick(&[2, 20, 60, 150]).unwrap_or(20);
        // The slower the link, the wider the window: nothing here is to take hours.
        let windows: &[u64] = match max_delay {
            2 => &[64, 1_500, 60_000],
            20 => &[400, 1_500, 60_000],
            _ => &[2_000, 8_000, 60_000],
        };
        let timing = Timing {
            idle: rng.between(4_000, 12_000),
            rto: 2 * max_delay + 25,
            window: rng.pick(windows).unwrap_or(8_000),
        };
        Self {
            seed,
            fault,
            nodes,
            clocks,
            timing,
            min_delay: rng.between(0, max_delay / 2),
            max_delay,
            loss: rng.pick(&[0, 0, 2, 10, 25]).unwrap_or(0),
            duplicates: rng.pick(&[0, 1, 10]).unwrap_or(0),
            late: rng.pick(&[0, 5, 20]).unwrap_or(0),
            active: rng.between(8_000, 30_000),
            pause: rng.pick(&[150, 400, 1_000]).unwrap_or(400),
            durable: rng.percent(50),
            resumable: rng.percent(75),
            channel_binding: rng.percent(40),
            delegation: rng.percent(70),
            stateless_resets: rng.percent(50),
            cuts: rng.percent(60),
            crashes: rng.percent(40),
            severs: rng.percent(60),
            drains: rng.percent(35),
            stalls: rng.percent(40),
            max_operations: rng.pick(&[3, 8, 64, 1024]).unwrap_or(64),
            max_retained: rng.pick(&[2, 16, 64]).unwrap_or(16),
            window_bytes: rng.pick(&[1_500, 6_000, 40_000]).unwrap_or(6_000) as usize,
            window_frames: rng.pick(&[4, 16, 256]).unwrap_or(16) as u32,
            ttl_secs: rng.between(3, 25),
            cancel_timeout: rng.pick(&[1_000, 5_000]).unwrap_or(5_000),
            drain_timeout: rng.pick(&[2_000, 10_000, 30_000]).unwrap_or(10_000),
            piece: rng.pick(&[5, 40, 1_000, 100_000]).unwrap_or(100),
        }
    }

    /// Whether `fault` is put in.
    #[must_use]
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// How long a frame can take over a link that is not cut, in milliseconds.
    #[must_use]
    pub(crate) fn most_delay(&self) -> u64 {
        u64::from(MOST_LOSSES + 1) * (self.timing.rto + 5) + 5 * self.max_delay
    }

    /// How long a cancel can take over one link that is not cut: past the cancel timeout the
    /// stream is reset, whatever flow control holds back.
    #[must_use]
    pub(crate) fn cancel_bound(&self) -> u64 {
        let drift = self.cancel_timeout / 100;
        self.cancel_timeout + drift + self.most_delay() + 100
    }

    /// How long an operation can go on unheard of after its connection came to harm: until both
    /// ends know, and until its retained state is dropped.
    #[must_use]
    pub(crate) fn lost_bound(&self, resumable: bool) -> u64 {
        let ttl = if resumable { self.ttl_secs * 1_010 } else { 0 };
        let late = 8 * self.timing.rto;
        self.timing.idle + ttl + self.drain_timeout + self.most_delay() + late + 1_000
    }
}

fn clock(rng: &mut Rng) -> Clock {
    let minutes = |rng: &mut Rng, most: u64| rng.between(0, most * 60_000) as i64;
    let skew = match rng.below(40) {
        // Past the window of HELLO, either way.
        0 => 310_000 + minutes(rng, 30),
        1 => -310_000 - minutes(rng, 30),
        2..14 => minutes(rng, 2),
        14..24 => -minutes(rng, 2),
        _ => rng.between(0, 400) as i64 - 200,
    };
    Clock {
        start: rng.between(0, 1_000_000),
        skew,
        ppm: rng.between(0, 10_000) as i64 - 5_000,
    }
}
