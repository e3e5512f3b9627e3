//! What every process reaches into: chance, time, the network's mouth, the books.

use std::fmt;

use crate::audit::Auditor;
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::stats::Stats;
use crate::transport::Packet;

/// The world, as a process sees it.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) scenario: Scenario,
    pub(crate) rng: Rng,
    /// Milliseconds since the world began.
    pub(crate) now: u64,
    pub(crate) audit: Auditor,
    pub(crate) stats: Stats,
    /// What leaves the processes in this step.
    pub(crate) outbox: Vec<Packet>,
    /// Whether things are still done to the world.
    pub(crate) active: bool,
    next_id: u64,
    trace: Trace,
}

/// What happened, as a hash, and as lines for a reader who asks for them.
#[derive(Debug)]
struct Trace {
    hash: u64,
    print: bool,
    line: String,
}

impl Context {
    pub(crate) fn new(scenario: Scenario, print: bool) -> Self {
        Self {
            rng: Rng::new(scenario.seed),
            scenario,
            now: 0,
            audit: Auditor::default(),
            stats: Stats::default(),
            outbox: Vec::new(),
            active: true,
            next_id: 0,
            trace: Trace {
                hash: 0xcbf2_9ce4_8422_2325,
                print,
                line: String::new(),
            },
        }
    }

    /// A number that nobody else has.
    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Notes what happened on `node`.
    pub(crate) fn trace(&mut self, node: usize, what: fmt::Arguments<'_>) {
        use fmt::Write as _;

        let trace = &mut self.trace;
        trace.line.clear();
        // Writing to a string does not fail.
        let _ = write!(trace.line, "{:>8} n{node} {what}", self.now);
        for byte in trace.line.bytes() {
            trace.hash = (trace.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if trace.print {
            println!("{}", trace.line);
        }
    }

    /// The hash of all that happened so far.
    pub(crate) const fn trace_hash(&self) -> u64 {
        self.trace.hash
    }
}
