//! Several agents do anything in any order: no message is lost, none comes twice, nothing of a
//! blocked sender arrives after the block, and positions grow.

use std::collections::{BTreeMap, BTreeSet};

use airc_core::json::Value;
use airc_core::registry::Settings;
use airc_core::store::{ConsentState, Position, Store};
use proptest::prelude::*;

use crate::support::{Agent, World, altered, open};

const AGENTS: [&str; 4] = ["alex", "kim", "lee", "seth"];

/// What an agent does to another one.
#[derive(Clone, Debug)]
enum Step {
    Send,
    /// Again what it sent last, with a new nonce or as it is.
    Repeat {
        fresh: bool,
    },
    Ask,
    Accept,
    Block,
    Handshake(&'static str),
    Poll(usize),
    Pass(u64),
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Send),
        1 => any::<bool>().prop_map(|fresh| Step::Repeat { fresh }),
        1 => Just(Step::Ask),
        2 => Just(Step::Accept),
        1 => Just(Step::Block),
        1 => prop::sample::select(vec!["request", "accept", "block"]).prop_map(Step::Handshake),
        3 => (1..4_usize).prop_map(Step::Poll),
        1 => (1..200_u64).prop_map(Step::Pass),
        1 => Just(Step::Expire),
    ]
}

/// What should be true, by what was answered.
struct Run {
    world: World,
    agents: Vec<Agent>,
    /// Ids that are held, by sender and recipient.
    held: BTreeMap<(usize, usize), BTreeSet<String>>,
    /// Ids that must be in the inbox of each, and those that never may.
    due: Vec<BTreeSet<String>>,
    never: BTreeSet<String>,
    /// What each has polled so far, and its cursor.
    polled: Vec<Vec<String>>,
    cursors: Vec<Option<String>>,
    last: BTreeMap<(usize, usize), Value>,
}

fn id_of(message: &Value) -> String {
    message.get("id").and_then(Value::as_str).unwrap().into()
}

impl Run {
    fn new() -> Self {
        let mut world = World::with(Settings {
            max_held_per_pair: 3,
            max_held_per_recipient: 5,
            ..open()
        });
        let agents = AGENTS.map(|name| world.agent(name)).to_vec();
        let count = agents.len();
        Self {
            world,
            agents,
            held: BTreeMap::new(),
            due: vec![BTreeSet::new(); count],
            never: BTreeSet::new(),
            polled: vec![Vec::new(); count],
            cursors: vec![None; count],
            last: BTreeMap::new(),
        }
    }

    fn step(&mut self, one: usize, two: usize, step: &Step) {
        let (from, to) = (self.agents[one].clone(), self.agents[two].clone());
        match step {
            Step::Send => {
                let message = self.world.message(&from, &to, "hello");
                self.post(one, two, &message);
                self.last.insert((one, two), message);
            }
            Step::Repeat { fresh } => {
                let Some(message) = self.last.get(&(one, two)).cloned() else {
                    return;
                };
                self.repeat(one, two, &message, *fresh);
            }
            Step::Handshake(action) => {
                let reply = self.world.handshake(&from, &to, action);
                assert!([200, 400, 403].contains(&reply.status), "{}", reply.text);
            }
            Step::Ask => {
                self.world.ask(&from, &to);
            }
            Step::Accept => {
                self.world.accept(&from, &to);
            }
            Step::Block => {
                self.world.block(&from, &to);
            }
            Step::Poll(limit) => {
                self.poll(one, *limit);
            }
            Step::Pass(seconds) => self.world.pass(*seconds),
            Step::Expire => {
                let before = self.world.now.before_seconds(86_400 * 30);
                self.world.store.expire(self.world.now, before, 3).unwrap();
            }
        }
    }

    fn post(&mut self, one: usize, two: usize, message: &Value) {
        let id = id_of(message);
        let reply = self.world.post("/messages", message);
        match reply.status {
            200 if reply.str("consent") == "accepted" => {
                assert!(self.due[two].insert(id));
            }
            200 => {
                assert_eq!(reply.str("consent"), "pending");
                assert!(self.held.entry((one, two)).or_default().insert(id));
            }
            status => {
                assert!([403, 429].contains(&status), "{}", reply.text);
                self.never.insert(id);
            }
        }
    }

