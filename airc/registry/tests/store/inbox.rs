//! A registry with two agents, and what is in the inbox of one of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use airc_core::registry::{Call, Registry};
use airc_core::store::Position;
use airc_core::time::Time;
use airc_registry::engine::{Engine, EngineError, EngineSettings};
use airc_registry::store::Database;

use crate::agents::{self, Agent};

/// Longer than anything takes on a machine that is not broken.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(120);

/// Waits for something to become true.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + GIVE_UP;
    while !is() {
        assert!(Instant::now() < deadline, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(test);
}

/// A registry with a sender and a recipient, who has accepted the sender.
pub(crate) struct Post {
    pub(crate) engine: Engine,
    sender: Agent,
    recipient: Agent,
}

impl Post {
    pub(crate) async fn open(database: &Database, settings: EngineSettings) -> Self {
        let registry = Arc::new(Registry::new(agents::settings()));
        let engine = Engine::open(database, registry, settings).expect("it opens");
        engine
            .write(|store| agents::register(store, &[Agent::new("sender"), Agent::new("sink")]))
            .await
            .expect("they are registered");
        Self {
            engine,
            sender: Agent::new("sender"),
            recipient: Agent::new("sink"),
        }
    }

    pub(crate) async fn sqlite(settings: EngineSettings) -> (tempfile::TempDir, Database, Self) {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let database = Database::Sqlite(scratch.path().join("airc.db"));
        let post = Self::open(&database, settings).await;
        (scratch, database, post)
    }

    pub(crate) fn message(&self, id: &str) -> Call {
        let now = self.engine.clock().now();
        let to = &self.recipient.handle;
        self.sender.send(self.engine.registry(), to, id, now)
    }

    /// Sends a message. Whether it was taken; a panic if it was refused.
    pub(crate) async fn send(&self, id: &str) -> Result<(), EngineError> {
        let answer = self.engine.call(self.message(id)).await?;
        answer
            .result
            .unwrap_or_else(|refusal| panic!("{id}: {refusal}"));
        Ok(())
    }

    /// What came after a position, with the position of the last.
    pub(crate) async fn poll(&self, after: Position, limit: usize) -> (Vec<String>, Position) {
        let owner = self.recipient.handle.clone();
        let page = self
            .engine
            .read(move |store| store.inbox(&owner, after, limit))
            .await
            .expect("it can be read");
        assert!(page.messages.is_sorted_by(|one, two| one.0 < two.0));
        let last = page
            .messages
            .last()
            .map_or(after, |(position, _)| *position);
        let ids = page.messages.into_iter().map(|(_, message)| message.id);
        (ids.collect(), last)
    }

    /// All that is in the inbox; nothing of it twice.
    pub(crate) async fn inbox(&self) -> HashSet<String> {
        let (mut found, mut at) = (HashSet::new(), Position(0));
        loop {
            let (ids, last) = self.poll(at, 100).await;
            if ids.is_empty() {
                return found;
            }
            at = last;
            for id in ids {
                assert!(found.insert(id.clone()), "{id} is there twice");
            }
        }
    }
}

/// A time in which timestamps of this program are good.
pub(crate) const NOW: Time = Time(1_800_000_000_000);
