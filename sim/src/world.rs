//! The world: nodes, links between them, and the time that passes for all.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use aire_proto::wire::{Budget, Currency};
use aire_proto::{CancelReason, UnixMillis};

use crate::audit::{Failure, Invariant};
use crate::context::Context;
use crate::plan::Plan;
use crate::process::Process;
use crate::scenario::{Fault, MOST_STALL, Scenario};
use crate::stats::Stats;
use crate::transport::{MOST_LOSSES, Packet};

/// How long everything may take to come to rest after the last thing was done, in milliseconds.
const MOST_REST: u64 = 400_000;

/// How often the books are audited, in milliseconds.
const AUDIT: u64 = 250;

/// Something that will happen.
#[derive(Debug)]
enum Happening {
    Arrival(Box<Packet>),
    Wake(usize),
    /// Something is done to the world.
    Act,
    Heal(usize, usize),
    Restart(usize),
    Audit,
}

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which world it was.
    pub seed: u64,
    /// How much of everything there was.
    pub stats: Stats,
    /// The first invariant that did not hold.
    pub failure: Option<Failure>,
    /// Equal when, and only when, the same happened.
    pub trace_hash: u64,
}

struct World {
    ctx: Context,
    processes: Vec<Process>,
    /// By time, and by the order of coming: nothing else decides.
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: std::collections::BTreeMap<u64, Happening>,
    next_happening: u64,
    /// When each process is woken next.
    wakes: Vec<u64>,
    /// Directions that carry nothing.
    cuts: BTreeSet<(usize, usize)>,
    in_flight: usize,
}

/// Plays the world of `seed`, with `fault` put in; prints what happens when `print`.
#[must_use]
pub fn play(seed: u64, fault: Option<Fault>, print: bool) -> Report {
    let mut world = World::new(Scenario::new(seed, fault), print);
    world.play();
    let ctx = &mut world.ctx;
    ctx.stats.seeds = 1;
    ctx.stats.millis = ctx.now;
    Report {
        seed,
        stats: ctx.stats,
        failure: ctx.audit.failure.clone(),
        trace_hash: ctx.trace_hash(),
    }
}

impl World {
    fn new(scenario: Scenario, print: bool) -> Self {
        let processes = scenario
            .clocks
            .iter()
            .enumerate()
            .map(|(node, clock)| Process::new(node, *clock))
            .collect();
        if print {
            println!("{scenario:#?}");
        }
        let mut world = Self {
            wakes: vec![u64::MAX; scenario.nodes],
            ctx: Context::new(scenario, print),
            processes,
            queue: BinaryHeap::new(),
            happenings: std::collections::BTreeMap::new(),
            next_happening: 0,
            cuts: BTreeSet::new(),
            in_flight: 0,
        };
        world.at(0, Happening::Act);
        world.at(AUDIT, Happening::Audit);
        world
    }

    fn at(&mut self, time: u64, happening: Happening) {
        let id = self.next_happening;
        self.next_happening += 1;
        self.queue.push(Reverse((time, id)));
        self.happenings.insert(id, happening);
    }

