//! Who is online, as the page, its events and the metrics see it: looked up at most once a second,
//! however many people watch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use airc_core::registry::{Credentials, Method, Registry, Request, Response};
use airc_core::store::{Store, StoreError, Stored};
use airc_core::time::Time;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::state::State;
use crate::engine::EngineError;

/// An agent that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Agent {
    pub(crate) handle: String,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) context: Option<String>,
    /// Unix seconds.
    #[serde(default)]
    pub(crate) last_heartbeat: u64,
}

/// Who was there at one moment.
#[derive(Debug)]
pub(crate) struct View {
    /// Grows with every change.
    pub(crate) number: u64,
    /// By handle.
    pub(crate) agents: BTreeMap<String, Agent>,
    /// Whether there are more than are shown.
    pub(crate) more: bool,
    /// What is different from the view before, as JSON.
    pub(crate) change: String,
}

impl View {
    /// All of it, as JSON.
    pub(crate) fn whole(&self) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            agents: Vec<&'a Agent>,
            more: bool,
        }
        json(&Whole {
            agents: self.agents.values().collect(),
            more: self.more,
        })
    }

    fn first(agents: BTreeMap<String, Agent>, more: bool) -> Self {
        Self {
            number: 0,
            agents,
            more,
            change: String::new(),
        }
    }

    /// The view after this one; `None` if nothing has changed.
    fn next(&self, agents: BTreeMap<String, Agent>, more: bool) -> Option<Self> {
        #[derive(Serialize)]
        struct Change<'a> {
            seen: Vec<&'a Agent>,
            gone: Vec<&'a str>,
            more: bool,
        }
        let is_new = |agent: &&Agent| self.agents.get(&agent.handle) != Some(*agent);
        let seen: Vec<_> = agents.values().filter(is_new).collect();
        let before = self.agents.keys().map(String::as_str);
        let gone: Vec<_> = before
            .filter(|handle| !agents.contains_key(*handle))
            .collect();
        if seen.is_empty() && gone.is_empty() && more == self.more {
            return None;
        }
        let change = json(&Change { seen, gone, more });
        Some(Self {
            number: self.number.wrapping_add(1),
            agents,
            more,
            change,
        })
    }
}

fn json(value: &impl Serialize) -> String {
    // Text and numbers: there is nothing in it that could not be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// The last view, and who watches.
#[derive(Debug)]
pub(crate) struct Live {
    last: Mutex<Option<(Instant, Arc<View>)>>,
    seats: Arc<Semaphore>,
    all_seats: usize,
}

impl Live {
    pub(crate) fn new(watchers: u32) -> Self {
        let all_seats = usize::try_from(watchers).unwrap_or(usize::MAX);
        let all_seats = all_seats.min(Semaphore::MAX_PERMITS);
        Self {
            last: Mutex::new(None),
            seats: Arc::new(Semaphore::new(all_seats)),
            all_seats,
        }
    }

    /// A place for one who watches, if there is one.
    pub(crate) fn seat(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.seats).try_acquire_owned().ok()
    }

    /// How many watch.
    pub(crate) fn watchers(&self) -> usize {
        self.all_seats
            .saturating_sub(self.seats.available_permits())
    }
}

/// Who is there now, or was less than a second ago.
///
/// # Errors
/// What the engine could not do.
pub(crate) async fn view(state: &State) -> Result<Arc<View>, EngineError> {
    let mut last = state.live.last.lock().await;
    if let Some((looked, view)) = last.as_ref()
        && looked.elapsed() < FRESH
    {
        return Ok(Arc::clone(view));
    }
    let registry = Arc::clone(&state.registry);
    let now = state.engine.clock().now();
    let read = state
        .engine
        .read(move |store| everyone(&registry, now, store));
    let (agents, more) = read.await?;
    let view = match last.take() {
        None => Arc::new(View::first(agents, more)),
        Some((_, before)) => before.next(agents, more).map_or(before, Arc::new),
    };
    *last = Some((Instant::now(), Arc::clone(&view)));
    Ok(view)
}

/// Everybody who is there, up to [`MOST_SHOWN`], and whether there are more: what `GET /presence`
/// says, page by page.
fn everyone(
    registry: &Registry,
    now: Time,
    store: &mut dyn Store,
) -> Stored<(BTreeMap<String, Agent>, bool)> {
    let mut agents = BTreeMap::new();
    let mut target = format!("/presence?limit={PAGE}");
    loop {
        let request = Request {
            method: Method::Get,
            target: &target,
            credentials: Credentials::default(),
            body: &[],
            entropy: [0; 32],
        };
        let answer = registry.handle(&request, now, store)?;
        let response = answer.result.map_err(|refusal| failed(&refusal))?;
        let page: Vec<Agent> = serde_json::from_str(&response.body).map_err(|e| failed(&e))?;
        let there = page.into_iter().filter(|agent| agent.status != "offline");
        agents.extend(there.map(|agent| (agent.handle.clone(), agent)));
        match next_page(&response) {
            Some(next) if agents.len() < MOST_SHOWN => target = next,
            next => return Ok((agents, next.is_some())),
        }
    }
}

/// Where the next page is: what the `Link` header says.
fn next_page(response: &Response) -> Option<String> {
    let mut headers = response.headers.iter();
    let (_, link) = headers.find(|(name, _)| name.eq_ignore_ascii_case("link"))?;
    let (target, _) = link.strip_prefix('<')?.split_once('>')?;
    Some(target.to_owned())
}

fn failed(error: &dyn std::fmt::Display) -> StoreError {
    StoreError {
        message: format!("who is online cannot be told: {error}"),
        transient: false,
    }
}

/// How long a view is good.
pub(crate) const FRESH: Duration = Duration::from_secs(1);

/// More agents than this are not shown at once.
pub(crate) const MOST_SHOWN: usize = 1000;

/// How many are asked for at a time.
const PAGE: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn agents(list: &[(&str, &str)]) -> BTreeMap<String, Agent> {
        let agent = |(handle, context): &(&str, &str)| Agent {
            handle: (*handle).into(),
            status: "online".into(),
            context: Some((*context).into()),
            last_heartbeat: 1,
        };
        list.iter()
            .map(agent)
            .map(|agent| (agent.handle.clone(), agent))
            .collect()
    }

    #[test]
    fn a_change_names_who_came_who_differs_and_who_left() {
        let before = View::first(agents(&[("a", "x"), ("b", "x"), ("c", "x")]), false);
        let after = agents(&[("a", "x"), ("b", "y"), ("d", "x")]);
        let after = before.next(after, false).expect("a change");
        assert_eq!(after.number, 1);
        let change: serde_json::Value = serde_json::from_str(&after.change).unwrap();
        let handles = |list: &serde_json::Value| -> Vec<String> {
            let handle = |agent: &serde_json::Value| agent["handle"].as_str().unwrap().to_owned();
            list.as_array().unwrap().iter().map(handle).collect()
        };
        assert_eq!(handles(&change["seen"]), ["b", "d"]);
        assert_eq!(change["gone"], serde_json::json!(["c"]));
    }

    #[test]
    fn nothing_new_is_no_change() {
        let before = View::first(agents(&[("a", "x")]), false);
        assert!(before.next(agents(&[("a", "x")]), false).is_none());
        assert!(before.next(agents(&[("a", "x")]), true).is_some());
    }
}
