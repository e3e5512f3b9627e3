//! `/api/presence`: registrations and heartbeats in, who is there out.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::{handle_of, invalid, text};
use crate::error::Refusal;
use crate::handle::Handle;
use crate::json::{Object, Value, object};
use crate::registry::Response;
use crate::registry::proof::Proof;
use crate::registry::target::MAX_LIMIT;
use crate::registry::work::{Outcome, Work};
use crate::store::{PresenceRecord, Status};
use crate::time::Time;
use crate::{PublicKey, key, limits};

/// How many heartbeats are counted. The lists are shorter still.
pub(super) const MAX_COUNTED: usize = 1000;

/// What is posted: a registration, or a heartbeat.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    verb: Option<Verb>,
    pub(super) username: Option<Handle>,
    pub(super) working_on: Option<String>,
    pub(super) status: Option<Status>,
    pub(super) key: Option<PublicKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Register,
    Heartbeat,
}

impl Notice {
    pub(super) fn read(body: &Object) -> Result<(Self, Option<Proof>), Refusal> {
        let (verb, status) = match text(body, &["action"])? {
            Some("register") => (Some(Verb::Register), None),
            Some("heartbeat") => (Some(Verb::Heartbeat), None),
            Some("offline") => (Some(Verb::Heartbeat), Some(Status::Offline)),
            None => (None, None),
            Some(_) => return Err(invalid("action must be register, heartbeat or offline")),
        };
        let username = handle_of(body, &["username", "handle"])?;
        let working_on = text(body, &["workingOn", "building", "context"])?;
        if working_on.is_some_and(|text| limits::free_text(text, limits::MAX_CONTEXT).is_none()) {
            return Err(invalid("workingOn has over 280 characters, or U+0000"));
        }
        let key = text(body, &["publicKey", "public_key"])?;
        let key = key.map(|text| {
            key::parse(text).map_err(|error| invalid(alloc::format!("publicKey: {error}")))
        });
        // Clients that sign in another way than ours have no such three fields.
        let timestamp = body.get("timestamp").and_then(Value::as_u64);
        let nonce = body.get("nonce").and_then(Value::as_str);
        let nonce = nonce.filter(|nonce| limits::nonce(nonce).is_ok());
        let proof = match (&username, timestamp, nonce) {
            (Some(signer), Some(timestamp), Some(nonce)) => {
                Proof::of_body(body, signer, Some(timestamp), Some(nonce)).ok()
            }
            _ => None,
        };
        let said = text(body, &["status"])?.and_then(status_of);
        let notice = Self {
            verb,
            username,
            working_on: working_on.map(str::to_owned),
            status: status.or(said),
            key: key.transpose()?,
        };
        Ok((notice, proof))
    }
}

/// The words of the dialect. `available` says no more than the heartbeat does.
fn status_of(word: &str) -> Option<Status> {
    match word {
        "busy" => Some(Status::Busy),
        "away" | "idle" => Some(Status::Idle),
        "offline" => Some(Status::Offline),
        _ => None,
    }
}

impl Work<'_> {
    /// `POST /api/presence` and `POST /api/users`. Without an action it is a heartbeat if its
    /// sender has registered, as far as a token tells.
    pub(super) fn api_presence(&mut self, notice: &Notice) -> Outcome<Response> {
        let call = self.call;
        let register = match notice.verb {
            Some(verb) => verb == Verb::Register,
            None => match &call.bearer {
                Some(token) => self.bearer_of(token)?.is_none(),
                None => true,
            },
        };
        if register {
            return self.api_register(notice);
        }
        let caller = self.acting()?;
        self.own(&caller, notice.username.as_ref())?;
        if let Some(token) = &call.bearer {
            self.extended(token)?;
        }
        // What it is doing is still what it said last.
        let context = match &notice.working_on {
            Some(context) => Some(context.clone()),
            None => self.store.presence(&caller)?.and_then(|last| last.context),
        };
        let record = self.beat(&caller, notice.status, context)?;
        Ok(Response::json(
            200,
            &object([
                ("success", true.into()),
                ("handle", caller.as_str().into()),
                ("presence", user(&record, self.now)),
                ("message", "Presence updated".into()),
            ]),
        ))
    }

    /// `GET /api/presence`.
    pub(super) fn api_who(&mut self) -> Outcome<Response> {
        let mut present = self.store.present(self.now, None, MAX_COUNTED)?;
        present.sort_by_key(|record| Reverse(record.heartbeat));
        let mut lists: [Vec<Value>; 3] = Default::default();
        let mut counts = [0_u64; 2];
        let [active, away, users] = &mut lists;
        let [count_active, count_away] = &mut counts;
        for record in &present {
            let (list, count) = match record.status_at(self.now) {
                Status::Online | Status::Busy => (&mut *active, &mut *count_active),
                Status::Idle => (&mut *away, &mut *count_away),
                Status::Offline => continue,
            };
            *count = count.saturating_add(1);
            if users.len() < MAX_LIMIT {
                let user = user(record, self.now);
                list.push(user.clone());
                users.push(user);
            }
        }
        let [active, away, users] = lists;
        let [count_active, count_away] = counts;
        let nobody = || Value::from(Vec::<Value>::new());
        Ok(Response::json(
            200,
            &object([
                ("success", true.into()),
                ("agents", users.clone().into()),
                ("users", users.into()),
                ("active", active.into()),
                ("away", away.into()),
                ("offline", nobody()),
                ("recent", nobody()),
                (
                    "counts",
                    object([
                        ("active", count_active.into()),
                        ("away", count_away.into()),
                        ("total", count_active.saturating_add(count_away).into()),
                    ]),
                ),
            ]),
        ))
    }
}

/// Somebody, as the dialect shows them.
fn user(record: &PresenceRecord, now: Time) -> Value {
    let status = record.status_at(now);
    let word = match status {
        Status::Online => "active",
        Status::Busy => "busy",
        Status::Idle => "away",
        Status::Offline => "offline",
    };
    let mut user = Object::new();
    user.insert("handle", record.handle.as_str());
    user.insert("username", record.handle.as_str());
    user.insert("status", word);
    user.insert("workingOn", record.context.as_deref().unwrap_or_default());
    user.insert("lastSeen", record.heartbeat.iso_millis());
    user.insert("ago", ago(record.heartbeat, now));
    user.into()
}

/// How long ago something was, as people say it.
fn ago(then: Time, now: Time) -> String {
    let seconds = now.0.saturating_sub(then.0) / 1000;
    match seconds {
        0..60 => "now".into(),
        60..3600 => alloc::format!("{}m", seconds / 60),
        3600..86_400 => alloc::format!("{}h", seconds / 3600),
        _ => alloc::format!("{}d", seconds / 86_400),
    }
}