    /// A message that comes again is refused, unless it never came through before.
    fn repeat(&mut self, one: usize, two: usize, message: &Value, fresh: bool) {
        let id = id_of(message);
        if !fresh {
            let reply = self.world.post("/messages", message);
            reply.refused(401, "replay_detected");
            return;
        }
        let (nonce, now) = (self.world.nonce(), self.world.seconds());
        let changes = [("nonce", nonce.into()), ("timestamp", now.into())];
        let again = altered(message, &self.agents[one], changes);
        if self.never.remove(&id) && !self.came_through(&id) {
            self.post(one, two, &again);
        } else {
            let reply = self.world.post("/messages", &again);
            assert!([401, 403, 429].contains(&reply.status), "{}", reply.text);
            if !self.came_through(&id) {
                self.never.insert(id);
            }
        }
    }

    fn came_through(&self, id: &str) -> bool {
        self.due.iter().any(|due| due.contains(id))
            || self.held.values().any(|held| held.contains(id))
    }

    /// Whether there is more.
    fn poll(&mut self, owner: usize, limit: usize) -> bool {
        let since = self.cursors[owner].as_ref();
        let since = since.map_or_else(String::new, |cursor| format!("&since={cursor}"));
        let agent = self.agents[owner].clone();
        let target = format!("/messages?limit={limit}{since}");
        let reply = self.world.get_as(&agent, &target).ok(200);
        let ids = reply.items("messages").iter().map(id_of);
        self.polled[owner].extend(ids);
        self.cursors[owner] = Some(reply.str("cursor").into());
        reply.body.get("hasMore") == Some(&true.into())
    }

    /// What is held follows the consent: it goes out when that opens, and away when it is refused.
    fn settle(&mut self) {
        for (one, from) in self.agents.iter().enumerate() {
            for (two, to) in self.agents.iter().enumerate() {
                let held = self.held.entry((one, two)).or_default();
                match self.world.state(from, to) {
                    _ if one == two => assert!(held.is_empty()),
                    ConsentState::Accepted => self.due[two].append(held),
                    ConsentState::Blocked => self.never.append(held),
                    ConsentState::Pending => {}
                    ConsentState::None => assert!(held.is_empty()),
                }
                let (count, _) = self.world.store.held(&from.handle, &to.handle).unwrap();
                assert_eq!(count, held.len() as u64);
            }
        }
    }

    /// The inbox of each has what is due, once, in growing positions.
    fn check(&mut self) {
        for (two, to) in self.agents.iter().enumerate() {
            let page = self
                .world
                .store
                .inbox(&to.handle, Position(0), usize::MAX / 2)
                .unwrap();
            let positions: Vec<_> = page.messages.iter().map(|(position, _)| position).collect();
            assert!(positions.is_sorted_by(|one, two| one < two));
            let talk = page
                .messages
                .iter()
                .filter(|(_, it)| !it.envelope.contains("\"handshake\""));
            let ids: Vec<&String> = talk.map(|(_, message)| &message.id).collect();
            let unique: BTreeSet<&String> = ids.iter().copied().collect();
            assert_eq!(ids.len(), unique.len(), "one came twice");
            assert_eq!(unique, self.due[two].iter().collect::<BTreeSet<_>>());
            assert!(unique.is_disjoint(&self.never.iter().collect()));
        }
    }

    /// Who goes on polling gets the whole inbox, in its order.
    fn finish(&mut self) {
        for owner in 0..self.agents.len() {
            while self.poll(owner, 50) {}
            let handle = &self.agents[owner].handle;
            let page = self
                .world
                .store
                .inbox(handle, Position(0), usize::MAX / 2)
                .unwrap();
            let whole: Vec<_> = page.messages.into_iter().map(|(_, it)| it.id).collect();
            assert_eq!(self.polled[owner], whole);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_agents_do_nothing_is_lost_or_doubled_or_slips_past_a_block(
        steps in prop::collection::vec((0..AGENTS.len(), 0..AGENTS.len(), step()), 1..80),
    ) {
        let mut run = Run::new();
        for (one, two, step) in &steps {
            run.step(*one, *two, step);
            run.settle();
            run.check();
        }
        run.finish();
    }
}