    fn play(&mut self) {
        while let Some(Reverse((time, id))) = self.queue.pop() {
            let Some(happening) = self.happenings.remove(&id) else {
                continue;
            };
            self.ctx.now = time;
            self.ctx.stats.steps += 1;
            self.happen(happening);
            self.carry();
            if self.ctx.audit.failure.is_some() {
                return;
            }
            if !self.ctx.active && self.is_at_rest() {
                self.ctx.audit.check_rest();
                return;
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival(packet) => self.arrive(*packet),
            Happening::Wake(node) => {
                if self.wakes[node] <= self.ctx.now {
                    self.wakes[node] = u64::MAX;
                    self.run(node);
                }
            }
            Happening::Act => self.act(),
            Happening::Heal(from, to) => {
                self.cuts.remove(&(from, to));
                self.ctx.audit.disturbed(from, to, self.ctx.now);
            }
            Happening::Restart(node) => self.restart(node),
            Happening::Audit => self.audit(),
        }
    }

    /// Lets a process do what is due, and asks when it wants to be woken.
    fn run(&mut self, node: usize) {
        let process = &mut self.processes[node];
        if !process.up {
            return;
        }
        process.run(&mut self.ctx);
        let next = process.next_wake(&self.ctx).max(self.ctx.now + 1);
        if next < self.wakes[node] {
            self.wakes[node] = next;
            self.at(next, Happening::Wake(node));
        }
    }

    fn restart(&mut self, node: usize) {
        self.ctx.trace(node, format_args!("restart"));
        let process = &mut self.processes[node];
        process.up = true;
        process.use_tickets(&mut self.ctx);
        self.run(node);
    }

    /// Sends what the processes handed out: some of it is lost, some comes twice, some late.
    fn carry(&mut self) {
        for packet in std::mem::take(&mut self.ctx.outbox) {
            self.ctx.stats.packets += 1;
            let scenario = &self.ctx.scenario;
            let (loss, doubles) = (scenario.loss, scenario.duplicates);
            let lost = packet.losses < MOST_LOSSES && self.ctx.rng.percent(loss);
            if lost || self.cuts.contains(&(packet.from, packet.to)) {
                self.ctx.stats.dropped += 1;
                continue;
            }
            if self.ctx.rng.percent(doubles) {
                self.ctx.stats.doubled += 1;
                self.send(packet.clone());
            }
            self.send(packet);
        }
    }

    fn send(&mut self, packet: Packet) {
        let scenario = &self.ctx.scenario;
        let (low, high, late) = (scenario.min_delay, scenario.max_delay, scenario.late);
        let mut delay = self.ctx.rng.between(low, high);
        if self.ctx.rng.percent(late) {
            delay += self.ctx.rng.between(0, 4 * high);
        }
        self.in_flight += 1;
        self.at(
            self.ctx.now + delay.max(1),
            Happening::Arrival(Box::new(packet)),
        );
    }

    fn arrive(&mut self, packet: Packet) {
        self.in_flight -= 1;
        let node = packet.to;
        let process = &mut self.processes[node];
        if !process.up || self.cuts.contains(&(packet.from, node)) {
            self.ctx.stats.dropped += 1;
            return;
        }
        process.deliver(packet, &mut self.ctx);
        self.run(node);
    }

    /// Does something to the world.
    fn act(&mut self) {
        if self.ctx.now >= self.ctx.scenario.active {
            self.rest();
            return;
        }
        let node = self.ctx.rng.below(self.ctx.scenario.nodes as u64) as usize;
        if self.processes[node].up {
            self.act_on(node);
            self.run(node);
        }
        let pause = self.ctx.rng.between(1, self.ctx.scenario.pause);
        self.at(self.ctx.now + pause, Happening::Act);
    }

    fn act_on(&mut self, node: usize) {
        let scenario = &self.ctx.scenario;
        let (cuts, crashes, severs) = (scenario.cuts, scenario.crashes, scenario.severs);
        let (drains, stalls) = (scenario.drains, scenario.stalls);
        match self.ctx.rng.below(100) {
            0..44 => self.invoke(node),
            44..53 => self.cancel(node),
            53..62 => {
                let jobs: Vec<u64> = self.processes[node].calls.keys().copied().collect();
                if let Some(job) = self.ctx.rng.pick(&jobs) {
                    self.processes[node].change_budget(job, &mut self.ctx);
                }
            }
            62..70 if cuts => self.cut(node),
            70..73 if crashes => {
                self.processes[node].crash(&mut self.ctx);
                let pause = self.ctx.rng.between(10, 6_000);
                self.at(self.ctx.now + pause, Happening::Restart(node));
            }
            73..83 if severs => self.processes[node].sever(&mut self.ctx),
            83..88 if drains => self.processes[node].drain(&mut self.ctx),
            88..94 if stalls => self.processes[node].stall(MOST_STALL, &mut self.ctx),
            94..100 => self.probe(node),
            _ => {}
        }
    }

    fn other_than(&mut self, node: usize) -> usize {
        let nodes = self.ctx.scenario.nodes as u64;
        let step = self.ctx.rng.between(1, nodes - 1);
        ((node as u64 + step) % nodes) as usize
    }

    /// A root operation, with or without a budget.
    fn invoke(&mut self, node: usize) {
        let target = self.other_than(node);
        let job = self.ctx.fresh_id();
        let budgeted = self.ctx.rng.percent(50);
        let unix = self.processes[node].now(&self.ctx).unix;
        let ctx = &mut self.ctx;
        let budget = budgeted.then(|| Budget {
            tokens: Some(ctx.rng.pick(&[0, 40, 200, 1_000]).unwrap_or(60)),
            cost_microunits: ctx.rng.percent(40).then(|| ctx.rng.between(0, 60_000)),
            currency: ctx.rng.percent(50).then_some(Currency::USD),
            deadline: ctx
                .rng
                .percent(40)
                .then(|| UnixMillis(unix.0 + ctx.rng.between(200, 20_000) as i64)),
            ..Budget::default()
        });
        let scenario = ctx.scenario.clone();
        let plan = Plan::random(&mut ctx.rng, &scenario, job, 0, budgeted);
        self.processes[node].ask(plan, target, None, budget, ctx);
    }

    fn cancel(&mut self, node: usize) {
        let calls = &self.processes[node].calls;
        let roots: Vec<u64> = calls
            .iter()
            .filter(|(_, call)| call.parent.is_none())
            .map(|(job, _)| *job)
            .collect();
        if let Some(job) = self.ctx.rng.pick(&roots) {
            let process = &mut self.processes[node];
            process.cancel_call(job, CancelReason::UserCancelled, &mut self.ctx);
        }
    }

    /// A link carries nothing for a while, in one direction or both.
    fn cut(&mut self, node: usize) {
        let other = self.other_than(node);
        let until = self.ctx.now + self.ctx.rng.between(50, 15_000);
        let both = self.ctx.rng.percent(70);
        self.ctx.stats.cuts += 1;
        self.ctx
            .trace(node, format_args!("cut from n{other} until {until}"));
        for (from, to) in [(node, other), (other, node)] {
            if both || from == node {
                self.cuts.insert((from, to));
                self.ctx.audit.disturbed(from, to, self.ctx.now);
                self.at(until, Happening::Heal(from, to));
            }
        }
    }

    /// A token that was used before, or is somebody else's, is tried.
    fn probe(&mut self, node: usize) {
        let ctx = &mut self.ctx;
        let mut tokens: Vec<(usize, Vec<u8>)> = Vec::new();
        for process in &self.processes {
            // Spent ones by their owner, others by anybody else.
            if process.node == node {
                tokens.extend(process.used_tokens.iter().cloned());
            } else {
                let calls = process.calls.values();
                tokens.extend(calls.filter_map(|call| Some((call.target, call.token()?))));
            }
        }
        tokens.retain(|(target, _)| *target != node);
        let picked = ctx.rng.below(tokens.len() as u64) as usize;
        if let Some((target, token)) = tokens.get(picked).cloned() {
            self.processes[node].probe(target, token, ctx);
        }
    }

    /// Nothing more is done. Links that are cut heal in their time, and what is down comes back.
    fn rest(&mut self) {
        self.ctx.active = false;
        self.ctx.trace(0, format_args!("rest"));
    }

    fn audit(&mut self) {
        let now = self.ctx.now;
        let scenario = self.ctx.scenario.clone();
        self.ctx.audit.check_cancels(&scenario, now);
        if now > scenario.active + MOST_REST {
            let live = self.ctx.audit.live();
            let details = format!("{live:?} live {MOST_REST} ms after the last act");
            self.ctx.audit.fail(Invariant::ComesToRest, details);
        }
        if self.in_flight == 0 {
            self.check_agreement();
        }
        self.at(now + AUDIT, Happening::Audit);
    }

    /// Where nothing is under way, both ends of a connection know of the same operations.
    fn check_agreement(&mut self) {
        for process in &self.processes {
            for (id, live) in &process.connections {
                let peer = self.processes[live.peer].connections.get(id);
                let Some(peer) = peer.filter(|_| live.endpoint.client) else {
                    continue;
                };
                if !live.endpoint.is_quiet() || !peer.endpoint.is_quiet() {
                    continue;
                }
                let (Some(ours), Some(theirs)) = (&live.connection, &peer.connection) else {
                    continue;
                };
                if ours.is_closed() || theirs.is_closed() {
                    continue;
                }
                if ours.live_operations() != theirs.live_operations() {
                    let details = format!(
                        "c{id} has {} operations at n{}, {} at n{}",
                        ours.live_operations(),
                        process.node,
                        theirs.live_operations(),
                        live.peer
                    );
                    self.ctx.audit.fail(Invariant::BothEndsAgree, details);
                    return;
                }
            }
        }
    }

    /// Whether no operation is left anywhere, nor anything retained.
    fn is_at_rest(&self) -> bool {
        let idle = |process: &Process| {
            let operations = process.connections.values().all(|live| {
                let connection = live.connection.as_ref();
                connection.is_none_or(|connection| connection.live_operations() == 0)
            });
            process.up && operations && process.calls.is_empty() && process.works.is_empty()
        };
        self.processes.iter().all(idle)
    }
}
